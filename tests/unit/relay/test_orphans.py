"""Who waits for a parent: each link pays for its own, and only for its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pool_transactions import made_up, point, tx_id

from obscura.base.errors import BugError
from obscura.base.instant import Instant, after
from obscura.base.limits import (
    MEMPOOL_INPUT_BYTES,
    ORPHAN_AGE,
    ORPHAN_BYTES_PER_PEER,
    ORPHAN_BYTES_TOTAL,
    ORPHANS_PER_PEER,
)
from obscura.base.names import ConnId
from obscura.relay.orphans import Orphanage

A, B = ConnId(1), ConnId(2)
START = Instant(7)


def test_children_are_given_back_when_their_parent_comes() -> None:
    orphans = Orphanage()
    first, second, other = (
        made_up("first", point("parent", 0)),
        made_up("second", point("parent", 1), point("parent", 0)),
        made_up("other", point("else")),
    )
    for number, (data, info) in enumerate((first, second, other)):
        assert orphans.add(A, data, info, Instant(number)) == []
        with pytest.raises(BugError):
            orphans.add(B, data, info, Instant(number))
    assert first[1].relay_id in orphans
    given_back = orphans.waiting_for(tx_id("parent"))
    assert [one.info for one in given_back] == [first[1], second[1]]
    assert len(orphans) == 1
    assert orphans.waiting_for(tx_id("parent")) == []
    orphans.check()


def test_a_link_over_its_number_loses_its_own_oldest() -> None:
    orphans = Orphanage()
    data, info = made_up("of b")
    orphans.add(B, data, info, START)
    for number in range(ORPHANS_PER_PEER + 1):
        gone = orphans.add(A, *made_up(f"a{number}"), START)
        assert [one.info for one in gone] == ([made_up("a0")[1]] if number == ORPHANS_PER_PEER else [])
    assert len(orphans) == ORPHANS_PER_PEER + 1
    assert made_up("a0")[1].relay_id not in orphans
    assert info.relay_id in orphans
    orphans.check()


def test_a_link_over_its_bytes_loses_its_own_oldest() -> None:
    orphans = Orphanage()
    half = ORPHAN_BYTES_PER_PEER // 2 - MEMPOOL_INPUT_BYTES
    for number in range(3):
        gone = orphans.add(A, *made_up(f"a{number}", size=half), START)
        assert [one.info for one in gone] == ([made_up("a0", size=half)[1]] if number == 2 else [])
    assert made_up("a0")[1].relay_id not in orphans
    assert orphans.held(A) == orphans.size == ORPHAN_BYTES_PER_PEER
    giant = made_up("giant", size=ORPHAN_BYTES_PER_PEER)
    assert [one.info for one in orphans.add(A, *giant, START)] == [giant[1]]
    assert len(orphans) == 2
    assert orphans.add(B, *made_up("many", *(point("p", n) for n in range(1_000))), START), "inputs are counted"
    assert len(orphans) == 2
    orphans.check()


def test_over_the_sum_the_largest_account_pays() -> None:
    orphans = Orphanage()
    small = made_up("small")
    orphans.add(ConnId(99), *small, START)
    full = ORPHAN_BYTES_PER_PEER - MEMPOOL_INPUT_BYTES
    count = ORPHAN_BYTES_TOTAL // ORPHAN_BYTES_PER_PEER + 5
    for number in range(count):
        orphans.add(ConnId(number), *made_up(f"large{number}", size=full), START)
    orphans.check()
    assert small[1].relay_id in orphans
    assert len(orphans) == ORPHAN_BYTES_TOTAL // ORPHAN_BYTES_PER_PEER  # one of them has made room for the small one


def test_a_block_that_spends_the_same_a_late_hour_and_a_link_that_ends() -> None:
    orphans = Orphanage()
    orphans.add(A, *made_up("spent", point("coin")), START)
    orphans.add(A, *made_up("kept", point("other coin")), START)
    orphans.add(B, *made_up("later"), Instant(START + 5))
    assert [one.info for one in orphans.erase_spending([point("coin"), point("unheard of")])] == [
        made_up("spent", point("coin"))[1]
    ]
    assert len(orphans) == 2
    end = after(START, ORPHAN_AGE)
    assert orphans.next_deadline() == end
    orphans.expire(Instant(end - 1))
    assert len(orphans) == 2
    assert [one.info for one in orphans.expire(end)] == [made_up("kept", point("other coin"))[1]]
    assert [one.info for one in orphans.peer_gone(B)] == [made_up("later")[1]]
    assert orphans.peer_gone(B) == []
    assert (len(orphans), orphans.size, orphans.next_deadline()) == (0, 0, None)
    orphans.check()


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"), st.integers(0, 60), st.integers(0, 3), st.sampled_from([200, 90_000, 150_000, 300_000])
        ),
        st.tuples(st.just("parent"), st.integers(0, 3), st.just(0), st.just(0)),
        st.tuples(st.just("spent"), st.integers(0, 3), st.just(0), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS, st.lists(st.integers(0, 59), max_size=10, unique=True))
def test_nothing_that_one_link_brings_touches_another(steps: list[tuple[str, int, int, int]], mine: list[int]) -> None:
    orphans = Orphanage()
    held = {}
    for number in mine:
        data, info = made_up(f"mine {number}", point(f"my parent {number}"))
        orphans.add(B, data, info, START)
        held[info.relay_id] = data
    for verb, number, parent, size in steps:
        if verb == "add":
            data, info = made_up(f"junk {number}", point(f"parent {parent}", number), size=size)
            before = len(orphans)
            if info.relay_id not in orphans:
                gone = orphans.add(A, data, info, START)
                assert len(orphans) == before + 1 - len(gone), "what leaves is named"
        elif verb == "parent":
            orphans.waiting_for(tx_id(f"parent {number}"))
        else:
            orphans.erase_spending([point(f"parent {number}", n) for n in range(30)])
        orphans.check()
        assert all(name in orphans for name in held)
    orphans.peer_gone(A)
    assert len(orphans) == len(held)
