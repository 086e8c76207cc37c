"""What a link is known to have: the latest are never forgotten, the number is bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.errors import BugError
from obscura.base.limits import KNOWN_IDS_GENERATION
from obscura.relay.known import KnownIds, short_id

KEY = b"k" * 32


def test_short_ids_depend_on_the_key_and_are_never_zero() -> None:
    names = [bytes([n]) * 32 for n in range(200)]
    ours = [short_id(KEY, name) for name in names]
    assert len(set(ours)) == len(names)
    assert all(0 < short < 1 << 64 for short in ours)
    assert not set(ours) & {short_id(b"l" * 32, name) for name in names}


@given(st.integers(1, 12), st.lists(st.integers(1, 40)))
def test_the_latest_are_known_and_nothing_that_was_not_added(generation: int, shorts: list[int]) -> None:
    known = KnownIds(generation)
    seen: list[int] = []
    for short in shorts:
        was = short in known
        assert known.add(short) is not was
        known.check()
        seen = [one for one in seen if one != short] + [short]
        assert all(one in known for one in seen[-generation:])
        assert sum(one in known for one in range(1, 41)) <= 2 * generation
        assert all(one in seen for one in range(1, 41) if one in known)
    known.clear()
    assert not any(short in known for short in shorts)


def test_ids_that_meet_in_one_slot_are_told_apart() -> None:
    known = KnownIds(100)
    same = [1 + (n << 32) for n in range(60)]
    assert all(known.add(short) for short in same)
    known.check()
    assert all(short in known for short in same)
    assert 1 + (60 << 32) not in known


def test_memory_is_small_for_the_quiet_and_bounded_for_the_busy() -> None:
    known = KnownIds()
    assert known.size < 1_000
    most = 0
    for n in range(3 * KNOWN_IDS_GENERATION):
        known.add(short_id(KEY, n.to_bytes(32, "little")))
        most = max(most, known.size)
    assert most <= 1_048_576
    assert all(short_id(KEY, n.to_bytes(32, "little")) in known for n in range(2 * KNOWN_IDS_GENERATION, n + 1))


def test_a_generation_of_none_is_our_mistake() -> None:
    with pytest.raises(BugError):
        KnownIds(0)
