"""Naming a Bitcoin header and checking the work that it claims, without any state.

A header has 80 bytes: version i32, previous hash 32, merkle root 32, time u32, target in compact form u32 (``nBits``),
nonce u32, all little-endian. The compact form is a base-256 floating point number with a sign bit (Bitcoin Core
``arith_uint256::SetCompact``); a negative, zero or overflowing one, and one above the network's limit, cannot be a
target at all (``CheckProofOfWork``). Whether the target is the *right* one needs the chain, and is the kernel's to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from ...base.digest import double_sha256
from ...base.names import BlockHash
from ...chain import HEADER_BYTES, HeaderInfo, InvalidBlock, InvalidHeader

MEDIAN_SPAN: Final = 11
"""Blocks whose times are looked at together (BIP113)."""
_SIGN: Final = 0x0080_0000


def block_hash(header: bytes) -> BlockHash:
    """The double SHA-256 of a header: its name, in wire order."""
    return BlockHash(double_sha256(header))


def decode_target(bits: int, pow_limit: int) -> int | None:
    """The target of a compact form; ``None`` for what cannot be one: negative, zero, above 256 bits or too easy."""
    size = bits >> 24
    mantissa = bits & 0x007F_FFFF
    target = mantissa >> 8 * (3 - size) if size <= 3 else mantissa << 8 * (size - 3)
    if (bits & _SIGN and mantissa) or not 0 < target <= pow_limit:
        return None
    return target


@lru_cache(maxsize=4096)
def _target_and_work(bits: int, pow_limit: int) -> tuple[int, int]:
    """Cached, because a target holds for 2016 blocks and the division costs more than all else but the hash."""
    target = decode_target(bits, pow_limit)
    if target is None:
        raise InvalidHeader("bad-target", f"nBits {bits:08x}")
    return target, (1 << 256) // (target + 1)


def identify_header(header: bytes, pow_limit: int) -> HeaderInfo:
    """Name a header and check its work.

    Args:
        header: 80 bytes.
        pow_limit: the network's easiest target.

    Raises:
        InvalidHeader: ``header-size``, ``bad-target`` or ``high-hash``.
    """
    if len(header) != HEADER_BYTES:
        raise InvalidHeader("header-size", f"{len(header)} bytes")
    target, work = _target_and_work(int.from_bytes(header[72:76], "little"), pow_limit)
    name = double_sha256(header)
    if int.from_bytes(name, "little") > target:
        raise InvalidHeader("high-hash")
    return HeaderInfo(BlockHash(name), BlockHash(header[4:36]), work, int.from_bytes(header[68:72], "little"))


def median_time(headers: Sequence[bytes]) -> int:
    """The median of the times of headers, the later one of two in the middle: of the last MEDIAN_SPAN it is the time
    that the chain goes by (BIP113). Unix seconds."""
    times = sorted(int.from_bytes(header[68:72], "little") for header in headers)
    return times[len(times) // 2]


def identify_block(block: bytes, pow_limit: int) -> HeaderInfo:
    """Name a block by its header. The body is not looked at.

    Raises:
        InvalidBlock: ``block-too-short``: no room for a header and a count of transactions.
        InvalidHeader: as :func:`identify_header`.
    """
    if len(block) <= HEADER_BYTES:
        raise InvalidBlock("block-too-short", f"{len(block)} bytes")
    return identify_header(block[:HEADER_BYTES], pow_limit)
