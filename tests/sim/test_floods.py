"""Twenty peers flood a node with transactions: an honest one still gets through, and honest links stay."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tx_flooders import FLOODS, Conflicts, Flooder, spend

from obscura.base.digest import double_sha256
from obscura.base.instant import seconds
from obscura.base.limits import MEMPOOL_BYTES
from obscura.node import NodeConfig
from obscura.node.config import NoStem
from obscura.node.effects import Event, LinkClosed
from obscura.sim.hive import Hive
from obscura.sim.host import Host, host_address
from obscura.sim.journal import Journal
from obscura.sim.lines import LineOptions
from obscura.sim.network import Network
from obscura.sim.world import World
from obscura.wire.target import Target

CALM = LineOptions(latency_min=seconds(0.02), latency_max=seconds(0.08), jitter=seconds(0.01), loss=0, cut=0, reset=0)
FLOODERS = 20
HONEST = 120
"""Honest transactions, one a second."""
AFTER_S = 90
SHARE = 99


@dataclass
class Outcome:
    """What became of the honest ones. Delays are in seconds, sorted."""

    delays: list[float]
    closed: list[str]
    faults: int
    memory: int
    acts: int


def story(kind: type[Flooder] | None, honest: int = HONEST, seed: int = 3) -> Outcome:
    """A source, the victim that has dialled it, and a sink that has dialled the victim; flooders dial the victim and
    the source."""
    world, events = World(seed), list[Event]()
    network = Network(world, CALM, Journal())

    def host(number: int, *peers: int) -> Host:
        config = NodeConfig(
            network="memory",
            user_agent="/Obscura:sim/",
            connect=tuple(Target(host_address(peer)) for peer in peers),
            allow_local=True,
            discover=False,
            # What is looked at is the open: nothing waits for a stem peer.
            no_stem=NoStem.NOW,
        )
        return Host(number, network, config, listener=lambda host, event: events.append(event))

    source = host(0)
    victim = host(1, 0)
    sink = host(2, 1)
    for one in (source, victim, sink):
        one.start()
        world.run_for(seconds(1))
    hive = Hive(lambda: world.now.wall)
    if kind is not None:
        for number in range(FLOODERS):
            targets = [victim.address, source.address] if number % 4 == 0 else [victim.address]
            kind(100 + number, network, hive, targets, links=len(targets), every=seconds(1)).start()
    world.run_for(seconds(5))
    events.clear()
    sent: dict[bytes, int] = {}
    reached: dict[bytes, float] = {}
    memory = 0

    def look() -> None:
        for item in sink.node.mempool(world.now):
            if item.relay_id in sent and item.relay_id not in reached:
                reached[item.relay_id] = (world.time - sent[item.relay_id]) / 1e6

    for number in range(honest + AFTER_S):
        if number < honest:
            data = spend(5_000_000 + number, 20_000)
            sent[double_sha256(data)] = world.time
            source.send(data)
        for _ in range(10):
            world.run_for(seconds(0.1))
            look()
        memory = max(memory, victim.node.snapshot(world.now).relay.memory)
    for one in (source, victim, sink):
        one.node.check()
    addresses = {source.address, victim.address, sink.address}
    closed = [event.reason for event in events if isinstance(event, LinkClosed) and event.address in addresses]
    faults = sum(
        peer.faults
        for one in (source, victim, sink)
        for peer in one.node.snapshot(world.now).peers
        if peer.address in addresses
    )
    assert len(reached) == honest, "every honest one comes through"
    return Outcome(sorted(reached.values()), closed, faults, memory, sum(hive.acts.values()))


def worst(outcome: Outcome) -> float:
    """The delay that 99 of a hundred keep."""
    return outcome.delays[len(outcome.delays) * SHARE // 100]


def judge(kind: type[Flooder], honest: int) -> None:
    calm, flooded = story(None, honest), story(kind, honest)
    assert flooded.acts > FLOODERS, "it floods"
    assert worst(flooded) <= 3 * worst(calm), f"{worst(calm):.1f} s without, {worst(flooded):.1f} s with"
    assert flooded.closed == [], "honest links stay"
    assert flooded.faults == 0, "and are charged nothing"
    assert flooded.memory <= MEMPOOL_BYTES


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_flood_of_conflicts() -> None:
    judge(Conflicts, honest=15)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", FLOODS, ids=lambda kind: kind.__name__)
def test_a_flood(kind: type[Flooder]) -> None:
    judge(kind, HONEST)
