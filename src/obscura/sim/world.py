"""Virtual time: one heap of things to come. Equal times fire in the order in which they were planned."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from ..base.instant import MICROSECONDS, Duration, Instant, Now, WallTime
from ..base.randomness import Chance
from .journal import Journal

EPOCH = WallTime(1_800_000_000)
"""The wall clock's time when a simulation begins."""


class World:
    """The clock, the seed and the journal of one simulation."""

    def __init__(self, seed: int, *, keep_lines: bool = False) -> None:
        self.chance = Chance.from_seed(seed)
        self.journal = Journal(keep_lines=keep_lines)
        self.events = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._serial = 0
        self._time = 0

    @property
    def now(self) -> Now:
        """Both clocks; they run at one pace."""
        return Now(Instant(self._time), WallTime(EPOCH + self._time // MICROSECONDS))

    def plan(self, delay: int, action: Callable[[], None]) -> None:
        """Do something ``delay`` µs from now."""
        self._serial += 1
        heapq.heappush(self._heap, (self._time + max(0, delay), self._serial, action))

    def run(self, until: Duration, finished: Callable[[], bool]) -> bool:
        """Let time pass up to ``until`` after the beginning; ``True`` as soon as ``finished`` says so.

        ``finished`` is asked once for each virtual second, not at each event.
        """
        next_look = self._time
        while self._heap and self._heap[0][0] <= until:
            if self._heap[0][0] >= next_look:
                if finished():
                    return True
                next_look = self._heap[0][0] + MICROSECONDS
            self._time, _, action = heapq.heappop(self._heap)
            self.events += 1
            action()
        return finished()
