"""Named deadlines with one earliest: a driver needs a single timer for the whole node."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

from ..base.instant import Instant
from ..base.limits import TIMERS_SLACK

K = TypeVar("K", bound=Hashable)


class Timers(Generic[K]):
    """Each key has at most one deadline. Setting it again, or to ``None``, replaces the old one.

    The heap may hold deadlines that were replaced; they are passed over when they surface, and swept out when they
    are the most of it, because a flood of short links would leave thousands that are due much later. Ties fire in the
    order in which they were set, so that a run repeats.
    """

    __slots__ = ("_at", "_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, K]] = []
        self._at: dict[K, tuple[Instant, int]] = {}
        self._serial = 0

    def set(self, key: K, instant: Instant | None) -> None:
        """Name, move or remove a deadline."""
        known = self._at.get(key)
        if instant is None:
            if known is not None:
                del self._at[key]
            return
        if known is not None and known[0] == instant:
            return
        self._serial += 1
        self._at[key] = (instant, self._serial)
        heapq.heappush(self._heap, (instant, self._serial, key))
        if len(self._heap) > 2 * len(self._at) + TIMERS_SLACK:
            self._heap = [(at, serial, key) for key, (at, serial) in self._at.items()]
            heapq.heapify(self._heap)

    def next_deadline(self) -> Instant | None:
        """The earliest deadline."""
        while self._heap:
            instant, serial, key = self._heap[0]
            if self._at.get(key) == (instant, serial):
                return instant
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: Instant) -> K | None:
        """Remove and return the key of one deadline that has come, the earliest first."""
        instant = self.next_deadline()
        if instant is None or instant > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._at[key]
        return key
