"""Links with keys: veiled, literal and plain, who may speak to whom, and what a failure shows."""

from __future__ import annotations

import hashlib

import pytest
from pair import START, make_version
from veil import PRIVATE, STATIC, SecurePair, secure_channel

from obscura.base.errors import BugError
from obscura.base.limits import GARBAGE_BYTES
from obscura.channel import Channel, Closed, Opened, Role
from obscura.crypto.agreement import KeyPair
from obscura.wire.blocks import Block, Inv, Tx
from obscura.wire.features import NO_FEATURES, FeatureSet
from obscura.wire.registry import encode_message
from obscura.wire.target import Mode

VEILED, LITERAL, PLAIN = Mode.VEILED, Mode.LITERAL, Mode.PLAIN


def pair(dial: Mode, accept: Mode, step: int = 1 << 20, **options: FeatureSet) -> SecurePair:
    return SecurePair(
        secure_channel(Role.INITIATOR, dial, features=options.get("ours", PRIVATE)),
        secure_channel(Role.RESPONDER, accept, features=options.get("theirs", PRIVATE)),
        step,
    )


def names(both: SecurePair) -> set[str]:
    return {channel.transport.name for channel in both.sides.values()}


@pytest.mark.parametrize(
    ("dial", "accept"),
    [
        (VEILED, VEILED),
        (VEILED, LITERAL),
        (VEILED, PLAIN),
        (LITERAL, LITERAL),
        (LITERAL, PLAIN),
        (PLAIN, LITERAL),
        (PLAIN, PLAIN),
    ],
)
@pytest.mark.parametrize("step", [1, 13, 1 << 20])
def test_links_that_must_work(dial: Mode, accept: Mode, step: int) -> None:
    both = pair(dial, accept, step)
    both.pump()
    one, other = (both.sides[role] for role in Role)
    assert all(isinstance(told[0], Opened) and len(told) == 1 for told in both.told.values())
    assert one.transport.secured
    assert one.transport.session_id == other.transport.session_id != b""
    assert one.transport.responder == other.transport.responder == STATIC.public
    block = Block(bytes(range(250)) * 1_000)
    one.send(Tx(b"a transaction"))
    one.send(block)
    other.send(Inv(()))
    both.pump()
    assert both.told[Role.RESPONDER][1:] == [Tx(b"a transaction"), block]
    assert len(both.told[Role.INITIATOR]) == 2
    for wire in both.wire.values():
        assert b"inv\0" not in wire
        assert b"block\0" not in wire
        assert b"verack" not in wire, "verack goes inside the channel"
        assert (b"version" in wire) is (dial is not VEILED)
        assert (b"Obscura" in wire) is (dial is not VEILED)


def test_plain_without_keys_on_the_other_side() -> None:
    for ours, theirs in ((PRIVATE, NO_FEATURES), (NO_FEATURES, PRIVATE), (NO_FEATURES, NO_FEATURES)):
        both = pair(PLAIN, PLAIN, ours=ours, theirs=theirs)
        both.pump()
        assert names(both) == {"plain"}
        assert not both.sides[Role.INITIATOR].transport.secured
        assert all(isinstance(told[0], Opened) for told in both.told.values())
        assert b"verack" in both.wire[Role.INITIATOR]


@pytest.mark.parametrize("silent", list(Role))
def test_literal_never_goes_on_in_clear(silent: Role) -> None:
    features = {"ours": PRIVATE, "theirs": PRIVATE}
    features["ours" if silent is Role.INITIATOR else "theirs"] = NO_FEATURES
    both = pair(LITERAL, LITERAL, **features)
    both.pump()
    closed = both.told[Role.RESPONDER][-1]
    assert closed == Closed("privacy-features-missing", fault=True, silent=True)
    assert b"verack" not in both.wire[Role.INITIATOR] + both.wire[Role.RESPONDER]
    assert both.wire[Role.RESPONDER] == b"", "such a version is not even answered"


def test_a_bit_that_somebody_strips_breaks_the_link() -> None:
    """Both are literal; on the way the responder's version gets another harmless bit. The transcripts differ."""
    one, other = secure_channel(Role.INITIATOR, LITERAL), secure_channel(Role.RESPONDER, LITERAL)
    other.receive_data(one.take_data(START), START)
    assert other.next_event(START) is None
    clear = other.take_data(START)
    assert b"version" in clear
    changed = encode_message(make_version(2, FeatureSet(PRIVATE.features | 1, 0)))
    assert len(changed) == len(clear)
    one.receive_data(changed, START)
    assert one.next_event(START) is None
    other.receive_data(one.take_data(START), START)
    other.answer()
    one.receive_data(other.take_data(START) + bytes(5_000), START)
    closed = one.next_event(START)
    assert closed == Closed("terminator-missing", fault=True, silent=True)
    assert one.take_data(START) == b""


