"""The ledger's threads: order, overtaking, errors, the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from aio_nodes import LOOPS, Factory, chain, ledger_of, run

from obscura.aio.worker import LedgerWorker, WorkerClosed
from obscura.base.errors import BugError, StoreError
from obscura.base.names import BlockHash
from obscura.chain import BlockReport, BlockVerdict, Candidate, CoinReport, HeaderReport, TxVerdict
from obscura.ledgers.memory import MemoryLedger
from obscura.ledgers.memory_transactions import FAUCET_AMOUNT, faucet, make_transaction, parse
from obscura.node.effects import (
    AcceptBlocks,
    AcceptHeaders,
    BlocksRead,
    FollowCoins,
    JudgeTransactions,
    ReadBlocks,
    TransactionsJudged,
)


class Gated(MemoryLedger):
    """Blocks are accepted when the test opens the gate; what was called is noted."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.calls: list[str] = []

    def accept_headers(self, headers: Sequence[bytes]) -> HeaderReport:
        self.calls.append("headers")
        return super().accept_headers(headers)

    def accept_blocks(self, blocks: Sequence[bytes]) -> BlockReport:
        self.entered.set()
        assert self.gate.wait(10)
        self.calls.append("blocks")
        return super().accept_blocks(blocks)

    def read_blocks(self, hashes: Sequence[BlockHash], bytes_max: int | None = None) -> tuple[bytes | None, ...]:
        self.calls.append("read")
        return super().read_blocks(hashes, bytes_max)

    def close(self) -> None:
        self.calls.append("close")


class Plain(MemoryLedger):
    """Judges no transactions in this run."""

    @property
    def relays(self) -> bool:
        return False


@LOOPS
def test_a_ledger_without_transactions_is_not_asked_about_them(factory: Factory) -> None:
    async def main() -> None:
        worker = LedgerWorker(Plain())
        with pytest.raises(BugError, match="judges no transactions"):
            await worker.answer(FollowCoins(details=False))
        await worker.close()

    run(factory, main())


@LOOPS
def test_answers(factory: Factory) -> None:
    async def main() -> None:
        worker = LedgerWorker(MemoryLedger())
        blocks = chain(2)
        headers = await worker.answer(AcceptHeaders(tuple(block[:80] for block in blocks)))
        assert headers == HeaderReport(2)
        report = await worker.answer(AcceptBlocks(tuple(blocks)))
        assert isinstance(report, BlockReport)
        assert [outcome.verdict for outcome in report.outcomes] == [BlockVerdict.ACCEPTED] * 2
        read = await worker.answer(ReadBlocks((report.tip, BlockHash(bytes(32))), 1_000_000))
        assert read == BlocksRead((blocks[1], None))
        followed = await worker.answer(FollowCoins(details=True))
        assert isinstance(followed, CoinReport)
        assert (followed.ready, followed.tip) == (True, report.tip)
        data = make_transaction([faucet(1)], [FAUCET_AMOUNT - 7])
        judged = await worker.answer(JudgeTransactions((Candidate(data, parse(data).info),)))
        assert isinstance(judged, TransactionsJudged)
        assert [(outcome.verdict, outcome.fee) for outcome in judged.outcomes] == [(TxVerdict.ADMITTED, 7)]
        assert await worker.run(lambda: threading.current_thread().name) == "ledger_0"
        await worker.close()

    run(factory, main())


@LOOPS
def test_reads_overtake_and_the_rest_keeps_its_order(factory: Factory) -> None:
    async def main() -> None:
        ledger = Gated()
        worker = LedgerWorker(ledger)
        [block] = chain(1)
        accepting = asyncio.create_task(worker.answer(AcceptBlocks((block,))))
        await asyncio.sleep(0)
        headers = asyncio.create_task(worker.answer(AcceptHeaders((block[:80],))))
        await worker.answer(ReadBlocks((ledger.tip,), 1_000_000))
        assert ledger.calls == ["read"]
        ledger.gate.set()
        await asyncio.gather(accepting, headers)
        assert ledger.calls == ["read", "blocks", "headers"]
        await worker.close()

    run(factory, main())


@LOOPS
def test_closing_waits_for_what_runs_and_begins_nothing_else(factory: Factory) -> None:
    async def main() -> None:
        ledger = Gated()
        worker = LedgerWorker(ledger)
        [block] = chain(1)
        accepting = asyncio.create_task(worker.answer(AcceptBlocks((block,))))
        await asyncio.get_running_loop().run_in_executor(None, ledger.entered.wait)
        queued = asyncio.create_task(worker.answer(AcceptHeaders((block[:80],))))
        await asyncio.sleep(0)
        closing = asyncio.create_task(worker.close())
        await asyncio.sleep(0.05)
        assert not closing.done()
        ledger.gate.set()
        await closing
        assert isinstance(await accepting, BlockReport)
        with pytest.raises(WorkerClosed):
            await queued
        with pytest.raises(WorkerClosed):
            await worker.run(lambda: None)
        assert ledger.calls == ["blocks", "close"]

    run(factory, main())


@LOOPS
def test_what_the_ledger_raises_reaches_the_caller(factory: Factory) -> None:
    class Broken(MemoryLedger):
        def accept_headers(self, headers: Sequence[bytes]) -> HeaderReport:
            raise StoreError("the disk is full")

        def close(self) -> None:
            raise StoreError("the disk is full, still")

    async def main() -> None:
        worker = LedgerWorker(Broken())
        with pytest.raises(StoreError, match="full"):
            await worker.answer(AcceptHeaders(()))
        with pytest.raises(StoreError, match="still"):
            await worker.close()
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("ledger")]

    run(factory, main())


def test_the_rig_makes_a_chain() -> None:
    assert ledger_of(5).height == 5
