"""Each role, in each state, given each input: one table of what must come of it, written out and wholly walked."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from pair import START, closing_rule, feed, make_channel, make_version

from obscura.base.errors import BugError
from obscura.base.instant import Instant, after
from obscura.base.limits import FAULT_BUDGET, FAULT_MALFORMED, HANDSHAKE_TIMEOUT, PING_TIMEOUT, PRE_HANDSHAKE_BYTES
from obscura.base.names import NULL_HASH
from obscura.channel import Channel, Closed, MessageFault, Opened, Role
from obscura.wire.blocks import Block, DandelionTx, GetBlocks, GetData, GetHeaders, Headers, Inv, NotFound, Tx
from obscura.wire.frame import encode_frame, type_field
from obscura.wire.gossip import Addr
from obscura.wire.greeting import GetAddr, Mempool, Ping, Pong, Verack
from obscura.wire.registry import FIELD_OF, REGISTRY, UNKNOWN_SIZE_MAX, Message, MessageClass, encode_message

STATES = ("await-version", "await-verack", "open", "closed")
MESSAGES: dict[str, Message] = {
    message.type_name: message
    for message in (
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
        Mempool(),
        GetData(()),
        NotFound(()),
        DandelionTx(b"t"),
    )
}
LIMITS = {row.name: row.size_max for row in REGISTRY}
OPTIONAL = {row.name for row in REGISTRY if row.message_class is MessageClass.OPTIONAL}
"""On these links, in clear and without bits, they are as good as unknown (tests/unit/channel/test_optional.py)."""


def in_state(state: str, role: Role) -> Channel:
    channel = make_channel(role)
    if state in ("await-verack", "open"):
        feed(channel, encode_message(make_version(9)))
    if state == "open":
        feed(channel, encode_message(Verack()))
    if state == "closed":
        channel.close("done")
        assert channel.next_event(START) == Closed("done")
    channel.take_data(START)
    assert channel.state.value == state
    return channel


# -- the rules, by (state, message): what a legal, whole message does


def whole(state: str, name: str, role: Role) -> str:
    if state == "closed":
        return "nothing"
    if name == "version":
        return "greeted" if state == "await-version" else "second-version"
    if name == "verack":
        return "opened" if state == "await-verack" else "wrong-phase"
    if state != "open":
        return "wrong-phase"
    if name in ("ping", "pong"):
        return "ponged" if name == "ping" else "nothing"
    if name in OPTIONAL:
        return "nothing"
    return "nothing" if name == "getaddr" and role is Role.INITIATOR else "received"


EVERY = [(state, role, name) for state in STATES for role in Role for name in MESSAGES]
IDS = [f"{state}-{role.value}-{name}" for state, role, name in EVERY]


def test_the_table_covers_the_registry() -> None:
    assert set(MESSAGES) == set(LIMITS)


@pytest.mark.parametrize(("state", "role", "name"), EVERY, ids=IDS)
def test_whole_message(state: str, role: Role, name: str) -> None:
    channel = in_state(state, role)
    message = MESSAGES[name]
    events = feed(channel, encode_message(message))
    out = channel.take_data(START)
    version = encode_message(make_version(1 if role is Role.INITIATOR else 2))
    match expected := whole(state, name, role):
        case "nothing":
            assert (events, out, channel.state.value) == ([], b"", state)
        case "greeted":
            greeting = encode_message(Verack()) if role is Role.INITIATOR else version + encode_message(Verack())
            assert (events, out, channel.state.value) == ([], greeting, "await-verack")
        case "opened":
            assert events == [Opened(make_version(9), channel.in_force)]
            assert (out, channel.state.value) == (b"", "open")
        case "ponged":
            assert (events, out, channel.state.value) == ([], encode_message(Pong(5)), "open")
        case "received":
            assert events == [message]
            assert (out, channel.state.value) == (b"", "open")
        case _:
            assert (closing_rule(events), len(events), out) == (expected, 1, b"")
            assert events[0].fault  # type: ignore[union-attr]
    # Whatever it was, an ended link stays ended and silent.
    if channel.is_closed:
        assert feed(channel, encode_message(message)) == []
        assert channel.take_data(START) == b""


@pytest.mark.parametrize(("state", "role", "name"), EVERY, ids=IDS)
def test_oversized_is_judged_after_the_phase_and_before_the_payload(state: str, role: Role, name: str) -> None:
    channel = in_state(state, role)
    limit = LIMITS[name] if state == "open" else min(LIMITS[name], PRE_HANDSHAKE_BYTES)
    header = (limit + 1).to_bytes(4, "little") + FIELD_OF[type(MESSAGES[name])] + bytes(4)
    events = feed(channel, header)
    if state == "closed":
        assert events == []
        return
    phase = whole(state, name, role)
    expected: str | None = phase if phase in ("wrong-phase", "second-version") else "frame-oversized"
    if state == "open" and name in OPTIONAL:
        expected = None
    assert closing_rule(events) == expected
    assert channel.buffered == 0


@pytest.mark.parametrize(("state", "role", "name"), EVERY, ids=IDS)
def test_the_largest_is_waited_for(state: str, role: Role, name: str) -> None:
    """With its header and all but one of its bytes there is neither an event nor a fault."""
    channel = in_state(state, role)
    legal = whole(state, name, role) not in ("wrong-phase", "second-version")
    limit = LIMITS[name] if state == "open" else min(LIMITS[name], PRE_HANDSHAKE_BYTES)
    if not limit or not legal or state == "closed" or (state == "open" and name in OPTIONAL):
        return
    header = limit.to_bytes(4, "little") + FIELD_OF[type(MESSAGES[name])] + bytes(4)
    assert feed(channel, header + bytes(limit - 1)) == []
    assert channel.buffered == len(header) + limit - 1
    events = feed(channel, b"\0")
    assert isinstance(events[0], MessageFault), "the checksum of zeros is not zeros"
    assert channel.buffered == 0


@pytest.mark.parametrize(("state", "role", "name"), EVERY, ids=IDS)
def test_bad_checksum(state: str, role: Role, name: str) -> None:
    channel = in_state(state, role)
    frame = bytearray(encode_message(MESSAGES[name]))
    frame[16] ^= 1
    events = feed(channel, bytes(frame))
    expected = whole(state, name, role)
    if state == "closed" or (state == "open" and name in OPTIONAL):
        assert events == []
    elif expected in ("wrong-phase", "second-version"):
        assert closing_rule(events) == expected, "the phase is judged first"
    else:
        assert events == [MessageFault(name, "checksum-wrong")]
        assert channel.state.value == state
        assert channel.fault_points(START) == FAULT_MALFORMED


@dataclass(frozen=True)
class Outcome:
    """``rule`` ends the link; else it stays in its state, with what ``out`` says was written."""

    rule: str = ""
    fault: bool = False


OTHER: dict[str, dict[str, Outcome]] = {
    # input: state → outcome; the same for both roles, as the module says of itself
    "unknown": {state: Outcome() for state in STATES[:3]},
    "unknown too large": {state: Outcome("frame-oversized", True) for state in STATES[:3]},
    "type not printable": {state: Outcome("type-unprintable", True) for state in STATES[:3]},
    "bytes after the type": {state: Outcome("type-after-nul", True) for state in STATES[:3]},
    "eof": {state: Outcome("peer-closed") for state in STATES[:3]},
    "close": {state: Outcome("a-rule") for state in STATES[:3]},
    "charge all": {state: Outcome("fault-budget", True) for state in STATES[:3]},
    "charge a little": {state: Outcome() for state in STATES[:3]},
    "deadline early": {state: Outcome() for state in STATES[:3]},
    "deadline late": {
        "await-version": Outcome("handshake-timeout"),
        "await-verack": Outcome("handshake-timeout"),
        "open": Outcome(),
    },
    "ping unanswered": {
        "await-version": Outcome("handshake-timeout"),
        "await-verack": Outcome("handshake-timeout"),
        "open": Outcome("ping-timeout"),
    },
    "nothing": {state: Outcome() for state in STATES[:3]},
}


def disturb(channel: Channel, what: str, state: str) -> list[object]:
    now = START
    match what:
        case "unknown":
            return list(feed(channel, encode_frame(type_field("news"), bytes(PRE_HANDSHAKE_BYTES))))
        case "unknown too large":
            size = (UNKNOWN_SIZE_MAX if state == "open" else PRE_HANDSHAKE_BYTES) + 1
            return list(feed(channel, size.to_bytes(4, "little") + type_field("news") + bytes(4)))
        case "type not printable":
            return list(feed(channel, bytes(4) + b"in\x01" + bytes(13)))
        case "bytes after the type":
            return list(feed(channel, bytes(4) + b"inv\0x" + bytes(11)))
        case "eof":
            channel.receive_eof()
        case "close":
            channel.close("a-rule")
        case "charge all":
            channel.charge(FAULT_BUDGET, "a-rule", now)
        case "charge a little":
            channel.charge(FAULT_BUDGET - 1, "a-rule", now)
        case "deadline early":
            channel.handle_deadline(Instant(START - 1 if state == "open" else START + HANDSHAKE_TIMEOUT - 1))
        case "deadline late":
            channel.handle_deadline(after(START, HANDSHAKE_TIMEOUT))
        case "ping unanswered":
            channel.handle_deadline(START)
            channel.handle_deadline(after(START, PING_TIMEOUT))
        case "nothing":
            channel.receive_data(b"", now)
    return list(iter(lambda: channel.next_event(now), None))


@pytest.mark.parametrize("what", OTHER)
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("state", STATES)
def test_other_inputs(state: str, role: Role, what: str) -> None:
    channel = in_state(state, role)
    events = disturb(channel, what, state)
    if state == "closed":
        assert events == []
        assert channel.take_data(START) == b""
        assert channel.next_deadline() is None
        return
    outcome = OTHER[what][state]
    if outcome.rule:
        assert [(event.rule, event.fault) for event in events if isinstance(event, Closed)] == [
            (outcome.rule, outcome.fault)
        ]
        assert channel.is_closed
        assert channel.next_deadline() is None
        assert disturb(channel, what, state) == [], "the end is told once"
    else:
        assert events == []
        assert channel.state.value == state
        assert channel.next_deadline() is not None
        assert bool(channel.take_data(START)) == (what == "deadline late"), (
            "a ping that is due goes out, and nothing else"
        )


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("state", STATES)
def test_sending(state: str, role: Role, message: Message) -> None:
    channel = in_state(state, role)
    frame = encode_message(message)
    if state == "open":
        channel.send(message)
        assert channel.queued == len(frame)
        channel.send_frame(frame)
        assert channel.take_data(START) == frame * 2
        assert channel.queued == 0
        return
    with pytest.raises(BugError, match=state):
        channel.send(message)
    with pytest.raises(BugError, match=state):
        channel.send_frame(frame)
    assert channel.take_data(START) == b""
