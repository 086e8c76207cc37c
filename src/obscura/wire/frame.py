"""The frame around every message (specification "Message Format"; design §3.1).

``size`` u32 LE, length of the payload; ``type`` 12 bytes, printable ASCII then NULs; ``checksum``, the first 4 bytes of
double SHA-256 of the payload; payload. There is no network magic.
"""

from __future__ import annotations

import struct
from typing import Final

from ..base.digest import double_sha256
from ..base.errors import Violation

HEADER_SIZE: Final = 20
TYPE_SIZE: Final = 12
_HEADER: Final = struct.Struct("<I12s4s")


def checksum(payload: bytes | bytearray | memoryview) -> bytes:
    """The four checksum bytes of a payload."""
    return double_sha256(payload)[:4]


def encode_header(type_field: bytes, payload: bytes) -> bytes:
    """The 20 bytes before a payload. ``type_field`` is the name padded to 12 bytes by :func:`type_field`."""
    return _HEADER.pack(len(payload), type_field, checksum(payload))


def encode_frame(type_field: bytes, payload: bytes) -> bytes:
    """A whole frame."""
    return encode_header(type_field, payload) + payload


parse_header: Final = _HEADER.unpack_from
"""``parse_header(data, offset)`` gives ``(size, type field, checksum)`` of the header there; nothing is judged."""


def type_field(name: str) -> bytes:
    """``name`` as it stands in a frame.

    Raises:
        ValueError: the name is empty, longer than 12 characters or not printable ASCII.
    """
    raw = name.encode("ascii")
    if not 0 < len(raw) <= TYPE_SIZE or not all(0x21 <= byte <= 0x7E for byte in raw):
        msg = f"{name!r} cannot be a message type: 1 to {TYPE_SIZE} printable ASCII characters"
        raise ValueError(msg)
    return raw.ljust(TYPE_SIZE, b"\0")


def check_type_field(field: bytes) -> None:
    """Refuse a type field that is not printable ASCII followed by NULs only.

    Raises:
        Violation: ``type-unprintable``, or ``type-after-nul`` where bytes follow the first NUL.
    """
    name = field.rstrip(b"\0")
    if b"\0" in name:
        raise Violation("type-after-nul")
    if not name or not all(0x21 <= byte <= 0x7E for byte in name):
        raise Violation("type-unprintable")
