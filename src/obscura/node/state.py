"""What the node's handlers share: the machine's memory, and the few verbs that all of them need.

One thread, one node, one state. Handlers are functions over it, by topic: ``links`` opens and ends links, ``on_sync``
catches up, ``on_serve`` answers, ``on_gossip`` spreads addresses.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

from ..base.instant import MICROSECONDS, Duration, Instant, Now, after
from ..base.limits import (
    DIALS_AT_ONCE,
    HANDSHAKE_TIMEOUT_OVERLAY,
    HEADERS_ITEMS,
    OTHER_CLASS_SHARE,
    READ_ON_BYTES,
    RECEIVE_TOTAL_BYTES,
    RELAY_BEHIND,
    SEND_BUFFER_BYTES,
    SEND_TOTAL_BYTES,
    STALE_TIP,
    STEADY_QUEUE_BYTES,
    STEADY_TICK,
)
from ..base.names import BlockHash, ConnId
from ..base.randomness import Chance
from ..chain.ledger import Ledger
from ..peers.bans import Bans
from ..peers.books import AddressBooks
from ..peers.burden import Burdens
from ..peers.dialing import Dialer, Purpose, Situation, Wanted
from ..peers.groups import Grouping
from ..peers.knocking import Knocking
from ..peers.lobby import Lobby
from ..peers.pins import Pins
from ..peers.rations import Rations
from ..shaping import Ghost, Traffic
from ..sync.download import Downloader
from ..sync.view import Entry, HeaderTree
from ..wire.address import AddressEntry, NetAddress
from ..wire.identity import KeyClass, class_of, is_overlay
from ..wire.registry import Message
from ..wire.target import Target
from .config import NodeConfig
from .effects import Ask, Effect, Event, LedgerRequest, Mind, Pause, Resume, SaveBans, Send, Tell
from .heads import FrameHeads
from .peer import Peer
from .relay_state import Judged, Relay
from .timers import Timers
from .vault import Vault


@dataclass(frozen=True, slots=True)
class PendingDial:
    """A dial under way. ``key`` is the static key that is expected, ``None`` for any; ``strict``: no other may answer
    (it is the operator's, or pinned for a named peer; otherwise it is what was there last time)."""

    target: Target
    purpose: Purpose
    key: bytes | None = field(default=None, repr=False)
    strict: bool = False

    @property
    def address(self) -> NetAddress:
        """Where it goes."""
        return self.target.address

    @property
    def named(self) -> bool:
        """It is the operator's."""
        return self.purpose is Purpose.NAMED


@dataclass(frozen=True, slots=True)
class PendingHeaders:
    """Headers before the ledger, and who sent them."""

    conn: ConnId
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class PendingBlock:
    """A block on its way into the ledger: from a link, or from our operator with a ticket."""

    entry: Entry
    data: bytes
    conn: ConnId | None
    ticket: int | None = None


@dataclass(frozen=True, slots=True)
class PendingRead:
    """Blocks being read for a peer."""

    conn: ConnId


@dataclass(frozen=True, slots=True)
class Sink:
    """A silent connection, see :mod:`obscura.node.sinks`."""

    deadline: Instant
    ghost: Ghost | None
    """What it goes on emitting, where there was an encrypted link."""
    dialled: NetAddress | None
    """Where it goes, if we have dialled it: the address stays in use, as any that has a link."""
    purpose: Purpose | None
    """What we have dialled it for."""
    of: KeyClass
    """The class of networks that it came by."""
    lived: Duration | None
    """How long the link was open; ``None`` if the dialler knows all about its end already."""
    slot: bool
    """It holds an inbound slot."""


@dataclass(frozen=True, slots=True)
class PendingFollow:
    """A step of the coin view."""


@dataclass(frozen=True, slots=True)
class PendingTransactions:
    """Transactions before the ledger."""

    batch: tuple[Judged, ...]


Pending: TypeAlias = PendingHeaders | tuple[PendingBlock, ...] | PendingRead | PendingFollow | PendingTransactions
TimerKey: TypeAlias = tuple[str, int]


NOBODY = ConnId(0)
"""Stands for a link that has gone; no link has this name."""


class Door:
    """Who is on the way in, or silent on the way out."""

    __slots__ = ("admitting", "forgetful", "knocking", "rations", "sinks", "vault")

    def __init__(self, vault: Vault | None, now: Instant) -> None:
        self.vault = vault
        """Our keys; without them all links are in clear."""
        self.rations = Rations(now)
        self.knocking = Knocking()
        """Handshakes that wait for an answer."""
        self.admitting: dict[ConnId, None] = {}
        """Those that the guard against replays has not answered for, KNOCKS_JUDGED at most; also when their link has
        ended meanwhile."""
        self.forgetful = False
        """The guard could not remember the last knock, and the operator knows."""
        self.sinks: dict[ConnId, Sink] = {}
        """Connections that have gone silent."""


class Pool:
    """Links that others open in one class of networks; the classes share nothing (:mod:`.inbound`)."""

    __slots__ = ("burdens", "lobby", "open", "unsent", "waiting_most")

    def __init__(self, lobby: Lobby, share: int) -> None:
        self.burdens = Burdens(RECEIVE_TOTAL_BYTES // share)
        """What they make us hold, all together."""
        self.unsent = Burdens(SEND_TOTAL_BYTES // share)
        """What those that are congested do not take, all together."""
        self.waiting_most = SEND_TOTAL_BYTES // share // 2
        """Bytes that may wait for their constant rates, all together."""
        self.lobby = lobby
        """Those whose handshake is not complete."""
        self.open = 0
        """Those whose handshake is complete, and those of them that have gone silent: each has a slot."""


class Company:
    """Whom we have to do with: places for those who come, who is kept away, where our anchors are."""

    __slots__ = ("anchors", "bans", "eviction_chance", "eviction_key", "grouping", "pools", "tip_moved_at")

    def __init__(
        self, grouping: Grouping, bans: Bans, anchors: tuple[NetAddress, ...], chance: Chance, now: Instant
    ) -> None:
        self.grouping = grouping
        """Network groups."""
        self.bans = bans
        self.anchors = anchors
        """Where we have block-only links, or last had one that lasted: they are dialled first after a restart."""
        self.pools: dict[KeyClass, Pool] = {}
        """Of the classes by which somebody has come."""
        self.eviction_key = chance.fork("eviction key").take_bytes(32)
        self.eviction_chance = chance.fork("eviction")
        self.tip_moved_at = now
        """When our chain last had a new end; at first, when the node began."""


class NodeState:
    """Everything that a node remembers while it runs."""

    def __init__(
        self,
        config: NodeConfig,
        ledger: Ledger,
        chance: Chance,
        tree: HeaderTree,
        book: AddressBooks,
        dialer: Dialer,
        pins: Pins,
        vault: Vault | None,
        relay: Relay | None,
        company: Company,
        now: Now,
    ) -> None:
        self.config, self.ledger = config, ledger
        self.relay = relay
        """Transactions; ``None`` where the ledger judges none."""
        self.chance = chance.fork("node")
        self.nonces = chance.fork("nonces")
        self.gossip_key = chance.fork("gossip").take_bytes(32)
        self.tree = tree
        self.book = book
        self.dialer = dialer
        self.pins = pins
        self.download = Downloader(tree, config.minimum_work)
        self.timers: Timers[TimerKey] = Timers()
        self.company = company
        self.door = Door(vault, now.mono)
        self.peers: dict[ConnId, Peer] = {}
        self.dials: dict[ConnId, PendingDial] = {}
        self.dial_nonces: dict[int, ConnId] = {}
        """Nonces of our links that have not completed their handshake: to find a connection to ourselves."""
        self.effects: list[Effect] = []
        self.emitting: dict[ConnId, Peer] = {}
        """Links with a ``Send`` among the effects."""
        self.pending: dict[int, Pending] = {}
        self.header_peer: ConnId | None = None
        self.offered: dict[BlockHash, None] = {}
        """Headers before the ledger now."""
        self.woken: dict[ConnId, None] = {}
        """Links that an event of another link has closed; they are looked at before the input ends."""
        self.header_peer_since = now.mono
        self.sync_due = False
        """Blocks have come in this input, and nothing has followed of them yet."""
        self.low_unowned: list[Entry] = []
        """Low-work headers whose sender has gone and on which others build, parents first."""
        # -- blocks on their way into the ledger
        self.ready: deque[PendingBlock] = deque()
        self.waiting: dict[BlockHash, list[PendingBlock]] = {}
        """Bodies whose parent has not been handed to the ledger yet, by that parent."""
        self.handed: dict[BlockHash, None] = {}
        """Blocks in ``ready`` or before the ledger now."""
        self.ledger_busy = False
        # -- serving
        self.frame_heads = FrameHeads()
        # -- gossip
        self.advertised: dict[NetAddress, None] = dict.fromkeys(config.advertise)
        """Where others reach us, each told to peers of its own class alone."""
        self.getaddr_cache: dict[KeyClass, tuple[Instant, tuple[AddressEntry, ...]]] = {}
        # -- clock and totals
        self.started, self.last_now = now.mono, now
        self.stopping = False
        self.bytes_out = self.retired_bytes_in = 0
        self.retired_traffic = Traffic(), Traffic()
        """Out and in, of links that have ended."""
        """Bytes that went out, and that came in on links that have ended."""
        self._serial = 0

    def new_id(self) -> int:
        """A number that was not used before."""
        self._serial += 1
        return self._serial

    def new_conn(self) -> ConnId:
        """A name for a new connection."""
        return ConnId(self.new_id())

    def emit(self, effect: Effect) -> None:
        """Queue an effect."""
        self.effects.append(effect)

    def tell(self, event: Event) -> None:
        """Queue a :class:`Tell`."""
        self.effects.append(Tell(event))

    def ask(self, request: LedgerRequest, pending: Pending) -> None:
        """Queue a request to the ledger's worker and remember what it is for."""
        ticket = self.new_id()
        self.pending[ticket] = pending
        self.effects.append(Ask(ticket, request, pending.conn if isinstance(pending, PendingRead) else None))

    def send(self, peer: Peer, message: Message) -> None:
        """Send a message on an open link; nothing happens on one that has just ended."""
        if peer.is_open:
            peer.channel.send(message)

    def flush(self, peer: Peer, now: Now) -> None:
        """Hand what a channel wants written to the driver, and keep its timer and its reading right."""
        size = 0
        for data in peer.channel.take_parts(now.mono):
            size += len(data)
            self.effects.append(Send(peer.conn, data))
        if size:
            # Privacy: pictures are shown around, and do not count what is broadcast privately.
            self.bytes_out += 0 if peer.private else size
            peer.emitted += size
            self.emitting[peer.conn] = peer
            if peer.channel.transport.rate is not None and (room := self.send_room(peer)) != peer.mind:
                peer.mind = room
                self.effects.append(Mind(peer.conn, room))
        self.timers.set(("link", peer.conn), peer.channel.next_deadline())
        self.govern(peer, now)

    def govern(self, peer: Peer, now: Now) -> None:
        """Pause or resume reading: nothing more is read from a peer that is being served, does not take what it asked
        for, or has spent its tokens."""
        wait = peer.channel.throttle(now.mono)
        if wait:
            self.timers.set(("throttle", peer.conn), Instant(now.mono + wait))
        # What was answered in this input is not with the driver yet, so it cannot say that the peer is congested.
        overflowing = self.overflowing(peer)
        if overflowing:
            self.timers.set(("throttle", peer.conn), self._relief(peer, now))
        hold = bool(wait) or overflowing or peer.congested or bool(peer.serve) or bool(peer.reading)
        # That we do not look at what has come, as we are busy with what he has asked for, is not the peer's silence.
        # That he takes nothing is, or that he has said too much.
        peer.channel.rest(now.mono, resting=hold and not (peer.congested or wait))
        # Privacy: at a constant rate nothing may show that we are busy. Who stops reading stops the other side as well,
        # as soon as the socket's buffers are full; so what comes is taken in, and waits here, if it is not much.
        reads_on = peer.channel.transport.rate is not None and not wait and peer.channel.buffered <= READ_ON_BYTES
        if hold and not reads_on and not peer.stopped:
            peer.stopped = True
            self.effects.append(Pause(peer.conn))
        if hold == peer.paused:
            return
        peer.paused = hold
        if hold:
            peer.paused_since = now.mono
            self.download.pause(peer.conn)
        else:
            # While we did not read, the peer could not answer: that time does not count against it.
            rested = Duration(now.mono - peer.paused_since)
            peer.headers_asked_since = after(peer.headers_asked_since, rested)
            self.download.resume(peer.conn, rested)
            # What others are late with, or this one, was not looked at meanwhile.
            self.timers.set(("download", 0), now.mono)
            peer.stopped = False
            # Also where the socket is read: there is something to be gone on with.
            self.effects.append(Resume(peer.conn))

    def overflowing(self, peer: Peer) -> bool:
        """Whether this input has made more for a peer than it may have waiting; the driver has not seen it yet."""
        if peer.emitted + peer.channel.queued > self.send_room(peer):
            return True
        return bool(peer.serve) and peer.inbound and peer.channel.transport.rate is not None and self._is_crowded(peer)

    def _is_crowded(self, peer: Peer) -> bool:
        """What waits for the constant rates of links that others have opened, in one class, is as much as may: then
        nothing more is read from the store for them until some of it has gone. None of them ends for that, as it is we
        who are slow."""
        pool = self.pool(peer.address)
        waiting = sum(
            one.channel.queued
            for one in self.peers.values()
            if one.inbound and one.channel.transport.rate is not None and self.pool(one.address) is pool
        )
        return waiting > pool.waiting_most

    def send_room(self, peer: Peer) -> int:
        """Bytes that may wait for a peer before nothing more is served to it: at a constant rate no more than keeps the
        line busy, because they wait here, in our memory, however fast the peer takes them."""
        rate = peer.channel.transport.rate
        return SEND_BUFFER_BYTES if rate is None else STEADY_QUEUE_BYTES + 2 * rate * STEADY_TICK // MICROSECONDS

    def _relief(self, peer: Peer, now: Now) -> Instant:
        """When to look again whether there is room for more."""
        shaped = peer.channel.transport.next_deadline()
        if peer.channel.transport.rate is None or shaped is None:
            return now.mono
        return Instant(max(shaped, now.mono))

    def weigh(self, peer: Peer, came: int) -> None:
        """Bring an inbound link's account up to date after ``came`` bytes; over the sum's bound a link ends."""
        if not peer.inbound or peer.channel.is_closed:
            return
        for leaving in self.pool(peer.address).burdens.weigh(peer.conn, peer.channel.buffered + peer.serve.size, came):
            self.peers[leaving].channel.close("receive-total")
            self.wake(leaving)

    def weigh_unsent(self, peer: Peer, unsent: int) -> None:
        """An inbound link does not take ``unsent`` bytes; over the sum's bound the one that waits longest ends."""
        if not peer.inbound or peer.channel.is_closed:
            return
        for leaving in self.pool(peer.address).unsent.weigh(peer.conn, unsent, 0):
            self.peers[leaving].channel.close("send-total")
            self.wake(leaving)

    def wake(self, conn: ConnId) -> None:
        """Have a link's events pulled before this input ends."""
        self.woken[conn] = None

    @property
    def low_work(self) -> int:
        """Headers held on branches with no more work than our tip."""
        return len(self.low_unowned) + sum(len(peer.low_work) for peer in self.peers.values())

    def is_stale(self, now: Instant) -> bool:
        """Whether our tip has not moved for long, and no block is on its way."""
        # Security: that a better header is known is no reason to be calm: who shows one and withholds its block could
        # switch the alarm off.
        if now - self.company.tip_moved_at <= STALE_TIP:
            return False
        return not any(self.download.in_flight(conn) for conn in self.peers)

    def situation(self, now: Now) -> Situation:
        """What the schedule of dials must know."""
        # Privacy: connections for private broadcast are no part of it, or whom we dial otherwise would depend on them.
        dials = [dial for dial in self.dials.values() if dial.purpose is not Purpose.PRIVATE]
        outbound = [Wanted(peer.address, peer.purpose) for peer in self.peers.values() if peer.purpose is not None]
        outbound += [
            Wanted(sink.dialled, sink.purpose)
            for sink in self.door.sinks.values()
            if sink.dialled is not None and sink.purpose is not None
        ]
        outbound += [Wanted(dial.address, dial.purpose) for dial in dials]
        outbound = [one for one in outbound if one.purpose is not Purpose.PRIVATE]
        in_use = {one.address: None for one in outbound}
        in_use |= {peer.address: None for peer in self.peers.values() if peer.inbound}
        automatic = sum(not dial.named for dial in dials)
        return Situation(
            in_use=in_use,
            outbound=outbound,
            reached={peer.address: None for peer in self.open_peers() if not peer.inbound},
            # Peers of the operator's that are down must not take all turns.
            dialling=automatic + min(len(dials) - automatic, DIALS_AT_ONCE // 2),
            stale=self.is_stale(now.mono),
        )

    def plan_dials(self, now: Now) -> None:
        """Say when to look at the schedule of dials again."""
        self.timers.set(("dial", 0), self.dialer.next_deadline(self.situation(now)))

    def handshake_timeout(self, address: NetAddress) -> Duration:
        """How long transport and handshake of a link with an address may take together."""
        timeout = self.config.handshake_timeout
        return max(timeout, HANDSHAKE_TIMEOUT_OVERLAY) if is_overlay(address.network) else timeout

    def pool(self, address: NetAddress) -> Pool:
        """Where a link from an address has its place."""
        of = class_of(address.network)
        if (pool := self.company.pools.get(of)) is None:
            share = 1 if of is KeyClass.CLEARNET else OTHER_CLASS_SHARE
            pool = self.company.pools[of] = Pool(Lobby(self.config.lobby_links), share)
        return pool

    def group(self, address: NetAddress) -> bytes:
        """The network group of an address."""
        return self.company.grouping.group(address)

    def arrival(self, conn: ConnId, address: NetAddress) -> bytes:
        """The group of somebody at the door. Who comes through an overlay shows no address of his: each is a group of
        his own."""
        if class_of(address.network) in (KeyClass.ONION, KeyClass.I2P):
            return conn.to_bytes(8, "little")
        return self.group(address)

    def save_bans(self) -> None:
        """Hand what has changed of the bans to the store."""
        if changes := self.company.bans.take_changes():
            self.emit(SaveBans(changes))

    def open_peers(self) -> list[Peer]:
        """Links whose handshake is done, oldest first. Those for private broadcast are not among them: nothing is said
        there but the one thing."""
        return [peer for peer in self.peers.values() if peer.is_open and not peer.private]

    @property
    def behind(self) -> bool:
        """Our chain lacks so much that what is announced now could not be judged. A block or two are no reason: each
        one is missing for a moment, and announcements come only once."""
        return self.tree.best.height - self.tree.tip.height > RELAY_BEHIND

    @property
    def syncing(self) -> bool:
        """A header with more work than the tip is known whose block is missing (design §8)."""
        return self.download.missing


def headers_full(count: int) -> bool:
    """Whether a ``headers`` message says that there is more."""
    return count == HEADERS_ITEMS
