"""Reading one segment file of the block store from front to back, whatever happened to it.

The scan finds every whole record and the ranges that hold none. It never writes. Where a record's head is whole but its
payload is not, the head's length tells where the next one begins; where the head is damaged, the next one is looked for
by the file's marker.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...chain import HEADER_BYTES
from .records import HEADS_BYTES, RECORD_BYTES, Kind, parse_record_head, payload_is_whole

_WINDOW: Final = 1 << 20
"""Bytes read at once while looking for a marker."""

Range = tuple[int, int]
"""Start and end (exclusive) of a stretch of a file, in bytes."""


@dataclass(frozen=True, slots=True)
class Found:
    """One whole record. ``start`` is the offset of its payload; ``lead`` is the header of a block, or a whole mark."""

    kind: int
    start: int
    length: int
    lead: bytes


@dataclass(frozen=True, slots=True)
class Scan:
    """A segment's contents: whole records in order, and the ranges in which there is none."""

    found: list[Found]
    damage: list[Range]
    size: int

    @property
    def torn(self) -> int | None:
        """Where a torn last write begins: the start of damage that reaches the file's end; else ``None``."""
        if self.damage and self.damage[-1][1] == self.size:
            return self.damage[-1][0]
        return None


def scan(fd: int, marker: bytes, trusted: int, known_damage: Sequence[Range]) -> Scan:
    """All records of an open segment file.

    Args:
        fd: open for reading.
        marker: the file's own, from its head.
        trusted: payloads that end at or before this offset were verified by an earlier run, and are not read again.
        known_damage: ranges below ``trusted`` that the earlier run found damaged, in order.

    Raises:
        OSError: the disk fails.
    """
    size = os.fstat(fd).st_size
    found: list[Found] = []
    damage: list[Range] = []
    jumps = dict(known_damage)
    at = HEADS_BYTES
    while at < size:
        if at in jumps:
            _add(damage, at, jumps[at])
            at = jumps[at]
            continue
        # One read brings the head and, of a block, all that the index needs.
        data = os.pread(fd, RECORD_BYTES + HEADER_BYTES, at)
        head = parse_record_head(marker, data)
        if head is None:
            following = _next_record(fd, marker, at + 1, size)
            _add(damage, at, following)
            at = following
            continue
        start, end = at + RECORD_BYTES, at + RECORD_BYTES + head.length
        if end > size:
            _add(damage, at, size)
            break
        verified = end <= trusted
        payload = b""
        if not verified or head.kind == Kind.REFUSED:
            payload = os.pread(fd, head.length, start)
            verified = payload_is_whole(head, payload)
        if verified:
            lead = payload if head.kind == Kind.REFUSED else data[RECORD_BYTES : RECORD_BYTES + head.length]
            found.append(Found(head.kind, start, head.length, lead))
        else:
            _add(damage, at, end)
        at = end
    return Scan(found, damage, size)


def _add(damage: list[Range], start: int, end: int) -> None:
    """Neighbouring ranges become one, so that a tail of several torn records is one tail."""
    if damage and damage[-1][1] == start:
        damage[-1] = (damage[-1][0], end)
    else:
        damage.append((start, end))


def _next_record(fd: int, marker: bytes, start: int, size: int) -> int:
    """The offset of the next whole record head at or after ``start``; ``size`` if there is none."""
    at = start
    while at < size:
        window = os.pread(fd, _WINDOW, at)
        if len(window) < len(marker):
            return size
        position = window.find(marker)
        while position >= 0:
            if parse_record_head(marker, os.pread(fd, RECORD_BYTES, at + position)) is not None:
                return at + position
            position = window.find(marker, position + 1)
        # A marker may begin in this window and end in the next.
        at += len(window) - len(marker) + 1
    return size
