"""Which block is asked of whom, when (design §8: window 1,024, 16 in flight per peer, stall detection).

The *path* is the list of headers from our tip to the best one. Blocks are asked for in its order, each of the least
busy peer that has it, within a window above the first missing one, so that what arrives can soon be used. A block that
is late is asked of a second peer as soon as one is idle; a peer that holds up the whole window while others wait is
reported as a staller. The policy returns values; the node sends, and closes.

A request ends by its block, by an explicit failure (``notfound``, an unreadable answer), or with the peer. Times adapt:
the patience with a late block doubles with each staller and falls back with each block (limits: STALL_*), and the hard
limit grows with the number of peers that share the line.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..base.instant import Duration, Instant, after, earliest
from ..base.limits import (
    BLOCK_BYTES,
    BLOCK_HOLDERS,
    BLOCK_TIMEOUT,
    BLOCKS_IN_FLIGHT,
    DOWNLOAD_WINDOW,
    IN_FLIGHT_BYTES,
    RETRY_SAME_PEER,
    SMALL_IN_FLIGHT,
    STALL_BASE,
    STALL_CAP,
    SYNC_BUFFER_BYTES,
)
from ..base.names import BlockHash, ConnId
from .view import Entry, HeaderTree

_LONG_AGO = Instant(-(1 << 62))


@dataclass(slots=True)
class _Source:
    """A peer that can be asked."""

    best: Entry
    common: int = -1
    """Height up to which its chain is our path (and our active chain below it)."""
    common_for: tuple[Entry, Entry] | None = None
    requests: dict[BlockHash, Instant] = field(default_factory=dict)
    """What is asked of it, with the time of asking, oldest first."""
    progress: Instant = _LONG_AGO
    """When it last delivered, or was first asked while idle."""
    resting: Instant = _LONG_AGO
    """Not asked before this: its last answer could not be read."""
    paused: bool = False
    """We do not read from it now."""
    refilling: bool = True
    """It has few enough requests to be given more."""
    nothing_beside: tuple[object, ...] | None = None
    """What things were like when it had nothing to give beside the path."""


class Downloader:
    """Tracks every block request of a node."""

    def __init__(self, tree: HeaderTree, minimum_work: int = 0) -> None:
        self._tree = tree
        self._minimum_work = minimum_work
        self._path: list[Entry] = []
        self._first = 0  # index of the first entry of the path whose body is missing
        self._next = 0  # index of the first entry of the path that was never asked for
        self._retry: dict[BlockHash, Entry] = {}
        self._sources: dict[ConnId, _Source] = {}
        self._holders: dict[BlockHash, list[ConnId]] = {}  # peers asked for a block, at most two
        self._buffered: dict[BlockHash, int] = {}  # bodies that arrived and are not in the ledger yet: their size
        self._buffered_bytes = 0
        self._expected = BLOCK_BYTES  # of the largest recent block; the largest possible until one has come
        self._patience: Duration = STALL_BASE

    # -- what the node reports

    def peer_has(self, conn: ConnId, best: Entry) -> None:
        """A peer has shown a header: it has that block and those below."""
        source = self._sources.get(conn)
        if source is None:
            self._sources[conn] = _Source(best)
        else:
            source.best = best

    def peer_gone(self, conn: ConnId) -> None:
        """A peer is gone; what it was asked for is asked of others."""
        source = self._sources.pop(conn, None)
        if source is not None:
            for block_hash in source.requests:
                self._release(block_hash, conn)

    def requested_from(self, conn: ConnId, block_hash: BlockHash) -> bool:
        """Whether this block was asked of this peer and the request still stands."""
        source = self._sources.get(conn)
        return source is not None and block_hash in source.requests

    def in_flight(self, conn: ConnId) -> int:
        """Requests that stand with a peer."""
        source = self._sources.get(conn)
        return 0 if source is None else len(source.requests)

    def arrived(self, conn: ConnId, entry: Entry, size: int, now: Instant) -> bool:
        """A block that was asked for is here. ``False`` says to drop it: another peer's copy came first, or the buffer
        is full."""
        source = self._sources[conn]
        del source.requests[entry.hash]
        source.progress = now
        self._patience = max(STALL_BASE, Duration(self._patience * 85 // 100))
        self._release(entry.hash, conn)
        if entry.body or entry.hash in self._buffered:
            return False
        self._expected = max(size, self._expected * 15 // 16)
        if self._buffered_bytes + size > SYNC_BUFFER_BYTES and not self._is_first(entry):
            # Larger than what was reckoned with: rather asked for again than held.
            self.again(entry)
            return False
        self._retry.pop(entry.hash, None)
        self._buffered[entry.hash] = size
        self._buffered_bytes += size
        return True

    def settled(self, entry: Entry) -> None:
        """The ledger has decided about a block (whatever it said)."""
        self._buffered_bytes -= self._buffered.pop(entry.hash, 0)

    def not_found(self, conn: ConnId, block_hash: BlockHash) -> bool:
        """A peer says that it has not what it was asked for; ``False`` if it was not asked."""
        source = self._sources.get(conn)
        if source is None or block_hash not in source.requests:
            return False
        del source.requests[block_hash]
        entry = self._tree.get(block_hash)
        if entry is not None and entry.previous is not None and self._tree.is_ancestor(entry, source.best):
            # It has shown the header and has not the body: it is not asked for what lies above either.
            source.best = entry.previous
        self._release(block_hash, conn)
        return True

    def unreadable(self, conn: ConnId, now: Instant) -> None:
        """A ``block`` of this peer could not be read. Answers come in order, so its oldest request has failed; it is
        asked of another peer, or of this one after a rest."""
        source = self._sources.get(conn)
        if source is None or not source.requests:
            return
        block_hash = next(iter(source.requests))
        del source.requests[block_hash]
        source.resting = after(now, RETRY_SAME_PEER)
        self._release(block_hash, conn)

    def again(self, entry: Entry) -> None:
        """A body that had arrived was of no use; if the block is still wanted, it is asked for anew."""
        if self._wanted(entry) and self.on_path(entry):
            self._retry[entry.hash] = entry

    def pause(self, conn: ConnId) -> None:
        """We do not read from a peer for a while: it is neither asked nor blamed."""
        source = self._sources.get(conn)
        if source is not None:
            source.paused = True

    def resume(self, conn: ConnId, rested: Duration) -> None:
        """We read again, after ``rested``."""
        source = self._sources.get(conn)
        if source is not None:
            source.paused = False
            source.progress = after(source.progress, rested)

    def on_path(self, entry: Entry) -> bool:
        """Whether a header is one of those between our tip and the best one."""
        if not self._path:
            return False
        index = entry.height - self._path[0].height
        return 0 <= index < len(self._path) and self._path[index] is entry

    # -- what the policy says

    def plan(self, now: Instant) -> list[tuple[ConnId, Entry]]:
        """What to ask of whom now; the requests count as sent."""
        self._refresh()
        slots = self._slots
        for source in self._sources.values():
            # Many at once: a request for each block that has come would cost more than the block.
            source.refilling = len(source.requests) <= slots // 2
        chosen: list[tuple[ConnId, Entry]] = []
        while (entry := self._candidate()) is not None:
            conn = self._least_busy(entry, now)
            if conn is None:
                if entry.hash in self._retry and self._plan_past_retry(chosen, now):
                    continue
                break
            self._take(entry)
            self._request(conn, entry, now)
            chosen.append((conn, entry))
        if not chosen or self._candidate() is None:
            chosen.extend(self._second_tries(now))
        chosen.extend(self._beside_the_path(now))
        return chosen

    def overdue(self, now: Instant) -> ConnId | None:
        """A peer to be closed: it held up the window for the whole patience, or kept a request beyond all limits."""
        for conn, source in self._sources.items():
            if source.requests and not source.paused and now >= self._hard_deadline(source):
                return conn
        staller = self._staller()
        if (
            staller is not None
            and not self._sources[staller].paused
            and now >= after(self._sources[staller].progress, self._patience)
        ):
            self._patience = min(STALL_CAP, Duration(self._patience * 2))
            return staller
        return None

    def next_deadline(self, now: Instant) -> Instant | None:
        """When :meth:`plan` or :meth:`overdue` may have something new without any event. Moments that have passed
        are not named again: what they allow is looked at after each event."""
        times: list[Instant] = []
        for source in self._sources.values():
            if source.requests:
                times.append(self._hard_deadline(source))
                times.append(after(source.progress, self._patience))
            times.append(source.resting)
        return earliest(*(time for time in times if time > now))

    @property
    def missing(self) -> bool:
        """A better chain is known whose blocks are not all here."""
        return self._tree.best.work > self._tree.tip.work

    @property
    def buffered_bytes(self) -> int:
        """Bytes of bodies that have arrived and are not decided about."""
        return self._buffered_bytes

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        for block_hash, holders in self._holders.items():
            assert 0 < len(holders) <= BLOCK_HOLDERS, "a block is asked of one peer, of others when it is late"
            assert all(block_hash in self._sources[conn].requests for conn in holders), "both views agree"
        for source in self._sources.values():
            assert len(source.requests) <= SMALL_IN_FLIGHT, "a peer's share is bounded"
        assert self._buffered_bytes == sum(self._buffered.values()), "the account of bytes is exact"

    # -- inside

    def _refresh(self) -> None:
        """Bring the path up to date with the tree's best header."""
        best, tip = self._tree.best, self._tree.tip
        if best.work <= tip.work or best.work < self._minimum_work:
            self._path, self._first, self._next = [], 0, 0
            self._retry.clear()
            return
        if not self._path or self._path[-1] is not best:
            old_end = self._path[-1] if self._path else None
            addition: list[Entry] = []
            at: Entry = best
            while at is not old_end and not self._tree.is_active(at):
                addition.append(at)
                assert at.previous is not None, "every branch ends in the active chain"
                at = at.previous
            addition.reverse()
            if old_end is not None and at is old_end:
                self._path.extend(addition)
            else:
                self._path, self._first, self._next = addition, 0, 0
                self._retry.clear()
        while self._first < len(self._path) and self._path[self._first].body:
            self._first += 1
        self._next = max(self._next, self._first)
        if self._first > 4 * DOWNLOAD_WINDOW:
            del self._path[: self._first]
            self._next -= self._first
            self._first = 0

    def _is_first(self, entry: Entry) -> bool:
        """Whether all others wait for this block."""
        return self._first < len(self._path) and self._path[self._first] is entry

    @property
    def _slots(self) -> int:
        """How many requests a peer may have: more of small blocks, so that they are not waited for one by one."""
        return max(BLOCKS_IN_FLIGHT, min(SMALL_IN_FLIGHT, IN_FLIGHT_BYTES // max(1, self._expected)))

    @property
    def _full(self) -> bool:
        """What is buffered, and what is under way at the size of the largest recent block, fills the buffer."""
        return self._buffered_bytes + len(self._holders) * self._expected >= SYNC_BUFFER_BYTES

    def _wanted(self, entry: Entry) -> bool:
        return not (entry.body or entry.invalid or entry.hash in self._buffered or entry.hash in self._holders)

    def _candidate(self) -> Entry | None:
        """The lowest block that should be asked for next."""
        for block_hash, entry in list(self._retry.items()):
            if self._wanted(entry) and self.on_path(entry):
                return None if self._full and not self._is_first(entry) else entry
            del self._retry[block_hash]
        end = min(len(self._path), self._first + DOWNLOAD_WINDOW)
        while self._next < end:
            entry = self._path[self._next]
            if self._wanted(entry):
                return None if self._full and self._next > self._first else entry
            self._next += 1
        return None

    def _plan_past_retry(self, chosen: list[tuple[ConnId, Entry]], now: Instant) -> bool:
        """Nobody can take a retried block now; let the others be asked for what comes next. ``True`` if one was."""
        end = min(len(self._path), self._first + DOWNLOAD_WINDOW)
        while self._next < end and not self._wanted(self._path[self._next]):
            self._next += 1
        if self._next >= end or self._full:
            return False
        entry = self._path[self._next]
        conn = self._least_busy(entry, now)
        if conn is None:
            return False
        self._take(entry)
        self._request(conn, entry, now)
        chosen.append((conn, entry))
        return True

    def _take(self, entry: Entry) -> None:
        if self._retry.pop(entry.hash, None) is None:
            self._next += 1

    def _request(self, conn: ConnId, entry: Entry, now: Instant) -> None:
        source = self._sources[conn]
        if not source.requests:
            source.progress = now
        source.requests[entry.hash] = now
        self._holders.setdefault(entry.hash, []).append(conn)

    def _release(self, block_hash: BlockHash, conn: ConnId) -> None:
        """One peer no longer holds a request; nobody else does either: it is to be asked for again."""
        holders = self._holders[block_hash]
        holders.remove(conn)
        if holders:
            return
        del self._holders[block_hash]
        entry = self._tree.get(block_hash)
        if entry is not None and self._wanted(entry) and self.on_path(entry):
            self._retry[block_hash] = entry

    def _least_busy(self, entry: Entry, now: Instant) -> ConnId | None:
        best_conn: ConnId | None = None
        best_load = self._slots
        urgent = entry.hash in self._retry or self._is_first(entry)
        for conn, source in self._sources.items():
            load = len(source.requests)
            if (
                load < best_load
                and (source.refilling or urgent)
                and not source.paused
                and source.resting <= now
                and entry.hash not in source.requests
                and entry.height <= self._common(source)
            ):
                best_conn, best_load = conn, load
        return best_conn

    def _common(self, source: _Source) -> int:
        """Height up to which a peer's chain is the path, so that it has those blocks."""
        if not self._path:
            return -1
        key = (source.best, self._path[-1])
        if source.common_for != key:
            source.common_for = key
            base = self._path[0].height
            at = source.best
            while at.height >= base:
                index = at.height - base
                if (index < len(self._path) and self._path[index].hash == at.hash) or at.previous is None:
                    break
                at = at.previous
            source.common = at.height
        return source.common

    def _late_requests(self, now: Instant) -> list[Entry]:
        """Blocks none of whose holders has shown progress for the whole patience, lowest first."""
        late: dict[BlockHash, Entry] = {}
        for source in self._sources.values():
            if source.requests and self._is_late(source, now):
                for block_hash in source.requests:
                    entry = self._tree.get(block_hash)
                    holders = self._holders[block_hash]
                    if (
                        entry is not None
                        # Another holder may have delivered it meanwhile: then nobody waits for it.
                        and not (entry.body or entry.invalid or block_hash in self._buffered)
                        and len(holders) < BLOCK_HOLDERS
                        and self.on_path(entry)
                        and all(self._is_late(self._sources[conn], now) for conn in holders)
                    ):
                        late[block_hash] = entry
        return sorted(late.values(), key=lambda entry: entry.height)

    def _is_late(self, source: _Source, now: Instant) -> bool:
        # Security: also while we do not read from it. It is not blamed; but who asks us for much would otherwise keep a
        # block from us, as nobody else is asked for what it is to send.
        return now >= after(source.progress, self._patience)

    def _second_tries(self, now: Instant) -> list[tuple[ConnId, Entry]]:
        """Ask idle peers for what others are late with."""
        chosen: list[tuple[ConnId, Entry]] = []
        for entry in self._late_requests(now):
            conn = self._least_busy(entry, now)
            if conn is None or self._sources[conn].requests.keys() - {one.hash for _, one in chosen}:
                continue
            self._request(conn, entry, now)
            chosen.append((conn, entry))
        return chosen

    def _beside_the_path(self, now: Instant) -> list[tuple[ConnId, Entry]]:
        """Ask peers that have nothing of the path for what they do have, if it is better than our tip.

        Security: whoever shows the best headers and keeps their blocks back would otherwise hold up everybody else's.
        Only branches that end near our tip are looked at, so that a long one does not cost us a walk at each event.
        """
        chosen: list[tuple[ConnId, Entry]] = []
        tip = self._tree.tip
        for conn, source in self._sources.items():
            best = source.best
            if (
                source.requests
                or source.resting > now
                or best.invalid
                or not tip.work < best.work >= self._minimum_work
                or best.height > tip.height + DOWNLOAD_WINDOW
                or self._common(source) >= best.height
                or self._full
                or source.paused
            ):
                continue
            # With the checks: headers are mostly looked at here before the ledger has judged them.
            now_like = (best, tip, self._tree.checks, len(self._holders), len(self._buffered))
            if source.nothing_beside == now_like:
                continue
            missing: list[Entry] = []
            at = best
            while not self._tree.is_active(at) and at.previous is not None:
                if self._wanted(at) and at.checked:
                    missing.append(at)
                at = at.previous
            if not missing:
                source.nothing_beside = now_like
            for entry in missing[: -BLOCKS_IN_FLIGHT - 1 : -1]:
                self._retry.pop(entry.hash, None)
                self._request(conn, entry, now)
                chosen.append((conn, entry))
        return chosen

    def _staller(self) -> ConnId | None:
        """The only holder of the first missing block, when the window is used up and another peer has nothing to do."""
        if self._first >= len(self._path) or self._next < min(self._first + DOWNLOAD_WINDOW, len(self._path)):
            return None
        if self._next == len(self._path):
            return None
        holders = self._holders.get(self._path[self._first].hash, [])
        if len(holders) != 1:
            return None
        idle = any(not source.requests for conn, source in self._sources.items() if conn != holders[0])
        return holders[0] if idle else None

    def _hard_deadline(self, source: _Source) -> Instant:
        others = sum(1 for other in self._sources.values() if other.requests) - 1
        return after(source.progress, Duration(BLOCK_TIMEOUT + BLOCK_TIMEOUT // 2 * max(0, others)))
