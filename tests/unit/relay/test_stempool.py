"""What is held in stem, on whose account, and for how long."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pool_transactions import made_up

from obscura.base import limits
from obscura.base.instant import Duration, Instant, seconds
from obscura.base.limits import STEM_LINK_BYTES, STEM_LINK_COUNT, STEM_LINK_TIME, STEM_LINK_TIME_START
from obscura.base.names import ConnId, TxId
from obscura.chain import OutPoint, TxInfo
from obscura.relay.dandelion import OWN_EDGE
from obscura.relay.sent import SentLog, Stage
from obscura.relay.stempool import GONE_EDGE, StemEntry, Stempool

START = Instant(0)
LATER = Instant(seconds(100))
A, B = ConnId(1), ConnId(2)
FREE = Duration(0)


def coin(number: int, index: int = 0) -> OutPoint:
    return OutPoint(number.to_bytes(32, "big") + index.to_bytes(4, "little"))


def info(number: int, *spends: OutPoint) -> TxInfo:
    return made_up(str(number), *spends)[1]


def put(pool: Stempool, one: TxInfo, edge: ConnId = A, *, own: bool = False, size: int = 200) -> StemEntry:
    return pool.hold(bytes(size), one, edge, LATER, START, own=own)


def test_an_account_is_bounded_in_number_and_bytes() -> None:
    pool = Stempool()
    for number in range(STEM_LINK_COUNT):
        assert pool.admits(A, bytes(10), FREE, START)
        put(pool, info(number), size=10)
    assert not pool.admits(A, bytes(10), FREE, START), "the newest is dropped"
    assert pool.admits(B, bytes(10), FREE, START), "others have room"
    pool.remove(info(7).relay_id)
    assert pool.admits(A, bytes(10), FREE, START)
    pool.check()
    other = Stempool()
    assert other.admits(A, bytes(2 * STEM_LINK_BYTES), FREE, START), "one always fits"
    put(other, info(1), size=STEM_LINK_BYTES)
    assert not other.admits(A, b"x", FREE, START)


def test_judging_is_paid_for_and_earned_anew() -> None:
    pool = Stempool()
    step = Duration(STEM_LINK_TIME_START // 4)
    assert [pool.admits(A, b"", step, START) for _ in range(6)] == [True] * 4 + [False] * 2
    assert pool.admits(B, b"", step, START), "each link pays for itself"
    earned = seconds(step / STEM_LINK_TIME)
    assert pool.admits(A, b"", step, Instant(earned))
    pool.judged(A, step, Duration(step * 10))
    later = Instant(earned + seconds(8.9 * step / STEM_LINK_TIME))
    assert not pool.admits(A, b"", step, later), "what it took is taken, not what was guessed"
    assert pool.admits(A, b"", step, Instant(earned + seconds(9.1 * step / STEM_LINK_TIME)))


def test_the_sum_is_bounded_for_who_has_more_than_his_share(monkeypatch: Any) -> None:
    monkeypatch.setattr("obscura.relay.stempool.STEM_TOTAL_BYTES", 40_000)
    pool = Stempool()
    for number in range(100):
        if pool.admits(A, bytes(10), FREE, START):
            put(pool, info(number), size=10)
    assert 10 < len(pool) < 20
    assert pool.admits(B, bytes(10), FREE, START), "who has little finds room"


def test_accounts_do_not_know_of_each_other() -> None:
    pool = Stempool()
    one = info(1)
    first = put(pool, one, A)
    assert put(pool, one, B) is first
    assert list(first.edges) == [A, B]
    assert len(pool) == 1
    pool.check()
    assert pool.remove(one.relay_id) is first
    assert pool.remove(one.relay_id) is None
    pool.check()


def test_one_for_each_output_and_our_operator_s_beside() -> None:
    pool = Stempool()
    put(pool, info(1, coin(5)), A)
    rival = info(2, coin(5), coin(6))
    assert pool.contradicted(rival, own=False)
    assert not pool.contradicted(info(1, coin(5)), own=False), "it does not contradict itself"
    assert not pool.contradicted(rival, own=True), "he must not learn what is here"
    put(pool, rival, OWN_EDGE, own=True)
    assert pool.contradicted(info(3, coin(6)), own=True), "but of his own he knows"
    assert pool.contradicted(info(3, coin(6)), own=False)
    pool.check()
    pool.remove(info(1).relay_id)
    pool.remove(rival.relay_id)
    assert not pool.contradicted(info(3, coin(6)), own=False)


def test_families_are_found_parents_first() -> None:
    pool = Stempool()
    chain = [info(0)]
    for number in range(1, 20):
        chain.append(info(number, OutPoint(chain[-1].txid + bytes(4))))
    joined = info(50, OutPoint(chain[-1].txid + bytes(4)), OutPoint(chain[4].txid + bytes(4)))
    for one in chain:
        put(pool, one)
    assert [entry.info for entry in pool.family(joined)] == chain
    assert pool.family(info(99)) == []


def test_what_a_link_has_brought_stays_when_it_ends_within_a_bound() -> None:
    pool = Stempool()
    both = put(pool, info(0), A)
    put(pool, info(0), B)
    alone = put(pool, info(1), A)
    assert pool.link_gone(A, START) == []
    assert list(both.edges) == [B]
    assert list(alone.edges) == [GONE_EDGE]
    pool.check()
    for conn in range(10, 20):
        for number in range(STEM_LINK_COUNT // 5):
            put(pool, info(conn * 10_000 + number), ConnId(conn), size=10)
        left = pool.link_gone(ConnId(conn), START)
        pool.check()
    assert left, "a flood of short links finds no more room"
    assert len(pool) == STEM_LINK_COUNT + 1
    assert pool.link_gone(ConnId(77), START) == []


def test_embargoes_end_once_and_can_be_moved() -> None:
    pool = Stempool()
    first, second = put(pool, info(1)), put(pool, info(2))
    pool.set_embargo(first, Instant(50))
    assert pool.next_deadline() == 50
    assert pool.due(Instant(49)) == []
    assert pool.due(Instant(50)) == [first]
    assert pool.due(Instant(50)) == []
    pool.set_embargo(second, None)
    pool.set_waiting(second, waits=True)
    assert pool.waiting() == [second]
    assert pool.due(LATER) == [], "one that waits for a stem peer has no end"
    pool.remove(first.info.relay_id)
    pool.check()


class Story(RuleBasedStateMachine):
    """Links come, bring, go; embargoes end; whatever happens the books are right."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Stempool()
        self.now = START

    @rule(number=st.integers(0, 15), edge=st.integers(0, 4), spends=st.integers(0, 5), own=st.booleans())
    def bring(self, number: int, edge: int, spends: int, own: bool) -> None:
        own = own and edge == OWN_EDGE
        parents = (coin(spends), OutPoint(info(spends).txid + bytes(4))) if number > 8 else (coin(spends),)
        one = info(number * 10 + spends, *parents)
        if self.pool.contradicted(one, own=own):
            return
        if edge == OWN_EDGE or self.pool.admits(ConnId(edge), bytes(50), Duration(5), self.now):
            embargo = Instant(self.now + 1_000 * (number + 1))
            self.pool.hold(bytes(50), one, ConnId(edge), embargo, self.now, own=own)

    @rule(edge=st.integers(1, 4))
    def go(self, edge: int) -> None:
        self.pool.link_gone(ConnId(edge), self.now)

    @rule(span=st.integers(0, 5_000))
    def wait(self, span: int) -> None:
        self.now = Instant(self.now + span)
        for entry in self.pool.due(self.now):
            assert entry.embargo is not None and entry.embargo <= self.now
            self.pool.remove(entry.info.relay_id)

    @rule(at=st.integers(0, 30))
    def leave(self, at: int) -> None:
        entries = self.pool.entries()
        if at < len(entries):
            assert self.pool.remove(entries[at].info.relay_id) is entries[at]

    @invariant()
    def books_are_right(self) -> None:
        self.pool.check()


Story.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestStory = Story.TestCase


def test_the_log_of_what_was_sent_is_bounded_and_forgets_the_oldest(monkeypatch: Any) -> None:
    monkeypatch.setattr("obscura.relay.sent.SENT_KEPT", 3)
    log = SentLog()
    names = [TxId(bytes([number]) * 32) for number in range(4)]
    for name in names:
        log.begin(name, Stage.STEMMED)
    assert [log.get(name) for name in names] == [None, *[Stage.STEMMED] * 3]
    log.note(names[0], Stage.SEEN)
    assert log.get(names[0]) is None, "what is not followed is passed over"
    log.note(names[1], Stage.SEEN)
    assert log.adopt(names[1], Stage.STEMMED) is Stage.SEEN
    assert log.adopt(names[0], Stage.SEEN) is Stage.SEEN
    assert len(log) == 3
    assert limits.SENT_KEPT > limits.OWN_TRANSACTIONS, "those that wait are all followed"
