"""Distributions of whole numbers, each drawn from a stream of chance that a machine is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..base.errors import BugError
from ..base.instant import Duration
from ..base.randomness import Chance


class Distribution(Protocol):
    """Of microseconds, bytes or counts, never negative."""

    def draw(self, chance: Chance) -> int:
        """One value."""
        ...


@dataclass(frozen=True, slots=True)
class Uniform:
    """From ``low`` to ``high``, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            msg = f"nothing lies between {self.low} and {self.high}"
            raise BugError(msg)

    def draw(self, chance: Chance) -> int:
        """One value."""
        return self.low + chance.below(self.high - self.low + 1)


@dataclass(frozen=True, slots=True)
class Exponential:
    """With a mean, before what is above ``most`` is cut to it: a wait is never endless."""

    mean: int
    most: int

    def __post_init__(self) -> None:
        if not 0 < self.mean <= self.most:
            msg = f"a mean of {self.mean} with {self.most} at most"
            raise BugError(msg)

    def draw(self, chance: Chance) -> int:
        """One value."""
        return min(self.most, chance.exponential(Duration(self.mean)))


@dataclass(frozen=True, slots=True)
class Geometric:
    """How often something is done that goes on with the same probability each time: 1 or more, ``mean`` on average."""

    mean: float

    def __post_init__(self) -> None:
        if self.mean < 1:
            msg = f"what is done once at least is not done {self.mean} times on average"
            raise BugError(msg)

    def draw(self, chance: Chance) -> int:
        """One value."""
        if self.mean == 1:
            return 1
        return 1 + int(math.log1p(-chance.uniform()) / math.log1p(-1 / self.mean))


@dataclass(frozen=True, slots=True)
class Mix:
    """Some values, each with a weight."""

    values: Sequence[int]
    weights: Sequence[int]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.weights) or min(self.weights, default=0) < 1 or min(self.values) < 0:
            raise BugError("each value has a weight of 1 at least, and there is one")

    def draw(self, chance: Chance) -> int:
        """One value."""
        left = chance.below(sum(self.weights))
        for value, weight in zip(self.values, self.weights, strict=True):
            left -= weight
            if left < 0:
                return value
        raise BugError("a draw is below the sum of the weights")

    @property
    def mean(self) -> float:
        """The mean value."""
        return sum(map(int.__mul__, self.values, self.weights)) / sum(self.weights)
