"""One loop timer for the node's one deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..base.instant import Instant
from .clock import read_clock


class Alarm:
    """Calls ``ring`` when the deadline that was set last has come."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._at: Instant | None = None
        self._handle: asyncio.TimerHandle | None = None

    def set(self, deadline: Instant | None) -> None:
        """Name, move or remove the deadline."""
        if deadline == self._at:
            return
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._at = deadline
        if deadline is not None:
            # Whole milliseconds, rounded up: uvloop's timers know no finer step, and one that fires early is wasted.
            wait_ms = -(-max(0, deadline - read_clock().mono) // 1_000)
            self._handle = asyncio.get_running_loop().call_later(wait_ms / 1_000, self._on_time)

    def _on_time(self) -> None:
        self._at = self._handle = None
        self._ring()
