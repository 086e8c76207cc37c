"""Which autonomous system announces an IP address: Bitcoin Core's ``asmap.dat``.

The file is a program for a very small machine that is fed an address bit by bit, most significant first, IPv4 as
``::ffff:a.b.c.d``. It is packed into bits, the least significant of each byte first:

* ``RETURN asn``: the answer.
* ``JUMP offset``: takes a bit; on 1 it goes on ``offset`` bits behind the instruction, on 0 right behind it.
* ``MATCH pattern``: takes one to eight bits (the pattern begins below its highest set bit); if they are not the
  pattern, the answer is the default.
* ``DEFAULT asn``: the default from here on; before the first one it is 0, for unknown.

Numbers have a variable length. They belong to classes of growing size; before each class but the last a bit says
whether it is passed over, then the number within its class follows, most significant bit first.

A map is checked as a whole when it is made: every path ends in an answer, no jump leaves the program or lands in what
another path runs, no path takes more bits than an address has, and nothing follows but the padding of the last byte.
The check meets each instruction once, in the order of addresses, and notes where the answer changes; a look-up is a
binary search among these places.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left, bisect_right
from typing import Final, TypeAlias

from ..base.errors import LocalError
from ..base.limits import ASMAP_BYTES

_Code: TypeAlias = tuple[tuple[int, int, int], ...]
"""For each class of a number: what its own zero stands for, the bits before it, its bits."""


def _code(least: int, sizes: range) -> _Code:
    rows = []
    for passed, size in enumerate(sizes):
        # The last class needs no bit that it is not passed over.
        rows.append((least, min(passed + 1, len(sizes) - 1), size))
        least += 1 << size
    return tuple(rows)


_ADDRESS_BITS: Final = 128
_HALF_BITS: Final = 64
_LOW_HALF: Final = (1 << _HALF_BITS) - 1
_WINDOW_BYTES: Final = 9
"""Looked at for one instruction: the longest has 57 bits, and begins at any bit of its first byte."""
_WINDOW_BITS: Final = 8 * _WINDOW_BYTES
_WINDOW: Final = (1 << _WINDOW_BITS) - 1
_RETURN, _JUMP, _MATCH, _DEFAULT = range(4)
_SYSTEM: Final = _code(1, range(15, 25))
_TYPES: Final = ((1, _SYSTEM), (2, _code(17, range(5, 31))), (3, _code(2, range(1, 9))), (3, _SYSTEM))
"""For each type of instruction: its own bits (0, 10, 110, 111), and the code of its number."""
_MIRRORED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class ASMapError(LocalError):
    """A file is not a map of autonomous systems. The text says where it goes wrong."""


class ASMap:
    """A map, checked.

    Args:
        data: the whole file.

    Raises:
        ASMapError: it is too large, or no map.
    """

    __slots__ = ("_highs", "_lows", "_systems", "digest")

    def __init__(self, data: bytes) -> None:
        if len(data) > ASMAP_BYTES:
            msg = f"the map of autonomous systems has {len(data):,} bytes; no map is larger than {ASMAP_BYTES:,}"
            raise ASMapError(msg)
        self.digest = hashlib.sha256(data).digest()
        """Names the file: its SHA-256, 32 bytes."""
        self._highs = array("Q")
        self._lows = array("Q")
        self._systems = array("I")
        self._walk(data)

    def __len__(self) -> int:
        """How many ranges of addresses the map tells apart."""
        return len(self._systems)

    def lookup(self, ip16: bytes) -> int:
        """The number of the autonomous system of a 16-byte address, IPv4 as ``::ffff:a.b.c.d``; 0 if unknown."""
        high, low = int.from_bytes(ip16[:8], "big"), int.from_bytes(ip16[8:], "big")
        end = bisect_right(self._highs, high)
        start = bisect_left(self._highs, high, 0, end)
        return self._systems[bisect_right(self._lows, low, start, end) - 1]

    def _walk(self, data: bytes) -> None:
        """Check the program, and note the ranges in order."""
        program = data.translate(_MIRRORED) + bytes(_WINDOW_BYTES)
        end = 8 * len(data)
        at, first, bits, default = 0, 0, _ADDRESS_BITS, 0
        jumps: list[tuple[int, int, int, int, int]] = []
        """Paths that were not taken yet, the outermost first: where they begin, their first address, the bits that
        they may take, their default, and how many of the gaps lie outside of them."""
        gaps: list[tuple[int, int]] = []
        """What follows patterns: first address and default."""
        while True:
            if jumps and at >= jumps[-1][0]:
                raise _damaged(at, "one path runs into another")
            begun = at
            kind, number, at = _instruction(program, at)
            if at > end:
                raise _damaged(begun, "it ends within an instruction")
            if kind == _JUMP:
                if not bits:
                    raise _damaged(begun, "a path takes more bits than an address has")
                target = at + number
                if target >= (jumps[-1][0] if jumps else end):
                    raise _damaged(begun, "a jump leads too far")
                bits -= 1
                jumps.append((target, first + (1 << bits), bits, default, len(gaps)))
            elif kind == _MATCH:
                length = number.bit_length() - 1
                if bits < length:
                    raise _damaged(begun, "a path takes more bits than an address has")
                past = first + (1 << bits)
                bits -= length
                self._note(first, default)
                first += (number - (1 << length)) << bits
                if first + (1 << bits) < past:
                    gaps.append((first + (1 << bits), default))
            elif kind == _DEFAULT:
                default = number
            else:
                self._note(first, number)
                for gap in reversed(gaps[jumps[-1][4] if jumps else 0 :]):
                    self._note(*gap)
                del gaps[jumps[-1][4] if jumps else 0 :]
                if not jumps:
                    break
                if at != jumps[-1][0]:
                    raise _damaged(at, "a part of it is never reached")
                _, first, bits, default, _ = jumps.pop()
        if end - at > 7 or int.from_bytes(program, "big") & ((1 << 8 * _WINDOW_BYTES + end - at) - 1):
            raise _damaged(at, "it goes on after its end")

    def _note(self, first: int, system: int) -> None:
        """From an address on the answer is this one. A later word about the same address counts."""
        high, low = first >> _HALF_BITS, first & _LOW_HALF
        if self._systems and self._highs[-1] == high and self._lows[-1] == low:
            for column in (self._highs, self._lows, self._systems):
                column.pop()
        if not self._systems or self._systems[-1] != system:
            self._highs.append(high)
            self._lows.append(low)
            self._systems.append(system)


def _instruction(program: bytes, at: int) -> tuple[int, int, int]:
    """The instruction at a bit: its type, its number, and the bit behind it."""
    byte = at >> 3
    window = int.from_bytes(program[byte : byte + _WINDOW_BYTES], "big") << (at & 7) & _WINDOW
    kind = min(_WINDOW_BITS - (window ^ _WINDOW).bit_length(), _DEFAULT)
    taken, code = _TYPES[kind]
    window = window << taken & _WINDOW
    least, before, size = code[min(_WINDOW_BITS - (window ^ _WINDOW).bit_length(), len(code) - 1)]
    number = least + (window >> (_WINDOW_BITS - before - size) & ((1 << size) - 1))
    return kind, number, at + taken + before + size


def _damaged(at: int, why: str) -> ASMapError:
    return ASMapError(
        f"this is no map of autonomous systems (asmap.dat of Bitcoin Core), or a damaged one: {why}, bit {at}"
    )
