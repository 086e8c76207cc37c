"""Intervals of shares: published values, bounds, and what they hold."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.errors import BugError
from obscura.lab.intervals import binomial_tail, clopper_pearson, wilson

counts = st.integers(1, 400).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [
        # Brown, Cai and DasGupta 2001 and common tables; "rule of three" for none.
        (0, 100, 0.0, 0.0362),
        (100, 100, 0.9638, 1.0),
        (5, 10, 0.1871, 0.8129),
        (1, 20, 0.0013, 0.2487),
        (50, 100, 0.3983, 0.6017),
    ],
)
def test_the_exact_interval(hits: int, total: int, low: float, high: float) -> None:
    share = clopper_pearson(hits, total)
    assert (share.low, share.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"), [(0, 100, 0.0, 0.0370), (5, 10, 0.2366, 0.7634), (1, 20, 0.0089, 0.2361)]
)
def test_wilsons_interval(hits: int, total: int, low: float, high: float) -> None:
    share = wilson(hits, total)
    assert (share.low, share.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


@given(counts)
def test_an_interval_holds_its_share_and_the_exact_one_is_wider_on_both_sides_of_it(of: tuple[int, int]) -> None:
    hits, total = of
    exact, usual = clopper_pearson(hits, total), wilson(hits, total)
    for share in (exact, usual):
        assert 0 <= share.low <= share.value + 1e-12
        assert share.value - 1e-12 <= share.high <= 1
    mirrored = clopper_pearson(total - hits, total)
    assert (1 - mirrored.high, 1 - mirrored.low) == (pytest.approx(exact.low), pytest.approx(exact.high))


@given(counts)
def test_the_exact_limits_are_where_a_tail_has_a_fortieth(of: tuple[int, int]) -> None:
    hits, total = of
    share = clopper_pearson(hits, total)
    if hits:
        assert binomial_tail(hits, total, share.low) == pytest.approx(0.025, rel=1e-6)
    if hits < total:
        assert 1 - binomial_tail(hits + 1, total, share.high) == pytest.approx(0.025, rel=1e-6)


@given(st.integers(0, 40), st.integers(1, 40), st.floats(0.01, 0.99))
def test_a_tail_is_the_sum_of_what_is_beyond(count: int, total: int, chance: float) -> None:
    expected = math.fsum(math.comb(total, k) * chance**k * (1 - chance) ** (total - k) for k in range(count, total + 1))
    assert binomial_tail(count, total, chance) == pytest.approx(expected, abs=1e-9)


def test_a_tail_at_its_ends() -> None:
    assert binomial_tail(0, 10, 0.0) == 1
    assert binomial_tail(1, 10, 0.0) == 0
    assert binomial_tail(10, 10, 1.0) == 1
    assert binomial_tail(11, 10, 1.0) == 0


@pytest.mark.parametrize(("hits", "total"), [(1, 0), (-1, 3), (4, 3), (0, 0)])
@pytest.mark.parametrize("interval", [clopper_pearson, wilson])
def test_what_is_no_share(interval: object, hits: int, total: int) -> None:
    assert callable(interval)
    with pytest.raises(BugError, match="no share"):
        interval(hits, total)


def test_for_people() -> None:
    assert str(clopper_pearson(0, 100)) == "0 of 100 (0.0 to 3.6 %)"
