"""Whole simulated nodes instead of bare policies: encryption, handshakes, verdicts, lines and all.

The graph is exactly 4-regular, as the rows' is: each node dials the two to which its edges lead. Spies are nodes that
do as all others do and compare what they saw, or hosts that take stems and keep them. What honest nodes tell of their
stems (:class:`~obscura.node.effects.StemTrace`) is what a spy at the other end of the link sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ..base.errors import ConfigError
from ..base.instant import MICROSECONDS, Duration, Instant, seconds
from ..base.names import ConnId, TxId
from ..base.randomness import Chance
from ..ledgers.memory_transactions import FAUCET_AMOUNT, faucet, make_transaction
from ..node import NodeConfig
from ..node.effects import Event, LinkOpened, StemStep, StemTrace
from ..sim.adversary import Adversary
from ..sim.hive import Hive
from ..sim.host import Host, host_address
from ..sim.journal import Journal
from ..sim.lines import LineOptions
from ..sim.network import Network
from ..sim.world import World
from ..wire.address import NetAddress
from ..wire.features import STEMS, Feature, FeatureSet
from ..wire.greeting import Version
from ..wire.target import Target
from .embargoes import NODE_EMBARGO
from .estimators import score
from .topologies import draw_spies, regular

_START: Final = seconds(1)
_LINK_AGE: Final = seconds(2)
_SETTLED: Final = seconds(60)  # links stand, those that began too early were renewed, and all have lasted long enough
_APART: Final = seconds(0.5)  # between one node's sending and the next one's
_LOOK: Final = seconds(2)
_LIMIT: Final = seconds(3_600)
_FEE: Final = 20_000
_LINES: Final = LineOptions(
    latency_min=seconds(0.02), latency_max=seconds(0.2), jitter=seconds(0.02), loss=0.0, cut=0.0, reset=0.0
)  # 110 ms one way on average, as links of the field


@dataclass(frozen=True, slots=True)
class WholeSetup:
    """What is simulated.

    Raises:
        ConfigError: a number is impossible.
    """

    nodes: int = 60
    spies: float = 0.1
    diffusers: float = 0.0
    swallow: bool = False
    """Spies keep the stems that they get, and tell nothing; else they do as all nodes do."""
    embargo: Duration = NODE_EMBARGO
    """The mean."""
    limit: Duration = _LIMIT
    """Virtual time after the first sending at which a world is given up."""

    def __post_init__(self) -> None:
        if not 10 <= self.nodes <= 1_000:
            raise ConfigError(f"{self.nodes} whole nodes: 10 to 1000")
        if not 0 <= self.diffusers <= 1:
            raise ConfigError(f"a share of diffusers of {self.diffusers:g}: it must be from 0 to 1")
        draw_spies(self.nodes, self.spies, Chance.from_seed(0))


class WholeOutcome(NamedTuple):
    """One world. All but ``steps`` and ``hop_s`` are shares of the honest nodes' transactions."""

    recall: float
    precision: float
    """Both of the first-spy estimator."""
    steps: float
    """How often one was passed on by stem before anybody spread it, or a spy had it, on average."""
    hop_s: float
    """What a step took, from one honest node's giving to the next one's, in seconds."""
    early: float
    """An embargo ended before a diffuser had it."""
    origin_first: float
    """The origin was the first to spread it."""
    delivered: float
    """All honest nodes have it; but for those that have none but swallowers for neighbours."""


class Swallower(Adversary):
    """Takes stems, relays nothing."""

    name = "swallower"

    def version(self) -> Version:
        """It says that it relays."""
        true = super().version()
        bits = FeatureSet(STEMS.features | Feature.PRIVACY_FEATURES, STEMS.privacy)
        return Version(
            true.protocol, true.timestamp, bits, true.user_agent, true.best_hash, true.best_height, true.nonce
        )


class _Story:
    """What happened to one transaction, as honest nodes tell it."""

    __slots__ = ("early", "given_at", "guess", "hops", "origin", "spread_by", "steps")

    def __init__(self, origin: int) -> None:
        self.origin = origin
        self.guess: int | None = None
        self.steps = 0
        self.given_at: Instant | None = None
        self.hops: list[Duration] = []
        self.spread_by: int | None = None
        self.early = False


