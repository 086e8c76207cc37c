"""The way of one transaction in stem, hop by hop, until a spy has it or it spreads.

A node passes on a copy that comes on an edge which has not brought the transaction yet, by that edge's own way; a
second copy on the same edge is dropped. So a stem that comes back to a node may leave it by another way, and one that
comes to an edge again has ended in a *loop*: nobody passes it on, and it spreads when the first embargo of a holder is
over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from ..base.names import ConnId
from .forwarding import Rule
from .topologies import Topology


class End(Enum):
    """Why a stem went no further."""

    SPY = "spy"
    """A spy was given it: the last holder is the honest node that gave it away."""
    DIFFUSER = "diffuser"
    """The last holder spreads it at once: it is a diffuser, or has nobody to pass it to."""
    LOOP = "loop"
    """It came to an edge that it had used."""
    LIMIT = "limit"
    """It has made as many hops as were asked for."""


@dataclass(frozen=True, slots=True)
class Stem:
    """A way."""

    end: End
    holders: tuple[int, ...]
    """The honest nodes that held it, in order, the origin first; one that it came back to is named again."""
    spy: int | None
    """The first spy that was given it, if any."""

    @property
    def distinct(self) -> list[int]:
        """The holders, each once."""
        return list(dict.fromkeys(self.holders))

    @property
    def hops(self) -> int:
        """Steps from node to node, one to a spy included."""
        return len(self.holders) - (self.spy is None)


def walk(
    topology: Topology,
    rule: Rule,
    spies: Sequence[bool],
    origin: int,
    *,
    first: ConnId | None = None,
    used: dict[ConnId, None] | None = None,
    hops: int | None = None,
) -> Stem:
    """The way of a transaction of ``origin``.

    Args:
        topology: the graph.
        rule: how nodes pass on.
        spies: for each node whether it is one.
        origin: an honest node.
        first: the edge that it leaves its origin by; default: the rule's.
        used: edges that have brought the transaction before; those of this way are added.
        hops: end after so many.
    """
    holders = [origin]
    used = {} if used is None else used
    edge = rule.own(origin) if first is None else first
    while edge is not None:
        if hops is not None and len(holders) > hops:
            return Stem(End.LIMIT, tuple(holders), None)
        if edge in used:
            return Stem(End.LOOP, tuple(holders), None)
        used[edge] = None
        node = topology.heads[edge]
        if spies[node]:
            return Stem(End.SPY, tuple(holders), node)
        holders.append(node)
        edge = rule.onward(node, edge)
    return Stem(End.DIFFUSER, tuple(holders), None)
