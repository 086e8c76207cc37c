"""The transactions' half of the seam between the network and a chain (design §6).

Transactions are relayed only for a :class:`~obscura.chain.ledger.TransactionLedger`, which keeps a *coin view*: the
outputs that its active chain has created and not spent. The view may lag behind the chain; nothing is
admitted before it stands at the tip, and every step that it makes is told to the node (:class:`CoinReport`), whose
mempool follows it, not the chain.

The ledger judges, the node remembers: the ledger holds no transaction that is not in a block. What a candidate needs of
unconfirmed parents comes with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from ..base.errors import Malformed
from ..base.instant import Duration
from ..base.names import BlockHash, TxId

OUTPOINT_BYTES: Final = 36
NO_TIME: Final = Duration(0)


class InvalidTransaction(Malformed):
    """Bytes that cannot be a transaction of this chain, seen without looking at any state."""


class OutPoint(bytes):
    """One output of a transaction: its txid (32 bytes, wire order) and index (u32, little-endian). Its ``repr`` is
    redacted, as a transaction id's is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "OutPoint(redacted)"

    __str__ = __repr__

    @property
    def txid(self) -> TxId:
        """The transaction that makes the output."""
        return TxId(self[:32])


@dataclass(frozen=True, slots=True)
class TxInfo:
    """What a transaction says about itself."""

    txid: TxId
    """What outpoints name: the double SHA-256 of the bytes without witness."""
    relay_id: TxId
    """The double SHA-256 of all bytes: what ``inv`` and ``getdata`` name. Two forms of one txid differ in it."""
    weight: int
    """In weight units (BIP141); four make a virtual byte."""
    spends: tuple[OutPoint, ...]
    outputs: int
    """How many outputs it makes."""

    @property
    def size(self) -> int:
        """Virtual bytes, rounded up."""
        return (self.weight + 3) // 4


@dataclass(frozen=True, slots=True)
class Candidate:
    """A transaction to be judged.

    ``parents`` are the whole bytes of unconfirmed transactions whose outputs it may spend beside those of the coin
    view; the caller vouches for them. ``fee_floor`` is the least fee, in the smallest unit of value for 1,000 virtual
    bytes, below which it is refused before its scripts are looked at.
    """

    data: bytes = field(repr=False)
    info: TxInfo
    parents: tuple[bytes, ...] = field(default=(), repr=False)
    fee_floor: int = 0


class TxVerdict(Enum):
    """What became of a candidate."""

    ADMITTED = "admitted"
    MISSING = "missing"
    """An output that it spends is not known, or was spent by a block: a parent may still come."""
    REFUSED = "refused"
    """It is not relayed: a rule of policy, or it cannot be in the next block yet. A block may hold it all the same."""
    INVALID = "invalid"
    """It breaks a rule of consensus; no block may ever hold it."""


@dataclass(frozen=True, slots=True)
class TxOutcome:
    """The verdict on one candidate; ``rule`` names what it broke, else it is empty, and ``detail`` has numbers for the
    local user (never for a peer)."""

    verdict: TxVerdict
    rule: str = ""
    detail: str = ""
    fee: int = 0
    """What it leaves to the miner; known for ``ADMITTED``."""
    rests_on: int = 0
    """It stays valid while the chain keeps its block at this height: the highest one that holds a coin which it spends,
    or that made it final. Known for ``ADMITTED``."""
    missing: tuple[OutPoint, ...] = ()
    """For ``MISSING``: which outputs."""
    cost: Duration = NO_TIME
    """Processor time that judging it took."""


@dataclass(frozen=True, slots=True)
class CoinReport:
    """A step of the coin view, as answer to ``TransactionLedger.follow``.

    First the blocks above height ``fork`` left the view, then others joined it, up to ``tip``. A step is bounded; one
    that is not ``ready`` is to be followed by another.
    """

    tip: BlockHash
    """Where the view stands now."""
    height: int
    ready: bool
    """It stands at the end of the active chain."""
    fork: int
    """Height of the last block that stayed."""
    returned: tuple[bytes, ...] = field(default=(), repr=False)
    """Whole transactions of the blocks that left, without coinbases, in an order in which none spends a later one."""
    confirmed: tuple[TxId, ...] = ()
    """Txids of the transactions of the blocks that joined."""
    spent: tuple[OutPoint, ...] = ()
    """What these transactions spend."""
    lost: bool = False
    """The view was begun anew: what rests on earlier steps is to be judged again."""
