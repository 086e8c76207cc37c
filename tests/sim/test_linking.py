"""An attacker at two doors cannot tell whether one node is behind both, or two nodes.

For each sign that he can compare (``linking.Signs``): in each of forty pairs of worlds, one of either kind, he says
that one node is behind the doors where the sign is larger. He must not be right more often than by chance, nor less
often. Where he goes to one door twice, he must be right: the signs do tell something.
"""

from __future__ import annotations

from dataclasses import fields
from functools import cache

import pytest
from linking import Signs, look

from obscura.lab.intervals import binomial_tail

SEEDS = 40
SAME_SEEDS = 6
LEVEL = 0.001
"""For each sign; about ten signs are looked at."""
SIGNS = [one.name for one in fields(Signs) if one.name != "control"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]


@cache
def worlds() -> list[tuple[Signs, Signs]]:
    """One node behind both doors, and two."""
    return [(look(seed, together=True), look(seed, together=False)) for seed in range(SEEDS)]


@cache
def same_door() -> list[tuple[Signs, Signs]]:
    """The attacker goes to one door of one node twice, or to two nodes."""
    return [(look(seed, together=True, same=True), look(seed, together=False)) for seed in range(SAME_SEEDS)]


def guesses(pairs: list[tuple[Signs, Signs]], sign: str) -> tuple[int, int]:
    """How often he is right, and of how many pairs in which there is a difference."""
    different = [
        (getattr(one, sign), getattr(two, sign)) for one, two in pairs if getattr(one, sign) != getattr(two, sign)
    ]
    return sum(one > two for one, two in different), len(different)


@pytest.mark.parametrize("sign", SIGNS)
def test_no_sign_links_two_doors(sign: str) -> None:
    right, total = guesses(worlds(), sign)
    assert binomial_tail(right, total, 0.5) > LEVEL, f"{sign}: right in {right} of {total}"
    assert binomial_tail(total - right, total, 0.5) > LEVEL, f"{sign}: wrong in {total - right} of {total}"


def test_the_floods_are_floods() -> None:
    assert all(min(one.control, two.control) > 0 for one, two in worlds())


@pytest.mark.parametrize("sign", ["overlap", "planted", "timestamps", "inv_timing", "evictions", "lobby"])
def test_signs_tell_where_there_is_something_to_tell(sign: str) -> None:
    right, total = guesses(same_door(), sign)
    assert (right, total) == (SAME_SEEDS, SAME_SEEDS)
