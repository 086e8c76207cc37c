"""All that the node knows about one link, in one place."""

from __future__ import annotations

from ..base.instant import Duration, Instant
from ..base.limits import ADDR_BURST, ADDR_TOKEN
from ..base.names import BlockHash, ConnId
from ..channel import Channel
from ..sync.view import Entry
from ..wire.address import NetAddress
from ..wire.target import Target
from ..wire.vectors import VectorQueue


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
        "headers_asked",
        "headers_asked_since",
        "headers_wanted",
        "inbound",
        "left_alone",
        "low_work",
        "mempool_at",
        "named",
        "not_found",
        "on_our_network",
        "opened_at",
        "paused",
        "paused_since",
        "reading",
        "sent",
        "serve",
        "since",
        "target",
    )

    def __init__(
        self, conn: ConnId, address: NetAddress, channel: Channel, *, inbound: bool, named: bool, now: Instant
    ) -> None:
        self.conn = conn
        self.address = address
        self.channel = channel
        self.inbound = inbound
        self.named = named
        self.since = now
        self.target: Target | None = None
        """What we have dialled."""
        self.opened_at: Instant | None = None
        self.left_alone = False
        """We have dialled it, and it is not dialled again for a day: it is ourselves, or serves another chain."""
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
        self.congested = False
        self.paused = False
        self.paused_since = now
        self.emitted = 0
        """Bytes in effects that the driver has not taken yet."""
        self.mempool_at: Instant | None = None
        # -- gossip
        self.asked_addresses = False
        self.answered_addresses = False
        self.addr_tokens = 1
        self.addr_since = now

    @property
    def is_open(self) -> bool:
        """The handshake is done and the link stands."""
        return self.opened_at is not None and not self.channel.is_closed

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
