"""The two small helpers of the driver: saving in order, ringing on time."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence

import pytest
from aio_nodes import LOOPS, Factory, run, until

from obscura.aio.alarm import Alarm
from obscura.aio.clock import read_clock
from obscura.aio.entropy import SystemSecrets, system_chance
from obscura.aio.saver import ChangeSaver
from obscura.base.errors import LocalError, StoreError
from obscura.base.instant import Instant, WallTime
from obscura.peers.pins import NamedPin
from obscura.wire.address import NetAddress, parse_address


def pin(port: int, key: bytes = b"\x01" * 32) -> NamedPin:
    return NamedPin(parse_address(f"20.1.0.1:{port}"), key, WallTime(5))


Pins = Sequence[tuple[NetAddress, NamedPin | None]]


@LOOPS
def test_changes_that_wait_are_saved_together_the_newest_of_each(factory: Factory) -> None:
    saved: list[Pins] = []
    gate = threading.Event()

    def save(changes: Pins) -> None:
        assert gate.wait(10)
        assert threading.current_thread() is not threading.main_thread()
        saved.append(changes)

    async def main() -> None:
        saver = ChangeSaver(save, "pin")
        await saver.finish()
        one, other, changed = pin(1), pin(2), pin(2, b"\x02" * 32)
        saver.put(one.address, one)
        await asyncio.sleep(0.01)
        saver.put(other.address, other)
        saver.put(other.address, changed)
        saver.put(one.address, None)
        gate.set()
        await saver.finish()
        assert saved == [[(one.address, one)], [(other.address, changed), (one.address, None)]]

    run(factory, main())


@LOOPS
@pytest.mark.parametrize("error", [StoreError("no room"), OSError("odd")])
def test_a_pin_that_is_not_saved_is_told_and_tried_again(
    factory: Factory, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    saved: list[Pins] = []
    broken = True

    def save(changes: Pins) -> None:
        if broken:
            raise error
        saved.append(changes)

    async def main() -> None:
        nonlocal broken
        saver = ChangeSaver(save, "pin")
        one, other = pin(1), pin(2)
        saver.put(one.address, one)
        for _ in range(2):
            with pytest.raises(LocalError, match=str(error)):
                await saver.finish()
        broken = False
        saver.put(other.address, other)
        await saver.finish()
        assert saved == [[(one.address, one), (other.address, other)]]

    with caplog.at_level(logging.ERROR, "obscura"):
        run(factory, main())
    assert [record.getMessage() for record in caplog.records] == ["pin-not-saved"]


@LOOPS
def test_while_the_disk_refuses_the_oldest_changes_are_given_up(factory: Factory) -> None:
    saved: list[list[int]] = []
    broken = True

    def save(changes: Sequence[tuple[int, int | None]]) -> None:
        if broken:
            raise StoreError("no room")
        saved.append([key for key, _ in changes])

    async def main() -> None:
        nonlocal broken
        saver = ChangeSaver[int, int](save, "address", most=3)
        for key in range(5):
            saver.put(key, None if key % 2 else key)
            with pytest.raises(StoreError):
                await saver.finish()
        broken = False
        saver.put(4, 5)
        await saver.finish()
        assert saved == [[2, 3, 4]]

    run(factory, main())


@LOOPS
def test_who_waits_is_told_of_his_own_batch_alone(factory: Factory) -> None:
    """A stream of changes does not keep anybody waiting, and a failure is told to all whose change it had."""
    gates = [threading.Event() for _ in range(3)]
    calls: list[Pins] = []

    def save(changes: Pins) -> None:
        calls.append(changes)
        assert gates[len(calls) - 1].wait(10)
        if len(calls) == 2:
            raise StoreError("no room")

    async def main() -> None:
        saver = ChangeSaver(save, "pin")
        loop = asyncio.get_running_loop()
        ones = [pin(number) for number in range(4)]
        saver.put(ones[0].address, ones[0])
        first = loop.create_task(saver.finish())
        await until(lambda: len(calls) == 1, "the first is under way")
        saver.put(ones[1].address, ones[1])
        second, third = loop.create_task(saver.finish()), loop.create_task(saver.finish())
        given_up = loop.create_task(saver.finish())
        await asyncio.sleep(0)
        given_up.cancel()
        gates[0].set()
        await first
        await until(lambda: len(calls) == 2, "the second is under way")
        saver.put(ones[2].address, ones[2])
        fourth = loop.create_task(saver.finish())
        await asyncio.sleep(0)
        gates[1].set()
        for task in (second, third, fourth):
            with pytest.raises(StoreError, match="no room"):
                await task
        saver.put(ones[3].address, ones[3])
        gates[2].set()
        await saver.finish()
        assert [[value for _, value in call] for call in calls] == [ones[:1], ones[1:2], ones[1:4]]

    run(factory, main())


@LOOPS
def test_the_alarm_rings_once_and_never_early(factory: Factory) -> None:
    rung: list[int] = []

    async def main() -> None:
        alarm = Alarm(lambda: rung.append(read_clock().mono))
        wanted = Instant(read_clock().mono + 30_500)
        alarm.set(Instant(wanted + 60_000_000))
        alarm.set(wanted)
        alarm.set(wanted)
        await asyncio.sleep(0.1)
        assert len(rung) == 1
        # Loops measure from the start of their turn, so a millisecond is in the nature of things.
        assert wanted - 2_000 <= rung[0] < wanted + 60_000
        alarm.set(Instant(read_clock().mono + 10_000))
        alarm.set(None)
        await asyncio.sleep(0.03)
        assert len(rung) == 1
        # A deadline that has passed rings at the next turn; the same one may be set again afterwards.
        past = Instant(read_clock().mono - 5)
        for expected in (2, 3):
            alarm.set(past)
            await asyncio.sleep(0.02)
            assert len(rung) == expected

    run(factory, main())


def test_clock_and_entropy() -> None:
    first = read_clock()
    time.sleep(0.01)
    second = read_clock()
    assert 10_000 <= second.mono - first.mono < 5_000_000
    assert abs(second.wall - time.time()) < 2
    assert system_chance().u64() != system_chance().u64()
    assert len(SystemSecrets().token(32)) == 32
    assert SystemSecrets().token(32) != SystemSecrets().token(32)
