"""The backlog: a bounded rate of transactions and bytes, what pays most first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pool_transactions import tx_id

from obscura.base.errors import BugError
from obscura.base.instant import MICROSECONDS, Instant
from obscura.base.limits import RELAY_BURST, RELAY_BYTES_BURST, RELAY_BYTES_PER_SECOND, RELAY_PER_SECOND
from obscura.relay.backlog import Backlog

START = Instant(5)


def later(seconds: float) -> Instant:
    return Instant(START + round(seconds * MICROSECONDS))


def filled(backlog: Backlog, count: int, size: int = 100) -> Backlog:
    for number in range(count):
        backlog.put(tx_id(str(number)), 1, size)
    return backlog


@pytest.mark.parametrize(("make", "tenths"), [(Backlog, 10), (Backlog.outbound, 25)])
def test_a_burst_goes_at_once_and_the_rest_at_its_rate(make: type[Backlog], tenths: int) -> None:
    backlog = filled(make(START), 2_000)
    assert len(backlog.release(START)) == RELAY_BURST * tenths // 10
    assert backlog.release(START) == []
    for second in range(1, 11):
        backlog.release(later(second))
    assert len(backlog) == 2_000 - (RELAY_BURST + 10 * RELAY_PER_SECOND) * tenths // 10


def test_bytes_are_bounded_too() -> None:
    size = 400_000
    backlog = filled(Backlog(START), 100, size)
    assert len(backlog.release(START)) == RELAY_BYTES_BURST // size
    assert len(backlog.release(later(size / RELAY_BYTES_PER_SECOND - 1))) == 1, "the budget may be overdrawn by one"
    assert backlog.release(later(size / RELAY_BYTES_PER_SECOND - 1)) == []


def test_what_pays_most_goes_first_and_order_of_arrival_does_not_show() -> None:
    forth, back = Backlog(START), Backlog(START)
    rates = {tx_id(str(number)): number % 3 for number in range(30)}
    for relay_id, rate in rates.items():
        forth.put(relay_id, rate, 100)
    for relay_id, rate in reversed(rates.items()):
        back.put(relay_id, rate, 100)
    order = forth.release(START)
    assert order == back.release(START)
    assert order == sorted(rates, key=lambda relay_id: (-rates[relay_id], relay_id))


def test_what_has_left_costs_nothing_and_none_goes_twice() -> None:
    backlog = filled(Backlog(START), 5_000)
    filled(backlog, 10)
    for number in range(4_990):
        backlog.forget(tx_id(str(number)))
    assert len(backlog) == 10
    assert sorted(backlog.release(START)) == sorted(tx_id(str(number)) for number in range(4_990, 5_000))
    assert backlog.next_deadline() is None


def test_without_a_rate_all_goes_at_once() -> None:
    backlog = filled(Backlog(START, 0), 10_000)
    assert backlog.next_deadline() == START
    assert len(backlog.release(START)) == 10_000
    with pytest.raises(BugError):
        Backlog(START, -1)


@given(
    sizes=st.lists(st.integers(60, 400_000), min_size=1, max_size=60),
    waits=st.lists(st.integers(0, 30_000_000), max_size=10),
)
def test_the_deadline_is_the_moment_at_which_something_goes(sizes: list[int], waits: list[int]) -> None:
    backlog = Backlog(START)
    for number, size in enumerate(sizes):
        backlog.put(tx_id(str(number)), 1, size)
    now, went = START, len(backlog.release(START))
    for wait in waits:
        now = Instant(now + wait)
        went += len(backlog.release(now))
    while (at := backlog.next_deadline()) is not None:
        assert at > now
        assert backlog.release(Instant(at - 1)) == []
        now = at
        released = backlog.release(now)
        assert released
        went += len(released)
    assert went == len(sizes)
    assert sum(sizes) <= RELAY_BYTES_BURST + max(sizes) + (now - START) * RELAY_BYTES_PER_SECOND // MICROSECONDS + 1
