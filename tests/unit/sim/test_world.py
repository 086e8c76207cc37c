"""Virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.errors import BugError
from obscura.base.instant import Instant, seconds
from obscura.sim.world import EPOCH, World


@given(st.lists(st.integers(0, 5), max_size=30))
def test_events_come_in_order_of_time_then_of_planning(delays: list[int]) -> None:
    world = World(1)
    seen: list[tuple[int, int]] = []
    for number, delay in enumerate(delays):
        world.after(delay, lambda number=number: seen.append((world.time, number)))
    world.run_until(Instant(5))
    assert seen == sorted((delay, number) for number, delay in enumerate(delays))
    assert world.events == len(delays)


def test_events_may_plan_events_of_the_same_instant() -> None:
    world = World(1)
    seen: list[str] = []

    def first() -> None:
        seen.append("first")
        world.after(0, seen.append, "child")

    world.at(10, first)
    world.at(10, seen.append, "second")
    world.run_until(Instant(9))
    assert seen == []
    world.run_until(Instant(10))
    assert seen == ["first", "second", "child"]


def test_both_clocks_run_evenly_and_stop_where_they_are_told() -> None:
    world = World(1)
    assert world.now == (0, EPOCH)
    world.run_for(seconds(1.5))
    assert world.now == (1_500_000, EPOCH + 1)
    world.run_for(seconds(0.5))
    assert world.now == (2_000_000, EPOCH + 2)


def test_the_past_is_over() -> None:
    world = World(1)
    world.run_until(Instant(10))
    with pytest.raises(BugError, match="when it is 10"):
        world.at(9, print)


def test_a_seed_is_a_stream() -> None:
    assert World(1).chance.u64() == World(1).chance.u64()
    assert World(1).chance.u64() != World(2).chance.u64()
