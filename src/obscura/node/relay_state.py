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
from ..base.limits import MEMPOOL_SWEEP, RELAY_OUTBOUND_FACTOR, STEMMED_GENERATION
from ..base.names import NULL_HASH, BlockHash, ConnId, TxId
from ..base.randomness import Chance
from ..chain import TransactionLedger
from ..relay.backlog import Backlog
from ..relay.broadcast import Broadcasts
from ..relay.known import KnownIds, short_id
from ..relay.mempool import Mempool
from ..relay.orphans import Orphanage
from ..relay.requests import RequestTracker
from ..relay.trickle import Trickle
from ..relay.validation import ValidationQueue, Waiting
from .config import NodeConfig
from .effects import KeptBroadcast, KeptTransaction
from .snapshot import MempoolItem, RelaySnapshot
from .stem_state import Stems


@dataclass(frozen=True, slots=True)
class Judged:
    """One transaction before the ledger, and the unconfirmed parents that went with it, by txid."""

    item: Waiting
    parents: tuple[TxId, ...]
    leans_on_stems: bool = False
    """Some of these are in stem."""


class RelayLink:
    """A link on which BasicTransactions is in force."""

    __slots__ = ("inbound", "known", "pending", "stemmed", "told")

    def __init__(self, *, inbound: bool) -> None:
        self.inbound = inbound
        self.known = KnownIds()
        """Short ids of what it has announced or sent."""
        self.told = KnownIds()
        """Short ids of what we have announced to it: what it may ask for."""
        self.stemmed = KnownIds(STEMMED_GENERATION)
        """Short ids of what it has stemmed to us."""
        self.pending: dict[TxId, int] = {}
        """Relay and short ids of what it is told at its next moment."""

    def has(self, short: int) -> bool:
        """Whether nothing is gained by telling it."""
        return short in self.known or short in self.told


class Relay:
    """The transactions' part of a node's state. ``kept`` and ``broadcasts`` are what earlier runs have left, in any
    order."""

    def __init__(
        self,
        ledger: TransactionLedger,
        config: NodeConfig,
        chance: Chance,
        kept: tuple[KeptTransaction, ...],
        now: Instant,
        broadcasts: tuple[KeptBroadcast, ...] = (),
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
        self.stems = Stems(config, chance.fork("stems"), now)
        self.private = Broadcasts(chance.fork("private"))
        self.kept_broadcasts = broadcasts
        """On disk, and not yet taken up."""
        self.links: dict[ConnId, RelayLink] = {}
        self.judging: dict[bytes, Judged] = {}
        """Before the ledger now, by :attr:`Waiting.key`."""
        self.tickets: dict[TxId, list[int]] = {}
        """Our operator's, who waits for the verdict, by relay id."""
        self.own: dict[TxId, TxId] = {}
        """Relay ids of his transactions that wait, or are judged again, by txid. In memory alone: the next run does not
        know whose they were."""
        self.saved: dict[TxId, bool] = {}
        """What is on disk of what this run has seen, by relay id, and its ``stem`` mark: see :mod:`.keeping`."""
        self.kept = kept
        """On disk as well, and not yet taken up: nothing is judged before the view has stood at the tip."""
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

    def offer(self, item: Waiting) -> bool:
        """Put a transaction of the open that was not decided into the line; if there is no room, others may be asked
        for it, and the answer is ``False``."""
        self.due = True
        taken = self.queue.put(item)
        if taken:
            self.tracker.hold(item.info.relay_id)
        else:
            self.tracker.release(item.info.relay_id)
        return taken

    def handles(self, relay_id: TxId) -> bool:
        """Whether a transaction is here in the open and not decided."""
        return relay_id in self.queue or relay_id in self.judging or relay_id in self.orphans

    def stems_own(self, relay_id: TxId) -> bool:
        """Whether our operator's transaction, or one of an earlier run, is to be judged before it is in stem."""
        key = relay_id + bytes(8)
        return key in self.queue or key in self.judging

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
            own=sum(1 for relay_id in self.own.values() if relay_id in self.pool),
            # Privacy: what is in stem shows nowhere.
            in_line=len(self.queue) - self.queue.stems + sum(not one.item.stem for one in self.judging.values()),
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
        self.stems.check()
        self.private.check()
        assert not any(name in self.links for name in self.private.handovers), "nothing else is told on its connections"
        for name in (entry.info.relay_id for entry in self.pool.entries()):
            assert not self.handles(name), "what waits for a block is decided"
            assert name in self.saved, "what waits for a block is on disk"
        for name in self.saved:
            here = name in self.pool or name in self.stems.pool or self.handles(name) or self.stems_own(name)
            assert here, "what is on disk waits, or is judged again"
        for entry in self.stems.pool.entries():
            name = entry.info.relay_id
            assert name in self.saved and name not in self.pool, "what is in stem is on disk, and not in the open"
        assert all(name in self.saved for name in self.own.values()), "our operator's are known while they are kept"
        assert not (self.kept and self.serving), "what was kept is taken up when the view stands at the tip"
        assert not (self.judging and not self.serving), "nothing is judged before the view has stood at the tip"
        for name in self.tickets:
            assert self.handles(name) or self.stems_own(name), "who waits for a verdict gets one"
        for conn, link in self.links.items():
            link.known.check()
            link.told.check()
            assert not link.pending or self.trickle.wakes(conn), "what a link is to be told has a moment"
