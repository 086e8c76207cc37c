"""Plain diffusion until the first spy."""

from __future__ import annotations

from collections import Counter

from obscura.base.randomness import Chance
from obscura.lab.diffusion import Sighting, first_sighting
from obscura.lab.topologies import Topology

PATH = Topology.of(4, [(0, 1), (1, 2), (2, 3)]).neighbours()


def test_along_a_path_the_spy_hears_it_from_the_node_before() -> None:
    spies = [False, False, False, True]
    for seed in range(20):
        assert first_sighting(PATH, spies, 0, Chance.from_seed(seed)) == Sighting(3, 2)
        assert first_sighting(PATH, spies, 2, Chance.from_seed(seed)) == Sighting(3, 2)


def test_without_a_spy_nothing_is_seen() -> None:
    assert first_sighting(PATH, [False] * 4, 0, Chance.from_seed(1)) is None


def test_a_spy_that_cannot_be_reached() -> None:
    cut = Topology.of(3, [(0, 1)]).neighbours()
    assert first_sighting(cut, [False, False, True], 0, Chance.from_seed(1)) is None


def test_spies_do_not_pass_it_on() -> None:
    # 3 is behind the spy.
    chain = Topology.of(4, [(0, 1), (1, 2), (2, 3)]).neighbours()
    assert first_sighting(chain, [False, True, False, True], 0, Chance.from_seed(1)) == Sighting(1, 0)


def test_neighbours_are_told_in_any_order() -> None:
    star = Topology.of(4, [(0, 1), (0, 2), (0, 3)]).neighbours()
    chance = Chance.from_seed(4)
    spies = [False, True, True, True]
    seen = Counter(first_sighting(star, spies, 0, chance) for _ in range(3_000))
    assert [seen[Sighting(spy, 0)] for spy in (1, 2, 3)] == [
        count for count in (seen[Sighting(spy, 0)] for spy in (1, 2, 3)) if 850 < count < 1_150
    ]


def test_exponential_times_race_as_they_should() -> None:
    # From 0: to the spy 2 directly, or by 1. P(direct first) is 1/2 + 1/2 * 1/2.
    triangle = Topology.of(3, [(0, 1), (0, 2), (1, 2)]).neighbours()
    chance = Chance.from_seed(5)
    direct = sum(first_sighting(triangle, [False, False, True], 0, chance) == Sighting(2, 0) for _ in range(4_000))
    assert abs(direct / 4_000 - 0.75) < 0.03
