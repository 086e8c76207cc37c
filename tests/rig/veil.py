"""Keys that repeat, and both sides of a handshake, for tests of the encrypted transport."""

from __future__ import annotations

import hashlib

import monocypher
from pair import START as START_AT
from pair import make_version

from obscura.base.randomness import Chance
from obscura.channel import Channel, ChannelEvent, Role
from obscura.channel.handshake import InitiatorHandshake, ResponderHandshake, Secured, prologue
from obscura.channel.secure import SecureTransport
from obscura.crypto.agreement import KeyPair
from obscura.crypto.elligator import HiddenPair, is_printable
from obscura.crypto.kem import KemPair, encapsulate
from obscura.shaping import Shaper
from obscura.wire.features import Feature, FeatureSet
from obscura.wire.target import Mode

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

    def printable(self) -> HiddenPair:
        while not is_printable((pair := self.hidden()).hidden):
            pass
        return pair

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


PRIVATE = FeatureSet(int(Feature.PRIVACY_FEATURES), 0)


def secure_channel(
    role: Role,
    mode: Mode = Mode.VEILED,
    *,
    features: FeatureSet = PRIVATE,
    seed: int = 0,
    pin: bytes | None = None,
    own: tuple[bytes, ...] = (),
    static: KeyPair = STATIC,
    genesis: bytes = GENESIS,
    shaper: Shaper | None = None,
) -> Channel:
    """A channel over keys that repeat."""
    keys = SeededKeys(2 * seed + (role is Role.RESPONDER))
    garbage = keys.chance.fork("garbage").take_bytes(30 + seed % 100)

    def begin(start: bytes) -> InitiatorHandshake | ResponderHandshake:
        if role is Role.INITIATOR:
            return InitiatorHandshake(keys, start, garbage, pin=pin, own=own)
        return ResponderHandshake(keys, start, static, garbage)

    transport = SecureTransport(begin, genesis, mode, shaper, dialled=role is Role.INITIATOR)
    nonce = 1 if role is Role.INITIATOR else 2
    return Channel(role, make_version(nonce, features), lambda _: False, Chance.from_seed(1), START_AT, transport)


class SecurePair:
    """Two channels and what each has told; :meth:`pump` moves bytes until there are none, and answers handshakes."""

    def __init__(self, initiator: Channel, responder: Channel, step: int = 1 << 20) -> None:
        self.sides = {Role.INITIATOR: initiator, Role.RESPONDER: responder}
        self.told: dict[Role, list[ChannelEvent]] = {role: [] for role in Role}
        self.wire: dict[Role, bytes] = dict.fromkeys(Role, b"")
        self.step = step

    def pump(self) -> None:
        moved = True
        while moved:
            moved = False
            for role, other in ((Role.INITIATOR, Role.RESPONDER), (Role.RESPONDER, Role.INITIATOR)):
                data = self.sides[role].take_data(START_AT)
                self.wire[role] += data
                target = self.sides[other]
                for at in range(0, len(data), self.step):
                    moved = True
                    target.receive_data(data[at : at + self.step], START_AT)
                    while (event := target.next_event(START_AT)) is not None:
                        self.told[other].append(event)
                    if target.may_answer:
                        target.answer()
                while (event := target.next_event(START_AT)) is not None:
                    self.told[other].append(event)
