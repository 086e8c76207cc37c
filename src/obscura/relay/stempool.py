"""Transactions in stem: held here, told to nobody but the next on their way, until they spread or their embargo ends.

It is apart from the mempool, and nobody can tell from outside what is in it. Rules, each with the attack that it
answers (reference: the objections to Dandelion in Bitcoin Core, PR 13947):

* *Each link has an account*: so many transactions, bytes, and so much processor time for judging. What is over it is
  dropped, the newest first, and nothing leaves for what pays more: no link can push out another's stems, or learn
  by pushing what is here.
* *Accounts do not know of each other*: a transaction that two links have brought is on both, so that room on one's own
  account tells nothing of others' stems.
* *A transaction builds only on what its own link has brought*, as its judging would tell what others have. Honest
  children come by the way of their parents.
* *One transaction for each output spent*; who contradicts it is dropped without a word. Our operator's may stand
  beside somebody else's: he must not learn what is here either.
* *What a link has brought stays when it ends*, or who sends and goes would lose the embargo that protects him. It goes
  on one account that all such links share: a flood of short links finds no more room than that.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar

from ..base.instant import MICROSECONDS, Duration, Instant
from ..base.limits import (
    MEMPOOL_ENTRY_BYTES,
    MEMPOOL_INPUT_BYTES,
    OWN_TRANSACTIONS,
    STEM_LINK_BYTES,
    STEM_LINK_COUNT,
    STEM_LINK_TIME,
    STEM_LINK_TIME_BURST,
    STEM_LINK_TIME_START,
    STEM_TOTAL_BYTES,
)
from ..base.names import ConnId, TxId
from ..chain.transactions import OutPoint, TxInfo
from .dandelion import OWN_EDGE

K = TypeVar("K")
GONE_EDGE: Final = ConnId(-1)
"""Stands for all links that have ended."""


@dataclass(slots=True, eq=False)
class StemEntry:
    """One transaction in stem."""

    data: bytes = field(repr=False)
    info: TxInfo
    embargo: Instant | None
    """When it is told, if it has not spread until then; ``None``: it waits for a stem peer, however long."""
    own: bool
    """It is our operator's, of this run."""
    edges: dict[ConnId, None] = field(default_factory=dict)
    """On whose accounts it is."""
    sent: dict[ConnId, None] = field(default_factory=dict)
    """The stem peers that it was given to, in their order."""
    restemmed: bool = False
    """Its embargo has ended once, and it went another way."""
    waits: bool = False
    """It goes our operator's way, and there is no stem peer yet."""
    spreading: bool = False
    """It is on its way into the mempool."""

    @property
    def held(self) -> int:
        """Bytes of memory that it is counted for."""
        return len(self.data) + MEMPOOL_ENTRY_BYTES + MEMPOOL_INPUT_BYTES * len(self.info.spends)


Lean: TypeAlias = Callable[[StemEntry], bool]
"""Whether a transaction that is judged may build on an entry."""


@dataclass(slots=True)
class _Account:
    """What one link has here. ``time`` is processor time in microseconds, times a million."""

    time_at: Instant
    names: dict[TxId, None] = field(default_factory=dict)
    size: int = 0
    held: int = 0
    time: int = STEM_LINK_TIME_START * MICROSECONDS

    def earn(self, now: Instant) -> None:
        """Come to ``now``."""
        most = STEM_LINK_TIME_BURST * MICROSECONDS
        self.time = min(most, self.time + (now - self.time_at) * STEM_LINK_TIME)
        self.time_at = now


