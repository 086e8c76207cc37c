"""How many handshakes a node answers, over all links (transport: "Silence, sinks, deadlines")."""

from __future__ import annotations

from typing import Final

from ..base.instant import MICROSECONDS, Instant
from ..base.limits import HANDSHAKES_BURST, HANDSHAKES_PER_SECOND, RATIONS_RESERVED

_EVERY: Final = MICROSECONDS // HANDSHAKES_PER_SECOND


class Rations:
    """A bucket that holds HANDSHAKES_BURST answers and gains HANDSHAKES_PER_SECOND. The last RATIONS_RESERVED are for
    groups that were not answered lately."""

    __slots__ = ("_left", "_since")

    def __init__(self, now: Instant) -> None:
        self._left = HANDSHAKES_BURST
        self._since = now

    def take(self, now: Instant, *, fresh: bool) -> bool:
        """One answer, if there is one; ``fresh`` for a group that was not answered lately."""
        gained = (now - self._since) // _EVERY
        if gained > 0:
            self._left = min(HANDSHAKES_BURST, self._left + gained)
            self._since = Instant(self._since + gained * _EVERY)
        if self._left <= (0 if fresh else RATIONS_RESERVED):
            return False
        self._left -= 1
        return True

    def next_at(self) -> Instant:
        """When there is one more."""
        return Instant(self._since + _EVERY)
