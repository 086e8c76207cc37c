"""Spreading by the node's trickles: who hears when, on graphs that are small enough to follow."""

from __future__ import annotations

from obscura.base.instant import Instant, seconds
from obscura.base.randomness import Chance
from obscura.lab.spreading import LINK_LATENCY, Spreading
from obscura.lab.topologies import Topology, outbound

START = Instant(0)
PAIR = Topology.of(2, [(0, 1)])


def mean_s(topology: Topology, source: int, count: int, times: int = 600) -> float:
    """Mean seconds until so many have it."""
    total = 0
    for seed in range(times):
        at = Spreading(topology, Chance.from_seed(seed)).run([(START, source)], count)
        assert at is not None
        total += at
    return total / times / 1e6


def test_who_begins_has_it_at_once() -> None:
    assert Spreading(PAIR, Chance.from_seed(1)).run([(Instant(7), 0)], 1) == 7


def test_one_that_is_cut_off_never_gets_it() -> None:
    assert Spreading(Topology.of(3, [(0, 1)]), Chance.from_seed(1)).run([(START, 0)], 3) is None


def test_by_an_outbound_link_it_takes_two_seconds_and_by_an_inbound_one_five() -> None:
    three_ways_s = 3 * LINK_LATENCY / 1e6
    assert abs(mean_s(PAIR, 0, 2) - 2 - three_ways_s) < 0.3
    assert abs(mean_s(PAIR, 1, 2) - 5 - three_ways_s) < 0.75


def test_it_never_comes_faster_than_by_three_ways() -> None:
    assert all(
        (Spreading(PAIR, Chance.from_seed(seed)).run([(START, 0)], 2) or 0) >= 3 * LINK_LATENCY for seed in range(200)
    )


def test_inbound_links_are_told_together() -> None:
    hub = Topology.of(4, [(1, 0), (2, 0), (3, 0)])
    for seed in range(20):
        times = [Spreading(hub, Chance.from_seed(seed)).run([(START, 0)], count) for count in (2, 3, 4)]
        assert times[0] == times[1] == times[2], "one timer for all of a network"


def test_a_second_source_helps_and_one_that_has_it_does_not() -> None:
    one = Spreading(PAIR, Chance.from_seed(1)).run([(START, 0), (Instant(5), 1)], 2)
    assert one == 5
    late = Instant(seconds(500))
    alone = Spreading(PAIR, Chance.from_seed(1)).run([(START, 0)], 2)
    assert Spreading(PAIR, Chance.from_seed(1)).run([(START, 0), (late, 1)], 2) == alone


def test_all_get_it_and_a_seed_repeats_it() -> None:
    topology = outbound(60, Chance.from_seed(4))
    one = Spreading(topology, Chance.from_seed(5)).run([(START, 3)], 60)
    assert one is not None
    assert seconds(2) < one < seconds(60)
    assert Spreading(topology, Chance.from_seed(5)).run([(START, 3)], 60) == one
