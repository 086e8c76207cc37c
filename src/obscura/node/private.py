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

from collections.abc import Callable, Collection, Sequence
from typing import Final

from ..base.digest import double_sha256
from ..base.instant import Duration, Instant, Now, WallTime, after
from ..base.limits import (
    BROADCAST_ASK,
    BROADCAST_KNOWN,
    BROADCAST_LINK,
    BROADCAST_LINKS,
    BROADCAST_MISSES,
    BROADCAST_PATIENCE,
    BROADCAST_RETURN_MOST,
    CONNECT_TIMEOUT_OVERLAY,
    MEMPOOL_AGE,
    OWN_TRANSACTIONS,
)
from ..base.names import NULL_HASH, ConnId, TxId
from ..chain import InvalidTransaction, TxInfo, TxOutcome, TxVerdict
from ..peers.dialing import Purpose
from ..relay.broadcast import Broadcast
from ..relay.dandelion import OWN_EDGE
from ..relay.sent import Stage
from ..relay.validation import Waiting
from ..wire.address import NetAddress, Network
from ..wire.blocks import GetData, Inv
from ..wire.features import EVERYWHERE, Feature, FeatureSet
from ..wire.greeting import PROTOCOL_VERSION, Version
from ..wire.inventory import KIND_TX, InventoryItem
from ..wire.registry import Message
from ..wire.target import Target
from . import answering, spreading, stemming
from .config import NoOverlay
from .effects import Dial, ForgetBroadcast, Notice, SaveBroadcast
from .on_gossip import SEED_SOURCE
from .peer import Peer
from .relay_state import Judged, Relay
from .snapshot import BroadcastItem
from .state import NodeState, PendingDial

NETWORKS: Final = (Network.TORV3, Network.I2P)
"""Where recipients are: who is dialled there learns no address of ours."""
_CONFLICT: Final = "txn-mempool-conflict"
TOO_MANY: Final = "too-many-private"
USER_AGENT: Final = "/Obscura/"
"""Of no release: the fewer kinds of senders there are, the less a recipient learns."""


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
        return TOO_MANY
    return ""


def warn(state: NodeState, relay: Relay) -> None:
    """Tell our operator at the start that what he has set, or left, cannot be."""
    if any(network in NETWORKS for network in state.config.reach):
        return
    if state.config.private:
        text = "neither Tor nor I2P is in use, so what is sent goes by stem and not privately: give --tor or --i2p-sam"
        state.tell(Notice("private-not-possible", text))
    if relay.kept_broadcasts:
        text = (
            f"{len(relay.kept_broadcasts)} transactions wait for private broadcast, and neither Tor nor I2P is in use"
        )
        state.tell(Notice("private-waits", text))


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
    entry = relay.private.get(item.info.relay_id)
    rule, detail = outcome.rule, outcome.detail
    if outcome.verdict is TxVerdict.ADMITTED:
        here = (relay.pool.by_txid(txid) or relay.stems.pool.by_txid(txid) or relay.private.by_txid(txid)
                for txid in one.parents)  # fmt: skip
        rule = "" if all(here) else stemming.MISSING
        rule = rule or stemming.refuses(relay, item)
        if not rule and (relay.stems.pool.contradicted(item.info, own=True) or relay.private.contradicted(item.info)):
            rule = _CONFLICT
        if not rule and entry is None and not relay.private.has_room:
            rule, detail = TOO_MANY, "others that were handed in with it have taken the room"
    elif outcome.verdict is TxVerdict.MISSING:
        rule = stemming.MISSING
    if rule:
        refused(state, relay, item, rule, now, detail)
        return
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


def refused(state: NodeState, relay: Relay, item: Waiting, rule: str, now: Now, detail: str = "") -> None:
    """A transaction is not taken, or cannot be handed over now. Nobody learns of it but our operator."""
    entry = relay.private.get(item.info.relay_id)
    answering.resolve(state, relay, item, rule, detail)
    if entry is None:
        return
    entry.judged = False
    if rule == answering.WAITS_ALREADY or relay.pool.by_txid(item.info.txid) is not None:
        # Perhaps in another form, with other signatures.
        _come_back(state, relay, entry, now)
        return
    if rule in (stemming.MISSING, _CONFLICT):
        entry.misses += 1
        if entry.misses >= BROADCAST_MISSES:
            _leave(state, relay, entry, Stage.GONE if rule == stemming.MISSING else Stage.REFUSED)
            return
    # The least fee falls, parents come back, families shrink, locks open, and chains give way to others.
    relay.private.postpone(entry, now.mono, BROADCAST_RETURN_MOST)


