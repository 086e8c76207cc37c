"""Draws of worlds, and intervals from them."""

from __future__ import annotations

import numpy as np
import pytest

from obscura.base.errors import BugError
from obscura.base.randomness import Chance
from obscura.lab.resampling import Worlds, around, bounded, percentile


def chance(seed: int = 1) -> Chance:
    """The stream of a test."""
    return Chance.from_seed(seed)


def test_each_draw_has_as_many_worlds_and_all_of_each() -> None:
    draws = Worlds([7, 7, 7, 3, 3, 9], chance(), 500)
    assert draws.count == 3
    assert (draws.weights.sum(axis=1) == 3).all()
    sums = draws.sums([1, 1, 1, 10, 10, 100])
    assert set(sums) <= {
        3 * a + 20 * b + 100 * c for a in range(4) for b in range(4) for c in range(4) if a + b + c == 3
    }


def test_one_seed_gives_one_interval() -> None:
    values = np.arange(40.0)
    worlds = list(range(40))
    first = Worlds(worlds, chance()).ratio(values, np.ones(40))
    assert first == Worlds(worlds, chance()).ratio(values, np.ones(40))
    assert first != Worlds(worlds, chance(2)).ratio(values, np.ones(40))


def test_items_of_a_world_are_not_independent() -> None:
    values = np.repeat([0.0, 1.0] * 10, 50)
    together = Worlds(np.repeat(np.arange(20), 50), chance()).ratio(values, np.ones(1_000))
    apart = Worlds(np.arange(1_000), chance()).ratio(values, np.ones(1_000))
    assert together is not None
    assert apart is not None
    assert together.value == apart.value == 0.5
    assert together.high - together.low > 5 * (apart.high - apart.low)


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for number in range(300):
        found = Worlds(np.arange(12), chance(number), 1_000).ratio(rng.normal(size=12), np.ones(12))
        assert found is not None
        held += found.low <= 0 <= found.high
    # Percentiles alone hold it in some 272 of 300.
    assert 278 <= held <= 294


def test_nothing_to_divide_by() -> None:
    assert Worlds([1, 2], chance()).ratio([1, 1], [0, 0]) is None


def test_quantiles_are_values_that_occur() -> None:
    draws = Worlds([1, 2, 3, 4], chance())
    assert draws.quantiles([4.0, 1.0, 3.0, 2.0], 0.5)[0] == 2.0
    assert draws.quantiles([4.0, 1.0, 3.0, 2.0], 0.95)[0] == 4.0
    value, drawn = draws.quantiles([4.0, 1.0, 3.0, 2.0], 0.25)
    assert value == 1.0
    assert set(drawn.tolist()) == {1.0, 2.0, 3.0, 4.0}


def test_draws_repeat_values_in_quantiles() -> None:
    draws = Worlds([1, 2], chance(), 200)
    _, drawn = draws.quantiles([5.0, 9.0], 0.5)
    assert [one == 9.0 for one in drawn.tolist()] == [row[0] == 0 for row in draws.weights.tolist()]


def test_quantiles_of_draws_are_of_as_many_items_as_these_have() -> None:
    draws = Worlds([1, 1, 1, 2], chance(), 200)
    _, drawn = draws.quantiles([1.0, 2.0, 3.0, 9.0], 0.5)
    # Of the second world alone it is 9, of both 2, of the first alone 2 as well.
    assert [one == 9.0 for one in drawn.tolist()] == [row[0] == 0 for row in draws.weights.tolist()]
    assert set(drawn.tolist()) == {2.0, 9.0}


def test_where_all_worlds_agree_their_number_says_how_sure_that_is() -> None:
    assert bounded(1.0, np.ones(10), 20) == pytest.approx((1.0, 0.025 ** (1 / 20), 1.0))
    assert bounded(0.0, np.zeros(10), 20) == pytest.approx((0.0, 0.0, 1 - 0.025 ** (1 / 20)))
    assert bounded(0.5, np.full(10, 0.5), 20) == (0.5, 0.5, 0.5)


def test_an_interval_holds_its_value() -> None:
    assert percentile(3.0, np.array([1.0, 2.0]), 10).high == 3.0
    assert percentile(0.0, np.array([1.0, 2.0]), 10).low == 0.0


def test_a_bias_of_draws_is_taken_out() -> None:
    drawn = np.linspace(9.0, 11.0, 1_001)
    found = around(1.0, drawn, 1_000_000)
    assert found.low == pytest.approx(0.05, abs=0.01)
    assert found.high == pytest.approx(1.95, abs=0.01)


def test_nothing_is_no_world() -> None:
    with pytest.raises(BugError):
        Worlds([], chance())
