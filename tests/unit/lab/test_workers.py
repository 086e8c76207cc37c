"""Work for graphs: no number depends on how many processes there are."""

from __future__ import annotations

import os
import signal

import pytest

from obscura.base.errors import LocalError
from obscura.base.instant import seconds
from obscura.base.randomness import Chance
from obscura.lab.attacks import Outcome, Setup, attack
from obscura.lab.embargoes import Hole, Swallowed, swallow
from obscura.lab.workers import Workers

SETUPS = [Setup("regular", "one-to-one", 0.2, 40), Setup("outbound", "all-to-one", 0.1, 40, 0.2)]


def draw(bound: int, chance: Chance) -> int:
    """For workers; other processes find it here."""
    return chance.below(bound)


def die(_: int, chance: Chance) -> int:
    """For workers: the process is killed, as by a system without memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return chance.below(2)


def test_one_process_or_two() -> None:
    hole = Hole(Setup("outbound", "one-to-one", 0.2, 40, 0.1), seconds(0.3), restems=True)

    def numbers(jobs: int) -> tuple[list[list[Outcome]], list[list[Swallowed]]]:
        with Workers(7, jobs) as workers:
            return workers.each(attack, SETUPS, 5), workers.each(swallow, [hole], 3)

    assert numbers(1) == numbers(2)


def test_graphs_differ_and_do_not_depend_on_how_many_there_are() -> None:
    with Workers(1) as workers:
        (few,) = workers.each(draw, [1 << 60], 3)
        (many,) = workers.each(draw, [1 << 60], 6)
    assert many[:3] == few
    assert len(dict.fromkeys(many)) == 6
    with Workers(2) as workers:
        assert workers.each(draw, [1 << 60], 3) != [few]


def test_what_is_known_is_not_done_again() -> None:
    shares: list[float] = []
    with Workers(1, progress=shares.append) as workers:
        first = workers.each(draw, [10, 20], 2)
        assert shares == [0.25, 0.5, 0.75, 1.0]
        assert workers.each(draw, [20, 10], 2) == first[::-1]
        assert len(shares) == 4
        workers.each(draw, [20, 30, 30], 2)
        assert len(shares) == 6


def test_a_process_that_dies() -> None:
    with Workers(1, 2) as workers, pytest.raises(LocalError, match="worker process has died"):
        workers.each(die, [1], 2)
