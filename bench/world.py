"""(f) Simulated events per second: the network alone, and a world of whole nodes."""

from __future__ import annotations

import time

from obscura.base.instant import Duration, seconds
from obscura.sim.scenario import run_convergence
from obscura.sim.world import World

from .report import Row, Table


def _heap_alone(count: int) -> float:
    """Events of a world in which nothing happens but the next event; events a second."""
    world = World(1)

    def again() -> None:
        world.after(world.chance.below(1_000), again)

    for _ in range(1_000):
        again()
    span = count * 500 // 1_000
    start = time.perf_counter()
    world.run_for(Duration(span))
    return world.events / (time.perf_counter() - start)


def run(*, quick: bool) -> Table:
    """The heap alone is the baseline."""
    heap = _heap_alone(50_000 if quick else 500_000)
    start = time.perf_counter()
    report, _ = run_convergence(1, 20 if quick else 100, 10 if quick else 60, interval=seconds(20))
    whole = report.events / (time.perf_counter() - start)
    rows = (
        Row("the world's heap alone", heap, "events/s", 1.0, "≥ 100,000/s"),
        Row(f"{report.hosts} whole nodes that mine and agree", whole, "events/s", whole / heap),
    )
    return Table("sim", "(f) Simulated events (ratio: speed against the heap alone)", rows)
