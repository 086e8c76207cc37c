"""The ledger on threads of its own, so that validation never holds up the sockets.

One thread runs the verbs that change the chain, in the order in which they were asked for. A second one reads blocks,
so that serving peers does not wait behind a batch that is being validated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..chain.ledger import Ledger
from ..node.effects import AcceptBlocks, AcceptHeaders, BlocksRead, LedgerAnswer, LedgerRequest, ReadBlocks

T = TypeVar("T")


class LedgerWorker:
    """Runs a ledger's state verbs. Everything is awaited on the event loop that made the call."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._ordered = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="ledger-read")

    async def answer(self, request: LedgerRequest) -> LedgerAnswer:
        """Run one request. Raises what the ledger raises: a broken disk, or a defect."""
        loop = asyncio.get_running_loop()
        executor = self._reader if isinstance(request, ReadBlocks) else self._ordered
        return await loop.run_in_executor(executor, self._carry_out, request)

    async def run(self, function: Callable[[], T]) -> T:
        """Run ``function`` on the ordered thread, after what was asked before."""
        return await asyncio.get_running_loop().run_in_executor(self._ordered, function)

    async def close(self) -> None:
        """Finish what is running, close the ledger, end the threads."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._reader, lambda: None)
        await loop.run_in_executor(self._ordered, self.ledger.close)
        self._reader.shutdown()
        self._ordered.shutdown()

    def _carry_out(self, request: LedgerRequest) -> LedgerAnswer:
        match request:
            case AcceptHeaders(headers):
                return self.ledger.accept_headers(headers)
            case AcceptBlocks(blocks):
                return self.ledger.accept_blocks(blocks)
            case ReadBlocks(hashes):
                return BlocksRead(self.ledger.read_blocks(hashes))
