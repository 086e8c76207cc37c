"""What shaping costs, counted on each link."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ..base.instant import Duration, Instant


@dataclass(slots=True)
class Traffic:
    """Bytes of one direction since the link's keys stand. What they lack to the bytes of the socket are the handshake,
    and the 37 bytes that each record with data adds."""

    real: int = 0
    """Of messages."""
    padding: int = 0
    """Of zeros beside them, in records that carry data."""
    decoy: int = 0
    """Of records that carry none, as long as they are on the wire."""

    def add(self, other: Traffic) -> None:
        """Count another link's bytes in."""
        self.real += other.real
        self.padding += other.padding
        self.decoy += other.decoy


@dataclass(slots=True)
class Delays:
    """How long messages waited until they were emitted, all of what is put at once counted as one."""

    count: int = 0
    total: Duration = field(default=Duration(0))
    longest: Duration = field(default=Duration(0))


class Waits:
    """What waits, and since when: keeps :class:`Delays`."""

    __slots__ = ("_emitted", "_put", "_waiting", "delays")

    def __init__(self) -> None:
        self._put = 0
        self._emitted = 0
        self._waiting: deque[tuple[int, Instant]] = deque()
        """Where, of all bytes ever put, those of one moment end; and that moment."""
        self.delays = Delays()

    def put(self, amount: int, now: Instant) -> None:
        """``amount`` bytes begin to wait."""
        if amount:
            self._put += amount
            self._waiting.append((self._put, now))

    def left(self, waiting: int, now: Instant) -> None:
        """So many bytes still wait; the others were emitted."""
        emitted = self._put - waiting
        while self._waiting and self._waiting[0][0] <= emitted:
            delay = Duration(now - self._waiting.popleft()[1])
            self.delays.count += 1
            self.delays.total = Duration(self.delays.total + delay)
            self.delays.longest = max(self.delays.longest, delay)

    def clear(self) -> None:
        """What waits is dropped."""
        self._waiting.clear()
