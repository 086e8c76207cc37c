"""A simple bounded address book: what gossip told, whom to dial next, what to answer to ``getaddr``.

Bounds: BOOK_ENTRIES in all, BOOK_PER_SOURCE told by one network group, so that a single peer can neither grow our
memory nor own the book. When the book is full the worse of a few random entries makes room. The bucketed book of
design §7, which makes an eclipse expensive, takes this one's place behind the same verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from ..base.instant import MICROSECONDS, NEVER, Duration, WallTime
from ..base.limits import (
    ADDR_AGE,
    ADDR_FUTURE,
    ADDR_ITEMS,
    BACKOFF_CAP,
    BOOK_ENTRIES,
    BOOK_PER_SOURCE,
    EVICT_TRIES,
    GETADDR_SHARE,
    OTHER_NETWORK_WAIT,
    PICK_TRIES,
)
from ..base.randomness import Chance
from ..wire.address import AddressEntry, NetAddress
from .backoff import backoff
from .pins import Verdict
from .record import AddressRecord


class AddressBook:
    """Addresses and their history, at most BOOK_ENTRIES. ``changed`` says that there is something to save."""

    def __init__(self, records: Iterable[AddressRecord], chance: Chance) -> None:
        self.changed = False
        self._chance = chance
        self._records: dict[NetAddress, AddressRecord] = {}
        self._order: list[NetAddress] = []
        self._place: dict[NetAddress, int] = {}
        self._per_source: dict[bytes, int] = {}
        self._hidden: dict[NetAddress, None] = {}
        """Addresses that this book must not know; as many as the operator has named."""
        for record in records:
            if len(self._order) < BOOK_ENTRIES:
                self._insert(record)

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, address: NetAddress) -> bool:
        return address in self._records

    def get(self, address: NetAddress) -> AddressRecord | None:
        """What is known about an address."""
        return self._records.get(address)

    def records(self) -> tuple[AddressRecord, ...]:
        """Everything, for the store."""
        return tuple(self._records.values())

    def learn(self, entry: AddressEntry, source: bytes, now: WallTime) -> bool:
        """Take an address from gossip; ``True`` if it is new. One whose time is impossible counts as five days old; a
        hidden one is passed over."""
        if entry.address in self._hidden:
            return False
        seen = _believable(entry.time, now)
        if seen < now - ADDR_AGE:
            return False
        known = self._records.get(entry.address)
        if known is not None:
            # Only a clearly newer sighting is worth a change.
            if seen > _believable(known.seen, now) + 3_600:
                self._replace(replace(known, seen=seen, features=entry.features))
            return False
        if self._per_source.get(source, 0) >= BOOK_PER_SOURCE:
            return False
        if len(self._order) >= BOOK_ENTRIES:
            self._make_room(now)
        self._insert(AddressRecord(address=entry.address, features=entry.features, seen=seen, source=source))
        self.changed = True
        return True

    def name(self, address: NetAddress) -> None:
        """Keep an address that our operator named."""
        if address not in self._records:
            if len(self._order) >= BOOK_ENTRIES:
                self._remove(self._order[self._chance.below(len(self._order))])
            self._insert(AddressRecord(address=address))
            self.changed = True

    def hide(self, address: NetAddress) -> None:
        """Neither keep nor tell an address: a keyed listener, which only those know who were invited."""
        self._hidden[address] = None
        if address in self._records:
            self._remove(address)
            self.changed = True

    def pick(self, now: WallTime, usable: Callable[[NetAddress], bool]) -> NetAddress | None:
        """A random address that may be dialled now and that ``usable`` admits, ``None`` if a few tries find none."""
        for _ in range(min(PICK_TRIES, 4 * len(self._order))):
            address = self._chance.choice(self._order)
            if _may_retry(self._records[address], now) and usable(address):
                return address
        return None

    def succeeded(self, address: NetAddress, now: WallTime, key: bytes | None = None) -> None:
        """A link that we opened completed its handshake. Failures stand until it has lasted (:meth:`lasted`): a peer
        whose slots are all taken completes every handshake and ends every link, and must be asked less and less often.

        ``key`` is what it has shown, where :meth:`meet` has passed it: its pin from now on. ``None`` leaves the pin.
        """
        known = self._records.get(address)
        if known is not None:
            # At the very beginning of time (a broken clock) there is no success to hang a pin on.
            pin = (key or known.key) if now != NEVER else None
            self._replace(replace(known, seen=now, succeeded=now, retry_at=now, key=pin))

    def meet(self, address: NetAddress, key: bytes) -> Verdict:
        """Judge the key that an address from gossip has shown. It is pinned by :meth:`succeeded`, not here.

        After ``CHANGED`` the old entry is gone, with its history and its pin: who answers now is a new peer, of whom
        we know what gossip told and no more. The link may go on, as one to a new peer.
        """
        known = self._records.get(address)
        if known is None or known.key is None:
            return Verdict.NEW
        if known.key == key:
            return Verdict.SAME
        self._replace(AddressRecord(address=address, features=known.features, seen=known.seen, source=known.source))
        return Verdict.CHANGED

    def lasted(self, address: NetAddress) -> None:
        """A link that we opened stood long enough to count as a success: the next back-off starts afresh."""
        known = self._records.get(address)
        if known is not None and known.failures:
            self._replace(replace(known, failures=0))

    def failed(self, address: NetAddress, now: WallTime, cap: Duration = BACKOFF_CAP) -> Duration:
        """A dial, or the link soon after it, came to nothing. Returns how long to wait before the next try."""
        known = self._records.get(address) or AddressRecord(address=address)
        failures = known.failures + 1
        wait = backoff(failures, cap, self._chance)
        if address in self._records:
            retry_at = WallTime(now + -(-wait // MICROSECONDS))
            self._replace(replace(known, failures=failures, retry_at=retry_at))
        return wait

    def avoid(self, address: NetAddress, until: WallTime) -> None:
        """Do not dial an address before ``until``: it is another network's, or our own."""
        known = self._records.get(address)
        if known is not None:
            self._replace(replace(known, failures=known.failures + 1, retry_at=until))

    def answer(self, now: WallTime, routable: Callable[[NetAddress], bool]) -> tuple[AddressEntry, ...]:
        """What ``getaddr`` gets: random, at most 1,000 and at most 23 % of the book."""
        bound = min(ADDR_ITEMS, -(-len(self._order) * GETADDR_SHARE // 100))
        chosen: list[AddressEntry] = []
        for address in self._chance.sample(self._order, len(self._order)):
            if len(chosen) >= bound:
                break
            record = self._records[address]
            seen = _believable(record.seen, now)
            if seen >= now - ADDR_AGE and routable(address):
                chosen.append(AddressEntry(seen, record.features, address))
        return tuple(chosen)

    def rebase(self, shift: int) -> None:
        """The wall clock jumped by ``shift`` seconds: deadlines keep their distance (design §10)."""
        for record in self.records():
            if record.retry_at:
                self._replace(replace(record, retry_at=WallTime(max(0, record.retry_at + shift))))

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        assert len(self._order) == len(self._records) == len(self._place) <= BOOK_ENTRIES, "three views of one set"
        assert all(self._order[at] == address for address, at in self._place.items()), "places point at their address"
        counted: dict[bytes, int] = {}
        for record in self._records.values():
            counted[record.source] = counted.get(record.source, 0) + 1
        assert counted == self._per_source, "the count per source is exact"

    def _insert(self, record: AddressRecord) -> None:
        if record.address in self._records:
            return
        self._records[record.address] = record
        self._place[record.address] = len(self._order)
        self._order.append(record.address)
        self._per_source[record.source] = self._per_source.get(record.source, 0) + 1

    def _replace(self, record: AddressRecord) -> None:
        self._records[record.address] = record
        self.changed = True

    def _remove(self, address: NetAddress) -> None:
        record = self._records.pop(address)
        place = self._place.pop(address)
        last = self._order.pop()
        if last != address:
            self._order[place] = last
            self._place[last] = place
        left = self._per_source[record.source] - 1
        if left:
            self._per_source[record.source] = left
        else:
            del self._per_source[record.source]

    def _make_room(self, now: WallTime) -> None:
        del now
        tries: Sequence[NetAddress] = [self._chance.choice(self._order) for _ in range(EVICT_TRIES)]

        def worth(address: NetAddress) -> tuple[int, int, int]:
            record = self._records[address]
            return (1 if record.succeeded else 0, -record.failures, record.seen)

        self._remove(min(tries, key=worth))


def _believable(seen: WallTime, now: WallTime) -> WallTime:
    """A time of last sight. One ahead of our clock is a lie, or our clock was wrong when we noted it: as in Bitcoin
    Core, it counts as five days old."""
    return seen if seen <= now + ADDR_FUTURE else WallTime(max(0, now - 5 * 86_400))


def _may_retry(record: AddressRecord, now: WallTime) -> bool:
    """Whether an address may be dialled. No wait is longer than OTHER_NETWORK_WAIT: one that ends later was noted while
    the clock was ahead, by a run that ended before it was set right."""
    return not now < record.retry_at <= now + OTHER_NETWORK_WAIT
