"""Recall and precision, by hand."""

from __future__ import annotations

import pytest

from obscura.lab.estimators import Score, score


def test_all_right() -> None:
    assert score({1: 1, 2: 2, 3: 3}) == Score(1.0, 1.0)


def test_all_wrong_or_unseen() -> None:
    assert score({1: 2, 2: 1, 3: None}) == Score(0.0, 0.0)


def test_naming_one_node_for_everything_is_imprecise() -> None:
    found = score({1: 1, 2: 1, 3: 1, 4: 1})
    assert found.recall == 0.25
    assert found.precision == pytest.approx(0.25 / 4)


def test_each_right_guess_counts_by_its_share_of_what_is_mapped_there() -> None:
    # To 1: its own and 2's; to 3: its own; to 4: 5's alone; 4's is not seen.
    found = score({1: 1, 2: 1, 3: 3, 4: None, 5: 4})
    assert found.recall == pytest.approx(2 / 5)
    assert found.precision == pytest.approx((1 / 2 + 1) / 5)


def test_a_guess_may_name_somebody_who_sent_nothing() -> None:
    assert score({1: 9, 2: 2}) == Score(0.5, 0.5)


def test_nobody_sends() -> None:
    assert score({}) == Score(0.0, 0.0)
