"""Twenty peers flood a node with stems: budgets hold, and an honest stem that takes the same way passes."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from stem_peers import CALM, pay, relay_id
from tx_flooders import STEM_FLOODS, Flooder, Paying, by_stem

from obscura.base.instant import Duration, seconds
from obscura.base.limits import STEM_LINK_COUNT, STEM_LINK_TIME, STEM_OUT_TIME, STEM_TOTAL_BYTES
from obscura.node import NodeConfig
from obscura.node.effects import Event, LinkClosed, StemStep, StemTrace
from obscura.sim.hive import Hive
from obscura.sim.host import Host, host_address
from obscura.sim.journal import Journal
from obscura.sim.network import Network
from obscura.sim.world import World
from obscura.wire.target import Target

FLOODERS = 20
AFTER_S = 30
FEE = 20_000


@dataclass
class Outcome:
    """Delays of honest transactions until they came back to their origin, in seconds, sorted."""

    delays: list[float]
    lost: int
    """Honest ones that the victim did not give to a stem peer."""
    closed: list[str]
    flood_passed: int
    """Of the flood, what the victim gave to its stem peers in all."""
    span_s: float
    acts: int
    held: int
    """Most that the victim held in stem at once."""


def story(
    kind: type[Flooder] | None, honest: int, seed: int = 3, *, at_origin: int = 0, embargo_mean: Duration | None = None
) -> Outcome:
    """An origin stems through the victim, whose stem peers spread; flooders stem to the victim, ``at_origin`` of them
    to the origin as well."""
    world, network_events = World(seed), list[Event]()
    network = Network(world, CALM, Journal())
    traces: dict[int, list[StemTrace]] = {}

    def heard(host: Host, event: Event) -> None:
        if isinstance(event, StemTrace):
            traces.setdefault(host.number, []).append(event)
        else:
            network_events.append(event)

    def host(number: int, *peers: int, diffusers: float = 0.0) -> Host:
        config = NodeConfig(
            network="memory",
            user_agent="/Obscura:sim/",
            connect=tuple(Target(host_address(peer)) for peer in peers),
            allow_local=True,
            discover=False,
            stem_link_age=seconds(1),
            stem_diffusers=diffusers,
            trace_stems=True,
            embargo_mean=embargo_mean,
        )
        return Host(number, network, config, listener=heard)

    ends = [host(number, diffusers=1.0) for number in (3, 4)]
    victim = host(1, 3, 4)
    origin = host(0, 1)
    nodes = [origin, victim, *ends]
    for one in reversed(nodes):
        one.start()
        world.run_for(seconds(1))
    world.run_for(seconds(5))
    hive = Hive(lambda: world.now.wall)
    flooders: list[Flooder] = []
    if kind is not None:
        for number in range(FLOODERS):
            targets = [victim.address, origin.address] if number < at_origin else [victim.address]
            flooders.append(kind(100 + number, network, hive, targets, links=len(targets), every=seconds(1)))
            flooders[-1].start()
    world.run_for(seconds(5))
    network_events.clear()
    began = world.time
    sent: dict[bytes, int] = {}
    back: dict[bytes, float] = {}
    held = 0
    for number in range(honest + AFTER_S):
        if number < honest:
            data = pay(5_000_000 + number, FEE)
            sent[relay_id(data)] = world.time
            origin.send(data)
        for _ in range(10):
            world.run_for(seconds(0.1))
            for item in origin.node.mempool(world.now):
                if item.relay_id in sent and item.relay_id not in back:
                    back[item.relay_id] = (world.time - sent[item.relay_id]) / 1e6
        state = victim.node._state.relay  # nothing shows it
        assert state is not None
        held = max(held, len(state.stems.pool))
    for one in nodes:
        one.node.check()
    assert len(back) == honest, "every honest one comes through"
    addresses = {one.address for one in nodes}
    return Outcome(
        delays=sorted(back.values()),
        lost=len(sent)
        - len({step.relay_id: None for step in traces[1] if step.step is StemStep.GIVEN and step.relay_id in sent}),
        closed=[one.reason for one in network_events if isinstance(one, LinkClosed) and one.address in addresses],
        flood_passed=sum(
            step.step is StemStep.GIVEN and step.relay_id not in sent for step in traces.get(victim.number, [])
        ),
        span_s=(world.time - began) / 1e6,
        acts=sum(hive.acts.values()),
        held=held,
    )


def judge(kind: type[Flooder], honest: int) -> None:
    calm, flooded = story(None, honest), story(kind, honest)
    assert flooded.acts > FLOODERS, "it floods"
    assert flooded.lost == calm.lost == 0, "no honest stem is dropped on its way"
    worst = len(calm.delays) * 95 // 100
    assert flooded.delays[worst] <= 3 * calm.delays[worst], (calm.delays[worst], flooded.delays[worst])
    assert flooded.closed == [], "honest links stay"
    # What the victim's stem peers are asked for is bounded, whatever comes in: each judging takes 150 µs by guess.
    assert flooded.flood_passed <= 2 * (STEM_OUT_TIME / 150 * flooded.span_s + 1_000)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_flood_that_pays() -> None:
    judge(by_stem(Paying), honest=10)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_flood_that_pays_at_two_nodes_in_a_row() -> None:
    """What the origin passes on of the flood takes its share at the victim, and its own stems with it: many are freed
    by an embargo (docs/threats.md). None is lost, and no link is."""
    outcome = story(by_stem(Paying), honest=20, at_origin=5, embargo_mean=seconds(15))
    assert outcome.closed == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", STEM_FLOODS, ids=lambda kind: kind.__name__)
def test_a_flood(kind: type[Flooder]) -> None:
    judge(kind, 15)


def test_what_twenty_links_can_make_a_node_do_is_a_share_of_it() -> None:
    assert FLOODERS * STEM_LINK_TIME / 1e6 <= 0.4, "of a core, while all of them send as fast as they may"
    assert STEM_LINK_COUNT * FLOODERS * 2_600 <= 2 * STEM_TOTAL_BYTES
