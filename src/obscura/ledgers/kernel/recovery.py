"""Opening the kernel, and making it and the block store agree again after a run ended in whatever way.

A kill or a power cut can leave three differences; all heal without anybody deleting a file:

* the kernel lacks stored blocks, because it had not flushed: they are submitted again;
* the store lacks a block of the kernel's active chain (never acknowledged, or damaged on disk): it is copied;
* the kernel's files cannot be used: they are set aside, and everything is submitted again.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Final

from ...base.errors import StoreError
from ...base.names import BlockHash, display_hash
from ...chain.ledger import RestoredHeader
from .binding import Fault, Kernel
from .blockstore import BlockStore
from .header import block_hash
from .networks import Network
from .trouble import set_aside, world_trouble

_BATCH: Final = 64
"""Blocks in memory at once while copying or submitting: at most 256 MB, and one sync for each such batch."""
_LOG: Final = logging.getLogger(__name__)


def open_kernel(network: Network, directory: Path) -> Kernel:
    """The kernel on its directory; if its files there are damaged, on an empty one, the old being set aside.

    Raises:
        StoreError: another process uses the directory, the disk is full or refuses.
    """
    try:
        return _open(network, directory)
    except StoreError as error:
        _complain(directory, error)
        if _never_opened(directory):
            _LOG.info("the kernel's files were being made when the last run ended: they are begun anew")
            shutil.rmtree(directory, ignore_errors=True)
            return _open(network, directory)
        aside = set_aside(directory)
        _LOG.warning(
            "the kernel's files were unusable (%s); they are set aside as %s, and rebuilt from the block store "
            "(delete them when you have had your look)",
            error,
            aside,
        )
    try:
        return _open(network, directory)
    except StoreError as error:
        _complain(directory, error)
        raise


def _open(network: Network, directory: Path) -> Kernel:
    workers = max(0, min(4, os.cpu_count() or 1) - 1)
    try:
        return Kernel(network.chain_type, directory, workers=workers)
    except OSError as error:
        msg = f"the kernel's directory cannot be made: {error.strerror}"
        raise StoreError(msg) from error


def _never_opened(directory: Path) -> bool:
    """Whether a kill fell into the making of the kernel's files, before the first block file: nothing is in them."""
    return not (directory / "chainstate" / "CURRENT").exists() and not any(directory.glob("blocks/blk*.dat"))


def _complain(directory: Path, error: StoreError) -> None:
    """Raise a clear error if it is not the kernel's files that are at fault."""
    advice = world_trouble(directory, str(error))
    if advice is not None:
        msg = f"the kernel cannot open {directory}: {error}: {advice}"
        raise StoreError(msg) from error


def copy_missing(kernel: Kernel, store: BlockStore) -> int:
    """Bring the active chain's blocks that the store lacks from the kernel into it; returns how many."""
    missing = (
        name
        for height in range(1, kernel.tip()[0] + 1)
        if (name := kernel.active_hash(height)) is not None and name not in store
    )
    copied = 0
    while names := list(islice(missing, _BATCH)):
        blocks: list[tuple[BlockHash, bytes]] = []
        for name in names:
            block = kernel.read_block(name)
            if block is None:
                _LOG.warning("block %s is in the kernel's chain but can be read nowhere", display_hash(name))
            else:
                blocks.append((name, block))
        store.append(blocks)
        copied += len(blocks)
    return copied


class Replay:
    """Submits stored blocks that are not in the kernel's active chain; parents come first in the store.

    Blocks that were given anew after damage stand after their children, so rounds are made until one brings nothing.

    Args:
        store: whose blocks.
        kernel: the kernel of the moment, as ``flush`` replaces it.
        flush: called after each batch with the number of blocks that the kernel has taken.
    """

    def __init__(self, store: BlockStore, kernel: Callable[[], Kernel], flush: Callable[[int], None]) -> None:
        self._store = store
        self._kernel = kernel
        self._flush = flush
        self.submitted = 0

    def run(self) -> set[BlockHash]:
        """Returns the stored blocks that the kernel cannot take now, because an ancestor is missing."""
        kernel = self._kernel()
        left = [name for name in self._store.names() if not kernel.is_active(name)]
        while left:
            again = list(self._round(iter(left)))
            if len(again) == len(left):
                break
            left = again
        if left:
            _LOG.warning("%d stored blocks wait for an ancestor that is missing; it will be asked for", len(left))
        return set(left)

    def _round(self, names: Iterator[BlockHash]) -> Iterator[BlockHash]:
        """One pass; yields those that must wait."""
        while batch := list(islice(names, _BATCH)):
            refusals: dict[BlockHash, str] = {}
            taken = 0
            for name, block in zip(batch, self._store.read(batch), strict=True):
                if block is None or name in refusals:
                    continue
                processed = self._kernel().submit_block(name, block)
                refusals.update((other.hash, other.rule) for other in processed.others)
                fault = processed.refused
                if fault is None:
                    taken += 1
                elif fault.fault in (Fault.MISSING_PREV, Fault.TIME_FUTURE):
                    yield name
                elif fault.fault is Fault.MUTATED:
                    self._store.discard(name, f"is not whole ({fault.rule})")
                else:
                    refusals[name] = fault.rule
            self._refuse(refusals)
            self.submitted += taken
            self._flush(taken)

    def _refuse(self, refusals: dict[BlockHash, str]) -> None:
        stored = [(name, rule) for name, rule in refusals.items() if name in self._store]
        if stored:
            self._store.refuse(stored)


def headers_in_order(
    store: BlockStore, root: BlockHash, detached: frozenset[BlockHash], extra: Sequence[bytes]
) -> Iterator[RestoredHeader]:
    """The headers of all stored blocks, then of those that only the kernel has, each after its parent.

    A stored block whose ancestor's header is known nowhere is left out. The store's blocks are those of this moment;
    their headers are read as they are asked for.

    Args:
        store: the blocks that we have.
        root: the genesis hash.
        detached: stored blocks that do not count as bodies, as the kernel could not take them.
        extra: headers beyond the store's, parents first.
    """
    return _in_order(store, store.names(), root, detached, extra)


def _in_order(
    store: BlockStore,
    names: Sequence[BlockHash],
    root: BlockHash,
    detached: frozenset[BlockHash],
    extra: Sequence[bytes],
) -> Iterator[RestoredHeader]:
    shown: set[bytes] = {root}
    waiting: dict[bytes, list[tuple[BlockHash, RestoredHeader]]] = {}
    stored = (
        (name, RestoredHeader(raw, name not in detached))
        for name, raw in zip(names, store.headers(names), strict=True)
        if raw is not None
    )
    named = ((block_hash(raw), RestoredHeader(raw, has_body=False)) for raw in extra)
    # What builds on a refused block has a parent that is never shown, and so is not shown either.
    bare = ((name, header) for name, header in named if store.refused(name) is None)
    for item in chain(stored, bare):
        line = [item]
        while line:
            name, header = line.pop()
            previous = header.header[4:36]
            if previous not in shown:
                waiting.setdefault(previous, []).append((name, header))
            elif name not in shown:
                shown.add(name)
                yield header
                line.extend(waiting.pop(name, ()))
