"""Transactions in stem: what comes, where it goes, and how it ends (Dandelion++; design §6; docs/decisions/0010).

    a link, or our operator → in line → before the ledger → held → given to the stem peer of its way
                                                             ├→ somebody spreads it: it comes back in the open
                                                             └→ its embargo ends: the origin tries its other stem
                                                                peer once, everybody else spreads it

Privacy: a link that has sent a stem gets no answer to it, whatever becomes of it, and every other answer is the same
whether it is held or not. A copy from another link is judged anew, so that it takes as long as a first one, and goes
its link's way; where what comes on a link is spread here, a copy is spread too.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from ..base.digest import double_sha256
from ..base.instant import Instant, Now, after, earliest
from ..base.limits import FAMILY_TRANSACTIONS, FAULT_INVALID_TX, FAULT_MALFORMED, STEM_RETRY, UNASKED_PRICE
from ..base.names import ConnId, TxId
from ..chain import InvalidTransaction, TxOutcome, TxVerdict
from ..relay.dandelion import OWN_EDGE
from ..relay.mempool import ancestors_of
from ..relay.sent import Stage
from ..relay.stemline import StemLine
from ..relay.stempool import GONE_EDGE, Lean, StemEntry
from ..relay.validation import Waiting
from ..wire.blocks import DandelionTx
from ..wire.features import STEMS
from ..wire.frame import type_field
from . import answering, keeping
from .config import NoStem
from .effects import StemStep, StemTrace
from .peer import Peer
from .relay_state import Judged, Relay
from .state import NodeState

_HEADER: Final = Struct("<I12s4s")
_TYPE_FIELD: Final = type_field(DandelionTx.type_name)
KEPT_EDGE: Final = ConnId(-2)
"""Whose line those of an earlier run are in."""
MISSING: Final = "bad-txns-inputs-missingorspent"


# -- links


def begin(state: NodeState, peer: Peer, now: Now) -> None:
    """A link has opened: one that we have dialled may become a stem peer when it has lasted for a while."""
    if state.relay is not None and not peer.inbound and peer.relays and peer.channel.transport.secured:
        state.timers.set(("tried", peer.conn), after(now.mono, state.config.stem_link_age))


def tried(state: NodeState, peer: Peer, now: Now) -> None:
    """A link has lasted for a while."""
    relay = state.relay
    if relay is None or not peer.is_open:
        return
    takes = STEMS.common(peer.channel.in_force) == STEMS
    relay.stems.router.join(peer.conn, state.group(peer.address), now.mono, takes=takes)
    relay.due = True


def peer_gone(state: NodeState, relay: Relay, conn: ConnId, now: Now) -> None:
    """A link has ended. What it has brought stays, within a bound; what was given to it has its embargo."""
    state.timers.set(("tried", conn), None)
    relay.stems.router.leave(conn)
    relay.stems.lines.pop(conn, None)
    for line in relay.stems.lines.values():
        line.link_gone(conn, GONE_EDGE)
    for entry in relay.stems.pool.link_gone(conn, now.mono):
        _left(state, relay, entry)


# -- what comes


def on_dandelion_tx(state: NodeState, peer: Peer, message: DandelionTx, now: Now) -> None:
    """A link stems a transaction. It gets no answer."""
    relay, data = state.relay, message.data
    link = None if relay is None else relay.links.get(peer.conn)
    peer.channel.spend(UNASKED_PRICE * (len(data) // 1_000), now.mono)
    if relay is None or link is None or state.behind:
        return
    relay_id = TxId(double_sha256(data))
    short = relay.short(relay_id)
    if short in link.stemmed or relay_id in relay.pool or short in relay.rejects:
        return
    try:
        info = relay.ledger.identify_transaction(data)
    except InvalidTransaction as fault:
        peer.channel.charge(FAULT_MALFORMED, fault.rule, now.mono)
        return
    item = Waiting(peer.conn, data, info, stem=True)
    if relay.stems.pool.admits(peer.conn, data, item.guess, now.mono) and relay.queue.put(item):
        link.stemmed.add(short)
        trace(state, StemStep.CAME, relay_id, peer.conn)
    relay.due = True


def leans_on(item: Waiting) -> Lean:
    """What of all that is in stem a transaction may build on.

    Security: what its own link has brought, and no more. That a parent is here decides how long judging takes, whether
    signatures are looked at, and which rule is broken: with a bad signature, or in ``send``'s answer, anybody could
    read off what others have in stem. Our operator's builds on his own alone.
    """
    if item.private:
        # What an earlier run has stemmed may be his as well.
        return lambda entry: OWN_EDGE in entry.edges
    if item.own:
        return lambda entry: entry.own
    edge = OWN_EDGE if item.conn is None else item.conn
    return lambda entry: edge in entry.edges


def refuses(relay: Relay, item: Waiting) -> str:
    """The rule that a transaction breaks against what waits in the open, as if all that it builds on in stem were there
    too. What contradicts it in stem is looked at when it was judged: that must not take less time."""
    info = item.info
    rule = relay.pool.refuses(info)
    family = [] if rule else relay.stems.pool.family(info, leans_on(item))
    if not family:
        return rule
    open_ones = {parent.info.txid: parent for one in family for parent in relay.pool.parents_of(one.info)}
    above = {one.info.txid: one for parent in open_ones.values() for one in ancestors_of(parent)}
    above |= {one.info.txid: one for parent in relay.pool.parents_of(info) for one in ancestors_of(parent)}
    grown = len(family) + 1
    if len(above) + grown > FAMILY_TRANSACTIONS:
        return "too-long-mempool-chain"
    return "too-long-mempool-chain" if any(one.family + grown > FAMILY_TRANSACTIONS for one in above.values()) else ""


def parents_of(relay: Relay, item: Waiting) -> dict[TxId, bytes]:
    """The whole bytes of what a transaction spends from in stem, by txid, of what it may build on."""
    return {one.info.txid: one.data for one in relay.stems.pool.parents_of(item.info, leans_on(item))}


def judged(state: NodeState, relay: Relay, one: Judged, outcome: TxOutcome, now: Now) -> None:
    """The ledger has decided about a transaction in stem."""
    item, pool = one.item, relay.stems.pool
    if item.conn is not None:
        pool.judged(item.conn, item.guess, outcome.cost)
    if outcome.verdict is TxVerdict.INVALID and not one.leans_on_stems:
        # Security: with a parent in stem the verdict would tell that it is here; without one it is the same everywhere.
        charge(state, item, outcome.rule, now)
    if outcome.verdict is not TxVerdict.ADMITTED:
        refused(state, relay, item, outcome.rule, outcome.detail)
        return
    if not all(relay.pool.by_txid(txid) or pool.by_txid(txid) for txid in one.parents):
        refused(state, relay, item, MISSING, "what it spends from has left")
        return
    own = _is_own(relay, item)
    rule = refuses(relay, item)
    if not rule and (pool.contradicted(item.info, own=own) or (own and relay.private.contradicted(item.info))):
        rule = "txn-mempool-conflict"
    if rule:
        refused(state, relay, item, rule)
        return
    edge = OWN_EDGE if item.conn is None else item.conn if item.conn in relay.links else GONE_EDGE
    if edge != OWN_EDGE and not pool.has_room(edge, item.data, now.mono):
        # Others of its link were judged meanwhile.
        return
    _hold(state, relay, item, edge, now, own=own)
    if own:
        answering.accept(state, relay, item, outcome.fee)


def _is_own(relay: Relay, item: Waiting) -> bool:
    """Whether a transaction is our operator's: also one of an earlier run that he has sent again meanwhile."""
    return item.own or (item.conn is None and item.info.relay_id in relay.tickets)


