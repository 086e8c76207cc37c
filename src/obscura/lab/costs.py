"""What a profile costs: bytes for an operator's bill, and delays. Intervals are from a bootstrap over worlds.

Delays are added against the profile that shapes nothing. The worlds of both are drawn apart; where they are the same
worlds, delays of both rise and fall together and the interval is wider than it must be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ..base.randomness import Chance
from .intervals import Interval
from .observed import Cost
from .resampling import Worlds, percentile

MONTH_S: Final = 30 * 86_400
_HIGH: Final = 0.95


class Bill(NamedTuple):
    """Bytes of one link, both directions together."""

    worlds: int
    seconds: float
    """Measured, in all worlds together."""
    rate: Interval
    """Bytes a second."""
    month: Interval
    """Bytes in 30 days."""
    per_real: Interval | None
    """Bytes of the wire for one of a message; ``None`` if there was no message."""
    decoys: Interval | None
    """The share of the wire's bytes that are decoys; ``None`` if the wire had none."""
    padding: Interval | None
    """The share that is padding."""


class Delay(NamedTuple):
    """How late something arrives, in seconds."""

    what: str
    arrived: int
    median: Interval
    high: Interval
    """95 of 100 arrive sooner."""
    added: Interval | None
    """The median less that of the profile that shapes nothing; ``None`` if there is no such, or it is this one."""


_DELAYS: Final[tuple[tuple[str, Callable[[Cost], tuple[float, ...]]], ...]] = (
    ("block", lambda cost: cost.block_delays),
    ("relayed", lambda cost: cost.relayed_delays),
    ("own", lambda cost: cost.own_delays),
)


def bill(costs: Sequence[Cost], chance: Chance) -> Bill | None:
    """What links cost in bytes; ``None`` if nothing was measured.

    Args:
        costs: of all worlds.
        chance: draws worlds.
    """
    seconds = [one.seconds for one in costs]
    wire = [one.wire for one in costs]
    if not sum(seconds):
        return None
    draws = Worlds([one.world for one in costs], chance)
    rate = draws.ratio(wire, seconds)
    assert rate is not None, "there are seconds to divide by"
    return Bill(
        draws.count,
        sum(seconds),
        rate,
        Interval(*(MONTH_S * end for end in rate)),
        draws.ratio(wire, [one.real for one in costs]),
        draws.ratio([one.decoy for one in costs], wire),
        draws.ratio([one.padding for one in costs], wire),
    )


def delays(costs: Sequence[Cost], plain: Sequence[Cost] | None, chance: Chance) -> tuple[Delay, ...]:
    """How late blocks, others' transactions and own ones arrive; what never did is not there.

    Args:
        costs: of all worlds.
        plain: of the profile that shapes nothing; ``None`` if there is none to compare with.
        chance: draws worlds; those of ``plain`` by a fork of its own.
    """
    found: list[Delay] = []
    for what, of in _DELAYS:
        values, worlds = _pooled(costs, of)
        if not values:
            continue
        draws = Worlds(worlds, chance.fork(what))
        median, medians = draws.quantiles(values, 0.5)
        high, highs = draws.quantiles(values, _HIGH)
        added = None
        others, other_worlds = _pooled(plain or (), of)
        if others:
            other_draws = Worlds(other_worlds, chance.fork(f"{what}, plain"))
            other, other_medians = other_draws.quantiles(others, 0.5)
            added = percentile(median - other, medians - other_medians, min(draws.count, other_draws.count))
        found.append(
            Delay(
                what,
                len(values),
                percentile(median, medians, draws.count),
                percentile(high, highs, draws.count),
                added,
            )
        )
    return tuple(found)


def _pooled(costs: Sequence[Cost], of: Callable[[Cost], tuple[float, ...]]) -> tuple[list[float], list[int]]:
    """All values, and of each its world."""
    pairs = [(value, one.world) for one in costs for value in of(one)]
    return [value for value, _ in pairs], [world for _, world in pairs]
