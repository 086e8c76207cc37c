"""Transactions whose parents are not known here yet.

Each link has an account, and pays for what it brings with it alone: over its bound its own oldest leaves, whatever it
is, so no link can push out what another one brought. Over the bound of all accounts together the largest one pays. They
leave after five minutes, and with their link.

A parent cannot be asked for: outpoints name it by its txid, and links announce by relay id. It comes by its own
announcement, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..base.errors import BugError
from ..base.instant import Instant, after
from ..base.limits import MEMPOOL_INPUT_BYTES, ORPHAN_AGE, ORPHAN_BYTES_PER_PEER, ORPHAN_BYTES_TOTAL, ORPHANS_PER_PEER
from ..base.names import ConnId, TxId
from ..chain.transactions import OutPoint, TxInfo


@dataclass(frozen=True, slots=True)
class Orphan:
    """One that waits, and who sent it."""

    conn: ConnId
    data: bytes = field(repr=False)
    info: TxInfo
    since: Instant

    @property
    def held(self) -> int:
        """Bytes of memory that it is counted for: one with thousands of inputs is mostly index."""
        return len(self.data) + MEMPOOL_INPUT_BYTES * len(self.info.spends)


class Orphanage:
    """See the head of this file."""

    def __init__(self) -> None:
        self._all: dict[TxId, Orphan] = {}
        """By relay id, oldest first."""
        self._accounts: dict[ConnId, dict[TxId, Orphan]] = {}
        self._sizes: dict[ConnId, int] = {}
        self._spenders: dict[OutPoint, dict[TxId, Orphan]] = {}
        self._parents: dict[TxId, dict[OutPoint, None]] = {}
        """Which outputs of a transaction some orphan spends, by its txid."""
        self.size = 0
        """Bytes of memory that all are counted for."""

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, relay_id: TxId) -> bool:
        return relay_id in self._all

    def held(self, conn: ConnId) -> int:
        """Bytes of memory on one link's account."""
        return self._sizes.get(conn, 0)

    def add(self, conn: ConnId, data: bytes, info: TxInfo, now: Instant) -> list[Orphan]:
        """Keep a transaction. Returns those that are not kept for it: it is among them if no account could hold it.

        Raises:
            BugError: it is here already.
        """
        orphan = Orphan(conn, data, info, now)
        if info.relay_id in self._all:
            raise BugError("an orphan is added twice")
        if orphan.held > ORPHAN_BYTES_PER_PEER:
            return [orphan]
        gone: list[Orphan] = []
        account = self._accounts.setdefault(conn, {})
        while len(account) >= ORPHANS_PER_PEER or self.held(conn) + orphan.held > ORPHAN_BYTES_PER_PEER:
            gone.append(self._remove(next(iter(account.values()))))
        self._all[info.relay_id] = account[info.relay_id] = orphan
        self._accounts[conn] = account
        self._sizes[conn] = self.held(conn) + orphan.held
        self.size += orphan.held
        for point in info.spends:
            self._spenders.setdefault(point, {})[info.relay_id] = orphan
            self._parents.setdefault(point.txid, {})[point] = None
        while self.size > ORPHAN_BYTES_TOTAL:
            largest = max(self._sizes, key=self.held)
            gone.append(self._remove(next(iter(self._accounts[largest].values()))))
        return gone

    def waiting_for(self, txid: TxId) -> list[Orphan]:
        """Take out those that spend an output of this transaction, oldest first."""
        found: dict[TxId, Orphan] = {}
        for point in self._parents.get(txid, ()):
            found.update(self._spenders[point])
        for orphan in found.values():
            self._remove(orphan)
        return sorted(found.values(), key=lambda one: one.since)

    def discard(self, relay_id: TxId) -> None:
        """Drop one, if it is here."""
        orphan = self._all.get(relay_id)
        if orphan is not None:
            self._remove(orphan)

    def erase_spending(self, points: Iterable[OutPoint]) -> list[Orphan]:
        """Drop those that spend any of these outputs: a block has spent them. Returns them."""
        spending = (orphan for point in points for orphan in list(self._spenders.get(point, {}).values()))
        return [self._remove(orphan) for orphan in spending]

    def peer_gone(self, conn: ConnId) -> list[Orphan]:
        """A link has ended. Returns what it had brought."""
        return [self._remove(orphan) for orphan in list(self._accounts.get(conn, {}).values())]

    def next_deadline(self) -> Instant | None:
        """When :meth:`expire` has something to do."""
        oldest = next(iter(self._all.values()), None)
        return None if oldest is None else after(oldest.since, ORPHAN_AGE)

    def expire(self, now: Instant) -> list[Orphan]:
        """Drop those whose time is over, and return them."""
        gone: list[Orphan] = []
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            gone.append(self._remove(next(iter(self._all.values()))))
        return gone

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        assert self.size == sum(one.held for one in self._all.values()) <= ORPHAN_BYTES_TOTAL, "bytes are bounded"
        assert sum(map(len, self._accounts.values())) == len(self._all), "each is on one account"
        for conn, account in self._accounts.items():
            assert account, "no account is empty"
            assert len(account) <= ORPHANS_PER_PEER, "an account is bounded in number"
            size = sum(one.held for one in account.values())
            assert size == self._sizes[conn] <= ORPHAN_BYTES_PER_PEER, "an account is bounded in bytes, and exact"
            assert all(self._all[name] is one and one.conn == conn for name, one in account.items()), "both ways"
        assert self._sizes.keys() == self._accounts.keys(), "sizes and accounts go together"
        points = {point for one in self._all.values() for point in one.info.spends}
        assert points == set(self._spenders), "what orphans spend is indexed, and nothing else"
        assert points == {point for under in self._parents.values() for point in under}, "by parent as well"

    def _remove(self, orphan: Orphan) -> Orphan:
        name, conn = orphan.info.relay_id, orphan.conn
        del self._all[name]
        del self._accounts[conn][name]
        self._sizes[conn] -= orphan.held
        self.size -= orphan.held
        if not self._accounts[conn]:
            del self._accounts[conn], self._sizes[conn]
        for point in orphan.info.spends:
            spenders = self._spenders[point]
            del spenders[name]
            if not spenders:
                del self._spenders[point]
                under = self._parents[point.txid]
                del under[point]
                if not under:
                    del self._parents[point.txid]
        return orphan
