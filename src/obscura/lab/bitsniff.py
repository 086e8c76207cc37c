"""Does the volume on a link rise when a block is found? BitSniff's test, with an error of its own.

BitSniff (2020, https://79jke.github.io/BitSniff/) finds nodes behind tunnels by volume over time alone: everybody
knows when blocks were found, and who fetches them has a peak then. Here the measure is the mean volume in some seconds
from each block on, above the mean of the whole course. What it would be by chance is found by circular shifts of all
the block times together: the volume keeps its own rhythm, the blocks keep their distances, and only what ties them to
each other is gone. A shift that wraps around the end is as good as others if the course has no trend.

Where blocks come in even steps, a shift by a step is nearly none, and p-values are no smaller than one by a step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from ..base.randomness import Chance
from .intervals import Interval, Share, clopper_pearson
from .observed import Course
from .resampling import LEVEL, Floats, Worlds, bounded

WAITS_S: Final = (5, 30, 120)
P_LIMIT: Final = 0.01
_SHORTEST_S: Final = 100  # with fewer shifts, no p-value is below P_LIMIT
_BEFORE_S: Final = 30
_AFTER_S: Final = 120


class Trial(NamedTuple):
    """One course."""

    excess: float
    """Bytes a second after blocks above the mean."""
    p: float
    """The share of shifts, the true one among them, that show as much or more."""
    above: float
    """The share of false shifts that show less; ties count half."""


class Sniff(NamedTuple):
    """All courses of a recording, for one wait."""

    wait_s: int
    tested: int
    passed_over: int
    """Courses without a block, or too short."""
    ps: tuple[float, ...]
    found: Share | None
    """Courses with p below :data:`P_LIMIT`; of every hundred one would be, by chance."""
    p: float | None
    """Of all courses together, by Fisher's method (1932): that the volume has nothing to do with blocks."""
    auc: Interval | None
    """How likely the true times show more than false ones; .5 by chance. From a bootstrap over worlds, for all of
    :data:`WAITS_S` together (Bonferroni)."""
    excess: Interval | None
    """Bytes a second, from the same bootstrap; of 95 % for itself."""


class Around(NamedTuple):
    """What is seen about blocks, of all of them together."""

    second: int
    """From the block's; negative before it."""
    volume: Interval
    """The mean in bytes, from a bootstrap over worlds."""


def try_course(course: Course, wait_s: int) -> Trial | None:
    """The test of one course, by all its shifts; ``None`` if it has no block, or is too short for a verdict.

    Blocks outside the course are left out. A course is too short below 100 s, or below twice the wait.
    """
    length = len(course.volume)
    blocks = [one for one in course.blocks if 0 <= one < length]
    if not blocks or length < max(_SHORTEST_S, 2 * wait_s):
        return None
    # Whole bytes, so that equal sums are equal and ties are ties.
    volume = np.array(course.volume, dtype=np.int64)
    sums = np.cumsum(np.concatenate(([0], volume, volume)))
    after = sums[wait_s : wait_s + length] - sums[:length]
    shifted = np.zeros(length, dtype=np.int64)
    for block in blocks:
        shifted += np.roll(after, -block)
    true, false = shifted[0], shifted[1:]
    less, same = np.count_nonzero(false < true), np.count_nonzero(false == true)
    excess = float(true) / (len(blocks) * wait_s) - float(volume.mean())
    return Trial(excess, float(np.count_nonzero(shifted >= true)) / length, float(less + same / 2) / (length - 1))


def sniff(courses: Sequence[Course], wait_s: int, chance: Chance) -> Sniff:
    """The test of all courses.

    Args:
        courses: any number, also none.
        wait_s: seconds from a block on that are looked at.
        chance: draws worlds.
    """
    tests = [(one.world, test) for one in courses if (test := try_course(one, wait_s)) is not None]
    ps = tuple(test.p for _, test in tests)
    if not tests:
        return Sniff(wait_s, 0, len(courses), (), None, None, None, None)
    draws = Worlds([world for world, _ in tests], chance)
    ones = np.ones(len(tests))
    above = [test.above for _, test in tests]
    level = 1 - (1 - LEVEL) / len(WAITS_S)
    return Sniff(
        wait_s,
        len(tests),
        len(courses) - len(tests),
        ps,
        clopper_pearson(sum(p < P_LIMIT for p in ps), len(ps)),
        together(ps),
        bounded(sum(above) / len(above), draws.sums(above) / draws.sums(ones), draws.count, level),
        draws.ratio([test.excess for _, test in tests], ones),
    )


def together(ps: Sequence[float]) -> float:
    """One p-value of several independent ones, by Fisher's method.

    -2 times the sum of their logarithms is chi-squared with two degrees for each. Its tail is a Poisson sum.
    """
    half = -math.fsum(math.log(p) for p in ps)
    if half <= 0:
        return 1.0
    return min(1.0, math.fsum(math.exp(at * math.log(half) - half - math.lgamma(at + 1)) for at in range(len(ps))))


def around_blocks(courses: Sequence[Course], chance: Chance) -> tuple[Around, ...]:
    """Mean volume in each second from 30 before a block to 120 after it; empty if there is no block.

    Seconds before a course's begin or after its end are left out. Intervals are each second's own.
    """
    seconds = np.arange(-_BEFORE_S, _AFTER_S + 1)
    rows: list[Floats] = []
    worlds: list[int] = []
    for course in courses:
        volume = np.array(course.volume, dtype=np.float64)
        for block in course.blocks:
            if 0 <= block < len(volume):
                at = seconds + block
                inside = (at >= 0) & (at < len(volume))
                rows.append(np.where(inside, volume[np.clip(at, 0, len(volume) - 1)], np.nan))
                worlds.append(course.world)
    if not rows:
        return ()
    draws = Worlds(worlds, chance)
    found: list[Around] = []
    for second, column in zip(seconds.tolist(), np.array(rows).T, strict=True):
        known = ~np.isnan(column)
        mean = draws.ratio(np.where(known, column, 0.0), known.astype(np.float64))
        if mean is not None:
            found.append(Around(second, mean))
    return tuple(found)
