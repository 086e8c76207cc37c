"""Opening links and ending them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..base.instant import Duration, Now, WallTime, after
from ..base.limits import (
    CONNECT_TIMEOUT,
    CONNECT_TIMEOUT_OVERLAY,
    SAVE_AT_ONCE,
    SAVE_DELAY,
    SAVE_PAUSE,
    VERSION_ROUNDING,
)
from ..base.names import ConnId
from ..channel import Channel, Closed, Opened, Role
from ..channel.transport import PlainTransport, Transport
from ..peers.dialing import Purpose
from ..peers.pins import Verdict
from ..shaping import LinkClass, Profile, make_shaper
from ..wire.address import NetAddress
from ..wire.features import EVERYWHERE, Feature, FeatureSet, PrivacyFeature
from ..wire.greeting import PROTOCOL_VERSION, Version
from ..wire.identity import KeyClass, class_of, is_overlay
from ..wire.target import Mode, Target
from . import avoiding, inbound, on_gossip, on_relay, on_sync, outbound, pinning, private, sinks
from .effects import (
    Dial,
    DialFailed,
    Drop,
    LinkClosed,
    LinkOpened,
    Notice,
    SaveAddresses,
    Send,
)
from .peer import Peer
from .state import NOBODY, NodeState, PendingDial


def dial_due(state: NodeState, now: Now) -> None:
    """Dial whom the schedule names, and say when to look again."""
    if state.stopping:
        state.timers.set(("dial", 0), None)
        return
    if state.relay is not None and not state.relay.begun:
        # What we can offer is known with the coin view's first step, which calls this again.
        return
    for wanted in state.dialer.due(now, state.situation(now)):
        conn = state.new_conn()
        named, target = wanted.purpose is Purpose.NAMED, state.dialer.target(wanted.address)
        key = pinning.expected(state, target, named=named)
        strict = pinning.is_strict(state, target, named=named)
        state.dials[conn] = PendingDial(target, wanted.purpose, key, strict)
        timeout = CONNECT_TIMEOUT_OVERLAY if is_overlay(wanted.address.network) else CONNECT_TIMEOUT
        state.emit(Dial(conn, wanted.address, timeout))
    state.plan_dials(now)


def begin(state: NodeState, now: Now) -> None:
    """The coin view has made a step: after its first one links may be opened."""
    if state.relay is not None and not state.relay.begun:
        state.relay.begun = True
        dial_due(state, now)


def end_others(state: NodeState, target: Target) -> list[Peer]:
    """Drop dials to an address that are not as its operator names it now, and close such links; those that were closed.

    Security: nobody may stay in the place of the peer that is named, because he was there before.
    """
    for conn, dial in list(state.dials.items()):
        if dial.address == target.address and not dial.named and dial.purpose is not Purpose.PRIVATE:
            del state.dials[conn]
            state.emit(Drop(conn))
    expected = state.pins.expected(target)
    wrong = [
        peer
        for peer in state.peers.values()
        if not (peer.inbound or peer.private)
        and peer.address == target.address
        and (not peer.named or (expected is not None and peer.channel.transport.responder != expected))
    ]
    for peer in wrong:
        peer.channel.close("named-anew")
    return wrong


def as_named_now(state: NodeState, dial: PendingDial) -> PendingDial:
    """A dial that has succeeded, by what its operator says by now."""
    if not dial.named:
        return dial
    target = state.dialer.target(dial.address)
    return replace(dial, target=target, key=pinning.expected(state, target, named=True))


def dial_failed(state: NodeState, conn: ConnId, reason: str, now: Now, *, ours: bool = False) -> None:
    """A dial came to nothing; ``ours``: in a daemon of ours, so that nothing is known of the address."""
    dial = state.dials.pop(conn, None)
    if dial is None:
        return
    if dial.purpose is Purpose.PRIVATE:
        private.over(state, conn, now, ours=ours)
        return
    wait = state.dialer.ended(dial.address, Duration(0), now, ours=ours)
    state.tell(DialFailed(dial.address, reason, wait))
    dial_due(state, now)


def make(state: NodeState, conn: ConnId, address: NetAddress, now: Now, dial: PendingDial | None = None) -> Peer:
    """A connection stands, made by ``dial`` or by the other side: begin the handshake."""
    nonce = state.nonces.u64()
    purpose = None if dial is None else dial.purpose
    # Privacy: a private connection knows no nonce, and its own is known to no other link. A recipient who shows it to
    # others, or shows others' to us, learns nothing by who takes it for his own.
    anonymous = purpose is Purpose.PRIVATE
    # Privacy: what our operator has chosen shows on all our other links; on a private one nothing is as he has chosen.
    profile = Profile.PAD if anonymous else state.config.shaping.of(*_classes(address, dial))
    if dial is not None and not anonymous:
        state.dial_nonces[nonce] = conn
    channel = Channel(
        Role.RESPONDER if dial is None else Role.INITIATOR,
        private.greeting(state, nonce)
        if anonymous
        else _version(state, nonce, now, relays=purpose is None or purpose.relays),
        (lambda nonce: False) if anonymous else partial(_is_our_nonce, state, class_of(address.network)),
        state.chance.fork(f"channel {conn}"),
        now.mono,
        _transport(state, conn, address, now, dial, profile),
        state.handshake_timeout(address),
        quiet=anonymous,
    )
    peer = Peer(conn, address, channel, purpose, now.mono)
    if dial is not None:
        peer.target, peer.expected = dial.target, dial.key
    state.peers[conn] = peer
    if peer.private:
        private.connected(state, peer, now)
    return peer


def _transport(
    state: NodeState, conn: ConnId, address: NetAddress, now: Now, dial: PendingDial | None, profile: Profile
) -> Transport:
    vault, mode = state.door.vault, state.config.transport
    if vault is None:
        return PlainTransport()
    chance = state.chance.fork(f"garbage {conn}")
    anonymous = dial is not None and dial.purpose is Purpose.PRIVATE
    genesis, of = state.tree.genesis.hash, class_of(address.network)
    shaper = make_shaper(
        profile,
        state.chance.fork(f"shaper {conn}"),
        state.config.shaping,
        # Our operator decides how many others there are.
        partial(_rates_left, state, of) if dial is None else None,
        dialled=dial is not None,
    )
    if dial is None:
        return vault.accept(genesis, mode, of, chance, now.wall, shaper)
    pin = dial.key if dial.strict else None
    # A key was seen on a veiled link, and is checked on a veiled one, whatever the other dials are.
    wanted = Mode.VEILED if dial.key is not None or anonymous else dial.target.mode or mode
    return vault.dial(
        genesis, wanted, chance, now.wall,
        pin=pin, secret=dial.target.secret, of=of, shaper=shaper, as_anybody=anonymous,
    )  # fmt: skip


def _rates_left(state: NodeState, of: KeyClass) -> int:
    """Bytes a second by which the constant rates of links that others have opened may still rise. Privacy: of one
    class, as what the links of others carry must not show there."""
    rates = [
        peer.channel.transport.rate
        for peer in state.peers.values()
        if peer.inbound and class_of(peer.address.network) is of
    ]
    rates += [
        sink.ghost.rate
        for sink in state.door.sinks.values()
        if sink.ghost is not None and sink.dialled is None and sink.of is of
    ]
    return state.config.shaping.steady.total - sum(rate for rate in rates if rate is not None)


def _classes(address: NetAddress, dial: PendingDial | None) -> tuple[LinkClass, ...]:
    """The classes that a link belongs to, for the choice of its profile."""
    classes = (LinkClass(class_of(address.network).value), LinkClass.INBOUND if dial is None else LinkClass.OUTBOUND)
    return (LinkClass.NAMED, *classes) if dial is not None and dial.named else classes


def _is_our_nonce(state: NodeState, of: KeyClass, nonce: int) -> bool:
    """Privacy: nonces of dials under another identity are not known here (design §3.2)."""
    dialled = state.peers.get(state.dial_nonces.get(nonce, NOBODY))
    return dialled is not None and class_of(dialled.address.network) is of


def _version(state: NodeState, nonce: int, now: Now, *, relays: bool) -> Version:
    tip = state.tree.tip
    return Version(
        protocol=PROTOCOL_VERSION,
        # Privacy: rounded, so that clock skew does not link our identities.
        timestamp=WallTime(now.wall - now.wall % VERSION_ROUNDING),
        features=_features(state, relays=relays),
        user_agent=state.config.user_agent,
        best_hash=tip.hash,
        best_height=tip.height,
        nonce=nonce,
    )


def _features(state: NodeState, *, relays: bool) -> FeatureSet:
    """What we offer on a link; ``relays``: whether transactions are to be told on it."""
    features, privacy = EVERYWHERE.features, EVERYWHERE.privacy | state.ledger.privacy_bits
    relays = relays and state.relay is not None and state.relay.serving
    if relays:
        features |= Feature.BASIC_TRANSACTIONS
    if state.door.vault is not None:
        features |= Feature.PRIVACY_FEATURES
        if relays:
            # Stems go over encrypted links alone, which a node without keys has none of.
            features |= Feature.DANDELION
            privacy |= PrivacyFeature.DANDELION_PLUS_PLUS
    return FeatureSet(features, privacy)


def opened(state: NodeState, peer: Peer, event: Opened, now: Now) -> None:
    """The handshake is complete. An inbound link takes its slot now, or ends if there is none: it learns no reason."""
    _forget_nonce(state, peer)
    if peer.inbound and not inbound.take_slot(state, peer, now):
        peer.channel.close("slots-taken")
        return
    if peer.private:
        peer.opened_at = now.mono
        private.opened(state, peer, now)
        return
    if peer.target is not None and not _meet(state, peer, peer.target, now):
        peer.channel.silence("key-changed", now.mono)
        return
    peer.opened_at = now.mono
    state.tell(LinkOpened(peer.conn, peer.address, peer.inbound, event.version.user_agent))
    if peer.purpose is Purpose.FEELER:
        # It was to be seen whether somebody is there, and that is noted.
        peer.channel.close("feeler")
        return
    if peer.purpose is Purpose.BLOCKS:
        outbound.first_anchors(state, peer)
    on_gossip.begin(state, peer, now)
    on_relay.begin(state, peer, now)
    on_sync.begin(state, peer, now)


def _meet(state: NodeState, peer: Peer, target: Target, now: Now) -> bool:
    """The peer that we have dialled is there. A key that it has shown on a veiled link is remembered, and judged."""
    transport = peer.channel.transport
    key = transport.responder if transport.name == "veiled" else None
    strict = pinning.is_strict(state, target, named=peer.named)
    if key is not None and pinning.meet(state, target, key, now, named=peer.named) is Verdict.CHANGED and strict:
        # Two dials of one address were under way, and another key was pinned by the first.
        return False
    state.dialer.opened(peer.address, now, None if strict else key)
    return True


def closed(state: NodeState, peer: Peer, event: Closed, now: Now) -> None:
    """A link has ended, whoever ended it."""
    conn = peer.conn
    # What is queued still goes out: the last answers, or our version to a peer that is to learn why.
    data = peer.channel.take_data(now.mono)
    if data:
        state.emit(Send(conn, data))
    if event.rule == "self-connection":
        _mark_self(state, peer, now)
    if event.rule == "own-key":
        avoiding.leave_alone(state, peer, now, proven=True)
    if event.rule == "key-changed" and event.silent and peer.target is not None:
        state.tell(Notice("key-changed", state.pins.refusal(peer.target)))
    del state.peers[conn]
    state.door.knocking.leave(conn)
    for name in ("link", "throttle", "headers", "advertise"):
        state.timers.set((name, conn), None)
    _forget_nonce(state, peer)
    if not peer.private:
        state.bytes_out += len(data)
        state.retired_bytes_in += peer.channel.bytes_in
        for total, traffic in zip(state.retired_traffic, peer.channel.transport.traffic, strict=True):
            total.add(traffic)
    was_open = peer.opened_at is not None
    if event.fault and not event.silent and not peer.private:
        inbound.punish(state, peer, now)
    if event.silent:
        sinks.begin(state, peer, now)
    else:
        state.emit(Drop(conn))
        state.pool(peer.address).lobby.leave(conn)
    if peer.private:
        # Privacy: neither schedule, book nor log learns of it.
        private.over(state, conn, now)
        return
    state.tell(LinkClosed(conn, peer.address, peer.inbound, event.rule, event.detail, was_open))
    if peer.inbound:
        pool = state.pool(peer.address)
        pool.burdens.forget(conn)
        pool.unsent.forget(conn)
        if not was_open:
            # Strangers come and go by the thousand: nothing else knows of this one.
            return
        if not event.silent:
            state.pool(peer.address).open -= 1
    on_sync.peer_gone(state, peer, now)
    on_relay.peer_gone(state, conn, now)
    if not event.silent and not peer.inbound and not peer.left_alone:
        felt = peer.purpose is Purpose.FEELER and was_open
        state.dialer.ended(peer.address, peer.lived(now.mono), now, felt=felt, told=peer.relays)
    dial_due(state, now)


def _forget_nonce(state: NodeState, peer: Peer) -> None:
    for nonce, conn in list(state.dial_nonces.items()):
        if conn == peer.conn:
            del state.dial_nonces[nonce]


def _mark_self(state: NodeState, peer: Peer, now: Now) -> None:
    """We have seen a nonce of ours. The inbound side learns it first; the address to avoid is the one we dialled."""
    dialled = state.peers.get(state.dial_nonces.get(peer.channel.own_nonce_seen, peer.conn))
    if dialled is not None and not dialled.inbound:
        # A nonce can be repeated by whom we have dialled.
        avoiding.leave_alone(state, dialled, now, proven=False)
        if dialled is not peer:
            dialled.channel.close("self-connection")
            state.wake(dialled.conn)


def save_due(state: NodeState, now: Now) -> None:
    """Hand changed addresses to the store: a portion at a time, as a flood changes tens of thousands in a minute and
    nobody is answered meanwhile; all of them when the node stops."""
    if state.book.changed:
        state.emit(SaveAddresses(state.book.take_changes(None if state.stopping else SAVE_AT_ONCE)))
    state.company.bans.expire(now.wall)
    state.save_bans()
    delay = SAVE_PAUSE if state.book.changed else SAVE_DELAY
    state.timers.set(("save", 0), None if state.stopping else after(now.mono, delay))
