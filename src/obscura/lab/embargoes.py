"""Embargoes of the holders of a stem, and what they are for: spies that swallow it.

Each honest holder draws its embargo once, when it gets the transaction (:func:`~obscura.relay.embargo.embargo_mean`,
exponential). The first to end has its holder spread; but the *origin's* first one sends the transaction out again, by
its other stem peer, with a new embargo, and only its second spreads. Who spreads first is all that a swallower sees.
Spreading takes seconds and embargoes minutes, so what follows is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ..base.instant import MICROSECONDS, Duration, Instant, after
from ..base.limits import STEM_DIFFUSERS, STEM_EARLY, STEM_HOP
from ..base.names import ConnId
from ..base.randomness import Chance
from ..relay.embargo import embargo_mean
from .attacks import Setup
from .forwarding import START, OneToOne, draw_routers
from .stems import End, Stem, walk
from .topologies import TOPOLOGIES, Topology, draw_spies

NODE_EMBARGO: Final = embargo_mean(100 / STEM_DIFFUSERS, STEM_HOP, STEM_EARLY / 100)
"""The mean that a node uses."""


def ends_early(hops: int, hop: Duration, mean: Duration, chance: Chance) -> bool:
    """Draw the embargoes of all holders of an honest way of ``hops`` steps; whether one is over before its end."""
    return any(chance.exponential(mean) < (hops - 1 - holder) * hop for holder in range(hops))


class Fate(NamedTuple):
    """What became of one transaction."""

    end: End
    """Of its first stem."""
    early: bool
    """An embargo was over before the first stem came to a diffuser; it is, always, if it never came to one."""
    told: tuple[Instant, int] | None
    """When it began to spread, and from whom; ``None``: never."""


class Stemming:
    """The nodes of one graph that send, hold and re-stem.

    Args:
        topology: the graph.
        spies: for each node whether it swallows stems.
        diffusers: the share of nodes that spread what comes in stem.
        hop: what a step takes.
        restems: the origin's first embargo sends the transaction out again.
        chance: draws routers and embargoes.
    """

    def __init__(
        self,
        topology: Topology,
        spies: Sequence[bool],
        diffusers: float,
        hop: Duration,
        chance: Chance,
        *,
        restems: bool,
    ) -> None:
        self._topology = topology
        self._spies = spies
        self._hop = hop
        self._restems = restems
        self._chance = chance
        self._routers = draw_routers(topology, chance.fork("rule"), diffusers)
        self._rule = OneToOne(self._routers)

    def send(self, origin: int) -> Fate:
        """Follow a transaction of an honest node until it begins to spread."""
        chance = self._chance.fork(f"embargoes {origin}")
        used: dict[ConnId, None] = {}
        over: dict[int, Instant] = {}
        """For each holder when its embargo is over."""
        spreads: list[tuple[Instant, int]] = []
        """Diffusers that a stem comes to, and when."""
        first = self._rule.own(origin)
        stem = walk(self._topology, self._rule, self._spies, origin, first=first, used=used)
        self._hold(stem, START, over, spreads, chance)
        end = stem.end
        early = not spreads or min(over.values()) < spreads[0][0]
        other = None if first is None or not self._restems else self._routers[origin].other_than(first)
        while over:
            told = min((at, node) for node, at in over.items())
            if spreads and min(spreads) <= told:
                return Fate(end, early, min(spreads))
            at, node = told
            if node != origin or other is None:
                return Fate(end, early, told)
            del over[origin]
            stem = walk(self._topology, self._rule, self._spies, origin, first=other, used=used)
            self._hold(stem, at, over, spreads, chance)
            other = None
        return Fate(end, early, None)

    def _hold(
        self,
        stem: Stem,
        begun: Instant,
        over: dict[int, Instant],
        spreads: list[tuple[Instant, int]],
        chance: Chance,
    ) -> None:
        """Have the holders of a way draw their embargoes, as they get the transaction one after another."""
        for step, node in enumerate(stem.holders):
            if node not in over:
                over[node] = after(after(begun, Duration(step * self._hop)), chance.exponential(NODE_EMBARGO))
        if stem.end is End.DIFFUSER:
            spreads.append((after(begun, Duration(stem.hops * self._hop)), stem.holders[-1]))


@dataclass(frozen=True, slots=True)
class Hole:
    """A setup in which spies swallow stems."""

    setup: Setup
    hop: Duration
    restems: bool


class Swallowed(NamedTuple):
    """What became of the transactions of all honest nodes of one graph."""

    swallowed: float
    """The share whose first stem came to a spy."""
    exposed: float
    """Of these, the share whose origin was the first to spread it."""
    delivered: float
    """Of these, the share that began to spread."""
    delay_s: float
    """Of these, mean seconds until it did."""
    early: float
    """Of all, the share that no spy swallowed, and on which an embargo was over before a diffuser had it all the same;
    loops included."""
    looped: float
    """Of all, the share whose stem came to an edge again."""


def swallow(hole: Hole, chance: Chance) -> Swallowed:
    """Send from each honest node of one graph. One ``chance`` gives one graph, one choice of spies and the same stem
    peers to all setups of one size, so they compare in pairs."""
    setup = hole.setup
    topology = TOPOLOGIES[setup.topology](setup.nodes, chance.fork("topology"))
    spies = draw_spies(setup.nodes, setup.spies, chance.fork("spies"))
    nodes = Stemming(topology, spies, setup.diffusers, hole.hop, chance, restems=hole.restems)
    fates = {origin: nodes.send(origin) for origin in range(setup.nodes) if not spies[origin]}
    lost = {origin: fate.told for origin, fate in fates.items() if fate.end is End.SPY}
    told = {origin: told for origin, told in lost.items() if told is not None}
    return Swallowed(
        swallowed=len(lost) / len(fates),
        exposed=sum(node == origin for origin, (_, node) in told.items()) / max(1, len(lost)),
        delivered=len(told) / len(lost) if lost else 1.0,
        delay_s=sum(at for at, _ in told.values()) / MICROSECONDS / max(1, len(told)),
        early=sum(fate.early and fate.end is not End.SPY for fate in fates.values()) / len(fates),
        looped=sum(fate.end is End.LOOP for fate in fates.values()) / len(fates),
    )
