"""RIPEMD-160 (Dobbertin, Bosselaers, Preneel 1996), for the demo's addresses alone: the OpenSSL of some systems that
Obscura supports has it no longer, and nothing of the node needs it."""

from __future__ import annotations

from struct import pack, unpack
from typing import Final

_START: Final = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
_LEFT_ADDED: Final = (0, 0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xA953FD4E)
_RIGHT_ADDED: Final = (0x50A28BE6, 0x5C4DD124, 0x6D703EF3, 0x7A6D76E9, 0)
_PERMUTED: Final = (7, 4, 13, 1, 10, 6, 15, 3, 12, 0, 9, 5, 2, 14, 11, 8)
_LEFT_TURNS: Final = bytes.fromhex(
    "0b0e0f0c050807090b0d0e0f060709080706080d0b09070f070c0f090b070d0c0b0d06070e090d0f0e080d06050c0705"
    "0b0c0e0f0e0f0908090e05060806050c090f050b06080d0c050c0d0e0b080506"
)
_RIGHT_TURNS: Final = bytes.fromhex(
    "0809090b0d0f0f050707080b0e0e0c06090d0f070c08090b07070c07060f0d0b09070f0b0806060e0c0d050e0d0d0705"
    "0f05080b0e0e060e06090c090c050f0808050c090c050e06080d06050f0d0b0b"
)
_MASK: Final = 0xFFFF_FFFF


def _orders(start: list[int]) -> bytes:
    """Which word each of the eighty steps takes: each sixteen permute those before."""
    found, group = list(start), start
    for _ in range(4):
        group = [_PERMUTED[word] for word in group]
        found += group
    return bytes(found)


_LEFT_WORDS: Final = _orders(list(range(16)))
_RIGHT_WORDS: Final = _orders([(9 * step + 5) % 16 for step in range(16)])


def ripemd160(data: bytes) -> bytes:
    """The digest of ``data``, 20 bytes."""
    state = _START
    padded = data + b"\x80" + bytes(-(len(data) + 9) % 64) + pack("<Q", 8 * len(data))
    for at in range(0, len(padded), 64):
        words = unpack("<16I", padded[at : at + 64])
        left = _line(state, words, _LEFT_WORDS, _LEFT_TURNS, _LEFT_ADDED, range(5))
        right = _line(state, words, _RIGHT_WORDS, _RIGHT_TURNS, _RIGHT_ADDED, range(4, -1, -1))
        state = tuple(
            (state[(step + 1) % 5] + left[(step + 2) % 5] + right[(step + 3) % 5]) & _MASK for step in range(5)
        )  # type: ignore[assignment]
    return pack("<5I", *state)


def _line(
    state: tuple[int, ...], words: tuple[int, ...], order: bytes, turns: bytes, added: tuple[int, ...], mixes: range
) -> tuple[int, ...]:
    a, b, c, d, e = state
    for step in range(80):
        group = step // 16
        mixed = a + _mix(mixes[group], b, c, d) + words[order[step]] + added[group]
        a, b, c, d, e = e, (_turn(mixed & _MASK, turns[step]) + e) & _MASK, b, _turn(c, 10), d
    return a, b, c, d, e


def _turn(word: int, by: int) -> int:
    return (word << by | word >> 32 - by) & _MASK


def _mix(kind: int, x: int, y: int, z: int) -> int:
    match kind:
        case 0:
            return x ^ y ^ z
        case 1:
            return (x & y) | (~x & z)
        case 2:
            return (x | ~y) ^ z
        case 3:
            return (x & z) | (y & ~z)
    return x ^ (y | ~z)
