"""Bytes read as a row of choices, so that a fuzzer's input can name a whole story."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Takes choices off the front of ``data``. When it is used up every choice is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def more(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data)

    def byte(self) -> int:
        """0 to 255."""
        if not self.more:
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def below(self, bound: int) -> int:
        """A number in ``range(bound)``; bounds above 256 take two bytes."""
        value = self.byte()
        if bound > 256:
            value = value << 8 | self.byte()
        return value % bound

    def pick(self, items: Sequence[T]) -> T:
        """One of ``items``."""
        return items[self.below(len(items))]

    def take(self, length: int) -> bytes:
        """Up to ``length`` bytes; fewer at the end."""
        taken = self._data[self._at : self._at + length]
        self._at += len(taken)
        return taken

    def piece(self) -> bytes:
        """A short string of bytes with its length before it."""
        return self.take(self.byte())

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))
