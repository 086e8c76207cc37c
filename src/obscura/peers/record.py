"""What is remembered about one address: the unit that the store keeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..base.instant import NEVER, WallTime
from ..wire.address import NetAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRecord:
    """One address with its history. Times are Unix seconds, 0 for never.

    ``source`` is the network group of the peer that told us, empty for our own operator. ``failures`` counts dials
    since the last success; ``retry_at`` is when the next dial is allowed, so that back-off survives a restart. ``key``
    is the static key (32 bytes) that a reached address has shown; of one that was never reached nothing is believed.

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

    def __post_init__(self) -> None:
        if self.key is not None and self.succeeded == NEVER:
            msg = "only an address that was reached has a pin"
            raise ValueError(msg)
