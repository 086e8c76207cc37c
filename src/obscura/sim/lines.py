"""One side of a simulated link, and how bad lines are."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

from ..base.errors import ConfigError
from ..base.instant import Duration, seconds
from ..base.limits import SEND_BUFFER_BYTES
from ..base.names import ConnId
from ..wire.address import NetAddress

FIN: Final = b""
"""Comes in after the last piece: the peer has ended its side."""
RESET: Final = None
"""Comes in instead of a piece: the link is dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOptions:
    """One bad network, in one place. Times are in microseconds; chances lie in [0, 1]."""

    latency_min: Duration = field(default_factory=lambda: seconds(0.01))
    """The shortest one-way delay; each link draws its own, uniformly."""
    latency_max: Duration = field(default_factory=lambda: seconds(0.15))
    """The longest."""
    jitter: Duration = field(default_factory=lambda: seconds(0.02))
    """Added to the delay of each piece, uniformly from 0."""
    loss: float = 0.02
    """That a piece is lost, and again that what replaces it is."""
    retransmit: Duration = field(default_factory=lambda: seconds(0.25))
    """How long a loss goes unnoticed; doubled each time that the same piece is lost again."""
    bandwidth: int = 2_000_000
    """Bytes in a second, each way."""
    cut: float = 0.5
    """That a write is cut into up to four pieces at random places. Large ones always are."""
    reset: float = 0.000_2
    """That a piece breaks the link, for both sides."""

    def __post_init__(self) -> None:
        if not 0 <= self.latency_min <= self.latency_max or min(self.jitter, self.retransmit) < 0:
            msg = f"latencies from {self.latency_min} to {self.latency_max} µs are no range, or a time is negative"
            raise ConfigError(msg)
        if self.bandwidth < 1:
            msg = f"a bandwidth of {self.bandwidth} bytes a second carries nothing"
            raise ConfigError(msg)
        for name, chance, most in (("cut", self.cut, 1.0), ("loss", self.loss, 0.9), ("reset", self.reset, 1.0)):
            if not 0 <= chance <= most:
                msg = f"{name} is a chance between 0 and {most}, not {chance}"
                raise ConfigError(msg)


class Station(Protocol):
    """What the network needs of a host."""

    number: int
    address: NetAddress
    frozen: bool
    """It takes nothing from its lines, as a stopped process."""

    def on_accept(self, line: Line, address: NetAddress) -> ConnId | None:
        """Someone connects; the line's name here, or ``None`` to refuse."""
        ...

    def on_connected(self, conn: ConnId, line: Line) -> None:
        """A dial has succeeded."""
        ...

    def on_dial_failed(self, conn: ConnId, reason: str) -> None:
        """A dial has failed, for one of the reasons that a node knows."""
        ...

    def on_data(self, conn: ConnId, data: bytes) -> None:
        """Bytes came."""
        ...

    def on_gone(self, conn: ConnId) -> None:
        """The peer has ended the link, or it broke."""
        ...

    def on_congestion(self, conn: ConnId, *, congested: bool) -> None:
        """Too many bytes are under way, or half of them have been taken again."""
        ...


class Line:
    """One host's side of a link: what it has sent, and what is on its way to it. :class:`Network` moves the bytes."""

    __slots__ = (
        "congested",
        "conn",
        "free",
        "incoming",
        "is_open",
        "last",
        "latency",
        "limit",
        "paused",
        "peer",
        "station",
        "under_way",
        "waiting",
    )

    def __init__(self, station: Station, latency: Duration) -> None:
        self.station = station
        self.latency = latency
        """One way."""
        self.conn = ConnId(0)
        """What the host calls it."""
        self.peer: Line = self
        """The other side."""
        self.is_open = True
        """This host has neither ended the link nor heard of its end."""
        self.paused = False
        self.congested = False
        self.limit = SEND_BUFFER_BYTES
        """More bytes under way than these are a congestion."""
        self.incoming: deque[tuple[int, bytes | None]] = deque()
        """Time of arrival and bytes of what is on its way here, or FIN, or RESET."""
        self.last = 0
        """Arrival of the last of them."""
        self.waiting = False
        """An arrival is on the heap."""
        self.free = 0
        """When the last byte that was sent has left."""
        self.under_way = 0
        """Bytes sent from here that the other side has not taken."""
