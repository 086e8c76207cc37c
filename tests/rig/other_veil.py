"""The encrypted transport once more, as far from the package as it can be: from the libraries and the standard library
alone, as straight arithmetic over whole messages. Tests hold the package against it."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

import monocypher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

NAME = b"Noise_NX+kem_25519+MLKEM768_ChaChaPoly_SHA256/Obscura1"


def hkdf(chaining: bytes, material: bytes) -> tuple[bytes, bytes]:
    secret = hmac.digest(chaining, material, "sha256")
    one = hmac.digest(secret, b"\x01", "sha256")
    return one, hmac.digest(secret, one + b"\x02", "sha256")


@dataclass
class Transcript:
    """h, ck, k and n, as they stand."""

    h: bytes = field(default=hashlib.sha256(NAME).digest())
    ck: bytes = field(default=hashlib.sha256(NAME).digest())
    k: bytes = b""
    n: int = 0

    def hash(self, data: bytes) -> None:
        self.h = hashlib.sha256(self.h + data).digest()

    def key(self, secret: bytes) -> None:
        self.ck, self.k = hkdf(self.ck, secret)
        self.n = 0

    def seal(self, plain: bytes) -> bytes:
        sealed = ChaCha20Poly1305(self.k).encrypt(nonce(self.n), plain, self.h)
        self.n += 1
        self.hash(sealed)
        return sealed


def nonce(n: int) -> bytes:
    return bytes(4) + n.to_bytes(8, "little")


@dataclass
class Whole:
    """Everything of one handshake, computed by somebody who knows all its secrets."""

    m1: bytes
    m2: bytes
    m3: bytes
    session_id: bytes
    initiator_key: bytes
    responder_key: bytes
    terminators: tuple[bytes, bytes]


def handshake(
    prologue: bytes,
    e_i: tuple[bytes, bytes],
    g_i: bytes,
    e_r: tuple[bytes, bytes],
    g_r: bytes,
    s: bytes,
    ek: bytes,
    ct: bytes,
    kem_secret: bytes,
    *,
    swap: dict[str, bytes] | None = None,
) -> Whole:
    """``e_*`` are (private, representative); ``swap`` replaces the secret of a step (ee, es, kem) by another."""
    swap = swap or {}
    t = Transcript()
    t.hash(prologue)
    t.hash(e_i[1])
    t.hash(b"")
    t.hash(e_r[1])
    t.key(swap.get("ee", monocypher.x25519(e_i[0], monocypher.elligator_map(e_r[1]))))
    one, two = hkdf(t.ck, t.h + b"terminators")
    terminators = one[:16], two[:16]
    t.hash(g_r)
    sealed_s = t.seal(monocypher.x25519_public_key(s))
    t.key(swap.get("es", monocypher.x25519(s, monocypher.elligator_map(e_i[1]))))
    sealed_ek = t.seal(ek)
    t.hash(g_i)
    sealed_ct = t.seal(ct)
    t.key(swap.get("kem", kem_secret))
    initiator_key, responder_key = hkdf(t.ck, b"")
    return Whole(
        e_i[1] + g_i,
        e_r[1] + g_r + terminators[1] + sealed_s + sealed_ek,
        terminators[0] + sealed_ct,
        t.h,
        initiator_key,
        responder_key,
        terminators,
    )


def record(key: bytes, n: int, data: bytes, body: int, flags: int = 0) -> bytes:
    """The record that uses counters n and n + 1."""
    plain = data + bytes(body - 3 - len(data)) + len(data).to_bytes(2, "little") + bytes([flags])
    aead = ChaCha20Poly1305(key)
    return aead.encrypt(nonce(n), body.to_bytes(2, "little"), None) + aead.encrypt(nonce(n + 1), plain, None)


def rekeyed(key: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(nonce((1 << 64) - 1), bytes(32), None)[:32]