class Whole:
    """A world under way; :func:`play` does it all."""

    def __init__(self, setup: WholeSetup, seed: int) -> None:
        self.setup = setup
        self.world = World(seed)
        chance = self.world.chance.fork("lab")
        topology = regular(setup.nodes, chance.fork("topology"))
        self.spies = draw_spies(setup.nodes, setup.spies, chance.fork("spies"))
        self.network = Network(self.world, _LINES, Journal())
        self.hosts: dict[int, Host] = {}
        self.stories: dict[TxId, _Story] = {}
        self._links: dict[tuple[int, ConnId], int] = {}
        self._numbers = {host_address(number).raw: number for number in range(setup.nodes)}
        hive = Hive(lambda: self.world.now.wall)
        starts = chance.fork("starts")
        for number, edges in enumerate(topology.out):
            if setup.swallow and self.spies[number]:
                Swallower(number, self.network, hive, (), links=0).start()
                continue
            peers = [host_address(topology.heads[edge]) for edge in edges]
            self.hosts[number] = Host(number, self.network, self._config(peers), listener=self._heard)
            self.world.at(starts.below(_START), self.hosts[number].start)

        self.honest = [number for number in self.hosts if not self.spies[number]]
        """Those that are no spies; where spies relay nothing, those alone that are not cut off by them."""
        if setup.swallow:
            self.honest = _together(topology.neighbours(), self.spies)

    def _config(self, peers: Sequence[NetAddress]) -> NodeConfig:
        return NodeConfig(
            network="memory",
            user_agent="/Obscura:sim/",
            connect=tuple(map(Target, peers)),
            allow_local=True,
            discover=False,
            stem_link_age=_LINK_AGE,
            stem_diffusers=self.setup.diffusers,
            embargo_mean=self.setup.embargo,
            trace_stems=True,
        )

    def _heard(self, host: Host, event: Event) -> None:
        if isinstance(event, LinkOpened):
            self._links[host.number, event.conn] = self._numbers[event.address.raw]
        elif isinstance(event, StemTrace) and not self.spies[host.number]:
            self._step(host.number, event)

    def _step(self, number: int, event: StemTrace) -> None:
        if event.step is StemStep.OWN:
            self.stories[event.relay_id] = _Story(number)
        story = self.stories.get(event.relay_id)
        if story is None:
            return
        match event.step:
            case StemStep.GIVEN | StemStep.TOLD:
                assert event.conn is not None, "something is given to somebody"
                if event.step is StemStep.GIVEN and story.guess is None and story.spread_by is None:
                    story.steps += 1
                    if story.given_at is not None and not story.early:
                        story.hops.append(Duration(self.world.time - story.given_at))
                    story.given_at = self.world.time
                if story.guess is None and self.spies[self._links[number, event.conn]]:
                    story.guess = number
            case StemStep.EXPIRED:
                story.early = story.early or story.spread_by is None
            case StemStep.SPREAD if story.spread_by is None:
                story.spread_by = number

    def send_all(self) -> None:
        """Each honest node sends one transaction, one after the other."""
        self.world.run_for(_SETTLED)
        for number in self.honest:
            data = make_transaction([faucet(number)], [FAUCET_AMOUNT - _FEE])
            self.hosts[number].send(data)
            self.world.run_for(_APART)

    @property
    def known_to_spies(self) -> bool:
        """A spy has seen each of them."""
        return all(story.guess is not None for story in self.stories.values())

    def delivered(self) -> float:
        """The share of transactions that every honest node has."""
        now = self.world.now
        pools = [
            dict.fromkeys(item.relay_id for item in self.hosts[number].node.mempool(now)) for number in self.honest
        ]
        return sum(all(name in pool for pool in pools) for name in self.stories) / len(self.stories)

    def outcome(self) -> WholeOutcome:
        """What it came to."""
        stories = list(self.stories.values())
        count = len(stories)
        hops = [hop for story in stories for hop in story.hops]
        judged = score({story.origin: story.guess for story in stories})
        return WholeOutcome(
            recall=judged.recall,
            precision=judged.precision,
            steps=sum(story.steps for story in stories) / count,
            hop_s=sum(hops) / max(1, len(hops)) / MICROSECONDS,
            early=sum(story.early for story in stories) / count,
            origin_first=sum(story.spread_by == story.origin for story in stories) / count,
            delivered=self.delivered(),
        )


def _together(neighbours: Sequence[Sequence[int]], spies: Sequence[bool]) -> list[int]:
    """The largest part of the graph of honest nodes, in which each can reach each other past the spies."""
    best: list[int] = []
    seen: dict[int, None] = {}
    for start in range(len(spies)):
        if spies[start] or start in seen:
            continue
        part = {start: None}
        line = [start]
        while line:
            for other in neighbours[line.pop()]:
                if not spies[other] and other not in part:
                    part[other] = None
                    line.append(other)
        seen |= part
        best = max(best, sorted(part), key=len)
    return best


def play(setup: WholeSetup, chance: Chance) -> WholeOutcome:
    """Run a world until all honest nodes have all transactions; one of curious spies without diffusers, where nothing
    spreads but by embargoes, until the spies have seen all. Every node's invariants are walked at the end."""
    whole = Whole(setup, chance.u64() >> 1)
    whole.send_all()
    end = Instant(whole.world.time + setup.limit)
    stems_only = not (setup.diffusers or setup.swallow)
    while whole.world.time < end:
        if whole.known_to_spies if stems_only else whole.delivered() == 1.0:
            break
        whole.world.run_for(_LOOK)
    for host in whole.hosts.values():
        host.node.check()
    return whole.outcome()
