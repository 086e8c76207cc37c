"""The seam between the network and a chain.

The node carries header, block and transaction bytes and asks a :class:`Ledger` what they are. A ledger knows nothing of
peers; the node knows nothing of consensus. Two kinds of verbs:

* *Identifying* verbs look only at the bytes they are given. They are quick, have no state, and the node calls them
  directly while it handles a message.
* *State* verbs read or change the chain. They may take long and touch disks, so the node never calls them: it emits an
  ``Ask`` effect and its driver runs the verb on a worker (one at a time, in order) and brings the answer back.
  ``read_blocks`` alone may run beside another state verb.

Nothing here raises because of a block's or header's content: a refusal is an answer with the broken rule's name. What a
state verb raises is a broken disk or a defect, and stops the node.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from ..base.errors import Violation
from ..base.names import BlockHash
from .transactions import Candidate, CoinReport, TxInfo, TxOutcome


class InvalidHeader(Violation):
    """Header bytes that cannot be a header of this chain: impossible target, or a hash above the target."""


class InvalidBlock(Violation):
    """Bytes that cannot be a block of this chain, seen without looking at any state."""


@dataclass(frozen=True, slots=True)
class HeaderInfo:
    """What a header says about itself."""

    hash: BlockHash
    previous: BlockHash
    work: int
    """Expected number of hashes that this one header cost (not cumulative)."""
    time: int
    """Unix seconds, as the miner claims."""


class BlockVerdict(Enum):
    """What became of a block."""

    ACCEPTED = "accepted"
    """Valid so far and safely stored: in the active chain, or on a branch that has less work."""
    DUPLICATE = "duplicate"
    """It was stored before."""
    INVALID = "invalid"
    """It breaks a rule. Its hash, and all that builds on it, is invalid for ever."""
    MUTATED = "mutated"
    """The body is not the one that the header commits to. The hash may still be fine with another body."""
    ORPHAN = "orphan"
    """Its parent is unknown here, or is invalid."""
    FUTURE = "future"
    """Its time is too far ahead of the wall clock; it may be fine later."""


@dataclass(frozen=True, slots=True)
class BlockOutcome:
    """The verdict on one submitted block; ``rule`` names what it broke, else it is empty."""

    hash: BlockHash
    verdict: BlockVerdict
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A hash that turned out to be invalid, and by which rule."""

    hash: BlockHash
    rule: str


@dataclass(frozen=True, slots=True)
class BlockReport:
    """The answer to a batch of blocks.

    ``outcomes`` is parallel to the batch. ``invalidated`` lists blocks stored earlier that turned out invalid while the
    chain tried to switch to their branch. ``tip`` is the end of the active chain after the batch.
    """

    outcomes: tuple[BlockOutcome, ...]
    tip: BlockHash
    invalidated: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class HeaderReport:
    """The answer to a batch of headers: how many of them, from the first, are fine, and why the next one is not.

    ``permanent`` is false for a refusal that time may heal (a timestamp too far in the future).
    """

    accepted: int
    rule: str = ""
    permanent: bool = True


@dataclass(frozen=True, slots=True)
class RestoredHeader:
    """A header that the ledger kept from an earlier run."""

    header: bytes
    has_body: bool


@dataclass(frozen=True, slots=True)
class Restored:
    """What the ledger remembers at start: headers without genesis, parents before children, and the active tip."""

    headers: Iterator[RestoredHeader]
    tip: BlockHash


def up_to(blocks: Iterable[bytes | None], bytes_max: int | None) -> tuple[bytes | None, ...]:
    """What :meth:`Ledger.read_blocks` answers, of blocks that are read one by one: those that hold ``bytes_max`` bytes
    together, and at least one."""
    taken: list[bytes | None] = []
    size = 0
    for block in blocks:
        size += 0 if block is None else len(block)
        if taken and bytes_max is not None and size > bytes_max:
            break
        taken.append(block)
    return tuple(taken)


class Ledger(Protocol):
    """A chain, as a node sees it. Implement this to bring one's own (docs/embed.md)."""

    @property
    def genesis(self) -> bytes:
        """The genesis header, :data:`HEADER_BYTES` long."""
        ...

    @property
    def privacy_bits(self) -> int:
        """Privacy feature bits that describe the chain's transactions (design §3.2), else 0."""
        ...

    # -- identifying: from the bytes alone, quick, called on the node's own thread

    def identify_header(self, header: bytes) -> HeaderInfo:
        """Name a header and check the work that it claims.

        Raises:
            InvalidHeader: impossible target, or the hash is above it.
        """
        ...

    def identify_block(self, block: bytes) -> HeaderInfo:
        """Name a block by its header, checking the header's work but not the body.

        Raises:
            InvalidHeader: as :meth:`identify_header`.
            InvalidBlock: too short to be a block.
        """
        ...

    # -- state: on a worker, one at a time, in order

    def restore(self) -> Restored:
        """What is known from earlier runs. Called once, first of the state verbs."""
        ...

    def accept_headers(self, headers: Sequence[bytes]) -> HeaderReport:
        """Check headers, each the child of the one before, the first the child of a known one, against the rules that
        need context (difficulty, times). Called only for branches with more work than the tip."""
        ...

    def accept_blocks(self, blocks: Sequence[bytes]) -> BlockReport:
        """Validate and keep blocks, in order. On return every ``ACCEPTED`` one survives a crash."""
        ...

    def read_blocks(self, hashes: Sequence[BlockHash], bytes_max: int | None = None) -> tuple[bytes | None, ...]:
        """The stored bytes of blocks, ``None`` where there is none. May run beside another state verb.

        The answer is shorter than ``hashes`` where more would hold over ``bytes_max`` bytes; one block always fits.
        """
        ...

    def close(self) -> None:
        """Flush and release everything. No verb is called afterwards."""
        ...


@runtime_checkable
class TransactionLedger(Ledger, Protocol):
    """A chain whose transactions a node can relay (see :mod:`.transactions`). One that has none is a plain
    :class:`Ledger`, and its nodes relay blocks alone."""

    @property
    def relays(self) -> bool:
        """Whether it judges transactions in this run. If not, none of the verbs below is ever called."""
        ...

    def identify_transaction(self, data: bytes) -> TxInfo:
        """Name a transaction, and what it spends. An identifying verb.

        Raises:
            InvalidTransaction: the bytes are not one whole transaction.
        """
        ...

    def follow(self, *, details: bool) -> CoinReport:
        """Bring the coin view some bounded steps nearer to the active chain's end. A state verb, as the next one.

        Args:
            details: whether the report's ``returned``, ``confirmed`` and ``spent`` are wanted.
        """
        ...

    def admit(self, candidates: Sequence[Candidate]) -> tuple[TxOutcome, ...]:
        """Judge transactions as if each were to be in the next block, against the coin view alone: none of them is
        remembered, and one does not see another. Parallel to ``candidates``.

        Cheap rules come first, scripts last. Called only when the view was last reported as ready.
        """
        ...


def relaying(ledger: Ledger) -> TransactionLedger | None:
    """The ledger, if it judges transactions."""
    return ledger if isinstance(ledger, TransactionLedger) and ledger.relays else None
