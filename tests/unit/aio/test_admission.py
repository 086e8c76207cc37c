"""Asking the guard against replays: off the loop, in order, and together with who waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from aio_nodes import LOOPS, Factory, run

from obscura.aio.admission import Admission
from obscura.base.errors import StoreError
from obscura.base.instant import WallTime
from obscura.base.names import ConnId
from obscura.node.effects import Admit
from obscura.peers.replay import Knock, ReplayWindow

NOW = WallTime(1_800_000_000)


def knock(number: int, shown: int | None = None) -> Admit:
    return Admit(ConnId(number), bytes([number if shown is None else shown]) * 32, NOW)


class SlowGuard:
    """A window behind a disk that takes its time, and fails while ``trouble`` is set."""

    def __init__(self) -> None:
        self.window = ReplayWindow()
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.trouble: Exception | None = None

    def admit(self, knocks: Sequence[Knock]) -> list[bool]:
        assert threading.current_thread() is not threading.main_thread()
        self.batches.append(len(knocks))
        assert self.gate.wait(10)
        if self.trouble is not None:
            raise self.trouble
        return self.window.admit(knocks)


@LOOPS
def test_those_that_come_while_the_disk_works_share_its_next_answer(factory: Factory) -> None:
    guard = SlowGuard()
    answers: list[tuple[int, bool, str]] = []

    async def main() -> None:
        admission = Admission(guard, lambda conn, new, trouble: answers.append((conn, new, trouble)))
        await admission.finish()
        admission.put(knock(1))
        await asyncio.sleep(0)
        for number in range(2, 6):
            admission.put(knock(number))
        admission.put(knock(6, shown=4))
        assert answers == []
        guard.gate.set()
        while len(answers) < 6:
            await asyncio.sleep(0.001)
        assert guard.batches == [1, 5]
        assert answers == [(number, True, "") for number in range(1, 6)] + [(6, False, "")]
        await admission.finish()

    run(factory, main())


@LOOPS
@pytest.mark.parametrize("trouble", [StoreError("no room"), OSError("odd")])
def test_a_disk_that_fails_admits_nobody_of_a_batch_and_is_asked_again(factory: Factory, trouble: Exception) -> None:
    guard = SlowGuard()
    guard.gate.set()
    guard.trouble = trouble
    answers: list[tuple[int, bool, str]] = []

    async def main() -> None:
        admission = Admission(guard, lambda conn, new, trouble: answers.append((conn, new, trouble)))
        for number in (1, 2):
            admission.put(knock(number))
        while len(answers) < 2:
            await asyncio.sleep(0.001)
        assert [(conn, new) for conn, new, _ in answers] == [(1, False), (2, False)]
        assert all(text for _, _, text in answers)
        guard.trouble = None
        admission.put(knock(3))
        while len(answers) < 3:
            await asyncio.sleep(0.001)
        assert answers[2] == (3, True, "")
        await admission.finish()

    run(factory, main())


@LOOPS
def test_the_end_waits_for_the_disk_and_for_nobody_else(factory: Factory) -> None:
    guard = SlowGuard()
    answers: list[int] = []

    async def main() -> None:
        admission = Admission(guard, lambda conn, new, trouble: answers.append(conn))
        admission.put(knock(1))
        await asyncio.sleep(0)
        admission.put(knock(2))
        asyncio.get_running_loop().call_later(0.01, guard.gate.set)
        await admission.finish()
        assert answers == [1]
        assert guard.batches == [1]

    run(factory, main())
