"""Spreading addresses: what is learnt, what is passed on, what is answered (limits: addr, getaddr).

Privacy: each class of networks is a world of its own. What is told on a link is about its class alone, and so is what
is believed of it: an address that was planted by way of our public address is never seen by way of our onion service,
so that no answer says that both are one node. Answers to ``getaddr`` come from a copy that is kept for about a day,
so that repeated asking neither dumps the book nor shows what changed; only links that were opened to us are answered,
once. Times are rounded everywhere.
"""

from __future__ import annotations

import hashlib

from ..base.instant import Now, WallTime, after
from ..base.limits import (
    ADDR_BURST,
    ADDR_RELAY_AGE,
    ADDR_RELAY_EPOCH,
    ADDR_RELAY_ITEMS,
    ADDR_RELAY_PEERS,
    GETADDR_CACHE_HIGH,
    GETADDR_CACHE_LOW,
    SEEDS_BELOW,
    SELF_ADVERTISE,
    VERSION_ROUNDING,
)
from ..wire.address import AddressEntry, NetAddress, Network
from ..wire.gossip import Addr
from ..wire.greeting import GetAddr
from ..wire.identity import KeyClass, class_of
from . import inbound
from .peer import Peer
from .state import NodeState

SEED_SOURCE = b"\xffseeds"
"""The network group that seeds count as told by."""


def begin(state: NodeState, peer: Peer, now: Now) -> None:
    """A link has opened: ask a peer that we chose for addresses, and tell it our own."""
    if not state.config.discover or not peer.gossips:
        return
    peer.asked_addresses = True
    peer.addr_tokens += ADDR_BURST
    state.send(peer, GetAddr())
    advertise(state, peer, now)


def take_seeds(state: NodeState, now: Now, *, alone: bool = False) -> None:
    """Take the operator's seeds, in each class of which next to nothing is known; ``alone``: whatever is known has led
    nowhere."""
    known: dict[KeyClass, int] = {}
    for network, (new, tried) in state.book.counts().items():
        of = class_of(network)
        known[of] = known.get(of, 0) + new + tried
    for address in state.config.seeds:
        few = known.get(class_of(address.network), 0) < SEEDS_BELOW
        if (alone or few) and _routable(state, address):
            state.book.learn(AddressEntry(_rounded(now.wall), 0, address), SEED_SOURCE, now.wall)


def advertise(state: NodeState, peer: Peer, now: Now) -> None:
    """Tell our own addresses of the link's class, and again after an exponential wait."""
    own = [one for one in state.advertised if _routable(state, one) and _may_see(peer, one)]
    if not own or not peer.gossips:
        return
    state.send(peer, Addr(tuple(AddressEntry(_rounded(now.wall), 0, one) for one in own)))
    state.timers.set(("advertise", peer.conn), after(now.mono, state.chance.exponential(SELF_ADVERTISE)))


def on_getaddr(state: NodeState, peer: Peer, now: Now) -> None:
    """Answer once per link. (The registry admits it only from the side that dialled.)"""
    if peer.answered_addresses or not state.config.discover:
        return
    peer.answered_addresses = True
    of = class_of(peer.address.network)
    cached = state.getaddr_cache.get(of)
    if cached is None or now.mono >= cached[0]:
        until = after(now.mono, state.chance.span(GETADDR_CACHE_LOW, GETADDR_CACHE_HIGH))
        networks = tuple(network for network in Network if class_of(network) is of)
        cached = (until, state.book.answer(now.wall, lambda address: _fit_to_tell(state, address, now.wall), networks))
        if cached[1]:
            # An empty book says nothing, and the next asker may find more.
            state.getaddr_cache[of] = cached
    if cached[1]:
        state.send(peer, Addr(cached[1]))
    _takes_part(state, peer, now)


def on_addr(state: NodeState, peer: Peer, message: Addr, now: Now) -> None:
    """Learn addresses at a bounded rate, in random order, and pass a few fresh ones on."""
    if not state.config.discover or not peer.relays:
        return
    _takes_part(state, peer, now)
    entries = list(message.entries)
    state.chance.shuffle(entries)
    granted = peer.take_addr_tokens(len(entries), now.mono) if state.config.defences.addr_rate else len(entries)
    relay = len(message.entries) <= ADDR_RELAY_ITEMS
    source = state.group(peer.address)
    learnt = False
    for entry in entries[:granted]:
        if not _welcome(state, peer, entry.address, now.wall):
            continue
        direct = entry.address.raw == peer.address.raw and entry.address.network is peer.address.network
        new = state.book.learn(entry, source, now.wall, direct=direct)
        learnt |= new
        # Only what was new to us is passed on, so that a message dies out.
        if relay and new and now.wall - ADDR_RELAY_AGE <= entry.time <= now.wall + ADDR_RELAY_AGE:
            _pass_on(state, peer, entry, now)
    if learnt:
        # Somebody to dial: the schedule of dials looks again.
        state.plan_dials(now)


def _takes_part(state: NodeState, peer: Peer, now: Now) -> None:
    """A peer that has opened a link to us gossips: it is told addresses from now on, ours first."""
    if peer.inbound and not peer.gossips:
        peer.gossips = True
        advertise(state, peer, now)


def _welcome(state: NodeState, peer: Peer, address: NetAddress, now: WallTime) -> bool:
    """Whether an address may be learnt from this peer."""
    return (
        class_of(address.network) is class_of(peer.address.network)
        and address not in state.advertised
        and _fit_to_tell(state, address, now)
    )


def _fit_to_tell(state: NodeState, address: NetAddress, now: WallTime) -> bool:
    """Whether strangers can reach it, and we have nothing against it."""
    return (
        _routable(state, address)
        and not state.company.bans.is_banned(address, now)
        and not inbound.is_discouraged(state, address, now, exact=True)
    )


def _pass_on(state: NodeState, origin: Peer, entry: AddressEntry, now: Now) -> None:
    """Send a fresh address to two peers, the same two for a day, drawn by a keyed hash that nobody can predict."""
    epoch = now.wall // ADDR_RELAY_EPOCH

    def rank(peer: Peer) -> bytes:
        seed = entry.address.raw + epoch.to_bytes(8, "little") + peer.conn.to_bytes(8, "little")
        return hashlib.blake2b(seed, key=state.gossip_key, digest_size=16).digest()

    others = [
        peer for peer in state.open_peers() if peer is not origin and peer.gossips and _may_see(peer, entry.address)
    ]
    told = AddressEntry(_rounded(entry.time), entry.features, entry.address)
    for peer in sorted(others, key=rank)[:ADDR_RELAY_PEERS]:
        state.send(peer, Addr((told,)))
        state.flush(peer, now)


def _routable(state: NodeState, address: NetAddress) -> bool:
    return address.is_routable(allow_local=state.config.allow_local)


def _may_see(peer: Peer, address: NetAddress) -> bool:
    """Whether a peer may be told of an address: it is of its class, and one of loopback means something only to peers
    on this machine."""
    of = class_of(address.network) is class_of(peer.address.network)
    return of and (not address.is_loopback() or peer.address.is_loopback())


def _rounded(wall: WallTime) -> WallTime:
    # Privacy: an exact clock in a message would link our identities.
    return WallTime(wall - wall % VERSION_ROUNDING)
