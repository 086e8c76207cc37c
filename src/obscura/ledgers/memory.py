"""A small chain in memory: for simulated worlds, for tests, and to be read before writing one's own.

A header has 80 bytes: version u32, previous hash 32, commitment to the body 32, time u32, nonce u64 (all integers
little-endian). Its hash is the double SHA-256, and must lie below a fixed target, so that work is real though cheap.
A block is a header and a body of any length. The rules, in the order in which they are tried:

* the header has its work (``high-hash``, seen without any state);
* the body hashes to the commitment (``body-mismatch``: the block is *mutated*, and its hash may still be fine);
* the parent is known (``prev-blk-not-found``) and valid (``bad-prevblk``);
* the time is above the parent's (``time-too-old``), and at most two hours ahead of the wall clock if the ledger was
  given one (``time-too-new``);
* the body does not begin with ``INVALID`` (``bad-body``), and its transactions, if it has any, spend coins that are
  there (:mod:`.memory_transactions`). This is judged only when the block would join the active chain,
  as a real chain judges scripts when it connects; so a simulation can mine blocks that honest nodes must refuse, also
  ones that are found out by a reorganisation.

There is no I/O, clock or entropy here: the wall clock is a function that the caller passes, nonces are counted up.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from ..base.digest import double_sha256
from ..base.instant import WallTime
from ..base.names import NULL_HASH, BlockHash
from ..chain import (
    HEADER_BYTES,
    BlockOutcome,
    BlockReport,
    BlockVerdict,
    Candidate,
    CoinReport,
    HeaderInfo,
    HeaderReport,
    InvalidBlock,
    InvalidHeader,
    Refusal,
    Restored,
    RestoredHeader,
    TxInfo,
    TxOutcome,
    up_to,
)
from .memory_transactions import BadTransactions, MemoryCoins, Undo, parse, unpack_body

_LAYOUT: Final = struct.Struct("<I32s32sIQ")
assert _LAYOUT.size == HEADER_BYTES, "the wire carries headers of this size only"
_COMMITMENT: Final = slice(36, 68)
TARGET: Final = 1 << 252
"""A hash must be below it: one nonce in sixteen fits."""
WORK: Final = (1 << 256) // TARGET
"""The work of a header under :data:`TARGET`."""
INVALID_MARK: Final = b"INVALID"
"""A body that begins with it breaks the rule ``bad-body``."""
FUTURE_S: Final = 2 * 60 * 60
"""How far ahead of the wall clock a header may be: as Bitcoin's two hours."""


