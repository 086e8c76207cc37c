"""Private broadcast: our operator's transactions that are handed to a few strangers, each by a connection of its own
which shows nothing of who we are (design §6; docs/decisions/0013-private-broadcast.md).

This is the queue: whom a transaction was handed to, who has confirmed that, and when the next step is due. A step is a
dial to one recipient. BROADCAST_RECIPIENTS are sought at first, at random distances; one that does not confirm is
replaced by another. When all have, the transaction is waited for: if it does not come back from the network, one more
recipient is sought, by waits that double. Nothing of this is in the mempool, and nothing that others may ask about
depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ..base.instant import MICROSECONDS, Duration, Instant, after, earliest
from ..base.limits import (
    BROADCAST_FORGET,
    BROADCAST_LINKS,
    BROADCAST_QUEUE,
    BROADCAST_RECIPIENTS,
    BROADCAST_RESUME,
    BROADCAST_RETRY,
    BROADCAST_RETURN,
    BROADCAST_RETURN_MOST,
    BROADCAST_SPREAD,
    BROADCAST_YOUNG,
    MEMPOOL_AGE,
)
from ..base.names import ConnId, TxId
from ..base.randomness import Chance
from ..chain.transactions import OutPoint, TxInfo
from ..wire.address import NetAddress

_DOUBLINGS: Final = 16
_YOUNG: Final = BROADCAST_YOUNG * MICROSECONDS


@dataclass(slots=True, eq=False)
class Broadcast:
    """One transaction in the queue."""

    data: bytes = field(repr=False)
    info: TxInfo
    since: Instant
    """When it was handed in."""
    kept: bool
    """An earlier run has left it: whom it was given to is not known."""
    at: Instant | None
    """When its next step is due; ``None`` while something is under way that says when."""
    asked: dict[NetAddress, None] = field(default_factory=dict, repr=False)
    """Recipients that were chosen in this run, whatever came of it."""
    under_way: dict[ConnId, NetAddress] = field(default_factory=dict, repr=False)
    """Dials and links."""
    receipts: int = 0
    """How many have confirmed it."""
    given: bool = False
    """Somebody was given it, whether he confirms it or not."""
    lacking_since: Instant | None = None
    """Nobody was reached since, though it was tried."""
    failures: int = 0
    """How many have not, since one did."""
    waits: int = 0
    """How often it was waited for."""
    misses: int = 0
    """How often in a row what it spends was not there."""
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
    reached: bool = False
    """Its handshake is complete."""
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
        self._leaving: dict[TxId, Instant] = {}
        """When the disk is to forget what has come back."""
        self._most = BROADCAST_QUEUE

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

    def contradicted(self, info: TxInfo) -> bool:
        """Whether one that is here spends what another one does, or is another form of it."""
        ours = self._by_txid.get(info.txid)
        if ours is not None and ours.info.relay_id != info.relay_id:
            return True
        return any(self._spends.get(point, ours) is not ours for point in info.spends)

    def parents_of(self, info: TxInfo) -> list[Broadcast]:
        """Those that a transaction spends from."""
        txids = dict.fromkeys(point.txid for point in info.spends)
        return [entry for txid in txids if (entry := self._by_txid.get(txid)) is not None]

    def add(self, data: bytes, info: TxInfo, now: Instant, age: Duration | None = None) -> Broadcast:
        """Queue a transaction that is not here and contradicts none that is. ``age``: how long ago an earlier run took
        it; ``None``: it is new."""
        # What was kept is not given up at the start: a clock may have been wrong, then or now.
        age, kept = Duration(0) if age is None else Duration(min(age, MEMPOOL_AGE - _YOUNG)), age is not None
        mean = BROADCAST_RESUME if kept else BROADCAST_SPREAD
        entry = Broadcast(data, info, Instant(now - age), kept, after(now, self._chance.exponential(mean)))
        # Nothing that is on disk is forgotten for want of room.
        self._most += kept
        self._leaving.pop(info.relay_id, None)
        self._entries[info.relay_id] = self._by_txid[info.txid] = entry
        for point in info.spends:
            self._spends[point] = entry
        return entry

    def forget_later(self, relay_id: TxId, now: Instant) -> None:
        """The disk is to forget a transaction, at a moment that says nothing: it has come back just now, and is among
        all others there."""
        self._leaving[relay_id] = after(now, self._chance.exponential(BROADCAST_FORGET))

    def take_forgotten(self, now: Instant) -> list[TxId]:
        """What the disk is to forget by now."""
        found = [relay_id for relay_id, at in self._leaving.items() if at <= now]
        for relay_id in found:
            del self._leaving[relay_id]
        return found

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
        return earliest(*(entry.at for entry in self._entries.values() if not entry.judged), *self._leaving.values())

    def postpone(self, entry: Broadcast, now: Instant, mean: Duration = BROADCAST_RETRY) -> None:
        """There is no leave to go on now: look again later."""
        entry.at = after(now, Duration(mean // 2 + self._chance.exponential(Duration(mean // 2))))

    def lack(self, entry: Broadcast, now: Instant) -> None:
        """There is nobody to be dialled now. Moments are drawn so that not all go on together once there is."""
        entry.nobody = True
        entry.lacking_since = now if entry.lacking_since is None else entry.lacking_since
        entry.at = after(now, self._chance.exponential(BROADCAST_RESUME))

    def reached(self, conn: ConnId) -> None:
        """A recipient's handshake is complete."""
        handover = self.handovers[conn]
        handover.reached = True
        if (entry := self._entries.get(handover.relay_id)) is not None:
            entry.lacking_since = None

    def give(self, conn: ConnId) -> None:
        """A recipient is given what he has asked for."""
        handover = self.handovers[conn]
        handover.given = True
        if (entry := self._entries.get(handover.relay_id)) is not None:
            entry.given = True

    def dialled(self, entry: Broadcast, conn: ConnId, recipient: NetAddress, now: Instant) -> None:
        """A recipient is dialled."""
        self.handovers[conn] = Handover(entry.info.relay_id, entry.data)
        entry.asked[recipient] = None
        entry.under_way[conn] = recipient
        entry.nobody = False
        entry.at = None
        if entry.wants > 0 and not entry.failures:
            entry.at = after(now, self._chance.exponential(BROADCAST_SPREAD))

    def confirmed(self, conn: ConnId, now: Instant) -> Broadcast | None:
        """A recipient has confirmed what it was given; the transaction, if it is still here."""
        handover = self.handovers[conn]
        entry = self._entries.get(handover.relay_id)
        if entry is not None and entry.under_way.pop(conn, None) is not None:
            entry.receipts += 1
            entry.failures = 0
            if entry.receipts >= BROADCAST_RECIPIENTS:
                self._wait(entry, now)
            elif entry.wants > 0 and entry.at is None:
                entry.at = after(now, self._chance.exponential(BROADCAST_SPREAD))
        return entry

    def ended(self, conn: ConnId, now: Instant, *, ours: bool = False) -> None:
        """A dial or a link is over. One without a receipt is made up for by another recipient. ``ours``: it did not
        come further than a daemon of ours."""
        handover = self.handovers.pop(conn, None)
        entry = None if handover is None else self._entries.get(handover.relay_id)
        recipient = None if entry is None else entry.under_way.pop(conn, None)
        if handover is None or entry is None or recipient is None:
            return
        if ours:
            entry.asked.pop(recipient, None)
        entry.failures += 1
        if not handover.reached and entry.lacking_since is None:
            entry.lacking_since = now
        if entry.receipts >= BROADCAST_RECIPIENTS:
            self._wait(entry, now)
        else:
            doublings = min(entry.failures // BROADCAST_RECIPIENTS, _DOUBLINGS)
            mean = Duration(min(BROADCAST_RETRY << doublings, BROADCAST_RETURN_MOST))
            entry.at = after(now, self._chance.exponential(mean))

    def _wait(self, entry: Broadcast, now: Instant) -> None:
        """All that were sought have it: wait for it to come back."""
        least = Duration(min(BROADCAST_RETURN << min(entry.waits, _DOUBLINGS), BROADCAST_RETURN_MOST))
        entry.waits += 1
        entry.at = after(now, self._chance.span(least, Duration(2 * least)))

    def check(self) -> None:
        """Walk the invariants; for tests, fuzzers and simulations."""
        assert len(self._entries) <= self._most, "the queue is bounded"
        assert not any(relay_id in self._entries for relay_id in self._leaving), "what waits is kept"
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
