"""Embargoes of holders, and stems that are swallowed."""

from __future__ import annotations

import pytest

from obscura.base.instant import Duration, seconds
from obscura.base.randomness import Chance
from obscura.lab.attacks import Setup
from obscura.lab.embargoes import NODE_EMBARGO, Hole, Stemming, ends_early, swallow
from obscura.lab.stems import End
from obscura.lab.topologies import Topology
from obscura.relay.embargo import early_probability

HOP = seconds(0.3)


def test_the_node_uses_what_the_formula_says() -> None:
    assert seconds(128.1) < NODE_EMBARGO < seconds(128.2)


@pytest.mark.parametrize(("hops", "mean"), [(2, seconds(1)), (5, seconds(10)), (10, seconds(40))])
def test_early_ends_are_as_likely_as_the_formula_says(hops: int, mean: Duration) -> None:
    chance = Chance.from_seed(1)
    share = sum(ends_early(hops, HOP, mean, chance) for _ in range(4_000)) / 4_000
    assert abs(share - early_probability(hops, HOP, mean)) < 0.03


def test_one_hop_has_nothing_to_wait_for() -> None:
    chance = Chance.from_seed(1)
    assert not any(ends_early(1, HOP, Duration(1), chance) for _ in range(1_000))


# Node 0 knows 1 and 2; both are spies, or one is.
FORK = Topology.of(3, [(0, 1), (0, 2), (1, 2), (2, 1)])


def test_swallowed_at_once_the_origin_is_alone_and_waits_twice() -> None:
    waits: dict[bool, float] = {}
    for restems in (False, True):
        total = 0
        for seed in range(400):
            nodes = Stemming(FORK, [False, True, True], 0.0, HOP, Chance.from_seed(seed), restems=restems)
            fate = nodes.send(0)
            assert fate.end is End.SPY
            assert fate.told is not None
            at, node = fate.told
            assert node == 0
            total += at
        waits[restems] = total / 400 / NODE_EMBARGO
    assert abs(waits[False] - 1) < 0.2
    assert abs(waits[True] - 2) < 0.3


def test_the_second_stem_goes_to_the_other_peer_and_spreads_there() -> None:
    # 2 is honest and a diffuser: who has sent to the spy 1 first is not the one who spreads.
    swallowed = 0
    for seed in range(60):
        nodes = Stemming(FORK, [False, True, False], 1.0, HOP, Chance.from_seed(seed), restems=True)
        fate = nodes.send(0)
        assert fate.told is not None
        at, node = fate.told
        assert node == 2
        if fate.end is End.SPY:
            swallowed += 1
            assert at > HOP
        else:
            assert (fate.end, fate.early) == (End.DIFFUSER, False) or fate.early
    assert 15 < swallowed < 45


def test_one_who_has_no_other_peer_spreads_it_at_his_first_embargo() -> None:
    alone = Topology.of(2, [(0, 1)])
    for restems in (False, True):
        fates = [
            Stemming(alone, [False, True], 0.0, HOP, Chance.from_seed(seed), restems=restems).send(0)
            for seed in range(5)
        ]
        assert all(fate.told is not None and fate.told[1] == 0 for fate in fates)
    assert fates == [
        Stemming(alone, [False, True], 0.0, HOP, Chance.from_seed(seed), restems=False).send(0) for seed in range(5)
    ]


def test_a_loop_spreads_by_an_embargo() -> None:
    ring = Topology.of(3, [(0, 1), (1, 2), (2, 0)])
    fates = [Stemming(ring, [False] * 3, 0.0, HOP, Chance.from_seed(seed), restems=False).send(0) for seed in range(60)]
    assert all(fate.end is End.LOOP and fate.early for fate in fates)
    tellers = [fate.told[1] for fate in fates if fate.told is not None]
    assert all(tellers.count(node) > 8 for node in range(3)), "any holder's may be over first"


def test_restemming_protects_origins_and_loses_nothing() -> None:
    setup = Setup("outbound", "one-to-one", 0.2, 200, 0.1)
    kinds = {
        restems: [swallow(Hole(setup, HOP, restems), Chance.from_seed(seed)) for seed in range(4)]
        for restems in (False, True)
    }
    exposed = {restems: sum(one.exposed for one in found) / 4 for restems, found in kinds.items()}
    assert exposed[True] < 0.5 * exposed[False]
    assert all(one.delivered == 1.0 for found in kinds.values() for one in found)
    delays = {restems: sum(one.delay_s for one in found) / 4 for restems, found in kinds.items()}
    assert delays[True] > delays[False]


def test_without_spies_nothing_is_swallowed() -> None:
    setup = Setup("outbound", "one-to-one", 0.0, 200, 0.1)
    slow, fast = (
        [swallow(Hole(setup, seconds(hop), restems=True), Chance.from_seed(seed)) for seed in range(4)]
        for hop in (3.0, 0.01)
    )
    assert all(one.swallowed == one.exposed == one.delay_s == 0.0 and one.delivered == 1.0 for one in slow + fast)
    assert all(one.early >= one.looped for one in slow + fast)
    assert sum(one.early for one in slow) > sum(one.early for one in fast)
