"""How the block store's files are made up: the bytes, and nothing that touches a disk.

A segment file begins with two equal copies of a 64-byte head, so that one damaged sector does not cost the file::

    "OBSBLOCK" 8 · format u32 · zero u32 · marker 8 · genesis hash 32 · zero u32 · CRC-32 of these 60

The first 64 bytes keep this form in every later format, so that an older release can say what it met. After the heads
come records without gaps::

    marker 8 · kind u32 · payload length u32 · CRC-32 of the payload · CRC-32 of these 20 · payload

All integers are little-endian. The marker is drawn at random for each file and never leaves the disk: after damage the
next record is found by looking for it, and nobody can craft a block whose inside looks like a record.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ...base.names import BlockHash

FORMAT: Final = 1
MAGIC: Final = b"OBSBLOCK"
MARKER_BYTES: Final = 8
_HEAD: Final = struct.Struct("<8sII8s32sI")
_CRC: Final = struct.Struct("<I")
_HEAD_BYTES: Final = _HEAD.size + _CRC.size
assert _HEAD_BYTES == 64, "every later format keeps this size"
HEADS_BYTES: Final = 2 * _HEAD_BYTES
"""Where the first record of a file stands."""
_RECORD: Final = struct.Struct("<8sIII")
RECORD_BYTES: Final = _RECORD.size + _CRC.size
"""Size of what stands before a payload."""


class Kind(IntEnum):
    """What a record's payload is. Unknown kinds, of a later release with the same format, are stepped over."""

    BLOCK = 1
    """A block's bytes."""
    REFUSED = 2
    """A block hash (32 bytes) and the name of the rule that the block broke (UTF-8)."""


@dataclass(frozen=True, slots=True)
class FileHead:
    """What a segment's head says."""

    format: int
    marker: bytes
    chain: BlockHash
    """The genesis hash of the chain whose blocks the file holds."""


@dataclass(frozen=True, slots=True)
class RecordHead:
    """What stands before a payload. ``kind`` is a plain number, as it may be a later release's."""

    kind: int
    length: int
    checksum: int


def pack_heads(marker: bytes, chain: BlockHash) -> bytes:
    """The first :data:`HEADS_BYTES` of a new segment."""
    head = _HEAD.pack(MAGIC, FORMAT, 0, marker, chain, 0)
    return (head + _CRC.pack(zlib.crc32(head))) * 2


def parse_heads(data: bytes) -> FileHead | None:
    """What the first :data:`HEADS_BYTES` of a file say, or ``None`` if neither copy is whole."""
    for start in (0, _HEAD_BYTES):
        copy = data[start : start + _HEAD_BYTES]
        if len(copy) < _HEAD_BYTES:
            break
        magic, version, _, marker, chain, _ = _HEAD.unpack_from(copy)
        if magic == MAGIC and zlib.crc32(copy[: _HEAD.size]) == _CRC.unpack_from(copy, _HEAD.size)[0]:
            return FileHead(version, marker, BlockHash(chain))
    return None


def pack_record_head(marker: bytes, kind: Kind, payload: bytes) -> bytes:
    """The :data:`RECORD_BYTES` before ``payload``."""
    head = _RECORD.pack(marker, kind, len(payload), zlib.crc32(payload))
    return head + _CRC.pack(zlib.crc32(head))


def parse_record_head(marker: bytes, data: bytes) -> RecordHead | None:
    """What the first :data:`RECORD_BYTES` of ``data`` say, or ``None`` if they are no record's, or damaged."""
    if len(data) < RECORD_BYTES or not data.startswith(marker):
        return None
    if zlib.crc32(data[: _RECORD.size]) != _CRC.unpack_from(data, _RECORD.size)[0]:
        return None
    _, kind, length, checksum = _RECORD.unpack_from(data)
    return RecordHead(kind, length, checksum)


def payload_is_whole(head: RecordHead, payload: bytes) -> bool:
    """Whether a payload is the one that its record was written with."""
    return len(payload) == head.length and zlib.crc32(payload) == head.checksum
