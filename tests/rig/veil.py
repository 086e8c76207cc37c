"""Keys that repeat, and both sides of a handshake, for tests of the encrypted transport."""

from __future__ import annotations

import hashlib

import monocypher

from obscura.base.randomness import Chance
from obscura.channel.handshake import InitiatorHandshake, Mode, ResponderHandshake, Secured, prologue
from obscura.crypto.agreement import KeyPair
from obscura.crypto.elligator import HiddenPair
from obscura.crypto.kem import KemPair, encapsulate

GENESIS = hashlib.sha256(b"genesis").digest()
START = prologue(GENESIS, Mode.VEILED)
STATIC = KeyPair(hashlib.sha256(b"static").digest())


def hidden_from(seed: bytes) -> HiddenPair:
    hidden, private = monocypher.elligator_key_pair(hashlib.sha256(seed).digest())
    return HiddenPair(KeyPair(private), hidden)


class SeededKeys:
    """A key source under a seed. Only a KEM ciphertext cannot repeat, unless it is given."""

    def __init__(self, seed: int = 0, sealed: tuple[bytes, bytes] | None = None) -> None:
        self.chance = Chance.from_seed(seed)
        self.sealed = sealed
        self.random_secrets = 0

    def token(self, length: int) -> bytes:
        self.random_secrets += 1
        return self.chance.take_bytes(length)

    def hidden(self) -> HiddenPair:
        return hidden_from(self.chance.take_bytes(32))

    def kem(self) -> KemPair:
        return KemPair(self.chance.take_bytes(64))

    def encapsulate(self, encapsulation_key: bytes) -> tuple[bytes, bytes]:
        return self.sealed or encapsulate(encapsulation_key)


def both(
    seed: int = 0, garbage: tuple[bytes, bytes] = (b"i" * 100, b"r" * 200), start: bytes = START
) -> tuple[InitiatorHandshake, ResponderHandshake]:
    return (
        InitiatorHandshake(SeededKeys(2 * seed), start, garbage[0]),
        ResponderHandshake(SeededKeys(2 * seed + 1), start, STATIC, garbage[1]),
    )


def shake(initiator: InitiatorHandshake, responder: ResponderHandshake) -> tuple[Secured, Secured]:
    """Run a handshake that must succeed."""
    assert responder.receive(initiator.take_data()) is None
    responder.answer()
    one = initiator.receive(responder.take_data())
    other = responder.receive(initiator.take_data())
    assert one is not None
    assert other is not None
    return one, other
