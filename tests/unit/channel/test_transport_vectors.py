"""The link in bytes of docs/protocol.md, section 9: both implementations make it, both sides take it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import other_veil
from veil import SeededKeys

from obscura.base.instant import Instant
from obscura.base.limits import REKEY_AFTER
from obscura.channel.access import SecretAccess, access_garbage
from obscura.channel.handshake import InitiatorHandshake, ResponderHandshake
from obscura.channel.records import RecordOpener, RecordSealer
from obscura.crypto.agreement import KeyPair
from obscura.crypto.elligator import HiddenPair, public_of
from obscura.crypto.kem import CIPHERTEXT_BYTES, KemPair

DOCUMENT = (Path(__file__).parents[3] / "docs/protocol.md").read_text()
[BLOCK] = re.findall(r"```transport\n(.*?)```", DOCUMENT, re.DOTALL)
V = {row["name"]: bytes.fromhex(row["bytes"]) for row in map(json.loads, BLOCK.splitlines())}
# The ciphertext is sealed in M3: who knows the keys reads it back from there.
NOW = Instant(0)


class Keys(SeededKeys):
    """Hands out the document's keys."""

    def kem(self) -> KemPair:
        return KemPair(V["kem_seed"])


def ciphertext() -> bytes:
    """What M3 carries, opened by a responder of the second implementation's arithmetic."""
    t = other_veil.Transcript()
    t.hash(V["prologue"])
    t.hash(V["e_i"])
    t.hash(b"")
    t.hash(V["e_r"])
    t.key(other_veil.monocypher.x25519(V["e_r_private"], public_of(V["e_i"])))
    t.hash(V["G_r"])
    t.seal(V["s"])
    t.key(other_veil.monocypher.x25519(V["s_private"], public_of(V["e_i"])))
    t.seal(KemPair(V["kem_seed"]).encapsulation_key)
    t.hash(V["G_i"])
    opened: bytes = other_veil.ChaCha20Poly1305(t.k).decrypt(other_veil.nonce(1), V["M3"][16:], t.h)
    assert len(opened) == CIPHERTEXT_BYTES
    return opened


def test_the_second_implementation_makes_it() -> None:
    kem = KemPair(V["kem_seed"])
    assert kem.decapsulate(ciphertext()) == V["kem_secret"]
    whole = other_veil.handshake(
        V["prologue"],
        (V["e_i_private"], V["e_i"]),
        V["G_i"],
        (V["e_r_private"], V["e_r"]),
        V["G_r"],
        V["s_private"],
        kem.encapsulation_key,
        ciphertext(),
        V["kem_secret"],
    )
    assert (whole.m1, whole.m2, whole.m3) == (V["M1"], V["M2"], V["M3"])
    assert (whole.session_id, whole.initiator_key) == (V["session_id"], V["key_initiator"])
    assert whole.responder_key == V["key_responder"]


def test_the_package_makes_it_and_takes_it() -> None:
    pairs = [HiddenPair(KeyPair(V[f"e_{side}_private"]), V[f"e_{side}"]) for side in "ir"]
    initiator = InitiatorHandshake(
        Keys(sealed=(V["kem_secret"], ciphertext())), V["prologue"], V["G_i"], pin=V["s"], pair=pairs[0]
    )
    responder = ResponderHandshake(Keys(), V["prologue"], KeyPair(V["s_private"]), V["G_r"], pair=pairs[1])
    assert initiator.take_data() == V["M1"]
    responder.receive(V["M1"])
    responder.answer()
    assert responder.take_data() == V["M2"]
    one = initiator.receive(V["M2"])
    assert initiator.take_data() == V["M3"]
    other = responder.receive(V["M3"] + V["record_initiator"])
    assert one is not None
    assert other is not None
    assert one.session_id == other.session_id == V["session_id"]
    assert RecordOpener(other.receiving).open(other.rest) == [b"first data of the initiator"]
    assert (
        b"".join(RecordSealer(one.sending, NOW).seal([b"first data of the initiator"], 40, NOW))
        == V["record_initiator"]
    )
    back = RecordSealer(other.sending, NOW)
    assert b"".join(back.seal([b"first data of the responder"], 32, Instant(REKEY_AFTER))) == V["record_responder"]
    assert b"".join(back.seal([], 5, Instant(REKEY_AFTER))) == V["record_responder_rekeyed"]
    opener = RecordOpener(one.receiving)
    assert opener.open(V["record_responder"] + V["record_responder_rekeyed"]) == [b"first data of the responder"]
    assert opener.traffic.decoy == 5 + 34


def test_the_knock() -> None:
    assert access_garbage(V["access_secret"], V["e_i"], V["access_pad"], 480_000) == V["access_G_i"]
    assert SecretAccess(V["access_secret"], 480_001).admits(V["e_i"], V["access_G_i"])
