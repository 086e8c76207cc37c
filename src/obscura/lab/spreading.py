"""How a transaction spreads by the node's own moments: a :class:`~obscura.relay.trickle.Trickle` for each node, over
links that take time.

A node that has it tells every link that has not told it, at that link's moment. Who is told for the first time asks for
it and gets it: three ways over a link. Embargoes run while it is in stem, so a stem may spread early, from any holder.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Final

from ..base.instant import Duration, Instant, after, seconds
from ..base.names import ConnId
from ..base.randomness import Chance
from ..relay.trickle import Trickle
from ..wire.address import Network
from .topologies import Topology

LINK_LATENCY: Final = seconds(0.11)  # one way, as measured between nodes of the public network
_HAS: Final = 0
_HEARS: Final = 1
_TELLS: Final = 2


class Spreading:
    """One transaction on its way through a graph.

    Args:
        topology: the graph; every link relays both ways.
        chance: draws the moments.
        latency: one way over a link.
    """

    def __init__(self, topology: Topology, chance: Chance, latency: Duration = LINK_LATENCY) -> None:
        self._topology = topology
        self._chance = chance
        self._latency = latency
        self._links: list[list[ConnId]] = [list(edges) for edges in topology.out]
        for edge, head in enumerate(topology.heads[1:], start=1):
            self._links[head].append(ConnId(edge))
        self._trickles: dict[int, Trickle] = {}
        """Of the nodes that have it, which are all whose timers run."""
        self._asked: dict[int, None] = {}
        self._told: dict[int, dict[ConnId, None]] = {}
        """For each node the links on which it was told, or has told."""
        self._events: list[tuple[Instant, int, int, int, ConnId]] = []
        self._serial = 0

    def run(self, sources: Iterable[tuple[Instant, int]], count: int) -> Instant | None:
        """When ``count`` nodes have it; ``None`` if so many cannot be reached.

        Args:
            sources: when which nodes begin to spread it, if they have not got it by then.
            count: from 1; holders of the stem count when they have got it by spreading.
        """
        for at, node in sources:
            self._later(at, _HAS, node)
        while self._events:
            now, _, what, node, edge = heapq.heappop(self._events)
            if what == _HEARS:
                self._hear(node, edge, now)
            elif what == _TELLS:
                self._tell(node, now)
            elif node not in self._trickles:
                self._have(node, now)
                if len(self._trickles) >= count:
                    return now
        return None

    def _later(self, at: Instant, what: int, node: int, edge: ConnId = ConnId(0)) -> None:  # noqa: B008 a NewType
        self._serial += 1
        heapq.heappush(self._events, (at, self._serial, what, node, edge))

    def _have(self, node: int, now: Instant) -> None:
        trickle = self._trickles[node] = Trickle(self._chance.fork(f"trickle {node}"))
        told = self._told.setdefault(node, {})
        for edge in self._links[node]:
            trickle.join(edge, Network.IPV4, inbound=self._topology.heads[edge] == node)
            if edge not in told:
                trickle.wake(edge, now)
        self._await(node)

    def _tell(self, node: int, now: Instant) -> None:
        told = self._told[node]
        for edge in self._trickles[node].due(now):
            if edge not in told:
                told[edge] = None
                head = self._topology.heads[edge]
                other = head if head != node else self._topology.tails[edge]
                self._later(after(now, self._latency), _HEARS, other, edge)
        self._await(node)

    def _hear(self, node: int, edge: ConnId, now: Instant) -> None:
        self._told.setdefault(node, {})[edge] = None
        if node not in self._trickles and node not in self._asked:
            self._asked[node] = None
            self._later(after(now, Duration(2 * self._latency)), _HAS, node)

    def _await(self, node: int) -> None:
        at = self._trickles[node].next_deadline()
        if at is not None:
            self._later(at, _TELLS, node)