# -- how it ends


def came_out(state: NodeState, relay: Relay, txid: TxId, now: Now) -> None:
    """The mempool has taken a transaction: somebody has spread it, in this form or another."""
    entry = relay.private.by_txid(txid)
    if entry is not None:
        _come_back(state, relay, entry, now)


def confirmed(state: NodeState, relay: Relay, txids: Sequence[TxId], now: Now) -> None:
    """Blocks hold these."""
    for txid in txids if len(relay.private) else ():
        entry = relay.private.by_txid(txid)
        if entry is not None:
            _come_back(state, relay, entry, now, Stage.CONFIRMED)


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
        if relay.saved.get(info.relay_id) is False:
            # It had come back, as it is among all that waited for a block.
            relay.private.forget_later(info.relay_id, now.mono)
            continue
        if relay.private.contradicted(info):
            state.emit(ForgetBroadcast(info.relay_id))
            continue
        entry = relay.private.add(one.data, info, now.mono, one.age)
        # The node was killed between its way into stem and its way out of here.
        entry.falls_back = relay.saved.get(info.relay_id) is True
        relay.stems.log.begin(info.txid, Stage.PRIVATE)


def _come_back(state: NodeState, relay: Relay, entry: Broadcast, now: Now, stage: Stage = Stage.SEEN) -> None:
    """A transaction is seen. Privacy: the disk forgets it later, or it would be marked there by the moment at which it
    came among all others."""
    relay.private.remove(entry.info.relay_id)
    relay.private.forget_later(entry.info.relay_id, now.mono)
    relay.stems.log.note(entry.info.txid, stage)
    relay.due = True


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
    if state.stopping:
        return
    for relay_id in relay.private.take_forgotten(now.mono):
        state.emit(ForgetBroadcast(relay_id))
    for entry in relay.private.due(now.mono):
        _step(state, relay, entry, now)


def _step(state: NodeState, relay: Relay, entry: Broadcast, now: Now) -> None:
    relay_id = entry.info.relay_id
    if relay.pool.by_txid(entry.info.txid) is not None:
        _come_back(state, relay, entry, now)
    elif entry.falls_back and not relay.stems_own(relay_id):
        # It is in stem, or was refused there, as its stage says.
        _leave(state, relay, entry, None)
    elif now.mono - entry.since >= MEMPOOL_AGE:
        _leave(state, relay, entry, Stage.EXPIRED)
    elif entry.falls_back:
        relay.private.postpone(entry, now.mono)
    elif _waits_for_parent(relay, entry):
        entry.lacking_since = None
        relay.private.postpone(entry, now.mono)
    elif entry.wants <= 0:
        entry.at = None
    elif _falls_back(state, relay, entry, now):
        # It leaves the queue, and the disk, when stem holds it: a kill in between loses nothing.
        entry.falls_back = True
        relay.private.postpone(entry, now.mono)
        relay.queue.put(Waiting(None, entry.data, entry.info, own=True, stem=True))
    elif not _may_dial(state, relay):
        # That others have taken all connections says nothing about who can be reached.
        entry.lacking_since = None
        relay.private.postpone(entry, now.mono)
    elif _recipient(state, relay, entry, now) is None:
        relay.private.lack(entry, now.mono)
    elif relay.queue.put(Waiting(None, entry.data, entry.info, own=True, stem=True, private=True)):
        entry.at, entry.judged = None, True
    else:
        # Our operator's own, by stem, is in line under the same name.
        relay.private.postpone(entry, now.mono)


def _falls_back(state: NodeState, relay: Relay, entry: Broadcast, now: Now) -> bool:
    """Whether a transaction goes by stem now. Security: only what nobody was given, and only if nobody at all could be
    reached: a recipient who is slow, or silent, must not have it told by this node's other links. What an earlier run
    has left may have been given, and was perhaps sent under another policy."""
    if state.config.no_overlay is not NoOverlay.STEM or entry.given or entry.kept or entry.lacking_since is None:
        return False
    return now.mono - entry.lacking_since >= BROADCAST_PATIENCE and len(relay.own) < OWN_TRANSACTIONS


