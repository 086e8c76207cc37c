"""Intervals by a cluster bootstrap: worlds are drawn with replacement, and everything of a world comes along.

What was measured in one world depends on each other: one graph, one set of peers, one stretch of time. Worlds do not.
So the unit that is drawn is the world (Davison and Hinkley, *Bootstrap Methods and their Application*, 1997, §3.8).

Percentiles of draws are too near to each other if there are few worlds, as a normal interval is beside Student's. So
they are taken further out by as much (the expanded percentile interval: Hesterberg, "What Teachers Should Know About
the Bootstrap", The American Statistician 69, 2015). Of less than some ten worlds no interval is worth much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ..base.errors import BugError
from ..base.randomness import Chance
from .intervals import Interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVEL: Final = 0.95
DRAWS: Final = 4_000  # the ends of an interval of 99 % rest on twenty draws each
_STEPS: Final = 60  # of a bisection: as exact as a float


class Worlds:
    """Draws of worlds.

    Args:
        worlds: the world of each item (window, course, delay); at least one.
        chance: draws.
        draws: how many.

    Raises:
        BugError: there is no item.
    """

    def __init__(self, worlds: Sequence[int] | Ints, chance: Chance, draws: int = DRAWS) -> None:
        if len(worlds) == 0:
            raise BugError("nothing to draw from")
        names, index = np.unique(np.asarray(worlds, dtype=np.int64), return_inverse=True)
        self.count: Final = len(names)
        self.index: Final[Ints] = index
        """Of each item: the number of its world, from 0."""
        rng = np.random.default_rng(chance.u64())
        self.weights: Final[Floats] = rng.multinomial(self.count, np.full(self.count, 1 / self.count), draws).astype(
            np.float64
        )
        """How often each draw (row) has each world (column)."""

    def sums(self, values: Sequence[float] | Floats | Ints) -> Floats:
        """The sum of one value an item, for each draw."""
        each = np.bincount(self.index, weights=np.asarray(values, dtype=np.float64), minlength=self.count)
        return self.weights @ each

    def ratio(
        self, over: Sequence[float] | Floats | Ints, under: Sequence[float] | Floats | Ints, level: float = LEVEL
    ) -> Interval | None:
        """The sum of one value an item by the sum of another one; ``None`` if nothing is to divide by."""
        whole = float(np.sum(under))
        if whole == 0:
            return None
        below = self.sums(under)
        drawn = self.sums(over)[below > 0] / below[below > 0]
        return percentile(float(np.sum(over)) / whole, drawn, self.count, level)

    def quantiles(self, values: Sequence[float] | Floats, share: float) -> tuple[float, Floats]:
        """The smallest value that ``share`` of all do not exceed, of the items and of each draw."""
        order = np.argsort(np.asarray(values, dtype=np.float64), kind="stable")
        sorted_values = np.asarray(values, dtype=np.float64)[order]
        own = sorted_values[max(0, int(np.ceil(share * len(order) - 1e-9)) - 1)]
        drawn = np.empty(len(self.weights))
        for at, weights in enumerate(self.weights):
            reached = np.cumsum(weights[self.index[order]])
            drawn[at] = sorted_values[np.searchsorted(reached, share * reached[-1] - 1e-9)]
        return float(own), drawn


def percentile(value: float, drawn: Floats, worlds: int, level: float = LEVEL) -> Interval:
    """The interval between two percentiles of what draws of so many worlds gave; it always holds ``value``."""
    tail = _expanded_tail(worlds, level)
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return Interval(value, min(value, float(low)), max(value, float(high)))


def bounded(value: float, drawn: Floats, worlds: int, level: float = LEVEL) -> Interval:
    """The interval of a number from 0 to 1 that is the mean of as many worlds.

    If it is 0 or 1, all worlds are alike and so are all draws, which then do not say how sure that is. The other end is
    Clopper and Pearson's in that case, as if each world was one trial: of n of n it has a closed form.
    """
    if value not in (0.0, 1.0):
        return percentile(value, drawn, worlds, level)
    reach = float(((1 - level) / 2) ** (1 / worlds))
    return Interval(1.0, reach, 1.0) if value else Interval(0.0, 0.0, 1 - reach)


def around(value: float, drawn: Floats, worlds: int, level: float = LEVEL) -> Interval:
    """The interval around ``value`` that is as wide as the draws' around their own mean.

    For what draws give with a bias: of a sample that repeats items, mutual information is larger than of one that does
    not, so that percentiles of draws would be too high.
    """
    spread = percentile(0.0, drawn - float(np.mean(drawn)), worlds, level)
    return Interval(value, value + spread.low, value + spread.high)


def _expanded_tail(worlds: int, level: float) -> float:
    """The share of draws beyond either end: the normal tail behind Student's quantile, for the sample's deviation.

    Student's quantile is from the normal one, by the first terms of its expansion (Abramowitz and Stegun 26.7.5).
    """
    low, high = 0.0, 10.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _normal_tail(middle) > (1 - level) / 2 else (low, middle)
    z, free = low, max(1, worlds - 1)
    student = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    return _normal_tail(student * math.sqrt(1 + 1 / free))


def _normal_tail(z: float) -> float:
    return math.erfc(z / math.sqrt(2)) / 2
