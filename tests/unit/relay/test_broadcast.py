"""The queue of private broadcasts: whom each was handed to, when the next step is due."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from stem_peers import child_of, pay

from obscura.base.instant import Duration, Instant, after, seconds
from obscura.base.limits import (
    BROADCAST_FORGET,
    BROADCAST_LINKS,
    BROADCAST_QUEUE,
    BROADCAST_RECIPIENTS,
    BROADCAST_RESUME,
    BROADCAST_RETRY,
    BROADCAST_RETURN,
    BROADCAST_RETURN_MOST,
    BROADCAST_SPREAD,
)
from obscura.base.names import ConnId
from obscura.base.randomness import Chance
from obscura.ledgers.memory_transactions import parse
from obscura.relay.broadcast import Broadcast, Broadcasts
from obscura.wire.address import NetAddress, Network

START = Instant(0)


def recipient(number: int) -> NetAddress:
    return NetAddress(Network.TORV3, number.to_bytes(32, "big"), 18_444)


def add(queue: Broadcasts, data: bytes, now: Instant = START, age: Duration | None = None) -> Broadcast:
    return queue.add(data, parse(data).info, now, age)


def mean(values: list[int]) -> float:
    return sum(values) / len(values)


def waits(age: Duration | None) -> list[int]:
    found = []
    for seed in range(400):
        entry = add(Broadcasts(Chance.from_seed(seed)), pay(1), START, age)
        assert entry.at is not None
        found.append(int(entry.at))
    return found


def test_the_first_step_comes_after_a_random_moment() -> None:
    new, kept = waits(None), waits(seconds(100))
    assert mean(new) == pytest.approx(BROADCAST_SPREAD, rel=0.2)
    assert mean(kept) == pytest.approx(BROADCAST_RESUME, rel=0.2)
    assert len(set(new)) == len(set(kept)) == 400


def test_three_are_sought_at_once_and_no_more() -> None:
    queue = Broadcasts(Chance.from_seed(1))
    entry = add(queue, pay(1))
    for number in range(BROADCAST_RECIPIENTS):
        assert entry.wants == BROADCAST_RECIPIENTS - number
        queue.dialled(entry, ConnId(number), recipient(number), START)
    assert entry.wants == 0 and entry.at is None
    queue.confirmed(ConnId(0), START)
    assert entry.wants == 0 and entry.at is None
    queue.ended(ConnId(1), START)
    assert entry.wants == 1 and entry.at is not None
    queue.check()


def test_failures_are_made_up_for_by_waits_that_double_to_a_bound() -> None:
    means = []
    for failures in (1, 3, 6, 300):
        found = []
        for seed in range(300):
            queue = Broadcasts(Chance.from_seed(seed))
            entry = add(queue, pay(1))
            entry.failures = failures - 1
            queue.dialled(entry, ConnId(1), recipient(1), START)
            queue.ended(ConnId(1), START)
            assert entry.at is not None
            found.append(int(entry.at))
        means.append(mean(found))
    assert means[0] == pytest.approx(BROADCAST_RETRY, rel=0.25)
    assert means[1] == pytest.approx(2 * BROADCAST_RETRY, rel=0.25)
    assert means[2] == pytest.approx(4 * BROADCAST_RETRY, rel=0.25)
    assert means[3] == pytest.approx(BROADCAST_RETURN_MOST, rel=0.25)


def test_what_all_have_is_waited_for_longer_each_time() -> None:
    queue = Broadcasts(Chance.from_seed(1))
    entry = add(queue, pay(1))
    now, number = START, 0
    for _ in range(BROADCAST_RECIPIENTS):
        queue.dialled(entry, ConnId(number), recipient(number), now)
        queue.confirmed(ConnId(number), now)
        number += 1
    least = int(BROADCAST_RETURN)
    for _ in range(20):
        assert entry.at is not None
        assert least <= entry.at - now <= 2 * least
        assert entry.wants == 1
        now = entry.at
        queue.dialled(entry, ConnId(number), recipient(number), now)
        # Whether it confirms or not: who has it has had it long enough.
        queue.confirmed(ConnId(number), now) if number % 2 else queue.ended(ConnId(number), now)
        number += 1
        least = min(2 * least, BROADCAST_RETURN_MOST)
    assert least == BROADCAST_RETURN_MOST


def test_a_daemon_of_ours_that_fails_leaves_the_recipient_unasked() -> None:
    queue = Broadcasts(Chance.from_seed(1))
    entry = add(queue, pay(1))
    queue.dialled(entry, ConnId(1), recipient(1), START)
    queue.ended(ConnId(1), START, ours=True)
    assert not entry.asked and entry.at is not None
    queue.dialled(entry, ConnId(2), recipient(2), START)
    queue.ended(ConnId(2), START)
    assert list(entry.asked) == [recipient(2)]


def test_a_connection_outlives_its_transaction() -> None:
    queue = Broadcasts(Chance.from_seed(1))
    entry = add(queue, pay(1))
    queue.dialled(entry, ConnId(1), recipient(1), START)
    queue.remove(entry.info.relay_id)
    assert queue.handovers[ConnId(1)].data == pay(1)
    assert queue.confirmed(ConnId(1), START) is None
    queue.ended(ConnId(1), START)
    assert not queue.handovers
    queue.check()


def test_relations() -> None:
    queue = Broadcasts(Chance.from_seed(1))
    parent = add(queue, pay(1))
    child = parse(child_of(pay(1))).info
    assert queue.parents_of(child) == [parent]
    assert queue.contradicted(parse(pay(1, salt=1)).info), "another one spends the same"
    assert queue.contradicted(parse(pay(1, seal=b"\1\1")).info), "another form of it"
    assert not queue.contradicted(parent.info) and not queue.contradicted(child)
    queue.remove(parent.info.relay_id)
    assert not queue.contradicted(parse(pay(1, salt=1)).info) and queue.by_txid(parent.info.txid) is None


def test_the_queue_is_bounded() -> None:
    queue = Broadcasts(Chance.from_seed(1))
    for number in range(BROADCAST_QUEUE):
        assert queue.has_room
        add(queue, pay(number))
    assert not queue.has_room
    queue.check()


def test_redacted() -> None:
    queue = Broadcasts(Chance.from_seed(1))
    entry = add(queue, pay(1))
    queue.dialled(entry, ConnId(1), recipient(1), START)
    for text in (repr(entry), repr(queue.handovers), repr(queue)):
        assert recipient(1).host() not in text
        assert pay(1).hex() not in text and repr(pay(1)) not in text
        assert entry.info.relay_id.reveal() not in text


class Model(RuleBasedStateMachine):
    """Any order of what may happen keeps the queue's invariants, and each transaction goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Broadcasts(Chance.from_seed(7))
        self.now = START
        self.serial = 0

    @rule(number=st.integers(0, 5), salt=st.integers(0, 1), kept=st.booleans())
    def put(self, number: int, salt: int, kept: bool) -> None:
        data = pay(number, salt=salt)
        info = parse(data).info
        if info.relay_id not in self.queue and not self.queue.contradicted(info):
            add(self.queue, data, self.now, seconds(3_600) if kept else None)

    @rule(span=st.integers(0, 5_000_000_000))
    def step(self, span: int) -> None:
        self.now = after(self.now, Duration(span))
        for entry in self.queue.due(self.now):
            if entry.wants <= 0:
                entry.at = None
            elif len(self.queue.handovers) == BROADCAST_LINKS:
                self.queue.postpone(entry, self.now)
            else:
                self.serial += 1
                self.queue.dialled(entry, ConnId(self.serial), recipient(self.serial), self.now)

    @precondition(lambda self: self.queue.handovers)
    @rule(data=st.data(), confirm=st.booleans(), ours=st.booleans())
    def end(self, data: st.DataObject, confirm: bool, ours: bool) -> None:
        conn = data.draw(st.sampled_from(list(self.queue.handovers)))
        if confirm:
            self.queue.confirmed(conn, self.now)
        self.queue.ended(conn, self.now, ours=ours)

    @precondition(lambda self: len(self.queue))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.queue.entries()))
        assert self.queue.remove(entry.info.relay_id) is entry

    @invariant()
    def holds(self) -> None:
        self.queue.check()
        assert len(self.queue.handovers) <= BROADCAST_LINKS
        due = self.queue.next_deadline()
        if due is not None and due <= self.now:
            assert self.queue.due(self.now)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)


def test_the_disk_forgets_what_has_come_back_at_a_random_moment() -> None:
    found = []
    for seed in range(300):
        queue = Broadcasts(Chance.from_seed(seed))
        entry = add(queue, pay(1))
        queue.remove(entry.info.relay_id)
        queue.forget_later(entry.info.relay_id, START)
        at = queue.next_deadline()
        assert at is not None
        assert not queue.take_forgotten(Instant(at - 1))
        assert queue.take_forgotten(at) == [entry.info.relay_id]
        assert queue.next_deadline() is None
        found.append(int(at))
    assert mean(found) == pytest.approx(BROADCAST_FORGET, rel=0.2)


def test_what_is_queued_again_is_not_forgotten() -> None:
    queue = Broadcasts(Chance.from_seed(1))
    entry = add(queue, pay(1))
    queue.remove(entry.info.relay_id)
    queue.forget_later(entry.info.relay_id, START)
    add(queue, pay(1))
    assert not queue.take_forgotten(Instant(1 << 60))
    queue.check()
