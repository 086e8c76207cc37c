"""Private broadcast: our operator's transactions that are handed to a few strangers, each by a connection of its own
which shows nothing of who we are (design §6; docs/decisions/0013-private-broadcast.md).

This is the queue: whom a transaction was handed to, who has confirmed that, and when the next step is due. A step is a
dial to one recipient. BROADCAST_RECIPIENTS are sought at first, at random distances; one that does not confirm is
replaced by another. When all have, the transaction is waited for: if it does not come back from the network, one more
recipient is sought, by waits that double. Nothing of this is in the mempool, and nothing that others may ask about
depends on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..base.instant import Duration, Instant, after, earliest
from ..base.limits import (
    BROADCAST_LINKS,
    BROADCAST_QUEUE,
    BROADCAST_RECIPIENTS,
    BROADCAST_RESUME,
    BROADCAST_RETRY,
    BROADCAST_RETURN,
    BROADCAST_RETURN_MOST,
    BROADCAST_SPREAD,
)
from ..base.names import ConnId, TxId
from ..base.randomness import Chance
from ..chain.transactions import OutPoint, TxInfo
from ..wire.address import NetAddress

_DOUBLINGS = 16


@dataclass(slots=True, eq=False)
class Broadcast:
    """One transaction in the queue."""

    data: bytes = field(repr=False)
    info: TxInfo
    since: Instant
    """When it was handed in."""
    began: Instant
    """When this run took it up."""
    at: Instant | None
    """When its next step is due; ``None`` while something is under way that says when."""
    asked: dict[NetAddress, None] = field(default_factory=dict, repr=False)
    """Recipients that were chosen in this run, whatever came of it."""
    under_way: dict[ConnId, NetAddress] = field(default_factory=dict, repr=False)
    """Dials and links."""
    receipts: int = 0
    """How many have confirmed it."""
    failures: int = 0
    """How many have not, since one did."""
    waits: int = 0
    """How often it was waited for."""
    misses: int = 0
    """How often in a row the ledger would not have it."""
    nobody: bool = False
    """At its last step there was nobody to be dialled."""
    judged: bool = False
    """The ledger is looking at it."""
    falls_back: bool = False
    """It was given up to stem."""

    @property
    def wants(self) -> int:
        """How many more recipients are to be dialled now."""
        return max(1, BROADCAST_RECIPIENTS - self.receipts) - len(self.under_way)


@dataclass(slots=True, eq=False)
class Handover:
    """One connection for one transaction, from its dial to its end. That its transaction has left the queue meanwhile
    does not end it: the recipient would see."""

    relay_id: TxId
    data: bytes = field(repr=False)
    given: bool = False
    """The recipient was given it."""


class Broadcasts:
    """See the head of this file."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._entries: dict[TxId, Broadcast] = {}
        self._by_txid: dict[TxId, Broadcast] = {}
        self._spends: dict[OutPoint, Broadcast] = {}
        self.handovers: dict[ConnId, Handover] = {}
        """Dials and links for transactions that are here, or were."""

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, relay_id: TxId) -> bool:
        return relay_id in self._entries

    def get(self, relay_id: TxId) -> Broadcast | None:
        """A transaction by its relay id."""
        return self._entries.get(relay_id)

    def by_txid(self, txid: TxId) -> Broadcast | None:
        """And by its txid."""
        return self._by_txid.get(txid)

    def entries(self) -> list[Broadcast]:
        """All of them, in the order in which they came."""
        return list(self._entries.values())

    @property
    def has_room(self) -> bool:
        """Whether there is room for one more."""
        return len(self._entries) < BROADCAST_QUEUE

    @property
    def may_dial(self) -> bool:
        """Whether one more connection may be made."""
        return len(self.handovers) < BROADCAST_LINKS

    def contradicted(self, info: TxInfo) -> bool:
        """Whether one that is here spends what another one does, or is another form of it."""
        ours = self._by_txid.get(info.txid)
        if ours is not None and ours.info.relay_id != info.relay_id:
            return True
        return any(self._spends.get(point, ours) is not ours for point in info.spends)

    def spending(self, points: Iterable[OutPoint]) -> list[Broadcast]:
        """Those that spend one of these."""
        found = {entry.info.relay_id: entry for point in points if (entry := self._spends.get(point)) is not None}
        return list(found.values())

    def parents_of(self, info: TxInfo) -> list[Broadcast]:
        """Those that a transaction spends from."""
        txids = dict.fromkeys(point.txid for point in info.spends)
        return [entry for txid in txids if (entry := self._by_txid.get(txid)) is not None]

    def add(self, data: bytes, info: TxInfo, now: Instant, age: Duration | None = None) -> Broadcast:
        """Queue a transaction that is not here and contradicts none that is. ``age``: how long ago an earlier run took
        it; ``None``: it is new."""
        mean = BROADCAST_SPREAD if age is None else BROADCAST_RESUME
        entry = Broadcast(data, info, Instant(now - (age or 0)), now, after(now, self._chance.exponential(mean)))
        self._entries[info.relay_id] = self._by_txid[info.txid] = entry
        for point in info.spends:
            self._spends[point] = entry
        return entry

    def remove(self, relay_id: TxId) -> Broadcast | None:
        """Let a transaction go. Its connections end by themselves."""
        entry = self._entries.pop(relay_id, None)
        if entry is not None:
            del self._by_txid[entry.info.txid]
            for point in entry.info.spends:
                del self._spends[point]
        return entry

    def choose(self, recipients: Sequence[NetAddress]) -> NetAddress | None:
        """One of several, ``None`` of none."""
        return self._chance.choice(recipients) if recipients else None

    # -- steps

    def due(self, now: Instant) -> list[Broadcast]:
        """Those whose next step is due."""
        return [one for one in self._entries.values() if one.at is not None and one.at <= now and not one.judged]

    def next_deadline(self) -> Instant | None:
        """When the next one is."""
        return earliest(*(entry.at for entry in self._entries.values() if not entry.judged))

    def postpone(self, entry: Broadcast, now: Instant, least: Duration = BROADCAST_RETRY) -> None:
        """There is nobody to be dialled now, or no leave: look again later."""
        entry.at = after(now, Duration(least // 2 + self._chance.exponential(Duration(least // 2))))

    def dialled(self, entry: Broadcast, conn: ConnId, recipient: NetAddress, now: Instant) -> None:
        """A recipient is dialled."""
        self.handovers[conn] = Handover(entry.info.relay_id, entry.data)
        entry.asked[recipient] = None
        entry.under_way[conn] = recipient
        entry.at = after(now, self._chance.exponential(BROADCAST_SPREAD)) if entry.wants > 0 else None

    def confirmed(self, conn: ConnId, now: Instant) -> Broadcast | None:
        """A recipient has confirmed what it was given; the transaction, if it is still here."""
        handover = self.handovers[conn]
        entry = self._entries.get(handover.relay_id)
        if entry is not None and entry.under_way.pop(conn, None) is not None:
            entry.receipts += 1
            entry.failures = 0
            if entry.receipts >= BROADCAST_RECIPIENTS:
                self._wait(entry, now)
        return entry

    def ended(self, conn: ConnId, now: Instant, *, ours: bool = False) -> None:
        """A dial or a link is over. One without a receipt is made up for by another recipient. ``ours``: it did not
        come further than a daemon of ours."""
        handover = self.handovers.pop(conn, None)
        entry = None if handover is None else self._entries.get(handover.relay_id)
        recipient = None if entry is None else entry.under_way.pop(conn, None)
        if entry is None or recipient is None:
            return
        if ours:
            entry.asked.pop(recipient, None)
        else:
            entry.failures += 1
        if entry.receipts >= BROADCAST_RECIPIENTS:
            self._wait(entry, now)
        else:
            doublings = min(entry.failures // BROADCAST_RECIPIENTS, _DOUBLINGS)
            mean = Duration(min(BROADCAST_RETRY << doublings, BROADCAST_RETURN_MOST))
            retry = after(now, self._chance.exponential(mean))
            entry.at = retry if entry.at is None else min(entry.at, retry)

    def _wait(self, entry: Broadcast, now: Instant) -> None:
        """All that were sought have it: wait for it to come back."""
        least = Duration(min(BROADCAST_RETURN << min(entry.waits, _DOUBLINGS), BROADCAST_RETURN_MOST))
        entry.waits += 1
        entry.at = after(now, self._chance.span(least, Duration(2 * least)))

    def check(self) -> None:
        """Walk the invariants; for tests, fuzzers and simulations."""
        assert len(self._entries) <= BROADCAST_QUEUE, "the queue is bounded"
        assert len(self.handovers) <= BROADCAST_LINKS, "connections are bounded"
        assert len(self._by_txid) == len(self._entries), "one form of each transaction"
        for relay_id, entry in self._entries.items():
            assert relay_id == entry.info.relay_id and self._by_txid[entry.info.txid] is entry, "each has its names"
            assert all(self._spends[point] is entry for point in entry.info.spends), "each has what it spends"
            assert entry.at is not None or entry.judged or entry.under_way, "each goes on"
            for conn in entry.under_way:
                assert self.handovers[conn].relay_id == relay_id, "each connection is for one transaction"
            assert all(address in entry.asked for address in entry.under_way.values()), "recipients are remembered"
        spent = sum(len(set(entry.info.spends)) for entry in self._entries.values())
        assert spent == len(self._spends), "what left spends nothing here"
