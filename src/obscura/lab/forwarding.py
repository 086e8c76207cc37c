"""Rules by which nodes pass stems on. Roles (who is a diffuser in this epoch) and stem peers are drawn by the node's
own :class:`~obscura.relay.dandelion.StemRouter` under every rule, one for each node; the rules differ in what they do
with them.

* *one-to-one*: what the node does, ``route`` and ``own_route`` as they are.
* *all-to-one*: all that a node has, its own and others', goes to the one peer that its own goes to.
* *per-transaction*: a coin for each transaction decides between the stem peers.

The last two are not in the node; they are here to compare with.
"""

from __future__ import annotations

from typing import Final, Protocol

from ..base.instant import Duration, Instant, after
from ..base.names import ConnId
from ..base.randomness import Chance
from ..relay.dandelion import StemRouter
from .topologies import Topology

START: Final = Instant(0)
_SETTLE: Final = Duration(1)  # any: all links are there at once


class Rule(Protocol):
    """How stems go on."""

    def own(self, node: int) -> ConnId | None:
        """The edge that a transaction of the node's own leaves by; ``None`` if there is none."""
        ...

    def onward(self, node: int, edge: ConnId) -> ConnId | None:
        """The edge by which a node passes on what came on another; ``None`` if it spreads it."""
        ...


def draw_routers(topology: Topology, chance: Chance, diffusers: float) -> list[StemRouter]:
    """A router for each node that has chosen among all its links. Every link is encrypted, takes stems and is in a
    network group of its own."""
    routers: list[StemRouter] = []
    for node, edges in enumerate(topology.out):
        router = StemRouter(chance.fork(f"router {node}"), START, diffusers, settle=_SETTLE)
        for edge in edges:
            router.join(edge, topology.heads[edge].to_bytes(4, "big"), START, takes=True)
        router.turn(after(START, _SETTLE))
        routers.append(router)
    return routers


class OneToOne:
    """The node's rule."""

    def __init__(self, routers: list[StemRouter]) -> None:
        self._routers = routers

    def own(self, node: int) -> ConnId | None:
        """As :meth:`Rule.own`."""
        return self._routers[node].own_route()

    def onward(self, node: int, edge: ConnId) -> ConnId | None:
        """As :meth:`Rule.onward`."""
        return self._routers[node].route(edge)


class AllToOne:
    """All ways of a node lead to one peer."""

    def __init__(self, routers: list[StemRouter]) -> None:
        self._routers = routers

    def own(self, node: int) -> ConnId | None:
        """As :meth:`Rule.own`."""
        return self._routers[node].own_route()

    def onward(self, node: int, edge: ConnId) -> ConnId | None:
        """As :meth:`Rule.onward`."""
        router = self._routers[node]
        return None if router.diffuses else router.own_route()


class PerTransaction:
    """A coin for each transaction at each node.

    Args:
        routers: one for each node.
        chance: the coins.
    """

    def __init__(self, routers: list[StemRouter], chance: Chance) -> None:
        self._routers = routers
        self._chance = chance

    def own(self, node: int) -> ConnId | None:
        """As :meth:`Rule.own`."""
        peers = self._routers[node].peers
        return self._chance.choice(peers) if peers else None

    def onward(self, node: int, edge: ConnId) -> ConnId | None:
        """As :meth:`Rule.onward`."""
        return None if self._routers[node].diffuses else self.own(node)


RULES: Final = ("one-to-one", "all-to-one", "per-transaction")


def draw_rule(name: str, topology: Topology, chance: Chance, diffusers: float) -> Rule:
    """The rule of a name in ``RULES``, with routers drawn for it: the same ones for each rule.

    Raises:
        KeyError: there is no such rule.
    """
    routers = draw_routers(topology, chance, diffusers)
    rules: dict[str, Rule] = {
        "one-to-one": OneToOne(routers),
        "all-to-one": AllToOne(routers),
        "per-transaction": PerTransaction(routers, chance.fork("coins")),
    }
    return rules[name]
