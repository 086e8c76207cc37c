"""Both clocks, read together."""

from __future__ import annotations

import time

from ..base.instant import WALL_MOST, Instant, Now, WallTime


def read_clock() -> Now:
    """The monotonic clock in µs and the wall clock in whole seconds.

    A machine may start with its clock before 1970 or after 2106; such a time is cut to what messages can carry.
    """
    wall = min(max(0, int(time.time())), WALL_MOST)
    return Now(Instant(time.monotonic_ns() // 1_000), WallTime(wall))
