"""Telling links of transactions, and giving out what they were told of (design §6).

A transaction in the mempool waits for its budget (:class:`~obscura.relay.backlog.Backlog`), then on each link for that
link's moment (:class:`~obscura.relay.trickle.Trickle`). What gathers until then goes out in one ``inv``, in an order
that says nothing of when each came.

Privacy: a link gets by ``getdata`` what it was told of and nothing else: whether we have a transaction cannot be asked.
``mempool`` tells what has waited so long that every link was told, or could have been.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

from ..base.instant import Instant, Now, after, earliest
from ..base.limits import INV_ITEMS_SENT, MEMPOOL_ANSWER, MEMPOOL_ANSWER_AGE, MEMPOOL_INTERVAL
from ..base.names import TxId
from ..relay.mempool import PoolEntry, ancestors_of, rate
from ..wire.blocks import Inv, Tx
from ..wire.frame import type_field
from ..wire.inventory import KIND_TX, InventoryItem
from . import stemming
from .effects import StemStep
from .peer import Peer
from .relay_state import Relay, RelayLink
from .state import NodeState

_HEADER: Final = Struct("<I12s4s")
_TX_FIELD: Final = type_field(Tx.type_name)


def join(relay: Relay, peer: Peer) -> None:
    """A link has opened on which transactions are relayed."""
    # The first one is told of what has waited for somebody to be told.
    relay.due = True
    relay.links[peer.conn] = RelayLink(inbound=peer.inbound)
    relay.trickle.join(peer.conn, peer.address.network, inbound=peer.inbound)


def announce(relay: Relay, entry: PoolEntry) -> None:
    """Have links told of what the mempool has taken."""
    relay.due = True
    worth = rate(entry.fee, entry.info.size)
    relay.inbound.put(entry.info.relay_id, worth, len(entry.data))
    relay.outbound.put(entry.info.relay_id, worth, len(entry.data))


def withdraw(relay: Relay, entries: Iterable[PoolEntry]) -> None:
    """These have left the mempool: nobody more is told of them. Who was told already hears ``notfound``."""
    for entry in entries:
        relay.inbound.forget(entry.info.relay_id)
        relay.outbound.forget(entry.info.relay_id)


def release(relay: Relay, now: Instant) -> None:
    """Give what the budgets allow now to the links whose moments are to come. While there are none of a kind it waits:
    nothing is announced to nobody."""
    for inbound, backlog in ((True, relay.inbound), (False, relay.outbound)):
        if not len(backlog):
            continue
        links = [(conn, link) for conn, link in relay.links.items() if link.inbound is inbound]
        for relay_id in backlog.release(now) if links else ():
            short = relay.short(relay_id)
            for conn, link in links:
                if not link.has(short):
                    link.pending[relay_id] = short
                    relay.trickle.wake(conn, now)


def next_release(relay: Relay) -> Instant | None:
    """When :func:`release` has something more to give."""
    kinds = {link.inbound for link in relay.links.values()} if len(relay.inbound) or len(relay.outbound) else ()
    return earliest(
        relay.inbound.next_deadline() if True in kinds else None,
        relay.outbound.next_deadline() if False in kinds else None,
    )


def tell_due(state: NodeState, relay: Relay, now: Now) -> None:
    """Tell the links whose moment has come."""
    for conn in relay.trickle.due(now.mono):
        link, peer = relay.links[conn], state.peers[conn]
        pending, link.pending = link.pending, {}
        if not peer.is_open:
            continue  # it is ending
        entries: list[tuple[PoolEntry, int]] = []
        for relay_id, short in pending.items():
            entry = relay.pool.get(relay_id)
            if entry is not None and not link.has(short):
                entries.append((entry, short))
        _tell(state, peer, link, entries)
        state.flush(peer, now)


def on_mempool(state: NodeState, peer: Peer, now: Now) -> None:
    """Name what has waited for a minute, what pays most first; once a minute. A link on which no transactions are
    relayed gets an empty list."""
    if peer.mempool_at is not None and now.mono - peer.mempool_at < MEMPOOL_INTERVAL:
        return
    peer.mempool_at = Instant(now.mono)
    relay = state.relay
    link = None if relay is None else relay.links.get(peer.conn)
    old: list[PoolEntry] = []
    if relay is not None and link is not None:
        old = [entry for entry in relay.pool.entries() if after(entry.since, MEMPOOL_ANSWER_AGE) <= now.mono]
        old.sort(key=lambda entry: -rate(entry.fee, entry.info.size))
        _tell(state, peer, link, [(entry, relay.short(entry.info.relay_id)) for entry in old[:MEMPOOL_ANSWER]])
    if not old:
        state.send(peer, Inv(()))


def frame_for(state: NodeState, peer: Peer, item: InventoryItem) -> tuple[bytes, bytes] | None:
    """Header and payload of the transaction that a link asks for, if it was told of it and it still waits."""
    relay = state.relay
    link = None if relay is None else relay.links.get(peer.conn)
    if relay is None or link is None:
        return None
    relay_id = TxId(item.hash)
    entry = relay.pool.get(relay_id)
    if entry is None or relay.short(relay_id) not in link.told:
        return None
    return frame_of(entry.data, relay_id)


def frame_of(data: bytes, relay_id: TxId) -> tuple[bytes, bytes]:
    """Header and payload of a ``tx``."""
    # Speed: the frame's checksum is the first four bytes of the relay id (design §6).
    return _HEADER.pack(len(data), _TX_FIELD, relay_id[:4]), data


def _tell(state: NodeState, peer: Peer, link: RelayLink, entries: list[tuple[PoolEntry, int]]) -> None:
    """Announce transactions, parents before children; otherwise by their ids, as arrival must not show."""
    entries.sort(key=lambda pair: (len(ancestors_of(pair[0])), pair[0].info.relay_id))
    for start in range(0, len(entries), INV_ITEMS_SENT):
        part = entries[start : start + INV_ITEMS_SENT]
        for entry, short in part:
            link.told.add(short)
            stemming.trace(state, StemStep.TOLD, entry.info.relay_id, peer.conn)
        state.send(peer, Inv(tuple(InventoryItem(KIND_TX, entry.info.relay_id) for entry, _ in part)))
