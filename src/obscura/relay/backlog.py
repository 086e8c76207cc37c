"""How much is announced: one budget for all inbound links together, a wider one for all outbound links.

Whatever comes in, no more than a rate of transactions and of bytes goes out, so a flood that pays its way into the
mempool costs each link's bandwidth no more than a busy day does. What is over it waits, and what pays most goes first:
a flood at the floor holds up nobody who pays a little more.
"""

from __future__ import annotations

import heapq

from ..base.errors import BugError
from ..base.instant import MICROSECONDS, Instant
from ..base.limits import (
    RANKS_SLACK,
    RELAY_BURST,
    RELAY_BYTES_BURST,
    RELAY_BYTES_PER_SECOND,
    RELAY_OUTBOUND_FACTOR,
    RELAY_PER_SECOND,
)
from ..base.names import TxId


class Backlog:
    """Transactions that wait for the budget.

    Args:
        now: when it begins, with a full budget.
        tenths: of the usual rates: 10, or 25 for outbound links; 0 for no bound at all.
    """

    def __init__(self, now: Instant, tenths: int = 10) -> None:
        if tenths < 0:
            raise BugError("a rate is not negative")
        self._tenths = tenths
        # Budgets are counted in millionths of a tenth, so that whole microseconds earn whole numbers.
        self._count_most = RELAY_BURST * tenths * MICROSECONDS
        self._bytes_most = RELAY_BYTES_BURST * tenths * MICROSECONDS
        self._count = self._count_most
        self._bytes = self._bytes_most
        self._at = now
        self._waiting: dict[TxId, int] = {}
        """Sizes by relay id."""
        self._heap: list[tuple[int, TxId]] = []

    @classmethod
    def outbound(cls, now: Instant) -> Backlog:
        """The wider budget, for links that we chose ourselves."""
        return cls(now, RELAY_OUTBOUND_FACTOR)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, relay_id: TxId, rate: int, size: int) -> None:
        """Have a transaction of ``size`` bytes announced when its turn comes; those that pay a higher ``rate`` are
        first, those that pay the same in the order of their ids, which tells nothing."""
        if relay_id not in self._waiting:
            self._waiting[relay_id] = size
            heapq.heappush(self._heap, (-rate, relay_id))

    def forget(self, relay_id: TxId) -> None:
        """It has left the mempool."""
        self._waiting.pop(relay_id, None)
        if len(self._heap) > 2 * len(self._waiting) + RANKS_SLACK:
            self._heap = [item for item in self._heap if item[1] in self._waiting]
            heapq.heapify(self._heap)

    def release(self, now: Instant) -> list[TxId]:
        """Those whose turn has come."""
        self._earn(now)
        found: list[TxId] = []
        while self._heap:
            _, relay_id = self._heap[0]
            size = self._waiting.get(relay_id)
            if size is not None:
                # A budget may be overdrawn by one: the largest transaction must not wait for ever.
                if self._tenths and (self._count <= 0 or self._bytes <= 0):
                    break
                self._count -= 10 * MICROSECONDS
                self._bytes -= 10 * MICROSECONDS * size
                del self._waiting[relay_id]
                found.append(relay_id)
            heapq.heappop(self._heap)
        return found

    def next_deadline(self) -> Instant | None:
        """When :meth:`release` has something more to give; ``None`` if nothing waits."""
        if not self._waiting:
            return None
        if not self._tenths:
            return self._at
        short = max(
            _wait(self._count, RELAY_PER_SECOND * self._tenths),
            _wait(self._bytes, RELAY_BYTES_PER_SECOND * self._tenths),
        )
        return Instant(self._at + short)

    def _earn(self, now: Instant) -> None:
        passed = now - self._at
        self._at = now
        self._count = min(self._count_most, self._count + passed * RELAY_PER_SECOND * self._tenths)
        self._bytes = min(self._bytes_most, self._bytes + passed * RELAY_BYTES_PER_SECOND * self._tenths)


def _wait(budget: int, earned: int) -> int:
    """Microseconds until a budget is above zero."""
    return 0 if budget > 0 else -budget // earned + 1