def refused(state: NodeState, relay: Relay, item: Waiting, rule: str, detail: str = "") -> None:
    """A transaction that came in stem is not taken. Nobody learns of it but our operator, if it is his.

    Privacy: what was refused here is not among the refused ones of the open: a conflict with what is held would show.
    """
    if item.conn is None:
        keeping.forget(state, relay, item.info)
    if _is_own(relay, item):
        if rule != answering.WAITS_ALREADY:
            relay.stems.log.note(item.info.txid, Stage.REFUSED)
        answering.resolve(state, relay, item, rule, detail)


def _hold(state: NodeState, relay: Relay, item: Waiting, edge: ConnId, now: Now, *, own: bool) -> None:
    stems, relay_id = relay.stems, item.info.relay_id
    embargo = stems.draw_embargo(now.mono)
    entry = stems.pool.hold(item.data, item.info, edge, embargo, now.mono, own=own)
    keeping.keep(state, relay, relay_id, item.data, stem=True)
    if own:
        relay.own[item.info.txid] = relay_id
        stems.log.begin(item.info.txid, Stage.WAITING)
        trace(state, StemStep.OWN, relay_id)
    _go(state, relay, entry, edge, now)


# -- where it goes


def _go(state: NodeState, relay: Relay, entry: StemEntry, edge: ConnId, now: Now) -> None:
    """Give a transaction to the stem peer of its way, or spread it where its way ends."""
    router = relay.stems.router
    router.turn(now.mono)
    target = router.own_route() if edge == OWN_EDGE else router.route(edge)
    if target is not None:
        relay.stems.pool.set_waiting(entry, waits=False)
        _give(state, relay, entry, edge, _way_of_parents(relay, entry, edge) or target, now)
    elif edge == OWN_EDGE:
        _wait(state, relay, entry, now)
    else:
        spread_it(state, relay, entry, now)


