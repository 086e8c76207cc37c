"""One immutable picture of a node: all that a status command, a dashboard or a test may read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..base.instant import Duration
from ..base.names import BlockHash, ConnId, TxId
from ..shaping import Delays, Traffic
from ..wire.address import NetAddress
from ..wire.features import FeatureSet


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSnapshot:
    """One link. Byte counts are of the stream; ``ping`` is the last round trip, ``None`` before the first."""

    conn: ConnId
    address: NetAddress
    inbound: bool
    named: bool
    purpose: str
    """What we have opened it for: ``named``, ``full``, ``blocks``, ``feeler``; empty if the other side has."""
    discouraged: bool
    """Its host broke the rules lately."""
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
    shaping: str
    """The profile of our side of an encrypted link: ``off``, ``pad``, ``cover``, ``steady``."""
    rate: int | None
    """Bytes a second of our side, where they are constant."""
    shaped_in: Traffic
    shaped_out: Traffic
    """What of these bytes were messages, padding and decoys, inside the encryption."""
    delays: Delays
    """How long our messages waited for it."""
    blocks_received: int
    blocks_in_flight: int
    faults: int


@dataclass(frozen=True, slots=True)
class MempoolItem:
    """One transaction that waits for a block. ``size`` is in virtual bytes, ``fee`` in the smallest unit of value."""

    txid: TxId
    relay_id: TxId
    size: int
    fee: int
    age: Duration
    own: bool
    """It is our operator's."""
    parents: int
    """How many of those that it spends from wait as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastItem:
    """One transaction that is to be broadcast privately."""

    txid: TxId
    age: Duration
    receipts: int
    """How many recipients have confirmed it."""
    under_way: int
    """Dials and connections for it."""
    asked: int
    """Recipients that were chosen in this run, whatever came of it."""
    next_in: Duration | None
    """Until its next step; ``None`` while what is under way decides."""
    waits_for_parent: bool
    """It spends from one that is not in the open yet."""
    nobody: bool
    """At its last step there was nobody to be dialled: no way led to Tor or I2P, or nobody is known there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySnapshot:
    """The transactions' part of a node."""

    on: bool
    """The ledger judges transactions."""
    ready: bool
    """Its coin view stands at the tip."""
    coins_height: int
    """Where that view stands; -1 before its first step."""
    waiting: int
    """Transactions in the mempool."""
    size: int
    """Their virtual bytes."""
    memory: int
    """Bytes of memory that they are counted for."""
    floor: int
    """The least fee that is taken now, for 1,000 virtual bytes."""
    own: int
    """Of these, sent by our operator since the node has started."""
    in_line: int
    """In line, and before the ledger."""
    orphans: int
    announced: int
    """Announcements of what is not here yet."""
    links: int
    """Links on which transactions are relayed."""


NO_RELAY: Final = RelaySnapshot(
    on=False, ready=False, coins_height=-1, waiting=0, size=0, memory=0, floor=0, own=0, in_line=0, orphans=0,
    announced=0, links=0,
)  # fmt: skip


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
    tried: int
    """Of these, those that a link of ours has reached."""
    advertised: tuple[NetAddress, ...]
    """Where others reach us, as each class of networks is told."""
    uptime: Duration
    bytes_in: int
    bytes_out: int
    shaped_in: Traffic
    shaped_out: Traffic
    """Of all encrypted links since the node has started: messages, padding, decoys."""
    stopping: bool
    relay: RelaySnapshot
