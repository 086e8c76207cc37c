"""Fair turns: whose input is next, how much of it, and in which order; with a clock that the test moves."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.aio.fair import STRANGERS, Input, Shares, Turns
from obscura.base.instant import Instant, Now, WallTime
from obscura.base.limits import (
    DIALLED_WEIGHT,
    READ_BYTES,
    SLICE_BYTES,
    SLICE_LEAST,
    SLICE_TIME,
    STRANGERS_WEIGHT,
    TURN_TIME,
)
from obscura.base.names import ConnId

NOW = Now(Instant(0), WallTime(0))
MS = 1_000_000


def conn(number: int) -> ConnId:
    return ConnId(number)


# -- who is next


class TestShares:
    def test_nobody(self) -> None:
        shares = Shares()
        assert shares.next() is None
        assert not shares
        shares.charge(conn(1), 5)
        shares.close(conn(1))

    def test_first_come_first_served_among_equals(self) -> None:
        shares = Shares()
        for number in (3, 1, 2):
            shares.open(conn(number))
        for number in (2, 3, 1, 2):
            shares.wait(conn(number))
        assert [shares.next() for _ in range(4)] == [2, 3, 1, None]

    def test_who_was_idle_has_saved_nothing_up(self) -> None:
        shares = Shares()
        for number in (1, 2):
            shares.open(conn(number))
        for _ in range(100):
            shares.wait(conn(1))
            assert shares.next() == 1
            shares.charge(conn(1), 10)
        shares.wait(conn(1))
        shares.wait(conn(2))
        served = []
        for _ in range(6):
            name = shares.next()
            assert name is not None
            served.append(name)
            shares.charge(name, 10)
            shares.wait(name)
        assert served == [2, 1, 2, 1, 2, 1]

    def test_a_closed_one_waits_no_more(self) -> None:
        shares = Shares()
        for number in (1, 2):
            shares.open(conn(number))
            shares.wait(conn(number))
        shares.close(conn(1))
        assert shares
        assert shares.next() == 2
        assert not shares
        shares.open(conn(1))
        assert shares.next() is None, "its name is free again"

    def test_what_is_charged_while_it_waits(self) -> None:
        shares = Shares()
        for number in (1, 2):
            shares.open(conn(number))
            shares.wait(conn(number))
        shares.charge(conn(1), 10)
        assert [shares.next(), shares.next()] == [2, 1]
        shares.check()


@given(
    weights=st.lists(st.sampled_from([1, 4, 8]), min_size=1, max_size=6),
    costs=st.lists(st.integers(1, 2_000), min_size=40, max_size=80),
)
def test_time_is_shared_by_weight(weights: list[int], costs: list[int]) -> None:
    """Of those that always wait none is behind another by more than one slice of each, by weight."""
    shares = Shares()
    for number, weight in enumerate(weights):
        shares.open(conn(number + 1), weight)
        shares.wait(conn(number + 1))
    used = dict.fromkeys(range(len(weights)), 0.0)
    most = max(costs)
    for cost in costs:
        name = shares.next()
        assert name is not None
        used[name - 1] += cost / weights[name - 1]
        shares.charge(name, cost)
        shares.wait(name)
        shares.check()
        assert max(used.values()) - min(used.values()) <= 2 * most + 1


@given(st.data())
def test_an_idle_one_is_served_next(data: st.DataObject) -> None:
    """Whatever others have waiting, and for however long: who was idle while they used a credit is next."""
    credit = data.draw(st.integers(1, 1_000))
    shares = Shares(credit)
    flooding = data.draw(st.integers(1, 20))
    for number in range(flooding):
        shares.open(conn(number + 1))
        shares.wait(conn(number + 1))
    shares.open(conn(99))
    shares.wait(conn(99))
    used = dict.fromkeys(range(1, flooding + 1), 0)
    for _ in range(data.draw(st.integers(0, 60))):
        name = shares.next()
        assert name is not None
        cost = data.draw(st.integers(1, 1_000))
        shares.charge(name, cost)
        if name != 99:
            shares.wait(name)
            used[name] += cost
    if min(used.values()) > 2 * credit + 1_000:
        shares.wait(conn(99))
        assert shares.next() == 99


@pytest.mark.parametrize("weight", [1, 8])
@pytest.mark.parametrize("idle", [1, 10, 114])
def test_a_busy_one_waits_for_all_that_were_idle_no_longer_than_their_total(idle: int, weight: int) -> None:
    credit, total = 50, 1_000
    shares = Shares(credit, total)
    shares.open(conn(999))
    for number in range(idle):
        shares.open(conn(number + 1), weight)
    for _ in range(500):
        shares.wait(conn(999))
        assert shares.next() == 999
        shares.charge(conn(999), 10)
    shares.wait(conn(999))
    for number in range(idle):
        shares.wait(conn(number + 1))
    before = 0
    while (name := shares.next()) != 999:
        assert name is not None
        before += 10
        shares.charge(name, 10)
        shares.wait(name)
    # Besides, each has its share beside one piece of the busy one's, and its last piece may be begun with little left.
    assert before <= min(total, credit * idle) + (10 * weight + 10) * idle


# -- the turns


@dataclass
class Gate:
    """A stream's reading side."""

    reading: bool = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


