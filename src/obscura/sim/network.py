"""Simulated connections: ordered bytes, as TCP gives them, over lines that are slow, lossy and sometimes cut.

A loss is a delay, because TCP sends again; the order is kept. What is written arrives in pieces that are cut anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..base.instant import MICROSECONDS, Duration, seconds
from ..base.randomness import Chance
from .world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOptions:
    """One bad network, in one place."""

    latency_min: Duration = field(default_factory=lambda: seconds(0.01))
    latency_max: Duration = field(default_factory=lambda: seconds(0.15))
    """A line's latency is drawn once between both."""
    jitter: Duration = field(default_factory=lambda: seconds(0.02))
    """Added to each piece, uniform."""
    loss: float = 0.02
    """Chance that a piece must be sent again."""
    retransmit: Duration = field(default_factory=lambda: seconds(0.25))
    """What a loss costs, at least; exponential on top."""
    bandwidth: int = 2_000_000
    """Bytes a second, each way."""
    cut: float = 0.5
    """Chance that a piece is cut into two at a random place, again and again."""
    reset: float = 0.000_2
    """Chance that a piece breaks the connection instead of arriving."""


class Line:
    """One direction of a connection."""

    def __init__(
        self,
        world: World,
        options: LineOptions,
        chance: Chance,
        deliver: Callable[[bytes], None],
        reset: Callable[[], None],
    ) -> None:
        self._world = world
        self._options = options
        self._chance = chance
        self._deliver = deliver
        self._reset = reset
        self._latency = chance.span(options.latency_min, options.latency_max)
        self._free_at = 0
        self._last_arrival = 0
        self._held: list[bytes] | None = None
        self.is_up = True

    def write(self, data: bytes) -> None:
        """Send bytes after those before."""
        for piece in self._pieces(data):
            if self._chance.uniform() < self._options.reset:
                self._plan(len(piece), self._break)
                return
            self._plan(len(piece), lambda piece=piece: self._arrive(piece))  # type: ignore[misc]

    def finish(self, action: Callable[[], None]) -> None:
        """Do something when all that was written has arrived: the end of the stream."""
        self._plan(0, action)

    def pause(self) -> None:
        """The receiver does not read: what arrives is held."""
        if self._held is None:
            self._held = []

    def resume(self) -> None:
        """The receiver reads again."""
        held, self._held = self._held, None
        if held:
            self._world.plan(0, lambda: self._arrive(b"".join(held)))

    def _pieces(self, data: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        while len(data) > 1 and self._chance.uniform() < self._options.cut:
            at = 1 + self._chance.below(len(data) - 1)
            pieces.append(data[:at])
            data = data[at:]
        return [*pieces, data]

    def _plan(self, length: int, action: Callable[[], None]) -> None:
        now = self._world.now.mono
        self._free_at = max(self._free_at, now) + length * MICROSECONDS // self._options.bandwidth
        arrival = self._free_at + self._latency + self._chance.below(self._options.jitter + 1)
        if self._chance.uniform() < self._options.loss:
            arrival += self._options.retransmit + self._chance.exponential(self._options.retransmit)
        self._last_arrival = max(self._last_arrival, arrival)
        self._world.plan(self._last_arrival - now, action)

    def _arrive(self, data: bytes) -> None:
        if not self.is_up:
            return
        if self._held is not None:
            self._held.append(data)
        else:
            self._deliver(data)

    def _break(self) -> None:
        if self.is_up:
            self._reset()
