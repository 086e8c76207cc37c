"""In which order handshakes are answered when there are more than rations (transport: "Silence, sinks, deadlines").

First come, first served would let one flooder fill the queue: behind 500 of its handshakes everybody waits for seconds.
So the network group that was answered longest ago comes first, and within a group who came first. An honest peer of a
group that was not answered lately waits for one ration, a flood from one group competes with itself, and nothing but
group and time decides.
"""

from __future__ import annotations

from ..base.instant import Instant
from ..base.limits import RATION_GROUPS, RATION_MEMORY
from ..base.names import ConnId


class Knocking:
    """Who waits for an answer. Each connection waits once."""

    __slots__ = ("_answered", "_group_of", "_waiting")

    def __init__(self) -> None:
        self._group_of: dict[ConnId, bytes] = {}
        self._waiting: dict[bytes, dict[ConnId, None]] = {}
        """By group, in the order of their coming."""
        self._answered: dict[bytes, Instant] = {}
        """The groups that were answered last, and when; the latest at the end."""

    def __len__(self) -> int:
        return len(self._group_of)

    def __contains__(self, conn: ConnId) -> bool:
        return conn in self._group_of

    def enter(self, conn: ConnId, group: bytes) -> None:
        """A handshake waits for its answer. Harmless when it does already."""
        if conn not in self._group_of:
            self._group_of[conn] = group
            self._waiting.setdefault(group, {})[conn] = None

    def leave(self, conn: ConnId) -> None:
        """Its connection has ended. Harmless when it does not wait."""
        group = self._group_of.pop(conn, None)
        if group is not None:
            del self._waiting[group][conn]
            if not self._waiting[group]:
                del self._waiting[group]

    def first(self) -> tuple[ConnId, bytes]:
        """Whose turn it is, and its group; somebody must wait."""
        group = next((one for one in self._waiting if one not in self._answered), None)
        if group is None:
            group = next(one for one in self._answered if one in self._waiting)
        return next(iter(self._waiting[group])), group

    def is_fresh(self, group: bytes, now: Instant) -> bool:
        """Whether no handshake of this group was answered in the last RATION_MEMORY, as far as is remembered."""
        at = self._answered.get(group)
        return at is None or now - at >= RATION_MEMORY

    def answered(self, group: bytes, now: Instant) -> None:
        """A handshake of this group is answered, after a wait or without one."""
        self._answered.pop(group, None)
        self._answered[group] = now
        if len(self._answered) > RATION_GROUPS:
            del self._answered[next(iter(self._answered))]

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        assert len(self._answered) <= RATION_GROUPS, "what is remembered of groups is bounded"
        assert sum(map(len, self._waiting.values())) == len(self._group_of), "both views hold the same connections"
        assert all(self._waiting.values()), "a group without a connection is forgotten"
