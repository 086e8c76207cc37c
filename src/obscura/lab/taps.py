"""What somebody on one line writes down: of each write its time, its direction and its length."""

from __future__ import annotations

from bisect import bisect_left

from ..base.errors import BugError
from ..base.instant import MICROSECONDS
from .observed import Seen


class Tap:
    """Writes of one link in the order of their times, and the ways to cut them up. Times are in microseconds."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._sizes: list[int] = []

    def saw(self, at: int, size: int, *, outward: bool) -> None:
        """``size`` bytes were written at ``at``, by the watched node if they go ``outward``.

        Several writes of one side at one time are one: a driver gathers what a node sends in one turn.

        Raises:
            BugError: the time lies before that of an earlier write.
        """
        signed = size if outward else -size
        if not self._times or at > self._times[-1]:
            self._times.append(at)
            self._sizes.append(signed)
        elif at < self._times[-1]:
            raise BugError(f"a write at {at} µs is seen after one at {self._times[-1]} µs")
        else:
            # Both sides may write at one time: the last two entries are of it then.
            for index in range(len(self._times) - 1, -1, -1):
                if self._times[index] != at:
                    break
                if (self._sizes[index] > 0) == outward:
                    self._sizes[index] += signed
                    return
            self._times.append(at)
            self._sizes.append(signed)

    def window(self, start: int, end: int) -> tuple[Seen, ...]:
        """What was seen from ``start`` on and before ``end``, with times from ``start``."""
        first, last = bisect_left(self._times, start), bisect_left(self._times, end)
        return tuple(Seen(self._times[index] - start, self._sizes[index]) for index in range(first, last))

    def volume(self, start: int, end: int) -> tuple[int, ...]:
        """Bytes of both ways in each second from ``start`` on that begins before ``end``."""
        found = [0] * -(-(end - start) // MICROSECONDS)
        for seen in self.window(start, end):
            found[seen.at // MICROSECONDS] += abs(seen.size)
        return tuple(found)

    def total(self, start: int, end: int) -> int:
        """Bytes of both ways from ``start`` on and before ``end``."""
        first, last = bisect_left(self._times, start), bisect_left(self._times, end)
        return sum(map(abs, self._sizes[first:last]))
