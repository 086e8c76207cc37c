"""The real ledger: Bitcoin Core's consensus engine, with every accepted block in a store of our own.

Who is right about what:

* the *kernel* about validity and about which chain is active. It flushes rarely: a kill loses what it did since;
* the *store* about which blocks we have. What :meth:`KernelLedger.accept_blocks` calls accepted is in it, on disk.

A batch goes through the kernel first, and into the store with one sync before anything is acknowledged; so bytes that
break a rule never take space (a body with a changed witness costs its sender no work). If the run ends between the two,
nothing was promised, and what the kernel happened to flush is copied from it at the next start. All other differences
heal by replay (:mod:`.recovery`).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ...base.errors import BugError, ConfigError, StoreError
from ...base.instant import WallTime
from ...base.limits import CHECKPOINT_BLOCKS, REFUSALS_KEPT, WRITE_BESIDE_BYTES
from ...base.names import BlockHash
from ...chain.ledger import (
    BlockOutcome,
    BlockReport,
    BlockVerdict,
    HeaderInfo,
    HeaderReport,
    InvalidBlock,
    InvalidHeader,
    Refusal,
    Restored,
)
from ...chain.transactions import Candidate, CoinReport, TxInfo, TxOutcome
from .admission import admit, select_valid
from .binding import Fault, Kernel, KernelError, Refused
from .blockstore import BlockStore
from .build import build_block
from .chain_coins import ChainCoins
from .coins import CoinView, coins_in
from .disk import Disk
from .header import MEDIAN_SPAN, block_hash, identify_block, identify_header, median_time
from .networks import BITCOIN, REGTEST, Network
from .recovery import Replay, copy_missing, headers_in_order, open_kernel
from .transaction import parse_transaction
from .trouble import set_aside, world_trouble
from .writer import StoreWriter

# CHECKPOINT_BLOCKS: the kernel is closed and opened again after so many, as there is no other way to make it flush.
# More would lengthen the replay after a kill (2,000 small blocks: 0.6 s). Fewer would cost an import more than a few
# per cent: a reopening takes 35 ms at height 2,000 and 95 ms at 20,000, where 2,000 small blocks take 0.6 s and full
# ones minutes.
_NO_PARENT: Final = "prev-blk-not-found"
_BAD_PARENT: Final = "bad-prevblk"
_LOG: Final = logging.getLogger(__name__)

_VERDICTS: Final = {
    Fault.MUTATED: BlockVerdict.MUTATED,
    Fault.MISSING_PREV: BlockVerdict.ORPHAN,
    Fault.INVALID_PREV: BlockVerdict.ORPHAN,
    Fault.TIME_FUTURE: BlockVerdict.FUTURE,
}
"""All other faults are the block's own, for ever."""
_NOT_ITS_BODY: Final = frozenset({"bad-cb-missing"})
"""Rules that a body breaks which need not be the header's: transactions of 64 bytes can pose as inner nodes of the
merkle tree (CVE-2017-12842), but the first of such a body cannot be a coinbase."""


class _Batch:
    """One call of ``accept_blocks``: what was decided so far."""

    def __init__(self) -> None:
        self.outcomes: list[BlockOutcome] = []
        self.fresh: dict[BlockHash, None] = {}
        """Accepted by the kernel in this batch."""
        self._unwritten: list[tuple[BlockHash, bytes]] = []
        self._unwritten_bytes = 0
        self.doomed: dict[BlockHash, str] = {}
        """Blocks taken earlier that the kernel finds invalid now, and those between them and the branch's end."""

    @property
    def unwritten(self) -> int:
        """Bytes of accepted blocks that were not taken to be written."""
        return self._unwritten_bytes

    def accept(self, name: BlockHash, block: bytes) -> None:
        """Note a block that the kernel has taken."""
        self.fresh[name] = None
        self._unwritten.append((name, block))
        self._unwritten_bytes += len(block)
        self.decide(name, BlockVerdict.ACCEPTED)

    def take_unwritten(self) -> list[tuple[BlockHash, bytes]]:
        """Accepted blocks that are to be written now."""
        taken, self._unwritten, self._unwritten_bytes = self._unwritten, [], 0
        return taken

    def decide(self, name: BlockHash, verdict: BlockVerdict, rule: str = "") -> None:
        self.outcomes.append(BlockOutcome(name, verdict, rule))


