"""Stations without a node: they note what the simulated network tells them."""

from __future__ import annotations

from obscura.base.instant import seconds
from obscura.base.names import ConnId
from obscura.sim.host import host_address
from obscura.sim.journal import Journal
from obscura.sim.lines import Line, LineOptions
from obscura.sim.network import Network
from obscura.sim.world import World
from obscura.wire.address import NetAddress

PERFECT = LineOptions(latency_min=seconds(0.05), latency_max=seconds(0.05), jitter=seconds(0), loss=0, cut=0, reset=0)
"""Every byte takes 50 ms, and its turn."""


class Recorder:
    """A station. ``log`` has (time in ms, what, link), ``data`` the bytes of each link."""

    def __init__(self, number: int, network: Network, *, accepts: bool = True) -> None:
        self.number = number
        self.address = host_address(number)
        self.frozen = False
        self.lines: dict[ConnId, Line] = {}
        self.log: list[tuple[int, str]] = []
        self.data = b""
        self.cuts: list[int] = []
        self.callers: list[NetAddress] = []
        self._network = network
        self._accepts = accepts
        network.join(self)

    def _note(self, what: str) -> None:
        self.log.append((self._network.world.time // 1_000, what))

    @property
    def said(self) -> list[str]:
        """The log without its times."""
        return [what for _, what in self.log]

    @property
    def line(self) -> Line:
        """The only link's line."""
        [line] = self.lines.values()
        return line

    def on_accept(self, line: Line, address: NetAddress) -> ConnId | None:
        """See Station."""
        self.callers.append(address)
        if not self._accepts:
            return None
        line.conn = ConnId(100 + len(self.lines))
        self.lines[line.conn] = line
        return line.conn

    def on_connected(self, conn: ConnId, line: Line) -> None:
        """See Station."""
        self._note("connected")
        self.lines[conn] = line

    def on_dial_failed(self, conn: ConnId, reason: str) -> None:
        """See Station."""
        self._note(reason)

    def on_data(self, conn: ConnId, data: bytes) -> None:
        """See Station."""
        assert data, "an empty piece would look like an end"
        self.data += data
        self.cuts.append(len(data))

    def on_gone(self, conn: ConnId) -> None:
        """See Station."""
        self._note("gone")
        del self.lines[conn]

    def on_congestion(self, conn: ConnId, *, congested: bool) -> None:
        """See Station."""
        self._note("congested" if congested else "drained")


class Couple:
    """Two recorders; the first has dialled the second, and the world is at the moment when both know."""

    def __init__(self, options: LineOptions = PERFECT, seed: int = 1, *, accepts: bool = True) -> None:
        self.world = World(seed)
        self.network = Network(self.world, options, Journal())
        self.one = Recorder(1, self.network)
        self.other = Recorder(2, self.network, accepts=accepts)
        self.network.dial(self.one, ConnId(1), self.other.address, seconds(5))
        self.world.run_for(seconds(4))
