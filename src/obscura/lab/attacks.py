"""One attack on one graph: every honest node sends a transaction, and the spies name its origin by the first of them
that got it (the *first-spy* estimator: whoever gave it away).

What no spy got in stem spreads by plain diffusion over all links: from the diffuser that a stem has come to, or, of one
in a loop, from any of its holders, since embargoes that forget what has passed end in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ..base.errors import ConfigError
from ..base.randomness import Chance
from .diffusion import first_sighting
from .estimators import score
from .forwarding import RULES, draw_rule
from .stems import End, walk
from .topologies import NODES_LEAST, TOPOLOGIES, draw_spies

DIFFUSION: Final = "diffusion"
"""The rule without stems."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is attacked.

    Raises:
        ConfigError: a name is unknown, or a number impossible.
    """

    topology: str
    """A key of ``TOPOLOGIES``."""
    rule: str
    """One of ``RULES``, or ``DIFFUSION``."""
    spies: float
    """The share p of all nodes, from 0 to below 1."""
    nodes: int = 1_000
    """Honest ones and spies."""
    diffusers: float = 0.0
    """The share q of nodes that spread what others stem."""

    def __post_init__(self) -> None:
        if self.topology not in TOPOLOGIES:
            raise ConfigError(f"no topology is called {self.topology!r}: there are {', '.join(TOPOLOGIES)}")
        if self.rule not in (*RULES, DIFFUSION):
            raise ConfigError(f"no rule is called {self.rule!r}: there are {', '.join((*RULES, DIFFUSION))}")
        if not 0 <= self.diffusers <= 1:
            raise ConfigError(f"a share of diffusers of {self.diffusers:g}: it must be from 0 to 1")
        if self.rule == DIFFUSION and self.diffusers:
            raise ConfigError("diffusion has no stems, so nobody is a diffuser: leave the share of diffusers at 0")
        if self.nodes < NODES_LEAST:
            raise ConfigError(f"{self.nodes} nodes are too few: {NODES_LEAST} at least")
        draw_spies(self.nodes, self.spies, Chance.from_seed(0))

    def __str__(self) -> str:
        stems = self.rule != DIFFUSION
        outbound = "2 of 8 outbound" if stems else "8 outbound"
        graph = {"line": "line", "regular": "4-regular", "outbound": outbound}[self.topology]
        # On a line all rules are one.
        rule = "stem" if stems and self.topology == "line" else self.rule
        return f"{graph}, {rule}" + (f", q={self.diffusers:g}" if self.diffusers else "")


class Outcome(NamedTuple):
    """What an attack has found, on one graph. All but ``hops`` are shares of the honest nodes' transactions."""

    recall: float
    precision: float
    hops: float
    """Mean length of the stems, to their spy, their diffuser, or where they would loop."""
    spied: float
    """A spy got it in stem."""
    diffused: float
    """It came to a diffuser; without stems, all do at once."""
    looped: float


def attack(setup: Setup, chance: Chance) -> Outcome:
    """Draw a graph, spies and ways, send from each honest node, and judge the first-spy estimator.

    One ``chance`` gives one graph, one choice of spies and the same stem peers to all rules, so they compare in pairs.
    """
    topology = TOPOLOGIES[setup.topology](setup.nodes, chance.fork("topology"))
    spies = draw_spies(setup.nodes, setup.spies, chance.fork("spies"))
    neighbours = topology.neighbours()
    spreading = chance.fork("diffusion")
    guesses: dict[int, int | None] = {}
    ends = dict.fromkeys(End, 0)
    hops = 0
    rule = None
    if setup.rule != DIFFUSION:
        rule = draw_rule(setup.rule, topology, chance.fork("rule"), setup.diffusers)
    origins = [node for node in range(setup.nodes) if not spies[node]]
    for origin in origins:
        if rule is None:
            ends[End.DIFFUSER] += 1
            guesses[origin] = _spread(neighbours, spies, origin, spreading)
            continue
        stem = walk(topology, rule, spies, origin)
        ends[stem.end] += 1
        hops += stem.hops
        if stem.end is End.SPY:
            guesses[origin] = stem.holders[-1]
        else:
            start = stem.holders[-1] if stem.end is End.DIFFUSER else spreading.choice(stem.distinct)
            guesses[origin] = _spread(neighbours, spies, start, spreading)
    count = len(origins)
    recall, precision = score(guesses)
    shares = (ends[end] / count for end in (End.SPY, End.DIFFUSER, End.LOOP))
    return Outcome(recall, precision, hops / count, *shares)


def _spread(neighbours: Sequence[Sequence[int]], spies: Sequence[bool], start: int, chance: Chance) -> int | None:
    seen = first_sighting(neighbours, spies, start, chance)
    return None if seen is None else seen.before
