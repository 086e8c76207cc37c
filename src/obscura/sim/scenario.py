"""A world to run: hosts in a random sparse graph, bad lines, blocks mined at random; do all agree in the end?

Two branches of equal work may be left when the last block is mined. Honest nodes then keep the one that each saw first,
for ever; so when no tip moves any more and tips differ, one more block is mined. The lines stay bad all the time.

``python -m obscura.sim.scenario --nodes 50 --seed 1`` prints a report as JSON; ``--compare`` runs the seed twice and
shows the first difference, if there is one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from ..base.errors import ConfigError
from ..base.instant import MICROSECONDS, Duration, Instant, seconds
from ..base.names import BlockHash, display_hash
from ..node import NodeConfig
from ..node.effects import Event, TipMoved
from ..wire.target import Target
from .host import Host, Pace, host_address
from .journal import Journal, first_difference
from .lines import LineOptions
from .network import Network
from .world import World

_START: Final = seconds(1)  # hosts start within it, each at its own time
_LOOK: Final = seconds(1)  # how often it is asked whether all agree: rarely enough to cost nothing
_QUIET: Final = seconds(120)  # no tip has moved for so long: named peers are dialled again after 60 s at the latest
TIE_BREAKERS_MAX: Final = 10  # each ends a tie, unless another block is found at once; more would hide a defect


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What a run is made of. Times are in microseconds."""

    seed: int
    hosts: int = 50
    blocks: int = 30
    """How many are mined, besides those that break ties."""
    links: int = 3
    """Links that each host opens. With fewer, a reset can part the graph for as long as a back-off lasts."""
    interval: Duration = field(default_factory=lambda: seconds(5))
    """Mean of the exponential time between blocks: short against the lines, so that branches compete."""
    block_bytes: int = 5_000
    """The largest body; sizes are uniform from 8."""
    options: LineOptions = field(default_factory=LineOptions)
    pace: Pace = field(default_factory=Pace)
    """Of every ledger."""
    discover: bool = False
    """Hosts also look for peers by gossip; else the graph stays as it was drawn."""
    limit: Duration = field(default_factory=lambda: seconds(3_600))
    """Virtual time after which a run is given up."""

    def __post_init__(self) -> None:
        if not 1 <= self.hosts <= 62_500:
            msg = f"{self.hosts} hosts: 1 to 62500 fit into 127.x.y.1"
            raise ConfigError(msg)
        if self.blocks < 0 or self.links < 1 or self.block_bytes < 8:
            msg = "a scenario has at least 0 blocks, 1 link a host and bodies of 8 bytes"
            raise ConfigError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a run ended. ``journal`` is the hash that a second run of the seed must have, on any machine."""

    seed: int
    hosts: int
    links: int
    converged: bool
    height: int
    tips: tuple[str, ...]
    """All different tips in display hex, sorted."""
    blocks_mined: int
    tie_breakers: int
    reorganisations: int
    deepest_reorganisation: int
    resets: int
    losses: int
    bytes_sent: int
    events: int
    virtual_s: float
    journal: str


class Run:
    """A scenario under way. :meth:`finish` does it all; a test that interferes uses the parts."""

    def __init__(self, scenario: Scenario, *, keep_lines: bool = False) -> None:
        self.scenario = scenario
        self.world = World(scenario.seed)
        self.journal = Journal(keep_lines=keep_lines)
        self.network = Network(self.world, scenario.options, self.journal)
        self.mined = 0
        self.tie_breakers = 0
        self.reorganisations = 0
        self.deepest = 0
        self.links = 0
        self._graph = self.world.chance.fork("graph")
        self._miners = self.world.chance.fork("miners")
        self._moved_at = Instant(0)
        self.hosts = [self._host(number) for number in range(scenario.hosts)]
        for host in self.hosts:
            self.world.at(self._miners.below(_START), host.start)
        if scenario.blocks:
            self.world.at(_START + self._miners.exponential(scenario.interval), self._mine_next)

    def _host(self, number: int) -> Host:
        """A host that dials some that were made before it, so that the graph is connected."""
        peers = self._graph.sample(range(number), self.scenario.links)
        self.links += len(peers)
        config = NodeConfig(
            network="memory",
            user_agent="/Obscura:sim/",
            connect=tuple(Target(host_address(peer)) for peer in peers),
            advertise=(host_address(number),),
            allow_local=True,
            discover=self.scenario.discover,
        )
        return Host(number, self.network, config, pace=self.scenario.pace, listener=self._heard)

    def _heard(self, host: Host, event: Event) -> None:
        del host
        if isinstance(event, TipMoved):
            self._moved_at = self.world.time
            if event.disconnected:
                self.reorganisations += 1
                self.deepest = max(self.deepest, event.disconnected)

    def mine(self) -> None:
        """A random host finds a block."""
        host = self._miners.choice(self.hosts)
        size = 8 + self._miners.below(self.scenario.block_bytes - 7)
        self.mined += 1
        host.mine(self.mined.to_bytes(8, "little") + bytes(size - 8))

    def _mine_next(self) -> None:
        self.mine()
        if self.mined < self.scenario.blocks:
            self.world.after(self._miners.exponential(self.scenario.interval), self._mine_next)

    @property
    def tips(self) -> list[BlockHash]:
        """All different tips, sorted: of the ledgers, and of what the nodes believe of them."""
        tips = {host.ledger.tip: None for host in self.hosts}
        tips |= {host.node.snapshot(self.world.now).tip: None for host in self.hosts}
        return sorted(tips)

    @property
    def converged(self) -> bool:
        """All blocks are mined and every host has the same tip."""
        return self.mined >= self.scenario.blocks and len(self.tips) == 1

    def finish(self) -> Report:
        """Run until all agree, or the limit is over, and report. Every node's invariants are walked at the end.

        Raises:
            AssertionError: a node's invariant does not hold: a defect of ours.
        """
        while not self.converged and self.world.time < self.scenario.limit:
            self.world.run_until(Instant(min(self.world.time + _LOOK, self.scenario.limit)))
            quiet = self.world.time - self._moved_at >= _QUIET
            if quiet and self.mined >= self.scenario.blocks and not self.converged:
                if self.tie_breakers == TIE_BREAKERS_MAX:
                    break
                self.tie_breakers += 1
                # Quiet begins anew, also where the new block moves no tip.
                self._moved_at = self.world.time
                self.mine()
        for host in self.hosts:
            host.node.check()
        return Report(
            seed=self.scenario.seed,
            hosts=len(self.hosts),
            links=self.links,
            converged=self.converged,
            height=max(host.ledger.height for host in self.hosts),
            tips=tuple(display_hash(tip) for tip in self.tips),
            blocks_mined=self.mined,
            tie_breakers=self.tie_breakers,
            reorganisations=self.reorganisations,
            deepest_reorganisation=self.deepest,
            resets=self.network.resets,
            losses=self.network.losses,
            bytes_sent=self.network.bytes_sent,
            events=self.world.events,
            virtual_s=self.world.time / MICROSECONDS,
            journal=self.journal.digest(),
        )


def run_convergence(
    seed: int,
    hosts: int = 50,
    blocks: int = 30,
    *,
    interval: Duration | None = None,
    limit: Duration | None = None,
    options: LineOptions | None = None,
    discover: bool = False,
    keep_lines: bool = False,
) -> tuple[Report, list[str]]:
    """Mine ``blocks`` at random hosts, at exponential intervals, and run until all hosts have one tip.

    Args:
        seed: draws everything.
        hosts: how many.
        blocks: how many are mined, besides those that break ties.
        interval: mean time between blocks; as :class:`Scenario` if not given, like the next two.
        limit: virtual time after which it is given up.
        options: the lines.
        discover: hosts also find peers by gossip.
        keep_lines: return the journal's lines too.
    """
    scenario = Scenario(seed=seed, hosts=hosts, blocks=blocks, discover=discover)
    scenario = replace(
        scenario,
        interval=scenario.interval if interval is None else interval,
        limit=scenario.limit if limit is None else limit,
        options=scenario.options if options is None else options,
    )
    run = Run(scenario, keep_lines=keep_lines)
    return run.finish(), run.journal.lines or []


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one seed and print the report; exit code 1 if the hosts do not agree, or two runs differ."""
    usual = LineOptions()
    parser = argparse.ArgumentParser(prog="python -m obscura.sim.scenario", description=__doc__)
    parser.add_argument("--nodes", type=int, default=50, help="hosts (50)")
    parser.add_argument("--blocks", type=int, default=30, help="blocks to be mined (30)")
    parser.add_argument("--seed", type=int, default=1, help="draws everything (1)")
    parser.add_argument("--loss", type=float, default=usual.loss, help=f"chance that a piece is lost ({usual.loss})")
    parser.add_argument("--reset", type=float, default=usual.reset, help=f"that it breaks its link ({usual.reset})")
    parser.add_argument("--discover", action="store_true", help="hosts also find peers by gossip")
    parser.add_argument("--compare", action="store_true", help="run twice and show the first difference")
    given = parser.parse_args(arguments)

    def once() -> tuple[Report, list[str]]:
        options = replace(usual, loss=given.loss, reset=given.reset)
        return run_convergence(
            given.seed,
            given.nodes,
            given.blocks,
            options=options,
            discover=given.discover,
            keep_lines=given.compare,
        )

    try:
        report, lines = once()
    except ConfigError as error:
        parser.error(str(error))
    sys.stdout.write(json.dumps(asdict(report)) + "\n")
    if given.compare:
        difference = first_difference(lines, once()[1])
        sys.stdout.write(f"first difference: {difference}\n" if difference else "two runs are equal\n")
        if difference:
            return 1
    return 0 if report.converged else 1


if __name__ == "__main__":
    sys.exit(main())
