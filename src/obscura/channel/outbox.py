"""Clear bytes that wait to be sealed, in order, cut wherever a record ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class Outbox:
    """Pieces of messages, never copied until they are sealed."""

    __slots__ = ("_offset", "_pieces", "size")

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._offset = 0
        """Bytes of the first piece that were taken."""
        self.size = 0
        """Bytes that wait."""

    def put(self, pieces: Iterable[bytes]) -> None:
        """Add pieces behind what waits."""
        for piece in pieces:
            if piece:
                self._pieces.append(piece)
                self.size += len(piece)

    def take(self, length: int) -> list[bytes | memoryview]:
        """The next ``length`` bytes, in pieces; the caller has looked that there are so many."""
        taken: list[bytes | memoryview] = []
        self.size -= length
        while length:
            piece = self._pieces[0]
            left = len(piece) - self._offset
            if left <= length:
                taken.append(memoryview(piece)[self._offset :] if self._offset else piece)
                self._pieces.popleft()
                self._offset = 0
                length -= left
            else:
                taken.append(memoryview(piece)[self._offset : self._offset + length])
                self._offset += length
                length = 0
        return taken

    def clear(self) -> None:
        """Forget everything."""
        self._pieces.clear()
        self._offset = 0
        self.size = 0
