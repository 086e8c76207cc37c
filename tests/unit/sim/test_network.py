"""Simulated links keep TCP's promises, whatever the weather, and no more than those."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sim_stations import PERFECT, Couple, Recorder

from obscura.base.errors import BugError, ConfigError
from obscura.base.instant import Duration, seconds
from obscura.base.limits import GRACE_STOP, SEND_BUFFER_BYTES, SIM_PIECE_BYTES
from obscura.base.names import ConnId
from obscura.sim.host import host_address
from obscura.sim.lines import LineOptions
from obscura.sim.scenario import Run, Scenario

WEATHERS = st.builds(
    LineOptions,
    latency_min=st.just(Duration(0)),
    latency_max=st.integers(0, 500_000).map(Duration),
    jitter=st.integers(0, 300_000).map(Duration),
    loss=st.floats(0, 0.5),
    cut=st.floats(0, 1),
    bandwidth=st.integers(10_000, 10_000_000),
    reset=st.just(0.0),
)


class TestStreams:
    @given(WEATHERS, st.lists(st.binary(min_size=1, max_size=300), max_size=12), st.integers(0, 1 << 20))
    def test_every_byte_arrives_in_order_then_the_end(
        self, options: LineOptions, writes: list[bytes], seed: int
    ) -> None:
        couple = Couple(options, seed)
        for write in writes:
            couple.network.send(couple.one.line, write)
            couple.world.run_for(Duration(len(write) * 37))
        couple.network.close(couple.one.line)
        couple.world.run_for(seconds(600))
        assert couple.other.data == b"".join(writes)
        assert couple.other.said == ["gone"]
        assert couple.one.line.under_way == 0

    @pytest.mark.parametrize("cut", [0.0, 1.0])
    def test_large_writes_come_in_pieces(self, cut: float) -> None:
        couple = Couple(replace(PERFECT, cut=cut))
        data = bytes(range(256)) * 4_000
        couple.network.send(couple.one.line, data)
        couple.world.run_for(seconds(60))
        assert couple.other.data == data
        assert max(couple.other.cuts) <= SIM_PIECE_BYTES
        assert len(couple.other.cuts) > len(data) // SIM_PIECE_BYTES

    def test_small_writes_are_cut_by_chance(self) -> None:
        for cut, expected in ((0.0, {1}), (1.0, {2, 3, 4})):
            counts = set()
            for seed in range(30):
                # Little bandwidth, so that pieces of one write arrive one by one.
                couple = Couple(replace(PERFECT, cut=cut, bandwidth=1_000), seed)
                couple.network.send(couple.one.line, bytes(4))
                couple.world.run_for(seconds(5))
                counts.add(len(couple.other.cuts))
            assert counts == expected

    def test_latency_and_bandwidth(self) -> None:
        couple = Couple(replace(PERFECT, bandwidth=100_000))
        start = couple.world.time
        couple.network.send(couple.one.line, bytes(50_000))
        couple.network.send(couple.one.line, b"x")
        couple.world.run_until(start + 549_000)
        assert couple.other.data == b""
        couple.world.run_until(start + 550_000)
        assert len(couple.other.data) == 50_000
        couple.world.run_until(start + 550_010)
        assert len(couple.other.data) == 50_001

    def test_a_loss_holds_up_what_is_behind_it(self) -> None:
        couple = Couple(replace(PERFECT, loss=0.5, retransmit=seconds(1)))
        waits = []
        for _ in range(200):
            before, start = len(couple.other.cuts), couple.world.time
            couple.network.send(couple.one.line, b"x" * 10)
            couple.network.send(couple.one.line, b"y")
            couple.world.run_for(seconds(0.06))
            waits.append(len(couple.other.data) % 11)
            while couple.one.line.under_way:
                couple.world.run_for(seconds(0.1))
            assert couple.other.data.endswith(b"x" * 10 + b"y")
            assert len(couple.other.cuts) > before
            assert couple.world.time > start
        # Nothing, all, or the first write without the second; never the second alone.
        assert sorted(set(waits)) == [0, 10]
        assert couple.network.losses > 100


class TestEnds:
    def test_a_reset_ends_both_sides(self) -> None:
        couple = Couple(replace(PERFECT, reset=1.0))
        couple.network.send(couple.one.line, b"never")
        couple.world.run_for(seconds(1))
        assert couple.other.data == b""
        assert couple.one.said == ["connected", "gone"]
        assert couple.other.said == ["gone"]
        assert couple.network.resets == 1

    def test_bytes_to_a_closed_side_are_answered_by_a_reset(self) -> None:
        couple = Couple()
        line = couple.one.line
        couple.network.pause(line)
        couple.network.close(couple.other.line)
        couple.world.run_for(seconds(0.2))
        assert couple.one.said == ["connected"], "a side that does not read does not see the end"
        couple.network.send(line, b"hello?")
        couple.world.run_for(seconds(0.2))
        assert couple.one.said == ["connected", "gone"]

    def test_bytes_on_the_way_to_a_side_that_closes_too(self) -> None:
        couple = Couple()
        couple.network.pause(couple.one.line)
        couple.network.send(couple.one.line, b"too late")
        couple.network.close(couple.other.line)
        couple.world.run_for(Duration(GRACE_STOP))
        assert couple.one.said == ["connected"]
        couple.world.run_for(seconds(0.2))
        assert couple.one.said == ["connected", "gone"]
        assert couple.other.data == b""

    def test_closing_twice_is_closing_once(self) -> None:
        couple = Couple()
        line = couple.one.line
        couple.network.close(line)
        couple.network.close(line)
        couple.world.run_for(seconds(5))
        assert couple.other.said == ["gone"]
        assert couple.one.said == ["connected"]


class TestDials:
    def test_it_takes_a_round_trip(self) -> None:
        couple = Couple()
        assert couple.one.log == [(100, "connected")]
        [caller] = couple.other.callers
        assert caller.raw == couple.one.address.raw
        assert caller.port != couple.one.address.port, "the port is not the one at which the caller listens"

    def test_nobody_there(self) -> None:
        couple = Couple()
        couple.network.dial(couple.one, ConnId(9), host_address(77), seconds(5))
        couple.world.run_for(seconds(1))
        assert couple.one.said == ["connected", "connect-refused"]

    def test_a_host_that_has_left(self) -> None:
        couple = Couple()
        couple.network.leave(couple.other)
        couple.network.leave(couple.other)
        couple.network.dial(couple.one, ConnId(9), couple.other.address, seconds(5))
        couple.world.run_for(seconds(1))
        assert couple.one.said == ["connected", "connect-refused"]

    def test_refused_by_the_node(self) -> None:
        couple = Couple(accepts=False)
        assert couple.one.said == ["connected", "gone"]

    def test_two_hosts_cannot_share_an_address(self) -> None:
        couple = Couple()
        with pytest.raises(BugError, match="host 1"):
            Recorder(1, couple.network)


class TestPartitions:
    def test_bytes_wait_until_the_network_is_whole(self) -> None:
        couple = Couple()
        couple.network.part([[1], [2]])
        couple.network.send(couple.one.line, b"first")
        couple.world.run_for(seconds(100))
        couple.network.send(couple.one.line, b"second")
        couple.network.send(couple.other.line, b"answer")
        couple.world.run_for(seconds(100))
        assert couple.other.data == couple.one.data == b""
        couple.network.heal()
        couple.world.run_for(seconds(1))
        assert couple.other.data == b"firstsecond"
        assert couple.one.data == b"answer"

    def test_dials_time_out(self) -> None:
        couple = Couple()
        couple.network.part([[2]])
        couple.network.dial(couple.one, ConnId(9), couple.other.address, seconds(5))
        couple.world.run_for(seconds(4.9))
        assert couple.one.said == ["connected"]
        couple.world.run_for(seconds(0.2))
        assert couple.one.said == ["connected", "connect-timeout"]

    def test_one_side_hears_itself(self) -> None:
        couple = Couple()
        couple.network.part([[1, 2], [3]])
        couple.network.send(couple.one.line, b"still here")
        couple.world.run_for(seconds(1))
        assert couple.other.data == b"still here"

    def test_a_line_that_is_closed_while_it_is_held(self) -> None:
        couple = Couple()
        couple.network.part([[1], [2]])
        couple.network.send(couple.one.line, b"lost")
        couple.world.run_for(seconds(1))
        couple.network.close(couple.other.line)
        couple.network.heal()
        couple.world.run_for(seconds(5))
        assert couple.other.data == b""
        assert couple.one.said == ["connected", "gone"]

    def test_one_side_may_hear_the_other_and_not_be_heard(self) -> None:
        couple = Couple()
        couple.network.part([[1], [2]], one_way=True)
        couple.network.send(couple.one.line, b"heard")
        couple.network.send(couple.other.line, b"not heard")
        couple.network.dial(couple.one, ConnId(9), couple.other.address, seconds(5))
        couple.world.run_for(seconds(10))
        assert couple.other.data == b"heard"
        assert couple.one.data == b""
        assert couple.one.said == ["connected", "connect-timeout"], "a handshake needs both ways"
        couple.network.heal()
        couple.world.run_for(seconds(1))
        assert couple.one.data == b"not heard"

    def test_another_partition_frees_those_whom_it_does_not_cut(self) -> None:
        couple = Couple()
        couple.network.part([[1], [2]])
        couple.network.send(couple.one.line, b"data")
        couple.world.run_for(seconds(10))
        assert couple.other.data == b""
        couple.network.part([[1, 2], [3]])
        couple.world.run_for(seconds(1))
        assert couple.other.data == b"data"


class TestClogs:
    def test_a_clogged_host_hears_and_says_a_trickle(self) -> None:
        couple = Couple()
        couple.network.clog(2, 100)
        couple.network.send(couple.one.line, bytes(1_000))
        couple.network.send(couple.other.line, bytes(1_000))
        couple.world.run_for(seconds(9))
        assert couple.one.data == couple.other.data == b""
        couple.world.run_for(seconds(2))
        assert len(couple.one.data) == len(couple.other.data) == 1_000

    def test_what_waits_goes_on_at_full_speed_when_the_clog_is_gone(self) -> None:
        couple = Couple()
        couple.network.clog(2, 100)
        for _ in range(10):
            couple.network.send(couple.one.line, bytes(1_000))
        couple.world.run_for(seconds(11))
        assert len(couple.other.data) == 1_000
        couple.network.unclog(2)
        couple.network.unclog(2)
        couple.network.send(couple.one.line, b"last")
        couple.world.run_for(seconds(1))
        assert couple.other.data == bytes(10_000) + b"last"
        assert couple.one.line.under_way == 0


class TestCrashes:
    def test_a_killed_host_resets_its_links(self) -> None:
        couple = Couple()
        couple.network.kill(couple.other, list(couple.other.lines.values()))
        couple.world.run_for(seconds(0.1))
        assert couple.one.said == ["connected", "gone"]

    def test_nobody_hears_of_a_power_cut_until_it_is_over(self) -> None:
        couple = Couple()
        couple.network.power_off(couple.other, list(couple.other.lines.values()))
        couple.network.send(couple.one.line, b"anybody?")
        couple.network.dial(couple.one, ConnId(9), couple.other.address, seconds(5))
        couple.world.run_for(seconds(100))
        assert couple.one.said == ["connected", "connect-timeout"]
        assert couple.other.data == b""
        couple.network.power_on(2)
        couple.world.run_for(seconds(5))
        assert couple.one.said == ["connected", "connect-timeout", "gone"]

    def test_a_sender_to_a_dark_host_is_told_that_its_buffer_is_full(self) -> None:
        couple = Couple()
        couple.network.power_off(couple.other, list(couple.other.lines.values()))
        couple.network.send(couple.one.line, bytes(SEND_BUFFER_BYTES + 1))
        assert couple.one.said == ["connected", "congested"]


class TestFrozen:
    def test_a_frozen_host_takes_what_came_when_it_thaws(self) -> None:
        couple = Couple()
        couple.other.frozen = True
        couple.network.send(couple.one.line, b"early")
        couple.network.dial(couple.one, ConnId(9), couple.other.address, seconds(5))
        couple.world.run_for(seconds(60))
        assert couple.other.data == b""
        assert len(couple.other.lines) == 1
        assert couple.one.said == ["connected", "connected"], "its kernel takes connections"
        couple.other.frozen = False
        couple.network.thaw(couple.other, list(couple.other.lines.values()))
        couple.world.run_for(seconds(1))
        assert couple.other.data == b"early"
        assert len(couple.other.lines) == 2


class TestBackPressure:
    def test_a_sender_is_told(self) -> None:
        couple = Couple()
        line = couple.one.line
        couple.network.pause(couple.other.line)
        couple.network.send(line, bytes(SEND_BUFFER_BYTES))
        assert couple.one.said == ["connected"]
        couple.network.send(line, b"!")
        assert couple.one.said == ["connected", "congested"]
        couple.world.run_for(seconds(60))
        assert couple.other.data == b"", "a paused line leaves everything where it is"
        couple.network.resume(couple.other.line)
        couple.world.run_for(seconds(5))
        assert len(couple.other.data) == SEND_BUFFER_BYTES + 1
        assert couple.one.said == ["connected", "congested", "drained"]

    def test_pausing_for_a_moment_changes_nothing(self) -> None:
        couple = Couple()
        couple.network.send(couple.one.line, b"data")
        couple.network.pause(couple.other.line)
        couple.network.resume(couple.other.line)
        couple.network.resume(couple.other.line)
        couple.world.run_for(seconds(1))
        assert couple.other.data == b"data"


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": 0.95},
        {"cut": -0.1},
        {"reset": 1.5},
        {"bandwidth": 0},
        {"latency_min": seconds(1), "latency_max": seconds(0.5)},
        {"jitter": Duration(-1)},
    ],
)
def test_impossible_options(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        LineOptions(**wrong)  # type: ignore[arg-type]


class TestTap:
    def test_it_is_told_of_each_write_when_it_is_made(self) -> None:
        couple = Couple(replace(PERFECT, latency_min=seconds(1), latency_max=seconds(1)))
        told: list[tuple[int, int, int, int]] = []
        couple.network.tap = lambda *write: told.append(write)
        one, other = (side.line.station.number for side in (couple.one, couple.other))
        began = couple.world.time
        couple.network.send(couple.one.line, b"four")
        couple.world.run_for(seconds(3))
        couple.network.send(couple.other.line, bytes(100_000))
        assert told == [(one, other, began, 4), (other, one, began + seconds(3), 100_000)]

    def test_it_changes_nothing(self) -> None:
        reports = []
        for listens in (False, True):
            run = Run(Scenario(seed=5, hosts=6, blocks=5))
            sizes: list[int] = []
            if listens:
                run.network.tap = lambda *write: sizes.append(write[3])  # noqa: B023 the run ends within the turn
            reports.append(run.finish())
        assert reports[0] == reports[1]
        assert sum(sizes) >= reports[1].bytes_sent > 0
