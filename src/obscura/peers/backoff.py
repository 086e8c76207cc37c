"""Exponential back-off with full jitter: how long to wait before the same address is dialled again.

Full jitter (a uniform draw below the exponential bound) keeps many nodes that lost one peer at the same moment from
coming back at the same moment.
"""

from __future__ import annotations

from ..base.instant import Duration
from ..base.limits import BACKOFF_BASE, BACKOFF_DOUBLINGS
from ..base.randomness import Chance


def backoff(failures: int, cap: Duration, chance: Chance) -> Duration:
    """The wait after ``failures`` (≥ 1) failures in a row: uniform in [0, min(cap, base·2^failures)]."""
    bound = min(cap, BACKOFF_BASE << min(failures, BACKOFF_DOUBLINGS))
    return chance.span(Duration(0), Duration(bound))
