"""The node: one pure machine for sockets and for the simulator alike.

Four things drive it: the network (``accepted``, ``connected``, ``receive``, ``disconnected``, ``congested``, …), the
ledger's answers (``answered``), its operator (``submit_block``, ``add_peer``, ``stop``) and time
(``handle_deadline``). ``now`` is always the last argument. After every input the driver drains ``take_effects`` and
looks at ``next_deadline``. No input raises because of what a peer did; a :class:`~obscura.base.errors.BugError` is a
defect of ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final

from ..base.errors import BugError, ConfigError, LocalError, PeerFault
from ..base.instant import MICROSECONDS, Duration, Instant, Now, WallTime, after
from ..base.limits import CLOCK_JUMP, DEFECT_REST, SEND_BUFFER_BYTES
from ..base.names import ConnId, TxId
from ..base.randomness import Chance
from ..chain import BlockReport, CoinReport, HeaderReport, Ledger, Restored, relaying
from ..channel import Answered, Closed, MessageFault, Opened
from ..peers.bans import Ban, Bans, Subject
from ..peers.books import AddressBooks
from ..peers.dialing import Dialer, Policy
from ..peers.groups import Grouping
from ..peers.pins import NamedPin, PinError, Pins
from ..peers.record import AddressRecord
from ..relay.sent import Stage
from ..shaping import Traffic
from ..sync.view import HeaderTree
from ..wire.address import NetAddress, Network
from ..wire.blocks import Block, DandelionTx, GetBlocks, GetData, GetHeaders, Headers, Inv, NotFound, Tx
from ..wire.gossip import Addr
from ..wire.greeting import GetAddr, Mempool, Ping, Verack, Version
from ..wire.identity import class_of
from ..wire.registry import Message
from ..wire.target import Mode, Target
from . import (
    doors,
    following,
    inbound,
    judging,
    links,
    on_gossip,
    on_relay,
    on_serve,
    on_sync,
    outbound,
    pinning,
    private,
    sinks,
    spreading,
    stemming,
)
from .bounds import check_bounds
from .config import NodeConfig
from .effects import (
    BlocksRead,
    Drop,
    Effect,
    KeptBroadcast,
    KeptTransaction,
    LedgerAnswer,
    Notice,
    TransactionsJudged,
)
from .peer import Peer
from .relay_state import Relay
from .snapshot import NO_RELAY, BroadcastItem, MempoolItem, PeerSnapshot, Snapshot
from .state import NOBODY, Company, NodeState, PendingFollow, PendingHeaders, PendingRead, PendingTransactions, TimerKey
from .vault import Vault


class Node:
    """A whole node without any input or output.

    Args:
        config: what it is told at birth.
        ledger: the chain. The node calls only its identifying verbs; state verbs go out as ``Ask``.
        chance: its own stream of randomness.
        restored: what ``ledger.restore()`` gave; consumed here.
        addresses: what the store kept of the address book.
        now: both clocks.
        book_key: 32 bytes that decide where the book keeps an address; the same for all runs on one store.
        bans: what the store kept of who is kept away.
        anchors: where the last run had block-only links.
        pins: what the store kept of named peers' keys.
        kept: the transactions that waited for a block when the last run ended, in any order.
        broadcasts: those that were to be broadcast privately.
        vault: our keys. Only a node whose transport is plain may do without: then nothing is ever encrypted.

    Raises:
        PinError: the configuration names a peer in a way that would not check its key.
    """

    def __init__(
        self,
        config: NodeConfig,
        ledger: Ledger,
        chance: Chance,
        restored: Restored,
        addresses: Sequence[AddressRecord],
        now: Now,
        *,
        book_key: bytes | None = None,
        bans: Iterable[Ban] = (),
        anchors: Sequence[NetAddress] = (),
        pins: Iterable[NamedPin] = (),
        vault: Vault | None = None,
        kept: Sequence[KeptTransaction] = (),
        broadcasts: Sequence[KeptBroadcast] = (),
    ) -> None:
        if vault is None and config.transport is not Mode.PLAIN:
            raise BugError("a node whose links are to be encrypted needs a vault of keys; or say transport=Mode.PLAIN")
        kept_pins = Pins(pins)
        if vault is None and len(kept_pins):
            raise PinError("keys of peers are pinned, and this node has no keys to check them with: give it a vault")
        for target in config.connect:
            if target.address.network not in config.reach:
                raise ConfigError(_no_way(target.address))
            kept_pins.check_mode(target, can_veil=vault is not None)
        tree = HeaderTree(ledger.genesis, ledger.identify_header(ledger.genesis))
        for one in restored.headers:
            tree.restore(one.header, ledger.identify_header(one.header), has_body=one.has_body)
        tip = tree.get(restored.tip)
        if tip is None:
            msg = "the ledger's tip is not among the headers that it restored"
            raise BugError(msg)
        tree.set_tip(tip)
        grouping = Grouping(config.asmap)
        book = AddressBooks(
            addresses,
            chance.fork("book"),
            key=book_key or chance.fork("book key").take_bytes(32),
            grouping=grouping,
            defences=config.defences,
        )
        if config.hidden is not None:
            book.hide(config.hidden)
        kept_bans = Bans(bans)
        policy = Policy(
            full=config.outbound_slots if config.discover else 0,
            blocks=config.block_slots if config.defences.block_only else 0,
            allow_local=config.allow_local,
            reach=config.reach,
            grouping=grouping,
            defences=config.defences,
        )

        def refused(address: NetAddress, wall: WallTime) -> bool:
            discouraged = config.defences.discouragement and kept_bans.is_discouraged(address, wall, exact=True)
            return discouraged or kept_bans.is_banned(address, wall)

        dialer = Dialer(
            book,
            config.connect,
            policy,
            chance.fork("dialer"),
            now.mono,
            refused=refused,
            banned=kept_bans.is_banned,
            anchors=anchors,
        )
        judge = relaying(ledger)
        relay = None
        if judge is not None:
            relay = Relay(judge, config, chance.fork("relay"), tuple(kept), now.mono, tuple(broadcasts))
        company = Company(grouping, kept_bans, tuple(anchors), chance, now.mono)
        self._state = NodeState(config, ledger, chance, tree, book, dialer, kept_pins, vault, relay, company, now)

    # -- the operator

    def start(self, now: Now) -> None:
        """Begin to dial."""
        self._tick(now)
        on_gossip.take_seeds(self._state, now)
        if not self._state.config.connect and not len(self._state.book):
            self._state.tell(Notice("no-peers", _NO_PEERS))
        for target in self._state.config.connect:
            if self._state.company.bans.is_banned(target.address, now.wall):
                text = "a peer that is named by --connect is banned, and not dialled: see obscura bans"
                self._state.tell(Notice("named-banned", text))
        if self._state.relay is not None:
            private.warn(self._state, self._state.relay)
        following.follow(self._state)
        links.dial_due(self._state, now)
        links.save_due(self._state, now)
        outbound.begin(self._state, now)

    def submit_block(self, block: bytes, now: Now) -> int:
        """Hand in a block of our own. The answer is a ``BlockSubmitted`` with the ticket returned here."""
        self._tick(now)
        ticket = self._state.new_id()
        on_sync.submit(self._state, block, ticket)
        return ticket

    def submit_transaction(self, data: bytes, now: Now, *, apart: bool = False) -> int:
        """Hand in a transaction of our own. The answer is a ``TransactionSubmitted`` with the ticket returned here. One
        that is accepted is kept, over restarts as well, while it waits; that it is ours is known to this run alone.
        ``apart``: it is to be broadcast privately, where that is possible (:class:`~.config.NoOverlay`)."""
        self._tick(now)
        ticket = self._state.new_id()
        judging.submit(self._state, data, ticket, now, apart=apart)
        self._settle(now)
        return ticket

    def add_peer(self, target: Target, now: Now) -> None:
        """Name a peer: it is dialled now, and again whenever it is lost. Dials and links to its address made otherwise
        (of gossip, or by another key) end first. For one that is named already: mode and key of its next dial.

        Raises:
            LocalError: its network cannot be dialled by this node, or it is banned.
            PinError: ``target`` has a mode that would not check the key that is pinned for its address.
        """
        self._tick(now)
        if not self._state.dialer.may_name(target.address):
            raise LocalError(_no_way(target.address))
        if self._state.company.bans.is_banned(target.address, now.wall):
            raise LocalError(f"{target.address.reveal()} is banned: see obscura bans, and obscura unban")
        self._state.pins.check_mode(target, can_veil=self._state.door.vault is not None)
        for peer in links.end_others(self._state, target):
            self._pump(peer, now)
        self._state.dialer.name(target, now.mono)
        links.dial_due(self._state, now)
        self._settle(now)

    def forget_pin(self, address: NetAddress, now: Now) -> bool:
        """Forget the key of a named peer: the next one that answers is taken. ``False`` if none was pinned. Links that
        are open stay; a ``ForgetPin`` makes it durable."""
        self._tick(now)
        return pinning.forget(self._state, address)

    def ban(self, subject: Subject, until: WallTime | None, now: Now) -> Ban:
        """Keep hosts away until a time, ``None`` for ever: their links end now. ``SaveBans`` makes it durable.

        Raises:
            LocalError: too many are banned already.
        """
        self._tick(now)
        state = self._state
        made = state.company.bans.ban(subject, until, now.wall)
        for conn, dial in list(state.dials.items()):
            if state.company.bans.is_banned(dial.address, now.wall):
                links.dial_failed(state, conn, "banned", now)
                state.emit(Drop(conn))
        for peer in list(state.peers.values()):
            if state.company.bans.is_banned(peer.address, now.wall):
                peer.channel.close("banned")
                self._pump(peer, now)
        state.save_bans()
        self._settle(now)
        return made

    def unban(self, subject: Subject, now: Now) -> bool:
        """Keep hosts away no longer, whoever did; ``False`` if nobody did."""
        self._tick(now)
        found = self._state.company.bans.unban(subject)
        self._state.save_bans()
        if found:
            self._state.dialer.unbanned(now)
            links.dial_due(self._state, now)
        return found

    def bans(self, now: Now) -> tuple[Ban, ...]:
        """Who is kept away. For our operator alone: addresses are revealed by it."""
        return self._state.company.bans.listing(now.wall)

    def stop(self, now: Now) -> None:
        """End all links, save the addresses, dial no more."""
        self._tick(now)
        state = self._state
        state.stopping = True
        for peer in list(state.peers.values()):
            peer.channel.close("stopped")
            self._pump(peer, now)
        for conn in list(state.dials):
            del state.dials[conn]
            state.emit(Drop(conn))
        for conn in list(state.door.sinks):
            sinks.end(state, conn, now)
        links.save_due(state, now)
        self._settle(now)

    # -- the network

    def accepted(self, address: NetAddress, now: Now) -> ConnId | None:
        """Someone has connected; ``None`` says to close the socket at once, because the node is stopping or the host
        is banned. The network of ``address`` names the class of the listener.

        It waits in the lobby until its handshake is complete; another one may have to leave it (see ``peers.lobby``).
        """
        self._tick(now)
        state = self._state
        if state.stopping or state.company.bans.is_banned(address, now.wall):
            return None
        peer = links.make(state, state.new_conn(), address, now)
        leaving = state.pool(address).lobby.enter(peer.conn, state.arrival(peer.conn, address))
        state.flush(peer, now)
        if leaving is not None:
            sinks.evict(state, leaving, now)
            self._settle(now)
        return peer.conn

    def connected(self, conn: ConnId, now: Now) -> None:
        """A ``Dial`` has succeeded."""
        self._tick(now)
        dial = self._state.dials.pop(conn, None)
        if dial is None:
            self._state.emit(Drop(conn))
            return
        peer = links.make(self._state, conn, dial.address, now, links.as_named_now(self._state, dial))
        self._state.flush(peer, now)
        # The dial is over, which may make room for the next.
        self._state.plan_dials(now)

    def dial_failed(self, conn: ConnId, reason: str, now: Now, *, ours: bool = False) -> None:
        """A ``Dial`` has failed; ``ours``: in a daemon of ours, which says nothing about the address."""
        self._tick(now)
        links.dial_failed(self._state, conn, reason, now, ours=ours)
        self._settle(now)

    def open_ways(self, networks: Collection[Network], now: Now) -> None:
        """To these networks there is a way now: of those that may be dialled (``NodeConfig.reach``), no others are. At
        first there is one to all of them."""
        self._tick(now)
        self._state.dialer.open_ways(networks, now.mono)
        links.dial_due(self._state, now)
        self._settle(now)

    def advertise(self, address: NetAddress, now: Now) -> None:
        """Others reach us here from now on: it is told to peers of its class. Harmless if it is already."""
        self._tick(now)
        state = self._state
        # Others tell us of it as well, also while it does not work: we never dial ourselves for that.
        state.book.hide(address)
        if address not in state.advertised:
            state.advertised[address] = None
            for peer in state.open_peers():
                if class_of(peer.address.network) is class_of(address.network):
                    on_gossip.advertise(state, peer, now)
                    state.flush(peer, now)

    def withdraw(self, address: NetAddress, now: Now) -> None:
        """Others do not reach us here any more: nobody else is told so. Harmless if nobody was."""
        self._tick(now)
        self._state.advertised.pop(address, None)

    def receive(self, conn: ConnId, data: bytes, now: Now, *, in_turns: bool = False) -> bool:
        """Bytes of a link, in any cut. A driver whose links take turns (``in_turns``) calls this again, with no bytes,
        when it answers ``True``: there is more to do than one turn takes; and after each ``Resume``."""
        self._tick(now)
        peer = self._state.peers.get(conn)
        if peer is None:
            sinks.heard(self._state, conn, now)
            return False
        if in_turns:
            peer.channel.begin_turn()
        peer.channel.receive_data(data, now.mono)
        self._pump(peer, now, len(data))
        self._settle(now)
        return peer.waits_for_turn and not peer.paused

    def disconnected(self, conn: ConnId, now: Now) -> None:
        """The peer has ended the connection, or it is lost."""
        self._tick(now)
        peer = self._state.peers.get(conn)
        if peer is None:
            if conn in self._state.dials:
                links.dial_failed(self._state, conn, "connect-error", now)
            sinks.end(self._state, conn, now)
            return
        peer.channel.receive_eof()
        self._pump(peer, now)
        self._settle(now)

    def congested(self, conn: ConnId, now: Now, *, unsent: int = SEND_BUFFER_BYTES) -> None:
        """The peer does not take what is sent, ``unsent`` bytes by now; nothing more is read from it or served to it
        until ``drained``."""
        self._tick(now)
        peer = self._state.peers.get(conn)
        if peer is not None:
            peer.congested = True
            peer.channel.transport.clog(clogged=True)
            self._state.weigh_unsent(peer, unsent)
            self._state.govern(peer, now)
            self._settle(now)
        else:
            sinks.clog(self._state, conn, clogged=True)

    def drained(self, conn: ConnId, now: Now) -> None:
        """The peer has taken most of what was sent."""
        self._tick(now)
        peer = self._state.peers.get(conn)
        if peer is not None:
            peer.congested = False
            peer.channel.transport.clog(clogged=False)
            self._state.pool(peer.address).unsent.forget(conn)
            on_serve.serve(self._state, peer)
            self._pump(peer, now)
            self._settle(now)
        else:
            sinks.clog(self._state, conn, clogged=False)

    # -- the ledger

    def answered(self, ticket: int, answer: LedgerAnswer, now: Now) -> None:
        """The answer to an ``Ask``."""
        self._tick(now)
        state = self._state
        pending = state.pending.pop(ticket)
        match pending, answer:
            case PendingHeaders(), HeaderReport():
                on_sync.headers_judged(state, pending, answer, now)
                state.wake(pending.conn)
            case PendingRead(), BlocksRead():
                on_serve.blocks_read(state, pending, answer)
                state.wake(pending.conn)
            case tuple(), BlockReport():
                on_sync.blocks_judged(state, pending, answer, now)
            case PendingFollow(), CoinReport():
                following.stepped(state, answer, now)
                links.begin(state, now)
            case PendingTransactions(), TransactionsJudged():
                judging.judged(state, pending, answer.outcomes, now)
            case _:
                msg = f"a {type(answer).__name__} answers a {type(pending).__name__}"
                raise BugError(msg)
        self._settle(now)

    # -- the guard against replays

    def admitted(self, conn: ConnId, new: bool, now: Now, *, trouble: str = "") -> None:
        """The answer to an ``Admit``: whether the knock is ``new``, and remembered; ``trouble``: why it cannot be."""
        self._tick(now)
        doors.admitted(self._state, conn, new=new, trouble=trouble, now=now)
        self._settle(now)

    # -- time

    def next_deadline(self) -> Instant | None:
        """When :meth:`handle_deadline` wants to be called."""
        return self._state.timers.next_deadline()

    def handle_deadline(self, now: Now) -> None:
        """Do what is due. Harmless when nothing is."""
        self._tick(now)
        state = self._state
        # One round for each key at most: a deadline that is named again for the past waits for the next call, so that
        # a mistake in one part can cost time but never the node.
        keys: dict[TimerKey, None] = {}
        while (key := state.timers.pop_due(now.mono)) is not None:
            keys[key] = None
        waiting = deque(keys)
        try:
            while waiting:
                self._deadline(waiting[0], now)
                waiting.popleft()
        finally:
            # A defect in one part costs no other its turn, and itself no more than this one.
            for key in waiting:
                state.timers.set(key, after(now.mono, DEFECT_REST))
        self._settle(now)

    def _deadline(self, key: TimerKey, now: Now) -> None:
        state, (name, number) = self._state, key
        match name:
            case "dial":
                links.dial_due(state, now)
            case "save":
                links.save_due(state, now)
            case "review":
                outbound.review(state, now)
            case "download":
                on_sync.schedule(state, now)
            case "knock":
                doors.answer_due(state, now)
            case "relay":
                on_relay.deadline(state, now)
            case "renew":
                following.renew(state, now)
            case "ghost":
                sinks.emit_due(state, ConnId(number), now)
            case "sink":
                sinks.end(state, ConnId(number), now)
            case _:
                # An earlier key of this round may have ended the link.
                peer = state.peers.get(ConnId(number))
                if peer is not None:
                    self._link_deadline(name, peer, now)

    def _link_deadline(self, name: str, peer: Peer, now: Now) -> None:
        match name:
            case "link":
                peer.channel.handle_deadline(now.mono)
            case "headers":
                on_sync.headers_late(self._state, peer, now)
            case "throttle":
                # Where links take turns it goes on in its own.
                peer.channel.end_turn()
                # What was made for it is with the driver now, which has said if that is too much.
                on_serve.serve(self._state, peer)
            case "tried":
                stemming.tried(self._state, peer, now)
            case "advertise":
                on_gossip.advertise(self._state, peer, now)
            case "private":
                peer.channel.close("private-over")
        self._pump(peer, now)

    # -- what comes out

    def take_effects(self) -> list[Effect]:
        """Drain what is to be done, in order."""
        state = self._state
        effects, state.effects = state.effects, []
        for peer in state.emitting.values():
            peer.emitted = 0
        state.emitting.clear()
        return effects

    def snapshot(self, now: Now) -> Snapshot:
        """A picture of the node as it is."""
        state = self._state
        tip = state.tree.tip
        return Snapshot(
            network=state.config.network,
            height=tip.height,
            tip=tip.hash,
            headers=state.tree.best.height,
            syncing=state.syncing,
            # Privacy: pictures are shown around. What is broadcast privately is for :meth:`broadcasts` alone.
            peers=tuple(self._picture(peer, now) for peer in state.peers.values() if not peer.private),
            addresses=len(state.book),
            tried=sum(tried for _, tried in state.book.counts().values()),
            advertised=tuple(state.advertised),
            uptime=Duration(now.mono - state.started),
            bytes_in=state.retired_bytes_in
            + sum(peer.channel.bytes_in for peer in state.peers.values() if not peer.private),
            bytes_out=state.bytes_out,
            shaped_in=self._traffic(1),
            shaped_out=self._traffic(0),
            stopping=state.stopping,
            relay=NO_RELAY if state.relay is None else state.relay.picture(now.mono),
        )

    def mempool(self, now: Now) -> list[MempoolItem]:
        """What waits for a block, parents before children. For our operator alone: ids are revealed by it."""
        return [] if self._state.relay is None else self._state.relay.items(now.mono)

    def sent_stage(self, txid: TxId) -> Stage | None:
        """How far a transaction of our operator has come, as far as the node knows; ``None`` for any other, and for one
        of an earlier run. For our operator alone."""
        return None if self._state.relay is None else self._state.relay.stems.log.get(txid)

    def broadcasts(self, now: Now) -> list[BroadcastItem]:
        """What is to be broadcast privately and has not been seen yet, oldest first. For our operator alone: ids are
        revealed by it."""
        return [] if self._state.relay is None else private.items(self._state.relay, now.mono)

    @property
    def private(self) -> bool:
        """All that our operator sends is to be broadcast privately."""
        return self._state.config.private

    def drop_broadcast(self, txid: TxId, now: Now) -> bool:
        """Take a transaction back that is to be broadcast privately; ``False`` if there is none of this id. What was
        handed over already may spread all the same."""
        self._tick(now)
        relay = self._state.relay
        found = relay is not None and private.drop(self._state, relay, txid)
        self._settle(now)
        return found

    def block_candidates(self, weight_max: int) -> list[bytes]:
        """Whole transactions for a block of ``weight_max`` weight units, by what each pays together with its
        ancestors; parents before children."""
        relay = self._state.relay
        return [] if relay is None else [entry.data for entry in relay.pool.select(weight_max)]

    def _picture(self, peer: Peer, now: Now) -> PeerSnapshot:
        version = peer.channel.peer_version
        shaped_out, shaped_in = peer.channel.transport.traffic
        return PeerSnapshot(
            conn=peer.conn,
            address=peer.address,
            inbound=peer.inbound,
            named=peer.named,
            purpose="" if peer.purpose is None else peer.purpose.value,
            discouraged=inbound.is_discouraged(self._state, peer.address, now.wall),
            state=peer.channel.state.value,
            transport=peer.channel.transport.name,
            encrypted=peer.channel.transport.secured,
            session=peer.channel.transport.session_id,
            user_agent="" if version is None else version.user_agent,
            in_force=peer.channel.in_force,
            claimed_height=-1 if version is None else version.best_height,
            known_height=-1 if peer.best is None else peer.best.height,
            ping=peer.channel.round_trip,
            age=peer.age(now.mono),
            bytes_in=peer.channel.bytes_in,
            bytes_out=peer.channel.bytes_out,
            shaping=peer.channel.transport.profile.value,
            rate=peer.channel.transport.rate,
            shaped_in=replace(shaped_in),
            shaped_out=replace(shaped_out),
            delays=replace(peer.channel.transport.delays),
            blocks_received=peer.blocks_received,
            blocks_in_flight=self._state.download.in_flight(peer.conn),
            faults=peer.channel.fault_points(now.mono),
        )

    def _traffic(self, direction: int) -> Traffic:
        """Of all links, those that have ended among them; 0 for what went out, 1 for what came in. Privacy: without
        those for private broadcast, as all pictures."""
        total = replace(self._state.retired_traffic[direction])
        for peer in self._state.peers.values():
            if not peer.private:
                total.add(peer.channel.transport.traffic[direction])
        return total

    def check(self) -> None:
        """Walk the invariants and the bounds of every part; for tests, fuzzers and simulations."""
        state = self._state
        check_bounds(state)
        state.tree.check()
        state.download.check()
        state.book.check()
        state.company.bans.check()
        for pool in state.company.pools.values():
            pool.lobby.check()
            pool.burdens.check()
            pool.unsent.check()
        state.door.knocking.check()
        if state.relay is not None:
            state.relay.check()
        for of, pool in state.company.pools.items():
            theirs = [peer for peer in state.peers.values() if peer.inbound and class_of(peer.address.network) is of]
            waiting = sum(1 for peer in theirs if peer.opened_at is None and not peer.channel.is_closed)
            silent = sum(1 for conn in state.door.sinks if conn in pool.lobby)
            assert len(pool.lobby) == waiting + silent, "strangers and silent links wait in the lobby"
            slots = sum(1 for peer in theirs if peer.opened_at is not None)
            slots += sum(1 for sink in state.door.sinks.values() if sink.slot and sink.of is of)
            assert slots == pool.open <= state.config.inbound_slots, "each open inbound link has a slot"
        for conn, held in [(NOBODY, state.low_unowned), *((peer.conn, peer.low_work) for peer in state.peers.values())]:
            assert all(entry.low == conn for entry in held), "low-work accounts are exact"
        assert all(conn in state.peers for conn in state.dial_nonces.values()), "nonces belong to links"

    # -- inside

    def _tick(self, now: Now) -> None:
        """Notice when the wall clock has jumped against the monotonic one (design §10)."""
        state = self._state
        drift = (now.wall - state.last_now.wall) - (now.mono - state.last_now.mono) // MICROSECONDS
        if abs(drift) > CLOCK_JUMP:
            state.dialer.rebase(drift)
            state.company.bans.rebase(drift)
            state.tell(Notice("clock-jump", f"the wall clock moved by {drift} s"))
            # Headers that were too far in the future for the old clock may be fine for the new one, and nobody shows
            # them a second time.
            for peer in state.open_peers():
                if peer.best is not None:
                    on_sync.offer(state, peer, peer.best)
        state.last_now = now

    def _pump(self, peer: Peer, now: Now, came: int = 0) -> None:
        """Pull a link's events until it needs more, is to be paused, or has ended. ``came`` bytes have just come."""
        state = self._state
        while True:
            if not self._may_read(peer, now):
                break
            if peer.waits_for_turn:
                break
            if peer.job is not None and not peer.channel.is_closed:
                self._go_on(peer)
                state.govern(peer, now)
                continue
            event = peer.channel.next_event(now.mono)
            if event is None:
                break
            if isinstance(event, Closed):
                peer.job = None
                links.closed(state, peer, event, now)
                return
            try:
                self._dispatch(peer, event, now)
            except PeerFault as fault:
                peer.channel.close(fault.rule, fault.detail, fault=True)
            state.govern(peer, now)
        if peer.channel.may_answer:
            doors.knock(state, peer, now)
            if peer.channel.is_closed:
                state.wake(peer.conn)
        peer.channel.trim()
        state.weigh(peer, came)
        state.flush(peer, now)

    def _go_on(self, peer: Peer) -> None:
        """Work off what a link's message asks for, until it is done or the link's turn is over; one step at least."""
        try:
            while peer.job is not None:
                next(peer.job)
                if peer.channel.turn_over:
                    return
        except StopIteration:
            peer.job = None
        except PeerFault as fault:
            peer.job = None
            peer.channel.close(fault.rule, fault.detail, fault=True)

    def _may_read(self, peer: Peer, now: Now) -> bool:
        """Whether events may be pulled: an end always, others unless the link is to rest."""
        if peer.paused and not peer.channel.is_closed:
            self._state.govern(peer, now)
        return peer.channel.is_closed or not peer.paused

    def _settle(self, now: Now) -> None:
        """Look at links that another link's event has touched."""
        state = self._state
        on_sync.catch_up(state, now)
        while state.woken:
            conn = next(iter(state.woken))
            del state.woken[conn]
            peer = state.peers.get(conn)
            if peer is not None:
                self._pump(peer, now)
                on_sync.catch_up(state, now)
        on_relay.settle(state, now)

    def _dispatch(self, peer: Peer, event: Opened | MessageFault | Answered | Message, now: Now) -> None:
        state = self._state
        match event:
            case Opened():
                links.opened(state, peer, event, now)
            case Answered():
                private.answered(state, peer, now)
            case MessageFault() if peer.private:
                pass
            case MessageFault():
                # An answer that cannot be read has failed, whatever was asked (design §3.5).
                if event.type_name == Block.type_name:
                    state.download.unreadable(peer.conn, now.mono)
                    on_sync.schedule(state, now)
                elif event.type_name == Headers.type_name:
                    on_sync.headers_unreadable(state, peer, now)
            case _ if peer.private:
                private.on_message(state, peer, event, now)
            case _:
                self._on_message(peer, event, now)

    def _on_message(self, peer: Peer, message: Message, now: Now) -> None:
        state = self._state
        match message:
            case Headers():
                peer.job = on_sync.on_headers(state, peer, message, now)
                self._go_on(peer)
            case Block():
                on_sync.on_block(state, peer, message, now)
            case Inv():
                on_relay.on_inv(state, peer, message, now)
                on_sync.on_inv(state, peer, message, now)
            case NotFound():
                on_relay.on_notfound(state, peer, message)
                on_sync.on_notfound(state, peer, message, now)
            case GetHeaders():
                on_serve.on_getheaders(state, peer, message, now)
            case GetBlocks():
                on_serve.on_getblocks(state, peer, message)
            case GetData():
                on_serve.on_getdata(state, peer, message)
            case Mempool():
                spreading.on_mempool(state, peer, now)
            case Addr():
                on_gossip.on_addr(state, peer, message, now)
            case GetAddr():
                on_gossip.on_getaddr(state, peer, now)
            case DandelionTx():
                stemming.on_dandelion_tx(state, peer, message, now)
            case Tx():
                on_relay.on_tx(state, peer, message, now)
            case Version() | Verack() | Ping():
                msg = f"the channel handed out a {message.type_name}"
                raise BugError(msg)


_NO_PEERS: Final = (
    "no peers and no addresses are known: waiting; name a peer by --connect, or a file of addresses by --seeds"
)


def _no_way(address: NetAddress) -> str:
    way = {Network.TORV3: "Tor's (--tor)", Network.I2P: "an I2P router's (--i2p-sam)"}.get(address.network)
    hint = f"that needs {way} help" if way else "see --onlynet"
    return f"{address.reveal()} cannot be dialled by this node, as no way leads to {address.network.name}: {hint}"
