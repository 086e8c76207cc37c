"""What a node remembers of transactions: one :class:`Relay` for the node, one :class:`RelayLink` for each link that
takes them.

Where a transaction is:

    announced (tracker) → asked for → in line (queue) → before the ledger (judging) → waiting for a block (pool)
                                                             ↘ waiting for a parent (orphans) ↗

While it is in line, before the ledger or an orphan the tracker *holds* it: nobody else is asked, and who else has it is
remembered.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..base.instant import Duration, Instant, after
from ..base.limits import MEMPOOL_SWEEP, RELAY_OUTBOUND_FACTOR
from ..base.names import NULL_HASH, BlockHash, ConnId, TxId
from ..base.randomness import Chance
from ..chain import TransactionLedger
from ..relay.backlog import Backlog
from ..relay.known import KnownIds, short_id
from ..relay.mempool import Mempool
from ..relay.orphans import Orphanage
from ..relay.requests import RequestTracker
from ..relay.trickle import Trickle
from ..relay.validation import ValidationQueue, Waiting
from .config import NodeConfig
from .effects import KeptTransaction
from .snapshot import MempoolItem, RelaySnapshot


@dataclass(frozen=True, slots=True)
class Judged:
    """One transaction before the ledger, and the unconfirmed parents that went with it, by txid."""

    item: Waiting
    parents: tuple[TxId, ...]


class RelayLink:
    """A link on which BasicTransactions is in force."""

    __slots__ = ("inbound", "known", "pending", "told")

    def __init__(self, *, inbound: bool) -> None:
        self.inbound = inbound
        self.known = KnownIds()
        """Short ids of what it has announced or sent."""
        self.told = KnownIds()
        """Short ids of what we have announced to it: what it may ask for."""
        self.pending: dict[TxId, int] = {}
        """Relay and short ids of what it is told at its next moment."""

    def has(self, short: int) -> bool:
        """Whether nothing is gained by telling it."""
        return short in self.known or short in self.told


class Relay:
    """The transactions' part of a node's state. ``kept`` and ``own`` are what earlier runs have left."""

    def __init__(
        self,
        ledger: TransactionLedger,
        config: NodeConfig,
        chance: Chance,
        kept: tuple[KeptTransaction, ...],
        own: tuple[bytes, ...],
        now: Instant,
    ) -> None:
        self.ledger = ledger
        self._short_key = chance.take_bytes(32)
        self.pool = Mempool(config.mempool_bytes)
        self.queue = ValidationQueue()
        self.orphans = Orphanage()
        self.tracker = RequestTracker(chance.take_bytes(32))
        self.rejects = KnownIds()
        """Short ids of what was refused since the view's last step: it is not asked for again."""
        self.trickle = Trickle(chance.fork("trickle"), config.relay_inbound_mean, config.relay_outbound_mean)
        self.inbound = Backlog(now, config.relay_tenths)
        self.outbound = Backlog(now, config.relay_tenths * RELAY_OUTBOUND_FACTOR // 10)
        self.links: dict[ConnId, RelayLink] = {}
        self.judging: dict[TxId, Judged] = {}
        """Before the ledger now, by relay id."""
        self.tickets: dict[TxId, list[int]] = {}
        """Our operator's, who waits for the verdict, by relay id."""
        self.own: dict[TxId, TxId] = {}
        """Relay ids of his transactions that no block holds yet and that are kept for the next run, by txid."""
        self.kept = kept
        self.kept_own = own
        # -- the coin view
        self.begun = False
        """The view has made its first step: links may be opened, as we know by now what we can offer."""
        self.serving = False
        """It has stood at the tip once: the bit is set for all links that open from now on."""
        self.ready = False
        """It stands at the tip now."""
        self.following = False
        """It is making a step."""
        self.moved = False
        """The chain has moved since that step was asked for."""
        self.tip: BlockHash = NULL_HASH
        self.height = -1
        # -- the node's turns
        self.due = False
        """Something has happened that may call for requests, verdicts or announcements."""
        self.sweep_at = after(now, MEMPOOL_SWEEP)
        """When the mempool is looked through for what has stayed too long."""

    def short(self, relay_id: TxId) -> int:
        """The short id by which the links' tables know a transaction."""
        return short_id(self._short_key, relay_id)

    def handles(self, relay_id: TxId) -> bool:
        """Whether a transaction is here and not decided."""
        return relay_id in self.queue or relay_id in self.judging or relay_id in self.orphans

    def picture(self, now: Instant) -> RelaySnapshot:
        """The part of a snapshot."""
        return RelaySnapshot(
            on=True,
            ready=self.ready,
            coins_height=self.height,
            waiting=len(self.pool),
            size=self.pool.size,
            memory=self.pool.held,
            floor=self.pool.floor(now),
            own=len(self.own) + len(self.kept_own),
            in_line=len(self.queue) + len(self.judging),
            orphans=len(self.orphans),
            announced=len(self.tracker),
            links=len(self.links),
        )

    def items(self, now: Instant) -> list[MempoolItem]:
        """What waits for a block, parents before children."""
        return [
            MempoolItem(
                entry.info.txid,
                entry.info.relay_id,
                entry.info.size,
                entry.fee,
                Duration(now - entry.since),
                entry.own,
                len(entry.parents),
            )
            for entry in self.pool.entries()
        ]

    def check(self) -> None:
        """Walk the invariants of every part; for tests, fuzzers and simulations."""
        self.pool.check()
        self.queue.check()
        self.orphans.check()
        self.tracker.check()
        self.trickle.check()
        for name in (entry.info.relay_id for entry in self.pool.entries()):
            assert not self.handles(name), "what waits for a block is decided"
        assert not (self.judging and not self.serving), "nothing is judged before the view has stood at the tip"
        assert all(self.handles(name) for name in self.tickets), "who waits for a verdict gets one"
        for conn, link in self.links.items():
            link.known.check()
            link.told.check()
            assert not link.pending or self.trickle.wakes(conn), "what a link is to be told has a moment"
