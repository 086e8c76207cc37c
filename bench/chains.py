"""Regtest chains to sync: many small blocks, or a few large ones. Made anew for each run, without a kernel."""

from __future__ import annotations

import hashlib

from obscura.ledgers.kernel.build import build_block
from obscura.ledgers.kernel.header import block_hash
from obscura.ledgers.kernel.networks import REGTEST

ANYONE = b"\x51"  # OP_TRUE
_OP_RETURN = b"\x6a\x4e"  # then a push with a four-byte length


def make_chain(count: int, size: int) -> list[bytes]:
    """``count`` blocks above regtest's genesis, each of about ``size`` bytes (at least 190)."""
    previous = block_hash(REGTEST.genesis)
    start = int.from_bytes(REGTEST.genesis[68:72], "little")
    blocks: list[bytes] = []
    for height in range(1, count + 1):
        script = ANYONE if size < 1_000 else _fill(height, size - 300)
        block = build_block(previous, height, start + 600 * height, script)
        blocks.append(block)
        previous = block_hash(block[:80])
    return blocks


def _fill(height: int, size: int) -> bytes:
    """An output script that nobody can spend, with bytes that do not compress."""
    data = hashlib.shake_128(height.to_bytes(4, "little")).digest(size)
    return _OP_RETURN + size.to_bytes(4, "little") + data
