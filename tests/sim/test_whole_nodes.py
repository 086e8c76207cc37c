"""Whole simulated nodes and bare policies give the same; black holes; embargoes without spies."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest
from cli_nodes import obscura

from obscura.base.errors import ConfigError
from obscura.base.instant import seconds
from obscura.base.limits import STEM_EARLY
from obscura.base.randomness import Chance
from obscura.lab.attacks import Setup, attack
from obscura.lab.embargoes import Hole, swallow
from obscura.lab.statistics import estimate
from obscura.lab.whole import WholeOutcome, WholeSetup, play

NODES, SPIES = 40, 0.1
NEVER = seconds(1_000_000)


def worlds(setup: WholeSetup, count: int, seed: int = 1) -> list[WholeOutcome]:
    return [play(setup, Chance.from_seed(seed).fork(f"world {number}")) for number in range(count)]


def agree(ours: Sequence[float], others: Sequence[float]) -> bool:
    """Whether two samples have one mean, within three standard errors of their difference."""
    one, other = estimate(ours), estimate(others)
    return abs(one.mean - other.mean) <= 3 * math.hypot(one.error, other.error)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whole_nodes_give_what_the_policies_give() -> None:
    """Without diffusers, so that all that spies see is stems: recall, precision and length of a 4-regular graph."""
    whole = worlds(WholeSetup(NODES, SPIES, embargo=NEVER), 20)
    policies = [
        attack(Setup("regular", "one-to-one", SPIES, NODES), Chance.from_seed(1).fork(f"graph {number}"))
        for number in range(400)
    ]
    assert agree([one.recall for one in whole], [one.recall for one in policies])
    assert agree([one.precision for one in whole], [one.precision for one in policies])


def test_a_world_repeats() -> None:
    setup = WholeSetup(12, 0.25, embargo=NEVER)
    assert worlds(setup, 1) == worlds(setup, 1)


def test_what_is_swallowed_comes_to_everybody_all_the_same() -> None:
    for one in worlds(WholeSetup(16, 0.25, swallow=True, embargo=seconds(20)), 3):
        assert one.delivered == 1.0
        assert one.early > 0.5, "it was swallowed"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_without_spies_embargoes_end_no_earlier_than_the_policies_say() -> None:
    """At the time that a step takes between whole nodes, over links of 110 ms; in a large network that is within ε. How
    many are diffusers varies from small world to small world, and a few with hardly any decide the mean."""
    whole = worlds(WholeSetup(NODES, 0.0, 0.1), 16)
    hop = estimate([one.hop_s for one in whole]).mean
    assert 0.11 < hop < 0.15, hop

    def early(nodes: int, graphs: int) -> list[float]:
        hole = Hole(Setup("regular", "one-to-one", 0.0, nodes, 0.1), seconds(hop), restems=True)
        return [swallow(hole, Chance.from_seed(1).fork(f"graph {number}")).early for number in range(graphs)]

    ours, others = estimate([one.early for one in whole]), estimate(early(NODES, 200))
    assert ours.mean <= others.mean + 3 * math.hypot(ours.error, others.error), (ours, others)
    large = estimate(early(1_000, 20))
    assert large.mean + 3 * large.error <= STEM_EARLY / 100, large


def test_the_command() -> None:
    options = ["sim", "dandelion", "whole", "--nodes", "12", "--worlds", "2", "--spies", "0.25", "--jobs", "1"]
    done = obscura(*options, "--swallow", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["delivered"] == {"mean": 1.0, "error": 0.0}
    assert "12 whole nodes, 2 worlds" in obscura(*options).stdout
    wrong = obscura("sim", "dandelion", "whole", "--spies", "1")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)


def test_impossible_worlds_are_refused() -> None:
    for setup in ((5, 0.1), (2_000, 0.1), (60, 1.0), (60, 0.1, 2.0)):
        with pytest.raises(ConfigError):
            WholeSetup(*setup)
