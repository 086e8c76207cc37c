"""The line before the ledger: bounded, and fair in processor time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pool_transactions import made_up, point

from obscura.base.instant import Duration
from obscura.base.limits import (
    VALIDATION_BATCH,
    VALIDATION_BATCH_COST,
    VALIDATION_LINK_BYTES,
    VALIDATION_LINK_COUNT,
    VALIDATION_TOTAL_BYTES,
)
from obscura.base.names import ConnId
from obscura.relay.validation import ValidationQueue, Waiting

HONEST = ConnId(99)


def item(conn: int | None, name: str, inputs: int = 1, size: int = 200) -> Waiting:
    data, info = made_up(f"{conn} {name}", *(point(f"{conn} {name}", at) for at in range(inputs)), size=size)
    return Waiting(None if conn is None else ConnId(conn), data, info)


def test_one_waits_once_and_leaves_once() -> None:
    queue = ValidationQueue()
    one = item(1, "a")
    assert queue.put(one)
    assert not queue.put(one)
    assert one.info.relay_id in queue
    assert queue.take() == [one]
    assert one.info.relay_id not in queue
    assert (len(queue), queue.size, queue.take()) == (0, 0, [])


def test_our_operator_goes_first() -> None:
    queue = ValidationQueue()
    for number in range(5):
        queue.put(item(1, str(number)))
    own = item(None, "own")
    queue.put(own)
    assert queue.take()[0] is own


def test_links_take_turns() -> None:
    queue = ValidationQueue()
    for conn in (1, 2, 3):
        for number in range(10):
            queue.put(item(conn, str(number)))
    assert [one.conn for one in queue.take()][:9] == [1, 2, 3] * 3


def test_a_batch_is_bounded_in_number_and_in_cost() -> None:
    queue = ValidationQueue()
    for conn in range(1, 4):
        for number in range(VALIDATION_LINK_COUNT):
            queue.put(item(conn, str(number), inputs=0))
    assert len(queue.take()) == VALIDATION_BATCH
    queue = ValidationQueue()
    for number in range(10):
        queue.put(item(1, str(number), inputs=150))
    batch = queue.take()
    assert sum(one.guess for one in batch[:-1]) < VALIDATION_BATCH_COST <= sum(one.guess for one in batch)


def test_floods_wait_for_themselves() -> None:
    """Twenty links send what costs a fifth of a second each; an honest link's transaction is in the next batches all
    the same, after one of each of them at most."""
    queue = ValidationQueue()
    for number in range(10):
        for conn in range(1, 21):
            queue.put(item(conn, str(number)))
    for _ in range(3):
        for one in queue.take():
            queue.judged(one, Duration(200_000))
        queue.check()
    queue.put(item(HONEST, "late"))
    before = 0
    while True:
        batch = queue.take()
        conns = [one.conn for one in batch]
        if HONEST in conns:
            before += conns.index(HONEST)
            break
        before += len(batch)
        for one in batch:
            queue.judged(one, Duration(200_000))
    assert before <= 20


def test_a_link_is_bounded_and_does_not_take_the_others_room() -> None:
    queue = ValidationQueue()
    taken = [queue.put(item(1, str(number), size=1_000)) for number in range(1_000)]
    assert taken == [True] * VALIDATION_LINK_COUNT + [False] * (1_000 - VALIDATION_LINK_COUNT)
    assert queue.put(item(2, "whole", size=VALIDATION_LINK_BYTES))
    assert not queue.put(item(2, "more", size=60))
    assert queue.waiting(ConnId(2)) == VALIDATION_LINK_BYTES
    queue.check()


def test_over_the_total_who_holds_most_is_refused() -> None:
    queue = ValidationQueue()
    for conn in range(1, 42):
        assert queue.put(item(conn, "whole", size=399_000))
    assert queue.size > VALIDATION_TOTAL_BYTES
    assert not queue.put(item(1, "more", size=1_000))
    for number in range(2):
        assert queue.put(item(HONEST, str(number), size=300))
    queue.check()


def test_a_link_that_ends_takes_its_own_along() -> None:
    queue = ValidationQueue()
    gone, stays = item(1, "gone"), item(2, "stays")
    queue.put(gone)
    queue.put(stays)
    assert queue.peer_gone(ConnId(1)) == [gone]
    assert queue.peer_gone(ConnId(1)) == []
    queue.judged(gone, Duration(5))
    queue.check()
    assert queue.take() == [stays]


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.integers(0, 4), st.integers(0, 400)),
            st.tuples(st.just("take"), st.integers(0, 300_000), st.just(0)),
            st.tuples(st.just("gone"), st.integers(1, 4), st.just(0)),
        ),
        max_size=60,
    )
)
def test_whatever_happens_each_is_judged_or_dropped(steps: list[tuple[str, int, int]]) -> None:
    queue = ValidationQueue()
    inside: dict[bytes, Waiting] = {}
    for number, (what, value, size) in enumerate(steps):
        if what == "put":
            one = item(value or None, str(number), inputs=1 + number % 3, size=60 + 900 * size)
            if queue.put(one):
                inside[one.info.relay_id] = one
        elif what == "take":
            for one in queue.take():
                assert inside.pop(one.info.relay_id) is one
                queue.judged(one, Duration(value))
        else:
            for one in queue.peer_gone(ConnId(value)):
                assert inside.pop(one.info.relay_id) is one
        queue.check()
        assert len(queue) == len(inside)
    while batch := queue.take():
        for one in batch:
            del inside[one.info.relay_id]
    assert not inside
