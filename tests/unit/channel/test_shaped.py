"""An encrypted link in the shape that its shaper gives it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pair import START
from veil import SecurePair, secure_channel

from obscura.base.instant import Duration, Instant, after
from obscura.base.limits import PING_INTERVAL, PING_SPREAD, RECORD_BODY_BYTES, SEND_JITTER
from obscura.base.randomness import Chance
from obscura.channel import Channel, Closed, Role
from obscura.shaping import PadShaper, Profile, Traffic
from obscura.shaping.sizes import FULL_RECORD, SMALLEST_RECORD
from obscura.wire.blocks import Block, Tx
from obscura.wire.registry import encode_message
from obscura.wire.target import Mode

LATER = after(START, SEND_JITTER)


class Amounts:
    """A shaper that is told by a test what to emit."""

    profile = Profile.OFF
    rate = None

    def __init__(self) -> None:
        self.clogged = False
        self.told = 0
        self.next: list[int] = []
        self.open = False

    def put(self, amount: int, now: Instant, *, urgent: bool) -> None: ...

    def opened(self, now: Instant) -> None: ...

    def wake(self, now: Instant) -> None: ...

    def heard(self, now: Instant) -> None:
        self.told += 1

    def take(self, waiting: int, now: Instant) -> int:
        if not self.open:
            return FULL_RECORD if waiting else 0
        return self.next.pop(0) if self.next else 0

    def next_deadline(self) -> Instant | None:
        return None


def padded(mode: Mode = Mode.VEILED) -> tuple[Channel, Channel]:
    """An open link; the initiator's side is padded."""
    both = SecurePair(
        secure_channel(Role.INITIATOR, mode, shaper=PadShaper(Chance.from_seed(4))),
        secure_channel(Role.RESPONDER, mode, shaper=PadShaper(Chance.from_seed(5))),
    )
    both.pump()
    assert all(len(told) == 1 for told in both.told.values()), "the handshake is not delayed"
    return both.sides[Role.INITIATOR], both.sides[Role.RESPONDER]


@pytest.mark.parametrize("mode", [Mode.VEILED, Mode.LITERAL])
def test_a_message_waits_and_comes_in_a_burst_of_the_ladder(mode: Mode) -> None:
    one, other = padded(mode)
    one.send(Tx(b"a" * 300))
    early = one.take_data(START)
    due = one.transport.next_deadline()
    assert early == b""
    assert one.queued == len(encode_message(Tx(b"a" * 300)))
    assert due is not None
    assert START < due <= LATER
    one.send(Tx(b"b" * 300))
    burst = one.take_data(due)
    assert len(burst) == 1_024
    other.receive_data(burst, due)
    assert [other.next_event(due), other.next_event(due)] == [Tx(b"a" * 300), Tx(b"b" * 300)]
    assert one.queued == 0
    assert one.take_data(LATER) == b""


def test_pings_are_not_delayed_and_take_along_what_waits() -> None:
    one, other = padded()
    one.send(Tx(b"a"))
    assert one.take_data(START) == b""
    now = after(START, Duration(PING_INTERVAL + PING_SPREAD))
    one.handle_deadline(now)
    ping = one.take_data(now)
    assert len(ping) == 256
    other.receive_data(ping, now)
    assert other.next_event(now) == Tx(b"a")
    assert other.next_event(now) is None
    assert len(other.take_data(now)) == 256, "the pong is not delayed either"


def test_a_link_that_ends_holds_nothing_back() -> None:
    one, other = padded()
    one.send(Tx(b"last words"))
    assert one.take_data(START) == b""
    one.close("stopped")
    other.receive_data(one.take_data(START), START)
    assert other.next_event(START) == Tx(b"last words")


def test_bulk_does_not_wait() -> None:
    one, other = padded()
    block = Block(bytes(1_000_000))
    one.send(block)
    size = len(one.take_data(START))
    assert size == 1_000_020 // 65_516 * FULL_RECORD
    assert one.queued < 65_516
    del other


def test_the_counters_add_up() -> None:
    one, other = padded()
    sent = 0
    before = one.transport.traffic[0].real
    for size in (1, 300, 5_000, 70_000):
        one.send(Tx(bytes(size)))
        sent += size + 20
        other.receive_data(one.take_data(START) + one.take_data(LATER), LATER)
        while other.next_event(LATER):
            pass
    out, into = one.transport.traffic[0], other.transport.traffic[1]
    assert out == into
    assert out.real - before == sent
    assert out.padding > 0
    assert out.decoy == 0


class TestAnyAmount:
    """The output buffer: a shaper may ask for any number of bytes at any moment."""

    def make(self) -> tuple[Channel, Channel, Amounts]:
        shaper = Amounts()
        both = SecurePair(secure_channel(Role.INITIATOR, shaper=shaper), secure_channel(Role.RESPONDER))
        both.pump()
        shaper.open = True
        return both.sides[Role.INITIATOR], both.sides[Role.RESPONDER], shaper

    def test_with_and_without_data(self) -> None:
        one, other, shaper = self.make()
        chance = Chance.from_seed(9)
        sent, got = [], []
        for at in range(300):
            if at % 7 == 0:
                message = Tx(bytes([at % 256]) * (1 + chance.below(3_000)))
                sent.append(message)
                one.send(message)
            amount = 1 + chance.below(1_500)
            shaper.next = [amount]
            data = one.take_data(START)
            assert len(data) == amount
            other.receive_data(data, START)
            while (event := other.next_event(START)) is not None:
                got.append(event)
        shaper.next = [one.queued + 1_000]
        other.receive_data(one.take_data(START), START)
        while (event := other.next_event(START)) is not None:
            got.append(event)
        assert got == sent
        assert other.transport.traffic[1].decoy > 0

    @pytest.mark.parametrize("amount", [1, 36, 37, 38, 73, 74, FULL_RECORD, FULL_RECORD + 1, FULL_RECORD + 36, 200_000])
    def test_decoys_of_any_size(self, amount: int) -> None:
        one, other, shaper = self.make()
        shaper.next = [amount, SMALLEST_RECORD]
        first = one.take_data(START)
        second = one.take_data(START)
        assert (len(first), len(second)) == (amount, SMALLEST_RECORD)
        other.receive_data(first + second, START)
        assert other.next_event(START) is None
        assert other.transport.fault is None
        unfinished = amount + SMALLEST_RECORD - other.transport.traffic[1].decoy
        # The length of a record whose body is not whole has been opened already.
        assert unfinished - other.transport.buffered in (0, 18)
        assert unfinished < RECORD_BODY_BYTES