@dataclass
class Stage:
    """A loop, a clock, and a node that writes down what it is given. ``cost`` says what bytes take, in ns."""

    cost: Callable[[ConnId, bytes], int] = lambda conn, data: 1_000 + 10 * len(data)
    more: Callable[[ConnId], bool] = lambda conn: False
    flush_cost: int = 0
    time: int = 0
    log: list[tuple[ConnId, object]] = field(default_factory=list)
    flushes: int = 0
    effects: deque[Callable[[], None]] = field(default_factory=deque)
    """What the next flush carries out."""

    def __post_init__(self) -> None:
        self.ready: deque[Callable[[], None]] = deque()
        self.gates: dict[ConnId, Gate] = {}
        self.turns = Turns(self._receive, self._give, self._flush, self.ready.append, lambda: self.time)

    def _receive(self, name: ConnId, data: bytes) -> bool:
        self.time += self.cost(name, data)
        self.log.append((name, data))
        return self.more(name)

    def _give(self, given: Input, name: ConnId) -> None:
        self.time += 1_000
        self.log.append((name, given(NOW)))

    def _flush(self) -> None:
        self.flushes += 1
        self.time += self.flush_cost
        while self.effects:
            self.effects.popleft()()

    def open(self, number: int, *, dialled: bool = False, known: bool = True) -> ConnId:
        name = conn(number)
        self.gates[name] = Gate()
        self.turns.open(name, self.gates[name], dialled=dialled)
        if known:
            self.turns.know(name)
        return name

    def step(self) -> bool:
        """One turn of the loop."""
        if not self.ready:
            return False
        self.ready.popleft()()
        return True

    def run(self) -> None:
        while self.step():
            pass

    def bytes_of(self, name: ConnId) -> bytes:
        return b"".join(what for one, what in self.log if one == name and isinstance(what, bytes))


def word(text: str) -> Input:
    return lambda now: text


