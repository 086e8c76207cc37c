"""Private broadcast of our operator's transactions (design §6; docs/decisions/0013-private-broadcast.md).

    our operator → before the ledger → queue → before the ledger once more → a dial to a stranger, apart from all else
                                         ↑                                     version · verack · inv · getdata · tx ·
                                         └── nobody confirms, or it does       ping · pong: confirmed, and the end
                                             not come back
                                       somebody spreads it: it comes to us as to anybody, and leaves the queue

Privacy: nothing but this file, and our operator's own questions, depends on what is in the queue. It is not in the
mempool, in stem, or among what was refused. A connection of it goes to an onion or I2P address, by a circuit and an
identity of its own; it says nothing that another node of any release would not say there, asks nothing, and what its
recipient says is heard by nobody: it changes neither the address book nor who is discouraged, or a recipient could
tell us by his other links to us what he has done on this one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from struct import Struct
from typing import Final

from ..base.digest import double_sha256
from ..base.instant import Duration, Instant, Now, WallTime, after
from ..base.limits import (
    BROADCAST_LINK,
    BROADCAST_MISSES,
    BROADCAST_PATIENCE,
    BROADCAST_RETURN,
    CONNECT_TIMEOUT_OVERLAY,
    MEMPOOL_AGE,
)
from ..base.names import NULL_HASH, ConnId, TxId
from ..chain import InvalidTransaction, OutPoint, TxInfo, TxOutcome, TxVerdict
from ..peers.dialing import Purpose
from ..relay.broadcast import Broadcast
from ..relay.sent import Stage
from ..relay.validation import Waiting
from ..wire.address import NetAddress, Network
from ..wire.blocks import GetData, Inv, Tx
from ..wire.features import EVERYWHERE, Feature, FeatureSet
from ..wire.frame import type_field
from ..wire.greeting import PROTOCOL_VERSION, Version
from ..wire.inventory import KIND_TX, InventoryItem
from ..wire.registry import Message
from ..wire.target import Target
from . import answering, stemming
from .config import NoOverlay
from .effects import Dial, ForgetBroadcast, SaveBroadcast
from .peer import Peer
from .relay_state import Judged, Relay
from .snapshot import BroadcastItem
from .state import NodeState, PendingDial

NETWORKS: Final = (Network.TORV3, Network.I2P)
"""Where recipients are: who is dialled there learns no address of ours."""
USER_AGENT: Final = "/Obscura/"
"""Of no release: the fewer kinds of senders there are, the less a recipient learns."""
_HEADER: Final = Struct("<I12s4s")
_TX_FIELD: Final = type_field(Tx.type_name)


def greeting(state: NodeState, nonce: int) -> Version:
    """The ``version`` of such a connection: no chain state, no clock, no release."""
    features = Feature.BASIC_TRANSACTIONS | EVERYWHERE.features
    if state.door.vault is not None:
        features |= Feature.PRIVACY_FEATURES
    return Version(
        protocol=PROTOCOL_VERSION,
        timestamp=WallTime(0),
        features=FeatureSet(features, EVERYWHERE.privacy | state.ledger.privacy_bits),
        user_agent=USER_AGENT,
        best_hash=NULL_HASH,
        best_height=0,
        nonce=nonce,
    )


# -- our operator


def wanted(state: NodeState, relay: Relay, info: TxInfo, *, asked: bool) -> str | None:
    """Whether a transaction that is handed in is to be broadcast privately: ``None`` if it goes by stem, the rule that
    forbids it, or nothing."""
    if not (asked or state.config.private):
        return None
    if not any(network in NETWORKS for network in state.config.reach):
        return "no-overlay" if state.config.no_overlay is NoOverlay.NEVER else None
    if not relay.private.has_room and info.relay_id not in relay.private:
        return "too-many-private"
    return ""


def items(relay: Relay, now: Instant) -> list[BroadcastItem]:
    """What is in the queue, oldest first."""
    return [
        BroadcastItem(
            txid=entry.info.txid,
            age=Duration(now - entry.since),
            receipts=entry.receipts,
            under_way=len(entry.under_way),
            asked=len(entry.asked),
            next_in=None if entry.at is None else Duration(max(0, entry.at - now)),
            waits_for_parent=_waits_for_parent(relay, entry),
            nobody=entry.nobody,
        )
        for entry in relay.private.entries()
    ]


def drop(state: NodeState, relay: Relay, txid: TxId) -> bool:
    """Our operator takes a transaction back; ``False`` if it is not in the queue. What was handed over stays so."""
    entry = relay.private.by_txid(txid)
    if entry is None:
        return False
    _leave(state, relay, entry, Stage.DROPPED)
    return True


# -- the ledger


def parents_of(relay: Relay, item: Waiting) -> dict[TxId, bytes]:
    """The whole bytes of what a transaction spends from in the queue, by txid."""
    return {entry.info.txid: entry.data for entry in relay.private.parents_of(item.info)} if item.private else {}


def judged(state: NodeState, relay: Relay, one: Judged, outcome: TxOutcome, now: Now) -> None:
    """The ledger has decided about a transaction that is new, or is to be handed over now."""
    item = one.item
    rule, detail = outcome.rule, outcome.detail
    if outcome.verdict is TxVerdict.ADMITTED:
        here = (relay.pool.by_txid(txid) or relay.stems.pool.by_txid(txid) or relay.private.by_txid(txid)
                for txid in one.parents)  # fmt: skip
        rule = "" if all(here) else stemming.MISSING
        rule = rule or stemming.refuses(relay, item)
        if not rule and (relay.stems.pool.contradicted(item.info, own=True) or relay.private.contradicted(item.info)):
            rule = "txn-mempool-conflict"
    elif outcome.verdict is TxVerdict.MISSING:
        rule = stemming.MISSING
    if rule:
        refused(state, relay, item, rule, now, detail, for_good=outcome.verdict is TxVerdict.INVALID)
        return
    entry = relay.private.get(item.info.relay_id)
    if entry is None:
        if item.info.relay_id not in relay.tickets:
            return  # it has left the queue meanwhile
        relay.private.add(item.data, item.info, now.mono)
        state.emit(SaveBroadcast(item.info.relay_id, item.data))
        relay.stems.log.begin(item.info.txid, Stage.PRIVATE)
        answering.accept(state, relay, item, outcome.fee)
        return
    entry.judged = False
    entry.misses = 0
    answering.accept(state, relay, item, outcome.fee)
    _dial(state, relay, entry, now)


def refused(
    state: NodeState, relay: Relay, item: Waiting, rule: str, now: Now, detail: str = "", *, for_good: bool = False
) -> None:
    """A transaction is not taken, or cannot be handed over now. Nobody learns of it but our operator."""
    entry = relay.private.get(item.info.relay_id)
    answering.resolve(state, relay, item, rule, detail)
    if entry is None:
        return
    entry.judged = False
    if rule == answering.WAITS_ALREADY:
        _leave(state, relay, entry, Stage.SEEN)
        return
    entry.misses += 1
    if for_good or entry.misses >= BROADCAST_MISSES:
        _leave(state, relay, entry, Stage.GONE if rule == stemming.MISSING else Stage.REFUSED)
    else:
        # A parent may come back, or the least fee fall.
        relay.private.postpone(entry, now.mono, BROADCAST_RETURN)


# -- how it ends


def came_out(state: NodeState, relay: Relay, relay_id: TxId) -> None:
    """The mempool has taken a transaction: somebody has spread it."""
    entry = relay.private.get(relay_id)
    if entry is not None:
        _leave(state, relay, entry, Stage.SEEN)


def confirmed(state: NodeState, relay: Relay, txids: Collection[TxId], spent: Collection[OutPoint]) -> None:
    """Blocks hold these, and what they spend contradicts others."""
    if not len(relay.private):
        return
    for txid in txids:
        entry = relay.private.by_txid(txid)
        if entry is not None:
            _leave(state, relay, entry, Stage.CONFIRMED)
    for entry in relay.private.spending(spent):
        _leave(state, relay, entry, Stage.REFUSED)


def take_up(state: NodeState, relay: Relay, now: Now) -> None:
    """What an earlier run has left goes on, at moments that say nothing of the start. What cannot be read is forgotten:
    another release may have read it otherwise."""
    kept, relay.kept_broadcasts = relay.kept_broadcasts, ()
    for one in kept:
        try:
            info = relay.ledger.identify_transaction(one.data)
        except InvalidTransaction:
            state.emit(ForgetBroadcast(TxId(double_sha256(one.data))))
            continue
        if info.relay_id in relay.private:
            continue
        if relay.private.contradicted(info) or not relay.private.has_room:
            state.emit(ForgetBroadcast(info.relay_id))
            continue
        entry = relay.private.add(one.data, info, now.mono, one.age)
        # The node was killed between its way into stem and its way out of here.
        entry.falls_back = relay.saved.get(info.relay_id) is True
        relay.stems.log.begin(info.txid, Stage.PRIVATE)


def _leave(state: NodeState, relay: Relay, entry: Broadcast, stage: Stage | None) -> None:
    """A transaction leaves the queue. Who is being handed it gets it all the same."""
    relay.private.remove(entry.info.relay_id)
    relay.due = True
    if stage is not None:
        relay.stems.log.note(entry.info.txid, stage)
    state.emit(ForgetBroadcast(entry.info.relay_id))


# -- steps


def deadline(state: NodeState, relay: Relay, now: Now) -> None:
    """Take the steps that are due."""
    for entry in [] if state.stopping else relay.private.due(now.mono):
        _step(state, relay, entry, now)


def _step(state: NodeState, relay: Relay, entry: Broadcast, now: Now) -> None:
    relay_id = entry.info.relay_id
    if relay_id in relay.pool:
        _leave(state, relay, entry, Stage.SEEN)
    elif entry.falls_back and not relay.stems_own(relay_id):
        # It is in stem, or was refused there, as its stage says.
        _leave(state, relay, entry, None)
    elif now.mono - entry.since >= MEMPOOL_AGE:
        _leave(state, relay, entry, Stage.EXPIRED)
    elif entry.falls_back or _waits_for_parent(relay, entry):
        relay.private.postpone(entry, now.mono)
    elif (
        state.config.no_overlay is NoOverlay.STEM
        and not entry.receipts
        and now.mono - entry.began >= BROADCAST_PATIENCE
    ):
        # It leaves the queue, and the disk, when stem holds it: a kill in between loses nothing.
        entry.falls_back = True
        relay.private.postpone(entry, now.mono)
        relay.queue.put(Waiting(None, entry.data, entry.info, own=True, stem=True))
    elif entry.wants <= 0:
        entry.at = None
    elif not relay.private.may_dial or _finds_nobody(state, relay, entry, now):
        relay.private.postpone(entry, now.mono)
    elif relay.queue.put(Waiting(None, entry.data, entry.info, own=True, stem=True, private=True)):
        entry.at, entry.judged = None, True
    else:
        # Our operator's own, by stem, is in line under the same name.
        relay.private.postpone(entry, now.mono)


def _finds_nobody(state: NodeState, relay: Relay, entry: Broadcast, now: Now) -> bool:
    entry.nobody = _recipient(state, relay, entry, now) is None
    return entry.nobody


def _waits_for_parent(relay: Relay, entry: Broadcast) -> bool:
    """Whether something that it spends is not in the open yet: its recipients would not know what it spends."""
    txids = dict.fromkeys(point.txid for point in entry.info.spends)
    return any(
        relay.private.by_txid(txid) is not None or any(entry.own for entry in relay.stems.pool.by_txid(txid))
        for txid in txids
    )


def _dial(state: NodeState, relay: Relay, entry: Broadcast, now: Now) -> None:
    """Dial one more recipient."""
    may = relay.private.may_dial and entry.wants > 0 and not state.stopping
    recipient = _recipient(state, relay, entry, now) if may else None
    if recipient is None:
        relay.private.postpone(entry, now.mono)
        return
    conn = state.new_conn()
    state.dials[conn] = PendingDial(Target(recipient), Purpose.PRIVATE)
    relay.private.dialled(entry, conn, recipient, now.mono)
    relay.due = True
    state.emit(Dial(conn, recipient, CONNECT_TIMEOUT_OVERLAY, apart=True))


def _recipient(state: NodeState, relay: Relay, entry: Broadcast, now: Now) -> NetAddress | None:
    """Somebody to be handed a transaction: rather one who has not been chosen for it before, and rather one to whom
    there is no other link, as both would end together if our way there did. Of the operator's own peers, where the book
    knows nobody else."""
    networks = [network for network in state.dialer.open if network in NETWORKS]
    if not networks:
        return None
    under_way = dict.fromkeys(entry.under_way.values())
    linked = {peer.address: None for peer in state.peers.values()} | {
        dial.address: None for dial in state.dials.values()
    }

    def fits(avoided: Collection[NetAddress]) -> Callable[[NetAddress], bool]:
        return lambda address: (
            address not in avoided
            and address.is_routable(allow_local=state.config.allow_local)
            and not state.dialer.refuses(address, now.wall)
        )

    for avoided in ({**linked, **entry.asked}, entry.asked, under_way):
        picked = state.book.pick(now.wall, fits(avoided), networks=networks)
        if picked is not None:
            return picked
    named = [one for one in state.dialer.named_addresses if one.network in networks and one not in under_way]
    fresh = [one for one in named if one not in entry.asked]
    return relay.private.choose(fresh or named)


# -- connections


def opened(state: NodeState, peer: Peer) -> None:
    """A handshake is complete: the recipient is told of the one transaction."""
    handover = None if state.relay is None else state.relay.private.handovers.get(peer.conn)
    if handover is None or not peer.channel.in_force.features & Feature.BASIC_TRANSACTIONS:
        peer.channel.close("private-over")
        return
    peer.channel.send(Inv((InventoryItem(KIND_TX, handover.relay_id),)))


def connected(state: NodeState, peer: Peer, now: Now) -> None:
    """A connection stands: it does not last for long."""
    state.timers.set(("private", peer.conn), after(now.mono, BROADCAST_LINK))


def on_message(state: NodeState, peer: Peer, message: Message, now: Now) -> None:
    """A recipient asks for what it was told of, once. All else is passed over."""
    relay = state.relay
    handover = None if relay is None else relay.private.handovers.get(peer.conn)
    if handover is None or handover.given or not isinstance(message, GetData):
        return
    if InventoryItem(KIND_TX, handover.relay_id) not in message.items:
        return
    handover.given = True
    # Speed: the frame's checksum is the first four bytes of the relay id (design §6).
    header = _HEADER.pack(len(handover.data), _TX_FIELD, handover.relay_id[:4])
    peer.channel.send_frame(header, handover.data)
    peer.channel.ping(now.mono)


def answered(state: NodeState, peer: Peer, now: Now) -> None:
    """A recipient has read all that it was given."""
    relay = state.relay
    assert relay is not None, "only a node that relays hands over"
    entry = relay.private.confirmed(peer.conn, now.mono)
    if entry is not None:
        relay.stems.log.note(entry.info.txid, Stage.HANDED)
    relay.due = True
    peer.channel.close("private-done")


def over(state: NodeState, conn: ConnId, now: Now, *, ours: bool = False) -> None:
    """A dial or a connection has ended; ``ours``: in a daemon of ours, so that nothing is known of the recipient."""
    relay = state.relay
    state.timers.set(("private", conn), None)
    if relay is not None:
        relay.private.ended(conn, now.mono, ours=ours)
        relay.due = True
