"""Whom to ask for which transaction, and when.

Many links announce one transaction; it is asked of one at a time. The rules, each with the attack that it answers:

* *Links that we dialled are asked first*: inbound ones wait two seconds. An attacker has as many inbound links as he
  likes, and outbound ones only by luck.
* *One in flight for each transaction*, sixty seconds at most, then the next link is asked: who announces and never
  delivers delays it by that, once for each of his links that comes before an honest one.
* *Among equals the order is a keyed hash* of transaction and link: nobody can arrange to be asked first, or learn from
  being asked who else announced.
* *A busy link waits*: with a hundred requests under way a new announcement of it waits two seconds more, but it is
  never refused for that, or a flood of requests made by others' silence would hide what only it has.
* *Five thousand announcements* are kept for each link, and a hundred thousand for all, beyond which each link has a
  share of its own. What is over is not taken: it costs that link alone.

A transaction whose announcements are all done is forgotten. One that is *held* is here and not judged yet, or waits
for a parent: nobody is asked for it, but who has it is remembered, so that a link which brings it and takes it away
again (by leaving, or by pushing it out of a bound) gains nothing.
"""

from __future__ import annotations

import hashlib
import heapq
from enum import IntEnum

from ..base.instant import Duration, Instant, after
from ..base.limits import (
    RANKS_SLACK,
    TRACKED_PER_PEER,
    TRACKED_SHARE,
    TRACKED_TOTAL,
    TX_DELAY_INBOUND,
    TX_DELAY_OVERLOADED,
    TX_IN_FLIGHT,
    TX_REQUEST_TIMEOUT,
)
from ..base.names import ConnId, TxId


class _State(IntEnum):
    WAITING = 0
    READY = 1
    ASKED = 2
    LATE = 3
    """Asked, and its time is over; should the answer come all the same, it is welcome."""
    DONE = 4


class _Announcement:
    """One link has one transaction. ``at``: when the wait or the request's time ends."""

    __slots__ = ("at", "conn", "preferred", "state", "tx_id")

    def __init__(self, conn: ConnId, tx_id: TxId, at: Instant, *, preferred: bool) -> None:
        self.conn = conn
        self.tx_id = tx_id
        self.at = at
        self.preferred = preferred
        self.state = _State.WAITING


class _Link:
    __slots__ = ("asked", "known")

    def __init__(self) -> None:
        self.known: dict[TxId, _Announcement] = {}
        self.asked = 0


