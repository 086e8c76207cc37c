"""Exact reading and writing of bytes.

A reader refuses short input, non-minimal counts and leftovers. Each
refusal is a :class:`~obscura.base.errors.Malformed` with a rule's name, because only bytes of a peer come through here;
the store has a format of its own.
"""

from __future__ import annotations

import struct
from typing import Final

from .errors import Malformed

_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")


class Reader:
    """Reads one payload from front to back."""

    __slots__ = ("_data", "_pos")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pos = 0

    @property
    def remaining(self) -> int:
        """Bytes that were not read yet."""
        return len(self._data) - self._pos

    def _advance(self, length: int) -> int:
        start = self._pos
        end = start + length
        if end > len(self._data):
            raise Malformed("payload-truncated", f"{length} bytes wanted at {start} of {len(self._data)}")
        self._pos = end
        return start

    def take(self, length: int) -> bytes:
        """Exactly ``length`` bytes.

        Raises:
            Malformed: fewer are left.
        """
        start = self._advance(length)
        return self._data[start : start + length]

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.remaining)

    def u8(self) -> int:
        """One byte."""
        return self._data[self._advance(1)]

    def u16(self) -> int:
        """An unsigned 16-bit integer, little-endian."""
        return int(_U16.unpack_from(self._data, self._advance(2))[0])

    def u16_be(self) -> int:
        """An unsigned 16-bit integer, big-endian (ports, as in BIP155)."""
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        """An unsigned 32-bit integer, little-endian."""
        return int(_U32.unpack_from(self._data, self._advance(4))[0])

    def u64(self) -> int:
        """An unsigned 64-bit integer, little-endian."""
        return int(_U64.unpack_from(self._data, self._advance(8))[0])

    def compact_size(self) -> int:
        """A CompactSize integer in its shortest form (Bitcoin developer reference).

        Raises:
            Malformed: truncated, or not the shortest form.
        """
        first = self.u8()
        if first < 0xFD:
            return first
        match first:
            case 0xFD:
                value, minimum = self.u16(), 0xFD
            case 0xFE:
                value, minimum = self.u32(), 0x1_0000
            case _:
                value, minimum = self.u64(), 0x1_0000_0000
        if value < minimum:
            raise Malformed("count-not-minimal", f"{value} in a longer form than it needs")
        return value

    def finish(self) -> None:
        """Say that the payload must end here.

        Raises:
            Malformed: bytes are left over.
        """
        if self.remaining:
            raise Malformed("payload-leftover", f"{self.remaining} bytes")


class Writer:
    """Builds one payload. Values out of range are our mistake and raise ``struct.error`` or ``OverflowError``."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def put(self, data: bytes) -> Writer:
        """Raw bytes."""
        self._parts.append(data)
        return self

    def u8(self, value: int) -> Writer:
        """One byte."""
        return self.put(value.to_bytes(1, "little"))

    def u16(self, value: int) -> Writer:
        """An unsigned 16-bit integer, little-endian."""
        return self.put(_U16.pack(value))

    def u16_be(self, value: int) -> Writer:
        """An unsigned 16-bit integer, big-endian."""
        return self.put(value.to_bytes(2, "big"))

    def u32(self, value: int) -> Writer:
        """An unsigned 32-bit integer, little-endian."""
        return self.put(_U32.pack(value))

    def u64(self, value: int) -> Writer:
        """An unsigned 64-bit integer, little-endian."""
        return self.put(_U64.pack(value))

    def compact_size(self, value: int) -> Writer:
        """A CompactSize integer in its shortest form."""
        return self.put(compact_size(value))

    def done(self) -> bytes:
        """The bytes that were written."""
        return b"".join(self._parts)


def compact_size(value: int) -> bytes:
    """``value`` as the shortest CompactSize."""
    if value < 0xFD:
        return value.to_bytes(1, "little")
    if value < 0x1_0000:
        return b"\xfd" + _U16.pack(value)
    if value < 0x1_0000_0000:
        return b"\xfe" + _U32.pack(value)
    return b"\xff" + _U64.pack(value)
