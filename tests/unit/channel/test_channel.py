"""The channel machine: handshake of both roles, phases, faults, keepalive, limits."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pair import START, Pair, closing_rule, drain, feed, make_channel, make_version, opened_pair

from obscura.base.errors import BugError
from obscura.base.instant import Duration, Instant, after, seconds
from obscura.base.limits import (
    FAULT_BUDGET,
    FAULT_DECAY,
    FAULT_MALFORMED,
    HANDSHAKE_TIMEOUT,
    PING_INTERVAL,
    PING_SPREAD,
    PING_TIMEOUT,
    PRE_HANDSHAKE_BYTES,
    TOKENS_BURST,
    TOKENS_REST,
)
from obscura.base.names import NULL_HASH
from obscura.base.randomness import Chance
from obscura.channel import Answered, Channel, Closed, MessageFault, Opened, Role
from obscura.channel.channel import State
from obscura.channel.keepalive import Keepalive
from obscura.wire.blocks import Block, DandelionTx, GetBlocks, GetData, GetHeaders, Headers, Inv, NotFound, Tx
from obscura.wire.features import FeatureSet
from obscura.wire.frame import encode_frame, parse_header, type_field
from obscura.wire.gossip import Addr
from obscura.wire.greeting import GetAddr, Mempool, Ping, Pong, Verack, Version
from obscura.wire.registry import BY_TYPE_FIELD, FIELD_OF, REGISTRY, Message, encode_message

SAMPLES: tuple[Message, ...] = (
    make_version(9),
    Verack(),
    Ping(5),
    Pong(5),
    Addr(()),
    GetAddr(),
    Block(bytes(80)),
    GetBlocks(1, (), NULL_HASH),
    Headers(()),
    GetHeaders(1, (), NULL_HASH),
    Inv(()),
    Tx(b"t"),
    DandelionTx(b"t"),
    Mempool(),
    GetData(()),
    NotFound(()),
)


def types_in(data: bytes) -> list[str]:
    """Names of the frames in a stream."""
    names, at = [], 0
    while at < len(data):
        size, field, _ = parse_header(data, at)
        names.append(BY_TYPE_FIELD[field].name)
        at += 20 + size
    return names


def in_state(state: State, role: Role) -> Channel:
    """A channel that honest messages brought into a state."""
    channel = make_channel(role)
    if state in (State.AWAIT_VERACK, State.OPEN):
        feed(channel, encode_message(make_version(9)))
    if state is State.OPEN:
        feed(channel, encode_message(Verack()))
    if state is State.CLOSED:
        channel.close("done")
    channel.take_data(START)
    assert channel.state is state
    return channel


class TestHandshake:
    def test_order_of_both_roles(self) -> None:
        initiator, responder = make_channel(Role.INITIATOR), make_channel(Role.RESPONDER)
        assert responder.take_data(START) == b"", "a responder waits for the initiator's version"
        first = initiator.take_data(START)
        assert types_in(first) == ["version"]
        feed(responder, first)
        answer = responder.take_data(START)
        assert types_in(answer) == ["version", "verack"]
        events = feed(initiator, answer)
        assert isinstance(events[0], Opened)
        assert types_in(initiator.take_data(START)) == ["verack"], "the ping waits for its deadline"
        assert responder.state is State.AWAIT_VERACK

    def test_responder_answers_only_after_validation(self) -> None:
        responder = make_channel(Role.RESPONDER)
        events = feed(responder, encode_message(make_version(9, protocol=0)))
        assert closing_rule(events) == "version-obsolete"
        assert responder.take_data(START) == b""

    def test_features_in_force_are_those_of_both(self) -> None:
        pair = Pair(
            make_channel(Role.INITIATOR, make_version(1, FeatureSet(0b1101, 0b1100))),
            make_channel(Role.RESPONDER, make_version(2, FeatureSet(0b1110, 0b0101))),
        )
        pair.pump()
        assert pair.initiator.in_force == pair.responder.in_force == FeatureSet(0b1100, 0b0100)
        assert pair.at_responder[0] == Opened(make_version(1, FeatureSet(0b1101, 0b1100)), FeatureSet(0b1100, 0b0100))

    @pytest.mark.parametrize("role", list(Role))
    def test_own_nonce_is_a_self_connection(self, role: Role) -> None:
        channel = make_channel(role, own=lambda nonce: nonce == 99)
        events = feed(channel, encode_message(make_version(99)))
        assert events == [Closed("self-connection")]
        assert "verack" not in types_in(channel.take_data(START))

    @pytest.mark.parametrize("role", list(Role))
    def test_it_does_not_wait_for_ever(self, role: Role) -> None:
        channel = make_channel(role)
        assert channel.next_deadline() == after(START, HANDSHAKE_TIMEOUT)
        channel.handle_deadline(Instant(START + HANDSHAKE_TIMEOUT - 1))
        assert channel.next_event(START) is None
        channel.handle_deadline(Instant(START + HANDSHAKE_TIMEOUT))
        assert channel.next_event(START) == Closed("handshake-timeout")
        assert channel.next_deadline() is None

    def test_drip_fed_handshake_has_the_same_deadline(self) -> None:
        channel = make_channel(Role.RESPONDER)
        for byte in encode_message(make_version(9))[:-1]:
            feed(channel, bytes([byte]))
        channel.handle_deadline(Instant(START + HANDSHAKE_TIMEOUT))
        assert channel.next_event(START) == Closed("handshake-timeout")


class TestEveryStateAndInput:
    @pytest.mark.parametrize("role", list(Role))
    @pytest.mark.parametrize("state", list(State))
    @pytest.mark.parametrize("message", SAMPLES, ids=lambda message: message.type_name)
    def test_message(self, state: State, role: Role, message: Message) -> None:
        channel = in_state(state, role)
        events = feed(channel, encode_message(message))
        match state, message:
            case State.CLOSED, _:
                assert events == [Closed("done")]
            case State.AWAIT_VERSION, Version():
                assert channel.state is State.AWAIT_VERACK
                assert events == []
            case State.AWAIT_VERACK, Verack():
                assert isinstance(events[0], Opened)
            case ((State.AWAIT_VERACK | State.OPEN), Version()):
                assert closing_rule(events) == "second-version"
            case ((State.AWAIT_VERSION | State.AWAIT_VERACK), _):
                assert closing_rule(events) == "wrong-phase"
            case State.OPEN, Verack():
                assert closing_rule(events) == "wrong-phase"
            case State.OPEN, Ping() if type(message) is Ping:
                assert events == []
                assert types_in(channel.take_data(START)) == ["pong"]
            case State.OPEN, Pong():
                assert events == []
            case State.OPEN, DandelionTx():
                assert events == [], "in clear it is as good as unknown"
            case State.OPEN, GetAddr() if role is Role.INITIATOR:
                assert events == [], "getaddr is answered only to the side that dialled"
            case _:
                assert events == [message]

    def test_every_message_is_sampled(self) -> None:
        assert {type(message) for message in SAMPLES} == {row.message for row in REGISTRY}

    @pytest.mark.parametrize("role", list(Role))
    @pytest.mark.parametrize("state", [State.AWAIT_VERSION, State.AWAIT_VERACK, State.OPEN])
    def test_unknown_types_are_ignored_in_any_cut(self, state: State, role: Role) -> None:
        channel = in_state(state, role)
        stream = encode_frame(type_field("newthing"), b"x" * 700)
        for byte in stream:
            assert feed(channel, bytes([byte])) == []
        assert channel.state is state
        assert channel.buffered == 0

    @pytest.mark.parametrize("state", [State.AWAIT_VERSION, State.AWAIT_VERACK, State.CLOSED])
    def test_sending_before_open_is_our_bug(self, state: State) -> None:
        channel = in_state(state, Role.RESPONDER)
        with pytest.raises(BugError):
            channel.send(Inv(()))
        with pytest.raises(BugError):
            channel.send_frame(b"")

    @pytest.mark.parametrize("state", list(State))
    def test_end_of_stream(self, state: State) -> None:
        channel = in_state(state, Role.RESPONDER)
        channel.receive_eof()
        expected = "done" if state is State.CLOSED else "peer-closed"
        assert channel.next_event(START) == Closed(expected)
        assert channel.next_event(START) is None


class TestFrameLimits:
    @pytest.mark.parametrize("row", REGISTRY, ids=lambda row: row.name)
    def test_oversized_is_refused_by_the_header_alone(self, row: object) -> None:
        field = FIELD_OF[row.message]  # type: ignore[attr-defined]
        limit = row.size_max  # type: ignore[attr-defined]
        if row.message is DandelionTx:  # type: ignore[attr-defined]
            return  # in clear it is as good as unknown
        if row.message in (Version, Verack):  # type: ignore[attr-defined]
            channel = in_state(State.AWAIT_VERSION if row.message is Version else State.AWAIT_VERACK, Role.RESPONDER)  # type: ignore[attr-defined]
            limit = min(limit, PRE_HANDSHAKE_BYTES)
        else:
            channel = in_state(State.OPEN, Role.RESPONDER)
        header = (limit + 1).to_bytes(4, "little") + field + bytes(4)
        assert closing_rule(feed(channel, header)) == "frame-oversized"
        assert channel.buffered == 0

    @pytest.mark.parametrize("row", [row for row in REGISTRY if row.size_max > 8], ids=lambda row: row.name)
    def test_a_frame_at_its_limit_is_waited_for(self, row: object) -> None:
        if row.message is Version:  # type: ignore[attr-defined]
            channel = in_state(State.AWAIT_VERSION, Role.RESPONDER)
        else:
            channel = in_state(State.OPEN, Role.RESPONDER)
        header = row.size_max.to_bytes(4, "little") + FIELD_OF[row.message] + bytes(4)  # type: ignore[attr-defined]
        assert feed(channel, header) == []

    def test_unknown_types_have_a_limit_too(self) -> None:
        channel = in_state(State.OPEN, Role.RESPONDER)
        header = (4_000_001).to_bytes(4, "little") + type_field("newthing") + bytes(4)
        assert closing_rule(feed(channel, header)) == "frame-oversized"
        channel = in_state(State.AWAIT_VERSION, Role.RESPONDER)
        header = (PRE_HANDSHAKE_BYTES + 1).to_bytes(4, "little") + type_field("newthing") + bytes(4)
        assert closing_rule(feed(channel, header)) == "frame-oversized"

    @pytest.mark.parametrize(
        ("field", "rule"),
        [
            (b"\x01nv" + bytes(9), "type-unprintable"),
            (bytes(12), "type-unprintable"),
            (b"in v" + bytes(8), "type-unprintable"),
            (b"inv\0inv" + bytes(5), "type-after-nul"),
            (b"\0" + b"inv" + bytes(8), "type-after-nul"),
            (b"in\xffv" + bytes(8), "type-unprintable"),
        ],
    )
    def test_type_field(self, field: bytes, rule: str) -> None:
        for state in (State.AWAIT_VERSION, State.AWAIT_VERACK, State.OPEN):
            channel = in_state(state, Role.RESPONDER)
            assert closing_rule(feed(channel, bytes(4) + field + bytes(4))) == rule


class TestFaults:
    def bad_ping(self) -> bytes:
        frame = bytearray(encode_message(Ping(1)))
        frame[16] ^= 1
        return bytes(frame)

    def test_malformed_messages_are_dropped_until_the_budget_is_spent(self) -> None:
        channel = in_state(State.OPEN, Role.RESPONDER)
        for _ in range(FAULT_BUDGET // FAULT_MALFORMED - 1):
            assert feed(channel, self.bad_ping()) == [MessageFault("ping", "checksum-wrong")]
        assert feed(channel, self.bad_ping()) == [Closed("fault-budget", "checksum-wrong", fault=True)]

    def test_faults_are_forgiven(self) -> None:
        channel = in_state(State.OPEN, Role.RESPONDER)
        now = START
        for _ in range(20):
            assert feed(channel, self.bad_ping(), now) == [MessageFault("ping", "checksum-wrong")]
            now = Instant(now + FAULT_MALFORMED * FAULT_DECAY)
        assert channel.fault_points(now) == 0

    def test_good_messages_before_a_fault_are_handed_out_first(self) -> None:
        channel = in_state(State.OPEN, Role.RESPONDER)
        events = feed(channel, encode_message(Inv(())) + encode_message(Verack()) + encode_message(Inv(())))
        assert events == [Inv(()), Closed("wrong-phase", "verack open", fault=True)]

    def test_undecodable_payload(self) -> None:
        channel = in_state(State.OPEN, Role.RESPONDER)
        assert feed(channel, encode_frame(type_field("inv"), b"\x02" + bytes(36))) == [
            MessageFault("inv", "count-exceeds-payload")
        ]

    def test_the_owner_charges_the_same_budget(self) -> None:
        channel = in_state(State.OPEN, Role.RESPONDER)
        channel.charge(FAULT_BUDGET - FAULT_MALFORMED, "block-unsolicited", START)
        assert channel.next_event(START) is None
        assert closing_rule(feed(channel, self.bad_ping())) == "fault-budget"

    def test_tokens_run_out_and_come_back(self) -> None:
        channel = in_state(State.OPEN, Role.RESPONDER)
        frame = encode_message(NotFound(()))
        feed(channel, frame * (TOKENS_BURST - 100))
        assert channel.throttle(START) == 0
        feed(channel, frame * 198)  # version and verack cost one each
        wait = channel.throttle(START)
        assert wait == seconds(0.1) + TOKENS_REST
        assert 0 < channel.throttle(Instant(START + wait - 1)) <= 1
        assert channel.throttle(after(START, wait)) == 0


class TestKeepalive:
    def test_ping_pong_and_round_trip(self) -> None:
        pair = opened_pair()
        assert pair.initiator.next_deadline() == START
        pair.initiator.handle_deadline(START)
        pair.now = after(START, seconds(0.25))
        pair.pump()
        assert pair.initiator.round_trip == seconds(0.25)
        due = pair.initiator.next_deadline()
        assert due is not None
        assert PING_INTERVAL - PING_SPREAD <= due - START <= PING_INTERVAL + PING_SPREAD

    def test_who_does_what_he_was_asked_for_is_there(self) -> None:
        channel = in_state(State.OPEN, Role.RESPONDER)
        channel.handle_deadline(START)
        half = after(START, Duration(PING_TIMEOUT // 2))
        channel.alive(half)
        assert channel.next_deadline() == after(half, PING_TIMEOUT)
        channel.handle_deadline(after(START, PING_TIMEOUT))
        assert not channel.is_closed
        channel.handle_deadline(after(half, PING_TIMEOUT))
        assert channel.next_event(half) == Closed("ping-timeout")

    def test_an_answer_that_is_not_looked_at_is_not_late(self) -> None:
        channel = in_state(State.OPEN, Role.RESPONDER)
        channel.handle_deadline(START)
        begun, ended = after(START, seconds(100)), after(START, seconds(5_000))
        channel.rest(begun, resting=True)
        channel.rest(after(begun, seconds(1)), resting=True)
        assert channel.next_deadline() is None
        channel.handle_deadline(ended)
        assert not channel.is_closed
        channel.rest(ended, resting=False)
        assert channel.next_deadline() == after(START, Duration(PING_TIMEOUT + seconds(4_900)))

    def test_the_moments_of_pings_are_drawn(self) -> None:
        gaps = []
        keepalive = Keepalive(START, Chance.from_seed(1))
        for _ in range(500):
            due = keepalive.next_deadline(START)
            assert due is not None
            keepalive.sent(7, due)
            keepalive.pong(7, after(due, seconds(1)))
            gaps.append((keepalive.next_deadline(START) or due) - due)
        assert PING_INTERVAL - PING_SPREAD <= min(gaps) < PING_INTERVAL - PING_SPREAD + seconds(1)
        assert PING_INTERVAL + PING_SPREAD - seconds(1) < max(gaps) <= PING_INTERVAL + PING_SPREAD
        assert sum(gaps) / 500 == pytest.approx(PING_INTERVAL, rel=0.02)

    def test_silence_ends_the_link(self) -> None:
        channel = in_state(State.OPEN, Role.RESPONDER)
        channel.handle_deadline(START)
        assert channel.next_deadline() == after(START, PING_TIMEOUT)
        feed(channel, encode_message(Pong(123456)))
        channel.handle_deadline(after(START, PING_TIMEOUT))
        assert channel.next_event(START) == Closed("ping-timeout")


@given(
    messages=st.lists(st.sampled_from([m for m in SAMPLES if not isinstance(m, Version | Verack)]), max_size=8),
    cuts=st.lists(st.integers(1, 90), min_size=1, max_size=40),
)
def test_any_cut_of_the_stream_gives_the_same_events(messages: list[Message], cuts: list[int]) -> None:
    stream = encode_message(make_version(9)) + encode_message(Verack())
    stream += b"".join(encode_message(message) for message in messages) + encode_message(Verack())
    whole = feed(make_channel(Role.RESPONDER), stream)
    channel = make_channel(Role.RESPONDER)
    events: list[object] = []
    at = 0
    for step in itertools.cycle(cuts):
        events.extend(feed(channel, stream[at : at + step]))
        at += step
        if at >= len(stream):
            break
    assert events == whole


@given(st.binary(max_size=400))
def test_no_bytes_raise(data: bytes) -> None:
    for state in (State.AWAIT_VERSION, State.AWAIT_VERACK, State.OPEN):
        channel = in_state(state, Role.RESPONDER)
        feed(channel, data)
        assert channel.buffered <= len(data)


@pytest.mark.parametrize("step", [1, 7, 20, 21, 1000])
def test_a_pair_opens_in_any_cut(step: int) -> None:
    pair = opened_pair(step)
    assert [type(event) for event in pair.at_initiator + pair.at_responder] == [Opened, Opened]


def test_drain_after_close_is_quiet() -> None:
    channel = in_state(State.OPEN, Role.RESPONDER)
    channel.close("done")
    events: list[object] = []
    drain(channel, events, START)  # type: ignore[arg-type]
    assert events == [Closed("done")]


def quiet_pair() -> Pair:
    made = Channel(Role.INITIATOR, make_version(1), lambda nonce: False, Chance.from_seed(1), START, quiet=True)
    pair = Pair(initiator=made)
    pair.pump()
    return pair


def test_a_quiet_link_says_nothing_by_itself() -> None:
    pair = quiet_pair()
    assert [type(event) for event in pair.at_initiator + pair.at_responder] == [Opened, Opened]
    assert pair.initiator.next_deadline() is None
    before = pair.initiator.bytes_out
    pair.responder.handle_deadline(START)
    data = pair.responder.take_data(START)
    assert data, "the other side pings"
    assert feed(pair.initiator, data) == []
    later = after(START, seconds(100_000))
    pair.initiator.handle_deadline(later)
    assert pair.initiator.take_data(later) == b""
    assert pair.initiator.bytes_out == before


def test_the_owner_of_a_quiet_link_may_ask_for_a_sign() -> None:
    pair = quiet_pair()
    pair.initiator.ping(START)
    assert feed(pair.initiator, encode_message(Pong(1))) == [], "a guess is no sign"
    pair.pump()
    assert pair.at_initiator[1:] == [Answered()]
    assert pair.initiator.next_deadline() is None, "and none follows"
    with pytest.raises(BugError):
        in_state(State.OPEN, Role.INITIATOR).ping(START)
    with pytest.raises(BugError):
        Channel(Role.INITIATOR, make_version(1), lambda nonce: False, Chance.from_seed(1), START, quiet=True).ping(
            START
        )
