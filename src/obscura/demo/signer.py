"""Signs payments on regtest, to show the node at work. It is no wallet: its keys follow from a text that everybody may
know, it keeps nothing and looks nothing up.

P2WPKH alone (BIP141), signed as BIP143 says. A coin is named by whoever has made it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..base.cursor import compact_size
from ..base.digest import double_sha256
from .ripemd160 import ripemd160

_ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_VERSION: Final = 2
_FINAL: Final = 0xFFFF_FFFF
_ALL: Final = 1


@dataclass(frozen=True, slots=True)
class DemoCoin:
    """An output that a demo key may spend: txid in wire order, index, satoshis."""

    txid: bytes
    index: int
    amount: int

    @property
    def point(self) -> bytes:
        """The outpoint, 36 bytes."""
        return self.txid + struct.pack("<I", self.index)


class DemoKey:
    """The key that follows from a seed.

    Args:
        seed: any text; whoever knows it can spend.
    """

    def __init__(self, seed: str) -> None:
        digest = hashlib.sha256(b"obscura demo key " + seed.encode()).digest()
        self._private = ec.derive_private_key(1 + int.from_bytes(digest, "big") % (_ORDER - 1), ec.SECP256K1())
        self.public = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        self._hash = ripemd160(hashlib.sha256(self.public).digest())

    @property
    def script(self) -> bytes:
        """The output script that pays to it, 22 bytes."""
        return b"\x00\x14" + self._hash

    def pay(self, coins: Sequence[DemoCoin], outputs: Sequence[tuple[int, bytes]]) -> DemoPayment:
        """A signed transaction that spends ``coins`` of this key into ``outputs`` (satoshis and script); what is left
        over is the fee."""
        sequence = struct.pack("<I", _FINAL)
        points = double_sha256(b"".join(coin.point for coin in coins))
        sequences = double_sha256(sequence * len(coins))
        paid = b"".join(struct.pack("<q", amount) + compact_size(len(script)) + script for amount, script in outputs)
        witnesses = []
        for coin in coins:
            signed = b"".join(
                (
                    struct.pack("<i", _VERSION),
                    points,
                    sequences,
                    coin.point,
                    b"\x19\x76\xa9\x14" + self._hash + b"\x88\xac",
                    struct.pack("<q", coin.amount),
                    sequence,
                    double_sha256(paid),
                    struct.pack("<II", 0, _ALL),
                )
            )
            signature = self._sign(double_sha256(signed)) + bytes([_ALL])
            witnesses.append(b"\x02" + bytes([len(signature)]) + signature + b"\x21" + self.public)
        inputs = b"".join(coin.point + b"\x00" + sequence for coin in coins)
        body = compact_size(len(coins)) + inputs + compact_size(len(outputs)) + paid
        head, lock_time = struct.pack("<i", _VERSION), bytes(4)
        whole = head + b"\x00\x01" + body + b"".join(witnesses) + lock_time
        return DemoPayment(whole, double_sha256(head + body + lock_time), tuple(outputs))

    def _sign(self, digest: bytes) -> bytes:
        r, s = decode_dss_signature(self._private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
        # Of both signatures that hold, nodes relay the one with the lower ``s`` (BIP62).
        return encode_dss_signature(r, min(s, _ORDER - s))


@dataclass(frozen=True, slots=True)
class DemoPayment:
    """A signed transaction: whole bytes, txid in wire order, and what it pays."""

    data: bytes
    txid: bytes
    outputs: tuple[tuple[int, bytes], ...]

    def coins(self) -> list[DemoCoin]:
        """Its outputs, as coins."""
        return [DemoCoin(self.txid, index, amount) for index, (amount, _) in enumerate(self.outputs)]
