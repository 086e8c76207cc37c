"""Both clocks, read together."""

from __future__ import annotations

import time

from ..base.instant import Instant, Now, WallTime


def read_clock() -> Now:
    """The monotonic clock in µs and the wall clock in whole seconds."""
    return Now(Instant(time.monotonic_ns() // 1_000), WallTime(int(time.time())))
