"""What is remembered about one address: the unit that the store keeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..base.instant import NEVER, WallTime
from ..wire.address import NetAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRecord:
    """One address with its history. Times are Unix seconds, 0 for never.

    ``source`` is the network group of the peer that told us first, empty if only our own operator did. ``copies`` are
    the groups by whose word the address stands in the new table, empty where ``source`` alone is. ``tried`` says that
    it stands in the tried table instead. The places follow from these and the book's key; ``standing`` is the book's
    own note of them, so that it need not compute them at each start, and means nothing to others.

    ``failures`` counts dials since the last success; ``retry_at`` is when the next dial is allowed, so that back-off
    survives a restart; ``attempted`` is when the last one began. ``key`` is the static key (32 bytes) that a reached
    address has shown; of one that was never reached nothing is believed.

    Raises:
        ValueError: a key without a success.
    """

    address: NetAddress
    features: int = 0
    seen: WallTime = NEVER
    source: bytes = b""
    succeeded: WallTime = NEVER
    failures: int = 0
    retry_at: WallTime = NEVER
    key: bytes | None = field(default=None, repr=False)
    tried: bool = False
    attempted: WallTime = NEVER
    copies: tuple[bytes, ...] = ()
    standing: bytes = field(default=b"", repr=False, compare=False)
    since: WallTime = NEVER

    def __post_init__(self) -> None:
        if self.key is not None and self.succeeded == NEVER:
            msg = "only an address that was reached has a pin"
            raise ValueError(msg)


class _Blank:
    """What :func:`stored` fills: it has the same slots, and nothing guards them."""

    __slots__ = AddressRecord.__slots__

    address: NetAddress
    features: int
    seen: WallTime
    source: bytes
    succeeded: WallTime
    failures: int
    retry_at: WallTime
    key: bytes | None
    tried: bool
    attempted: WallTime
    copies: tuple[bytes, ...]
    standing: bytes
    since: WallTime


def stored(
    address: NetAddress,
    features: int,
    seen: WallTime,
    source: bytes,
    succeeded: WallTime,
    failures: int,
    retry_at: WallTime,
    key: bytes | None,
    tried: bool,
    attempted: WallTime,
    copies: tuple[bytes, ...],
    standing: bytes,
    since: WallTime,
) -> AddressRecord:
    """The record of a row that is known to be one. A start makes 81,920 of them, and to fill a frozen object by its
    constructor takes six times as long. A key without a success is not refused but left out."""
    record = _Blank()
    record.address = address
    record.features = features
    record.seen = seen
    record.source = source
    record.succeeded = succeeded
    record.failures = failures
    record.retry_at = retry_at
    record.key = key if succeeded else None
    record.tried = tried
    record.attempted = attempted
    record.copies = copies
    record.standing = standing
    record.since = since
    record.__class__ = AddressRecord  # type: ignore[assignment]
    return record  # type: ignore[return-value]
