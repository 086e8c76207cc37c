"""All that the node knows about one link, in one place."""

from __future__ import annotations

from collections.abc import Iterator

from ..base.instant import Duration, Instant
from ..base.limits import ADDR_BURST, ADDR_TOKEN
from ..base.names import BlockHash, ConnId
from ..channel import Channel
from ..peers.dialing import Purpose
from ..sync.view import Entry
from ..wire.address import NetAddress
from ..wire.target import Target
from ..wire.vectors import VectorQueue


class Worth:
    """What a link is worth to us: why it stays where others end (:mod:`~obscura.peers.eviction`, :mod:`.outbound`)."""

    __slots__ = (
        "announced_at",
        "behind_asked",
        "behind_at",
        "behind_work",
        "block_at",
        "group",
        "spared",
        "transaction_at",
    )

    def __init__(self) -> None:
        self.group = b""
        """Its network group, once it has an inbound slot."""
        self.block_at: Instant | None = None
        """When it last sent a block that we had not, and that was good."""
        self.transaction_at: Instant | None = None
        """When it last sent a transaction that we had not, and that was good."""
        self.announced_at: Instant | None = None
        """When it last showed a header with more work than our tip."""
        self.behind_at: Instant | None = None
        """It has not shown our tip, and something follows then."""
        self.behind_work = 0
        """What it must have shown by then: the work of our tip when that was set."""
        self.behind_asked = False
        """It was asked once more, and what follows is the end."""
        self.spared = False
        """It had our tip once, and is not ended for being behind."""


class Peer:
    """One link, from its dial's success or its acceptance to its end."""

    __slots__ = (
        "addr_since",
        "addr_tokens",
        "address",
        "answer_may_follow",
        "answered_addresses",
        "asked_addresses",
        "best",
        "blocks_received",
        "channel",
        "congested",
        "conn",
        "continue_at",
        "emitted",
        "expected",
        "gossips",
        "headers_asked",
        "headers_asked_since",
        "headers_wanted",
        "inbound",
        "job",
        "left_alone",
        "low_work",
        "mempool_at",
        "mind",
        "not_found",
        "on_our_network",
        "opened_at",
        "paused",
        "paused_since",
        "purpose",
        "reading",
        "sent",
        "serve",
        "since",
        "stopped",
        "target",
        "worth",
    )

    def __init__(
        self, conn: ConnId, address: NetAddress, channel: Channel, purpose: Purpose | None, now: Instant
    ) -> None:
        self.conn = conn
        self.address = address
        self.channel = channel
        self.purpose = purpose
        """What we have opened it for; ``None`` if the other side has."""
        self.inbound = purpose is None
        self.since = now
        self.target: Target | None = None
        """What we have dialled."""
        self.expected: bytes | None = None
        """The static key that was known for it when we dialled."""
        self.opened_at: Instant | None = None
        self.left_alone = False
        """We have dialled it, and it is not dialled again for a day: it is ourselves, or serves another chain."""
        self.worth = Worth()
        # -- sync
        self.best: Entry | None = None
        """The header with most work that this peer has shown."""
        self.headers_asked = 0
        """``getheaders`` of ours that are not answered yet."""
        self.headers_asked_since: Instant = now
        self.answer_may_follow = False
        """What counted as the answer to our ``getheaders`` may have been an announcement that crossed with it."""
        self.headers_wanted = False
        """Ask it for headers when the peer that is being asked has finished."""
        self.on_our_network = False
        """It has shown a header that connects to our genesis."""
        self.sent: Entry | None = None
        """The last header that we have sent to it."""
        self.low_work: list[Entry] = []
        """Headers held on its account on branches with no more work than our tip, parents first."""
        self.blocks_received = 0
        # -- serving
        self.serve = VectorQueue()
        """What it has asked for and not got yet; while there is any, nothing more is read from it."""
        self.not_found = VectorQueue()
        self.reading: tuple[BlockHash, ...] = ()
        """Blocks that are being read from the store for it."""
        self.continue_at: BlockHash | None = None
        """The last hash of a full answer to ``getblocks``: asking for it calls for the next part."""
        self.congested = self.paused = self.stopped = False
        self.paused_since = now
        self.job: Iterator[None] | None = None
        """A message of it that is being dealt with in steps; nothing more of it is, meanwhile."""
        self.emitted = self.mind = 0
        """Bytes in effects that the driver has not taken yet; and how many unsent ones it calls a congestion, 0 for as
        many as usual."""
        self.mempool_at: Instant | None = None
        # -- gossip
        self.gossips = purpose is not None and purpose.relays
        """It is told addresses: one that we have opened to relay everything, or who has told some or asked for some."""
        self.asked_addresses = self.answered_addresses = False
        self.addr_tokens = 1
        self.addr_since = now

    @property
    def waits_for_turn(self) -> bool:
        """There is more to do for the link, and its turn is over. The end of a link waits for nothing."""
        channel = self.channel
        return channel.turn_over and not channel.is_closed and (channel.has_more or self.job is not None)

    @property
    def is_open(self) -> bool:
        """The handshake is done and the link stands."""
        return self.opened_at is not None and not self.channel.is_closed

    @property
    def named(self) -> bool:
        """Our operator wants it."""
        return self.purpose is Purpose.NAMED

    @property
    def private(self) -> bool:
        """It is for private broadcast (:mod:`.private`)."""
        return self.purpose is Purpose.PRIVATE

    @property
    def relays(self) -> bool:
        """It is not one that we have opened for blocks alone, to look who is there, or for private broadcast."""
        return self.purpose is None or self.purpose.relays

    def take_addr_tokens(self, wanted: int, now: Instant) -> int:
        """How many of ``wanted`` addresses may be accepted from this peer now (limits: ADDR_TOKEN)."""
        earned = (now - self.addr_since) // ADDR_TOKEN
        if earned:
            self.addr_tokens = min(ADDR_BURST, self.addr_tokens + earned)
            self.addr_since = Instant(self.addr_since + earned * ADDR_TOKEN)
        granted = min(wanted, self.addr_tokens)
        self.addr_tokens -= granted
        return granted

    def lived(self, now: Instant) -> Duration:
        """Since the handshake was done; 0 if it never was."""
        return Duration(0) if self.opened_at is None else Duration(now - self.opened_at)

    def age(self, now: Instant) -> Duration:
        """Since the connection was made."""
        return Duration(now - self.since)
