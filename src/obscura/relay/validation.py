"""Transactions that wait for the ledger's verdict: every link gets its share of the ledger's time, whatever it sends.

It is start-time fair queueing (Goyal, Vin, Cheng 1996) over processor time. A link's next transaction may begin, in
virtual time, when the ones before it have used up their cost; who has waited for nothing begins now. So links that send
costly transactions wait for themselves, and an honest link's transaction waits for the batch that is under way, and
for one of each other link at most. The cost is guessed by the number of inputs when a transaction is taken, and set
right when the verdict tells it.

What waits is bounded for each link and over all; over a bound the transaction that has just come is dropped, as if it
had never been sent, and may be asked of others. Our operator's transactions, and those that are judged again
because their block has left the chain, go first and are not bounded here: no peer makes them.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field

from ..base.instant import Duration, Instant
from ..base.limits import (
    VALIDATION_BATCH,
    VALIDATION_BATCH_COST,
    VALIDATION_GUESS_INPUT,
    VALIDATION_GUESS_READ,
    VALIDATION_LINK_BYTES,
    VALIDATION_LINK_COUNT,
    VALIDATION_TOTAL_BYTES,
)
from ..base.names import ConnId
from ..chain.transactions import TxInfo


@dataclass(frozen=True, slots=True)
class Waiting:
    """One transaction on its way to the ledger; ``conn`` is who sent it, ``None`` for our own operator and for what is
    judged again."""

    conn: ConnId | None
    data: bytes = field(repr=False)
    info: TxInfo
    own: bool = False
    """It is our operator's own."""
    since: Instant | None = None
    """When it came, if that was before it came into this line: it has waited in the mempool already."""
    stem: bool = False
    """It came by stem, is our operator's, or was in stem in an earlier run: it is no business of the open's."""

    private: bool = False
    """Of our operator's in stem: it is to be broadcast privately."""

    @property
    def key(self) -> bytes:
        """What names it here. One in stem is another one for each link, and than the same in the open."""
        relay_id = self.info.relay_id
        return relay_id + (self.conn or 0).to_bytes(8, "little") if self.stem else relay_id

    @property
    def guess(self) -> Duration:
        """Processor time that its verdict may take."""
        return Duration(VALIDATION_GUESS_READ + VALIDATION_GUESS_INPUT * len(self.info.spends))


@dataclass(slots=True)
class _Line:
    """What one link has waiting, and when, in virtual time, its next one may begin."""

    items: deque[Waiting] = field(default_factory=deque)
    size: int = 0
    start: int = 0


class ValidationQueue:
    """See the head of this file."""

    def __init__(self) -> None:
        self._own: deque[Waiting] = deque()
        self._lines: dict[ConnId, _Line] = {}
        self._heap: list[tuple[int, ConnId]] = []
        """Virtual start and link, for each link with something waiting; passed over where the start has moved."""
        self._virtual = 0
        self._held: dict[bytes, None] = {}
        self.stems = 0
        """How many of all wait in stem."""
        self.size = 0
        """Bytes that links have waiting."""

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: bytes) -> bool:
        """Whether a transaction waits: in the open by its relay id, see :attr:`Waiting.key`."""
        return key in self._held

    def waiting(self, conn: ConnId) -> int:
        """Bytes that one link has waiting."""
        line = self._lines.get(conn)
        return 0 if line is None else line.size

    def put(self, item: Waiting) -> bool:
        """Have a transaction judged. ``False`` if it was dropped: it waits already, or there is no room for it."""
        if item.key in self._held:
            return False
        if item.conn is None:
            self._own.append(item)
        elif not self._put(item.conn, item):
            return False
        self._held[item.key] = None
        self.stems += item.stem
        return True

    def _put(self, conn: ConnId, item: Waiting) -> bool:
        line = self._lines.get(conn)
        held, count = (line.size, len(line.items)) if line is not None else (0, 0)
        if count >= VALIDATION_LINK_COUNT or (count and held + len(item.data) > VALIDATION_LINK_BYTES):
            return False
        if self.size + len(item.data) > VALIDATION_TOTAL_BYTES and held and held >= self.size // len(self._lines):
            # Security: who holds more than his share finds no room; others still do, VALIDATION_LINK_BYTES each.
            return False
        if line is None:
            line = self._lines[conn] = _Line()
        if not line.items:
            line.start = max(line.start, self._virtual)
            heapq.heappush(self._heap, (line.start, conn))
        line.items.append(item)
        line.size += len(item.data)
        self.size += len(item.data)
        return True

    def take(self) -> list[Waiting]:
        """The next batch for the ledger: as many as keep it busy for VALIDATION_BATCH_COST, one at least."""
        batch: list[Waiting] = []
        cost = 0
        while len(batch) < VALIDATION_BATCH and cost < VALIDATION_BATCH_COST:
            item = self._next()
            if item is None:
                break
            del self._held[item.key]
            self.stems -= item.stem
            batch.append(item)
            cost += item.guess
        return batch

    def _next(self) -> Waiting | None:
        if self._own:
            return self._own.popleft()
        while self._heap:
            start, conn = heapq.heappop(self._heap)
            line = self._lines.get(conn)
            if line is None or not line.items:
                continue
            if line.start != start:
                # A verdict has put it off.
                heapq.heappush(self._heap, (line.start, conn))
                continue
            item = line.items.popleft()
            line.size -= len(item.data)
            self.size -= len(item.data)
            self._virtual = start
            line.start = start + item.guess
            if line.items:
                heapq.heappush(self._heap, (line.start, conn))
            return item
        return None

    def judged(self, item: Waiting, cost: Duration) -> None:
        """The ledger has judged a transaction that :meth:`take` gave, and it took ``cost``."""
        line = None if item.conn is None else self._lines.get(item.conn)
        if line is not None and cost > item.guess:
            # A guess that was too high is not given back: it is small, and tags must not move backwards.
            line.start += cost - item.guess

    def peer_gone(self, conn: ConnId) -> list[Waiting]:
        """A link has ended: what it had waiting is dropped. Returns that."""
        line = self._lines.pop(conn, None)
        if line is None:
            return []
        self.size -= line.size
        for item in line.items:
            del self._held[item.key]
            self.stems -= item.stem
        return list(line.items)

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        assert self.size == sum(line.size for line in self._lines.values()), "bytes are counted exactly"
        waiting = len(self._own) + sum(len(line.items) for line in self._lines.values())
        assert waiting == len(self._held), "each waits once"
        assert self.stems == sum(len(key) > 32 for key in self._held), "what is in stem is counted"
        ready = [conn for _, conn in self._heap]
        for conn, line in self._lines.items():
            assert line.size == sum(len(item.data) for item in line.items), "a link's bytes are counted exactly"
            assert len(line.items) <= VALIDATION_LINK_COUNT, "a link's line is bounded in number"
            assert len(line.items) <= 1 or line.size <= VALIDATION_LINK_BYTES, "a link's line is bounded in bytes"
            assert not line.items or conn in ready, "who waits will be served"