class KernelLedger:
    """Implements :class:`~obscura.chain.ledger.TransactionLedger` for the networks of :mod:`.networks`.

    Nothing is opened before :meth:`restore`, which comes first.

    Args:
        network: whose rules apply.
        datadir: the store goes to ``blocks`` in it, the kernel's own files to ``kernel``. For one process at a time.
        checkpoint_blocks: see :data:`CHECKPOINT_BLOCKS`.
        disk: how the store writes; a test gives one that fails.
        relay: whether transactions are judged, for which the coin view is kept (``coins.sqlite`` in ``datadir``);
            ``None``: on all networks but ``bitcoin``.
    """

    def __init__(
        self,
        network: Network,
        datadir: Path,
        *,
        checkpoint_blocks: int = CHECKPOINT_BLOCKS,
        disk: Disk | None = None,
        relay: bool | None = None,
    ) -> None:
        self.network = network
        self._relays = network is not BITCOIN if relay is None else relay
        self._datadir = datadir
        self._view: CoinView | None = None
        self._blocks_dir = datadir / "blocks"
        self._kernel_dir = datadir / "kernel"
        self._checkpoint_blocks = checkpoint_blocks
        self._disk = disk
        self._root = block_hash(network.genesis)
        self._opened: tuple[Kernel, BlockStore] | None = None
        self._detached: set[BlockHash] = set()
        """Stored, but not with the kernel, because an ancestor is missing: as good as absent until given again."""
        self._rules: dict[BlockHash, str] = {}
        """Why hashes of this run are invalid; the kernel remembers only that they are."""
        self._unflushed = 0
        self._broken = False
        """Whether the kernel's files turned out to be damaged while it worked."""

    # -- identifying

    @property
    def genesis(self) -> bytes:
        """The genesis header."""
        return self.network.genesis

    @property
    def privacy_bits(self) -> int:
        """None: Bitcoin's transactions hide nothing."""
        return 0

    def identify_header(self, header: bytes) -> HeaderInfo:
        """See :class:`Ledger`."""
        return identify_header(header, self.network.pow_limit)

    def identify_block(self, block: bytes) -> HeaderInfo:
        """See :class:`Ledger`."""
        return identify_block(block, self.network.pow_limit)

    @property
    def relays(self) -> bool:
        """See :class:`TransactionLedger`."""
        return self._relays

    def identify_transaction(self, data: bytes) -> TxInfo:
        """See :class:`TransactionLedger`."""
        return parse_transaction(data).info()

    # -- state

    def restore(self) -> Restored:
        """Open everything, heal what the last run's end left different, and say what is known.

        Raises:
            StoreError: the directory is in use, from a newer release or of another network, or the disk fails.
        """
        store = BlockStore(self._blocks_dir, self._root, disk=self._disk)
        self._report(store)
        self._opened = (open_kernel(self.network, self._kernel_dir), store)
        try:
            with self._watched():
                copied = copy_missing(self._kernel, store)
                replay = Replay(store, lambda: self._kernel, self._taken)
                detached = self._detached = replay.run()
            if self._relays:
                self._view = CoinView(self._datadir, self._root)
        except BaseException:
            # What stopped us counts, not what ending on top of it brings.
            with contextlib.suppress(StoreError):
                self.close()
            raise
        self._report(store)
        if copied or replay.submitted:
            _LOG.info("%d blocks replayed into the kernel, %d copied from it", replay.submitted, copied)
        extra = self._kernel.headers_above(lambda name: name in store and name not in detached)
        return Restored(headers_in_order(store, self._root, frozenset(detached), extra), self.tip[1])

    def accept_headers(self, headers: Sequence[bytes]) -> HeaderReport:
        """See :class:`Ledger`."""
        for count, header in enumerate(headers):
            try:
                info = self.identify_header(header)
            except InvalidHeader as fault:
                return HeaderReport(count, fault.rule)
            with self._watched():
                refused = self._kernel.submit_header(info.hash, header)
            if refused is not None:
                permanent = refused.fault not in (Fault.TIME_FUTURE, Fault.MISSING_PREV)
                return HeaderReport(count, self._rule(refused), permanent)
        return HeaderReport(len(headers))

    def accept_blocks(self, blocks: Sequence[bytes]) -> BlockReport:
        """See :class:`Ledger`.

        Raises:
            StoreError: the disk is full or fails, or the kernel cannot go on. Nothing of the batch is acknowledged.
        """
        batch = _Batch()
        writer = StoreWriter(self._store)
        try:
            with self._watched():
                for block in blocks:
                    self._judge(block, batch)
                    if batch.unwritten >= WRITE_BESIDE_BYTES:
                        writer.begin(batch.take_unwritten())
            writer.finish()
        finally:
            writer.close()
        found_out: list[tuple[BlockHash, str]] = []
        for index, outcome in enumerate(batch.outcomes):
            rule = batch.doomed.get(outcome.hash)
            if rule is not None and outcome.hash in batch.fresh:
                # Taken at first, and found out by a later block of the same batch.
                del batch.fresh[outcome.hash]
                del batch.doomed[outcome.hash]
                batch.outcomes[index] = BlockOutcome(outcome.hash, _verdict_of(rule), rule)
                if outcome.hash in self._store:
                    found_out.append((outcome.hash, rule))
        self._store.append([(name, block) for name, block in batch.take_unwritten() if name in batch.fresh])
        invalidated = [(name, rule) for name, rule in batch.doomed.items() if name in self._store]
        if invalidated or found_out:
            self._store.refuse(found_out + invalidated)
        self._detached.difference_update(batch.fresh)
        with self._watched():
            self._taken(len(batch.fresh))
        return BlockReport(tuple(batch.outcomes), self.tip[1], tuple(Refusal(name, rule) for name, rule in invalidated))

    def read_blocks(self, hashes: Sequence[BlockHash], bytes_max: int | None = None) -> tuple[bytes | None, ...]:
        """See :class:`Ledger`. Genesis is not served: every node has it."""
        found = self._store.read(hashes, bytes_max)
        if None in found:
            self._report(self._store)
        return found

    def close(self) -> None:
        """Flush and close the kernel, and note that the store is whole. Harmless if nothing is open."""
        if self._opened is None:
            return
        kernel, store = self._opened
        self._opened = None
        failure: StoreError | None = None
        view, self._view = self._view, None
        try:
            kernel.close()
        except KernelError as error:
            if not self._broken:
                failure = self._explained(error)
        try:
            if self._broken:
                self._broken = False
                _LOG.warning("the kernel's damaged files are set aside as %s", set_aside(self._kernel_dir))
            store.checkpoint()
        except StoreError as error:
            # A disk that has failed fails again: the first failure tells more.
            failure = failure or error
        if view is not None:
            try:
                view.close()
            except StoreError as error:
                # What was refused here can be made anew; what the others lost counts more.
                failure = failure or error
        if failure is not None:
            raise failure

    def follow(self, *, details: bool) -> CoinReport:
        """See :class:`TransactionLedger`.

        Raises:
            StoreError: the disk refuses.
        """
        return self._coins.step(self._kernel.active_hash, self._stored, details=details)

    def admit(self, candidates: Sequence[Candidate]) -> tuple[TxOutcome, ...]:
        """See :class:`TransactionLedger`.

        Raises:
            StoreError: the disk refuses.
        """
        coins = ChainCoins(self._coins, self._kernel)
        return tuple(admit(candidate, coins) for candidate in candidates)

    # -- beyond the contract; on the worker like the state verbs

    def check_coins(self) -> int:
        """Compare the coin view with the coins that the stored blocks of its chain leave; how many there are.

        Raises:
            BugError: they differ.
            StoreError: the disk refuses.
        """
        heights = range(1, self._coins.height + 1)
        names = ((height, self._kernel.active_hash(height)) for height in heights)
        blocks = ((height, self._stored(name) or b"") for height, name in names if name is not None)
        expected = coins_in(blocks)
        found = dict(self._coins.all())
        if found != expected:
            msg = f"the coin view at height {self._coins.height} has {len(found)} coins, the chain {len(expected)}"
            raise BugError(msg)
        return len(found)

    @property
    def tip(self) -> tuple[int, BlockHash]:
        """Height and hash of the active chain's end."""
        return self._kernel.tip()

    def has_block(self, name: BlockHash) -> bool:
        """Whether a block is stored and was valid so far; genesis always is."""
        return name == self._root or (name in self._store and name not in self._detached)

    def mine(self, script: bytes, now: WallTime, extra: Sequence[bytes] = ()) -> bytes:
        """A block on the tip; it is returned, not submitted.

        Args:
            script: the output script that gets the subsidy.
            now: the wall clock; the block's time, unless the median of the last 11 asks for a later one.
            extra: whole transactions. Where transactions are judged those are left out that cannot be in the block,
                or all while the coin view does not stand at the tip, and the miner gets the fees; elsewhere they must
                be valid on the tip, and their fees are left unclaimed.

        Raises:
            ConfigError: the network is not regtest, where alone a block costs nothing.
        """
        if self.network is not REGTEST:
            msg = f"blocks can be mined on regtest only, not on {self.network.name}"
            raise ConfigError(msg)
        height, tip = self.tip
        earliest = median_time(self._kernel.headers_back(tip, MEDIAN_SPAN)) + 1
        fees = 0
        if self._view is not None:
            # The view is not moved here: its steps are for whoever follows it.
            chosen = select_valid(extra if self._view.tip == tip else (), ChainCoins(self._view, self._kernel))
            extra, fees = [data for data, _ in chosen], sum(fee for _, fee in chosen)
        return build_block(tip, height + 1, max(now, earliest), script, extra, fees=fees)

    # -- within

    @property
    def _kernel(self) -> Kernel:
        return self._both[0]

    @property
    def _store(self) -> BlockStore:
        return self._both[1]

    @property
    def _both(self) -> tuple[Kernel, BlockStore]:
        if self._opened is None:
            msg = "a ledger's restore() comes first, and close() last"
            raise BugError(msg)
        return self._opened

    @property
    def _coins(self) -> CoinView:
        if self._view is None:
            raise BugError("a ledger that judges no transactions, or is not open, was asked about coins")
        return self._view

    def _stored(self, name: BlockHash) -> bytes | None:
        return self._store.read([name])[0]

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """While the kernel works: a failure of its own is explained, and damaged files are given up."""
        try:
            yield
        except KernelError as error:
            raise self._explained(error) from error

    def _explained(self, error: KernelError) -> StoreError:
        advice = world_trouble(self._kernel_dir, str(error))
        if advice is None:
            # Damage deep in its files shows only when a reorganisation reads them. Closing moves them out of the way.
            self._broken = True
            advice = f"its files in {self._kernel_dir} are damaged: start again, they are rebuilt from the block store"
        return StoreError(f"{error}: {advice}")

    def _judge(self, block: bytes, batch: _Batch) -> None:
        """Submit one block and note the outcome."""
        try:
            info = self.identify_block(block)
        except InvalidHeader as fault:
            batch.decide(block_hash(block[:80]), BlockVerdict.INVALID, fault.rule)
            return
        except InvalidBlock as fault:
            batch.decide(block_hash(block[:80]), BlockVerdict.MUTATED, fault.rule)
            return
        name = info.hash
        known_fault = batch.doomed.get(name) or self._store.refused(name)
        if known_fault:
            batch.decide(name, _verdict_of(known_fault), known_fault)
        elif self.has_block(name) or name in batch.fresh:
            batch.decide(name, BlockVerdict.DUPLICATE)
        elif info.previous in batch.doomed or self._store.refused(info.previous) is not None:
            batch.decide(name, BlockVerdict.ORPHAN, _BAD_PARENT)
        elif not self.has_block(info.previous) and info.previous not in batch.fresh:
            # The kernel would take a block on a bare header; the contract wants the parent's body first.
            rule = _BAD_PARENT if info.previous in self._rules else _NO_PARENT
            batch.decide(name, BlockVerdict.ORPHAN, rule)
        else:
            self._submit(info, block, batch)

    def _submit(self, info: HeaderInfo, block: bytes, batch: _Batch) -> None:
        processed = self._kernel.submit_block(info.hash, block)
        for other in processed.others:
            batch.doomed[other.hash] = self._rule(other)
            for between in self._between(info.previous, other.hash):
                batch.doomed[between] = _BAD_PARENT
        refused = processed.refused
        if refused is not None:
            verdict = _VERDICTS.get(refused.fault, BlockVerdict.INVALID)
            if refused.rule in _NOT_ITS_BODY:
                verdict = BlockVerdict.MUTATED
            rule = self._rule(refused) if verdict is BlockVerdict.INVALID else refused.rule
            batch.decide(info.hash, verdict, rule)
        elif info.previous in batch.doomed:
            batch.decide(info.hash, BlockVerdict.ORPHAN, _BAD_PARENT)
        else:
            batch.accept(info.hash, block)

    def _between(self, start: BlockHash, culprit: BlockHash) -> list[BlockHash]:
        """The blocks from ``start`` down to ``culprit`` (excluded), if it is an ancestor; else none."""
        path: list[BlockHash] = []
        at = start
        while at != culprit:
            # The branch ends where the active chain, which is valid, begins.
            header = None if self._kernel.is_active(at) else next(iter(self._kernel.headers_back(at, 1)), None)
            if header is None:
                return []
            path.append(at)
            at = BlockHash(header[4:36])
        return path

    def _rule(self, refused: Refused) -> str:
        """The rule's name; of a hash that was refused before, the one that it broke then."""
        if refused.fault is Fault.CACHED_INVALID:
            return self._rules.get(refused.hash) or self._store.refused(refused.hash) or refused.rule
        if _VERDICTS.get(refused.fault) is None:
            self._rules[refused.hash] = refused.rule
            if len(self._rules) > REFUSALS_KEPT:
                del self._rules[next(iter(self._rules))]
        return refused.rule

    def _taken(self, count: int) -> None:
        """The kernel has taken blocks: make it flush now and then, as a kill loses all that it did not."""
        self._unflushed += count
        if self._unflushed < self._checkpoint_blocks:
            return
        self._unflushed = 0
        kernel, store = self._both
        tip = kernel.tip()
        kernel.close()
        store.checkpoint()
        kernel = open_kernel(self.network, self._kernel_dir)
        self._opened = (kernel, store)
        if kernel.tip() != tip:
            msg = f"the kernel's files in {self._kernel_dir} broke during this run: start again, they are rebuilt"
            raise StoreError(msg)

    def _report(self, store: BlockStore) -> None:
        for warning in store.take_warnings():
            _LOG.warning("%s", warning)


def _verdict_of(rule: str) -> BlockVerdict:
    """What a rule that was broken earlier means for a block that is given again."""
    return BlockVerdict.ORPHAN if rule == _BAD_PARENT else BlockVerdict.INVALID