def _may_dial(state: NodeState, relay: Relay) -> bool:
    """Whether one more connection may be made; those that have gone silent count."""
    silent = sum(sink.purpose is Purpose.PRIVATE for sink in state.door.sinks.values())
    return len(relay.private.handovers) + silent < BROADCAST_LINKS


def _waits_for_parent(relay: Relay, entry: Broadcast) -> bool:
    """Whether something that it spends is not in the open yet: its recipients would not know what it spends."""
    txids = dict.fromkeys(point.txid for point in entry.info.spends)
    return any(
        relay.private.by_txid(txid) is not None or any(OWN_EDGE in one.edges for one in relay.stems.pool.by_txid(txid))
        for txid in txids
    )


def _dial(state: NodeState, relay: Relay, entry: Broadcast, now: Now) -> None:
    """Dial one more recipient."""
    if state.stopping or not _may_dial(state, relay) or entry.wants <= 0:
        relay.private.postpone(entry, now.mono)
        return
    recipient = _recipient(state, relay, entry, now)
    if recipient is None:
        relay.private.lack(entry, now.mono)
        return
    conn = state.new_conn()
    state.dials[conn] = PendingDial(Target(recipient), Purpose.PRIVATE)
    relay.private.dialled(entry, conn, recipient, now.mono)
    relay.due = True
    state.emit(Dial(conn, recipient, CONNECT_TIMEOUT_OVERLAY, apart=True))


def _recipient(state: NodeState, relay: Relay, entry: Broadcast, now: Now) -> NetAddress | None:
    """Somebody to be handed a transaction: rather one who has not been chosen for it before, and rather one who is well
    known; of the operator's own peers, where the book knows nobody else.

    Security: an address that was told to nobody but us names us where it is dialled. So those come first that we have
    reached long ago, that two network groups have told us, or that our operator has. Privacy: whom we are linked to, or
    have discouraged, makes no difference: who is never chosen could tell by that.
    """
    networks = [network for network in state.dialer.open if network in NETWORKS]
    if not networks:
        return None
    under_way = dict.fromkeys(entry.under_way.values())

    def fits(avoided: Collection[NetAddress], *, known: bool) -> Callable[[NetAddress], bool]:
        return lambda address: (
            address not in avoided
            and address.is_routable(allow_local=state.config.allow_local)
            and not state.company.bans.is_banned(address, now.wall)
            and (not known or _is_well_known(state, address, now.wall))
        )

    for avoided, known in ((entry.asked, True), (entry.asked, False), (under_way, True), (under_way, False)):
        picked = state.book.pick(now.wall, fits(avoided, known=known), networks=networks)
        if picked is not None:
            return picked
    named = [
        one for one in state.dialer.named_addresses if one.network in networks and fits(under_way, known=False)(one)
    ]
    fresh = [one for one in named if one not in entry.asked]
    return relay.private.choose(fresh or named)


def _is_well_known(state: NodeState, address: NetAddress, wall: WallTime) -> bool:
    record = state.book.get(address)
    if record is None:
        return False
    old = record.tried and 0 < record.since <= wall - BROADCAST_KNOWN
    return old or record.source == SEED_SOURCE or len(set(record.copies)) > 1


# -- connections


def opened(state: NodeState, peer: Peer, now: Now) -> None:
    """A handshake is complete: the recipient is told of the one transaction."""
    handover = None if state.relay is None else state.relay.private.handovers.get(peer.conn)
    if handover is None or not peer.channel.in_force.features & Feature.BASIC_TRANSACTIONS:
        peer.channel.close("private-over")
        return
    relay = state.relay
    assert relay is not None, "only a node that relays hands over"
    relay.private.reached(peer.conn)
    peer.channel.send(Inv((InventoryItem(KIND_TX, handover.relay_id),)))
    state.timers.set(("private", peer.conn), after(now.mono, BROADCAST_ASK))


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
    assert relay is not None, "only a node that relays hands over"
    relay.private.give(peer.conn)
    state.timers.set(("private", peer.conn), after(peer.since, BROADCAST_LINK))
    peer.channel.send_frame(*spreading.frame_of(handover.data, handover.relay_id))
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
