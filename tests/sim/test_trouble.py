"""Named troubles of a simulated world: partitions, ties, thin lines, late hosts, hosts that leave."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from obscura.base.errors import ConfigError
from obscura.base.instant import seconds
from obscura.base.limits import SEND_BUFFER_BYTES
from obscura.base.names import ConnId
from obscura.node import NodeConfig
from obscura.node.effects import DialFailed, Event, LinkClosed, TipMoved
from obscura.sim.host import Host, host_address
from obscura.sim.journal import Journal, Kind
from obscura.sim.lines import LineOptions
from obscura.sim.network import Network
from obscura.sim.scenario import Run, Scenario, main, run_convergence
from obscura.sim.world import World
from obscura.wire.target import Target

CALM = LineOptions(loss=0.0, reset=0.0)


def test_two_halves_go_their_own_ways_and_come_together() -> None:
    run = Run(Scenario(seed=3, hosts=20, blocks=0))
    run.world.run_for(seconds(20))
    run.mine()
    run.world.run_for(seconds(20))
    assert run.converged
    halves = [run.hosts[:10], run.hosts[10:]]
    run.network.part([[host.number for host in half] for half in halves])
    for blocks, half in zip((4, 7), halves, strict=True):
        for number in range(blocks):
            half[number].mine(b"side")
            run.world.run_for(seconds(30))
    for height, half in zip((5, 8), halves, strict=True):
        # Not every host of a half need have a path to the others within it; most do.
        assert sum(host.ledger.height == height for host in half) >= 6
    assert len(run.tips) >= 2
    run.network.heal()
    report = run.finish()
    assert report.converged
    assert report.height == 8
    assert report.deepest_reorganisation == 4


def test_ties_are_broken() -> None:
    """Two blocks at the same moment at both ends: nobody is wrong, so only a further block can decide."""
    run = Run(Scenario(seed=1, hosts=6, blocks=0, options=CALM))
    run.world.run_for(seconds(10))
    run.hosts[0].mine(b"one")
    run.hosts[5].mine(b"other")
    run.world.run_for(seconds(60))
    assert len(run.tips) == 2
    report = run.finish()
    assert report.converged
    assert report.tie_breakers == 1
    assert report.height == 2


def test_gossip_reaches_everyone() -> None:
    """Hosts that know one peer each learn of the others, and save what they have learnt when they stop."""
    run = Run(Scenario(seed=5, hosts=12, blocks=0, links=1, discover=True, options=CALM))
    run.world.run_for(seconds(120))
    learnt = [host.node.snapshot(run.world.now).addresses for host in run.hosts]
    assert min(learnt) >= 2
    assert sum(learnt) > 3 * len(run.hosts), "more than the one that each was told, and those that dialled it"
    for host in run.hosts:
        host.stop()
        assert len(host.saved) == host.node.snapshot(run.world.now).addresses


def pair(options: LineOptions) -> tuple[World, Journal, list[Event], Host, Host]:
    world, journal, events = World(1), Journal(keep_lines=True), []
    network = Network(world, options, journal)

    def host(number: int, *peers: int) -> Host:
        config = NodeConfig(
            network="memory",
            user_agent="/Obscura:sim/",
            connect=tuple(Target(host_address(peer)) for peer in peers),
            allow_local=True,
            discover=False,
        )
        return Host(number, network, config, listener=lambda host, event: events.append(event))

    return world, journal, events, host(0), host(1, 0)


def test_a_thin_line_is_not_overrun() -> None:
    world, journal, _, source, late = pair(replace(CALM, bandwidth=300_000))
    source.start()
    for number in range(40):
        source.mine(number.to_bytes(4, "little") + bytes(200_000))
        world.run_for(seconds(1))
    assert source.ledger.height == 40
    late.start()
    worst = 0
    for _ in range(60):
        world.run_for(seconds(1))
        worst = max(worst, *(line.under_way for line in source._lines.values()))
    assert late.ledger.tip == source.ledger.tip
    assert journal.lines is not None
    kinds = [line.split()[3] for line in journal.lines]
    assert kinds.count(Kind.CONGESTED.name.lower()) >= 2
    # A batch of sixteen blocks goes out before the size of blocks is known, and one more is being read then.
    assert SEND_BUFFER_BYTES < worst < SEND_BUFFER_BYTES + 36 * 201_000


def test_a_host_that_stops_says_goodbye() -> None:
    world, _, events, source, late = pair(CALM)
    source.start()
    source.mine(b"block")
    late.start()
    world.run_for(seconds(5))
    assert late.ledger.height == 1
    source.stop()
    world.run_for(seconds(5))
    assert sorted(event.reason for event in events if isinstance(event, LinkClosed)) == ["peer-closed", "stopped"]
    assert late.node.snapshot(world.now).peers == ()
    assert {event.reason for event in events if isinstance(event, DialFailed)} == {"connect-refused"}


def test_a_dial_that_was_dropped_is_not_connected() -> None:
    world, _, _, source, late = pair(CALM)
    source.start()
    late.start()
    late.stop()
    world.run_for(seconds(5))
    for host in (source, late):
        assert host.node.snapshot(world.now).peers == ()


def test_mining_is_told_and_moves_the_tip() -> None:
    world, _, events, source, _ = pair(CALM)
    source.start()
    tip = source.mine(b"block")
    world.run_for(seconds(1))
    assert [event.tip for event in events if isinstance(event, TipMoved)] == [tip]
    assert source.ledger.tip == tip


@pytest.mark.parametrize("seed", range(20, 30))
def test_small_worlds_of_many_seeds_agree(seed: int) -> None:
    report, _ = run_convergence(seed, hosts=8, blocks=10, options=LineOptions(loss=0.05, reset=0.002))
    assert report.converged, report


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--nodes", "5", "--blocks", "3", "--seed", "4", "--compare"]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert json.loads(first)["converged"] is True
    assert last == "two runs are equal"
    for wrong in (["--loss", "2"], ["--nodes", "0"], ["--nodes", "70000"], ["--blocks", "-1"]):
        with pytest.raises(SystemExit) as caught:
            main(wrong)
        assert caught.value.code == 2


def test_impossible_scenarios() -> None:
    with pytest.raises(ConfigError):
        Scenario(seed=1, links=0)


def test_connections_have_names_of_their_own() -> None:
    world, _, _, source, late = pair(CALM)
    source.start()
    late.start()
    world.run_for(seconds(2))
    [inbound] = source.node.snapshot(world.now).peers
    [outbound] = late.node.snapshot(world.now).peers
    assert inbound.inbound
    assert not outbound.inbound
    assert inbound.conn > ConnId(0)
    assert outbound.address == source.address
