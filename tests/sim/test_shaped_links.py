"""Whole nodes whose links have a shape: decoys and delays within bounds, constant rates, and chains that arrive."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from obscura.base.instant import MICROSECONDS, Duration, Instant, seconds
from obscura.base.limits import (
    COVER_BURST,
    COVER_DELAY,
    COVER_GAP_MOST,
    SEND_BUFFER_BYTES,
    STEADY_QUEUE_BYTES,
    STEADY_TICK,
)
from obscura.base.randomness import Chance
from obscura.ledgers.memory_transactions import faucet, make_transaction
from obscura.node import NodeConfig
from obscura.node.snapshot import PeerSnapshot
from obscura.shaping import CoverOptions, LinkClass, Profile, Shaping, SteadyOptions
from obscura.sim.host import Host, host_address
from obscura.sim.journal import Journal
from obscura.sim.lines import Line, LineOptions
from obscura.sim.network import Network
from obscura.sim.world import World
from obscura.wire.target import Target

DAY = seconds(86_400)
KIB = 1_024


@dataclass
class Net:
    """Hosts, each of which has dialled all before it, and all that they write."""

    shaping: Shaping
    hosts_count: int = 3
    seed: int = 1
    lines: LineOptions = field(default_factory=lambda: LineOptions(loss=0.001, reset=0))
    written: dict[tuple[int, int], list[tuple[int, int]]] = field(default_factory=dict)
    """By numbers of sender and receiver: moments and bytes at the writing call."""

    def __post_init__(self) -> None:
        self.world = World(self.seed)
        self.network = Network(self.world, self.lines, Journal())
        send = self.network.send

        def watched(line: Line, data: bytes) -> None:
            link = (line.station.number, line.peer.station.number)
            self.written.setdefault(link, []).append((int(self.world.time), len(data)))
            send(line, data)

        self.network.send = watched  # type: ignore[method-assign]
        self.hosts = [self.host(number) for number in range(self.hosts_count)]
        self.mined = 0

    def host(self, number: int) -> Host:
        config = NodeConfig(
            network="memory",
            user_agent="/t/",
            connect=tuple(Target(host_address(other)) for other in range(number)),
            allow_local=True,
            discover=False,
            shaping=self.shaping,
            stem_link_age=seconds(0),
        )
        return Host(number, self.network, config)

    def start(self, *numbers: int) -> None:
        for number in numbers or range(self.hosts_count):
            self.hosts[number].start()

    def mine(self, number: int, size: int = 50_000) -> None:
        self.mined += 1
        self.hosts[number].mine(self.mined.to_bytes(8, "little") + bytes(size))

    def pay(self, number: int, index: int) -> None:
        self.hosts[number].send(make_transaction([faucet(index)], [900_000], pad=200))

    def run(self, span: Duration) -> None:
        self.world.run_for(span)

    def links(self) -> list[PeerSnapshot]:
        return [peer for host in self.hosts for peer in host.node.snapshot(self.world.now).peers]

    def heights(self) -> list[int]:
        return [host.ledger.height for host in self.hosts]


def busy(net: Net, until: int, chance: Chance, gap: Duration) -> None:
    """Blocks and transactions at random until a moment."""
    index = 0
    while net.world.time < until:
        net.run(Duration(min(until - net.world.time, chance.exponential(gap))))
        if chance.below(3):
            net.pay(chance.below(3), index)
            index += 1
        else:
            net.mine(chance.below(3), 1_000 + chance.below(100_000))


class TestCover:
    @pytest.mark.parametrize(
        ("options", "mean"),
        [
            (CoverOptions(), 240),
            (CoverOptions(rate=16, share=10, delay=seconds(0.05)), 600),
            (CoverOptions(rate=0), 300),
        ],
        ids=["usual", "little", "nothing idle"],
    )
    def test_a_day_within_its_bounds(self, options: CoverOptions, mean: int) -> None:
        """Every hour of a day with blocks and transactions."""
        net = Net(Shaping(profile=Profile.COVER, cover=options))
        net.start()
        chance = Chance.from_seed(7)
        for hour in range(1, 25):
            busy(net, seconds(hour * 3_600), chance, seconds(mean))
            net.run(seconds(5))
            for link in net.links():
                lived = link.age / MICROSECONDS
                out = link.shaped_out
                real = link.bytes_out - out.decoy
                most = COVER_BURST + options.rate * lived + options.share / (100 - options.share) * real
                assert out.decoy <= most
                assert link.delays.longest <= options.delay
                if options.rate:
                    assert out.decoy > 0.3 * min(options.rate, 100) * lived
        assert len(net.links()) == 6
        assert len({*net.heights()}) == 1
        assert net.mined > 20

    def test_decoys_flow_on_idle_links(self) -> None:
        net = Net(Shaping(profile=Profile.COVER))
        net.start()
        net.run(seconds(3_600))
        for seen in net.written.values():
            moments = [0, *(at for at, _ in seen), seconds(3_600)]
            # Pings are two in two minutes.
            assert len(moments) > 5 * 60
            assert max(later - at for at, later in pairwise(moments)) < COVER_GAP_MOST
        for link in net.links():
            assert link.shaped_out.decoy > 50 * 3_600
            assert link.shaped_in.decoy > 50 * 3_600

    def test_transactions_and_blocks_are_a_delay_late_at_most(self) -> None:
        arrived = {}
        for profile in (Profile.OFF, Profile.COVER):
            net = Net(Shaping(profile=profile), lines=LineOptions(loss=0, reset=0, jitter=Duration(0)))
            net.start()
            net.run(seconds(60))
            net.mine(0)
            begun = net.world.time
            while len({*net.heights()}) > 1:
                net.run(Duration(1_000))
            arrived[profile] = net.world.time - begun
        # A header or inv, a getdata and the block, each held once at most.
        assert arrived[Profile.COVER] <= arrived[Profile.OFF] + 3 * COVER_DELAY + seconds(0.01)

    def test_who_takes_nothing_is_sent_nothing(self) -> None:
        net = Net(Shaping(profile=Profile.COVER, cover=CoverOptions(rate=60_000)), hosts_count=2)
        net.start()
        net.run(seconds(10))
        net.hosts[1].freeze()
        net.run(seconds(1_000))
        [link] = net.hosts[0].node.snapshot(net.world.now).peers
        held = link.bytes_out - net.hosts[1].node.snapshot(net.world.now).bytes_in
        assert SEND_BUFFER_BYTES < held < SEND_BUFFER_BYTES + 20_000
        net.hosts[1].thaw()
        net.run(seconds(10))
        [later] = net.hosts[0].node.snapshot(net.world.now).peers
        assert later.bytes_out > link.bytes_out


STEADY = Shaping(profile=Profile.STEADY, steady=SteadyOptions(lowest=16 * KIB, epoch=seconds(6_000)))


class TestSteady:
    def test_ticks_are_equal_with_and_without_traffic(self) -> None:
        """At the writing call, in both directions of each link, in the first epoch: times as well as bytes."""
        span = seconds(590)
        idle, full = Net(STEADY), Net(STEADY)
        for net in (idle, full):
            net.start()
            net.run(seconds(5))
        idle.run(Duration(span - idle.world.time))
        busy(full, span, Chance.from_seed(3), seconds(4))
        assert full.mined > 30
        assert set(idle.written) == set(full.written) and len(idle.written) == 6
        for link, seen in idle.written.items():
            assert seen == full.written[link]
            ticks = [amount for at, amount in seen if at > seconds(5)]
            assert {*ticks} == {16 * KIB * STEADY_TICK // MICROSECONDS}
            assert abs(len(ticks) - (span - seconds(5)) // STEADY_TICK) <= 1
        assert any(link.shaped_out.real > 1_000_000 for link in full.links())

    def test_rates_change_where_epochs_end_and_nowhere_else(self) -> None:
        net = Net(Shaping(profile=Profile.STEADY, steady=SteadyOptions(lowest=4 * KIB, epoch=seconds(100))))
        net.start()
        busy(net, seconds(2_000), Chance.from_seed(3), seconds(5))
        changes = 0
        for seen in net.written.values():
            # The second write is that of the keys, whoever has dialled; then those of a stranger.
            origin = seen[1][0]
            ticks = [one for one in seen if one[1] * MICROSECONDS // STEADY_TICK % (4 * KIB) == 0]
            for (_, before), (at, amount) in pairwise(ticks):
                if amount != before:
                    changes += 1
                    since = at - origin
                    # Five of ten seconds, then each of a hundred.
                    rest = since % seconds(10) if since < seconds(60) else (since - seconds(50)) % seconds(100)
                    assert rest < STEADY_TICK // 4
        assert changes > 10

    @pytest.mark.parametrize("lowest", [4 * KIB, 64 * KIB])
    def test_a_syncing_node_gets_its_chain(self, lowest: int) -> None:
        shaping = Shaping(profile=Profile.STEADY, steady=SteadyOptions(lowest=lowest))
        net = Net(shaping)
        net.start(0, 1)
        net.run(seconds(20))
        for _ in range(40):
            net.mine(0, 200_000)
            net.run(seconds(1))
        net.run(seconds(4_000))
        assert net.heights() == [40, 40, 0]
        net.start(2)
        begun, events = net.world.time, net.world.events
        while net.heights()[2] < 40 and net.world.time < begun + seconds(1_200):
            net.run(seconds(1))
            for link in (link for host in net.hosts for link in host.node._state.peers.values()):
                # A block that was begun, and what keeps the line busy for two ticks.
                assert link.channel.queued < 200_100 + STEADY_QUEUE_BYTES + (link.channel.transport.rate or 0) // 2
        # Whoever waits for room looks again at the next tick, not all the time.
        assert net.world.events - events < 50 * (net.world.time - begun) // STEADY_TICK
        # 8 MB over two links that begin at their lowest rate, and are four times as fast each minute.
        assert (net.world.time - begun) / MICROSECONDS < {4 * KIB: 260, 64 * KIB: 80}[lowest]

    def test_asking_does_not_raise_rates_over_their_sum(self) -> None:
        shaping = Shaping(
            profile=Profile.STEADY, steady=SteadyOptions(lowest=4 * KIB, epoch=seconds(100), total=100 * KIB)
        )
        net = Net(shaping, hosts_count=6)
        net.start()
        busy(net, seconds(600), Chance.from_seed(3), seconds(1))
        rose = 0
        for host in net.hosts:
            links = host.node.snapshot(net.world.now).peers
            assert len(links) == 5
            rates = [link.rate or 0 for link in links if link.inbound]
            assert sum(rates) <= 100 * KIB
            rose += max(rates, default=0) > 4 * KIB
        assert rose > 2
        assert len({*net.heights()}) <= 2

    @pytest.mark.parametrize("rate", [4 * KIB, 16 * KIB])
    def test_a_line_that_is_slower_than_the_rate_is_no_slower_for_it(self, rate: int) -> None:
        """It is full of ticks, but a block does not wait behind a megabyte of them."""
        shaping = Shaping(profile=Profile.STEADY, steady=SteadyOptions(lowest=rate))
        lines = LineOptions(loss=0, reset=0, bandwidth=rate * 9 // 10)
        net = Net(shaping, hosts_count=2, lines=lines)
        net.start()
        net.run(seconds(2_000))
        net.mine(0, 1_000)
        begun = net.world.time
        while len({*net.heights()}) > 1 and net.world.time < begun + seconds(200):
            net.run(seconds(0.1))
        # Three messages, each behind what is on the line: 64 KiB at most.
        assert net.world.time - begun < 3.3 * (STEADY_QUEUE_BYTES + 2 * rate) / lines.bandwidth * MICROSECONDS

    def test_who_is_served_for_hours_is_not_taken_for_dead(self) -> None:
        """Nor is who serves: sixteen blocks take longer than a ping may."""
        slow = SteadyOptions(lowest=16 * KIB, highest=16 * KIB)
        net = Net(Shaping(profile=Profile.STEADY, steady=slow), hosts_count=2)
        net.start(0)
        for _ in range(20):
            net.mine(0, 1_500_000)
            net.run(seconds(0.1))
        net.start(1)
        net.run(seconds(2_500))
        assert net.heights() == [20, 20]
        assert {link.age > seconds(2_490) for link in net.links()} == {True}, "on one link"

    @pytest.mark.parametrize("crowded", [False, True])
    def test_what_waits_for_all_rates_together_is_bounded(self, crowded: bool) -> None:
        """Nobody ends for it; all get their chain a little later."""
        net = Net(Shaping(profile=Profile.STEADY, steady=SteadyOptions(lowest=4 * KIB)), hosts_count=5)
        net.start(0)
        for _ in range(20):
            net.mine(0, 30_000)
            net.run(seconds(0.1))
        server = net.hosts[0].node._state
        if crowded:
            server.pool(host_address(1)).waiting_most = 0
        net.start(1, 2, 3, 4)
        most = 0
        begun = net.world.time
        while net.world.time < begun + seconds(300):
            net.run(STEADY_TICK)
            most = max(most, sum(peer.channel.queued for peer in server.peers.values()))
        # Of four links each may hold what keeps it busy, and a block; or, of all together, what was read at once.
        assert (most > 200_000) != crowded
        assert net.heights() == [20] * 5
        assert len(server.peers) == 4

    def test_who_serves_goes_on_reading(self) -> None:
        """A line that stopped because the other side is busy would show that it is."""
        net = Net(STEADY, hosts_count=2)
        net.start()
        net.run(seconds(10))
        paused: list[bool] = []
        for line in (line for host in net.hosts for line in host._lines.values()):
            pause = net.network.pause

            def watched(one: Line, pause: Any = pause) -> None:
                paused.append(True)
                pause(one)

            net.network.pause = watched  # type: ignore[method-assign]
            del line
        for _ in range(10):
            net.mine(0, 300_000)
            net.run(seconds(1))
        net.run(seconds(300))
        assert net.heights() == [10, 10]
        assert not paused

    def test_who_takes_nothing_is_sent_nothing(self) -> None:
        net = Net(STEADY, hosts_count=2)
        net.start()
        net.run(seconds(10))
        net.hosts[1].freeze()
        net.run(seconds(1_000))
        [link] = net.hosts[0].node.snapshot(net.world.now).peers
        held = link.bytes_out - net.hosts[1].node.snapshot(net.world.now).bytes_in
        assert STEADY_QUEUE_BYTES < held < STEADY_QUEUE_BYTES + 20_000, "and not as much as on other links"
        net.hosts[1].thaw()
        net.run(seconds(30))
        [later] = net.hosts[0].node.snapshot(net.world.now).peers
        assert later.bytes_out - link.bytes_out > 20 * 16 * KIB


def test_each_class_of_links_has_its_profile() -> None:
    chosen = Shaping(
        profile=Profile.PAD, choices=((LinkClass.NAMED, Profile.STEADY), (LinkClass.CLEARNET, Profile.COVER))
    )
    net = Net(chosen, hosts_count=2)
    net.start()
    net.run(seconds(30))
    shapes = {(link.inbound, link.shaping, link.rate) for link in net.links()}
    assert shapes == {(False, "steady", 16 * KIB), (True, "cover", None)}
    assert net.world.time == Instant(seconds(30))
