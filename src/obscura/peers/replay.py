"""First messages that a keyed listener has accepted: none of them is answered twice.

The mac of a first message holds for the hour before, its own and the one after (docs/protocol.md, "Keyed listener"). So
a copy of one that was accepted could be used against the listener for less than three hours, as long as its 32-byte
ephemeral is kept here. Only holders of the access secret can fill the window, and a full one answers nobody new.

The wall clock decides, as it does for the mac: an entry counts while the clock is within REPLAY_TIME of it, on either
side. A clock that is set hours ahead and back again reopens what it had passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from ..base.instant import WallTime
from ..base.limits import REPLAY_KEPT, REPLAY_TIME


class ReplayGuard(Protocol):
    """Remembers accepted ephemerals: in memory (:class:`ReplayWindow`), or on a disk (``obscura.store.replay``)."""

    def admit(self, e_i: bytes, now: WallTime) -> bool:
        """Whether the handshake may be answered: the 32 bytes are new, and are remembered on return. ``False`` if they
        were accepted in the last REPLAY_TIME, or REPLAY_KEPT are held.

        Raises:
            StoreError: they cannot be remembered; the handshake may not be answered.
        """
        ...


class ReplayWindow:
    """The window in memory, at most REPLAY_KEPT entries. It is a :class:`ReplayGuard` for the simulator.

    Args:
        entries: ephemerals and when they were accepted, as an earlier run left them.
    """

    def __init__(self, entries: Iterable[tuple[bytes, WallTime]] = ()) -> None:
        self._accepted: dict[bytes, WallTime] = {}
        for e_i, accepted in entries:
            self._accepted[e_i] = accepted

    def __len__(self) -> int:
        return len(self._accepted)

    def entries(self) -> Iterator[tuple[bytes, WallTime]]:
        """What is held, in the order of acceptance."""
        yield from self._accepted.items()

    def admit(self, e_i: bytes, now: WallTime) -> bool:
        """See :class:`ReplayGuard`."""
        if not self.is_new(e_i, now):
            return False
        self.add(e_i, now)
        return True

    def is_new(self, e_i: bytes, now: WallTime) -> bool:
        """Whether :meth:`add` may follow. Entries whose time is over are dropped here."""
        self._expire(now)
        known = self._accepted.get(e_i)
        if known is not None and _counts(known, now):
            return False
        if len(self._accepted) >= REPLAY_KEPT:
            # An entry of a clock that was ahead stands before others whose time is over.
            self.expire(now)
        return len(self._accepted) < REPLAY_KEPT or known is not None

    def add(self, e_i: bytes, now: WallTime) -> None:
        """Remember an ephemeral."""
        # At the end, where the newest are: expiry looks at the front alone.
        self._accepted.pop(e_i, None)
        self._accepted[e_i] = now

    def expire(self, now: WallTime) -> None:
        """Drop every entry whose time is over, wherever it stands."""
        self._accepted = {e_i: accepted for e_i, accepted in self._accepted.items() if _counts(accepted, now)}

    def _expire(self, now: WallTime) -> None:
        # In the order of acceptance, so each is looked at once; a clock that was set back keeps some of them longer.
        while self._accepted:
            oldest = next(iter(self._accepted))
            if _counts(self._accepted[oldest], now):
                break
            del self._accepted[oldest]


def _counts(accepted: WallTime, now: WallTime) -> bool:
    # What was accepted in our future counts as well: a clock that starts in 1970 must not empty the window.
    return now - accepted < REPLAY_TIME
