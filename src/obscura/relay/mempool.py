"""Transactions that wait for a block, in order of what they pay.

Rules, each with its reason:

* *First seen stays.* Of two transactions that spend one output the later is refused, whatever it pays: there is no
  replacement. A conflict costs its sender nothing (reference: the Monero eclipse of 2025).
* *Chains are short*: 25 transactions among unconfirmed ancestors, and among descendants. Every verb that walks a family
  is bounded by it.
* *The pool is bounded in bytes of memory.* Over the bound the family that pays least leaves, and the floor rises above
  what it paid, so that the same bytes are not sent again; it sinks again by half every twelve hours.
* *Two weeks* are the longest stay, whosever a transaction is: one that stayed longer would be known for the node's own.

The pool follows the ledger's coin view, not the chain (:class:`~obscura.chain.transactions.CoinReport`). It trusts the
ledger's verdicts and looks at nothing but what a transaction spends.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from ..base.errors import BugError
from ..base.instant import Duration, Instant, after
from ..base.limits import (
    FAMILY_TRANSACTIONS,
    FEE_FLOOR,
    FEE_FLOOR_HALF_LIFE,
    FEE_FLOOR_STEP,
    MEMPOOL_AGE,
    MEMPOOL_BYTES,
    MEMPOOL_ENTRY_BYTES,
    MEMPOOL_INPUT_BYTES,
    RANKS_SLACK,
)
from ..base.names import TxId
from ..chain.transactions import OutPoint, TxInfo


class PoolEntry:
    """One transaction that waits. The counts of its family are kept by the pool."""

    __slots__ = (
        "children",
        "data",
        "family",
        "family_fee",
        "family_size",
        "fee",
        "info",
        "own",
        "parents",
        "rests_on",
        "sequence",
        "since",
    )

    def __init__(
        self, data: bytes, info: TxInfo, fee: int, rests_on: int, sequence: int, since: Instant, *, own: bool
    ) -> None:
        self.data = data
        self.info = info
        self.fee = fee
        self.rests_on = rests_on
        """See :class:`~obscura.chain.transactions.TxOutcome`."""
        self.sequence = sequence
        """Grows from entry to entry: parents before children."""
        self.since = since
        self.own = own
        self.parents: dict[TxId, PoolEntry] = {}
        self.children: dict[TxId, PoolEntry] = {}
        self.family = 1
        """It and all its descendants: how many, what they pay, their virtual bytes."""
        self.family_fee = fee
        self.family_size = info.size

    def __repr__(self) -> str:
        return f"PoolEntry(redacted, {self.info.size} vB)"

    @property
    def held(self) -> int:
        """Bytes of memory that it is counted for."""
        return len(self.data) + MEMPOOL_ENTRY_BYTES + MEMPOOL_INPUT_BYTES * len(self.info.spends)

    @property
    def score(self) -> int:
        """What it is worth keeping: the better of what it pays itself and what its family does, for 1,000 vB."""
        return max(rate(self.fee, self.info.size), rate(self.family_fee, self.family_size))


def rate(fee: int, size: int) -> int:
    """What ``fee`` is for 1,000 virtual bytes, rounded down."""
    return fee * 1_000 // size


class Mempool:
    """See the head of this file.

    Args:
        bytes_max: bound of the memory that all entries are counted for.
    """

    def __init__(self, bytes_max: int = MEMPOOL_BYTES) -> None:
        self._bytes_max = bytes_max
        self._by_txid: dict[TxId, PoolEntry] = {}
        self._by_relay_id: dict[TxId, PoolEntry] = {}
        self._spenders: dict[OutPoint, PoolEntry] = {}
        self._worst: list[tuple[int, int, TxId]] = []
        """Heap of (score, minus sequence, txid); entries whose score has changed are passed over."""
        self._sequence = 0
        self._raised = 0.0
        self._raised_at = Instant(0)
        self.held = 0
        """Bytes of memory that all entries are counted for."""
        self.size = 0
        """Their virtual bytes."""

    def __len__(self) -> int:
        return len(self._by_txid)

    def __contains__(self, relay_id: TxId) -> bool:
        return relay_id in self._by_relay_id

    def get(self, relay_id: TxId) -> PoolEntry | None:
        """The entry that ``inv`` and ``getdata`` name so."""
        return self._by_relay_id.get(relay_id)

    def by_txid(self, txid: TxId) -> PoolEntry | None:
        """The entry that outpoints name so."""
        return self._by_txid.get(txid)

    def entries(self) -> list[PoolEntry]:
        """All, parents before children."""
        return sorted(self._by_txid.values(), key=lambda entry: entry.sequence)

    def parents_of(self, info: TxInfo) -> list[PoolEntry]:
        """The entries whose outputs a transaction spends, each once, in the order of its inputs."""
        found = {point.txid: entry for point in info.spends if (entry := self._by_txid.get(point.txid)) is not None}
        return list(found.values())

    def refuses(self, info: TxInfo) -> str:
        """The rule that a transaction breaks against what waits already, before anything of it is judged; else empty.

        A transaction that names an output which an entry does not have is not seen here: its parent's bytes tell the
        ledger.
        """
        if info.relay_id in self._by_relay_id:
            return "txn-already-in-mempool"
        if info.txid in self._by_txid:
            return "txn-same-nonwitness-data-in-mempool"
        if any(point in self._spenders for point in info.spends):
            return "txn-mempool-conflict"
        ancestors = _ancestors(self.parents_of(info))
        if len(ancestors) + 1 > FAMILY_TRANSACTIONS or any(one.family + 1 > FAMILY_TRANSACTIONS for one in ancestors):
            return "too-long-mempool-chain"
        return ""

    def add(
        self,
        data: bytes,
        info: TxInfo,
        *,
        fee: int,
        rests_on: int,
        now: Instant,
        own: bool = False,
        since: Instant | None = None,
    ) -> list[PoolEntry]:
        """Take a transaction that the ledger has admitted. Returns those that had to leave for it: it may be among
        them, if nothing pays less. ``since``: when its stay began, if not ``now``.

        Raises:
            BugError: :meth:`refuses` has an objection; the caller asks first.
        """
        if rule := self.refuses(info):
            raise BugError(f"a transaction is added against a rule: {rule}")
        self._sequence += 1
        entry = PoolEntry(data, info, fee, rests_on, self._sequence, now if since is None else since, own=own)
        for parent in self.parents_of(info):
            entry.parents[parent.info.txid] = parent
            parent.children[info.txid] = entry
        for ancestor in _ancestors(list(entry.parents.values())):
            ancestor.family += 1
            ancestor.family_fee += fee
            ancestor.family_size += info.size
            self._rank(ancestor)
        self._by_txid[info.txid] = entry
        self._by_relay_id[info.relay_id] = entry
        for point in info.spends:
            self._spenders[point] = entry
        self.held += entry.held
        self.size += info.size
        self._rank(entry)
        return self._trim(now)

    def connect(self, confirmed: Iterable[TxId], spent: Iterable[OutPoint]) -> list[PoolEntry]:
        """Blocks hold the transactions ``confirmed``, in an order in which none spends a later one, which spend
        ``spent``. Returns those that left because they contradict, with what builds on them; confirmed ones leave
        without a word."""
        for txid in confirmed:
            entry = self._by_txid.get(txid)
            if entry is not None:
                self._remove(entry)
        gone: list[PoolEntry] = []
        for point in spent:
            spender = self._spenders.get(point)
            if spender is not None:
                gone += self._remove_family(spender)
        return gone

    def unsettle(self, fork: int) -> list[PoolEntry]:
        """Blocks above height ``fork`` have left the chain: what rested on them leaves with its descendants, to be
        judged again. Parents first."""
        doomed: dict[TxId, PoolEntry] = {}
        for entry in self.entries():
            if entry.rests_on > fork or any(parent in doomed for parent in entry.parents):
                doomed[entry.info.txid] = entry
        for entry in reversed(doomed.values()):
            self._remove(entry)
        return list(doomed.values())

    def expire(self, now: Instant) -> list[PoolEntry]:
        """Those whose stay is over leave, with their descendants."""
        gone: list[PoolEntry] = []
        for entry in self.entries():
            if entry.info.txid in self._by_txid and now >= after(entry.since, MEMPOOL_AGE):
                gone += self._remove_family(entry)
        return gone

    def floor(self, now: Instant) -> int:
        """The least fee for 1,000 virtual bytes that is taken now."""
        if not self._raised:
            return FEE_FLOOR
        half_life = FEE_FLOOR_HALF_LIFE
        if self.held < self._bytes_max // 4:
            half_life = Duration(half_life // 4)
        elif self.held < self._bytes_max // 2:
            half_life = Duration(half_life // 2)
        self._raised *= 2.0 ** (-(now - self._raised_at) / half_life)
        self._raised_at = now
        if self._raised < FEE_FLOOR_STEP / 2:
            self._raised = 0.0
        return max(FEE_FLOOR, round(self._raised))

    def select(self, weight_max: int) -> list[PoolEntry]:
        """Entries for a block of ``weight_max`` weight units, by what each pays together with its ancestors; parents
        before children."""
        chosen: dict[TxId, PoolEntry] = {}
        missing: dict[TxId, list[PoolEntry]] = {}
        heap: list[tuple[int, int, TxId]] = []

        def offer(entry: PoolEntry) -> None:
            package = [one for one in _ancestors([entry]) if one.info.txid not in chosen]
            missing[entry.info.txid] = package
            worth = rate(sum(one.fee for one in package), sum(one.info.size for one in package))
            heapq.heappush(heap, (-worth, entry.sequence, entry.info.txid))

        for entry in self.entries():
            offer(entry)
        room = weight_max
        while heap:
            negative, _, txid = heapq.heappop(heap)
            if txid in chosen:
                continue
            package = missing[txid]
            worth = rate(sum(one.fee for one in package), sum(one.info.size for one in package))
            weight = sum(one.info.weight for one in package)
            if -negative != worth or weight > room or any(one.info.txid in chosen for one in package):
                # An older offer, or one that does not fit: smaller ones may.
                continue
            room -= weight
            for one in sorted(package, key=lambda member: member.sequence):
                chosen[one.info.txid] = one
            for one in package:
                for child in _descendants(one):
                    if child.info.txid not in chosen:
                        offer(child)
        return list(chosen.values())

    def check(self) -> None:
        """Walk the invariants; for tests, fuzzers and simulations."""
        entries = self.entries()
        assert len(entries) == len(self._by_relay_id), "both names lead to the same entries"
        assert self.held == sum(entry.held for entry in entries), "the memory is counted exactly"
        assert self.held <= self._bytes_max, "the pool is bounded"
        assert self.size == sum(entry.info.size for entry in entries), "virtual bytes are counted exactly"
        assert len(self._spenders) == sum(len(entry.info.spends) for entry in entries), "one spender for each output"
        for entry in entries:
            assert self._by_relay_id[entry.info.relay_id] is entry, "both names lead to the same entry"
            assert all(self._spenders[point] is entry for point in entry.info.spends), "what is spent is known"
            parents = {point.txid for point in entry.info.spends if point.txid in self._by_txid}
            assert parents == set(entry.parents), "parents are linked"
            assert all(self._by_txid[txid].children[entry.info.txid] is entry for txid in parents), "both ways"
            assert all(parent.sequence < entry.sequence for parent in entry.parents.values()), "parents come first"
            family = _descendants(entry)
            assert entry.family == len(family) <= FAMILY_TRANSACTIONS, "families are counted, and small"
            assert entry.family_fee == sum(one.fee for one in family), "what a family pays is exact"
            assert entry.family_size == sum(one.info.size for one in family), "a family's size is exact"
            assert len(_ancestors([entry])) <= FAMILY_TRANSACTIONS, "chains are short"

    # -- within

    def _rank(self, entry: PoolEntry) -> None:
        heapq.heappush(self._worst, (entry.score, -entry.sequence, entry.info.txid))
        if len(self._worst) > 4 * len(self._by_txid) + RANKS_SLACK:
            self._worst = [(one.score, -one.sequence, txid) for txid, one in self._by_txid.items()]
            heapq.heapify(self._worst)

    def _trim(self, now: Instant) -> list[PoolEntry]:
        gone: list[PoolEntry] = []
        while self.held > self._bytes_max:
            score, negative, txid = heapq.heappop(self._worst)
            entry = self._by_txid.get(txid)
            if entry is None or entry.score != score or entry.sequence != -negative:
                continue
            self._raised = max(float(self.floor(now)), float(score)) + FEE_FLOOR_STEP
            self._raised_at = now
            gone += self._remove_family(entry)
        return gone

    def _remove_family(self, entry: PoolEntry) -> list[PoolEntry]:
        family = sorted(_descendants(entry), key=lambda one: -one.sequence)
        for one in family:
            self._remove(one)
        family.reverse()
        return family

    def _remove(self, entry: PoolEntry) -> None:
        """Take one out. Its children stay, if there are any: then it is in a block, and has no ancestor here."""
        for ancestor in _ancestors(list(entry.parents.values())):
            ancestor.family -= 1
            ancestor.family_fee -= entry.fee
            ancestor.family_size -= entry.info.size
            self._rank(ancestor)
        for parent in entry.parents.values():
            del parent.children[entry.info.txid]
        for child in entry.children.values():
            del child.parents[entry.info.txid]
        if entry.parents and entry.children:
            # A block that holds a child without its parent would be invalid; should a ledger say so, sums stay exact.
            for ancestor in _ancestors(list(entry.parents.values())):
                self._recount(ancestor)
        del self._by_txid[entry.info.txid]
        del self._by_relay_id[entry.info.relay_id]
        for point in entry.info.spends:
            del self._spenders[point]
        self.held -= entry.held
        self.size -= entry.info.size

    def _recount(self, entry: PoolEntry) -> None:
        family = _descendants(entry)
        entry.family = len(family)
        entry.family_fee = sum(one.fee for one in family)
        entry.family_size = sum(one.info.size for one in family)
        self._rank(entry)


def ancestors_of(entry: PoolEntry) -> list[PoolEntry]:
    """An entry and all in the pool that it builds on, each once."""
    return _ancestors([entry])


def _ancestors(start: list[PoolEntry]) -> list[PoolEntry]:
    """``start`` and all that they build on, each once."""
    return _reach(start, up=True)


def _descendants(entry: PoolEntry) -> list[PoolEntry]:
    """``entry`` and all that builds on it, each once."""
    return _reach([entry], up=False)


def _reach(start: list[PoolEntry], *, up: bool) -> list[PoolEntry]:
    found: dict[TxId, PoolEntry] = {}
    line = list(start)
    while line:
        entry = line.pop()
        if entry.info.txid not in found:
            found[entry.info.txid] = entry
            line.extend(entry.parents.values() if up else entry.children.values())
    return list(found.values())
