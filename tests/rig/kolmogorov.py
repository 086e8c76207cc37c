"""Whether samples come from one distribution: the two-sample Kolmogorov-Smirnov test, and Holm's correction."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence


def same_distribution(one: Sequence[float], other: Sequence[float]) -> float:
    """The p-value of the hypothesis that both are; asymptotic, so good from some 20 values each."""
    first, second = sorted(one), sorted(other)
    gap = max(
        abs(bisect_right(first, value) / len(first) - bisect_right(second, value) / len(second))
        for value in (*first, *second)
    )
    root = math.sqrt(len(first) * len(second) / (len(first) + len(second)))
    return _tail((root + 0.12 + 0.11 / root) * gap)


def uniform(values: Sequence[float], low: float, high: float) -> float:
    """The p-value of the hypothesis that they are uniform between two ends."""
    ordered = sorted((value - low) / (high - low) for value in values)
    count = len(ordered)
    gap = max(max((at + 1) / count - value, value - at / count) for at, value in enumerate(ordered))
    root = math.sqrt(count)
    return _tail((root + 0.12 + 0.11 / root) * gap)


def holm(p_values: Mapping[str, float], level: float) -> list[str]:
    """The names whose hypothesis is refused when all are tested together at ``level``."""
    refused: list[str] = []
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        if p > level / (len(p_values) - rank):
            break
        refused.append(name)
    return refused


def _tail(value: float) -> float:
    if value < 0.2:
        return 1.0
    return min(1.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * value * value) for k in range(1, 101)))
