"""When links are told of transactions.

A transaction is never announced at once: who hears of it when would draw the graph and lead to its origin. All inbound
links of one network share a single timer, so that many links of a spy learn no more than one does; each outbound link,
which we chose ourselves, has its own, a faster one. Delays are exponential: that one has waited already tells nothing
about how long it will wait still. What has gathered meanwhile goes out together.
"""

from __future__ import annotations

import heapq

from ..base.instant import Duration, Instant, after
from ..base.limits import TRICKLE_INBOUND, TRICKLE_OUTBOUND
from ..base.names import ConnId
from ..base.randomness import Chance
from ..wire.address import Network


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
        self._network: dict[ConnId, Network] = {}
        self._single: dict[ConnId, None] = {}
        self._heap: list[tuple[Instant, int, Network | None, ConnId]] = []
        """Moment, serial, and a network, or else an outbound link."""
        self._serial = 0

    def __len__(self) -> int:
        return len(self._network) + len(self._single)

    def join(self, conn: ConnId, network: Network, now: Instant, *, inbound: bool) -> None:
        """A link takes transactions from now on. A link's name is never used twice."""
        if not inbound:
            self._single[conn] = None
            self._push(None, conn, now)
            return
        self._network[conn] = network
        if network not in self._shared:
            self._shared[network] = {}
            self._push(network, conn, now)
        self._shared[network][conn] = None

    def leave(self, conn: ConnId) -> None:
        """A link has ended. Its network's timer goes on: a new link must not be able to set it anew."""
        self._single.pop(conn, None)
        network = self._network.pop(conn, None)
        if network is not None:
            del self._shared[network][conn]

    def next_deadline(self) -> Instant | None:
        """When :meth:`due` has something to say, or a moment of a link that has ended comes."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: Instant) -> list[ConnId]:
        """The links whose moment has come, each once; their next one is drawn."""
        found: dict[ConnId, None] = {}
        while self._heap and self._heap[0][0] <= now:
            _, _, network, conn = heapq.heappop(self._heap)
            if network is not None:
                links = self._shared[network]
                if not links:
                    del self._shared[network]
                    continue
                found.update(links)
                self._push(network, conn, now)
            elif conn in self._single:
                found[conn] = None
                self._push(None, conn, now)
        return list(found)

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        networks = [network for _, _, network, _ in self._heap if network is not None]
        links = [conn for _, _, network, conn in self._heap if network is None]
        assert all(links.count(conn) == 1 for conn in self._single), "each outbound link has one moment"
        assert sorted(networks) == sorted(self._shared), "each network has one moment"
        assert sum(map(len, self._shared.values())) == len(self._network), "each inbound link is in one network"

    def _push(self, network: Network | None, conn: ConnId, now: Instant) -> None:
        self._serial += 1
        delay = self._chance.exponential(self._outbound if network is None else self._inbound)
        heapq.heappush(self._heap, (after(now, delay), self._serial, network, conn))
