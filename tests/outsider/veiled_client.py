"""A veiled client written from docs/protocol.md, section 9, with the libraries named there: a stream for the client in
the clear to talk over. Arguments: host, port, genesis, and the listener's KEY or KEY.SECRET if it is to be checked."""

import base64
import hashlib
import hmac
import json
import os
import secrets
import socket
import struct
import sys
import time

import monocypher
import outsider_client
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

NAME = b"Noise_NX+kem_25519+MLKEM768_ChaChaPoly_SHA256/Obscura1"


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.digest(key, data, "sha256")


def hkdf(chaining, material):
    temporary = mac(chaining, material)
    one = mac(temporary, b"\x01")
    return one, mac(temporary, one + b"\x02")


class Cipher:
    def __init__(self, key):
        self.key, self.n = key, 0

    def nonce(self):
        self.n += 1
        return bytes(4) + struct.pack("<Q", self.n - 1)

    def seal(self, data, associated=b""):
        return ChaCha20Poly1305(self.key).encrypt(self.nonce(), data, associated)

    def open(self, data, associated=b""):
        return ChaCha20Poly1305(self.key).decrypt(self.nonce(), data, associated)

    def rekey(self):
        last = bytes(4) + b"\xff" * 8
        self.key, self.n = ChaCha20Poly1305(self.key).encrypt(last, bytes(32), b"")[:32], 0


class Transcript:
    def __init__(self, prologue):
        self.h = self.ck = sha256(NAME)
        self.cipher = None
        self.mix(prologue)

    def mix(self, data):
        self.h = sha256(self.h + data)

    def key(self, secret):
        self.ck, key = hkdf(self.ck, secret)
        self.cipher = Cipher(key)

    def open(self, sealed):
        plain = self.cipher.open(sealed, self.h)
        self.mix(sealed)
        return plain

    def seal(self, plain):
        sealed = self.cipher.seal(plain, self.h)
        self.mix(sealed)
        return sealed


class Veiled:
    """read, write and flush of clear bytes over a veiled link."""

    def __init__(self, raw, genesis, key=None, secret=None):
        self.raw, self.clear, self.queued = raw, b"", b""
        hidden, private = monocypher.elligator_key_pair()
        garbage = os.urandom(secrets.randbelow(4_064))
        if secret:
            garbage += mac(secret, b"mark" + hidden)[:16]
            garbage += mac(secret, b"mac" + hidden + garbage + struct.pack("<Q", int(time.time()) // 3_600))[:16]
        raw.write(hidden + garbage)
        raw.flush()
        t = Transcript(b"\x01" + genesis + b"\x00")
        t.mix(hidden)
        t.mix(b"")
        theirs = raw.read(32)
        t.mix(theirs)
        point = monocypher.elligator_map(theirs)
        t.key(monocypher.x25519(private, point))
        ours_end, theirs_end = (one[:16] for one in hkdf(t.ck, t.h + b"terminators"))
        seen = raw.read(16)
        while not seen.endswith(theirs_end):
            assert len(seen) < 4_095 + 16, "no terminator"
            seen += raw.read(1)
        t.mix(seen[:-16])
        static = t.open(raw.read(48))
        t.key(monocypher.x25519(private, static))
        encapsulation_key = t.open(raw.read(1_200))
        assert key in (None, static), "another key than the one that was expected"
        shared, ciphertext = MLKEM768PublicKey.from_public_bytes(encapsulation_key).encapsulate()
        t.mix(garbage)
        raw.write(ours_end + t.seal(ciphertext))
        t.key(shared)
        self.sending, self.receiving = map(Cipher, hkdf(t.ck, b""))
        self.session, self.static = t.h, static

    def write(self, data):
        self.queued += data

    def flush(self):
        data, self.queued = self.queued, b""
        for at in range(0, len(data), 60_000):
            part = data[at : at + 60_000]
            padding = secrets.randbelow(200)
            body = part + bytes(padding) + struct.pack("<HB", len(part), 0)
            self.raw.write(self.sending.seal(struct.pack("<H", len(body))) + self.sending.seal(body))
        self.raw.flush()

    def read(self, size):
        while len(self.clear) < size:
            (length,) = struct.unpack("<H", self.receiving.open(self.raw.read(18)))
            body = self.receiving.open(self.raw.read(length + 16))
            used, flags = struct.unpack("<HB", body[-3:])
            assert not any(body[used:-3])
            self.clear += body[:used]
            if flags & 1:
                self.receiving.rekey()
        data, self.clear = self.clear[:size], self.clear[size:]
        return data


def from_text(text, tag):
    raw = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    assert sha256(tag + raw[:32])[:2] == raw[32:], "a mistake in the key"
    return raw[:32]


if __name__ == "__main__":
    key, _, secret = (sys.argv[4] if len(sys.argv) > 4 else "").partition(".")
    genesis = bytes.fromhex(sys.argv[3])[::-1]
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20) as sock, sock.makefile("rwb") as both:
        link = Veiled(
            both,
            genesis,
            from_text(key, b"obscura key") if key else None,
            from_text(secret, b"obscura secret") if secret else None,
        )
        answer = outsider_client.download(link, genesis)
        print(json.dumps({**answer, "session": link.session.hex(), "static": link.static.hex()}))