class RequestTracker:
    """See the head of this file.

    Args:
        key: 32 secret bytes, for the order among equals.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._links: dict[ConnId, _Link] = {}
        self._holders: dict[TxId, list[_Announcement]] = {}
        self._ripe: dict[TxId, None] = {}
        """Transactions of which another link may have to be asked."""
        self._held: dict[TxId, None] = {}
        self._heap: list[tuple[Instant, int, _Announcement]] = []
        self._serial = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def announcements(self, conn: ConnId) -> int:
        """How many announcements of a link are kept."""
        link = self._links.get(conn)
        return 0 if link is None else len(link.known)

    def in_flight(self, conn: ConnId) -> int:
        """How many requests to a link are under way."""
        link = self._links.get(conn)
        return 0 if link is None else link.asked

    def announced(self, conn: ConnId, tx_id: TxId, *, preferred: bool, now: Instant) -> bool:
        """A link has announced a transaction. ``False`` if that was not taken: the link has announced it before, or
        too many others. ``preferred``: it is one that we dialled."""
        link = self._links.get(conn)
        if link is None:
            link = self._links[conn] = _Link()
        if tx_id in link.known or len(link.known) >= TRACKED_PER_PEER:
            return False
        if self._count >= TRACKED_TOTAL and len(link.known) >= TRACKED_SHARE:
            return False
        wait = 0 if preferred else TX_DELAY_INBOUND
        if link.asked >= TX_IN_FLIGHT:
            wait += TX_DELAY_OVERLOADED
        announcement = _Announcement(conn, tx_id, after(now, Duration(wait)), preferred=preferred)
        link.known[tx_id] = announcement
        holders = self._holders.get(tx_id)
        if holders is None:
            self._holders[tx_id] = [announcement]  # memory: a list made with its one item is the smallest
        else:
            holders.append(announcement)
        self._count += 1
        self._push(announcement)
        return True

    def due(self, now: Instant) -> list[tuple[ConnId, TxId]]:
        """Whom to ask for what now; what is returned counts as asked. Links stand together, in a stable order."""
        while self._heap and self._heap[0][0] <= now:
            at, _, announcement = heapq.heappop(self._heap)
            if announcement.at != at:
                continue
            if announcement.state is _State.WAITING:
                announcement.state = _State.READY
                self._ripe[announcement.tx_id] = None
            elif announcement.state is _State.ASKED:
                self._finish(announcement, _State.LATE)
        chosen: list[_Announcement] = []
        for tx_id in self._ripe:
            holders = None if tx_id in self._held else self._holders.get(tx_id)
            best = None if holders is None else self._best(holders)
            if best is not None:
                chosen.append(best)
        self._ripe.clear()
        for announcement in chosen:
            announcement.state = _State.ASKED
            announcement.at = after(now, TX_REQUEST_TIMEOUT)
            self._links[announcement.conn].asked += 1
            self._push(announcement)
        return sorted(((one.conn, one.tx_id) for one in chosen), key=lambda pair: pair[0])

    def next_deadline(self) -> Instant | None:
        """When :meth:`due` has something to do, or a moment that has been overtaken comes; a moment in the past if it
        has something at once."""
        if self._ripe:
            return Instant(0)
        return self._heap[0][0] if self._heap else None

    def requested_from(self, conn: ConnId, tx_id: TxId) -> bool:
        """Whether a transaction was asked of a link and the answer has not come: also if it is late."""
        link = self._links.get(conn)
        known = None if link is None else link.known.get(tx_id)
        return known is not None and known.state in (_State.ASKED, _State.LATE)

    def answered(self, conn: ConnId, tx_id: TxId) -> None:
        """The link has answered, and that was not the end of it: another one may be asked."""
        link = self._links.get(conn)
        announcement = None if link is None else link.known.get(tx_id)
        if announcement is not None and announcement.state is not _State.DONE:
            self._finish(announcement, _State.DONE)

    not_found = answered

    def postpone(self, conn: ConnId, tx_id: TxId, now: Instant) -> None:
        """The link has answered, and there was no room for it: this link or another one is asked a little later."""
        link = self._links.get(conn)
        announcement = None if link is None else link.known.get(tx_id)
        if link is None or announcement is None:
            return
        if announcement.state is _State.ASKED:
            link.asked -= 1
        announcement.state = _State.WAITING
        announcement.at = after(now, TX_DELAY_OVERLOADED)
        self._ripe[tx_id] = None
        self._push(announcement)

    def hold(self, tx_id: TxId) -> None:
        """The transaction is here, but not for good: nobody is asked for it until :meth:`release`. Nothing happens if
        no announcement of it is kept; one that comes later is held by another call."""
        if tx_id in self._holders:
            self._held[tx_id] = None

    def release(self, tx_id: TxId) -> None:
        """It is not here any more, and was not judged: who has it may be asked."""
        self._held.pop(tx_id, None)
        if tx_id in self._holders:
            self._ripe[tx_id] = None

    def forget(self, tx_id: TxId) -> None:
        """The transaction need not be asked for any more: it is here, or it is refused for good."""
        self._held.pop(tx_id, None)
        for announcement in self._holders.pop(tx_id, ()):
            self._drop(announcement)
        self._ripe.pop(tx_id, None)
        self._sweep()

    def peer_gone(self, conn: ConnId) -> None:
        """A link has ended; what was asked of it may be asked of others at once."""
        link = self._links.get(conn)
        if link is None:
            return
        for announcement in list(link.known.values()):
            self._holders[announcement.tx_id].remove(announcement)
            self._drop(announcement)
            self._look_again(announcement.tx_id)
        del self._links[conn]
        self._sweep()

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        pairs = [(conn, tx_id) for conn, link in self._links.items() for tx_id in link.known]
        assert len(pairs) == self._count == sum(map(len, self._holders.values())), "both ways lead to the same"
        moments = {(at, id(one)) for at, _, one in self._heap}
        for conn, link in self._links.items():
            assert len(link.known) <= TRACKED_PER_PEER, "announcements are bounded for each link"
            asked = sum(one.state is _State.ASKED for one in link.known.values())
            assert link.asked == asked, "requests under way are counted"
            for tx_id, one in link.known.items():
                assert one in self._holders[tx_id] and one.conn == conn, "both ways lead to the same"
                if one.state in (_State.WAITING, _State.ASKED):
                    assert (one.at, id(one)) in moments, "what waits has a moment"
        for tx_id, holders in self._holders.items():
            states = [one.state for one in holders]
            assert states.count(_State.ASKED) <= 1, "one request for each transaction"
            assert any(state < _State.LATE for state in states), "what is done with is forgotten"
            if _State.READY in states and _State.ASKED not in states:
                assert tx_id in self._ripe or tx_id in self._held, "who can be asked is looked at"
        assert all(tx_id in self._holders for tx_id in self._held), "what is held has announcements"
        assert len(self._heap) <= 2 * self._count + RANKS_SLACK, "overtaken moments are swept out"

    # -- within

    def _push(self, announcement: _Announcement) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (announcement.at, self._serial, announcement))
        self._sweep()

    def _sweep(self) -> None:
        if len(self._heap) <= 2 * self._count + RANKS_SLACK:
            return
        live = (_State.WAITING, _State.ASKED)
        self._heap = [item for item in self._heap if item[2].state in live and item[2].at == item[0]]
        heapq.heapify(self._heap)

    def _best(self, holders: list[_Announcement]) -> _Announcement | None:
        """Whom to ask, unless somebody is being asked."""
        ready = []
        for one in holders:
            if one.state is _State.ASKED:
                return None
            if one.state is _State.READY:
                ready.append(one)
        if len(ready) < 2:
            return ready[0] if ready else None
        return min(ready, key=self._rank)

    def _rank(self, announcement: _Announcement) -> tuple[bool, bytes]:
        name = announcement.tx_id + announcement.conn.to_bytes(8, "little")
        return not announcement.preferred, hashlib.blake2b(name, digest_size=8, key=self._key).digest()

    def _finish(self, announcement: _Announcement, state: _State) -> None:
        """A link has had its turn."""
        if announcement.state is _State.ASKED:
            self._links[announcement.conn].asked -= 1
        announcement.state = state
        self._look_again(announcement.tx_id)

    def _look_again(self, tx_id: TxId) -> None:
        """One of a transaction's announcements has gone or is done: it is forgotten, or another link is asked."""
        holders = self._holders[tx_id]
        if any(one.state < _State.LATE for one in holders):
            self._ripe[tx_id] = None
        else:
            self.forget(tx_id)

    def _drop(self, announcement: _Announcement) -> None:
        """Take an announcement off its link's account."""
        link = self._links[announcement.conn]
        if announcement.state is _State.ASKED:
            link.asked -= 1
        announcement.state = _State.DONE
        del link.known[announcement.tx_id]
        self._count -= 1
