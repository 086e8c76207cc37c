"""Signs Bitcoin's transactions for tests: P2PKH, P2WPKH (BIP143) and P2TR by its key (BIP340, BIP341)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from transaction_bytes import serialised

from obscura.base.cursor import compact_size
from obscura.base.digest import double_sha256
from obscura.chain import OutPoint
from obscura.ledgers.kernel.coin import Coin
from obscura.ledgers.kernel.scripts import Form

P = (1 << 256) - (1 << 32) - 977
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
GENERATOR = (
    0x79BE667E_F9DCBBAC_55A06295_CE870B07_029BFCDB_2DCE28D9_59F2815B_16F81798,
    0x483ADA77_26A3C465_5DA4FBFC_0E1108A8_FD17B448_A6855419_9C47D08F_FB10D4B8,
)
Point = tuple[int, int] | None


def add(one: Point, other: Point) -> Point:
    """The curve's addition, in the plainest form."""
    if one is None or other is None:
        return one or other
    if one[0] == other[0] and (one[1] + other[1]) % P == 0:
        return None
    if one == other:
        slope = 3 * one[0] * one[0] * pow(2 * one[1], -1, P) % P
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, P) % P
    x = (slope * slope - one[0] - other[0]) % P
    return x, (slope * (one[0] - x) - one[1]) % P


def multiply(number: int) -> tuple[int, int]:
    """A multiple of the generator."""
    found: Point = None
    step: Point = GENERATOR
    while number:
        if number & 1:
            found = add(found, step)
        step = add(step, step)
        number >>= 1
    assert found is not None
    return found


def tagged(name: str, data: bytes) -> bytes:
    """BIP340's tagged hash."""
    tag = hashlib.sha256(name.encode()).digest()
    return hashlib.sha256(tag + tag + data).digest()


def hash160(data: bytes) -> bytes:
    """RIPEMD-160 of SHA-256."""
    return hashlib.new("ripemd160", hashlib.sha256(data).digest()).digest()


