"""A trial: hours of a world with faults and adversaries, then a clear sky in which all honest hosts must agree.

What is promised to the nodes: honest hosts are joined by links between honest hosts only (each names up to three that
were made before it), and adversaries mine less than honest hosts do. Everything else may go wrong until the sky clears.
Then faults end, mining ends, and adversaries go on with all but mining. Within :data:`SETTLE` all honest hosts must
have one tip, with no less work than any of them ever had; where branches of equal work are left, one more block
decides. In the end one more block is mined, and must reach everybody too: agreement by accident is not enough.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from ..base.errors import ConfigError
from ..base.instant import MICROSECONDS, Duration, Instant, minutes, seconds
from ..base.names import BlockHash, display_hash
from ..base.randomness import Chance
from ..chain import BlockReport
from ..ledgers.memory import MemoryLedger
from ..node import NodeConfig
from ..node.effects import Event, LinkClosed, TipMoved
from ..wire.target import Target
from .adversaries import KINDS
from .adversary import Adversary
from .checks import SafetyChecker, SafetyError
from .disk import Clock, Disk, Losses
from .faults import FaultOptions, draw_faults
from .hive import Hive
from .host import Host, Pace, host_address
from .journal import Journal, Kind
from .lines import LineOptions
from .network import Network
from .weather import Weather
from .world import World

SETTLE: Final = minutes(60)
"""Virtual time in which honest hosts agree once the sky is clear: a request may wait for BLOCK_TIMEOUT, a silent link
for PING_TIMEOUT, before somebody else is asked."""
TIE_BREAKERS_MAX: Final = 10  # each ends a tie, unless branches meet again; more would hide a defect
HOSTS_MAX: Final = 62_500  # fit into 127.x.y.1
_START: Final = seconds(1)
_LOOK: Final = seconds(1)  # between two looks whether all agree
_QUIET: Final = seconds(120)  # no tip has moved for so long: named peers are dialled again after 60 s at the latest
_SLICE: Final = seconds(60)  # between two reports of progress
_CHECK: Final = minutes(10)  # between two walks through one node's invariants
_BLOCKS: Final = 144  # of a trial: a day's worth, at Bitcoin's interval on a trial of a day
_INTERVAL: Final = (seconds(20), minutes(10))
_NAMED: Final = 3  # honest hosts that each honest host names
_OUTBOUND: Final = 4  # more links where hosts discover peers
_BODY: Final = 5_000  # bytes; sizes are uniform from 8
_SYNC: Final = 300_000  # microseconds that a slow disk takes to sync; a fast one takes a thousandth


class Verdict(Enum):
    """How a trial ended."""

    HELD = "held"
    UNSAFE = "unsafe"
    """Something happened that must never happen."""
    STUCK = "stuck"
    """Honest hosts did not agree in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOptions:
    """What a trial is made of."""

    seed: int
    hosts: int = 20
    """Adversaries included."""
    span: Duration = field(default_factory=lambda: minutes(60))
    """Virtual time of trouble."""
    faults: FaultOptions | None = None
    """Drawn from the seed if not given."""
    interval: Duration | None = None
    """Mean time between blocks; if not given, about 144 blocks fill the span, every 10 minutes at the most rarely."""

    def __post_init__(self) -> None:
        if not 2 <= self.hosts <= HOSTS_MAX:
            msg = f"{self.hosts} hosts: 2 to {HOSTS_MAX} fit into 127.x.y.1"
            raise ConfigError(msg)
        if self.span < _SLICE:
            msg = f"a trial of {self.span / MICROSECONDS} s is too short: a minute at least"
            raise ConfigError(msg)
        if self.interval is not None and self.interval < _LOOK:
            msg = "blocks come no faster than one a second on average"
            raise ConfigError(msg)

    @property
    def block_interval(self) -> Duration:
        """Mean time between honest blocks."""
        if self.interval is not None:
            return self.interval
        return Duration(max(_INTERVAL[0], min(_INTERVAL[1], self.span // _BLOCKS)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReport:
    """How a trial ended. ``journal`` is the hash that a second run of the seed must have, on any machine."""

    seed: int
    hosts: int
    honest: int
    hours: float
    verdict: str
    why: str
    """What did not hold; empty if all did."""
    faults: tuple[str, ...]
    adversaries: dict[str, int]
    """How many of each kind."""
    mischief: dict[str, int]
    """How often each was done."""
    toll: dict[str, int]
    """How often each trouble came."""
    height: int
    blocks_mined: int
    tie_breakers: int
    """Blocks mined after the sky cleared because branches of equal work were left when all was quiet."""
    reorganisations: int
    deepest_reorganisation: int
    closed: dict[str, int]
    """Links that honest hosts saw end, by the rule."""
    settled_s: float
    """From the clear sky to agreement; -1 if there was none."""
    last_block_s: float
    """What one more block then took to reach everybody; -1 if it did not."""
    resets: int
    losses: int
    bytes_sent: int
    tips_judged: int
    checks: int
    events: int
    virtual_s: float
    tips: tuple[str, ...]
    journal: str


class Trial:
    """A trial under way. :meth:`finish` does it all; a test that interferes uses the parts.

    Args:
        options: what it is made of.
        journal: where it is written down.
        make_ledger: builds the empty ledger of a host, given its number; a test breaks one here.
    """

    def __init__(
        self,
        options: TrialOptions,
        journal: Journal | None = None,
        make_ledger: Callable[[int], Callable[..., MemoryLedger]] = lambda number: MemoryLedger,
    ) -> None:
        self.options = options
        self.world = World(options.seed)
        self.journal = journal or Journal()
        self.faults = options.faults or draw_faults(self.world.chance.fork("faults"))
        self.network = Network(self.world, self.faults.lines(), self.journal)
        self.checker = SafetyChecker()
        self.hive = Hive(lambda: self.world.now.wall)
        self.everyone = options.hosts
        self.mined = self.tie_breakers = self.reorganisations = self.deepest = 0
        self.closed: dict[str, int] = {}
        self._make_ledger = make_ledger
        self._miners = self.world.chance.fork("miners")
        self._mining = True
        self._moved_at = Instant(0)
        self._settled = self._last_block = -1.0
        # A share of a small world may round to all of it but one; two honest hosts are the least.
        count = min(round(options.hosts * self.faults.share) if self.faults.adversaries else 0, options.hosts - 2)
        honest = options.hosts - count
        graph = self.world.chance.fork("graph")
        # Even on a logarithmic scale, one for each host: on a slow disk a crash finds blocks half written.
        disks = self.world.chance.fork("disks")
        self._paces = [Pace(call=Duration(round(_SYNC / 1_000 ** disks.uniform()))) for _ in range(honest)]
        self._configs = [self._config(number, honest, graph) for number in range(honest)]
        self.hosts = [self._host(number, Clock(self.world), Disk(), 0) for number in range(honest)]
        self.adversaries = [self._adversary(honest + index, graph) for index in range(count)]
        self.weather = Weather(self, self.faults)
        for index, host in enumerate(self.hosts):
            self.world.at(self._miners.below(_START), host.start)
            self.world.at(_START + _CHECK * (index + 1) // honest, self._check, index)
        for adversary in self.adversaries:
            self.world.at(self._miners.below(_START), adversary.start)
        self.world.at(_START + self._miners.exponential(options.block_interval), self._mine_next)
        self._powers = [adversary for adversary in self.adversaries if adversary.mines]
        if self._powers and self.faults.power:
            self._power = self.world.chance.fork("power")
            self._unit_every = Duration(round(options.block_interval / self.faults.power))
            self.world.at(_START + self._power.exponential(self._unit_every), self._power_next)

    # -- who there is

    def _config(self, number: int, honest: int, graph: Chance) -> NodeConfig:
        """Honest hosts that were made before, so that the honest graph is connected, and perhaps an adversary."""
        named = graph.sample(range(number), _NAMED)
        if honest < self.everyone and graph.below(2):
            named.append(honest + graph.below(self.everyone - honest))
        return NodeConfig(
            network="memory",
            user_agent="/Obscura:sim/",
            connect=tuple(Target(host_address(peer)) for peer in named),
            advertise=(host_address(number),),
            allow_local=True,
            discover=self.faults.discover,
            outbound_slots=_OUTBOUND,
        )

    def _host(self, number: int, clock: Clock, disk: Disk, life: int) -> Host:
        return Host(
            number,
            self.network,
            self._configs[number],
            ledger=disk.load(clock, self._make_ledger(number)),
            pace=self._paces[number],
            listener=self._heard,
            answered=self._answered,
            clock=clock,
            disk=disk,
            life=life,
        )

    def _adversary(self, number: int, graph: Chance) -> Adversary:
        name = graph.choice(self.faults.adversaries)
        [(index, kind)] = [(index, kind) for index, kind in enumerate(KINDS) if kind.name == name]
        victims = [host.address for host in self.hosts]
        return kind(number, self.network, self.hive, victims, kind=index)

    def restart(self, number: int) -> None:
        """See :class:`~obscura.sim.weather.Ground`."""
        dead = self.hosts[number]
        host = self._host(number, dead.clock, dead.disk, dead.life + 1)
        self.hosts[number] = host
        self.journal.note(self.world.time, number, Kind.RESTARTED, host.life, len(host.disk.blocks))
        self.checker.restarted(host)
        host.start()

    def crashed(self, host: Host, losses: Losses, *, power: bool) -> None:
        """See :class:`~obscura.sim.weather.Ground`."""

    # -- what happens

    def _heard(self, host: Host, event: Event) -> None:
        self.checker.told(host, event)
        match event:
            case TipMoved():
                self._moved_at = self.world.time
                if event.disconnected:
                    self.reorganisations += 1
                    self.deepest = max(self.deepest, event.disconnected)
            case LinkClosed():
                self.closed[event.reason] = self.closed.get(event.reason, 0) + 1

    def _answered(self, host: Host, report: BlockReport) -> None:
        self.checker.answered(host, report)

    def _check(self, number: int) -> None:
        host = self.hosts[number]
        if host.alive:
            self.checker.check(host)
        self.world.after(_CHECK, self._check, number)

    def mine(self) -> None:
        """A random honest host that is up finds a block, if there is one."""
        up = [host for host in self.hosts if host.alive and not host.frozen]
        if not up:
            return
        host = self._miners.choice(up)
        size = 8 + self._miners.below(_BODY - 7)
        self.mined += 1
        block = host.template(self.mined.to_bytes(8, "little") + bytes(size - 8))
        self.hive.learn(block)
        host.submit(block)

    def _mine_next(self) -> None:
        if self._mining:
            self.mine()
            self.world.after(self._miners.exponential(self.options.block_interval), self._mine_next)

    def _power_next(self) -> None:
        if self._mining:
            adversary = self._power.choice(self._powers)
            adversary.units += 1
            adversary.found()
            self.world.after(self._power.exponential(self._unit_every), self._power_next)

    # -- the end

    @property
    def tips(self) -> list[BlockHash]:
        """All different tips of honest hosts, sorted: of the ledgers and, where those agree, of the nodes too."""
        tips = {host.ledger.tip: None for host in self.hosts}
        if len(tips) == 1:
            tips |= {host.node.snapshot(self.world.now).tip: None for host in self.hosts}
        return sorted(tips)

    @property
    def agreed(self) -> bool:
        """Every honest host is up and has the same tip, and no better one was ever theirs."""
        if not all(host.alive for host in self.hosts) or len(self.tips) != 1:
            return False
        return self.hosts[0].ledger.height >= self.checker.best_height

    @property
    def _tied(self) -> bool:
        """Tips differ and have the same work: nobody is wrong. Hosts that are behind must catch up by themselves."""
        return not self.agreed and len({host.ledger.height: None for host in self.hosts}) == 1

    def trouble(self, progress: Callable[[float], None] = lambda share: None) -> None:
        """Let the hours of trouble pass, then clear the sky."""
        while self.world.time < self.options.span:
            self.world.run_until(Instant(min(self.world.time + _SLICE, self.options.span)))
            progress(self.world.time / self.options.span)
        self._mining = False
        self.network.change(LineOptions(loss=0.0, reset=0.0))
        self.weather.end()

    def settle(self, limit: Duration = SETTLE) -> bool:
        """Run until all agree, breaking ties; ``False`` if the limit comes first."""
        end = Instant(self.world.time + limit)
        self._moved_at = self.world.time
        while not self.agreed:
            if self.world.time >= end:
                return False
            self.world.run_until(Instant(min(self.world.time + _LOOK, end)))
            if self.world.time - self._moved_at >= _QUIET and self._tied:
                if self.tie_breakers == TIE_BREAKERS_MAX:
                    return False
                self.tie_breakers += 1
                # Quiet begins anew, also where the new block moves no tip.
                self._moved_at = self.world.time
                self.mine()
        return True

    def _conclude(self) -> str:
        """Settle, and mine one block more; what did not hold, or nothing."""
        cleared = self.world.time
        if not self.settle():
            return (
                f"{len(self.tips)} different tips {(self.world.time - cleared) // MICROSECONDS} s after the sky cleared"
            )
        self._settled = (self.world.time - cleared) / MICROSECONDS
        before, mined = self.tie_breakers, self.world.time
        self.mine()
        # The block is with its miner's ledger within a look.
        self.world.run_for(_LOOK)
        if not self.settle() or self.tie_breakers != before:
            return "the last block did not reach everybody"
        self._last_block = (self.world.time - mined) / MICROSECONDS
        for host in self.hosts:
            self.checker.check(host)
        return ""

    def finish(self, progress: Callable[[float], None] = lambda share: None) -> TrialReport:
        """Run it all and report. A check that fails ends the run and is the report's verdict.

        What the journal's sink raises ends the run too, and is raised here.
        """
        verdict = Verdict.HELD
        try:
            self.trouble(progress)
            why = self._conclude()
            if why:
                verdict = Verdict.STUCK
        except SafetyError as error:
            verdict, why = Verdict.UNSAFE, str(error)
        except JournalStop:
            raise
        except Exception as error:  # noqa: BLE001 whatever a node raises is what this looks for
            verdict, why = Verdict.UNSAFE, _where(error)
        return self._report(verdict, why)

    def _report(self, verdict: Verdict, why: str) -> TrialReport:
        kinds = [adversary.name for adversary in self.adversaries]
        toll = self.weather.toll
        return TrialReport(
            seed=self.options.seed,
            hosts=self.everyone,
            honest=len(self.hosts),
            hours=self.options.span / minutes(60),
            verdict=verdict.value,
            why=why,
            faults=tuple(self.faults.describe()),
            adversaries={name: kinds.count(name) for name in dict.fromkeys(kinds)},
            mischief=dict(sorted(self.hive.acts.items())),
            toll={name: getattr(toll, name) for name in toll.__slots__},
            height=self.checker.best_height,
            blocks_mined=self.mined,
            tie_breakers=self.tie_breakers,
            reorganisations=self.reorganisations,
            deepest_reorganisation=self.deepest,
            closed=dict(sorted(self.closed.items())),
            settled_s=self._settled,
            last_block_s=self._last_block,
            resets=self.network.resets,
            losses=self.network.losses,
            bytes_sent=self.network.bytes_sent,
            tips_judged=self.checker.tips_judged,
            checks=self.checker.checks,
            events=self.world.events,
            virtual_s=self.world.time / MICROSECONDS,
            tips=tuple(display_hash(tip) for tip in self.tips),
            journal=self.journal.digest(),
        )


class JournalStop(Exception):
    """Raised by a journal's sink to end the run: what was looked for is found."""


def _where(error: Exception) -> str:
    """An exception with the host that it came out of, if one can be found, and its innermost frames."""
    host = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        station = frame.f_locals.get("self")
        if isinstance(station, Host):
            host = f" out of host {station.number}"
    places = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-4:]]
    return f"{type(error).__name__}{host}: {error} ({' > '.join(places)})"
