"""Writing accepted blocks beside the engine's work on the next ones.

The engine validates on one core and releases the interpreter; checksums and writes of large blocks take as long as a
third of that. A thread of its own writes one portion while the next is judged. Nothing is acknowledged before
:meth:`StoreWriter.finish` has returned, so that a batch is durable as before when it is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from ...base.names import BlockHash
from .blockstore import BlockStore


class StoreWriter:
    """Appends to a store, at most one portion at a time; for the one thread that appends."""

    def __init__(self, store: BlockStore) -> None:
        self._store = store
        self._threads: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    def begin(self, blocks: Sequence[tuple[BlockHash, bytes]]) -> None:
        """Have a portion appended while the caller goes on; waits for the one before.

        Raises:
            StoreError: the portion before could not be written.
        """
        self.finish()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, thread_name_prefix="ledger-store")
        self._running = self._threads.submit(self._store.append, blocks)

    def finish(self) -> None:
        """Wait until all that was begun is durable.

        Raises:
            StoreError: it could not be written; nothing of that portion is stored.
        """
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def close(self) -> None:
        """End the thread; waits for what it writes, whose failure concerns nobody any more."""
        self._running = None
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None
