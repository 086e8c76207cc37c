"""Which transactions a link is known to have: exact for the latest, bounded, and cheap to ask.

Ids are shortened to 64 bits by a keyed hash (:func:`short_id`), once for each transaction and used for all links.
Nobody without the key can make two ids meet; by chance one of 49,000 meets a new id once in 3.7 * 10^14 times, and then
that one transaction is not announced to that one link.

Two generations: the young one takes what is added, and takes the old one's place when it is full. So the latest 24,576
at least are known, twice as many at most, and forgetting needs no search. A generation is a table of 64-bit numbers
with linear probing, grown from small: a quiet link costs some hundred bytes, a busy one half a megabyte at most.
"""

from __future__ import annotations

import hashlib
from array import array
from typing import Final

from ..base.errors import BugError
from ..base.limits import KNOWN_IDS_GENERATION

_SMALLEST: Final = 16


def short_id(key: bytes, name: bytes) -> int:
    """Sixty-four bits of a transaction's id, never zero.

    Args:
        key: secret, 16 to 64 bytes; the same for all tables that are to be asked.
    """
    return int.from_bytes(hashlib.blake2b(name, digest_size=8, key=key).digest(), "little") or 1


class KnownIds:
    """A set of short ids that forgets the oldest.

    Args:
        generation: how many are remembered at least, once so many were added; twice as many at most.
    """

    __slots__ = ("_count", "_generation", "_old", "_young")

    def __init__(self, generation: int = KNOWN_IDS_GENERATION) -> None:
        if generation < 1:
            raise BugError("a generation holds one id at least")
        self._generation = generation
        self._young = _table(_SMALLEST)
        self._old = _table(1)
        self._count = 0

    def __contains__(self, short: int) -> bool:
        young, old = self._young, self._old
        return young[_slot(young, short)] == short or old[_slot(old, short)] == short

    def add(self, short: int) -> bool:
        """Remember an id, as the youngest if it was among the old. ``False`` if it was known."""
        young = self._young
        at = _slot(young, short)
        if young[at] == short:
            return False
        known = self._old[_slot(self._old, short)] == short
        if self._count == self._generation:
            self._old = young
            young = self._young = _table(_SMALLEST)
            at = _slot(young, short)
            self._count = 0
        elif 4 * (self._count + 1) > 3 * len(young):
            young = self._young = _grown(young)
            at = _slot(young, short)
        young[at] = short
        self._count += 1
        return not known

    def clear(self) -> None:
        """Forget all."""
        self._young, self._old, self._count = _table(_SMALLEST), _table(1), 0

    @property
    def size(self) -> int:
        """Bytes of both tables."""
        return 8 * (len(self._young) + len(self._old))

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        held = [short for short in self._young if short]
        assert len(held) == self._count <= self._generation, "the young generation is counted, and bounded"
        assert 4 * self._count <= 3 * len(self._young), "the table has room, so that probing ends soon"
        assert all(self._young[_slot(self._young, short)] == short for short in held), "each is found"


def _table(size: int) -> array[int]:
    return array("Q", bytes(8 * size))


def _slot(table: array[int], short: int) -> int:
    """Where an id stands, or would."""
    mask = len(table) - 1
    at = short & mask
    while (held := table[at]) and held != short:
        at = at + 1 & mask
    return at


def _grown(table: array[int]) -> array[int]:
    larger = _table(2 * len(table))
    for short in table:
        if short:
            larger[_slot(larger, short)] = short
    return larger
