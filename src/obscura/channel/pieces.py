"""Bytes in pieces: those that came before the frame in front of them was whole, and those that are to be written.

A large payload arrives in many reads. They are kept as they came and made one string once, as the payload itself: a
4 MB block is copied once, and never moves within a growing buffer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ..base.limits import JOIN_BYTES

PIECE_BYTES: Final = 16_384  # shorter pieces are gathered in one buffer; longer ones are kept as they are


class Pieces:
    """Bytes in the order in which they came, behind those that the channel looks at."""

    __slots__ = ("_parts", "size")

    def __init__(self) -> None:
        self._parts: list[bytes | bytearray | memoryview] = []
        self.size = 0
        """Bytes in all pieces."""

    def put(self, data: bytes | memoryview) -> None:
        """Add what has come."""
        self.size += len(data)
        if len(data) >= PIECE_BYTES:
            self._parts.append(data)
            return
        # Security: a peer that sends single bytes must not make us keep an object for each.
        last = self._parts[-1] if self._parts else None
        if isinstance(last, bytearray):
            last += data
        else:
            self._parts.append(bytearray(data))

    def clear(self) -> None:
        """Forget everything."""
        self._parts.clear()
        self.size = 0

    def take_front(self, before: bytes, length: int) -> bytes:
        """``before`` and what follows it in one string of at least ``length`` bytes; the caller has looked that there
        are so many. What it holds is no longer here."""
        taken: list[bytes | bytearray | memoryview] = [before]
        have = len(before)
        while have < length:
            part = self._parts.pop(0)
            taken.append(part)
            have += len(part)
            self.size -= len(part)
        return b"".join(taken)

    def take_payload(self, begin: memoryview, length: int) -> tuple[bytes, bytes, int]:
        """A payload that begins with ``begin`` and goes on here.

        Returns:
            The payload of ``length`` bytes; the piece in which it ends; and where, in that piece.
        """
        taken: list[bytes | bytearray | memoryview] = [begin]
        missing = length - len(begin)
        rest, position = b"", 0
        while missing:
            part = self._parts.pop(0)
            self.size -= len(part)
            if len(part) > missing:
                rest, position = bytes(part), missing
                taken.append(memoryview(rest)[:missing])
                break
            taken.append(part)
            missing -= len(part)
        return b"".join(taken), rest, position


def joined(parts: Iterable[bytes]) -> Iterator[bytes]:
    """``parts`` in order, small neighbours joined into pieces of at most JOIN_BYTES; larger parts are not copied."""
    run: list[bytes] = []
    size = 0
    for part in parts:
        if run and size + len(part) > JOIN_BYTES:
            yield run[0] if len(run) == 1 else b"".join(run)
            run, size = [], 0
        run.append(part)
        size += len(part)
    if run:
        yield run[0] if len(run) == 1 else b"".join(run)