class TestTheDoor:
    def listener(self, mode: Mode = VEILED) -> Channel:
        return secure_channel(Role.RESPONDER, mode)

    @pytest.mark.parametrize("dial", [LITERAL, PLAIN])
    def test_a_clear_version_at_a_veiled_door(self, dial: Mode) -> None:
        """Silence: no byte, and only the moment decides when it ends."""
        both = pair(dial, VEILED)
        both.pump()
        assert both.told[Role.RESPONDER] == [Closed("clear-frame", fault=True, silent=True)]
        assert both.wire[Role.RESPONDER] == b""

    @pytest.mark.parametrize("length", range(2, 16))
    def test_it_waits_while_both_are_possible(self, length: int) -> None:
        frame = encode_message(make_version(1, PRIVATE))
        channel = self.listener()
        channel.receive_data(frame[:length], START)
        assert channel.transport.name == "unknown"
        assert channel.next_event(START) is None
        channel.receive_data(b"\1", START)
        assert channel.transport.name == "veiled"
        assert not channel.may_answer, "32 bytes have not come"
        channel.receive_data(b"\1" * (32 - length - 1), START)
        assert channel.may_answer

    def test_what_a_listener_answers(self) -> None:
        for stream in (
            b"GET / HTTP/1.1\r\nHost: example\r\n\r\n" + b"x" * 40,
            b"\x16\x03\x01" + b"\x55" * 60,
            bytes(64),
        ):
            channel = self.listener()
            channel.receive_data(stream, START)
            assert channel.next_event(START) is None
            assert channel.may_answer
            channel.answer()
            assert len(channel.take_data(START)) > 1_296
            channel.receive_data(b"\x99" * (GARBAGE_BYTES + 16), START)
            assert channel.next_event(START) == Closed("terminator-missing", fault=True, silent=True)
            assert channel.take_data(START) == b""

    def test_fewer_than_32_bytes_are_not_answered(self) -> None:
        channel = self.listener()
        channel.receive_data(b"\x16\x03\x01" + b"\x55" * 28, START)
        assert not channel.may_answer
        with pytest.raises(BugError):
            channel.answer()
        channel.receive_eof()
        assert channel.next_event(START) == Closed("peer-closed")


class TestTheInitiator:
    def test_the_pin(self) -> None:
        crook = KeyPair(hashlib.sha256(b"crook").digest())
        both = SecurePair(
            secure_channel(Role.INITIATOR, pin=STATIC.public), secure_channel(Role.RESPONDER, static=crook)
        )
        both.pump()
        assert both.told[Role.INITIATOR] == [Closed("key-changed", fault=True, silent=True)]
        assert both.told[Role.RESPONDER] == []
        assert len(both.wire[Role.INITIATOR]) == 32 + 30, "M1, and nothing else"

    def test_ourselves(self) -> None:
        both = SecurePair(secure_channel(Role.INITIATOR, own=(STATIC.public,)), secure_channel(Role.RESPONDER))
        both.pump()
        assert both.told[Role.INITIATOR] == [Closed("own-key", fault=True, silent=True)]

    def test_another_chain(self) -> None:
        both = SecurePair(secure_channel(Role.INITIATOR, genesis=b"\7" * 32), secure_channel(Role.RESPONDER))
        both.pump()
        assert both.told == {Role.INITIATOR: [], Role.RESPONDER: []}, "both wait for a terminator that does not come"
        assert not both.sides[Role.INITIATOR].transport.secured


def test_every_flipped_byte_of_a_record_goes_silent() -> None:
    for position in range(0, 60, 3):
        both = pair(VEILED, VEILED)
        both.pump()
        one, other = (both.sides[role] for role in Role)
        one.send(Tx(b"a transaction"))
        record = bytearray(one.take_data(START))
        record[position] ^= 0x20
        other.receive_data(bytes(record) + b"\xaa" * 70_000, START)
        assert other.next_event(START) == Closed("tag-wrong", fault=True, silent=True)
        assert other.take_data(START) == b""
        other.receive_data(bytes(100_000), START)
        assert other.next_event(START) is None
        assert other.buffered == 0


def test_large_and_many_frames_fill_records() -> None:
    both = pair(VEILED, VEILED)
    both.pump()
    one = both.sides[Role.INITIATOR]
    sent = [Tx(bytes([at % 251]) * (100 + at * 37 % 3_000)) for at in range(300)] + [Block(b"b" * 3_000_000)]
    for message in sent:
        one.send(message)
    both.pump()
    assert both.told[Role.RESPONDER][1:] == sent


def test_the_first_bytes_have_no_fixed_length() -> None:
    lengths = set()
    for seed in range(20):
        both = SecurePair(secure_channel(Role.INITIATOR, seed=seed), secure_channel(Role.RESPONDER, seed=seed))
        lengths.add(len(both.sides[Role.INITIATOR].take_data(START)))
    assert len(lengths) > 10
