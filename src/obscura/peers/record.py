"""What is remembered about one address: the unit that the store keeps."""

from __future__ import annotations

from dataclasses import dataclass

from ..base.instant import NEVER, WallTime
from ..wire.address import NetAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRecord:
    """One address with its history. Times are Unix seconds, 0 for never.

    ``source`` is the network group of the peer that told us, empty for our own operator. ``failures`` counts dials
    since the last success; ``retry_at`` is when the next dial is allowed, so that back-off survives a restart.
    """

    address: NetAddress
    features: int = 0
    seen: WallTime = NEVER
    source: bytes = b""
    succeeded: WallTime = NEVER
    failures: int = 0
    retry_at: WallTime = NEVER