class Key:
    """A secret key that everybody can know."""

    def __init__(self, number: int) -> None:
        self.secret = number
        self._private = ec.derive_private_key(number, ec.SECP256K1())
        self.point = multiply(number)
        self.public = bytes([2 + self.point[1] % 2]) + self.point[0].to_bytes(32, "big")

    def script(self, form: Form) -> bytes:
        """The output script that this key spends."""
        if form is Form.P2PKH:
            return b"\x76\xa9\x14" + hash160(self.public) + b"\x88\xac"
        if form is Form.P2WPKH:
            return b"\x00\x14" + hash160(self.public)
        return b"\x51\x20" + self._tweaked()[1]

    def ecdsa(self, digest: bytes, hash_type: int = 1, *, high: bool = False) -> bytes:
        """A DER signature with the lower ``s`` (or the higher one), and the hash type."""
        r, s = decode_dss_signature(self._private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
        if (s > ORDER // 2) is not high:
            s = ORDER - s
        return encode_dss_signature(r, s) + bytes([hash_type])

    def schnorr(self, digest: bytes) -> bytes:
        """BIP340, by the tweaked key, without auxiliary randomness."""
        secret, public = self._tweaked()
        nonce = int.from_bytes(tagged("BIP0340/nonce", secret.to_bytes(32, "big") + public + digest), "big") % ORDER
        point = multiply(nonce)
        if point[1] % 2:
            nonce = ORDER - nonce
        r = point[0].to_bytes(32, "big")
        challenge = int.from_bytes(tagged("BIP0340/challenge", r + public + digest), "big") % ORDER
        return r + ((nonce + challenge * secret) % ORDER).to_bytes(32, "big")

    def _tweaked(self) -> tuple[int, bytes]:
        """BIP341's output key, without scripts: secret and x coordinate."""
        secret = self.secret if self.point[1] % 2 == 0 else ORDER - self.secret
        tweak = int.from_bytes(tagged("TapTweak", self.point[0].to_bytes(32, "big")), "big")
        tweaked = (secret + tweak) % ORDER
        point = multiply(tweaked)
        return (tweaked if point[1] % 2 == 0 else ORDER - tweaked), point[0].to_bytes(32, "big")


@dataclass(frozen=True)
class Spend:
    """One input that is to be signed."""

    point: OutPoint
    coin: Coin
    key: Key
    form: Form
    sequence: int = 0xFFFF_FFFF


@dataclass(frozen=True)
class Draft:
    """A transaction that is not signed yet."""

    spends: tuple[Spend, ...]
    outputs: tuple[tuple[int, bytes], ...]
    version: int = 2
    lock_time: int = 0
    scripts: dict[int, bytes] = field(default_factory=dict)
    """Input scripts in the place of right ones."""
    witnesses: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    """Witnesses in the place of right ones."""

    def changed(self, **values: object) -> Draft:
        """With other values."""
        return replace(self, **values)  # type: ignore[arg-type]

    def signed(self) -> bytes:
        """The whole transaction."""
        scripts, witnesses = [], []
        for index, spend in enumerate(self.spends):
            script, witness = b"", tuple[bytes, ...]()
            if spend.form is Form.P2PKH:
                signature = spend.key.ecdsa(self.legacy_digest(index))
                script = push(signature) + push(spend.key.public)
            elif spend.form is Form.P2WPKH:
                witness = (spend.key.ecdsa(self.witness_digest(index)), spend.key.public)
            else:
                witness = (spend.key.schnorr(self.taproot_digest(index)),)
            scripts.append(self.scripts.get(index, script))
            witnesses.append(self.witnesses.get(index, witness))
        inputs = [(one.point, script, one.sequence) for one, script in zip(self.spends, scripts, strict=True)]
        return serialised(self.version, inputs, self.outputs, witnesses, self.lock_time)

    def legacy_digest(self, index: int, hash_type: int = 1) -> bytes:
        """What a signature of an input without witness covers, where it covers everything."""
        inputs = [
            (one.point, one.coin.script if at == index else b"", one.sequence) for at, one in enumerate(self.spends)
        ]
        data = serialised(self.version, inputs, self.outputs, (), self.lock_time)
        return double_sha256(data + struct.pack("<I", hash_type))

    def witness_digest(self, index: int, hash_type: int = 1) -> bytes:
        """BIP143, for P2WPKH."""
        spend = self.spends[index]
        code = b"\x19\x76\xa9\x14" + spend.coin.script[2:] + b"\x88\xac"
        return double_sha256(
            b"".join(
                (
                    struct.pack("<i", self.version),
                    double_sha256(b"".join(one.point for one in self.spends)),
                    double_sha256(b"".join(struct.pack("<I", one.sequence) for one in self.spends)),
                    spend.point,
                    code,
                    struct.pack("<qI", spend.coin.amount, spend.sequence),
                    double_sha256(self._outputs()),
                    struct.pack("<II", self.lock_time, hash_type),
                )
            )
        )

    def taproot_digest(self, index: int) -> bytes:
        """BIP341, by the key, with the default hash type."""
        parts = (
            b"\0\0",
            struct.pack("<iI", self.version, self.lock_time),
            sha256(b"".join(one.point for one in self.spends)),
            sha256(b"".join(struct.pack("<q", one.coin.amount) for one in self.spends)),
            sha256(b"".join(compact_size(len(one.coin.script)) + one.coin.script for one in self.spends)),
            sha256(b"".join(struct.pack("<I", one.sequence) for one in self.spends)),
            sha256(self._outputs()),
            b"\0",
            struct.pack("<I", index),
        )
        return tagged("TapSighash", b"".join(parts))

    def _outputs(self) -> bytes:
        return b"".join(
            struct.pack("<q", amount) + compact_size(len(script)) + script for amount, script in self.outputs
        )


def sha256(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def push(data: bytes) -> bytes:
    """The shortest push of 1 to 75 bytes that are no small number."""
    return bytes([len(data)]) + data
