"""First messages that a keyed listener has accepted: none of them is answered twice.

The mac of a first message holds for the hour before, its own and the one after (docs/protocol.md, "Keyed listener"). So
a copy of one that was accepted could be used against the listener for less than three hours, as long as its 32-byte
ephemeral is kept here. Only holders of the access secret can fill the window, and a full one answers nobody new.

The wall clock decides, as it does for the mac: an entry counts while the clock is within REPLAY_TIME of it, on either
side. A clock that is set hours ahead and back again reopens what it had passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias

from ..base.instant import WallTime
from ..base.limits import REPLAY_KEPT, REPLAY_TIME

Knock: TypeAlias = tuple[bytes, WallTime]
"""The 32 bytes of an ephemeral, and when they came."""


class ReplayGuard(Protocol):
    """Remembers accepted ephemerals: in memory (:class:`ReplayWindow`), or on a disk (``obscura.store.replay``)."""

    def admit(self, knocks: Sequence[Knock]) -> list[bool]:
        """Which of these handshakes may be answered, judged in their order: an ephemeral that is new is remembered on
        return. ``False`` for one that was accepted in the last REPLAY_TIME, by an earlier one of ``knocks`` too, or
        when REPLAY_KEPT are held.

        Raises:
            StoreError: they cannot be remembered; none of the handshakes may be answered.
        """
        ...


class ReplayWindow:
    """The window in memory, at most REPLAY_KEPT entries. It is a :class:`ReplayGuard` for the simulator.

    Args:
        entries: ephemerals and when they were accepted, as an earlier run left them.
    """

    def __init__(self, entries: Iterable[tuple[bytes, WallTime]] = ()) -> None:
        self._accepted: dict[bytes, WallTime] = {}
        self._swept: WallTime | None = None
        for e_i, accepted in entries:
            self._accepted[e_i] = accepted

    def __len__(self) -> int:
        return len(self._accepted)

    def entries(self) -> Iterator[tuple[bytes, WallTime]]:
        """What is held, in the order of acceptance."""
        yield from self._accepted.items()

    def admit(self, knocks: Sequence[Knock]) -> list[bool]:
        """See :class:`ReplayGuard`."""
        return [self._admit(e_i, now) for e_i, now in knocks]

    def forget(self, e_i: bytes) -> None:
        """Take an ephemeral out that was admitted just now: its handshake is not answered after all."""
        self._accepted.pop(e_i, None)

    def _admit(self, e_i: bytes, now: WallTime) -> bool:
        self._expire(now)
        known = self._accepted.get(e_i)
        if known is not None and _counts(known, now):
            return False
        if len(self._accepted) >= REPLAY_KEPT and self._swept != now:
            # An entry of a clock that was ahead stands before others whose time is over. All are looked at, so it is
            # done once for each second.
            self.expire(now)
            self._swept = now
        if len(self._accepted) >= REPLAY_KEPT and e_i not in self._accepted:
            return False
        # At the end, where the newest are: expiry looks at the front alone.
        self._accepted.pop(e_i, None)
        self._accepted[e_i] = now
        return True

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
