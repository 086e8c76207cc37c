"""Feeding block files to a ledger: in batches, in whatever order the files have, stopping at the first bad block.

Bitcoin Core writes blocks as they arrive, so a child may stand before its parent. Such a block is held as a position
in a file, not as bytes, until its parent lands. Blocks that the ledger has already are passed over at the speed of
hashing a header, so an import that was cut off is resumed by starting it again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..base.errors import LocalError, PeerFault
from ..base.limits import IMPORT_BATCH_BLOCKS, IMPORT_BATCH_BYTES
from ..base.names import BlockHash, display_hash
from ..chain.ledger import BlockVerdict, Ledger
from .blockfile import BlockFile, BlockFileError
from .kernel.networks import Network

_NO_PARENT: Final = "prev-blk-not-found"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a block's record begins."""

    path: Path
    offset: int

    def __str__(self) -> str:
        return f"{self.path}, byte {self.offset}"


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far an import is, told after each batch. ``done`` and ``total`` are bytes of all files together."""

    path: Path
    done: int
    total: int
    accepted: int
    skipped: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of the files.

    ``orphans`` counts the blocks whose parent is neither in the ledger nor in the files; ``first_orphan`` is where the
    first of them stands.
    """

    accepted: int
    skipped: int
    orphans: int
    first_orphan: Position | None
    tip: BlockHash | None
    """The end of the active chain; ``None`` if the files held no block at all."""


class ImportFailure(LocalError):
    """A bad block, or a file that cannot be read on. Everything before it stays.

    Args:
        position: where the record begins.
        block_hash: the block's, or ``None`` where the file itself is at fault.
        rule: which rule is broken.
        report: what was imported before.
        detail: more for a reader.
    """

    def __init__(
        self, position: Position, block_hash: BlockHash | None, rule: str, report: ImportReport, detail: str = ""
    ) -> None:
        what = "the file" if block_hash is None else f"block {display_hash(block_hash)}"
        super().__init__(f"{position}: {what} breaks the rule {rule}{': ' if detail else ''}{detail}")
        self.position = position
        self.block_hash = block_hash
        self.rule = rule
        self.report = report


class _Run:
    """One import: what waits, and what was counted."""

    def __init__(self, ledger: Ledger, files: Sequence[BlockFile], batch_blocks: int, batch_bytes: int) -> None:
        self._ledger = ledger
        self._files = {file.path: file for file in files}
        self._batch_blocks = batch_blocks
        self._batch_bytes = batch_bytes
        self._batch: list[tuple[Position, bytes]] = []
        self._batch_size = 0
        self._held: dict[BlockHash, list[tuple[BlockHash, Position]]] = {}
        """Blocks without a parent, by the parent that they miss."""
        self._ready: deque[Position] = deque()
        """Blocks that were held and whose parent is with the ledger or stands before them here."""
        self._tip: BlockHash | None = None
        self.accepted = 0
        self.skipped = 0

    def add(self, position: Position, block: bytes) -> None:
        """Queue one block."""
        self._batch.append((position, block))
        self._batch_size += len(block)

    @property
    def is_full(self) -> bool:
        """Whether the batch should go to the ledger."""
        return len(self._batch) >= self._batch_blocks or self._batch_size >= self._batch_bytes

    def flush(self) -> None:
        """Give the batch to the ledger, and then whatever has its parent by now.

        Raises:
            ImportFailure: a block is bad.
            BlockFileError: a file has changed meanwhile.
        """
        self._submit()
        while self._ready:
            while self._ready and not self.is_full:
                position = self._ready.popleft()
                self.add(position, self._files[position.path].block_at(position.offset))
            self._submit()

    def report(self) -> ImportReport:
        """What there is to say now."""
        order = {path: number for number, path in enumerate(self._files)}
        positions = [position for line in self._held.values() for _, position in line]
        first = min(positions, key=lambda at: (order[at.path], at.offset), default=None)
        return ImportReport(self.accepted, self.skipped, len(positions), first, self._tip)

    def _submit(self) -> None:
        if not self._batch:
            return
        batch, self._batch, self._batch_size = self._batch, [], 0
        report = self._ledger.accept_blocks([block for _, block in batch])
        self._tip = report.tip
        landed: list[BlockHash] = []
        bad: tuple[Position, BlockHash, str] | None = None
        for (position, block), outcome in zip(batch, report.outcomes, strict=True):
            match outcome.verdict:
                case BlockVerdict.ACCEPTED:
                    self.accepted += 1
                    landed.append(outcome.hash)
                case BlockVerdict.DUPLICATE:
                    self.skipped += 1
                    landed.append(outcome.hash)
                case BlockVerdict.ORPHAN if outcome.rule == _NO_PARENT:
                    parent = self._ledger.identify_block(block).previous
                    self._held.setdefault(parent, []).append((outcome.hash, position))
                case _:
                    bad = bad or (position, outcome.hash, outcome.rule)
        for refusal in report.invalidated[:1]:
            # An earlier block turned out bad when its branch was tried; it comes before all that this batch tells.
            bad = (self._find(refusal.hash) or batch[0][0], refusal.hash, refusal.rule)
        if bad is not None:
            position, name, rule = bad
            self._ready.clear()
            raise ImportFailure(position, name, rule, self.report())
        # The list grows while it is walked: the descendants of what has landed, parents before children.
        for name in landed:
            for child, position in self._held.pop(name, ()):
                self._ready.append(position)
                landed.append(child)

    def _find(self, wanted: BlockHash) -> Position | None:
        """Where a block of these files stands; reads them again, as this is needed once in an import at most."""
        for file in self._files.values():
            try:
                for record in file.blocks():
                    if self._ledger.identify_block(record.block).hash == wanted:
                        return Position(file.path, record.offset)
            except (BlockFileError, PeerFault):
                continue
        return None


def import_files(
    ledger: Ledger,
    network: Network,
    files: Sequence[Path],
    *,
    progress: Callable[[ImportProgress], None] | None = None,
    batch_blocks: int = IMPORT_BATCH_BLOCKS,
    batch_bytes: int = IMPORT_BATCH_BYTES,
) -> ImportReport:
    """Give all blocks of ``files`` to a ledger that was restored.

    Args:
        ledger: where they go; nothing else uses it meanwhile.
        network: whose magic the files have.
        files: in the order in which to read them.
        progress: called after each batch.
        batch_blocks: blocks in one call of the ledger.
        batch_bytes: a batch goes when it has as much.

    Raises:
        ImportFailure: at the first bad block, or where a file does not read on.
        StoreError: the ledger's disk fails.
    """
    opened: list[BlockFile] = []
    run = _Run(ledger, opened, batch_blocks, batch_bytes)
    try:
        opened += (BlockFile(path, network.magic) for path in files)
        run = _Run(ledger, opened, batch_blocks, batch_bytes)
        total = sum(file.size for file in opened)
        before = 0
        for file in opened:
            try:
                for record in file.blocks():
                    run.add(Position(file.path, record.offset), record.block)
                    if run.is_full:
                        run.flush()
                        if progress is not None:
                            told = ImportProgress(file.path, before + record.end, total, run.accepted, run.skipped)
                            progress(told)
            finally:
                # What came before a fault of the file is good, and stays; a bad block among it is named first.
                run.flush()
            before += file.size
            if progress is not None:
                progress(ImportProgress(file.path, before, total, run.accepted, run.skipped))
    except BlockFileError as error:
        position = Position(error.path, error.offset)
        raise ImportFailure(position, None, error.rule, run.report(), error.detail) from error
    return run.report()
