"""What inbound links make us hold, over all of them, and which one ends when it is too much.

A link may hold a whole frame of its peer's that is not complete yet, or a long request that waits to be served. One
such link is bounded by its message's limit; a hundred of them would hold half a gigabyte. So the sum is bounded too,
and over it the link that has made no progress for longest ends. An honest link in the middle of a block makes progress
with each block, and honest links together stay far below the bound (limits: RECEIVE_TOTAL_BYTES); who sends half a
block on each of many links, and waits, is first.

The same holds the other way round for what was sent to a link and that it does not take: over the bound of the sum
(limits: SEND_TOTAL_BYTES) the link ends that has taken nothing for longest.
"""

from __future__ import annotations

from ..base.limits import LIGHT_LINK_BYTES, RECEIVE_TOTAL_BYTES
from ..base.names import ConnId


class Burdens:
    """The accounts of all inbound links that hold more than LIGHT_LINK_BYTES, least progress first.

    Args:
        most: bytes of all accounts together; RECEIVE_TOTAL_BYTES if not given.
    """

    __slots__ = ("_held", "_most", "total")

    def __init__(self, most: int | None = None) -> None:
        self._most = RECEIVE_TOTAL_BYTES if most is None else most
        self._held: dict[ConnId, int] = {}
        self.total = 0
        """Bytes in all accounts."""

    def weigh(self, conn: ConnId, held: int, came: int) -> list[ConnId]:
        """A link holds ``held`` bytes after ``came`` bytes came. Returns the links that are to end, if it is too much;
        they have no account any more."""
        before = self._held.get(conn, 0)
        if held <= LIGHT_LINK_BYTES:
            if before:
                self.forget(conn)
            return []
        if before and held < before + came:
            # A message of it was whole, or a part of its request was served.
            del self._held[conn]
        self._held[conn] = held
        self.total += held - before
        leaving: list[ConnId] = []
        while self.total > self._most:
            leaving.append(next(iter(self._held)))
            self.forget(leaving[-1])
        return leaving

    def forget(self, conn: ConnId) -> None:
        """A link has ended."""
        self.total -= self._held.pop(conn, 0)

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        assert self.total == sum(self._held.values()) <= self._most, "the sum is exact, and bounded"
        assert all(held > LIGHT_LINK_BYTES for held in self._held.values()), "only heavy links have an account"
