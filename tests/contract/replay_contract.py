"""What every replay guard must do, as one suite that takes a maker.

A test module derives a class from :class:`ReplayContract` and gives it a fixture ``make``, which opens an empty guard.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from obscura.base.instant import WallTime
from obscura.base.limits import REPLAY_TIME
from obscura.peers import replay
from obscura.peers.replay import ReplayGuard

START = 1_800_000_000


def value(number: int) -> bytes:
    """The ephemeral of a number."""
    return number.to_bytes(32, "big")


def admits(guard: ReplayGuard, e_i: bytes, now: WallTime) -> bool:
    """Ask for one knock."""
    [new] = guard.admit([(e_i, now)])
    return new


class ReplayContract:
    """Derive from it and give a fixture ``make``."""

    @pytest.fixture
    def guard(self, make: Callable[[], ReplayGuard]) -> ReplayGuard:
        """Fresh."""
        return make()

    def test_once_and_not_twice(self, guard: ReplayGuard) -> None:
        for number in range(20):
            assert admits(guard, value(number), WallTime(START + number))
        for number in range(20):
            assert not admits(guard, value(number), WallTime(START + 20))
        assert admits(guard, value(20), WallTime(START + 20)), "a refusal does not get in the way"

    def test_time_from_both_sides(self, guard: ReplayGuard) -> None:
        assert admits(guard, value(1), WallTime(START))
        assert not admits(guard, value(1), WallTime(START + REPLAY_TIME - 1))
        assert admits(guard, value(1), WallTime(START + REPLAY_TIME))
        assert not admits(guard, value(1), WallTime(START + 2 * REPLAY_TIME - 1)), "counted from when it was accepted"

    def test_a_refused_copy_does_not_live_longer(self, guard: ReplayGuard) -> None:
        assert admits(guard, value(1), WallTime(START))
        assert not admits(guard, value(1), WallTime(START + REPLAY_TIME - 1))
        assert admits(guard, value(1), WallTime(START + REPLAY_TIME))

    def test_a_clock_that_is_set_back(self, guard: ReplayGuard) -> None:
        assert admits(guard, value(1), WallTime(START))
        assert not admits(guard, value(1), WallTime(START - REPLAY_TIME + 1))
        assert admits(guard, value(2), WallTime(START - 100))
        assert not admits(guard, value(2), WallTime(START))
        assert not admits(guard, value(1), WallTime(START - 10 * REPLAY_TIME)), "however far it was set back"

    def test_a_clock_before_its_time(self, guard: ReplayGuard) -> None:
        assert admits(guard, value(1), WallTime(0))
        assert not admits(guard, value(1), WallTime(0))
        assert admits(guard, value(1), WallTime((1 << 32) - 1))

    def test_kept_from_both_sides(self, guard: ReplayGuard, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(replay, "REPLAY_KEPT", 50)
        for number in range(50):
            assert admits(guard, value(number), WallTime(START + number))
        assert not admits(guard, value(50), WallTime(START + 60)), "full"
        assert not admits(guard, value(0), WallTime(START + 60))
        assert not admits(guard, value(50), WallTime(START + REPLAY_TIME - 1))
        assert admits(guard, value(50), WallTime(START + REPLAY_TIME)), "the oldest has made room"
        assert not admits(guard, value(51), WallTime(START + REPLAY_TIME)), "for one"
        assert admits(guard, value(51), WallTime(START + REPLAY_TIME + 1))

    def test_many_at_once_are_judged_in_their_order(self, guard: ReplayGuard) -> None:
        assert guard.admit([]) == []
        assert admits(guard, value(0), WallTime(START))
        knocks = [(value(number), WallTime(START + number)) for number in (0, 1, 2, 1, 3, 0)]
        assert guard.admit(knocks) == [False, True, True, False, True, False]
        assert guard.admit(knocks) == [False] * 6
        assert not admits(guard, value(1), WallTime(START + 1 + REPLAY_TIME - 1)), "counted from the first one"
        assert admits(guard, value(1), WallTime(START + 1 + REPLAY_TIME))

    def test_many_at_once_fill_what_is_left(self, guard: ReplayGuard, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(replay, "REPLAY_KEPT", 3)
        assert guard.admit([(value(number), WallTime(START)) for number in range(5)]) == [True] * 3 + [False] * 2
