"""However its inputs come and are cut, a channel gives events only, holds little, and answers as one fed whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from choices import Choices
from pair import START, make_channel

import rig
from obscura.base.errors import BugError
from obscura.base.instant import Instant, after, seconds
from obscura.base.limits import FAULT_BUDGET, PING_TIMEOUT, PRE_HANDSHAKE_BYTES, TOKENS_BURST
from obscura.base.names import NULL_HASH
from obscura.channel import Channel, ChannelEvent, Closed, MessageFault, Opened, Role
from obscura.wire.blocks import GetHeaders
from obscura.wire.frame import HEADER_SIZE, checksum, encode_frame, type_field
from obscura.wire.greeting import Ping, Verack
from obscura.wire.registry import BY_TYPE_FIELD, FIELD_OF, REGISTRY, Message, encode_message

MAX_LEN = 2_048
REACHES = (
    "channel.budget.FaultBudget.charge",
    "channel.budget.TokenBucket.take",
    "channel.channel.Channel._refuse_or_ignore",
    "channel.channel.Channel._end",
    "channel.channel.Channel._greet",
    "channel.channel.Channel._open",
    "channel.channel.Channel._skip_payload",
    "channel.channel.Channel.charge",
    "channel.channel.Channel.handle_deadline",
    "channel.channel.Channel.send",
    "channel.channel.Channel.send_frame",
    "channel.channel.Channel.throttle",
    "channel.keepalive.Keepalive.ping_due",
    "channel.keepalive.Keepalive.pong",
    "channel.keepalive.Keepalive.timed_out",
    "wire.blocks._Locating.from_payload",
    "wire.gossip.Addr.from_payload",
)
OWN_NONCE = 99
RAW, FRAME, BAD_FRAME, UNKNOWN, OPEN, TIME, DEADLINE, EOF, SEND, CHARGE, CLOSE = range(11)
LARGEST = max(row.size_max for row in REGISTRY)
SPANS_S = (0, 0.001, 6, 30, 120, 1_200)


@dataclass
class Line:
    """A channel and all that came out of it. The stream between two other inputs is fed in pieces of ``step``."""

    channel: Channel
    step: int
    events: list[ChannelEvent] = field(default_factory=list)
    out: bytes = b""

    def feed(self, data: bytes, now: Instant) -> None:
        for at in range(0, len(data), self.step):
            self.channel.receive_data(data[at : at + self.step], now)
            self.pull(now)

    def pull(self, now: Instant) -> None:
        channel = self.channel
        while (event := channel.next_event(now)) is not None:
            assert isinstance(event, Opened | MessageFault | Closed | Message), "nothing else comes out"
            assert not (self.events and isinstance(self.events[-1], Closed)), "nothing follows the end"
            self.events.append(event)
        opened = any(isinstance(one, Opened) for one in self.events)
        held = HEADER_SIZE + (LARGEST if opened else PRE_HANDSHAKE_BYTES)
        assert channel.buffered < held, "at most one unfinished frame is held"
        assert not (channel.is_closed and channel.buffered), "an ended link holds nothing"
        assert channel.is_closed or channel.fault_points(now) < FAULT_BUDGET
        assert channel.is_closed == (channel.next_deadline() is None)
        assert channel.throttle(now) >= 0
        self.out += channel.take_data(now)
        assert channel.queued == 0


def run(data: bytes) -> None:
    """The first two bytes choose the role and the pieces; then inputs, one after the other."""
    choices = Choices(data)
    role = choices.pick(list(Role))
    step = choices.byte() + 1
    lines = [Line(make_channel(role, own=lambda nonce: nonce == OWN_NONCE), width) for width in (step, 1 << 30)]
    now, stream = START, b""
    while choices.more:
        what = choices.below(11)
        match what:
            case x if x == RAW:
                stream += choices.piece()
            case x if x in (FRAME, BAD_FRAME):
                row = choices.pick(REGISTRY)
                frame = encode_frame(FIELD_OF[row.message], choices.piece())
                # A fuzzer cannot guess a checksum; it says only whether it is right.
                stream += frame if what == FRAME else frame[:16] + bytes([frame[16] ^ 1]) + frame[17:]
            case x if x == UNKNOWN:
                size = choices.below(1 << 16)
                stream += size.to_bytes(4, "little") + type_field("news") + bytes(4) + bytes(min(size, 2_000))
            case x if x == OPEN:
                stream += GREETING
            case _:
                other = choices.byte()
                for line in lines:
                    line.feed(stream, now)
                stream = b""
                if what == TIME:
                    now = after(now, seconds(SPANS_S[other % len(SPANS_S)]))
                for line in lines:
                    disturb(line, what, other, now)
                    line.pull(now)
    for line in lines:
        line.feed(stream, now)
    one, whole = lines
    assert one.events == whole.events, "cuts mean nothing"
    assert one.out == whole.out
    check_stream(one.out)
    if not one.channel.is_closed:
        one.channel.close("done")
        one.pull(now)
        assert one.events[-1] == Closed("done")
    assert one.channel.next_event(now) is None


def disturb(line: Line, what: int, other: int, now: Instant) -> None:
    """An input that is not the stream's."""
    channel = line.channel
    match what:
        case x if x == DEADLINE:
            channel.handle_deadline(now)
        case x if x == EOF:
            channel.receive_eof()
        case x if x == SEND:
            opened = any(isinstance(one, Opened) for one in line.events) and not channel.is_closed
            try:
                channel.send(GetHeaders(1, (), NULL_HASH))
                channel.send_frame(encode_message(Ping(1)))
            except BugError:
                assert not opened, "an open link takes messages"
            else:
                assert opened, "another one does not"
        case x if x == CHARGE:
            channel.charge(other, "a-rule", now)
            channel.spend(other * TOKENS_BURST // 100, now)
        case x if x == CLOSE:
            channel.close("a-rule", "why", fault=bool(other & 1))


def check_stream(data: bytes) -> None:
    """What a channel writes is whole frames that any receiver takes."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        payload = data[at + HEADER_SIZE : at + HEADER_SIZE + size]
        assert len(payload) == size
        assert data[at + 16 : at + 20] == checksum(payload)
        BY_TYPE_FIELD[data[at + 4 : at + 16]].message.from_payload(payload)
        at += HEADER_SIZE + size


def _greeting() -> bytes:
    for stream in rig.protocol_blocks("streams"):
        if stream["name"] == "version twice":
            whole = bytes.fromhex(stream["stream"])
            return whole[: len(whole) // 2] + encode_message(Verack())
    raise LookupError


GREETING = _greeting()


def seeds() -> Iterator[bytes]:
    """The protocol's streams on both kinds of link, and each message with its vector's payload."""
    for role in (0, 1):
        for stream in rig.protocol_blocks("streams"):
            opening = bytes([OPEN]) if stream["phase"] == "open" else b""
            raw = bytes.fromhex(stream["stream"])
            parts = b"".join(bytes([RAW]) + rig.pack(raw[at : at + 255]) for at in range(0, len(raw), 255))
            yield bytes([role, 0]) + opening + parts + bytes([DEADLINE, 0])
        numbers = {row.name: number for number, row in enumerate(REGISTRY)}
        for vector in rig.protocol_blocks("vectors"):
            payload = bytes.fromhex(vector["payload"])
            if len(payload) < 256:
                for kind in (FRAME, BAD_FRAME):
                    yield bytes([role, 6, OPEN, kind, numbers[vector["type"]]]) + rig.pack(payload)
        ping = bytes([OPEN, DEADLINE, 0, TIME, 2, TIME, 5, DEADLINE, 0, TIME, 5, TIME, 5, DEADLINE, 0])
        yield bytes([role, 3]) + ping
        yield bytes([role, 3, OPEN, SEND, 0, CHARGE, 60, CHARGE, 60, SEND, 0, EOF, 0])
        yield bytes([role, 3, OPEN, UNKNOWN, 7, 0, TIME, 1, CLOSE, 1])
    assert seconds(max(SPANS_S)) >= PING_TIMEOUT, "the story above waits long enough"
