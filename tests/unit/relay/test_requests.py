"""Who is asked for a transaction: every rule, and a naive model beside it."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pool_transactions import tx_id

from obscura.base.instant import Instant, after
from obscura.base.limits import (
    TRACKED_PER_PEER,
    TRACKED_SHARE,
    TRACKED_TOTAL,
    TX_DELAY_INBOUND,
    TX_DELAY_OVERLOADED,
    TX_IN_FLIGHT,
    TX_REQUEST_TIMEOUT,
)
from obscura.base.names import ConnId, TxId
from obscura.relay.requests import RequestTracker

KEY = b"p" * 32
START = Instant(1_000)
OUT, IN, OTHER = ConnId(1), ConnId(2), ConnId(3)


def numbered(number: int) -> TxId:
    """An id for each number."""
    return tx_id(str(number))


X, Y = numbered(1), numbered(2)


def test_a_link_that_we_dialled_is_asked_at_once_and_an_inbound_one_later() -> None:
    tracker = RequestTracker(KEY)
    assert tracker.announced(OUT, X, preferred=True, now=START)
    assert tracker.announced(IN, Y, preferred=False, now=START)
    assert tracker.due(START) == [(OUT, X)]
    later = after(START, TX_DELAY_INBOUND)
    assert tracker.next_deadline() == later
    assert tracker.due(Instant(later - 1)) == []
    assert tracker.due(later) == [(IN, Y)]
    assert tracker.in_flight(IN) == 1


def test_one_request_at_a_time_and_the_next_link_after_its_time() -> None:
    tracker = RequestTracker(KEY)
    tracker.announced(IN, X, preferred=False, now=START)
    tracker.announced(OUT, X, preferred=True, now=START)
    assert tracker.due(START) == [(OUT, X)]
    assert tracker.due(after(START, TX_DELAY_INBOUND)) == []
    end = after(START, TX_REQUEST_TIMEOUT)
    assert tracker.due(Instant(end - 1)) == []
    assert tracker.due(end) == [(IN, X)]
    assert tracker.requested_from(OUT, X), "a late answer is welcome"
    assert tracker.requested_from(IN, X)
    tracker.check()


def test_who_has_it_not_is_followed_by_the_next_at_once() -> None:
    tracker = RequestTracker(KEY)
    for conn in (OUT, OTHER):
        tracker.announced(conn, X, preferred=True, now=START)
    (first,) = tracker.due(START)
    tracker.not_found(*first)
    assert not tracker.requested_from(*first)
    deadline = tracker.next_deadline()
    assert deadline is not None and deadline <= START
    (second,) = tracker.due(START)
    assert {first[0], second[0]} == {OUT, OTHER}
    tracker.not_found(*second)
    assert len(tracker) == 0
    assert tracker.announced(OUT, X, preferred=True, now=START), "forgotten: it may be announced again"


def test_an_end_of_a_link_passes_its_requests_on() -> None:
    tracker = RequestTracker(KEY)
    tracker.announced(OUT, X, preferred=True, now=START)
    tracker.due(START)
    tracker.announced(OTHER, X, preferred=True, now=START)
    tracker.announced(OUT, Y, preferred=True, now=START)
    tracker.peer_gone(OUT)
    tracker.check()
    assert tracker.due(START) == [(OTHER, X)]
    assert (len(tracker), tracker.announcements(OUT), tracker.in_flight(OUT)) == (1, 0, 0)


def test_what_is_here_is_asked_of_nobody() -> None:
    tracker = RequestTracker(KEY)
    tracker.announced(OUT, X, preferred=True, now=START)
    tracker.announced(IN, X, preferred=False, now=START)
    tracker.due(START)
    tracker.forget(X)
    tracker.forget(X)
    assert len(tracker) == tracker.in_flight(OUT) == 0
    assert tracker.due(after(START, TX_REQUEST_TIMEOUT)) == []
    assert tracker.next_deadline() is None
    tracker.check()


def test_a_link_announces_so_many_and_no_more() -> None:
    tracker = RequestTracker(KEY)
    taken = [tracker.announced(IN, numbered(n), preferred=False, now=START) for n in range(TRACKED_PER_PEER + 1)]
    assert taken == [True] * TRACKED_PER_PEER + [False]
    assert not tracker.announced(IN, numbered(0), preferred=False, now=START)
    assert tracker.announced(OUT, numbered(TRACKED_PER_PEER), preferred=True, now=START), "others are not touched"
    tracker.check()


def test_beyond_the_total_each_link_has_its_share() -> None:
    tracker = RequestTracker(KEY)
    links = TRACKED_TOTAL // TRACKED_PER_PEER
    for conn in range(links):
        for number in range(TRACKED_PER_PEER):
            assert tracker.announced(ConnId(conn), numbered(conn << 20 | number), preferred=False, now=START)
    late = ConnId(9_999)
    taken = [
        tracker.announced(late, numbered(1 << 40 | number), preferred=False, now=START)
        for number in range(TRACKED_SHARE + 5)
    ]
    assert taken == [True] * TRACKED_SHARE + [False] * 5
    assert len(tracker) == TRACKED_TOTAL + TRACKED_SHARE


def test_a_busy_link_waits_longer_but_is_asked() -> None:
    tracker = RequestTracker(KEY)
    for n in range(TX_IN_FLIGHT):
        tracker.announced(OUT, numbered(n), preferred=True, now=START)
    assert len(tracker.due(START)) == TX_IN_FLIGHT
    last = numbered(TX_IN_FLIGHT)
    tracker.announced(OUT, last, preferred=True, now=START)
    assert tracker.due(START) == []
    assert tracker.due(after(START, TX_DELAY_OVERLOADED)) == [(OUT, last)]


def test_links_that_never_deliver_cost_their_time_each_and_an_outbound_link_comes_before_them() -> None:
    tracker = RequestTracker(KEY)
    for number in range(10, 15):
        tracker.announced(ConnId(number), X, preferred=False, now=START)
    now = after(START, TX_DELAY_INBOUND)
    asked = tracker.due(now)
    tracker.announced(OUT, X, preferred=True, now=now)
    now = after(now, TX_REQUEST_TIMEOUT)
    assert tracker.due(now) == [(OUT, X)], "after one silent link at most"
    assert asked[0][0] != OUT


def test_the_order_among_equals_is_the_keys() -> None:
    firsts = set()
    for seed in range(40):
        tracker = RequestTracker(bytes([seed]) * 32)
        for conn in (OUT, OTHER):
            tracker.announced(conn, X, preferred=True, now=START)
        firsts.add(tracker.due(START)[0][0])
    assert firsts == {OUT, OTHER}


def test_what_is_held_is_asked_of_nobody_until_it_is_released() -> None:
    tracker = RequestTracker(KEY)
    tracker.announced(OUT, X, preferred=True, now=START)
    tracker.announced(OTHER, X, preferred=True, now=START)
    [(first, _)] = tracker.due(START)
    second = OTHER if first == OUT else OUT
    tracker.hold(X)
    tracker.answered(first, X)
    assert tracker.due(after(START, TX_REQUEST_TIMEOUT)) == []
    tracker.release(X)
    assert tracker.due(after(START, TX_REQUEST_TIMEOUT)) == [(second, X)]
    tracker.hold(X)
    tracker.forget(X)
    tracker.hold(X)
    tracker.announced(OUT, X, preferred=True, now=START)
    assert tracker.due(after(START, TX_REQUEST_TIMEOUT)) == [(OUT, X)], "a new announcement is not held of itself"
    tracker.check()


class TrackerStory(RuleBasedStateMachine):
    """The tracker beside a list of everything; the order among equals is taken from the tracker."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = RequestTracker(KEY)
        self.now = START
        self.rows: list[list[object]] = []
        """``[conn, id, preferred, moment, state]``; states: wait, asked, late, done."""
        self.held: set[TxId] = set()

    def _row(self, conn: ConnId, name: TxId) -> list[object] | None:
        return next((row for row in self.rows if row[0] == conn and row[1] == name), None)

    def _tidy(self) -> None:
        live = {row[1] for row in self.rows if row[4] in ("wait", "asked")}
        self.rows = [row for row in self.rows if row[1] in live]
        self.held &= {row[1] for row in self.rows}  # type: ignore[misc]

    CONNS = st.integers(1, 4).map(ConnId)
    NAMES = st.integers(0, 4).map(numbered)

    @rule(conn=CONNS, name=NAMES)
    def announce(self, conn: ConnId, name: TxId) -> None:
        preferred = conn <= 2
        fresh = self._row(conn, name) is None
        assert self.tracker.announced(conn, name, preferred=preferred, now=self.now) is fresh
        if fresh:
            wait = 0 if preferred else TX_DELAY_INBOUND
            self.rows.append([conn, name, preferred, self.now + wait, "wait"])

    @rule(span=st.sampled_from([0, 1, TX_DELAY_INBOUND, TX_REQUEST_TIMEOUT, TX_REQUEST_TIMEOUT // 2]))
    def pass_time(self, span: int) -> None:
        self.now = Instant(self.now + span)
        for row in self.rows:
            if row[4] == "asked" and row[3] <= self.now:  # type: ignore[operator]
                row[4] = "late"
        self._tidy()
        wanted = {}
        for name in {row[1] for row in self.rows}:
            mine = [row for row in self.rows if row[1] == name]
            ready = [row for row in mine if row[4] == "wait" and row[3] <= self.now]  # type: ignore[operator]
            if name not in self.held and ready and not any(row[4] == "asked" for row in mine):
                best = any(row[2] for row in ready)
                wanted[name] = {row[0] for row in ready if row[2] == best}
        asked = self.tracker.due(self.now)
        assert {name for _, name in asked} == set(wanted)
        assert [conn for conn, _ in asked] == sorted(conn for conn, _ in asked)
        for conn, name in asked:
            assert conn in wanted[name]
            row = self._row(conn, name)
            assert row is not None
            row[3], row[4] = self.now + TX_REQUEST_TIMEOUT, "asked"
        deadline = self.tracker.next_deadline()
        moments = [row[3] for row in self.rows if row[4] == "asked"]
        moments += [row[3] for row in self.rows if row[4] == "wait" and row[3] > self.now]  # type: ignore[operator]
        assert all(deadline is not None and deadline <= moment for moment in moments)  # type: ignore[operator]

    @rule(conn=CONNS, name=NAMES)
    def answer(self, conn: ConnId, name: TxId) -> None:
        row = self._row(conn, name)
        assert self.tracker.requested_from(conn, name) is (row is not None and row[4] in ("asked", "late"))
        self.tracker.answered(conn, name)
        if row is not None:
            row[4] = "done"
        self._tidy()

    @rule(conn=CONNS, name=NAMES)
    def postpone(self, conn: ConnId, name: TxId) -> None:
        self.tracker.postpone(conn, name, self.now)
        row = self._row(conn, name)
        if row is not None:
            row[3], row[4] = self.now + TX_DELAY_OVERLOADED, "wait"

    @rule(name=NAMES)
    def forget(self, name: TxId) -> None:
        self.tracker.forget(name)
        self.rows = [row for row in self.rows if row[1] != name]
        self._tidy()

    @rule(name=NAMES)
    def hold(self, name: TxId) -> None:
        self.tracker.hold(name)
        if any(row[1] == name for row in self.rows):
            self.held.add(name)

    @rule(name=NAMES)
    def release(self, name: TxId) -> None:
        self.tracker.release(name)
        self.held.discard(name)

    @rule(conn=CONNS)
    def leave(self, conn: ConnId) -> None:
        self.tracker.peer_gone(conn)
        self.rows = [row for row in self.rows if row[0] != conn]
        self._tidy()

    @invariant()
    def agree(self) -> None:
        self.tracker.check()
        assert len(self.tracker) == len(self.rows)
        for conn in map(ConnId, range(1, 5)):
            assert self.tracker.announcements(conn) == sum(row[0] == conn for row in self.rows)


TestTrackerStory = TrackerStory.TestCase
TestTrackerStory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
