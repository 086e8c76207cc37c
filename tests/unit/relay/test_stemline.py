"""What goes to one stem peer: a share for each that brings stems, and no more than it takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from obscura.base.instant import Duration, Instant, seconds
from obscura.base.limits import (
    STEM_LINK_BYTES,
    STEM_LINK_COUNT,
    STEM_LINK_TIME,
    STEM_LINK_TIME_START,
    STEM_OUT_BYTES,
    STEM_OUT_COUNT,
    STEM_OUT_START,
    STEM_OUT_TIME,
    STEM_OUT_TIME_BURST,
    TX_BYTES,
)
from obscura.base.names import ConnId, TxId
from obscura.relay.stemline import StemLine
from obscura.relay.stempool import GONE_EDGE

START = Instant(0)
CHEAP = Duration(1)


def name(number: int) -> TxId:
    return TxId(number.to_bytes(32, "big"))


def test_what_we_give_is_less_than_the_next_node_takes() -> None:
    assert STEM_OUT_COUNT < STEM_LINK_COUNT
    assert STEM_OUT_BYTES + TX_BYTES <= STEM_LINK_BYTES
    assert STEM_OUT_TIME < STEM_LINK_TIME
    assert STEM_OUT_TIME_BURST < STEM_LINK_TIME_START


def test_what_is_alone_goes_at_once() -> None:
    line = StemLine(START)
    line.put(ConnId(1), name(1), 200, CHEAP)
    line.put(ConnId(2), name(1), 200, CHEAP)
    assert line.next_deadline() == START
    assert line.take(START) == [name(1)], "once"
    assert line.next_deadline() is None
    assert name(1) in line
    line.done(name(1), spread=True)
    line.done(name(1), spread=True)
    assert (line.count, len(line)) == (0, 0)
    line.check()


def test_one_that_came_and_went_and_came_again_is_given_once() -> None:
    line = StemLine(START)
    line.put(ConnId(1), name(1), 10, CHEAP)
    line.done(name(1), spread=False)
    line.put(ConnId(1), name(1), 10, CHEAP)
    assert line.take(START) == [name(1)]
    line.check()


def test_links_take_turns_whatever_each_brings() -> None:
    line = StemLine(START)
    for number in range(50):
        line.put(ConnId(1), name(number), 10, Duration(2_000))
    line.put(ConnId(2), name(100), 10, Duration(200))
    line.put(ConnId(2), name(101), 10, Duration(200))
    order = [one for at in range(0, seconds(20), seconds(0.2)) for one in line.take(Instant(at))]
    assert order.index(name(101)) <= 3, "who asks for little does not wait for who asks for much"
    assert len(order) == 52


def test_a_full_line_gives_what_a_lean_link_brings_and_keeps_the_rest_waiting() -> None:
    line = StemLine(START)
    for number in range(2 * STEM_OUT_START):
        line.put(ConnId(1), name(number), 10, CHEAP)
    assert len(line.take(START)) == STEM_OUT_START
    for number in range(STEM_OUT_START):
        line.put(ConnId(2), name(10_000 + number), 10, CHEAP)
    assert len(line.take(START)) == STEM_OUT_START // 2
    assert line.next_deadline() is None, "room is what it lacks, not time"
    line.check()
    line.done(name(0), spread=True)
    assert line.take(START) == [], "it is more than the window still"
    for number in range(1, STEM_OUT_START):
        line.done(name(number), spread=True)
    assert len(line.take(START)) > STEM_OUT_START // 2, "what waited is given when there is room"
    line.check()


def test_bytes_are_bounded_as_numbers_are() -> None:
    wide = StemLine(START)
    wide.put(ConnId(1), name(1), STEM_OUT_BYTES, CHEAP)
    wide.put(ConnId(1), name(2), 1, CHEAP)
    wide.put(ConnId(2), name(3), 100, CHEAP)
    assert wide.take(START) == [name(1), name(3)]
    wide.done(name(1), spread=True)
    assert wide.take(START) == [name(2)]


def test_more_links_than_the_window_has_places() -> None:
    """However many links there are, each may have one outstanding; and those that have ended count as one."""
    line = StemLine(START)
    for number in range(3 * STEM_OUT_START):
        line.put(ConnId(number + 1), name(number), 10, CHEAP)
    assert len(line.take(START)) == 3 * STEM_OUT_START
    for number in range(3 * STEM_OUT_START):
        line.link_gone(ConnId(number + 1), GONE_EDGE)
        line.check()
    line.put(ConnId(1_000), name(9_999), 10, CHEAP)
    assert line.take(START) == [name(9_999)]


def test_what_a_link_that_has_ended_has_brought_is_given_in_its_turn() -> None:
    line = StemLine(START)
    for edge in (1, 2):
        line.put(ConnId(edge), name(edge), 10, CHEAP)
        line.link_gone(ConnId(edge), GONE_EDGE)
    line.link_gone(ConnId(7), GONE_EDGE)
    line.check()
    assert line.take(START) == [name(1), name(2)]
    line.done(name(1), spread=True)
    line.check()


def test_the_window_follows_what_comes_back() -> None:
    line = StemLine(START)
    for spread, window in ((True, STEM_OUT_COUNT), (False, STEM_OUT_START)):
        for number in range(3 * STEM_OUT_COUNT):
            line.put(ConnId(1), name(number), 10, Duration(0))
            assert line.take(START) == [name(number)]
            line.done(name(number), spread=spread)
        assert line.window == window
    line.put(ConnId(1), name(1), 10, CHEAP)
    line.done(name(1), spread=True)
    assert line.window == STEM_OUT_START, "what was not given says nothing"


def test_the_pace_is_the_next_node_s() -> None:
    line = StemLine(START)
    cost = Duration(1_000)
    for number in range(200):
        line.put(ConnId(number), name(number), 10, cost)
    assert len(line.take(START)) == STEM_OUT_TIME_BURST // cost
    soon = line.next_deadline()
    assert soon is not None
    assert line.take(Instant(soon)) != []
    second = sum(len(line.take(Instant(soon + at))) for at in range(0, seconds(1), 10_000))
    assert abs(second - STEM_OUT_TIME // cost) <= 1


acts = st.lists(
    st.tuples(st.sampled_from(["put", "done", "take", "gone"]), st.integers(1, 4), st.integers(0, 30)), max_size=80
)


@given(acts)
def test_whatever_happens_the_books_are_right(story: list[tuple[str, int, int]]) -> None:
    line, now = StemLine(START), START
    held: set[TxId] = set()
    given_now: set[TxId] = set()
    for verb, edge, number in story:
        match verb:
            case "put":
                line.put(ConnId(edge), name(number), number * 1_000, Duration(number * 100))
                held.add(name(number))
            case "done":
                line.done(name(number), spread=number % 3 != 0)
                held.discard(name(number))
                given_now.discard(name(number))
            case "take":
                now = Instant(now + number * 1_000)
                taken = line.take(now)
                assert set(taken) <= held - given_now and len(set(taken)) == len(taken)
                given_now.update(taken)
            case "gone":
                line.link_gone(ConnId(edge), GONE_EDGE)
        line.check()
        assert len(line) == len(held)
    while given_now != held:
        now = Instant(now + seconds(3_600))
        taken = line.take(now)
        assert taken or given_now, "what waits is given when the rest has spread"
        for one in given_now:
            line.done(one, spread=True)
        held -= given_now
        given_now = set(taken)
        line.check()
