"""Processes that are stopped for minutes (SIGSTOP), in virtual time: peers give up as the limits say, nothing leaks,
and the stopped one finds its way back."""

from __future__ import annotations

import pytest
from sim_frozen import FrozenHost

from obscura.base.instant import MICROSECONDS, minutes, seconds
from obscura.base.limits import HANDSHAKE_TIMEOUT, PING_INTERVAL, PING_SPREAD, PING_TIMEOUT
from obscura.node import NodeConfig
from obscura.node.effects import Event, LinkClosed, LinkOpened
from obscura.sim.host import Host, host_address
from obscura.sim.journal import Journal
from obscura.sim.lines import LineOptions
from obscura.sim.network import Network
from obscura.sim.world import World
from obscura.wire.target import Target

CALM = LineOptions(loss=0.0, reset=0.0)
BLOCKS = 60


class Stage:
    """Hosts in a calm world; each is connected to those that it names."""

    def __init__(self) -> None:
        self.world = World(1)
        self.network = Network(self.world, CALM, Journal())
        self.events: list[tuple[int, Host, Event]] = []

    def host(self, number: int, *peers: int) -> FrozenHost:
        config = NodeConfig(
            network="memory",
            user_agent="/Obscura:sim/",
            connect=tuple(Target(host_address(peer)) for peer in peers),
            allow_local=True,
            discover=False,
        )
        made = FrozenHost(number, self.network, config, listener=self._heard)
        made.start()
        return made

    def _heard(self, host: Host, event: Event) -> None:
        self.events.append((self.world.time, host, event))

    def ends(self, host: Host) -> list[tuple[int, str]]:
        return [(time, event.reason) for time, whose, event in self.events if whose is host and _is_end(event)]

    def opened(self, host: Host) -> int:
        return sum(1 for _, whose, event in self.events if whose is host and isinstance(event, LinkOpened))


def _is_end(event: Event) -> bool:
    return isinstance(event, LinkClosed)


def grown(host: Host, count: int) -> None:
    for number in range(count):
        host.mine(number.to_bytes(4, "little"))
        host._world.run_for(seconds(1))


def healthy(*hosts: Host) -> None:
    for host in hosts:
        host.node.check()
        picture = host.node.snapshot(host._world.now)
        assert not picture.syncing
        assert len(picture.peers) == len(hosts) - 1
        assert all(peer.state == "open" and peer.blocks_in_flight == 0 for peer in picture.peers)


@pytest.mark.parametrize("stopped_for", [seconds(20), minutes(3), minutes(15), minutes(50)])
@pytest.mark.parametrize("who", ["server", "asker"])
def test_in_the_middle_of_a_sync(who: str, stopped_for: int) -> None:
    stage = Stage()
    source = stage.host(0)
    grown(source, BLOCKS)
    stage.world.run_for(seconds(60))
    late = stage.host(1, 0)
    while late.ledger.height == 0:
        stage.world.run_for(seconds(0.01))
    assert late.ledger.height < BLOCKS, "it is in the middle"
    stopped = source if who == "server" else late
    stopped.freeze()
    stage.world.run_for(stopped_for)
    stopped.thaw()
    # The named peer is dialled again within a minute, whatever became of the link.
    stage.world.run_for(minutes(5))
    assert late.ledger.height == BLOCKS
    healthy(source, late)


def test_blocks_of_a_stopped_peer_are_asked_of_another() -> None:
    stage = Stage()
    one, other = stage.host(0), stage.host(1, 0)
    grown(one, BLOCKS)
    stage.world.run_for(seconds(60))
    assert other.ledger.height == BLOCKS
    late = stage.host(2, 0, 1)
    while late.ledger.height == 0:
        stage.world.run_for(seconds(0.01))
    assert late.ledger.height < BLOCKS
    one.freeze()
    stage.world.run_for(minutes(10))
    assert late.ledger.height == BLOCKS, "one stopped peer holds nobody up"
    late.node.check()
    one.thaw()
    stage.world.run_for(minutes(5))
    healthy(one, other, late)


def test_in_the_middle_of_a_handshake() -> None:
    stage = Stage()
    silent = stage.host(0)
    began = stage.world.time
    patient = stage.host(1, 0)
    while not silent.node.snapshot(stage.world.now).peers:
        stage.world.run_for(seconds(0.01))
    silent.freeze()
    stage.world.run_for(minutes(2))
    time, rule = stage.ends(patient)[0]
    assert rule == "handshake-timeout"
    assert HANDSHAKE_TIMEOUT <= time - began <= HANDSHAKE_TIMEOUT + seconds(5)
    silent.thaw()
    stage.world.run_for(minutes(5))
    assert stage.opened(patient) == 1
    healthy(silent, patient)


def test_an_idle_peer_that_is_stopped_for_an_hour() -> None:
    stage = Stage()
    one, other = stage.host(0), stage.host(1, 0)
    stage.world.run_for(minutes(10))
    assert stage.opened(other) == 1
    began = stage.world.time
    one.freeze()
    stage.world.run_for(minutes(60))
    time, rule = stage.ends(other)[0]
    assert rule == "ping-timeout"
    assert PING_TIMEOUT <= time - began <= PING_TIMEOUT + PING_INTERVAL + PING_SPREAD + seconds(5)
    grown(other, 3)
    one.thaw()
    stage.world.run_for(minutes(5))
    assert one.ledger.height == 3
    healthy(one, other)


def test_a_short_stop_ends_no_link() -> None:
    stage = Stage()
    one, other = stage.host(0), stage.host(1, 0)
    stage.world.run_for(minutes(10))
    one.freeze()
    stage.world.run_for(PING_TIMEOUT // 2)
    one.thaw()
    stage.world.run_for(minutes(10))
    assert stage.ends(one) == stage.ends(other) == []
    assert stage.opened(other) == 1
    assert one.node.snapshot(stage.world.now).uptime >= 20 * 60 * MICROSECONDS