class TestOrder:
    def test_bytes_then_the_end(self) -> None:
        stage = Stage()
        one = stage.open(1)
        data = bytes(range(256)) * 400
        stage.turns.put(one, data)
        stage.turns.put(one, b"and more")
        stage.turns.end(one, word("end"))
        stage.turns.end(one, word("gone"))
        assert stage.log == [], "nothing is given before its turn"
        stage.run()
        assert stage.bytes_of(one) == data + b"and more"
        assert stage.log[-1] == (one, "end"), "and of two ends the first"
        assert sum(what in ("end", "gone") for _, what in stage.log) == 1

    def test_other_inputs_come_before_bytes(self) -> None:
        stage = Stage()
        one = stage.open(1)
        stage.turns.put(one, b"data")
        stage.turns.call(one, word("answer"))
        stage.turns.call(one, word("drained"))
        stage.run()
        assert [what for _, what in stage.log] == ["answer", "drained", b"data"]

    def test_the_node_goes_on_with_what_it_has_first(self) -> None:
        left = [3]

        def more(_: ConnId) -> bool:
            left[0] -= 1
            return left[0] > 0

        stage = Stage(more=more)
        one = stage.open(1)
        stage.turns.put(one, bytes(2 * SLICE_BYTES))
        stage.run()
        assert [len(what) for _, what in stage.log] == [SLICE_BYTES, 0, 0, SLICE_BYTES]  # type: ignore[arg-type]

    def test_a_paused_link_waits_and_goes_on(self) -> None:
        stage = Stage()
        one, two = stage.open(1), stage.open(2)
        stage.turns.put(one, b"one")
        stage.turns.hold(one)
        assert not stage.gates[one].reading
        stage.turns.put(two, b"two")
        stage.turns.call(one, word("answer"))
        stage.run()
        assert stage.log == [(one, "answer"), (two, b"two")], "but for what it waits for"
        stage.turns.release(one)
        stage.run()
        assert stage.log[2:] == [(one, b""), (one, b"one")], "first what the node had of it"
        assert stage.gates[one].reading

    def test_a_pause_takes_hold_before_the_next_slice(self) -> None:
        stage = Stage()
        one = stage.open(1)
        stage.turns.put(one, bytes(3 * SLICE_BYTES))
        stage.effects.append(lambda: stage.turns.hold(one))
        stage.run()
        assert len(stage.log) == 1

    def test_the_end_of_a_paused_link_does_not_wait(self) -> None:
        for ended_first in (False, True):
            stage = Stage()
            one = stage.open(1)
            stage.turns.put(one, b"unread")
            if not ended_first:
                stage.turns.hold(one)
            stage.turns.end(one, word("gone"))
            stage.turns.hold(one)
            stage.run()
            assert stage.log == [(one, "gone")]

    def test_what_a_dropped_link_has_waiting_is_forgotten(self) -> None:
        stage = Stage()
        one, two = stage.open(1), stage.open(2, known=False)
        for name in (one, two):
            stage.turns.put(name, b"data")
            stage.turns.end(name, word("end"))
            stage.turns.call(name, word("answer"))
            stage.turns.close(name)
            stage.turns.close(name)
            assert name not in stage.turns
        assert stage.log == [(one, "answer"), (two, "answer")], "but for answers: the node counts them"
        stage.turns.hold(one)
        stage.turns.release(one)
        stage.turns.know(two)
        stage.run()
        assert len(stage.log) == 2
        assert stage.turns.waiting == 0

    def test_a_link_that_is_dropped_while_it_is_served(self) -> None:
        stage = Stage()
        one = stage.open(1)
        stage.turns.put(one, bytes(3 * SLICE_BYTES))
        stage.effects.append(lambda: stage.turns.close(one))
        stage.run()
        assert len(stage.log) == 1


class TestReading:
    def test_a_full_read_stops_reading_at_once(self) -> None:
        stage = Stage()
        one = stage.open(1)
        stage.turns.put(one, bytes(READ_BYTES), full=True)
        assert not stage.gates[one].reading
        stage.run()
        assert stage.gates[one].reading
        assert stage.turns.waiting == 0

    def test_a_link_with_bytes_waiting_is_not_read(self) -> None:
        stage = Stage(cost=lambda name, data: MS)
        names = [stage.open(number) for number in range(1, 6)]
        for name in names:
            stage.turns.put(name, bytes(100))
        assert all(gate.reading for gate in stage.gates.values())
        stage.step()
        served = len(stage.log)
        assert [gate.reading for gate in stage.gates.values()] == [True] * served + [False] * (5 - served)
        stage.run()
        assert all(gate.reading for gate in stage.gates.values())

    def test_nor_one_that_the_node_is_not_done_with(self) -> None:
        busy = [True]
        stage = Stage(more=lambda name: busy[0], cost=lambda name, data: MS)
        one = stage.open(1)
        stage.turns.put(one, bytes(READ_BYTES))
        for _ in range(30):
            stage.step()
        assert not stage.gates[one].reading
        busy[0] = False
        stage.run()
        assert stage.gates[one].reading


