"""Means with their errors, and whether values are exponential."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..base.errors import BugError
from ..base.randomness import Chance


class Estimate(NamedTuple):
    """A mean and its standard error; 0 as well where it is not known, of a single value."""

    mean: float
    error: float


class Fit(NamedTuple):
    """What a Kolmogorov-Smirnov test says."""

    gap: float
    """The largest distance between both distribution functions."""
    p: float
    """The probability of such a gap, or a larger one, if the hypothesis holds."""


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and standard error of independent values, one for each graph; the error of a single one is not known, and 0.

    Raises:
        BugError: there are none.
    """
    if not values:
        raise BugError("no value has no mean")
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Estimate(mean, 0.0)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return Estimate(mean, math.sqrt(variance / len(values)))


def variation(values: Sequence[float]) -> float:
    """The coefficient of variation: standard deviation over mean; 1 for exponential values."""
    mean, error = estimate(values)
    return error * math.sqrt(len(values)) / mean


def exponential_fit(values: Sequence[float], mean: float) -> Fit:
    """Test, by Kolmogorov and Smirnov's statistic, whether values are exponential with a *known* mean.

    The p-value is the asymptotic one, with Stephens' correction for the number of values (good from some 20). A mean
    that was taken from the same values would make it too large.
    """
    count = len(values)
    gap = 0.0
    for at, value in enumerate(sorted(values)):
        reached = -math.expm1(-value / mean) if value > 0 else 0.0
        gap = max(gap, (at + 1) / count - reached, reached - at / count)
    root = math.sqrt(count)
    return Fit(gap, kolmogorov_tail((root + 0.12 + 0.11 / root) * gap))


def kolmogorov_tail(value: float) -> float:
    """P(K > value) for Kolmogorov's distribution, by its series; .05 at 1.358."""
    if value < 0.2:  # there the series converges slowly, and to 1
        return 1.0
    terms = (math.exp(-2 * k * k * value * value) for k in range(1, 101))
    alternating = math.fsum(-term if at % 2 else term for at, term in enumerate(terms))
    return min(1.0, max(0.0, 2 * alternating))


def poisson(chance: Chance, mean: float) -> int:
    """A Poisson count, by multiplying uniform values until they are below exp(-mean) (Knuth); for means up to 500."""
    floor = math.exp(-mean)
    count = 0
    product = chance.uniform()
    while product > floor:
        count += 1
        product *= chance.uniform()
    return count