class Stempool:
    """See the head of this file."""

    def __init__(self) -> None:
        self._by_relay_id: dict[TxId, StemEntry] = {}
        self._by_txid: dict[TxId, dict[TxId, StemEntry]] = {}
        self._spenders: dict[OutPoint, dict[TxId, StemEntry]] = {}
        self._accounts: dict[ConnId, _Account] = {}
        self._waiting: dict[TxId, None] = {}
        self._heap: list[tuple[Instant, int, TxId]] = []
        self._serial = 0
        self.held = 0
        """Bytes of memory that all entries are counted for."""

    def __len__(self) -> int:
        return len(self._by_relay_id)

    def __contains__(self, relay_id: TxId) -> bool:
        return relay_id in self._by_relay_id

    def get(self, relay_id: TxId) -> StemEntry | None:
        """The entry of a relay id."""
        return self._by_relay_id.get(relay_id)

    def by_txid(self, txid: TxId) -> list[StemEntry]:
        """The entries that outpoints name so: one, but for our operator's beside somebody else's."""
        return list(self._by_txid.get(txid, {}).values())

    def parents_of(self, info: TxInfo, lean: Lean | None = None) -> list[StemEntry]:
        """The entries whose outputs a transaction spends, in the order of its inputs; those alone that it may ``lean``
        on, if that is given."""
        found = [entry for point in info.spends for entry in self.by_txid(point.txid)]
        return found if lean is None else [entry for entry in found if lean(entry)]

    def entries(self) -> list[StemEntry]:
        """All, in the order in which they came."""
        return list(self._by_relay_id.values())

    def waiting(self) -> list[StemEntry]:
        """Those that wait for a stem peer, in the order in which they came."""
        return [self._by_relay_id[name] for name in self._waiting]

    def set_waiting(self, entry: StemEntry, *, waits: bool) -> None:
        """Whether an entry waits for a stem peer."""
        entry.waits = waits
        if waits:
            self._waiting[entry.info.relay_id] = None
        else:
            self._waiting.pop(entry.info.relay_id, None)

    # -- room

    def admits(self, edge: ConnId, data: bytes, guess: Duration, now: Instant) -> bool:
        """Whether a link has room for one transaction more, which may take ``guess`` to judge: that time is taken from
        its account."""
        account = self._accounts.get(edge)
        if account is None:
            account = self._accounts[edge] = _Account(now)
        account.earn(now)
        if account.time <= 0 or not self._has_room(account, len(data)):
            return False
        account.time -= guess * MICROSECONDS
        return True

    def judged(self, edge: ConnId, guess: Duration, cost: Duration) -> None:
        """A transaction took ``cost`` to judge: what is above the guess is taken too."""
        account = self._accounts.get(edge)
        if account is not None and cost > guess:
            account.time -= (cost - guess) * MICROSECONDS

    def has_room(self, edge: ConnId, data: bytes, now: Instant) -> bool:
        """Whether a link has room for one transaction more, that was judged meanwhile."""
        return self._has_room(self._accounts.setdefault(edge, _Account(now)), len(data))

    def _has_room(self, account: _Account, size: int) -> bool:
        if len(account.names) >= STEM_LINK_COUNT or (account.names and account.size + size > STEM_LINK_BYTES):
            return False
        share = STEM_TOTAL_BYTES // max(1, len(self._accounts))
        return self.held < STEM_TOTAL_BYTES or account.held < share

    # -- what is here

    def contradicted(self, info: TxInfo, *, own: bool) -> bool:
        """Whether another one that counts spends an output of these."""
        for point in info.spends:
            for relay_id, entry in self._spenders.get(point, {}).items():
                if relay_id != info.relay_id and (entry.own or not own):
                    return True
        return False

    def hold(
        self, data: bytes, info: TxInfo, edge: ConnId, embargo: Instant | None, now: Instant, *, own: bool
    ) -> StemEntry:
        """Take a transaction, or note that one more link has brought it: then its embargo stays.

        The caller has asked :meth:`has_room` and :meth:`contradicted`.
        """
        entry = self._by_relay_id.get(info.relay_id)
        if entry is None:
            entry = StemEntry(data, info, embargo, own)
            self._by_relay_id[info.relay_id] = entry
            self._by_txid.setdefault(info.txid, {})[info.relay_id] = entry
            for point in info.spends:
                self._spenders.setdefault(point, {})[info.relay_id] = entry
            self.held += entry.held
            self.set_embargo(entry, embargo)
        entry.own = entry.own or own
        self._put_on(entry, edge, now)
        return entry

    def set_embargo(self, entry: StemEntry, embargo: Instant | None) -> None:
        """Have an entry's embargo end at another time."""
        entry.embargo = embargo
        if embargo is None:
            return
        self._serial += 1
        heapq.heappush(self._heap, (embargo, self._serial, entry.info.relay_id))

    def family(self, info: TxInfo, lean: Lean | None = None) -> list[StemEntry]:
        """The entries that a transaction builds on, however far back, parents first; see :meth:`parents_of`."""
        found: dict[TxId, StemEntry] = {}
        # An entry is found when all that it builds on is: it stays on the stack until then.
        stack = [(parent, False) for parent in self.parents_of(info, lean)]
        while stack:
            entry, ready = stack.pop()
            if entry.info.relay_id in found:
                continue
            if ready:
                found[entry.info.relay_id] = entry
            else:
                stack.append((entry, True))
                stack += [(parent, False) for parent in self.parents_of(entry.info, lean)]
        return list(found.values())

    def remove(self, relay_id: TxId) -> StemEntry | None:
        """Hold a transaction no longer: it has spread, or will not."""
        entry = self._by_relay_id.pop(relay_id, None)
        if entry is None:
            return None
        self.held -= entry.held
        self._waiting.pop(relay_id, None)
        _drop_from(self._by_txid, entry.info.txid, relay_id)
        for point in entry.info.spends:
            _drop_from(self._spenders, point, relay_id)
        for edge in entry.edges:
            account = self._accounts[edge]
            del account.names[relay_id]
            account.size -= len(entry.data)
            account.held -= entry.held
        return entry

    def link_gone(self, edge: ConnId, now: Instant) -> list[StemEntry]:
        """A link has ended. Returns what found no room on the account of all such links, and is here no longer."""
        account = self._accounts.pop(edge, None)
        left: list[StemEntry] = []
        for relay_id in () if account is None else account.names:
            entry = self._by_relay_id[relay_id]
            del entry.edges[edge]
            if entry.edges:
                continue
            gone = self._accounts.setdefault(GONE_EDGE, _Account(now))
            if self._has_room(gone, len(entry.data)):
                self._put_on(entry, GONE_EDGE, now)
            else:
                self.remove(relay_id)
                left.append(entry)
        return left

    # -- time

    def next_deadline(self) -> Instant | None:
        """When an embargo ends, or one that no longer counts would have."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: Instant) -> list[StemEntry]:
        """The entries whose embargo has ended, each once; they stay until they are removed."""
        found: dict[TxId, StemEntry] = {}
        while self._heap and self._heap[0][0] <= now:
            at, _, relay_id = heapq.heappop(self._heap)
            entry = self._by_relay_id.get(relay_id)
            if entry is not None and entry.embargo == at:
                found[relay_id] = entry
        return list(found.values())

    def check(self) -> None:
        """Walk the invariants; for tests, fuzzers and simulations."""
        entries = self.entries()
        assert self.held == sum(entry.held for entry in entries), "the memory is counted exactly"
        assert list(self._waiting) == [one.info.relay_id for one in self.waiting() if one.waits], "who waits is known"
        moments = [(at, relay_id) for at, _, relay_id in self._heap]
        for entry in entries:
            relay_id = entry.info.relay_id
            assert self._by_txid[entry.info.txid][relay_id] is entry, "both names lead to it"
            assert all(self._spenders[point][relay_id] is entry for point in entry.info.spends), (
                "what it spends is known"
            )
            assert entry.edges, "somebody has brought it"
            assert (entry.embargo, relay_id) in moments or entry.waits or entry.spreading, "it will not stay for ever"
        for point, spenders in self._spenders.items():
            others = [entry for entry in spenders.values() if not entry.own]
            assert len(others) <= 1, "one that is not our operator's for each output"
            assert spenders and all(point in entry.info.spends for entry in spenders.values()), (
                "nothing else is indexed"
            )
        for edge, account in self._accounts.items():
            mine = [entry for entry in entries if edge in entry.edges]
            assert len(account.names) == len(mine), "accounts are exact in number"
            assert account.size == sum(len(entry.data) for entry in mine), "and in bytes"
            assert account.held == sum(entry.held for entry in mine), "and in memory"
            most = OWN_TRANSACTIONS * 2 if edge == OWN_EDGE else STEM_LINK_COUNT
            assert len(account.names) <= most, "each account is bounded in number"
            assert edge == OWN_EDGE or len(mine) <= 1 or account.size <= STEM_LINK_BYTES, "and in bytes"

    def _put_on(self, entry: StemEntry, edge: ConnId, now: Instant) -> None:
        if edge in entry.edges:
            return
        account = self._accounts.setdefault(edge, _Account(now))
        account.names[entry.info.relay_id] = None
        account.size += len(entry.data)
        account.held += entry.held
        entry.edges[edge] = None


def _drop_from(index: dict[K, dict[TxId, StemEntry]], key: K, name: TxId) -> None:
    under = index[key]
    del under[name]
    if not under:
        del index[key]
