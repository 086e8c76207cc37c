"""What shaping costs, counted on each link."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Traffic:
    """Bytes of one direction since the link's keys stand. What they lack to the bytes of the socket are the handshake,
    and the 37 bytes that each record with data adds."""

    real: int = 0
    """Of messages."""
    padding: int = 0
    """Of zeros beside them, in records that carry data."""
    decoy: int = 0
    """Of records that carry none, as long as they are on the wire."""