class TestSlices:
    def test_the_first_one(self) -> None:
        stage = Stage(cost=lambda name, data: 0)
        one = stage.open(1)
        stage.turns.put(one, bytes(READ_BYTES))
        stage.step()
        assert len(stage.log[0][1]) == SLICE_BYTES  # type: ignore[arg-type]

    def test_bytes_that_cost_little_come_by_whole_reads(self) -> None:
        stage = Stage(cost=lambda name, data: len(data) // 8)
        one = stage.open(1)
        for _ in range(6):
            stage.turns.put(one, bytes(READ_BYTES))
            stage.run()
        assert len(stage.log[-1][1]) == READ_BYTES  # type: ignore[arg-type]

    def test_bytes_that_cost_much_come_by_few(self) -> None:
        stage = Stage(cost=lambda name, data: 100 * len(data))
        one = stage.open(1)
        stage.turns.put(one, bytes(READ_BYTES))
        stage.run()
        last = len(stage.log[-2][1])  # type: ignore[arg-type]
        assert 0.5 <= last * 100 / (SLICE_TIME * 1_000) <= 2

    def test_never_less_than_a_kilobyte(self) -> None:
        stage = Stage(cost=lambda name, data: 1 + MS * len(data))
        one = stage.open(1)
        stage.turns.put(one, bytes(20 * SLICE_LEAST))
        stage.run()
        sizes = [len(what) for _, what in stage.log]  # type: ignore[arg-type]
        assert min(sizes[:-1]) == SLICE_LEAST

    def test_a_lone_small_input_says_nothing_about_large_ones(self) -> None:
        stage = Stage(cost=lambda name, data: 50_000)
        one = stage.open(1)
        for _ in range(50):
            stage.turns.put(one, bytes(60))
            stage.run()
        stage.log.clear()
        stage.turns.put(one, bytes(READ_BYTES))
        stage.run()
        assert len(stage.log[0][1]) == SLICE_BYTES  # type: ignore[arg-type]


class TestTurns:
    def test_the_loop_goes_on_after_a_turn(self) -> None:
        stage = Stage(cost=lambda name, data: TURN_TIME * 300)
        names = [stage.open(number) for number in range(1, 9)]
        for name in names:
            stage.turns.put(name, b"?")
        stage.step()
        assert len(stage.log) == 4, "until the time is over, and no longer"
        assert len(stage.ready) == 1
        stage.run()
        assert len(stage.log) == 8

    def test_small_inputs_are_carried_out_together(self) -> None:
        stage = Stage()
        for number in range(1, 6):
            stage.turns.put(stage.open(number), b"?")
        stage.step()
        assert len(stage.log) == 5
        assert stage.flushes == 1

    def test_an_answer_does_not_wait_for_a_long_one(self) -> None:
        stage = Stage()
        stage.turns.put(stage.open(1), b"?")
        stage.turns.put(stage.open(2), bytes(SLICE_BYTES))
        stage.effects.append(lambda: stage.log.append((conn(1), "pong")))
        stage.step()
        assert [name for name, _ in stage.log] == [1, 1, 2]

    def test_a_long_one_is_carried_out_at_once(self) -> None:
        stage = Stage(cost=lambda name, data: SLICE_TIME * 600 if name == 1 else 1)
        for number in range(1, 4):
            stage.turns.put(stage.open(number), b"?")
        stage.step()
        assert stage.flushes == 2

    def test_an_honest_ping_waits_for_one_slice(self) -> None:
        """Twenty links have a full read waiting, of the costliest bytes; one has a ping."""
        stage = Stage(cost=lambda name, data: 100 * len(data))
        for number in range(1, 21):
            stage.turns.put(stage.open(number), bytes(READ_BYTES))
        honest = stage.open(99)
        for _ in range(60):
            stage.step()
        for _ in range(50):
            stage.log.clear()
            stage.turns.put(honest, bytes(60))
            while (honest, bytes(60)) not in stage.log:
                stage.step()
            in_front = stage.log[: stage.log.index((honest, bytes(60)))]
            assert sum(100 * len(data) for _, data in in_front) <= 2 * SLICE_TIME * 1_000  # type: ignore[arg-type]

    def test_one_dear_answer_does_not_make_the_next_one_wait_for_all_others(self) -> None:
        """What a light link has not used lately pays for it."""
        stage = Stage(cost=lambda name, data: 100 * len(data))
        for number in range(1, 21):
            stage.turns.put(stage.open(number), bytes(READ_BYTES))
        honest = stage.open(99)
        for _ in range(200):
            stage.step()
        stage.turns.charge(honest, 4 * MS)
        stage.log.clear()
        stage.turns.put(honest, bytes(60))
        while (honest, bytes(60)) not in stage.log:
            stage.step()
        in_front = stage.log[: stage.log.index((honest, bytes(60)))]
        assert sum(100 * len(data) for _, data in in_front) <= 2 * SLICE_TIME * 1_000  # type: ignore[arg-type]

    def test_strangers_share_one_account(self) -> None:
        stage = Stage(cost=lambda name, data: SLICE_TIME * 1_000)
        known = [stage.open(number) for number in (1, 2)]
        strangers = [stage.open(number, known=False) for number in range(10, 60)]
        for name in known + strangers:
            stage.turns.put(name, bytes(READ_BYTES))
        for _ in range(22):
            stage.step()
        turns = [name for name, _ in stage.log]
        of_strangers = sum(name in strangers for name in turns)
        share = STRANGERS_WEIGHT / (STRANGERS_WEIGHT + 2)
        assert abs(of_strangers / len(turns) - share) < 0.05, "however many they are"
        counts = [turns.count(name) for name in strangers]
        assert max(counts) - min(counts) <= 1, "and take turns among themselves"

    def test_what_is_done_for_strangers_elsewhere_counts(self) -> None:
        stage = Stage(cost=lambda name, data: SLICE_TIME * 1_000)
        known, stranger = stage.open(1), stage.open(2, known=False)
        stage.turns.charge(STRANGERS, 100 * SLICE_TIME * 1_000)
        for name in (stranger, known):
            stage.turns.put(name, bytes(READ_BYTES))
        for _ in range(6):
            stage.step()
        assert {name for name, _ in stage.log} == {known}

    def test_a_handshake_is_complete_in_the_middle(self) -> None:
        stage = Stage()
        one = stage.open(1, known=False)
        stage.turns.put(one, bytes(3 * SLICE_BYTES))
        stage.effects.append(lambda: stage.turns.know(one))
        stage.run()
        assert stage.bytes_of(one) == bytes(3 * SLICE_BYTES)

    def test_links_that_we_have_dialled_weigh_more(self) -> None:
        stage = Stage(cost=lambda name, data: SLICE_TIME * 1_000)
        dialled = stage.open(1, dialled=True, known=False)
        others = [stage.open(number) for number in range(2, 22)]
        for name in (dialled, *others):
            stage.turns.put(name, bytes(READ_BYTES))
        for _ in range(20):
            stage.step()
        turns = [name for name, _ in stage.log]
        assert turns.count(dialled) <= READ_BYTES // SLICE_BYTES, "it has not run out"
        assert abs(turns.count(dialled) / len(turns) - DIALLED_WEIGHT / (DIALLED_WEIGHT + 20)) < 0.1

    def test_what_is_written_for_a_link_is_on_its_account(self) -> None:
        stage = Stage(cost=lambda name, data: SLICE_TIME * 600)
        one, two = stage.open(1), stage.open(2)
        stage.turns.put(one, b"?")
        stage.flush_cost = 50 * MS
        stage.step()
        stage.flush_cost = 0
        for name in (one, two):
            stage.turns.put(name, bytes(20 * SLICE_BYTES))
        stage.log.clear()
        for _ in range(4):
            stage.step()
        assert {name for name, _ in stage.log} == {two}

    def test_a_defect_in_the_flush_does_not_stop_the_turns(self) -> None:
        stage = Stage()
        one, two = stage.open(1), stage.open(2)

        def fail() -> None:
            raise RuntimeError

        stage.turns.put(one, b"one")
        stage.effects.append(fail)
        with pytest.raises(RuntimeError):
            stage.step()
        stage.turns.put(two, b"two")
        stage.run()
        assert stage.log == [(one, b"one"), (two, b"two")]


VERBS = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 6), st.sampled_from([1, 100, SLICE_BYTES, 100_000, READ_BYTES])),
    st.tuples(st.sampled_from(["hold", "release", "call", "end", "know", "close"]), st.integers(1, 6), st.just(0)),
    st.tuples(st.just("step"), st.just(0), st.just(0)),
)


