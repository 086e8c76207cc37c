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
    assert line.put(ConnId(1), name(1), 200, CHEAP)
    assert not line.put(ConnId(2), name(1), 200, CHEAP), "once"
    assert line.next_deadline() == START
    assert line.take(START) == [name(1)]
    assert line.next_deadline() is None
    assert name(1) in line
    line.done(name(1), spread=True)
    line.done(name(1), spread=True)
    assert line.count == 0
    line.check()


def test_links_take_turns_whatever_each_brings() -> None:
    line = StemLine(START)
    for number in range(50):
        line.put(ConnId(1), name(number), 10, Duration(2_000))
    line.put(ConnId(2), name(100), 10, Duration(200))
    line.put(ConnId(2), name(101), 10, Duration(200))
    out = [line.take(Instant(at))[0:] for at in range(0, seconds(20), seconds(0.2))]
    order = [one for batch in out for one in batch]
    assert order.index(name(101)) <= 3, "who asks for little does not wait for who asks for much"
    assert len(order) == 52


def test_a_full_line_takes_from_who_has_less_than_his_share() -> None:
    line = StemLine(START)
    taken = sum(line.put(ConnId(1), name(number), 10, CHEAP) for number in range(2 * STEM_OUT_START))
    assert taken == STEM_OUT_START
    assert all(line.put(ConnId(2), name(10_000 + number), 10, CHEAP) for number in range(STEM_OUT_START // 2))
    assert not line.put(ConnId(2), name(9_999), 10, CHEAP)
    assert not line.put(ConnId(1), name(9_999), 10, CHEAP)
    line.check()
    wide = StemLine(START)
    assert wide.put(ConnId(1), name(1), STEM_OUT_BYTES, CHEAP)
    assert not wide.put(ConnId(1), name(2), 1, CHEAP)
    assert wide.put(ConnId(2), name(2), 100, CHEAP)


def test_the_window_follows_what_comes_back() -> None:
    line = StemLine(START)
    for number in range(3 * STEM_OUT_COUNT):
        assert line.put(ConnId(1), name(number), 10, CHEAP)
        line.done(name(number), spread=True)
    assert line.window == STEM_OUT_COUNT
    for number in range(3 * STEM_OUT_COUNT):
        assert line.put(ConnId(1), name(number), 10, CHEAP)
        line.done(name(number), spread=False)
    assert line.window == STEM_OUT_START


def test_the_pace_is_the_next_node_s() -> None:
    line = StemLine(START)
    cost = Duration(1_000)
    for number in range(200):
        assert line.put(ConnId(number % 50), name(number), 10, cost) or number >= STEM_OUT_START
    given_at_once = len(line.take(START))
    assert given_at_once == STEM_OUT_TIME_BURST // cost
    soon = line.next_deadline()
    assert soon is not None
    assert line.take(Instant(soon)) != []
    second = sum(len(line.take(Instant(soon + at))) for at in range(0, seconds(1), 10_000))
    assert abs(second - STEM_OUT_TIME // cost) <= 1


acts = st.lists(st.tuples(st.sampled_from(["put", "done", "take"]), st.integers(1, 4), st.integers(0, 30)), max_size=80)


@given(acts)
def test_whatever_happens_the_books_are_right(story: list[tuple[str, int, int]]) -> None:
    line, now = StemLine(START), START
    held: set[TxId] = set()
    for verb, edge, number in story:
        match verb:
            case "put":
                assert line.put(ConnId(edge), name(number), number * 1_000, Duration(number * 100)) is (
                    name(number) not in held
                )
                held.add(name(number))
            case "done":
                line.done(name(number), spread=number % 3 != 0)
                held.discard(name(number))
            case "take":
                now = Instant(now + number * 1_000)
                assert set(line.take(now)) <= held
        line.check()
    end = Instant(now + seconds(3_600))
    line.take(end)
    line.check()
    assert line.next_deadline() is None, "all that was put is given in the end"
