"""A world to run: hosts in a random sparse graph, bad lines, blocks mined at random; do all agree in the end?

``python -m obscura.sim.scenario --nodes 50 --seed 1`` prints a report as JSON; ``--compare`` runs the seed twice and
shows the first difference, if there is one.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from typing import Final

from ..base.instant import MICROSECONDS, Duration, seconds
from ..base.names import display_hash
from ..node import NodeConfig
from ..wire.address import NetAddress, Network
from .host import Fabric, Host
from .journal import first_difference
from .network import LineOptions
from .world import World

_LINKS: Final = 3  # links that each host opens: with fewer, a reset can part the graph for as long as a back-off lasts


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended. ``journal`` is the hash that a second run of the seed must have."""

    seed: int
    hosts: int
    converged: bool
    height: int
    tips: tuple[str, ...]
    blocks_mined: int
    reorganisations: int
    events: int
    virtual_s: float
    journal: str


def host_address(number: int) -> NetAddress:
    """Address of host ``number``: each in a network group of its own (design §10)."""
    return NetAddress(Network.IPV4, bytes([127, number // 250 + 1, number % 250 + 1, 1]), 18_444)


def build(world: World, count: int, options: LineOptions) -> list[Host]:
    """Hosts in a random connected graph, not started yet."""
    fabric = Fabric(world, options)
    graph = world.chance.fork("graph")
    hosts: list[Host] = []
    for number in range(count):
        config = NodeConfig(
            network="memory",
            user_agent="/Obscura:sim/",
            connect=tuple(host.address for host in graph.sample(hosts, _LINKS)),
            advertise=host_address(number),
            allow_local=True,
            discover=False,
        )
        hosts.append(Host(fabric, number, host_address(number), config, world.chance.fork(f"host {number}")))
    return hosts


def run_convergence(
    seed: int,
    hosts: int = 50,
    blocks: int = 30,
    *,
    interval: Duration | None = None,
    limit: Duration | None = None,
    options: LineOptions | None = None,
    keep_lines: bool = False,
) -> tuple[Report, list[str]]:
    """Mine ``blocks`` at random hosts, at exponential intervals, and run until all hosts have one tip.

    Args:
        seed: draws everything.
        hosts: how many.
        blocks: how many are mined.
        interval: mean time between blocks, 5 s if not given: short against the lines, so that branches compete.
        limit: virtual time after which it is given up, 1 h if not given.
        options: the lines.
        keep_lines: return the journal's lines too.
    """
    world = World(seed, keep_lines=keep_lines)
    line_options = options or LineOptions()
    chosen = build(world, hosts, line_options)
    miners = world.chance.fork("miners")
    mean = interval if interval is not None else seconds(5)
    mined = 0

    def mine_next() -> None:
        nonlocal mined
        mined += 1
        miners.choice(chosen).mine()
        if mined < blocks:
            world.plan(miners.exponential(mean), mine_next)

    for host in chosen:
        world.plan(miners.below(MICROSECONDS), host.start)
    world.plan(seconds(2), mine_next)

    def finished() -> bool:
        return mined >= blocks and len({host.ledger.tip for host in chosen}) == 1 and chosen[0].ledger.height > 0

    converged = world.run(limit if limit is not None else seconds(3600), finished)
    for host in chosen:
        host.node.check()
    report = Report(
        seed=seed,
        hosts=hosts,
        converged=converged,
        height=max(host.ledger.height for host in chosen),
        tips=tuple(sorted({display_hash(host.ledger.tip) for host in chosen})),
        blocks_mined=mined,
        reorganisations=sum(host.reorganisations for host in chosen),
        events=world.events,
        virtual_s=world.now.mono / MICROSECONDS,
        journal=world.journal.digest(),
    )
    return report, world.journal.lines or []


def main() -> int:
    """Run one seed and print the report; exit code 1 if the hosts do not agree, or two runs differ."""
    parser = argparse.ArgumentParser(prog="python -m obscura.sim.scenario", description=__doc__)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--blocks", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compare", action="store_true", help="run twice and show the first difference")
    given = parser.parse_args()
    report, lines = run_convergence(given.seed, given.nodes, given.blocks, keep_lines=given.compare)
    sys.stdout.write(json.dumps(asdict(report)) + "\n")
    if given.compare:
        _, again = run_convergence(given.seed, given.nodes, given.blocks, keep_lines=True)
        difference = first_difference(lines, again)
        sys.stdout.write(f"first difference: {difference}\n" if difference else "two runs are equal\n")
        if difference:
            return 1
    return 0 if report.converged else 1


if __name__ == "__main__":
    sys.exit(main())
