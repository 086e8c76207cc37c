"""The knock of a keyed listener."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from veil import START, STATIC, SeededKeys

from obscura.base.errors import BugError, PeerFault
from obscura.base.limits import GARBAGE_BYTES
from obscura.channel.access import PAD_BYTES, SecretAccess, access_garbage
from obscura.channel.handshake import InitiatorHandshake, ResponderHandshake

SECRET = hashlib.sha256(b"access").digest()
SHOWN = hashlib.sha256(b"shown").digest()
HOUR = 490_000


def test_the_form() -> None:
    garbage = access_garbage(SECRET, SHOWN, b"pad", HOUR)
    mark = hmac.digest(SECRET, b"mark" + SHOWN, "sha256")[:16]
    mac = hmac.digest(SECRET, b"mac" + SHOWN + b"pad" + mark + HOUR.to_bytes(8, "little"), "sha256")[:16]
    assert garbage == b"pad" + mark + mac


@pytest.mark.parametrize("length", [0, 1, 500, PAD_BYTES])
def test_pads_of_any_length(length: int) -> None:
    garbage = access_garbage(SECRET, SHOWN, bytes(length), HOUR)
    assert len(garbage) == length + 32 <= GARBAGE_BYTES
    assert SecretAccess(SECRET, HOUR).admits(SHOWN, garbage)


def test_a_pad_that_is_too_long_is_a_defect() -> None:
    with pytest.raises(BugError):
        access_garbage(SECRET, SHOWN, bytes(PAD_BYTES + 1), HOUR)


@pytest.mark.parametrize(("clock", "admitted"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_clocks_an_hour_apart(clock: int, admitted: bool) -> None:
    garbage = access_garbage(SECRET, SHOWN, b"pad", HOUR)
    assert SecretAccess(SECRET, HOUR + clock).admits(SHOWN, garbage) is admitted


def test_the_first_hours_of_time() -> None:
    assert SecretAccess(SECRET, 0).admits(SHOWN, access_garbage(SECRET, SHOWN, b"", 0))


def test_in_any_cut_and_only_when_whole() -> None:
    garbage = access_garbage(SECRET, SHOWN, b"p" * 50, HOUR)
    for step in (1, 7, 16, 33):
        access = SecretAccess(SECRET, HOUR)
        got = bytearray()
        for at in range(0, len(garbage), step):
            got += garbage[at : at + step]
            assert access.admits(SHOWN, got) is (len(got) == len(garbage))


def test_every_flipped_byte_is_refused() -> None:
    garbage = access_garbage(SECRET, SHOWN, b"p" * 20, HOUR)
    for position in range(len(garbage)):
        wrong = bytearray(garbage)
        wrong[position] ^= 0x10
        assert not SecretAccess(SECRET, HOUR).admits(SHOWN, wrong)
    assert not SecretAccess(SECRET, HOUR).admits(SECRET, garbage), "another ephemeral"
    once = SecretAccess(SECRET, HOUR)
    assert not once.admits(SHOWN, garbage[:-1] + bytes([garbage[-1] ^ 1]))
    assert not once.admits(SHOWN, garbage), "one whole knock is judged"
    assert not SecretAccess(SHOWN, HOUR).admits(SHOWN, garbage), "another secret"


def test_a_listener_answers_only_who_knocks() -> None:
    keys = SeededKeys(4)
    pair = keys.hidden()
    knock = access_garbage(SECRET, pair.hidden, b"pad", HOUR)
    for garbage, answers in ((knock, True), (bytes(len(knock)), False), (b"", False)):
        initiator = InitiatorHandshake(keys, START, garbage, pair=pair)
        responder = ResponderHandshake(SeededKeys(5), START, STATIC, b"", access=SecretAccess(SECRET, HOUR))
        first = initiator.take_data()
        for at in range(len(first)):
            assert not responder.may_answer
            responder.receive(first[at : at + 1])
        assert responder.may_answer is answers
        if answers:
            responder.answer()
            assert initiator.receive(responder.take_data()) is not None
            assert responder.receive(initiator.take_data()) is not None
        else:
            with pytest.raises(BugError):
                responder.answer()
            with pytest.raises(PeerFault, match="knock-missing"):
                responder.receive(bytes(GARBAGE_BYTES + 1))
            assert responder.take_data() == b""


def test_what_follows_a_knock_does_not_matter() -> None:
    """The prefix has earned an answer, though the stream is too long to become a link."""
    keys = SeededKeys(4)
    pair = keys.hidden()
    knock = pair.hidden + access_garbage(SECRET, pair.hidden, b"pad", HOUR)
    for step in (1, 50, 1 << 20):
        responder = ResponderHandshake(SeededKeys(5), START, STATIC, b"", access=SecretAccess(SECRET, HOUR))
        stream = knock + bytes(9_000)
        for at in range(0, len(stream), step):
            responder.receive(stream[at : at + step])
        assert responder.may_answer
