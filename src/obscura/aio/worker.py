"""The ledger on threads of its own, so that validation never holds up the sockets.

One thread runs the verbs that change the chain, in the order in which they were asked for. A second one reads blocks,
so that serving peers does not wait behind a batch that is being validated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..base.errors import BugError, LocalError
from ..chain import Ledger, TransactionLedger, relaying
from ..node.effects import (
    AcceptBlocks,
    AcceptHeaders,
    BlocksRead,
    FollowCoins,
    JudgeTransactions,
    LedgerAnswer,
    LedgerRequest,
    ReadBlocks,
    TransactionsJudged,
)

T = TypeVar("T")


class WorkerClosed(LocalError):
    """The node is stopping: the request was not begun, and the ledger knows nothing of it."""


class LedgerWorker:
    """Runs a ledger's state verbs. Everything is awaited on the event loop that made the call."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._ordered = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="ledger-read")
        self._refusing = False

    async def answer(self, request: LedgerRequest) -> LedgerAnswer:
        """Run one request.

        Raises:
            WorkerClosed: after :meth:`refuse`.
            Exception: what the ledger raises: a broken disk (``StoreError``), or a defect.
        """
        executor = self._reader if isinstance(request, ReadBlocks) else self._ordered
        return await self._submit(executor, lambda: self._carry_out(request))

    async def run(self, function: Callable[[], T]) -> T:
        """Run ``function`` on the ordered thread, after what was asked before.

        Raises:
            WorkerClosed: after :meth:`refuse`.
            Exception: what ``function`` raises.
        """
        return await self._submit(self._ordered, function)

    def refuse(self) -> None:
        """Begin nothing more, not even what is queued: a stop waits for what is running and for nothing else."""
        self._refusing = True

    async def close(self) -> None:
        """Finish what is running, close the ledger on its own thread, end the threads. Call it once.

        Raises:
            Exception: what ``ledger.close`` raises; the threads have ended then too.
        """
        self.refuse()
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._reader, lambda: None)
            await loop.run_in_executor(self._ordered, self.ledger.close)
        finally:
            self._reader.shutdown()
            self._ordered.shutdown()

    async def _submit(self, executor: ThreadPoolExecutor, function: Callable[[], T]) -> T:
        def begin() -> T:
            # Looked at on the thread, when the request's turn has come.
            if self._refusing:
                msg = "the node is stopping"
                raise WorkerClosed(msg)
            return function()

        if self._refusing:
            return begin()
        return await asyncio.get_running_loop().run_in_executor(executor, begin)

    def _carry_out(self, request: LedgerRequest) -> LedgerAnswer:
        match request:
            case AcceptHeaders(headers):
                return self.ledger.accept_headers(headers)
            case AcceptBlocks(blocks):
                return self.ledger.accept_blocks(blocks)
            case ReadBlocks(hashes, bytes_max):
                return BlocksRead(self.ledger.read_blocks(hashes, bytes_max))
            case FollowCoins(details):
                return self._relaying.follow(details=details)
            case JudgeTransactions(candidates):
                return TransactionsJudged(self._relaying.admit(candidates))

    @property
    def _relaying(self) -> TransactionLedger:
        ledger = relaying(self.ledger)
        if ledger is None:
            raise BugError("this ledger judges no transactions, and was asked to")
        return ledger
