"""What goes to one stem peer, and when: within what it takes of one link, and a fair share for each that brings stems.

The next node has an account for us (:mod:`.stempool`), on which all that we send it shares. A flood that comes to us by
some links and leaves by this one must not fill that account, or honest stems beside it would be dropped there. So:

* no more is outstanding there (given, and not yet seen to spread) than a window, and than STEM_OUT_BYTES; beyond that
  only a link that has less than its share of it finds room. The window grows by one for each that was seen to
  spread, up to STEM_OUT_COUNT, which is less than the next node takes, and shrinks by one for each that was not: a
  next node that is flooded itself drops what is over our share there;
* no more processor time is asked of the next node than STEM_OUT_TIME a second, by guess; who asks for much waits for
  himself (start-time fair queueing, as in :mod:`.validation`).

Nobody comes first, our operator neither: a successor who floods would see what overtakes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from ..base.instant import MICROSECONDS, Duration, Instant
from ..base.limits import STEM_OUT_BYTES, STEM_OUT_COUNT, STEM_OUT_START, STEM_OUT_TIME, STEM_OUT_TIME_BURST
from ..base.names import ConnId, TxId


class _Item(NamedTuple):
    relay_id: TxId
    cost: Duration


@dataclass(slots=True)
class _Share:
    """What one link has on its way, or outstanding, here."""

    line: deque[_Item] = field(default_factory=deque)
    start: int = 0
    count: int = 0
    size: int = 0


class StemLine:
    """See the head of this file.

    Args:
        now: when it begins, with a full budget.
    """

    def __init__(self, now: Instant) -> None:
        self._shares: dict[ConnId, _Share] = {}
        self._outstanding: dict[TxId, tuple[ConnId, int]] = {}
        """Whose share it is on, and its bytes."""
        self._virtual = 0
        self.window = STEM_OUT_START
        """How many may be outstanding."""
        self._time = STEM_OUT_TIME_BURST * MICROSECONDS
        self._at = now
        self.count = 0
        self.size = 0

    def __contains__(self, relay_id: TxId) -> bool:
        return relay_id in self._outstanding

    def put(self, edge: ConnId, relay_id: TxId, size: int, cost: Duration) -> bool:
        """Have a transaction of ``size`` bytes given to the stem peer, which may take ``cost`` to judge. ``False`` if
        there is no room for it, or it is here already."""
        if relay_id in self._outstanding:
            return False
        share = self._shares.get(edge)
        if share is None:
            share = self._shares[edge] = _Share()
        links = len(self._shares)
        full = self.count >= self.window or self.size + size > STEM_OUT_BYTES
        if full and (share.count >= self.window // links or share.size + size > STEM_OUT_BYTES // links):
            self._tidy(edge)
            return False
        if not share.line:
            share.start = max(share.start, self._virtual)
        share.line.append(_Item(relay_id, cost))
        share.count += 1
        share.size += size
        self.count += 1
        self.size += size
        self._outstanding[relay_id] = (edge, size)
        return True

    def done(self, relay_id: TxId, *, spread: bool) -> None:
        """A transaction is not held here any more: it has ``spread``, or it had to be freed."""
        known = self._outstanding.pop(relay_id, None)
        if known is None:
            return
        if spread:
            self.window = min(STEM_OUT_COUNT, self.window + 1)
        else:
            self.window = max(STEM_OUT_START, self.window - 1)
        edge, size = known
        share = self._shares[edge]
        share.count -= 1
        share.size -= size
        self.count -= 1
        self.size -= size
        self._tidy(edge)

    def take(self, now: Instant) -> list[TxId]:
        """Which to give now."""
        self._time = min(STEM_OUT_TIME_BURST * MICROSECONDS, self._time + (now - self._at) * STEM_OUT_TIME)
        self._at = now
        taken: list[TxId] = []
        while self._time > 0 and (edge := self._next()) is not None:
            share = self._shares[edge]
            item = share.line.popleft()
            self._virtual = share.start
            share.start += item.cost
            if item.relay_id in self._outstanding:
                self._time -= item.cost * MICROSECONDS
                taken.append(item.relay_id)
            else:
                self._tidy(edge)
        return taken

    def next_deadline(self) -> Instant | None:
        """When :meth:`take` has something, if time is all that it lacks."""
        if self._next() is None:
            return None
        return self._at if self._time > 0 else Instant(self._at + -self._time // STEM_OUT_TIME + 1)

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        assert self.count == len(self._outstanding) == sum(share.count for share in self._shares.values()), "exact"
        assert self.size == sum(size for _, size in self._outstanding.values()), "bytes are exact"
        assert self.size == sum(share.size for share in self._shares.values()), "and so they are for each link"
        assert all(share.count or share.line for share in self._shares.values()), "links with nothing are forgotten"

    def _next(self) -> ConnId | None:
        waiting = [(share.start, edge) for edge, share in self._shares.items() if share.line]
        return min(waiting)[1] if waiting else None

    def _tidy(self, edge: ConnId) -> None:
        share = self._shares[edge]
        if not share.count and not share.line:
            del self._shares[edge]
