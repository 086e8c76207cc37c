"""Ours beside what is published: tolerances, verdicts, words."""

from __future__ import annotations

import pytest

from obscura.lab.findings import Finding, exactly
from obscura.lab.statistics import Estimate


def test_the_larger_tolerance_counts() -> None:
    assert exactly(1, "", "", None, Estimate(0.5, 0.001), 0.5, 0.01).tolerance == 0.01
    assert exactly(1, "", "", None, Estimate(0.5, 0.02), 0.5, 0.01).tolerance == pytest.approx(0.06)
    assert Finding(1, "", "", None, Estimate(0.5, 0.02), low=0.4).tolerance == 0.0


@pytest.mark.parametrize(
    ("low", "high", "given", "mean", "verdict"),
    [
        (0.5, 0.5, 0.01, 0.505, "holds"),
        (0.5, 0.5, 0.01, 0.489, "FAILS"),
        (0.5, 0.5, 0.01, 0.511, "FAILS"),
        (0.5, None, 0.0, 0.49, "FAILS"),
        (0.5, None, 0.0, 0.9, "holds"),
        (0.5, None, 0.02, 0.49, "holds"),
        (None, 0.5, None, 0.51, "FAILS"),
        (None, 0.5, None, 0.5, "holds"),
        (2.0, 4.0, None, 3.0, "holds"),
        (2.0, 4.0, None, 1.9, "FAILS"),
        (2.0, 4.0, None, 4.1, "FAILS"),
        (None, None, None, 7.0, ""),
    ],
)
def test_verdicts(low: float | None, high: float | None, given: float | None, mean: float, verdict: str) -> None:
    finding = Finding(1, "setup", "measure", None, Estimate(mean, 0.0), low, high, given)
    assert finding.verdict == verdict
    assert finding.holds is (verdict != "FAILS")


def test_ranges_in_words() -> None:
    ours = Estimate(1.0, 0.0)
    assert exactly(1, "", "", None, ours, 0.0256, 0.1).published == "0.0256"
    assert Finding(1, "", "", None, ours, low=0.5).published == "≥ 0.5"
    assert Finding(1, "", "", None, ours, high=0.5).published == "≤ 0.5"
    assert Finding(1, "", "", None, ours, low=2, high=4).published == "2 to 4"
    assert Finding(1, "", "", None, ours).published == ""
