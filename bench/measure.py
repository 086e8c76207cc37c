"""Timing that survives a noisy machine: short rounds of every variant in turn, and ratios within a round.

A machine's speed drifts by a factor of two within minutes, so a figure alone means little. All variants of a comparison
are run in each round, one after the other; a ratio is the median over the rounds of the ratio within one round.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds for one operation, one value a round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle round."""
        return statistics.median(self.rounds)

    def ratio(self, baseline: Times) -> float:
        """How many times the baseline this takes: the median of the rounds' own ratios."""
        return statistics.median(mine / other for mine, other in zip(self.rounds, baseline.rounds, strict=True))


def interleaved(variants: dict[str, tuple[Callable[[], object], int]], rounds: int) -> dict[str, Times]:
    """Time each variant once a round.

    Args:
        variants: by name, what to run and how many operations one run is.
        rounds: how many; one more is run before and thrown away.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    gc.collect()
    gc.disable()
    try:
        for number in range(-1, rounds):
            for name, (run, operations) in variants.items():
                start = time.perf_counter()
                run()
                spent = (time.perf_counter() - start) / operations
                if number >= 0:
                    seconds[name].append(spent)
    finally:
        gc.enable()
    return {name: Times(tuple(values)) for name, values in seconds.items()}
