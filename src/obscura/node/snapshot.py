"""One immutable picture of a node: all that a status command, a dashboard or a test may read."""

from __future__ import annotations

from dataclasses import dataclass

from ..base.instant import Duration
from ..base.names import BlockHash, ConnId
from ..shaping import Traffic
from ..wire.address import NetAddress
from ..wire.features import FeatureSet


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSnapshot:
    """One link. Byte counts are of the stream; ``ping`` is the last round trip, ``None`` before the first."""

    conn: ConnId
    address: NetAddress
    inbound: bool
    named: bool
    state: str
    transport: str
    """``veiled``, ``literal``, ``plain``: how the link began; ``unknown`` before that is known."""
    encrypted: bool
    session: bytes
    """Equal on both sides of an encrypted link and on no other; 32 bytes, empty while there is none."""
    user_agent: str
    in_force: FeatureSet
    claimed_height: int
    known_height: int
    """Height of the best header that this peer has shown, -1 for none."""
    ping: Duration | None
    age: Duration
    bytes_in: int
    bytes_out: int
    shaped_in: Traffic
    shaped_out: Traffic
    """What of these bytes were messages, padding and decoys, inside the encryption."""
    blocks_received: int
    blocks_in_flight: int
    faults: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The whole node."""

    network: str
    height: int
    tip: BlockHash
    headers: int
    """Height of the best known header."""
    syncing: bool
    """A header with more work than the tip is known whose block is missing."""
    peers: tuple[PeerSnapshot, ...]
    addresses: int
    uptime: Duration
    bytes_in: int
    bytes_out: int
    stopping: bool
