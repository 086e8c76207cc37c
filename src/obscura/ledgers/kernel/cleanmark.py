"""The sidecar file that says how far the block store is known to be whole.

Verifying every checksum at every start would read the whole chain. So at a checkpoint and at a clean close the store
writes down, per segment, up to which byte everything was verified or written by itself, and which ranges in there are
damaged. The next start reads only record heads below that, and verifies all above. A mark that is missing, damaged or
does not fit the files is ignored: then everything is verified, which is slow but never wrong. One that does not fit is
removed before anything is written: the files may grow until it would fit again, and speak of bytes that are no more.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .disk import sync_directory
from .segment import Range

_NAME: Final = "clean"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class CleanSegment:
    """What is known of one segment: its marker, the verified size in bytes, the damaged ranges below that."""

    marker: bytes
    size: int
    damage: tuple[Range, ...]


def write_mark(directory: Path, segments: dict[int, CleanSegment]) -> None:
    """Replace the mark: written beside, synced, renamed, directory synced.

    Raises:
        OSError: the disk fails; the old mark stays.
    """
    body = json.dumps(
        {
            "format": _FORMAT,
            "segments": [
                [number, segment.marker.hex(), segment.size, [list(span) for span in segment.damage]]
                for number, segment in sorted(segments.items())
            ],
        },
        separators=(",", ":"),
    ).encode()
    beside = directory / f"{_NAME}.new"
    with beside.open("wb") as file:
        file.write(b"%08x\n%s\n" % (zlib.crc32(body), body))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(directory / _NAME)
    sync_directory(directory)


def read_mark(directory: Path) -> dict[int, CleanSegment]:
    """What the last run wrote down; empty if there is nothing that can be trusted."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        checksum, body, _ = (directory / _NAME).read_bytes().split(b"\n")
        if int(checksum, 16) == zlib.crc32(body):
            mark = json.loads(body)
            if mark["format"] == _FORMAT:
                return {
                    number: CleanSegment(bytes.fromhex(marker), _offset(size), _ranges(damage))
                    for number, marker, size, damage in mark["segments"]
                }
    return {}


def remove_mark(directory: Path) -> None:
    """Have the next start verify everything, unless a new mark is written before.

    Raises:
        OSError: the disk fails.
    """
    (directory / _NAME).unlink(missing_ok=True)
    sync_directory(directory)


def _offset(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError
    return value


def _ranges(damage: list[list[object]]) -> tuple[Range, ...]:
    """Damaged ranges, each after the one before: a scan jumps over them, so one that leads back would never end."""
    ranges = tuple((_offset(start), _offset(end)) for start, end in damage)
    offsets = [offset for span in ranges for offset in span]
    if any(start >= end for start, end in ranges) or offsets != sorted(offsets):
        raise ValueError
    return ranges
