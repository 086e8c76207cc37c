"""Spreading addresses: what is learnt, what is passed on, what is answered (limits: addr, getaddr).

Privacy: answers to ``getaddr`` come from a copy that is kept for about a day, per network, so that repeated asking
neither dumps the book nor shows what changed; only links that were opened to us are answered, once.
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
    SELF_ADVERTISE,
    VERSION_ROUNDING,
)
from ..wire.address import AddressEntry, NetAddress
from ..wire.gossip import Addr
from ..wire.greeting import GetAddr
from .peer import Peer
from .state import NodeState


def begin(state: NodeState, peer: Peer, now: Now) -> None:
    """A link has opened: ask an outbound peer for addresses, and tell our own."""
    if not state.config.discover:
        return
    if not peer.inbound:
        peer.asked_addresses = True
        peer.addr_tokens += ADDR_BURST
        state.send(peer, GetAddr())
    advertise(state, peer, now)


def advertise(state: NodeState, peer: Peer, now: Now) -> None:
    """Tell our own address where it means something, and again after an exponential wait."""
    own = state.config.advertise
    if own is None or not _routable(state, own) or not _may_see(peer, own):
        return
    state.send(peer, Addr((AddressEntry(_rounded(now), 0, own),)))
    state.timers.set(("advertise", peer.conn), after(now.mono, state.chance.exponential(SELF_ADVERTISE)))


def on_getaddr(state: NodeState, peer: Peer, now: Now) -> None:
    """Answer once per link. (The registry admits it only from the side that dialled.)"""
    if peer.answered_addresses or not state.config.discover:
        return
    peer.answered_addresses = True
    network = peer.address.network
    cached = state.getaddr_cache.get(network)
    if cached is None or now.mono >= cached[0]:
        until = after(now.mono, state.chance.span(GETADDR_CACHE_LOW, GETADDR_CACHE_HIGH))
        cached = (until, state.book.answer(now.wall, lambda address: _routable(state, address)))
        if cached[1]:
            # An empty book says nothing, and the next asker may find more.
            state.getaddr_cache[network] = cached
    if cached[1]:
        state.send(peer, Addr(cached[1]))


def on_addr(state: NodeState, peer: Peer, message: Addr, now: Now) -> None:
    """Learn addresses at a bounded rate, in random order, and pass a few fresh ones on."""
    if not state.config.discover:
        return
    entries = list(message.entries)
    state.chance.shuffle(entries)
    granted = peer.take_addr_tokens(len(entries), now.mono)
    relay = len(message.entries) <= ADDR_RELAY_ITEMS
    source = peer.address.group()
    learnt = False
    for entry in entries[:granted]:
        if not _routable(state, entry.address) or entry.address == state.config.advertise:
            continue
        new = state.book.learn(entry, source, now.wall)
        learnt |= new
        # Only what was new to us is passed on, so that a message dies out.
        if relay and new and now.wall - ADDR_RELAY_AGE <= entry.time <= now.wall + ADDR_RELAY_AGE:
            _pass_on(state, peer, entry, now)
    if learnt:
        # Somebody to dial: the schedule of dials looks again.
        state.timers.set(("dial", 0), state.dialer.next_deadline(state.automatic_links(), len(state.dials)))


def _pass_on(state: NodeState, origin: Peer, entry: AddressEntry, now: Now) -> None:
    """Send a fresh address to two peers, the same two for a day, drawn by a keyed hash that nobody can predict."""
    epoch = now.wall // ADDR_RELAY_EPOCH

    def rank(peer: Peer) -> bytes:
        seed = entry.address.raw + epoch.to_bytes(8, "little") + peer.conn.to_bytes(8, "little")
        return hashlib.blake2b(seed, key=state.gossip_key, digest_size=16).digest()

    others = [peer for peer in state.open_peers() if peer is not origin and _may_see(peer, entry.address)]
    for peer in sorted(others, key=rank)[:ADDR_RELAY_PEERS]:
        state.send(peer, Addr((entry,)))
        state.flush(peer, now)


def _routable(state: NodeState, address: NetAddress) -> bool:
    return address.is_routable(allow_local=state.config.allow_local)


def _may_see(peer: Peer, address: NetAddress) -> bool:
    """A loopback address means something only to peers on this machine."""
    return not address.is_loopback() or peer.address.is_loopback()


def _rounded(now: Now) -> WallTime:
    # Privacy: an exact clock in a message would link our identities.
    return WallTime(now.wall - now.wall % VERSION_ROUNDING)
