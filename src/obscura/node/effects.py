"""What the node wants done. The node changes only itself; a driver carries these out, in order.

``take_effects`` drains them after every input. An effect names a link by its :class:`ConnId`; one for a link that the
driver has already closed is to be ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from ..base.instant import Duration, WallTime
from ..base.names import BlockHash, ConnId, TxId
from ..chain import BlockReport, BlockVerdict, Candidate, CoinReport, HeaderReport, TxOutcome
from ..peers.bans import Ban
from ..peers.record import AddressRecord
from ..relay.sent import Stage
from ..wire.address import NetAddress

# -- requests to the ledger's worker, and its answers


@dataclass(frozen=True, slots=True)
class AcceptHeaders:
    """Run ``Ledger.accept_headers``."""

    headers: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AcceptBlocks:
    """Run ``Ledger.accept_blocks``."""

    blocks: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ReadBlocks:
    """Run ``Ledger.read_blocks``; may overtake the other requests."""

    hashes: tuple[BlockHash, ...]
    bytes_max: int


@dataclass(frozen=True, slots=True)
class BlocksRead:
    """The answer to :class:`ReadBlocks`, parallel to its hashes as far as it goes."""

    blocks: tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class FollowCoins:
    """Run ``TransactionLedger.follow``."""

    details: bool


@dataclass(frozen=True, slots=True)
class JudgeTransactions:
    """Run ``TransactionLedger.admit``."""

    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class TransactionsJudged:
    """The answer to :class:`JudgeTransactions`, parallel to its candidates."""

    outcomes: tuple[TxOutcome, ...]


LedgerRequest: TypeAlias = AcceptHeaders | AcceptBlocks | ReadBlocks | FollowCoins | JudgeTransactions
LedgerAnswer: TypeAlias = HeaderReport | BlockReport | BlocksRead | CoinReport | TransactionsJudged


# -- things worth telling an operator or an embedding program


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """A handshake is complete."""

    conn: ConnId
    address: NetAddress
    inbound: bool
    user_agent: str


@dataclass(frozen=True, slots=True)
class LinkClosed:
    """A link is gone. ``reason`` is a rule's name, or ``peer-closed``, ``stopped`` and the like. ``was_open`` says
    whether its handshake had been completed."""

    conn: ConnId
    address: NetAddress
    inbound: bool
    reason: str
    detail: str = ""
    was_open: bool = True


@dataclass(frozen=True, slots=True)
class DialFailed:
    """A dial came to nothing; it is tried again in ``retry_in``."""

    address: NetAddress
    reason: str
    retry_in: Duration


@dataclass(frozen=True, slots=True)
class TipMoved:
    """The active chain has a new end. ``disconnected`` counts blocks that left it (a reorganisation)."""

    tip: BlockHash
    height: int
    disconnected: int


@dataclass(frozen=True, slots=True)
class BlockRefused:
    """A block broke a rule of the chain. ``conn`` is who sent it, ``None`` for our own operator."""

    hash: BlockHash
    verdict: BlockVerdict
    rule: str
    conn: ConnId | None


@dataclass(frozen=True, slots=True)
class BlockSubmitted:
    """The answer to ``Node.submit_block``."""

    ticket: int
    hash: BlockHash
    verdict: BlockVerdict
    rule: str


@dataclass(frozen=True, slots=True)
class TransactionSubmitted:
    """The answer to ``Node.submit_transaction``. ``rule`` is what the transaction breaks; or, though it is accepted,
    ``txn-already-in-mempool``. ``txid`` is all zeros where the bytes were not read. ``fee`` is known if it was judged.
    """

    ticket: int
    txid: TxId
    accepted: bool
    rule: str = ""
    detail: str = ""
    fee: int = 0
    stage: Stage | None = None
    """How far it has come, if it is accepted."""


class StemStep(Enum):
    """What may happen to a transaction in stem, and around it."""

    OWN = "own"
    """Our operator's was taken."""
    CAME = "came"
    """A link has stemmed it; it is judged next."""
    GIVEN = "given"
    """A stem peer was given it."""
    EXPIRED = "expired"
    """Its embargo has ended, or its wait for a stem peer."""
    SPREAD = "spread"
    """It is taken into the open here."""
    HEARD = "heard"
    """A link has sent it in the open."""
    TOLD = "told"
    """A link was told of it by ``inv``."""


