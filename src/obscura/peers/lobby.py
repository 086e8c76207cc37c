"""Inbound connections that have not completed their handshake: how many may wait, and who has to leave.

Anybody can open a connection, so what waits here is bounded apart from the inbound slots: LOBBY_PER_GROUP for each
network group, LOBBY_LINKS in all. Over a bound one connection leaves, chosen by group and age alone: what a stranger
has *sent* would tell a prober which bytes we like (docs/decisions/0006-lobby.md).

- A full group loses its own oldest, so that a group competes only with itself.
- A full lobby loses the oldest of the largest group. Among groups of the same size it is the one that has had that
  size for longest: with one connection from each of many groups this is the oldest of all.

Every verb takes the same small number of steps, however many wait: it is called for each connection of a flood.
"""

from __future__ import annotations

from ..base.limits import LOBBY_LINKS, LOBBY_PER_GROUP
from ..base.names import ConnId


class Lobby:
    """Who waits, by group and age. One for each node.

    Args:
        links: how many may wait; at least one.
    """

    __slots__ = ("_group_of", "_links", "_members", "_sizes")

    def __init__(self, links: int = LOBBY_LINKS) -> None:
        self._links = links
        self._group_of: dict[ConnId, bytes] = {}
        self._members: dict[bytes, dict[ConnId, None]] = {}
        """The connections of each group, oldest first."""
        self._sizes: list[dict[bytes, None]] = [{} for _ in range(LOBBY_PER_GROUP + 1)]
        """The groups of each size, in the order in which they came to it."""

    def __len__(self) -> int:
        return len(self._group_of)

    def __contains__(self, conn: ConnId) -> bool:
        return conn in self._group_of

    def enter(self, conn: ConnId, group: bytes) -> ConnId | None:
        """Let a new connection wait. Returns the one that has to leave for it; it is out of the lobby already."""
        leaving: ConnId | None = None
        if len(self._members.get(group, ())) >= LOBBY_PER_GROUP:
            leaving = next(iter(self._members[group]))
        elif len(self._group_of) >= self._links:
            largest = next(groups for groups in reversed(self._sizes) if groups)
            leaving = next(iter(self._members[next(iter(largest))]))
        if leaving is not None:
            self.leave(leaving)
        members = self._members.setdefault(group, {})
        self._move(group, len(members), len(members) + 1)
        members[conn] = None
        self._group_of[conn] = group
        return leaving

    def leave(self, conn: ConnId) -> bool:
        """A connection has opened or ended; ``False`` if it did not wait here."""
        group = self._group_of.pop(conn, None)
        if group is None:
            return False
        members = self._members[group]
        del members[conn]
        self._move(group, len(members) + 1, len(members))
        if not members:
            del self._members[group]
        return True

    def _move(self, group: bytes, before: int, after: int) -> None:
        if before:
            del self._sizes[before][group]
        if after:
            self._sizes[after][group] = None

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        assert len(self._group_of) <= self._links, "the lobby is bounded"
        assert len(self._group_of) == sum(map(len, self._members.values())), "both views hold the same connections"
        assert sum(map(len, self._sizes)) == len(self._members), "each group has one size"
        for size, groups in enumerate(self._sizes):
            assert all(len(self._members[group]) == size for group in groups), "groups stand under their size"
