"""Slots for links that others open, in each class of networks, and who leaves for a newcomer when they are taken.

Privacy: the classes share nothing. If a flood of our onion service could put out a link of our public address, filling
one and watching the other would say that both are one node (docs/decisions/0011-peers.md).
"""

from __future__ import annotations

from ..base.instant import Now, WallTime
from ..peers.eviction import Candidate, choose
from ..wire.address import AddressEntry, NetAddress
from ..wire.features import Feature
from ..wire.identity import KeyClass, class_of
from . import sinks
from .peer import Peer
from .state import NodeState


def take_slot(state: NodeState, peer: Peer, now: Now) -> bool:
    """An inbound link has completed its handshake: give it a slot, at another one's cost if need be. ``False`` says
    that there is none for it."""
    pool = state.pool(peer.address)
    pool.lobby.leave(peer.conn)
    if pool.open >= state.config.inbound_slots and not _make_room(state, peer, now):
        return False
    pool.open += 1
    peer.worth.group = state.group(peer.address)
    if not state.config.defences.own_links:
        state.book.learn(AddressEntry(now.wall, 0, peer.address), state.group(peer.address), now.wall)
        state.book.succeeded(peer.address, now.wall)
    return True


def _make_room(state: NodeState, newcomer: Peer, now: Now) -> bool:
    defences = state.config.defences
    if not defences.eviction or is_discouraged(state, newcomer.address, now.wall):
        return False
    of = class_of(newcomer.address.network)
    silent = next((conn for conn, sink in state.door.sinks.items() if sink.slot and sink.of is of), None)
    if silent is not None:
        # It is no peer any more, and would have ended soon.
        return sinks.end(state, silent, now)
    candidates = [
        _candidate(state, peer, now)
        for peer in state.peers.values()
        if peer.inbound and peer.is_open and class_of(peer.address.network) is of
    ]
    leaving = choose(
        candidates, state.company.eviction_key, protection=defences.protection, chance=state.company.eviction_chance
    )
    if leaving is None:
        return False
    state.peers[leaving].channel.close("evicted")
    state.wake(leaving)
    return True


def _candidate(state: NodeState, peer: Peer, now: Now) -> Candidate:
    assert peer.opened_at is not None, "only open links hold slots"
    return Candidate(
        conn=peer.conn,
        group=peer.worth.group,
        opened_at=peer.opened_at,
        ping=peer.channel.lowest_round_trip,
        transactions_at=peer.worth.transaction_at,
        blocks_at=peer.worth.block_at,
        relays=bool(peer.channel.in_force.features & Feature.BASIC_TRANSACTIONS),
        discouraged=is_discouraged(state, peer.address, now.wall),
        shielded=False,
    )


def is_discouraged(state: NodeState, address: NetAddress, now: WallTime, *, exact: bool = False) -> bool:
    """Whether this host broke the rules lately; ``exact``: it alone, and not a neighbour in its IPv6 /64."""
    return state.config.defences.discouragement and state.company.bans.is_discouraged(address, now, exact=exact)


def punish(state: NodeState, peer: Peer, now: Now) -> None:
    """A link has ended because its peer broke the rules: remember its host, where that can be known.

    Only what came inside the encryption counts, or whoever sits between could have a host punished. Behind a local
    proxy all hosts look alike: there the end of the link is all. A named peer is the operator's business.
    """
    if peer.named or not peer.channel.transport.secured or not state.config.defences.discouragement:
        return
    hidden = class_of(peer.address.network) in (KeyClass.ONION, KeyClass.I2P)
    if (peer.inbound and hidden) or peer.address.raw in _PROXIES or state.dialer.names_host(peer.address):
        return
    state.company.bans.discourage(peer.address, now.wall)
    state.save_bans()


_PROXIES = (bytes([127, 0, 0, 1]), bytes(15) + b"\x01")
"""Where local proxies, and the operator's own programs, connect from."""
