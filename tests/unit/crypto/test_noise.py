"""Noise's states against published vectors; keys of low order; what a wrong byte does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from obscura.base.errors import BugError, PeerFault
from obscura.crypto import noise
from obscura.crypto.agreement import KeyPair
from obscura.crypto.cipher import CipherState
from obscura.crypto.noise import HandshakeState, Pattern
from obscura.crypto.symmetric import SymmetricState

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "noise.json").read_text())["vectors"]


class NoSecrets:
    def token(self, length: int) -> bytes:
        raise AssertionError(f"{length} random bytes are not needed")


class Fixed:
    def token(self, length: int) -> bytes:
        return b"\x2a" * length


def pattern_of(vector: dict[str, Any]) -> Pattern:
    found = getattr(noise, vector["protocol_name"].split("_")[1])
    assert isinstance(found, Pattern)
    return found


def side(vector: dict[str, Any], who: str) -> HandshakeState:
    symmetric = SymmetricState(vector["protocol_name"].encode())
    symmetric.mix_hash(bytes.fromhex(vector["prologue"]))

    def pair(name: str) -> KeyPair | None:
        text = vector.get(f"{who}_{name}")
        return None if text is None else KeyPair(bytes.fromhex(text))

    ephemeral = pair("ephemeral")
    remote = vector.get(f"{who}_remote_static")
    state = HandshakeState(
        symmetric,
        NoSecrets(),
        initiator=who == "init",
        static=pair("static"),
        remote_static=None if remote is None else bytes.fromhex(remote),
        ephemeral=None if ephemeral is None else lambda: (ephemeral, ephemeral.public),
    )
    state.mix_known(pattern_of(vector))
    return state


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["protocol_name"])
def test_published_vectors(vector: dict[str, Any]) -> None:
    pattern = pattern_of(vector)
    sides = side(vector, "init"), side(vector, "resp")
    messages = [(bytes.fromhex(m["payload"]), bytes.fromhex(m["ciphertext"])) for m in vector["messages"]]
    for at, (tokens, (payload, wire)) in enumerate(zip(pattern.messages, messages, strict=False)):
        if at == len(pattern.messages) - 1:
            # The hash that the file gives is that of the transcript before the last message of the handshake.
            assert {state.symmetric.hash.hex() for state in sides} == {vector["handshake_hash"]}
        writer, reader = sides[at % 2], sides[1 - at % 2]
        assert writer.write_message(tokens, payload) == wire
        assert reader.read_message(tokens, wire) == payload
    assert sides[0].symmetric.hash == sides[1].symmetric.hash
    ciphers = [state.symmetric.split() for state in sides]
    one_way = len(pattern.messages) == 1
    for at, (payload, wire) in enumerate(messages[len(pattern.messages) :], len(pattern.messages)):
        direction = 0 if one_way else at % 2
        assert ciphers[direction][direction].seal(payload) == wire
        assert ciphers[1 - direction][direction].open(wire) == payload


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["protocol_name"])
def test_every_byte_of_a_handshake_counts(vector: dict[str, Any]) -> None:
    """A flipped byte of any message either fails at once or leaves the two sides with different transcripts."""
    pattern = pattern_of(vector)
    for victim in range(len(pattern.messages)):
        wire = bytes.fromhex(vector["messages"][victim]["ciphertext"])
        for position in range(0, len(wire), 7):
            sides = side(vector, "init"), side(vector, "resp")
            try:
                for at, tokens in enumerate(pattern.messages):
                    payload = bytes.fromhex(vector["messages"][at]["payload"])
                    # A point of low order would draw a random secret; none of these flips makes one.
                    sent = sides[at % 2].write_message(tokens, payload)
                    if at == victim:
                        sent = sent[:position] + bytes([sent[position] ^ 1]) + sent[position + 1 :]
                    sides[1 - at % 2].read_message(tokens, sent)
            except PeerFault as fault:
                assert fault.rule == "tag-wrong"
            else:
                assert sides[0].symmetric.hash != sides[1].symmetric.hash


def test_a_short_message() -> None:
    vector = next(v for v in VECTORS if "_NX_" in v["protocol_name"])
    initiator, responder = side(vector, "init"), side(vector, "resp")
    first = initiator.write_message(("e",), b"")
    with pytest.raises(PeerFault, match="handshake-short"):
        side(vector, "resp").read_message(("e",), first[:-1])
    responder.read_message(("e",), first)
    second = responder.write_message(("e", "ee", "s", "es"), b"")
    for length in (31, 79, 80, 95):
        with pytest.raises(PeerFault, match="handshake-short"):
            other = side(vector, "init")
            other.write_message(("e",), b"")
            other.read_message(("e", "ee", "s", "es"), second[:length])


LOW_ORDER = [
    # The points of order 1, 2, 4 and 8 of curve 25519 and its twist, and their forms that are not reduced (RFC 7748,
    # section 6.1, and the list of small-order points at the author's page of the curve).
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


@pytest.mark.parametrize("point", LOW_ORDER)
def test_a_point_of_low_order_gives_a_random_secret(point: str) -> None:
    pair = KeyPair(bytes(range(32)))
    assert pair.agree(bytes.fromhex(point), Fixed()) == b"\x2a" * 32
    with pytest.raises(AssertionError):
        pair.agree(bytes.fromhex(point), NoSecrets())


def test_keys_do_not_show() -> None:
    vector = VECTORS[1]
    for thing in (side(vector, "init"), KeyPair(b"\x07" * 32), SymmetricState(b"name"), CipherState(b"\x07" * 32)):
        assert "07" not in repr(thing).replace("0x", "")
        assert "<" in repr(thing)


class TestCipher:
    def test_the_counter_does_not_wrap(self) -> None:
        last = (1 << 64) - 2
        cipher = CipherState(bytes(32), last)
        sealed = cipher.seal(b"last")
        with pytest.raises(BugError, match="used up"):
            cipher.seal(b"one more")
        other = CipherState(bytes(32), last)
        assert other.open(sealed) == b"last"
        with pytest.raises(BugError, match="used up"):
            other.open(sealed)

    def test_a_wrong_tag_does_not_count(self) -> None:
        one, other = CipherState(bytes(32)), CipherState(bytes(32))
        sealed = one.seal(b"text", b"with")
        for wrong, associated in ((sealed[:-1] + b"\0", b"with"), (sealed, b"without"), (sealed, None), (b"", b"with")):
            with pytest.raises(PeerFault, match="tag-wrong"):
                other.open(wrong, associated)
        assert other.counter == 0
        assert other.open(sealed, b"with") == b"text"

    def test_rekeying_is_one_way_and_both_follow(self) -> None:
        one, other, old = (CipherState(b"\x01" * 32) for _ in range(3))
        first = one.seal(b"before")
        assert other.open(first) == b"before"
        one.rekey()
        other.rekey()
        assert one.counter == other.counter == 0
        sealed = one.seal(b"after")
        assert other.open(sealed) == b"after"
        with pytest.raises(PeerFault):
            old.open(sealed)
        again = CipherState(b"\x01" * 32)
        again.rekey()
        with pytest.raises(PeerFault):
            again.open(first)

    def test_a_forgotten_key_is_gone(self) -> None:
        cipher = CipherState(bytes(32))
        cipher.forget()
        with pytest.raises(BugError, match="forgotten"):
            cipher.seal(b"")
        with pytest.raises(BugError, match="forgotten"):
            cipher.open(bytes(16))

    def test_a_key_of_another_length(self) -> None:
        with pytest.raises(BugError):
            CipherState(bytes(31))
