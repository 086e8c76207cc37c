"""A number of ours beside a published one."""

from __future__ import annotations

from dataclasses import dataclass

from .statistics import Estimate


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a table. What is published is a range: a number is a range of its own, a floor has no upper end, and
    with neither end there is nothing to compare with."""

    row: int
    """Of the table of results to reproduce."""
    setup: str
    measure: str
    at: float | None
    """Where on the axis of a figure: the share of spies, or hops."""
    ours: Estimate
    low: float | None = None
    high: float | None = None
    given: float | None = None
    """The tolerance given; three standard errors of ours if they are more. ``None``: there is none at all."""

    @property
    def tolerance(self) -> float:
        """How far outside of what is published ours may be."""
        return 0.0 if self.given is None else max(self.given, 3 * self.ours.error)

    @property
    def holds(self) -> bool:
        """Ours is within tolerance."""
        above = self.low is None or self.ours.mean >= self.low - self.tolerance
        return above and (self.high is None or self.ours.mean <= self.high + self.tolerance)

    @property
    def published(self) -> str:
        """The range, for people."""
        match self.low, self.high:
            case None, None:
                return ""
            case low, None:
                return f"≥ {low:.4g}"
            case None, high:
                return f"≤ {high:.4g}"
            case low, high if low == high:
                return f"{low:.4g}"
            case low, high:
                return f"{low:.4g} to {high:.4g}"
        raise AssertionError("a pair is one of these")

    @property
    def verdict(self) -> str:
        """In a word; nothing where there is nothing to compare with."""
        if self.low is None and self.high is None:
            return ""
        return "holds" if self.holds else "FAILS"


def exactly(
    row: int, setup: str, measure: str, at: float | None, ours: Estimate, number: float, given: float
) -> Finding:
    """A published number, with its tolerance."""
    return Finding(row, setup, measure, at, ours, low=number, high=number, given=given)
