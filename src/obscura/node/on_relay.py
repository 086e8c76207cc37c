"""Transactions that links announce and send (design §6).

Nothing of them is taken while our chain is far behind, and on links on which BasicTransactions is not in force: there
they are priced, and passed over. What links are told is in :mod:`.spreading`, what becomes of a transaction in
:mod:`.judging`.
"""

from __future__ import annotations

from ..base.digest import double_sha256
from ..base.instant import Now, after, earliest
from ..base.limits import FAULT_MALFORMED, MEMPOOL_SWEEP, TX_PRICE, UNASKED_PRICE
from ..base.names import ConnId, TxId
from ..chain import InvalidTransaction
from ..relay.sent import Stage
from ..relay.validation import Waiting
from ..wire.blocks import GetData, Inv, NotFound, Tx
from ..wire.features import Feature
from ..wire.inventory import KIND_TX, InventoryItem
from . import following, judging, private, spreading, stemming
from .effects import StemStep
from .peer import Peer
from .relay_state import Relay
from .state import NodeState


def begin(state: NodeState, peer: Peer, now: Now) -> None:
    """A link has opened."""
    stemming.begin(state, peer, now)
    following.opened(state, peer, now)
    if state.relay is not None and peer.channel.in_force.features & Feature.BASIC_TRANSACTIONS:
        spreading.join(state.relay, peer)


def on_inv(state: NodeState, peer: Peer, message: Inv, now: Now) -> None:
    """A link has transactions: those that are neither here nor refused are to be asked for."""
    relay = state.relay
    link = None if relay is None else relay.links.get(peer.conn)
    count = 0
    for item in message.items:
        if item.kind != KIND_TX:
            continue
        count += 1
        if relay is None or link is None or state.behind:
            continue
        name = TxId(item.hash)
        short = relay.short(name)
        link.known.add(short)
        if name in relay.pool or short in relay.rejects:
            continue
        relay.due = True
        taken = relay.tracker.announced(peer.conn, name, preferred=not peer.inbound, now=now.mono)
        if taken and relay.handles(name):
            relay.tracker.hold(name)
    if count:
        peer.channel.spend(TX_PRICE * count, now.mono)


def on_tx(state: NodeState, peer: Peer, message: Tx, now: Now) -> None:
    """A transaction. One that nobody asked for is priced, and otherwise as good as any."""
    relay = state.relay
    link = None if relay is None else relay.links.get(peer.conn)
    name = TxId(double_sha256(message.data))
    requested = relay is not None and relay.tracker.requested_from(peer.conn, name)
    if not requested:
        peer.channel.spend(TX_PRICE + UNASKED_PRICE * (len(message.data) // 1_000), now.mono)
    if relay is None or link is None:
        return
    relay.due = True
    short = relay.short(name)
    link.known.add(short)
    stemming.trace(state, StemStep.HEARD, name, peer.conn)
    if name in relay.pool or short in relay.rejects or relay.handles(name) or state.behind:
        relay.tracker.answered(peer.conn, name)
        return
    try:
        info = relay.ledger.identify_transaction(message.data)
    except InvalidTransaction as fault:
        # These bytes have this name: whoever else announces it has nothing better.
        relay.tracker.forget(name)
        relay.rejects.add(short)
        peer.channel.charge(FAULT_MALFORMED, fault.rule, now.mono)
        return
    if relay.offer(Waiting(peer.conn, message.data, info)):
        relay.tracker.answered(peer.conn, name)
    elif requested:
        # It was not the link's choice to send so many at once.
        relay.tracker.postpone(peer.conn, name, now.mono)


def on_notfound(state: NodeState, peer: Peer, message: NotFound) -> None:
    """What was asked for is not there any more: others are asked."""
    relay = state.relay
    if relay is None or peer.conn not in relay.links:
        return
    for item in message.items:
        if item.kind == KIND_TX:
            relay.due = True
            relay.tracker.not_found(peer.conn, TxId(item.hash))


def peer_gone(state: NodeState, conn: ConnId, now: Now) -> None:
    """A link has ended: others are asked for what it was to send."""
    relay = state.relay
    if relay is None:
        return
    relay.due = True
    taken = relay.links.pop(conn, None)
    stemming.peer_gone(state, relay, conn, now)
    if taken is None:
        return
    relay.trickle.leave(conn)
    relay.tracker.peer_gone(conn)
    judging.link_gone(relay, relay.queue.peer_gone(conn))
    for orphan in relay.orphans.peer_gone(conn):
        relay.tracker.release(orphan.info.relay_id)


def deadline(state: NodeState, now: Now) -> None:
    """Something of transactions is due."""
    relay = state.relay
    if relay is None:
        return
    relay.due = True
    spreading.tell_due(state, relay, now)
    stemming.deadline(state, relay, now)
    private.deadline(state, relay, now)
    for orphan in relay.orphans.expire(now.mono):
        relay.tracker.release(orphan.info.relay_id)
    if now.mono >= relay.sweep_at:
        # It walks the whole pool: not for every timer, which peers have a hand in.
        relay.sweep_at = after(now.mono, MEMPOOL_SWEEP)
        gone = relay.pool.expire(now.mono)
        for entry in gone:
            relay.stems.log.note(entry.info.txid, Stage.EXPIRED)
        judging.left(state, relay, gone, for_good=True)


def settle(state: NodeState, now: Now) -> None:
    """The end of an input that may have changed something: ask, have judged, release, and say when to look again."""
    relay = state.relay
    if relay is None or not relay.due or state.stopping:
        return
    relay.due = False
    _request(state, relay, now)
    judging.begin(state, relay, now)
    stems_at = stemming.settle(state, relay, now)
    spreading.release(relay, now.mono)
    state.timers.set(
        ("relay", 0),
        earliest(
            relay.tracker.next_deadline(),
            relay.trickle.next_deadline(),
            spreading.next_release(relay),
            relay.orphans.next_deadline(),
            relay.sweep_at,
            stems_at,
            relay.private.next_deadline(),
        ),
    )


def _request(state: NodeState, relay: Relay, now: Now) -> None:
    wanted: dict[ConnId, list[InventoryItem]] = {}
    for conn, name in relay.tracker.due(now.mono):
        wanted.setdefault(conn, []).append(InventoryItem(KIND_TX, name))
    for conn, items in wanted.items():
        peer = state.peers[conn]
        if peer.is_open:
            # What is asked of one that is ending is asked of others when it has ended.
            state.send(peer, GetData(tuple(items)))
            state.flush(peer, now)
