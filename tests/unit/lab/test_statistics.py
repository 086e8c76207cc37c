"""Means, errors, and the test for exponential values."""

from __future__ import annotations

import math

import pytest

from obscura.base.errors import BugError
from obscura.base.instant import Duration
from obscura.base.randomness import Chance
from obscura.lab.statistics import Estimate, estimate, exponential_fit, kolmogorov_tail, poisson, variation


def test_mean_and_standard_error() -> None:
    assert estimate([2.0]) == Estimate(2.0, 0.0)
    mean, error = estimate([1.0, 2.0, 3.0, 4.0])
    assert mean == 2.5
    assert error == pytest.approx(math.sqrt(5 / 3 / 4))
    with pytest.raises(BugError):
        estimate([])


def test_variation() -> None:
    assert variation([1.0, 3.0]) == pytest.approx(math.sqrt(2) / 2)
    assert variation([5.0, 5.0, 5.0]) == 0.0


@pytest.mark.parametrize(("value", "tail"), [(0.1, 1.0), (0.5, 0.9639), (1.0, 0.27), (1.358, 0.05), (1.628, 0.01)])
def test_kolmogorov_tables(value: float, tail: float) -> None:
    assert kolmogorov_tail(value) == pytest.approx(tail, abs=2e-4)


def test_the_gap_of_two_values_by_hand() -> None:
    # F(ln 2) is 1/2 and F(ln 4) is 3/4: the gaps are 1/2 before the first, and 1/4 before the second and after it.
    assert exponential_fit([math.log(4), math.log(2)], 1.0).gap == pytest.approx(0.5)


def test_exponential_values_pass_and_their_p_values_are_uniform() -> None:
    chance = Chance.from_seed(1)
    mean = Duration(10_000_000)
    values = [exponential_fit([chance.exponential(mean) for _ in range(100)], mean).p for _ in range(200)]
    assert 0.4 < sum(values) / 200 < 0.6
    assert sum(value < 0.1 for value in values) in range(8, 34)


@pytest.mark.parametrize("name", ["uniform", "another mean", "constant", "poisson"])
def test_others_fail(name: str) -> None:
    chance = Chance.from_seed(2)
    draws = {
        "uniform": lambda: 2 * chance.uniform(),
        "another mean": lambda: chance.exponential(Duration(1_300_000)) / 1e6,
        "constant": lambda: 1.0,
        "poisson": lambda: poisson(chance, 39) / 39,
    }
    assert exponential_fit([draws[name]() for _ in range(1_000)], 1.0).p < 1e-6


def test_values_that_are_zero_or_less() -> None:
    assert exponential_fit([0.0] * 30, 1.0).gap == 1.0
    assert exponential_fit([-1.0] * 30, 1.0).gap == 1.0


@pytest.mark.parametrize("mean", [0.0, 0.5, 39.0])
def test_poisson_counts(mean: float) -> None:
    chance = Chance.from_seed(3)
    counts = [poisson(chance, mean) for _ in range(4_000)]
    found = estimate(counts)
    assert abs(found.mean - mean) <= 4 * found.error
    variance = found.error**2 * 4_000
    assert abs(variance - mean) <= 0.12 * mean, "a Poisson count's variance is its mean"