@lru_cache(maxsize=1 << 16)
def _identify(header: bytes, target: int) -> HeaderInfo:
    """The pure part of naming a header. Cached, because a simulated world shows one header to every node of it."""
    if len(header) != HEADER_BYTES:
        raise InvalidHeader("header-size", f"{len(header)} bytes")
    name = double_sha256(header)
    if int.from_bytes(name, "little") >= target:
        raise InvalidHeader("high-hash")
    _, previous, _, time, _ = _LAYOUT.unpack(header)
    return HeaderInfo(BlockHash(name), BlockHash(previous), (1 << 256) // target, time)


def mine(previous: BlockHash, body: bytes, time: int, nonce: int = 0, *, target: int = TARGET) -> bytes:
    """A block on top of ``previous`` whose header has the work.

    Args:
        previous: the parent's hash; it need not exist.
        body: what the block carries, of any length.
        time: Unix seconds, below 2**32.
        nonce: nonces are tried from here on, so that two miners of the same body find different blocks.
        target: what the hash must be below.
    """
    commitment = double_sha256(body)
    while True:
        header = _LAYOUT.pack(1, previous, commitment, time, nonce)
        if int.from_bytes(double_sha256(header), "little") < target:
            return header + body
        nonce = (nonce + 1) % (1 << 64)


GENESIS: Final = mine(NULL_HASH, b"", 1_700_000_000)[:HEADER_BYTES]


@dataclass(slots=True, eq=False)
class _Node:
    """One header. ``data`` is the whole block once it is stored; ``invalid`` names the rule it breaks, else ""."""

    header: bytes
    info: HeaderInfo
    parent: _Node | None
    height: int
    work: int
    data: bytes | None = None
    invalid: str = ""


class MemoryLedger:
    """Implements :class:`~obscura.chain.ledger.Ledger`. Most work wins, first seen breaks ties.

    Block bytes are kept as they are given, not copied, so that the nodes of one world share them.

    Args:
        genesis: the first header, with a work that meets ``target``; one of a harder target is made with :func:`mine`.
        target: what every hash must be below.
        wall: the wall clock. Without one no time is too far in the future.
        relays: whether it judges transactions, see :mod:`.memory_transactions`; else its nodes carry blocks alone.

    Raises:
        InvalidHeader: the genesis header has too little work for the target.
    """

    def __init__(
        self,
        genesis: bytes = GENESIS,
        *,
        target: int = TARGET,
        wall: Callable[[], WallTime] | None = None,
        relays: bool = True,
    ) -> None:
        self._relays = relays
        self._genesis = genesis
        self._target = target
        self._wall = wall
        info = self.identify_header(genesis)
        root = _Node(genesis, info, None, 0, info.work, genesis)
        # Parents stand before their children: a header is held only when its parent is.
        self._nodes: dict[BlockHash, _Node] = {info.hash: root}
        self._tip = root
        self._coins = MemoryCoins()
        self._undo: dict[BlockHash, Undo] = {}
        self._followed = root
        """Where the last :meth:`follow` ended."""

    @property
    def genesis(self) -> bytes:
        """The genesis header."""
        return self._genesis

    @property
    def privacy_bits(self) -> int:
        """None: its transactions hide nothing."""
        return 0

    @property
    def relays(self) -> bool:
        """See :class:`TransactionLedger`."""
        return self._relays

    @property
    def tip(self) -> BlockHash:
        """The end of the active chain."""
        return self._tip.info.hash

    @property
    def height(self) -> int:
        """The tip's height."""
        return self._tip.height

    def identify_header(self, header: bytes) -> HeaderInfo:
        """See :class:`Ledger`."""
        return _identify(header, self._target)

    def identify_block(self, block: bytes) -> HeaderInfo:
        """See :class:`Ledger`."""
        if len(block) < HEADER_BYTES:
            raise InvalidBlock("block-too-short", f"{len(block)} bytes")
        return _identify(block[:HEADER_BYTES], self._target)

    def restore(self) -> Restored:
        """What earlier calls left."""
        return Restored(self._kept(), self.tip)

    def _kept(self) -> Iterator[RestoredHeader]:
        for node in list(self._nodes.values()):
            if node.parent is not None and not node.invalid:
                yield RestoredHeader(node.header, node.data is not None)

    def accept_headers(self, headers: Sequence[bytes]) -> HeaderReport:
        """See :class:`Ledger`."""
        for count, header in enumerate(headers):
            try:
                info = self.identify_header(header)
            except InvalidHeader as fault:
                return HeaderReport(count, fault.rule)
            node, rule = self._hold(header, info)
            if node is None or rule:
                return HeaderReport(count, rule, permanent=rule not in ("prev-blk-not-found", "time-too-new"))
        return HeaderReport(len(headers))

    def accept_blocks(self, blocks: Sequence[bytes]) -> BlockReport:
        """See :class:`Ledger`."""
        refused: dict[BlockHash, str] = {}
        outcomes = [self._accept(block, refused) for block in blocks]
        for index, outcome in enumerate(outcomes):
            # A block of this very batch may have been found out by a later one.
            if outcome.verdict is BlockVerdict.ACCEPTED and outcome.hash in refused:
                outcomes[index] = _refusal(outcome.hash, refused.pop(outcome.hash))
        return BlockReport(tuple(outcomes), self.tip, tuple(Refusal(name, rule) for name, rule in refused.items()))

    def read_blocks(self, hashes: Sequence[BlockHash], bytes_max: int | None = None) -> tuple[bytes | None, ...]:
        """See :class:`Ledger`. The genesis block is its header."""
        nodes = (self._nodes.get(block_hash) for block_hash in hashes)
        return up_to((None if node is None or node.invalid else node.data for node in nodes), bytes_max)

    def identify_transaction(self, data: bytes) -> TxInfo:
        """See :class:`TransactionLedger`."""
        return parse(data).info

    def follow(self, *, details: bool) -> CoinReport:
        """See :class:`TransactionLedger`. The coins are always those of the tip, so one step is enough."""
        left, joined = _paths(self._followed, self._tip)
        fork = self._followed.height - len(left)
        self._followed = self._tip
        report = CoinReport(self.tip, self.height, ready=True, fork=fork)
        if not details:
            return report
        fresh = [parse(data).info for node in reversed(joined) for data in _transactions(node)]
        return replace(
            report,
            returned=tuple(data for node in reversed(left) for data in _transactions(node)),
            confirmed=tuple(info.txid for info in fresh),
            spent=tuple(point for info in fresh for point in info.spends),
        )

    def admit(self, candidates: Sequence[Candidate]) -> tuple[TxOutcome, ...]:
        """See :class:`TransactionLedger`."""
        return tuple(self._coins.judge(candidate, self.height) for candidate in candidates)

    def close(self) -> None:
        """Nothing to release."""

    def _hold(self, header: bytes, info: HeaderInfo) -> tuple[_Node | None, str]:
        """The node of a header, made if its parent is known; and the rule that it breaks, if any."""
        known = self._nodes.get(info.hash)
        if known is not None:
            return known, known.invalid
        parent = self._nodes.get(info.previous)
        if parent is None:
            return None, "prev-blk-not-found"
        if parent.invalid:
            return None, "bad-prevblk"
        if info.time <= parent.info.time:
            return None, "time-too-old"
        if self._wall is not None and info.time > self._wall() + FUTURE_S:
            return None, "time-too-new"
        node = _Node(header, info, parent, parent.height + 1, parent.work + info.work)
        self._nodes[info.hash] = node
        return node, ""

    def _accept(self, block: bytes, refused: dict[BlockHash, str]) -> BlockOutcome:
        """Judge one block; hashes that turn out to be invalid on the way are added to ``refused``."""
        header = block[:HEADER_BYTES]
        try:
            info = self.identify_block(block)
        except (InvalidHeader, InvalidBlock) as fault:
            return BlockOutcome(BlockHash(double_sha256(header)), BlockVerdict.INVALID, fault.rule)
        if double_sha256(block[HEADER_BYTES:]) != header[_COMMITMENT]:
            return BlockOutcome(info.hash, BlockVerdict.MUTATED, "body-mismatch")
        node, rule = self._hold(header, info)
        if node is None or rule:
            return _refusal(info.hash, rule)
        if node.data is not None:
            return BlockOutcome(info.hash, BlockVerdict.DUPLICATE)
        assert node.parent is not None, "genesis has its data from the start"
        if node.parent.data is None:
            return _refusal(info.hash, "prev-blk-not-found")
        node.data = block
        if node.work > self._tip.work:
            self._activate(node, refused)
        if node.invalid:
            return _refusal(info.hash, refused.pop(info.hash))
        return BlockOutcome(info.hash, BlockVerdict.ACCEPTED)

    def _activate(self, target: _Node, refused: dict[BlockHash, str]) -> None:
        """Make ``target`` the tip, or find out which block of its branch is invalid."""
        left, joined = _paths(self._tip, target)
        for node in left:
            self._coins.disconnect(self._undo.pop(node.info.hash))
        joined.reverse()
        for count, node in enumerate(joined):
            rule = self._connect(node)
            if rule:
                for done in reversed(joined[:count]):
                    self._coins.disconnect(self._undo.pop(done.info.hash))
                for back in reversed(left):
                    again = self._connect(back)
                    assert not again, "what was connected can be connected again"
                self._doom(node, refused, rule)
                return
        self._tip = target

    def _connect(self, node: _Node) -> str:
        """Apply a block's transactions; the rule that it breaks, if any."""
        assert node.data is not None, "a block is accepted only on stored ancestors"
        if node.data.startswith(INVALID_MARK, HEADER_BYTES):
            return "bad-body"
        try:
            self._undo[node.info.hash] = self._coins.connect(node.height, _transactions(node))
        except BadTransactions as fault:
            return str(fault)
        return ""

    def _doom(self, broken: _Node, refused: dict[BlockHash, str], rule: str) -> None:
        """Mark a block and all that builds on it; one pass finds every descendant, as parents come first."""
        broken.invalid = refused[broken.info.hash] = rule
        for node in self._nodes.values():
            if node.parent is not None and node.parent.invalid and not node.invalid:
                node.invalid = "bad-prevblk"
                if node.data is not None:
                    refused[node.info.hash] = node.invalid


def _paths(start: _Node, end: _Node) -> tuple[list[_Node], list[_Node]]:
    """The blocks from ``start`` down to where the branches meet (excluded), and those from ``end`` down to there."""
    left: list[_Node] = []
    joined: list[_Node] = []
    while start is not end:
        # The higher of the two steps down; from equal heights both do, one after the other.
        if start.height >= end.height:
            left.append(start)
            start = _parent(start)
        else:
            joined.append(end)
            end = _parent(end)
    return left, joined


def _transactions(node: _Node) -> tuple[bytes, ...]:
    assert node.data is not None, "blocks of the active chain are stored"
    return unpack_body(node.data[HEADER_BYTES:])


def _parent(node: _Node) -> _Node:
    assert node.parent is not None, "two branches meet in genesis at the latest"
    return node.parent


def _refusal(name: BlockHash, rule: str) -> BlockOutcome:
    """What a broken rule means for the block that broke it."""
    match rule:
        case "prev-blk-not-found" | "bad-prevblk":
            verdict = BlockVerdict.ORPHAN
        case "time-too-new":
            verdict = BlockVerdict.FUTURE
        case _:
            verdict = BlockVerdict.INVALID
    return BlockOutcome(name, verdict, rule)
