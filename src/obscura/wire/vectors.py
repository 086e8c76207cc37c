"""Inventory vectors kept in the form of the wire: 36 bytes each, where a list of objects would take four times that.

A ``getdata`` may ask for 50,000 blocks, and every link may send one and then not read.
"""

from __future__ import annotations

from collections.abc import Iterable

from .inventory import VECTOR_BYTES, InventoryItem


class VectorQueue:
    """A queue of inventory vectors; the verbs are those of ``collections.deque``."""

    __slots__ = ("_at", "_data")

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0

    def __len__(self) -> int:
        return (len(self._data) - self._at) // VECTOR_BYTES

    @property
    def size(self) -> int:
        """Bytes of its vectors; it holds twice that at most."""
        return len(self._data) - self._at

    def append(self, item: InventoryItem) -> None:
        """Add one at the end."""
        self._data += item.kind.to_bytes(4, "little") + item.hash

    def extend(self, items: Iterable[InventoryItem]) -> None:
        """Add some at the end."""
        self._data += b"".join(part for item in items for part in (item.kind.to_bytes(4, "little"), item.hash))

    def appendleft(self, item: InventoryItem) -> None:
        """Put one back before the first."""
        if self._at == 0:
            self._data[:0] = bytes(VECTOR_BYTES)
            self._at = VECTOR_BYTES
        self._at -= VECTOR_BYTES
        self._data[self._at : self._at + VECTOR_BYTES] = item.kind.to_bytes(4, "little") + item.hash

    def popleft(self) -> InventoryItem:
        """Take the first.

        Raises:
            IndexError: there is none.
        """
        if not self:
            msg = "pop from an empty queue"
            raise IndexError(msg)
        at = self._at
        vector = bytes(self._data[at : at + VECTOR_BYTES])
        self._at = at + VECTOR_BYTES
        if self._at == len(self._data):
            self._data = bytearray()
            self._at = 0
        elif self._at > len(self._data) // 2:
            # What is gone is cut off when it is the larger half: each byte moves once.
            del self._data[: self._at]
            self._at = 0
        return InventoryItem(int.from_bytes(vector[:4], "little"), vector[4:])

    def drain(self) -> tuple[InventoryItem, ...]:
        """Take all."""
        return tuple(self.popleft() for _ in range(len(self)))