def _way_of_parents(relay: Relay, entry: StemEntry, edge: ConnId) -> ConnId | None:
    """Where what it spends from went, if that came on the same link: a child that took another way would miss it
    there."""
    for parent in relay.stems.pool.parents_of(entry.info, lambda parent: edge in parent.edges):
        for conn in reversed(parent.sent):
            if conn in relay.links:
                return conn
    return None


def _wait(state: NodeState, relay: Relay, entry: StemEntry, now: Now) -> None:
    """Our operator's way leads nowhere yet."""
    if not entry.waits:
        relay.stems.pool.set_waiting(entry, waits=True)
        fallback = state.config.no_stem
        if fallback is NoStem.NOW:
            spread_it(state, relay, entry, now)
            return
        limit = None if fallback is NoStem.WAIT else after(now.mono, state.config.stem_wait)
        relay.stems.pool.set_embargo(entry, limit)
    relay.due = True


def _give(state: NodeState, relay: Relay, entry: StemEntry, edge: ConnId, target: ConnId, now: Now) -> None:
    """Put a transaction into a stem peer's line, unless that was done before."""
    relay.due = True
    line = relay.stems.lines.get(target)
    if target in entry.sent:
        if entry.own and line is not None and line.was_given(entry.info.relay_id):
            # Another link has brought it before our operator did.
            relay.stems.log.note(entry.info.txid, Stage.STEMMED)
        return
    entry.sent[target] = None
    if line is None:
        line = relay.stems.lines[target] = StemLine(now.mono)
    if edge == OWN_EDGE and not entry.own:
        # Of an earlier run: our operator's new ones must not wait for all of these.
        edge = KEPT_EDGE
    guess = Waiting(None, entry.data, entry.info).guess
    line.put(edge, entry.info.relay_id, len(entry.data), guess)
    _drain(state, relay, target, line, now)


def _drain(state: NodeState, relay: Relay, conn: ConnId, line: StemLine, now: Now) -> None:
    """Give a stem peer what may go to it now."""
    peer = state.peers.get(conn)
    if peer is None or not peer.is_open:
        return
    taken = line.take(now.mono)
    for relay_id in taken:
        held = relay.stems.pool.get(relay_id)
        assert held is not None, "what is not held any more is not in line"
        peer.channel.send_frame(_HEADER.pack(len(held.data), _TYPE_FIELD, relay_id[:4]), held.data)
        trace(state, StemStep.GIVEN, relay_id, conn)
        if held.own:
            relay.stems.log.note(held.info.txid, Stage.STEMMED)
    if taken:
        state.flush(peer, now)


def _give_waiting(state: NodeState, relay: Relay, now: Now) -> None:
    """Give what waits for a stem peer, if there is one by now."""
    stems = relay.stems
    for entry in stems.pool.waiting():
        target = stems.router.own_route()
        if target is None:
            break
        stems.pool.set_waiting(entry, waits=False)
        stems.pool.set_embargo(entry, stems.draw_embargo(now.mono))
        _give(state, relay, entry, OWN_EDGE, _way_of_parents(relay, entry, OWN_EDGE) or target, now)


def settle(state: NodeState, relay: Relay, now: Now) -> Instant | None:
    """The end of an input: give what waits and may go. Returns when to look again."""
    stems = relay.stems
    stems.router.turn(now.mono)
    _give_waiting(state, relay, now)
    for conn, line in stems.lines.items():
        _drain(state, relay, conn, line, now)
    # New stem peers are chosen, or drawn with the next epoch.
    choice = (stems.router.settles_at(), stems.router.ends_at) if stems.pool.waiting() else ()
    lines = (line.next_deadline() for line in stems.lines.values())
    return earliest(*choice, stems.pool.next_deadline(), *lines)


# -- how it ends


