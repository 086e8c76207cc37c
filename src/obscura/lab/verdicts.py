"""What an interval says against a blind guess: the words of the audit's report are chosen by nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final

from ..base.errors import BugError
from .intervals import Interval

NEAR: Final = 0.1
"""How far above the blind guess an interval may reach to say no. One that begins below it and reaches further is too
wide to say anything."""


LEAST_WORLDS: Final = 12
LEAST_WINDOWS: Final = 60
"""With fewer, bootstrapped intervals hold the truth less often than they say, and nothing is concluded from them."""


class Verdict(Enum):
    """Whether something is seen."""

    YES = "yes"
    """The interval is above the blind guess."""
    NO = "no"
    """It holds the blind guess or is below, and ends near it."""
    OPEN = "not known"
    """It holds the blind guess, and much more: there are too few windows."""


def verdict(interval: Interval, blind: float) -> Verdict:
    """What an interval says against a blind guess, both as shares."""
    if interval.low > blind:
        return Verdict.YES
    return Verdict.NO if interval.high - blind <= NEAR else Verdict.OPEN


def enough(windows: int, worlds: int) -> bool:
    """Whether there is so much that a verdict can be given."""
    return windows >= LEAST_WINDOWS and worlds >= LEAST_WORLDS


def either(*said: Verdict) -> Verdict:
    """Of several measures of one thing: one that says yes is enough, and all must say no."""
    return next((one for one in (Verdict.YES, Verdict.OPEN) if one in said), Verdict.NO)


def strongest(intervals: Sequence[Interval]) -> Interval:
    """The interval of the truly largest of several numbers, if their intervals hold together.

    Raises:
        BugError: there is none.
    """
    if not intervals:
        raise BugError("nobody is the strongest of none")
    return Interval(*(max(ends) for ends in zip(*intervals, strict=True)))
