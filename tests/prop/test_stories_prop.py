"""Random stories of a whole node (tests/rig/stories.py): several links, honest and hostile, a slow ledger, odd clocks.

After every input the node's invariants and bounds hold and its effects keep the driver's contract; at the end nothing
spins, no request is lost, and an honest peer brings the node to its chain whatever the others did.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stories import VERBS, Act, play_out

bytes_of = st.integers(0, 255)
# Links and their handshakes first, so that few stories end before they begin; then anything.
openings = st.lists(st.tuples(st.just(0), st.integers(0, 4), bytes_of, st.just(0)), min_size=1, max_size=3)
acts = st.tuples(st.integers(0, len(VERBS) - 1), st.integers(0, 5), bytes_of, bytes_of)


def story(longest: int) -> st.SearchStrategy[list[Act]]:
    return st.builds(
        lambda opening, rest: opening + rest, openings, st.lists(acts, min_size=longest // 4, max_size=longest)
    )


@settings(max_examples=120)
@given(story(30), st.booleans(), st.booleans())
def test_stories(acts: list[Act], cut: bool, turns: bool) -> None:
    play_out(acts, cut=cut, turns=turns)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=1_200)
@given(story(90), st.booleans(), st.integers(0, 1_000), st.booleans())
def test_many_long_stories(acts: list[Act], cut: bool, seed: int, turns: bool) -> None:
    play_out(acts, cut=cut, seed=seed, turns=turns)


def test_every_verb_is_played_by_its_name() -> None:
    names = [verb.__name__ for verb in VERBS]
    assert len(set(names)) == len(names)
