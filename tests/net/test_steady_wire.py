"""Links at a constant rate, over sockets: nothing that is seen differs with and without traffic (design §5).

The same test finds the difference at once where links are padded.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from kolmogorov import holm, same_distribution

from obscura.base.instant import MICROSECONDS, seconds
from obscura.base.limits import STEADY_TICK
from obscura.lab.observed import Activity, Recording, Window
from obscura.lab.watched_sockets import SocketRecordings, record_sockets
from obscura.shaping import Profile, Shaping, SteadyOptions

PAIRS, WINDOWS, WINDOW_S = 20, 4, 2.0
RATE = 16_384
TICK_BYTES = RATE * STEADY_TICK // MICROSECONDS
LEVEL = 0.001
pytestmark = pytest.mark.slow


def watch(shaping: Shaping, window_s: float = WINDOW_S) -> SocketRecordings:
    return record_sockets("watched", shaping, PAIRS, WINDOWS, window_s, 3)


def parts(recording: Recording) -> tuple[list[Window], list[Window]]:
    """Windows without and with traffic: a block, one's own transaction, somebody else's."""
    idle = [window for window in recording.windows if window.activity is Activity.IDLE]
    busy = [window for window in recording.windows if window.activity is not Activity.IDLE]
    assert len(idle) > PAIRS // 2 and len(busy) > PAIRS
    return idle, busy


def writes(windows: Iterable[Window], direction: int) -> list[list[tuple[int, int]]]:
    """Of each window the moments and bytes of one direction."""
    return [[(at, abs(size)) for at, size in window.seen if size * direction > 0] for window in windows]


def differences(recording: Recording) -> dict[str, float]:
    """p-values of everything that somebody could compare."""
    found: dict[str, float] = {}
    for name, direction in (("out", 1), ("in", -1)):
        idle, busy = (writes(part, direction) for part in parts(recording))
        for what, measure in (
            ("gaps", lambda seen: [later - at for (at, _), (later, _) in pairwise(seen)]),
            ("sizes", lambda seen: [size for _, size in seen]),
            ("writes in a window", lambda seen: [len(seen)]),
            ("bytes in a window", lambda seen: [sum(size for _, size in seen)]),
        ):
            one, other = ([value for seen in part for value in measure(seen)] for part in (idle, busy))
            found[f"{name}: {what}"] = same_distribution(one, other) if one and other else 1.0
    return found


@pytest.fixture(scope="module")
def steady() -> SocketRecordings:
    options = SteadyOptions(lowest=RATE, epoch=seconds(86_400))
    return watch(Shaping(profile=Profile.STEADY, steady=options))


def test_the_bytes_of_each_tick_are_equal_at_the_writing_call(steady: SocketRecordings) -> None:
    for part in parts(steady.calls):
        for direction in (1, -1):
            for seen in writes(part, direction):
                assert {size for _, size in seen} == {TICK_BYTES}
                # Eight ticks fit into a window, give or take one, by where in the first quarters of theirs they fall.
                assert abs(len(seen) - WINDOW_S * MICROSECONDS / STEADY_TICK) <= 1


def test_nothing_differs_with_and_without_traffic(steady: SocketRecordings) -> None:
    """At the writing call, and on the line, as who is in the middle reads it."""
    p_values = {f"calls, {name}": p for name, p in differences(steady.calls).items()}
    p_values |= {f"line, {name}": p for name, p in differences(steady.line).items()}
    assert holm(p_values, LEVEL) == [], p_values
    # There was traffic: a block of 20,000 bytes at least in each fourth window, on one of three links at least.
    assert sum(cost.real for cost in steady.calls.costs) > PAIRS * 10_000


def test_the_same_test_sees_traffic_on_padded_links() -> None:
    padded = differences(watch(Shaping(), 1.0).calls)
    assert len(holm(padded, LEVEL)) >= 3, padded