@given(verbs=st.lists(VERBS, max_size=60), dear=st.integers(1, 200))
def test_every_byte_comes_once_and_in_its_order(verbs: list[tuple[str, int, int]], dear: int) -> None:
    """Whatever happens in whatever order: against a model that keeps what each link was given."""
    stage = Stage(cost=lambda name, data: dear * len(data))
    given_bytes: dict[ConnId, bytes] = {}
    held: dict[ConnId, bool] = {}
    ended: dict[ConnId, bool] = {}
    answers = calls = 0
    for number in range(1, 7):
        name = stage.open(number, dialled=number == 6, known=number % 2 == 0)
        given_bytes[name], held[name], ended[name] = b"", False, False
    serial = 0
    for verb, number, size in verbs:
        name = conn(number)
        if verb != "step" and name not in stage.turns:
            continue
        match verb:
            case "put":
                if not ended[name] and stage.gates[name].reading:
                    serial += 1
                    data = serial.to_bytes(4, "little") * (size // 4 + 1)
                    given_bytes[name] += data[:size]
                    stage.turns.put(name, data[:size])
            case "hold":
                held[name] = True
                stage.turns.hold(name)
            case "release":
                held[name] = False
                stage.turns.release(name)
            case "call":
                calls += 1
                stage.turns.call(name, word("answer"))
            case "end":
                ended[name] = True
                stage.turns.end(name, word("end"))
            case "know":
                stage.turns.know(name)
            case "close":
                stage.turns.close(name)
                given_bytes[name] = stage.bytes_of(name)
            case _:
                stage.step()
        for gate_of, gate in stage.gates.items():
            if gate_of in stage.turns and held[gate_of]:
                assert not gate.reading
        assert stage.turns.waiting <= 6 * 2 * READ_BYTES
    stage.run()
    for name in given_bytes:
        if name in stage.turns and held[name] and not ended[name]:
            stage.turns.release(name)
            held[name] = False
    stage.run()
    answers = sum(what == "answer" for _, what in stage.log)
    assert answers == calls, "no answer is lost"
    assert stage.turns.waiting == 0
    for name, expected in given_bytes.items():
        came = stage.bytes_of(name)
        assert came == expected if not (held[name] or ended[name]) else expected.startswith(came)
        words = [what for one, what in stage.log if one == name]
        if ended[name] and name in stage.turns:
            assert words.count("end") == 1
            assert all(what == "answer" or not what for what in words[words.index("end") + 1 :])
        if name in stage.turns and not held[name]:
            assert stage.gates[name].reading
