"""The profile ``steady``: the same number of bytes in each tick, whatever there is to say (design §5).

A link's rate stands on a ladder of a few, and changes only where an *epoch* ends. The ends are known beforehand: ticks
are counted from the moment in which the link has keys. Five short epochs come first, as it is young links that catch up
with the chain; then each is as long as the operator says.

At an end the rate goes one rung up if the bytes that were put during the epoch are more than STEADY_FULL percent of
what it carried; where they, and what still waits, are hardly any, it goes down to what they need. Both happen with
probability 1 in STEADY_PATIENCE, but in young epochs a rise is certain. So when there was something to say shows as one
of a few rates, some epochs later. Where the line does not carry the rate, it goes one rung down. A tick falls to a
random moment of the first quarter of its time, lest it shows how busy the machine is. Before the handshake is complete
a link has the least rate that there is: strangers buy nothing.

Nothing is urgent here, and a link that ends does not say what still waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ..base.instant import Duration, Instant
from ..base.limits import (
    STEADY_EMPTY,
    STEADY_EPOCH_LEAST,
    STEADY_FULL,
    STEADY_PATIENCE,
    STEADY_SMALLEST,
    STEADY_STEP,
    STEADY_TICK,
    STEADY_YOUNG,
    STEADY_YOUNG_PART,
)
from ..base.randomness import Chance
from .options import LADDER_OF_RATES, Profile, SteadyOptions

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
        "_awake",
        "_chance",
        "_demand",
        "_due",
        "_epoch",
        "_epoch_ends",
        "_left_out",
        "_open",
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
        self._open = False
        self._origin: Instant | None = None
        """When the link got its keys: tick 0."""
        self._due: Instant | None = None
        self._awake = False
        """The deadline has been looked at. Other inputs find a tick that is due now and then; it does not go with them,
        as its moment would show theirs."""
        self._tick = 0
        """Number of the tick that is due next."""
        self._epoch = 0
        self._epoch_ends = self._length(0)
        """Number of the first tick of the next epoch."""
        self._demand = 0
        """Bytes that were put in this epoch so far."""
        self._left_out = 0
        """Ticks of this epoch that the peer did not take."""
        self.clogged = False

    @property
    def rate(self) -> int | None:
        """See :class:`Shaper`."""
        return self._rate if self._open else STEADY_SMALLEST

    def opened(self, now: Instant) -> None:
        """See :class:`Shaper`."""
        del now
        self._open = True

    def put(self, amount: int, now: Instant, *, urgent: bool) -> None:
        """See :class:`Shaper`."""
        del now, urgent
        self._demand += amount

    def heard(self, now: Instant) -> None:
        """See :class:`Shaper`."""

    def wake(self, now: Instant) -> None:
        """See :class:`Shaper`."""
        self._awake = self._due is not None and now >= self._due

    def take(self, waiting: int, now: Instant) -> int:
        """See :class:`Shaper`."""
        if self._origin is None:
            self._origin = now
            self._awake = True
        if not self._awake:
            return 0
        self._awake = False
        if self._tick >= self._epoch_ends:
            self._next_epoch(waiting)
        # A tick that was missed (the machine slept) is not made up for: the next ones are as all others.
        self._tick = max(self._tick, (now - self._origin) // STEADY_TICK) + 1
        begins = self._origin + self._tick * STEADY_TICK
        self._due = Instant(begins + self._chance.below(STEADY_TICK // 4))
        if self.clogged:
            # A peer that takes nothing gets nothing more; its line is as full as can be.
            self._left_out += 1
            return 0
        return (self.rate or 0) * STEADY_TICK // _SECOND

    def next_deadline(self) -> Instant | None:
        """See :class:`Shaper`."""
        return self._due

    def _length(self, epoch: int) -> int:
        """Ticks of an epoch."""
        ticks = self._options.epoch // STEADY_TICK
        return max(ticks // STEADY_YOUNG_PART, STEADY_EPOCH_LEAST // STEADY_TICK) if epoch < STEADY_YOUNG else ticks

    def _next_epoch(self, waiting: int) -> None:
        ticks = self._length(self._epoch)
        # Drawn at every end, so that what is drawn for a tick later depends on no rate.
        patient = self._chance.below(STEADY_PATIENCE) > 0
        young = self._epoch < STEADY_YOUNG
        idle = max(self._demand, waiting)
        if self._left_out * 4 > ticks:
            self._rate = max(self._options.lowest, self._rate // STEADY_STEP)
        elif self._is_full(self._demand, ticks, self._rate):
            if young or not patient:
                self._rise()
        elif idle * _PERCENT < self._carried(ticks, self._rate) * STEADY_EMPTY and not patient:
            fitting = (rate for rate in LADDER_OF_RATES if not self._is_full(idle, ticks, rate))
            self._rate = max(self._options.lowest, min(self._rate, next(fitting, self._rate)))
        self._demand = self._left_out = 0
        while self._tick >= self._epoch_ends:
            self._epoch += 1
            self._epoch_ends += self._length(self._epoch)

    def _rise(self) -> None:
        higher = min(self._options.highest, self._rate * STEADY_STEP)
        # Security: what a peer asks for costs us at most what the operator allows for all.
        if self._room is None or higher - self._rate <= self._room():
            self._rate = higher

    @staticmethod
    def _carried(ticks: int, rate: int) -> int:
        """Bytes that so many ticks carry."""
        return ticks * rate * STEADY_TICK // _SECOND

    def _is_full(self, demand: int, ticks: int, rate: int) -> bool:
        return demand * _PERCENT > self._carried(ticks, rate) * STEADY_FULL
