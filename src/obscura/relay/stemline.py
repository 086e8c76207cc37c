"""What goes to one stem peer, and when: within what it takes of one link, and a fair share for each that brings stems.

The next node has an account for us (:mod:`.stempool`), on which all that we send it shares. A flood that comes to us by
some links and leaves by this one must not fill that account, or honest stems beside it would be dropped there. So:

* no more is outstanding there (given, and not yet seen to spread) than a window, and than STEM_OUT_BYTES; beyond that
  only what a link with less than its share of it has brought is given, the rest waits here. The window grows by one for
  each that was seen to spread, up to STEM_OUT_COUNT, which is less than the next node takes, and shrinks by one for
  each that was not: a next node that is flooded itself drops what is over our share there;
* no more processor time is asked of the next node than STEM_OUT_TIME a second, by guess; who asks for much waits for
  himself (start-time fair queueing, as in :mod:`.validation`);
* links that have ended share one line: many short ones take no more turns than one.

Nobody comes first, our operator neither: a successor who floods would see what overtakes. What waits is bounded by the
accounts that it is on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ..base.instant import MICROSECONDS, Duration, Instant
from ..base.limits import STEM_OUT_BYTES, STEM_OUT_COUNT, STEM_OUT_START, STEM_OUT_TIME, STEM_OUT_TIME_BURST
from ..base.names import ConnId, TxId


@dataclass(slots=True, eq=False)
class _Item:
    """One transaction, waiting or outstanding."""

    relay_id: TxId
    size: int
    cost: Duration
    edge: ConnId
    given: bool = False
    done: bool = False


@dataclass(slots=True)
class _Share:
    """What one link has here."""

    items: dict[TxId, _Item] = field(default_factory=dict)
    line: deque[_Item] = field(default_factory=deque)
    """Those that wait; some of them may be done."""
    start: int = 0
    count: int = 0
    size: int = 0
    """Of those that are outstanding."""


class StemLine:
    """See the head of this file.

    Args:
        now: when it begins, with a full budget.
    """

    def __init__(self, now: Instant) -> None:
        self._shares: dict[ConnId, _Share] = {}
        self._items: dict[TxId, _Item] = {}
        self._virtual = 0
        self.window = STEM_OUT_START
        """How many may be outstanding."""
        self._time = STEM_OUT_TIME_BURST * MICROSECONDS
        self._at = now
        self.count = 0
        """How many are outstanding."""
        self.size = 0

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, relay_id: TxId) -> bool:
        return relay_id in self._items

    def was_given(self, relay_id: TxId) -> bool:
        """Whether a transaction is outstanding."""
        item = self._items.get(relay_id)
        return item is not None and item.given

    def put(self, edge: ConnId, relay_id: TxId, size: int, cost: Duration) -> None:
        """Have a transaction of ``size`` bytes given to the stem peer, which may take ``cost`` to judge, when its turn
        comes. One that is here already stays as it is."""
        if relay_id in self._items:
            return
        share = self._shares.setdefault(edge, _Share())
        item = _Item(relay_id, size, cost, edge)
        self._items[relay_id] = share.items[relay_id] = item
        if not share.line:
            share.start = max(share.start, self._virtual)
        share.line.append(item)

    def done(self, relay_id: TxId, *, spread: bool) -> None:
        """A transaction is not held here any more: it has ``spread``, or it had to be freed."""
        item = self._items.pop(relay_id, None)
        if item is None:
            return
        item.done = True
        share = self._shares[item.edge]
        del share.items[relay_id]
        if item.given:
            share.count -= 1
            share.size -= item.size
            self.count -= 1
            self.size -= item.size
            self.window = min(STEM_OUT_COUNT, self.window + 1) if spread else max(STEM_OUT_START, self.window - 1)
        if not share.items:
            del self._shares[item.edge]

    def link_gone(self, edge: ConnId, heir: ConnId) -> None:
        """A link has ended: what it has here is the ``heir``'s from now on."""
        share = self._shares.pop(edge, None)
        if share is None:
            return
        other = self._shares.setdefault(heir, _Share())
        for item in share.items.values():
            item.edge = heir
        other.items |= share.items
        other.line.extend(share.line)
        other.start = max(other.start, share.start)
        other.count += share.count
        other.size += share.size

    def take(self, now: Instant) -> list[TxId]:
        """Which to give now."""
        self._time = min(STEM_OUT_TIME_BURST * MICROSECONDS, self._time + (now - self._at) * STEM_OUT_TIME)
        self._at = now
        taken: list[TxId] = []
        while self._time > 0 and (share := self._next()) is not None:
            item = share.line.popleft()
            item.given = True
            share.count += 1
            share.size += item.size
            self.count += 1
            self.size += item.size
            self._virtual = share.start
            share.start += item.cost
            self._time -= item.cost * MICROSECONDS
            taken.append(item.relay_id)
        return taken

    def next_deadline(self) -> Instant | None:
        """When :meth:`take` has something, if time is all that it lacks."""
        if self._next() is None:
            return None
        return self._at if self._time > 0 else Instant(self._at + -self._time // STEM_OUT_TIME + 1)

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        shares = self._shares.values()
        assert self.count == sum(share.count for share in shares), "what is outstanding is counted"
        assert self.size == sum(share.size for share in shares), "and so are its bytes"
        assert len(self._items) == sum(len(share.items) for share in shares), "each has one share"
        for edge, share in self._shares.items():
            assert share.items, "links with nothing are forgotten"
            given = [item for item in share.items.values() if item.given]
            assert (len(given), sum(item.size for item in given)) == (share.count, share.size), "shares are exact"
            waiting = [item for item in share.line if not item.done]
            assert len(waiting) == len(share.items) - len(given), "what is not given waits, once"
            assert all(item.edge == edge for item in share.items.values()), "and knows where"

    def _next(self) -> _Share | None:
        """Whose turn it is."""
        full = self.count >= self.window
        links = len(self._shares)
        best: _Share | None = None
        for share in self._shares.values():
            while share.line and share.line[0].done:
                share.line.popleft()
            if not share.line or (best is not None and best.start <= share.start):
                continue
            size = share.line[0].size
            over = full or (self.count and self.size + size > STEM_OUT_BYTES)
            lean = share.count < max(1, self.window // links) and (
                not share.count or share.size + size <= STEM_OUT_BYTES // links
            )
            if lean or not over:
                best = share
        return best
