"""How sure a share is that was counted, and whether a guesser does better than chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

from ..base.errors import BugError

_Z: Final = 1.959963984540054  # of 95 %, two-sided
_OUTSIDE: Final = 0.05
_STEPS: Final = 60  # of a bisection: as exact as a float


class Interval(NamedTuple):
    """A number with the ends of its interval, of 95 % where nothing else is said."""

    value: float
    low: float
    high: float


class Share(NamedTuple):
    """``hits`` of ``total`` runs, with the limits of its 95 % interval."""

    hits: int
    total: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share itself."""
        return self.hits / self.total

    def __str__(self) -> str:
        return f"{self.hits} of {self.total} ({100 * self.low:.1f} to {100 * self.high:.1f} %)"


def clopper_pearson(count: int, total: int) -> Share:
    """The exact interval, which never holds less than 95 %: after 0 of 100 the share may be 3.6 % and no more.

    Raises:
        BugError: there are not so many.
    """
    _check(count, total)
    low = 0.0 if count == 0 else _solve(lambda p: binomial_tail(count, total, p) < _OUTSIDE / 2)
    high = 1.0 if count == total else _solve(lambda p: 1 - binomial_tail(count + 1, total, p) > _OUTSIDE / 2)
    return Share(count, total, low, high)


def wilson(count: int, total: int) -> Share:
    """Wilson's interval (1927), which holds 95 % on average.

    Raises:
        BugError: there are not so many.
    """
    _check(count, total)
    share, z2 = count / total, _Z * _Z
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    reach = _Z / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return Share(count, total, max(0.0, middle - reach), min(1.0, middle + reach))


def binomial_tail(count: int, total: int, chance: float) -> float:
    """P(at least ``count`` of ``total``), each with probability ``chance``."""
    if count <= 0:
        return 1.0
    if chance <= 0:
        return 0.0
    if chance >= 1:
        return float(count <= total)
    logs = (
        math.lgamma(total + 1)
        - math.lgamma(one + 1)
        - math.lgamma(total - one + 1)
        + one * math.log(chance)
        + (total - one) * math.log1p(-chance)
        for one in range(count, total + 1)
    )
    return min(1.0, math.fsum(math.exp(one) for one in logs))


def _check(count: int, total: int) -> None:
    if not 0 <= count <= total or not total:
        msg = f"{count} of {total} is no share"
        raise BugError(msg)


def _solve(below: Callable[[float], bool]) -> float:
    """Where ``below`` turns from true to false between 0 and 1."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2
