"""How long a stem transaction is kept back before its holder tells everybody (Fanti et al. 2018, section 4.5).

Every holder draws a time once, exponentially distributed. Whoever's time is over first and has not seen the transaction
spread tells it itself, so one that somebody swallows on its way is told all the same. The mean is so long that on an
honest way of ``hops`` steps no timer runs out early, but with a small probability: the holder at step i waits for the
other hops - i - 1 steps, so together the holders wait hops (hops - 1) / 2 steps, and

    P(no timer fires) = exp(-hops (hops - 1) hop / (2 mean)).

The logarithm is the natural one. That an exponential time forgets what has passed means, too, that one who draws anew
after a restart is no different from one who never stopped.
"""

from __future__ import annotations

import math

from ..base.errors import BugError
from ..base.instant import Duration


def embargo_mean(hops: float, hop: Duration, early: float) -> Duration:
    """The mean with which timers on an honest way fire early with probability ``early``.

    Args:
        hops: expected length of a stem, one over the share of diffusers; above 1.
        hop: what a step takes, as measured.
        early: between 0 and 1.

    Raises:
        BugError: a value that is none of these.
    """
    if not hops > 1 or hop <= 0 or not 0 < early < 1:
        raise BugError(f"no embargo follows of {hops} hops of {hop} µs and a probability of {early}")
    return Duration(round(-hops * (hops - 1) * hop / (2 * math.log1p(-early))))


def early_probability(hops: float, hop: Duration, mean: Duration) -> float:
    """That a timer fires on an honest way of ``hops`` steps before its end; the inverse of :func:`embargo_mean`."""
    return -math.expm1(-hops * (hops - 1) * hop / (2 * mean))
