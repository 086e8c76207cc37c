"""The published results about stems, one function a row. Each runs in graphs of 1,000 nodes by default.

Sources: Fanti et al. 2018 (Dandelion++; rows 1, 2, 3, 5, 8, 16) and Bojja Venkatakrishnan et al. 2017 (Dandelion; the
line, the floors). Row 9's counter-example is Monero's: whole seconds, drawn as a Poisson count of mean 39.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from ..base.errors import ConfigError
from ..base.instant import MICROSECONDS, Duration, after, seconds
from ..base.randomness import Chance
from ..relay.embargo import embargo_mean
from .attacks import DIFFUSION, Outcome, Setup, attack
from .embargoes import NODE_EMBARGO, ends_early
from .findings import Finding, exactly
from .forwarding import START, draw_rule
from .spreading import Spreading
from .statistics import Estimate, estimate, exponential_fit, poisson, variation
from .stems import End, walk
from .topologies import outbound
from .workers import Workers

T = TypeVar("T")

GRAPHS: Final = 100
_BATCH: Final = 1_000  # draws, or ways, that count as one graph
_SPIES: Final = (0.1, 0.2, 0.3)
_SPIES_WIDE: Final = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8)
_DIFFUSION: Final = (0.092, 0.232, 0.362)  # measured by the paper; no formula
_POISSON_S: Final = 39
_SOURCES: Final = 4  # transactions a graph whose spreading is timed


@dataclass(frozen=True, slots=True)
class Scale:
    """How large everything is."""

    graphs: int = GRAPHS
    """Graphs for each point, from 2; rows whose points are many, or slow, take a part of them."""
    nodes: int = 1_000

    def part(self, divisor: int) -> int:
        """A part of the graphs, but enough for an error."""
        return max(2, self.graphs // divisor)


def row_1(workers: Workers, scale: Scale) -> list[Finding]:
    """A line: precision p²/(1-p) ln(1/p), recall p."""
    found: list[Finding] = []
    setups = [Setup("line", "one-to-one", p, scale.nodes) for p in _SPIES]
    for setup, outcomes in zip(setups, workers.each(attack, setups, scale.graphs), strict=True):
        p = setup.spies
        theory = p**2 / (1 - p) * math.log(1 / p)
        found.append(exactly(1, str(setup), "precision", p, _precision(outcomes), theory, 0.005))
        found.append(exactly(1, str(setup), "recall", p, _recall(outcomes), p, 0.01))
    return found


def row_2(workers: Workers, scale: Scale) -> list[Finding]:
    """Exactly 4-regular: precision 2p² ln((1+p)/2p) + 2p³/(1+p), and diffusion's on the same graphs and more."""
    found: list[Finding] = []
    setups = [Setup("regular", "one-to-one", p, scale.nodes) for p in _SPIES]
    spread = [Setup("regular", DIFFUSION, p, scale.nodes) for p in _SPIES]
    results = workers.each(attack, setups, scale.graphs)
    # Spreading is drawn fast, and its published figures are the furthest from ours: the error must be small.
    others = workers.each(attack, spread, 4 * scale.graphs)
    for setup, outcomes in zip(setups, results, strict=True):
        p = setup.spies
        theory = 2 * p**2 * math.log((1 + p) / (2 * p)) + 2 * p**3 / (1 + p)
        found.append(exactly(2, str(setup), "precision", p, _precision(outcomes), theory, 0.006))
    for setup, outcomes, published in zip(spread, others, _DIFFUSION, strict=True):
        found.append(exactly(2, str(setup), "precision", setup.spies, _precision(outcomes), published, 0.006))
    return found


def row_3(workers: Workers, scale: Scale) -> list[Finding]:
    """Per-transaction < one-to-one < all-to-one by precision, on the same graphs; all with recall p."""
    found: list[Finding] = []
    p = 0.1
    setups = [Setup("regular", rule, p, scale.nodes) for rule in ("per-transaction", "one-to-one", "all-to-one")]
    results = workers.each(attack, setups, scale.graphs)
    for setup, outcomes in zip(setups, results, strict=True):
        found.append(Finding(3, str(setup), "precision", None, _precision(outcomes)))
        found.append(exactly(3, str(setup), "recall", None, _recall(outcomes), p, 0.01))
    for at in (0, 1):
        more = [high.precision - low.precision for low, high in zip(results[at], results[at + 1], strict=True)]
        what = f"{setups[at + 1].rule} less {setups[at].rule}"
        found.append(Finding(3, f"4-regular, {what}", "precision", None, estimate(more), low=0.0))
    return found


def row_5(workers: Workers, scale: Scale) -> list[Finding]:
    """Floors: recall p, precision p², whatever the scheme."""
    schemes = (
        ("line", "one-to-one", 0.0),
        ("regular", "per-transaction", 0.0),
        ("regular", "one-to-one", 0.0),
        ("regular", "all-to-one", 0.0),
        ("outbound", "one-to-one", 0.1),
        ("regular", DIFFUSION, 0.0),
    )
    setups = [Setup(graph, rule, p, scale.nodes, q) for graph, rule, q in schemes for p in _SPIES_WIDE]
    found: list[Finding] = []
    for setup, outcomes in zip(setups, workers.each(attack, setups, scale.part(5)), strict=True):
        p = setup.spies
        found.append(Finding(5, str(setup), "recall", p, _recall(outcomes), low=p, given=0.0))
        found.append(Finding(5, str(setup), "precision", p, _precision(outcomes), low=p**2, given=0.0))
    return found


