"""The profile ``steady``: the same number of bytes in each tick, whatever there is to say (design §5).

A link's rate stands on a ladder of a few, and changes only where an *epoch* ends. The ends are known beforehand: ticks
are counted from the moment in which the link has keys. Five short epochs come first, as it is young links that catch up
with the chain; then each is as long as the operator says.

At an end the rate goes one rung up if the bytes that were put during the whole epoch are more than STEADY_FULL percent
of what it carried; where they, and what still waits, are hardly any, it goes one rung down with probability 1 in
STEADY_PATIENCE. So the moment in an epoch at which there was something to say has no say, and how much there was shows
as one of a few rates, one epoch later. A tick falls to a random moment of the first quarter of its time, lest it shows
how busy the machine is.

Nothing is urgent here, and a link that ends does not say what still waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ..base.instant import Duration, Instant
from ..base.limits import (
    STEADY_EMPTY,
    STEADY_FULL,
    STEADY_PATIENCE,
    STEADY_STEP,
    STEADY_TICK,
    STEADY_YOUNG,
    STEADY_YOUNG_PART,
)
from ..base.randomness import Chance
from .options import Profile, SteadyOptions

Room: TypeAlias = Callable[[], int]
_SECOND = Duration(1_000_000)
_PERCENT = 100


class SteadyShaper:
    """Implements :class:`~obscura.shaping.profiles.Shaper`.

    Args:
        chance: for the moments of ticks, and for when a rate goes down.
        options: the operator's bounds.
        room: bytes a second by which rates may still rise; asked where one is to.
    """

    profile = Profile.STEADY
    __slots__ = (
        "_chance",
        "_demand",
        "_due",
        "_epoch",
        "_epoch_ends",
        "_options",
        "_origin",
        "_rate",
        "_room",
        "_tick",
        "clogged",
    )

    def __init__(self, chance: Chance, options: SteadyOptions, room: Room | None = None) -> None:
        self._chance = chance
        self._room = room
        self._options = options
        self._rate = options.lowest
        self._origin: Instant | None = None
        """When the link got its keys: tick 0."""
        self._due: Instant | None = None
        self._tick = 0
        """Number of the tick that is due next."""
        self._epoch = 0
        self._epoch_ends = self._length(0)
        """Number of the first tick of the next epoch."""
        self._demand = 0
        """Bytes that were put in this epoch so far."""
        self.clogged = False

    @property
    def rate(self) -> int | None:
        """See :class:`Shaper`."""
        return self._rate

    def put(self, amount: int, now: Instant, *, urgent: bool) -> None:
        """See :class:`Shaper`."""
        del now, urgent
        self._demand += amount

    def heard(self, data: int, decoys: int, now: Instant) -> None:
        """See :class:`Shaper`."""

    def take(self, waiting: int, now: Instant) -> int:
        """See :class:`Shaper`."""
        if self._origin is None:
            self._origin = self._due = now
        if self._due is None or now < self._due:
            return 0
        if self._tick >= self._epoch_ends:
            self._next_epoch(waiting)
        # A tick that was missed (the machine slept) is not made up for: the next ones are as all others.
        self._tick = max(self._tick, (now - self._origin) // STEADY_TICK) + 1
        begins = self._origin + self._tick * STEADY_TICK
        self._due = Instant(begins + self._chance.below(STEADY_TICK // 4))
        # A peer that takes nothing gets nothing more; its line is as full as can be.
        return 0 if self.clogged else self._rate * STEADY_TICK // _SECOND

    def next_deadline(self) -> Instant | None:
        """See :class:`Shaper`."""
        return self._due

    def _length(self, epoch: int) -> int:
        """Ticks of an epoch."""
        ticks = self._options.epoch // STEADY_TICK
        return ticks // STEADY_YOUNG_PART if epoch < STEADY_YOUNG else ticks

    def _next_epoch(self, waiting: int) -> None:
        carried = self._length(self._epoch) * self._rate * STEADY_TICK // _SECOND
        # Drawn at every end, so that what is drawn for a tick later depends on no rate.
        patient = self._chance.below(STEADY_PATIENCE) > 0
        if self._demand * _PERCENT > carried * STEADY_FULL:
            higher = min(self._options.highest, self._rate * STEADY_STEP)
            # Security: what a peer asks for costs us at most what the operator allows for all.
            if self._room is None or higher - self._rate <= self._room():
                self._rate = higher
        elif (self._demand + waiting) * _PERCENT < carried * STEADY_EMPTY and not patient:
            self._rate = max(self._options.lowest, self._rate // STEADY_STEP)
        self._demand = 0
        while self._tick >= self._epoch_ends:
            self._epoch += 1
            self._epoch_ends += self._length(self._epoch)
