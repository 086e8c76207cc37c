"""Whatever the payload, a codec gives a message that encodes to the same bytes, or a PeerFault, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import other_wire
from choices import Choices
from vector_fields import fields_of

import rig
from obscura.base.errors import Malformed, PeerFault, Violation
from obscura.wire.frame import HEADER_SIZE, TYPE_SIZE, check_type_field, parse_header
from obscura.wire.gossip import Addr
from obscura.wire.greeting import Ping
from obscura.wire.registry import BY_TYPE_FIELD, FIELD_OF, REGISTRY, encode_message

MAX_LEN = 4_096
REACHES = (
    "base.cursor.Reader.compact_size",
    "base.cursor.Reader.finish",
    "base.cursor.Reader.u16_be",
    "wire.address.decode_entry",
    "wire.address.encode_entry",
    "wire.blocks.Headers.from_payload",
    "wire.blocks.Headers.to_payload",
    "wire.frame.check_type_field",
    "wire.frame.encode_header",
    "wire.greeting.Version.to_payload",
    "wire.inventory.decode_items",
    "wire.inventory.decode_locator",
    "wire.inventory.encode_items",
    "wire.inventory.encode_locator",
)


def run(data: bytes) -> None:
    """The first byte chooses a message, or a frame's header; the rest is its bytes."""
    choices = Choices(data)
    number = choices.below(len(REGISTRY) + 1)
    if number == len(REGISTRY):
        header(choices.rest())
        return
    row = REGISTRY[number]
    payload = choices.rest()
    try:
        message = row.message.from_payload(payload)
    except PeerFault as fault:
        assert isinstance(fault, Malformed | Violation), "a codec says how bad it is"
        assert fault.rule, "and which rule it was"
        return
    again = message.to_payload()
    if isinstance(message, Addr):
        # Entries of networks that we do not know are passed over, so what is read may be less than what was sent.
        assert Addr.from_payload(again) == message
        assert len(again) <= len(payload)
    else:
        assert again == payload, "what is accepted has one form"
    assert other_wire.payload(row.name, fields_of(message)) == again, "another encoder agrees"
    repr(message)
    if len(payload) <= row.size_max:
        frame = encode_message(message)
        size, field, check = parse_header(frame, 0)
        assert (size, field) == (len(again), FIELD_OF[row.message])
        assert frame[HEADER_SIZE:] == again
        assert other_wire.frame(row.name, again) == frame
        assert check == frame[16:20]


def header(data: bytes) -> None:
    """A frame's header: parsed whole, its type judged by the written rule."""
    if len(data) < HEADER_SIZE:
        return
    size, field, check = parse_header(data, 0)
    assert size.to_bytes(4, "little") + field + check == data[:HEADER_SIZE]
    name = field.split(b"\0")[0]
    legal = 0 < len(name) <= TYPE_SIZE and all(0x21 <= one <= 0x7E for one in name) and not any(field[len(name) :])
    try:
        check_type_field(field)
    except Violation as fault:
        assert not legal, fault.rule
    else:
        assert legal
    assert field not in BY_TYPE_FIELD or legal


def seeds() -> Iterator[bytes]:
    """Every payload and every frame of the protocol's vectors."""
    numbers = {row.name: number for number, row in enumerate(REGISTRY)}
    for vector in rig.protocol_blocks("vectors"):
        payload = bytes.fromhex(vector["payload"])
        if len(payload) < MAX_LEN:
            yield bytes([numbers[vector["type"]]]) + payload
    for stream in rig.protocol_blocks("streams"):
        yield bytes([len(REGISTRY)]) + bytes.fromhex(stream["stream"])[:HEADER_SIZE]
    yield bytes([numbers["ping"]]) + Ping(1).to_payload()
