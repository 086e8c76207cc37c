"""Graphs of nodes, by who has opened a link to whom.

A link is a directed edge from its opener. Edges are numbered from 1, and both ends know a link by that number, its
:class:`~obscura.base.names.ConnId`.

* *line*: one random cycle through all nodes; each has one edge out and one in.
* *regular*: two such cycles that share no pair of nodes, so each node has two out, two in and four neighbours (exactly
  4-regular). It is the graph that one-to-one stems form at best.
* *outbound*: each node opens eight links to others at random, as nodes do; the router chooses among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..base.errors import BugError, ConfigError
from ..base.names import ConnId
from ..base.randomness import Chance

OUTBOUND_LINKS: Final = 8
NODES_LEAST: Final = 10  # so that eight others, or four neighbours, are always there
_TRIES: Final = 1_000  # one in seven pairs of random cycles shares no pair of nodes


@dataclass(frozen=True, slots=True)
class Topology:
    """A directed graph; edge ``e`` leads from ``tails[e]`` to ``heads[e]``, and edge 0 is none."""

    tails: tuple[int, ...]
    heads: tuple[int, ...]
    out: tuple[tuple[ConnId, ...], ...]
    """The edges that each node has opened, in an order of chance."""

    @classmethod
    def of(cls, nodes: int, edges: Sequence[tuple[int, int]]) -> Topology:
        """The graph of these edges (tail, head), which are numbered in their order."""
        out: list[list[ConnId]] = [[] for _ in range(nodes)]
        for number, (tail, _) in enumerate(edges, start=1):
            out[tail].append(ConnId(number))
        return cls((-1, *(tail for tail, _ in edges)), (-1, *(head for _, head in edges)), tuple(map(tuple, out)))

    @property
    def nodes(self) -> int:
        """How many there are, numbered from 0."""
        return len(self.out)

    def neighbours(self) -> list[list[int]]:
        """The undirected view: for each node the other end of each link of it, whoever has opened it."""
        found: list[list[int]] = [[] for _ in range(self.nodes)]
        for tail, head in zip(self.tails[1:], self.heads[1:], strict=True):
            found[tail].append(head)
            found[head].append(tail)
        return found


def line(nodes: int, chance: Chance) -> Topology:
    """One random cycle through all nodes."""
    return Topology.of(nodes, _cycle(nodes, chance, {}))


def regular(nodes: int, chance: Chance) -> Topology:
    """Two random cycles that share no pair of nodes, all such second ones as likely.

    Raises:
        BugError: chance has found none, as with fewer than five nodes.
    """
    first = _cycle(nodes, chance, {})
    taken = dict.fromkeys((*first, *((head, tail) for tail, head in first)))
    for _ in range(_TRIES):
        second = _cycle(nodes, chance, taken)
        if second:
            return Topology.of(nodes, first + second)
    raise BugError(f"no two cycles through {nodes} nodes were found that share no pair of nodes")


def outbound(nodes: int, chance: Chance, links: int = OUTBOUND_LINKS) -> Topology:
    """``links`` links from each node to as many others, each choice as likely as another.

    Raises:
        BugError: there are not so many others.
    """
    if links >= nodes:
        raise BugError(f"{nodes} nodes have no {links} others to link to")
    edges: list[tuple[int, int]] = []
    for node in range(nodes):
        chosen: dict[int, None] = {}
        while len(chosen) < links:
            other = chance.below(nodes - 1)
            chosen[other + (other >= node)] = None
        edges += [(node, other) for other in chosen]
    return Topology.of(nodes, edges)


TOPOLOGIES: Final = {"line": line, "regular": regular, "outbound": outbound}


def draw_spies(nodes: int, share: float, chance: Chance) -> list[bool]:
    """Which nodes are spies: ``share`` of all, rounded, chosen by chance.

    Raises:
        ConfigError: the share is impossible, or leaves no spy where there should be one, or nobody to spy upon.
    """
    if not 0 <= share < 1:
        raise ConfigError(f"a share of spies of {share:g}: it must be from 0 to below 1")
    count = round(share * nodes)
    if count == nodes or (share > 0 and count == 0):
        raise ConfigError(f"a share of spies of {share:g} among {nodes} nodes leaves {count} spies: take more nodes")
    spies = [False] * nodes
    for node in chance.sample(range(nodes), count):
        spies[node] = True
    return spies


def _cycle(nodes: int, chance: Chance, taken: Mapping[tuple[int, int], None]) -> list[tuple[int, int]]:
    """The edges of a random cycle; none if it has one that is taken, and then no more of it is drawn."""
    order = list(range(nodes))
    edges: list[tuple[int, int]] = []
    for at in range(nodes):
        other = at + chance.below(nodes - at)
        order[at], order[other] = order[other], order[at]
        if at:
            edges.append((order[at - 1], order[at]))
            if edges[-1] in taken:
                return []
    edges.append((order[-1], order[0]))
    return [] if edges[-1] in taken else edges