def test_a_shaper_hears_what_came_in() -> None:
    """Whatever it is: it is told before anything is known of it."""
    sending, hearing = Amounts(), Amounts()
    both = SecurePair(secure_channel(Role.INITIATOR, shaper=sending), secure_channel(Role.RESPONDER, shaper=hearing))
    both.pump()
    one, other = both.sides[Role.INITIATOR], both.sides[Role.RESPONDER]
    sending.open = True
    before = hearing.told
    sending.next = [100, 400]
    other.receive_data(one.take_data(START), START)
    one.send(Tx(bytes(200)))
    data = one.take_data(START)
    other.receive_data(data[:18], START)
    assert hearing.told == before + 2, "decoys, and a piece of a record"
    other.receive_data(data[18:] + bytes(18), START)
    assert hearing.told == before + 3
    assert other.next_event(START) == Tx(bytes(200))
    other.receive_data(b"x", START)
    assert hearing.told == before + 4, "a record has failed, and nobody has asked yet"
    assert other.next_event(START) == Closed("tag-wrong", fault=True, silent=True)
    assert other.transport.ghost is not None
    other.transport.ghost.heard(START)
    assert hearing.told == before + 5


def test_what_waits_for_its_shaper_is_counted() -> None:
    one, _ = padded()
    before = replace(one.transport.delays)
    one.send(Tx(b"a"))
    assert one.take_data(START) == b""
    due = one.transport.next_deadline()
    assert due is not None
    one.take_data(due)
    delays = one.transport.delays
    assert (delays.count, delays.longest) == (before.count + 1, due - START)
    assert delays.total == before.total + due - START


class TestSilence:
    def test_what_came_before_the_fault_is_dealt_with_whatever_the_cut(self) -> None:
        """A record that fails behind a good one changes nothing about the answer to the good one."""
        answers = []
        for cut in (False, True):
            one, other = padded()
            one.send(Tx(b"good"))
            one.close("stopped")
            good, bad = one.take_data(START), bytes(18)
            for piece in (good, bad) if cut else (good + bad,):
                other.receive_data(piece, START)
                answers.append(other.next_event(START))
            if not cut:
                answers.append(other.next_event(START))
        assert answers == [Tx(b"good"), Closed("tag-wrong", fault=True, silent=True)] * 2

    def test_the_link_goes_on_in_its_shape(self) -> None:
        one, other = padded()
        other.handle_deadline(START)
        assert len(other.take_data(START)) == 256, "the first ping"
        other.send(Tx(b"x" * 300))
        assert other.take_data(START) == b"", "it waits for its time"
        due = other.transport.next_deadline()
        other.receive_data(bytes(18), START)
        assert other.next_event(START) == Closed("tag-wrong", fault=True, silent=True)
        assert other.take_data(LATER) == b""
        ghost = other.transport.ghost
        assert ghost is not None
        assert ghost.next_deadline() == due
        assert due is not None
        assert ghost.take(due) == 512
        assert ghost.next_deadline() is None
        assert one.transport.ghost is None

    def test_an_answer_that_was_earned_before_the_fault_counts(self) -> None:
        one, other = padded()
        now = after(START, Duration(PING_INTERVAL + PING_SPREAD))
        one.handle_deadline(now)
        other.receive_data(one.take_data(now) + bytes(18), now)
        assert other.next_event(now) == Closed("tag-wrong", fault=True, silent=True)
        assert other.take_data(now) == b""
        assert other.transport.ghost is not None
        assert other.transport.ghost.take(now) == 256, "the amount of the pong that the good ping had earned"

    def test_the_first_ping_counts_though_its_link_fails_in_the_moment_in_which_it_opens(self) -> None:
        """Who sends a bad record with the last one of the handshake sees the burst at the time of the ping."""
        _, other = padded()
        other.send(Tx(b"x" * 300))
        other.receive_data(bytes(18), START)
        assert other.next_event(START) == Closed("tag-wrong", fault=True, silent=True)
        assert other.take_data(START) == b""
        assert other.transport.ghost is not None
        assert other.transport.ghost.take(START) == 512
        assert other.transport.ghost.next_deadline() is None

    def test_a_handshake_that_fails_has_no_shape(self) -> None:
        channel = secure_channel(Role.RESPONDER)
        channel.receive_data(b"\x77" * 40, START)
        channel.answer()
        channel.take_data(START)
        channel.receive_data(b"\x77" * 9_000, START)
        assert channel.next_event(START) == Closed("terminator-missing", fault=True, silent=True)
        assert channel.transport.ghost is None
        assert channel.transport.traffic == (Traffic(), Traffic())
