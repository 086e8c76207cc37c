"""When links are told of transactions.

A transaction is never announced at once: who hears of it when would draw the graph and lead to its origin. All inbound
links of one network share a single timer, so that many links of a spy learn no more than one does; each outbound link,
which we chose ourselves, has its own, a faster one. Delays are exponential: that one has waited already tells nothing
about how long it will wait still. What has gathered meanwhile goes out together.

For the same reason a timer may rest while nothing waits for it, and is drawn anew when something does: the moment of an
announcement is distributed as if the timer had never rested. So a quiet node does not wake up.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

from ..base.errors import BugError
from ..base.instant import Duration, Instant, after
from ..base.limits import TRICKLE_INBOUND, TRICKLE_OUTBOUND
from ..base.names import ConnId
from ..base.randomness import Chance
from ..wire.address import Network


class _Timer(NamedTuple):
    """A network's, or an outbound link's."""

    network: Network | None
    conn: ConnId | None


class Trickle:
    """The timers of all links that take transactions.

    Args:
        chance: draws the delays.
        inbound: mean delay of each network's inbound links.
        outbound: mean delay of each outbound link.
    """

    def __init__(
        self, chance: Chance, inbound: Duration = TRICKLE_INBOUND, outbound: Duration = TRICKLE_OUTBOUND
    ) -> None:
        self._chance = chance
        self._inbound = inbound
        self._outbound = outbound
        self._shared: dict[Network, dict[ConnId, None]] = {}
        """Inbound links by network."""
        self._network: dict[ConnId, Network | None] = {}
        """``None`` for an outbound link."""
        self._running: dict[_Timer, None] = {}
        """The timers that are drawn."""
        self._heap: list[tuple[Instant, int, _Timer]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._network)

    def join(self, conn: ConnId, network: Network, *, inbound: bool) -> None:
        """A link takes transactions from now on. A link's name is never used twice."""
        self._network[conn] = network if inbound else None
        if inbound:
            self._shared.setdefault(network, {})[conn] = None

    def leave(self, conn: ConnId) -> None:
        """A link has ended. Its network's timer goes on: a new link must not be able to set it anew."""
        network = self._network.pop(conn, None)
        if network is not None:
            del self._shared[network][conn]

    def wake(self, conn: ConnId, now: Instant) -> None:
        """Something waits for a link: its timer runs from now on, unless it does already.

        Raises:
            BugError: the link has not joined.
        """
        if conn not in self._network:
            raise BugError("a link that takes no transactions has no timer")
        timer = self._timer(conn)
        if timer in self._running:
            return
        self._running[timer] = None
        self._serial += 1
        delay = self._chance.exponential(self._outbound if timer.network is None else self._inbound)
        heapq.heappush(self._heap, (after(now, delay), self._serial, timer))

    def wakes(self, conn: ConnId) -> bool:
        """Whether a link has a moment to come."""
        if conn not in self._network:
            return False
        return self._timer(conn) in self._running

    def next_deadline(self) -> Instant | None:
        """When :meth:`due` has something to say, or a moment of a link that has ended comes."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: Instant) -> list[ConnId]:
        """The links whose moment has come, each once; their timers rest."""
        found: dict[ConnId, None] = {}
        while self._heap and self._heap[0][0] <= now:
            _, _, timer = heapq.heappop(self._heap)
            del self._running[timer]
            if timer.network is not None:
                found.update(self._shared[timer.network])
            elif timer.conn in self._network:
                found[timer.conn] = None
        return list(found)

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        timers = [timer for _, _, timer in self._heap]
        assert dict.fromkeys(timers) == self._running, "each timer that runs has a moment"
        assert len(timers) == len(self._running), "and only one"
        shared = {conn: network for network, links in self._shared.items() for conn in links}
        inbound = {conn: network for conn, network in self._network.items() if network is not None}
        assert shared == inbound, "each inbound link is in one network"

    def _timer(self, conn: ConnId) -> _Timer:
        network = self._network[conn]
        return _Timer(None, conn) if network is None else _Timer(network, None)