def deadline(state: NodeState, relay: Relay, now: Now) -> None:
    """Embargoes that have ended."""
    stems = relay.stems
    stems.router.turn(now.mono)
    _give_waiting(state, relay, now)
    for entry in stems.pool.due(now.mono):
        if entry.info.relay_id not in stems.pool or entry.spreading:
            continue  # it went with an earlier one
        rule = relay.pool.refuses(entry.info)
        if rule == "too-long-mempool-chain":
            # It may be shorter later.
            stems.pool.set_embargo(entry, stems.draw_embargo(now.mono))
            continue
        if rule:
            # Something contradicts it in the open, or is another form of it: it will not spread any more.
            known = relay.pool.by_txid(entry.info.txid) is not None
            stems.log.note(entry.info.txid, Stage.SEEN if known else Stage.REFUSED)
            drop(state, relay, entry)
            continue
        trace(state, StemStep.EXPIRED, entry.info.relay_id)
        other = stems.router.other_than(*entry.sent) if entry.own and not (entry.waits or entry.restemmed) else None
        if other is None:
            spread_it(state, relay, entry, now)
            continue
        entry.restemmed = True
        stems.pool.set_embargo(entry, stems.draw_embargo(now.mono))
        for one in [*stems.pool.family(entry.info, lambda one: one.own), entry]:
            _give(state, relay, one, OWN_EDGE, other, now)


def spread_it(state: NodeState, relay: Relay, entry: StemEntry, now: Now) -> None:
    """Take a transaction into the open, after all that it builds on: it is judged once more, as all that is told."""
    for one in [*relay.stems.pool.family(entry.info), entry]:
        if one.spreading:
            continue
        trace(state, StemStep.SPREAD, one.info.relay_id)
        relay.stems.pool.set_waiting(one, waits=False)
        relay.stems.log.note(one.info.txid, Stage.FLUFFED)
        relay.orphans.discard(one.info.relay_id)
        # Somebody may have just sent it in the open: should that come to nothing, it is tried again.
        one.spreading = not relay.handles(one.info.relay_id) and relay.offer(
            Waiting(None, one.data, one.info, own=one.own)
        )
        relay.stems.pool.set_embargo(one, None if one.spreading else after(now.mono, STEM_RETRY))


def came_out(state: NodeState, relay: Relay, item: Waiting) -> bool:
    """The mempool has taken a transaction: if it was in stem, it is no longer. Returns whether it is our operator's."""
    relay.stems.log.note(item.info.txid, Stage.FLUFFED if item.conn is None else Stage.SEEN)
    entry = relay.stems.pool.remove(item.info.relay_id)
    if entry is None:
        return False
    for line in relay.stems.lines.values():
        line.done(item.info.relay_id, spread=item.conn is not None)
    return entry.own


def not_spread(state: NodeState, relay: Relay, item: Waiting) -> None:
    """The open has refused a transaction: if it came from stem, it is held no longer."""
    entry = relay.stems.pool.get(item.info.relay_id)
    if entry is not None and entry.spreading:
        relay.stems.log.note(item.info.txid, Stage.REFUSED)
        drop(state, relay, entry)


def confirmed(state: NodeState, relay: Relay, txids: Sequence[TxId]) -> None:
    """Blocks hold these."""
    for txid in txids:
        relay.stems.log.note(txid, Stage.CONFIRMED)
        for entry in relay.stems.pool.by_txid(txid):
            drop(state, relay, entry)


def drop(state: NodeState, relay: Relay, entry: StemEntry) -> None:
    """Hold a transaction no longer: it will not spread, or a block has it."""
    if relay.stems.pool.remove(entry.info.relay_id) is not None:
        _left(state, relay, entry)


def _left(state: NodeState, relay: Relay, entry: StemEntry) -> None:
    for line in relay.stems.lines.values():
        line.done(entry.info.relay_id, spread=False)
    if entry.info.relay_id not in relay.queue and entry.info.relay_id not in relay.judging:
        keeping.forget(state, relay, entry.info)


def charge(state: NodeState, item: Waiting, rule: str, now: Now) -> None:
    """No block may ever hold what this link has sent. An honest node judges before it relays."""
    peer = None if item.conn is None else state.peers.get(item.conn)
    if peer is not None:
        peer.channel.charge(FAULT_INVALID_TX, rule, now.mono)
        state.wake(peer.conn)


def trace(state: NodeState, step: StemStep, relay_id: TxId, conn: ConnId | None = None) -> None:
    """Tell of a step where that was asked for (``trace_stems``): networks of experiments alone."""
    if state.config.trace_stems:
        state.tell(StemTrace(step, relay_id, conn))