@dataclass(frozen=True, slots=True)
class StemTrace:
    """A step, where ``trace_stems`` asks for it; ``conn`` is the other side, if there is one."""

    step: StemStep
    relay_id: TxId
    conn: ConnId | None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that an operator should read once: ``name`` is stable, ``text`` is for people."""

    name: str
    text: str


Event: TypeAlias = (
    LinkOpened
    | LinkClosed
    | DialFailed
    | TipMoved
    | BlockRefused
    | BlockSubmitted
    | TransactionSubmitted
    | StemTrace
    | Notice
)


# -- effects


@dataclass(frozen=True, slots=True)
class Send:
    """Write bytes to a link, after what was written before."""

    conn: ConnId
    data: bytes


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a connection; answer by ``Node.connected`` or ``Node.dial_failed`` with the same ``conn``."""

    conn: ConnId
    address: NetAddress
    timeout: Duration
    apart: bool = False
    """By an identity and a circuit of its own, which no other connection of ours shares: nobody is to see that both
    come from one node."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Close a link after what is queued has been written (within a bounded time). Nothing is reported back."""

    conn: ConnId


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop reading from a link's socket."""

    conn: ConnId


@dataclass(frozen=True, slots=True)
class Mind:
    """Say that a link is congested as soon as ``most`` bytes are unsent, and that it is not at half of them, instead of
    SEND_BUFFER_BYTES: what a constant rate sends would fill that on a line that is slower."""

    conn: ConnId
    most: int


@dataclass(frozen=True, slots=True)
class Resume:
    """Read again."""

    conn: ConnId


@dataclass(frozen=True, slots=True)
class Ask:
    """Run a request on the ledger's worker; answer by ``Node.answered(ticket, answer, now)``."""

    ticket: int
    request: LedgerRequest
    conn: ConnId | None = None
    """The link that wants to know: where links take turns the answer comes in its turn."""


@dataclass(frozen=True, slots=True)
class SaveAddresses:
    """Make durable what has changed in the address book, all of it at once; ``None`` forgets an address."""

    changes: tuple[tuple[NetAddress, AddressRecord | None], ...]


@dataclass(frozen=True, slots=True)
class SaveBans:
    """Make durable who is kept away: by subject, ``None`` for one that is so no longer."""

    changes: tuple[tuple[str, Ban | None], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SaveAnchors:
    """Make durable which peers are to be dialled first after a restart, in the place of those that were."""

    addresses: tuple[NetAddress, ...]


@dataclass(frozen=True, slots=True)
class SavePin:
    """Keep the key of a named peer, in the place of an older one. ``first_seen`` is in Unix seconds."""

    address: NetAddress
    key: bytes = field(repr=False)
    first_seen: WallTime


@dataclass(frozen=True, slots=True)
class ForgetPin:
    """Keep the key of a named peer no longer."""

    address: NetAddress


@dataclass(frozen=True, slots=True)
class SaveTransaction:
    """Keep a transaction that waits for the next run, whoever sent it. For one that is kept already: only ``stem`` may
    have changed."""

    relay_id: TxId
    data: bytes = field(repr=False)
    stem: bool = False


@dataclass(frozen=True, slots=True)
class ForgetTransaction:
    """Keep a transaction no longer: it has left for good."""

    relay_id: TxId


@dataclass(frozen=True, slots=True)
class KeptTransaction:
    """A transaction that an earlier run has kept (:class:`SaveTransaction`), and how long ago it began to."""

    data: bytes = field(repr=False)
    age: Duration
    stem: bool = False


@dataclass(frozen=True, slots=True)
class SaveBroadcast:
    """Keep a transaction that is to be broadcast privately, so that nobody but the next run can read it."""

    relay_id: TxId
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ForgetBroadcast:
    """Keep it no longer."""

    relay_id: TxId


@dataclass(frozen=True, slots=True)
class KeptBroadcast:
    """What an earlier run has kept (:class:`SaveBroadcast`), and how long ago it began to."""

    data: bytes = field(repr=False)
    age: Duration


@dataclass(frozen=True, slots=True)
class Admit:
    """Ask the guard against replays whether a knock at the keyed listener is new, and have it remembered; answer by
    ``Node.admitted`` with the same ``conn``. ``shown`` is the initiator's ephemeral, 32 bytes, ``at`` the wall clock.
    """

    conn: ConnId
    shown: bytes = field(repr=False)
    at: WallTime


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell whoever listens: logs, the event stream, an embedding program."""

    event: Event


Effect: TypeAlias = (
    Send
    | Dial
    | Drop
    | Mind
    | Pause
    | Resume
    | Ask
    | SaveAddresses
    | SaveBans
    | SaveAnchors
    | SavePin
    | ForgetPin
    | SaveTransaction
    | ForgetTransaction
    | SaveBroadcast
    | ForgetBroadcast
    | Admit
    | Tell
)
