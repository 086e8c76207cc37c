"""The two small helpers of the driver: saving in order, ringing on time."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest
from aio_nodes import LOOPS, Factory, run

from obscura.aio.alarm import Alarm
from obscura.aio.clock import read_clock
from obscura.aio.entropy import SystemSecrets, system_chance
from obscura.aio.saver import AddressSaver, ChangeSaver
from obscura.base.errors import LocalError, StoreError
from obscura.base.instant import Instant, WallTime
from obscura.peers.pins import NamedPin
from obscura.peers.record import AddressRecord
from obscura.wire.address import NetAddress, parse_address


def book(*ports: int) -> tuple[AddressRecord, ...]:
    return tuple(AddressRecord(address=parse_address(f"20.1.0.1:{port}")) for port in ports)


@LOOPS
def test_saving_is_off_the_loop_in_order_and_skips_what_was_overtaken(factory: Factory) -> None:
    saved: list[tuple[AddressRecord, ...]] = []
    gate = threading.Event()

    def save(records: tuple[AddressRecord, ...]) -> None:
        assert gate.wait(10)
        assert threading.current_thread() is not threading.main_thread()
        saved.append(records)

    async def main() -> None:
        saver = AddressSaver(save)
        await saver.finish()
        saver.put(book(1))
        await asyncio.sleep(0.01)
        saver.put(book(2))
        saver.put(book(3))
        gate.set()
        await saver.finish()
        assert saved == [book(1), book(3)]
        saver.put(book(4))
        await saver.finish()
        assert saved[-1] == book(4)

    run(factory, main())


@LOOPS
@pytest.mark.parametrize("error", [StoreError("no room"), OSError("odd")])
def test_a_failure_to_save_is_logged_and_forgiven(
    factory: Factory, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    saved: list[int] = []

    def save(records: tuple[AddressRecord, ...]) -> None:
        if len(records) == 1:
            raise error
        saved.append(len(records))

    async def main() -> None:
        saver = AddressSaver(save)
        saver.put(book(1))
        await saver.finish()
        saver.put(book(1, 2))
        await saver.finish()

    with caplog.at_level(logging.ERROR, "obscura"):
        run(factory, main())
    assert saved == [2]
    [record] = [record for record in caplog.records if record.getMessage() == "addresses-not-saved"]
    assert str(error) in record.values["text"]  # type: ignore[attr-defined]


def pin(port: int, key: bytes = b"\x01" * 32) -> NamedPin:
    return NamedPin(parse_address(f"20.1.0.1:{port}"), key, WallTime(5))


@LOOPS
def test_every_pin_is_saved_the_newest_of_each(factory: Factory) -> None:
    saved: list[tuple[NetAddress, NamedPin | None]] = []
    gate = threading.Event()

    def save(address: NetAddress, pin: NamedPin | None) -> None:
        assert gate.wait(10)
        assert threading.current_thread() is not threading.main_thread()
        saved.append((address, pin))

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
        assert saved == [(one.address, one), (other.address, changed), (one.address, None)]

    run(factory, main())


@LOOPS
@pytest.mark.parametrize("error", [StoreError("no room"), OSError("odd")])
def test_a_pin_that_is_not_saved_is_told_and_tried_again(
    factory: Factory, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    saved: list[NetAddress] = []
    broken = True

    def save(address: NetAddress, _pin: NamedPin | None) -> None:
        if broken:
            raise error
        saved.append(address)

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
        assert saved == [one.address, other.address]

    with caplog.at_level(logging.ERROR, "obscura"):
        run(factory, main())
    assert [record.getMessage() for record in caplog.records] == ["pin-not-saved"]


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