@dataclass(frozen=True, slots=True)
class _Way:
    hops: int
    hop: Duration
    mean: Duration


def row_8(workers: Workers, scale: Scale) -> list[Finding]:
    """The fail-safe formula, and what it promises."""
    hop = seconds(0.3)
    mean = embargo_mean(10, hop, 0.1)
    (shares,) = workers.each(_in_time, [_Way(10, hop, mean)], scale.graphs)
    setup = "10 hops of 0.3 s, 0.1 early"
    return [
        exactly(8, setup, "embargo's mean (s)", None, Estimate(mean / MICROSECONDS, 0.0), 128.1, 0.05),
        exactly(8, setup, "none fires early", None, estimate(shares), 0.9, 0.01),
    ]


def _in_time(way: _Way, chance: Chance) -> float:
    return sum(not ends_early(way.hops, way.hop, way.mean, chance) for _ in range(_BATCH)) / _BATCH


def row_9(workers: Workers, scale: Scale) -> list[Finding]:
    """Embargoes are exponential; a Poisson count is not, by the same test."""
    (drawn,), (counted,) = (
        workers.each(function, [mean], scale.part(10))
        for function, mean in ((_draw_embargoes, NODE_EMBARGO), (_count_seconds, _POISSON_S))
    )
    ours = exponential_fit([value for batch in drawn for value in batch], NODE_EMBARGO)
    poissons = exponential_fit([value for batch in counted for value in batch], _POISSON_S)
    name, other = "the node's embargo", f"Poisson({_POISSON_S}) seconds"
    return [
        Finding(9, name, "Kolmogorov-Smirnov p", None, Estimate(ours.p, 0.0), low=0.01),
        exactly(9, name, "coefficient of variation", None, estimate([variation(one) for one in drawn]), 1.0, 0.05),
        Finding(9, other, "Kolmogorov-Smirnov p", None, Estimate(poissons.p, 0.0), high=0.01),
        Finding(9, other, "coefficient of variation", None, estimate([variation(one) for one in counted])),
    ]


def _draw_embargoes(mean: int, chance: Chance) -> list[int]:
    return [chance.exponential(Duration(mean)) for _ in range(_BATCH)]


def _count_seconds(mean: int, chance: Chance) -> list[int]:
    return [poisson(chance, mean) for _ in range(_BATCH)]


@dataclass(frozen=True, slots=True)
class _Timing:
    nodes: int
    hops: int
    hop: Duration


def row_16(workers: Workers, scale: Scale) -> list[Finding]:
    """What stems cost: seconds from sending until a tenth of the nodes have it, by the length of the stem."""
    timings = [_Timing(scale.nodes, hops, seconds(0.3)) for hops in range(11)]
    results = workers.each(_time_to_tenth, timings, scale.part(4))
    setup = "8 outbound, hops of 0.3 s"
    found = [
        Finding(16, setup, "seconds to a tenth", timing.hops, estimate(times))
        for timing, times in zip(timings, results, strict=True)
    ]
    more = [last - first for first, last in zip(results[0], results[-1], strict=True)]
    return [*found, Finding(16, setup, "10 hops less 0 (s)", None, estimate(more), low=2.0, high=4.0)]


def _time_to_tenth(timing: _Timing, chance: Chance) -> float:
    """Mean over some origins of one graph; nobody spies, and nobody is a diffuser before the last hop."""
    topology = outbound(timing.nodes, chance.fork("topology"))
    rule = draw_rule("one-to-one", topology, chance.fork("rule"), 0.0)
    nobody = [False] * timing.nodes
    total = 0
    for number, origin in enumerate(chance.fork("origins").sample(range(timing.nodes), _SOURCES)):
        draws = chance.fork(f"transaction {number}")
        stem = walk(topology, rule, nobody, origin, hops=timing.hops)
        held = [(after(START, Duration(step * timing.hop)), node) for step, node in enumerate(stem.holders)]
        sources = [held[-1]] if stem.end is End.LIMIT else []
        sources += [(after(at, draws.exponential(NODE_EMBARGO)), node) for at, node in held]
        reached = Spreading(topology, draws).run(sources, max(1, timing.nodes // 10))
        assert reached is not None, "embargoes end, and nobody is cut off who has opened links"
        total += reached
    return total / _SOURCES / MICROSECONDS


ROWS: Final[dict[int, Callable[[Workers, Scale], list[Finding]]]] = {
    1: row_1,
    2: row_2,
    3: row_3,
    5: row_5,
    8: row_8,
    9: row_9,
    16: row_16,
}


def parse_rows(text: str) -> list[int]:
    """The rows that a text names, with commas; ``all`` names all.

    Raises:
        ConfigError: there is no such row.
    """
    if text == "all":
        return list(ROWS)
    names = {str(number): number for number in ROWS}
    wanted = [name.strip() for name in text.split(",")]
    for name in wanted:
        if name not in names:
            raise ConfigError(f"there is no row {name!r}: there are {', '.join(names)}")
    return [number for name, number in names.items() if name in wanted]


def _precision(outcomes: Sequence[Outcome]) -> Estimate:
    return estimate([outcome.precision for outcome in outcomes])


def _recall(outcomes: Sequence[Outcome]) -> Estimate:
    return estimate([outcome.recall for outcome in outcomes])
