"""Virtual time: one heap of things to come.

Time is in whole microseconds and jumps from one event to the next. Events of one instant happen in the order in which
they were scheduled, so that a run repeats bit by bit. Nothing is ever taken off the heap but by its turn: whoever no
longer wants an event looks at its own state when the event comes.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

from ..base.errors import BugError
from ..base.instant import MICROSECONDS, Duration, Instant, Now, WallTime
from ..base.randomness import Chance

EPOCH: Final = WallTime(1_800_000_000)
"""The wall clock of every world at its instant 0: a round number in 2027."""


class World:
    """A clock, a heap and a seed.

    Args:
        seed: names the world; parts take their streams by ``world.chance.fork(name)``.
        wall: the wall clock at instant 0, in Unix seconds.
    """

    def __init__(self, seed: int, wall: WallTime = EPOCH) -> None:
        self.seed = seed
        self.chance = Chance.from_seed(seed)
        self.time = Instant(0)
        self.events = 0
        """How many events have happened."""
        self._wall = wall
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._serial = 0

    @property
    def now(self) -> Now:
        """Both clocks; the wall clock runs as evenly as the monotonic one."""
        return Now(self.time, WallTime(self._wall + self.time // MICROSECONDS))

    def at(self, instant: int, call: Callable[..., None], *arguments: Any) -> None:
        """Have ``call(*arguments)`` happen at ``instant``.

        Raises:
            BugError: the instant has passed.
        """
        if instant < self.time:
            msg = f"an event at {instant} µs is scheduled when it is {self.time} µs already"
            raise BugError(msg)
        self._serial += 1
        heappush(self._heap, (instant, self._serial, call, arguments))

    def after(self, delay: int, call: Callable[..., None], *arguments: Any) -> None:
        """Have ``call(*arguments)`` happen ``delay`` microseconds from now."""
        self.at(self.time + delay, call, *arguments)

    def run_until(self, end: Instant) -> None:
        """Let everything happen up to and including ``end``; then it is ``end``."""
        heap = self._heap
        while heap and heap[0][0] <= end:
            instant, _, call, arguments = heappop(heap)
            self.time = Instant(instant)
            self.events += 1
            call(*arguments)
        self.time = end

    def run_for(self, span: Duration) -> None:
        """Let ``span`` microseconds pass."""
        self.run_until(Instant(self.time + span))
