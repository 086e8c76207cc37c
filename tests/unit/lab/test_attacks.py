"""Attacks on whole graphs: bounds that always hold, pairs, repetition, impossible setups."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscura.base.errors import ConfigError
from obscura.base.randomness import Chance
from obscura.lab.attacks import DIFFUSION, Setup, attack
from obscura.lab.forwarding import RULES
from obscura.lab.topologies import TOPOLOGIES

SMALL = Setup("outbound", "one-to-one", 0.2, 60, 0.1)


@settings(max_examples=40)
@given(
    st.sampled_from(list(TOPOLOGIES)),
    st.sampled_from([*RULES, DIFFUSION]),
    st.sampled_from([0.0, 0.1, 0.5, 0.9]),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.integers(0, 1 << 32),
)
def test_shares_are_shares(topology: str, rule: str, spies: float, diffusers: float, seed: int) -> None:
    setup = Setup(topology, rule, spies, 20, 0.0 if rule == DIFFUSION else diffusers)
    outcome = attack(setup, Chance.from_seed(seed))
    assert 0 <= outcome.precision <= outcome.recall <= 1
    assert outcome.spied + outcome.diffused + outcome.looped == pytest.approx(1)
    assert outcome == attack(setup, Chance.from_seed(seed))
    if not spies:
        assert outcome.recall == 0
    if rule == DIFFUSION:
        assert (outcome.hops, outcome.diffused) == (0, 1)


def test_a_line_with_one_honest_node_between_spies_hides_nothing() -> None:
    # Nine of ten are spies: whoever is left is next to one.
    assert attack(Setup("line", "one-to-one", 0.9, 10), Chance.from_seed(1))[:3] == (1.0, 1.0, 1.0)


def test_rules_are_compared_on_the_same_graph() -> None:
    # On a line there is only one way, so all rules see the same.
    found = [attack(Setup("line", rule, 0.2, 50), Chance.from_seed(3)) for rule in RULES]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (("ring", "one-to-one", 0.1), "no topology"),
        (("line", "two-to-one", 0.1), "no rule"),
        (("line", "one-to-one", 1.0), "share of spies"),
        (("line", "one-to-one", -0.1), "share of spies"),
        (("line", "one-to-one", float("nan")), "share of spies"),
        (("line", "one-to-one", 0.0001), "leaves 0 spies"),
        (("line", "one-to-one", 0.1, 9), "too few"),
        (("line", "one-to-one", 0.1, 100, 1.5), "share of diffusers"),
        (("line", "one-to-one", 0.1, 100, float("nan")), "share of diffusers"),
        (("line", "diffusion", 0.1, 100, 0.1), "has no stems"),
    ],
)
def test_impossible_setups(values: tuple[str, str, float], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        Setup(*values)


def test_names_for_people() -> None:
    assert str(SMALL) == "2 of 8 outbound, one-to-one, q=0.1"
    assert str(Setup("outbound", DIFFUSION, 0.1)) == "8 outbound, diffusion"
    assert str(Setup("line", "all-to-one", 0.1)) == "line, stem"
    assert str(Setup("line", DIFFUSION, 0.1)) == "line, diffusion"


def test_no_number_depends_on_hash_order() -> None:
    code = (
        "from obscura.base.randomness import Chance; from obscura.lab.attacks import *; "
        "print(attack(Setup('outbound', 'one-to-one', 0.2, 60, 0.1), Chance.from_seed(1)))"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert found == [f"{attack(SMALL, Chance.from_seed(1))}\n"] * 2
