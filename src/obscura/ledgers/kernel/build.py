"""Building and mining blocks for regtest, where one nonce in two is good.

The form of a block is that of the Bitcoin developer reference. The coinbase carries its height (BIP34); where a
transaction carries witness data, the coinbase commits to all of it (BIP141). The subsidy halves every 150 blocks.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from ...base.cursor import compact_size
from ...base.digest import double_sha256
from ...base.names import BlockHash
from .transaction import parse_transaction

REGTEST_BITS: Final = 0x207F_FFFF
_TARGET: Final = 0x7F_FFFF << 8 * (0x20 - 3)
_HALVING: Final = 150
_SUBSIDY: Final = 50 * 100_000_000
_VERSION: Final = 0x2000_0000
_COMMITMENT_HEADER: Final = bytes.fromhex("6a24aa21a9ed")
"""OP_RETURN, a push of 36 bytes, and the four bytes of BIP141."""
_HEADER: Final = struct.Struct("<I32s32sIII")


def subsidy(height: int) -> int:
    """What a regtest coinbase at ``height`` may create, in satoshis."""
    halvings = height // _HALVING
    return _SUBSIDY >> halvings if halvings < 64 else 0


def build_block(
    previous: BlockHash,
    height: int,
    time: int,
    script: bytes,
    extra: Sequence[bytes] = (),
    *,
    fees: int = 0,
    version: int = _VERSION,
) -> bytes:
    """A regtest block with its work done.

    Args:
        previous: the parent's hash, wire order.
        height: the parent's height and one.
        time: Unix seconds; the caller sees to it that it is above the median of the last 11.
        script: the output script that gets the subsidy and ``fees``.
        extra: whole transactions, in an order in which none spends a later one.
        fees: what ``extra`` leaves to the miner, in satoshis, as far as it is claimed.
        version: the header's version.

    Raises:
        InvalidTransaction: one of ``extra`` is not a whole transaction.
    """
    parsed = [parse_transaction(transaction) for transaction in extra]
    witness = any(transaction.witnesses for transaction in parsed)
    outputs = [(subsidy(height) + fees).to_bytes(8, "little") + compact_size(len(script)) + script]
    if witness:
        # The coinbase's own witness id counts as zero, and its witness is 32 reserved bytes (BIP141).
        root = merkle_root([bytes(32), *(transaction.relay_id for transaction in parsed)])
        commitment = _COMMITMENT_HEADER + double_sha256(root + bytes(32))
        outputs.append(bytes(8) + compact_size(len(commitment)) + commitment)
    signature = push_height(height) + b"\x00"  # at least two bytes (bad-cb-length)
    body = (
        b"\x01" + bytes(32) + b"\xff\xff\xff\xff" + compact_size(len(signature)) + signature + b"\xff\xff\xff\xff"
        + compact_size(len(outputs)) + b"".join(outputs)
    )  # fmt: skip
    version_field, lock_time = (2).to_bytes(4, "little"), bytes(4)
    coinbase_id = double_sha256(version_field + body + lock_time)
    reserved = b"\x01\x20" + bytes(32) if witness else b""
    coinbase = version_field + (b"\x00\x01" if witness else b"") + body + reserved + lock_time
    root = merkle_root([coinbase_id, *(transaction.txid for transaction in parsed)])
    header = grind(previous, root, time, version)
    return b"".join((header, compact_size(1 + len(extra)), coinbase, *extra))


def grind(previous: bytes, root: bytes, time: int, version: int = _VERSION) -> bytes:
    """The first header over ``root`` whose hash is below regtest's target, 80 bytes."""
    nonce = 0
    while True:
        header = _HEADER.pack(version, previous, root, time, REGTEST_BITS, nonce)
        if int.from_bytes(double_sha256(header), "little") <= _TARGET:
            return header
        nonce += 1


def merkle_root(ids: Sequence[bytes]) -> bytes:
    """Bitcoin's merkle root of 32-byte ids: an odd last one is paired with itself."""
    level = list(ids)
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [double_sha256(level[at] + level[at + 1]) for at in range(0, len(level), 2)]
    return level[0]


def push_height(height: int) -> bytes:
    """A script that pushes ``height`` as BIP34 wants it: the shortest signed number, small ones as opcodes."""
    if height == 0:
        return b"\x00"
    if height <= 16:
        return bytes([0x50 + height])
    size = height.bit_length() // 8 + 1  # one bit more for the sign
    return bytes([size]) + height.to_bytes(size, "little")
