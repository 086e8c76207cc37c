"""One address in the book: its record, and where it stands. There are tens of thousands, so it is kept slim."""

from __future__ import annotations

from typing import Final

from ..base.instant import NEVER, WallTime
from ..base.limits import (
    ADDR_AGE,
    ADDR_FUTURE,
    JUST_TRIED,
    OTHER_NETWORK_WAIT,
    RECENT_TRY,
    TERRIBLE_FAILURES,
    TERRIBLE_TIME,
    TERRIBLE_UNREACHED,
)
from ..wire.address import NetAddress
from .record import AddressRecord, stored

_ODDS: Final = tuple(0.66**failures for failures in range(9))
"""That an address is taken when it was drawn, after so many failures, as in Bitcoin Core."""
_UNLIKELY: Final = 0.01


class Entry:
    """What :class:`AddressRecord` says, and what the book adds to it.

    ``places`` are those in the table where it stands: one if it is tried; in new one for each of the groups that
    :meth:`sources` gives, in their order; none of an address that our operator named, which stands in no table.
    """

    __slots__ = (
        "address",
        "at",
        "attempted",
        "copies",
        "failures",
        "features",
        "key",
        "places",
        "retry_at",
        "saved",
        "seen",
        "since",
        "source",
        "succeeded",
        "tried",
        "was_tried",
    )

    def __init__(self, address: NetAddress, features: int, seen: WallTime, source: bytes) -> None:
        self.address = address
        self.features = features
        self.seen = seen
        self.source = source
        self.succeeded = NEVER
        self.failures = 0
        self.retry_at = NEVER
        self.key: bytes | None = None
        self.tried = False
        self.was_tried = False
        """It stands nowhere, as our operator has named it, and will stand in tried when he does not any more."""
        self.attempted = NEVER
        self.since = NEVER
        """Since when it stands in tried."""
        self.copies: tuple[bytes, ...] = ()
        self.places: tuple[int, ...] = ()
        self.at = -1
        """Its index among those that may be told; -1 if it is not to be."""
        self.saved = False
        """The store has a row of it."""

    @classmethod
    def of(cls, record: AddressRecord) -> Entry:
        """An entry that stands nowhere yet, as the store knows it."""
        entry = cls(record.address, record.features, record.seen, record.source)
        entry.succeeded = record.succeeded
        entry.failures = record.failures
        entry.retry_at = record.retry_at
        entry.key = record.key
        entry.attempted = record.attempted
        entry.since = record.since if record.tried else NEVER
        entry.saved = True
        return entry

    def record(self, stamp: bytes) -> AddressRecord:
        """What the store is to keep. ``stamp`` is that of :class:`~obscura.peers.placing.Placing`."""
        return stored(
            self.address,
            self.features,
            self.seen,
            self.source,
            self.succeeded,
            self.failures,
            self.retry_at,
            self.key,
            self.tried or self.was_tried,
            self.attempted,
            self.copies,
            stamp + b"".join([place.to_bytes(2, "big") for place in self.places]),
            self.since,
        )

    def sources(self) -> tuple[bytes, ...]:
        """The groups by whose word it stands in new."""
        return self.copies or (self.source,)

    def add_copy(self, place: int, source: bytes) -> None:
        """It stands in one more place of new."""
        if self.places:
            self.copies = (*self.sources(), source)
        elif source != self.source:
            self.copies = (source,)
        self.places = (*self.places, place)

    def drop_copy(self, place: int) -> None:
        """It stands in one place less of new."""
        which = self.places.index(place)
        sources = self.sources()
        self.places = self.places[:which] + self.places[which + 1 :]
        sources = sources[:which] + sources[which + 1 :]
        self.copies = () if sources == (self.source,) else sources

    def forget_history(self) -> None:
        """Only what gossip told is still known; and its back-off, or a new key each time would be a way around it."""
        self.succeeded = NEVER
        self.key = None

    def may_retry(self, now: WallTime) -> bool:
        """Whether it may be dialled. No wait is longer than OTHER_NETWORK_WAIT: one that ends later was noted while the
        clock was ahead, by a run that ended before it was set right."""
        return not now < self.retry_at <= now + OTHER_NETWORK_WAIT

    def is_terrible(self, now: WallTime) -> bool:
        """Whether it is given up: not told, and the first to make room. The rules are Bitcoin Core's."""
        if now - JUST_TRIED <= self.attempted <= now and self.attempted:
            return False
        return (
            not now - ADDR_AGE <= self.seen <= now + ADDR_FUTURE
            or (self.failures >= TERRIBLE_UNREACHED and not self.succeeded)
            or (self.failures >= TERRIBLE_FAILURES and now - self.succeeded > TERRIBLE_TIME)
        )

    def odds(self, now: WallTime) -> float:
        """The probability with which it is taken when it was drawn for a dial, as in Bitcoin Core; what is given up
        there is as unlikely here as what was just tried."""
        odds = _ODDS[self.failures] if self.failures < len(_ODDS) else _ODDS[-1]
        if (self.attempted and 0 <= now - self.attempted < RECENT_TRY) or self.is_terrible(now):
            odds *= _UNLIKELY
        return odds
