"""Having transactions judged, and what follows of the verdicts (design §6).

The order of the checks is that of their costs: whether we have it, conflicts with what waits (no ledger needed), then
the ledger's rules, scripts last. One batch is before the ledger at a time, and none while the coin view makes a step:
every verdict is about the view that the mempool stands on.

A peer learns no reason. Security: a conflict, or anything that is policy, costs it nothing either: an attacker would
have honest links pay for relaying what somebody else contradicts (reference: the Monero eclipse of 2025).
"""

from __future__ import annotations

from typing import Final

from ..base.errors import PeerFault
from ..base.instant import Now
from ..base.limits import BROADCAST_QUEUE, OWN_TRANSACTIONS, STEM_FLOOR
from ..base.names import ConnId, TxId
from ..chain import Candidate, TxInfo, TxOutcome, TxVerdict
from ..relay.mempool import PoolEntry
from ..relay.sent import Stage
from ..relay.validation import Waiting
from . import answering, keeping, private, spreading, stemming
from .answering import WAITS_ALREADY
from .effects import JudgeTransactions, TransactionSubmitted
from .relay_state import Judged, Relay
from .state import NodeState, PendingTransactions

_NO_PRIVATE: Final = {
    "no-overlay": "private broadcast needs Tor (--tor) or I2P (--i2p-sam), and this node may not fall back to stem",
    "too-many-private": f"{BROADCAST_QUEUE} of your transactions wait for private broadcast: some must be seen first",
}


def submit(state: NodeState, data: bytes, ticket: int, now: Now, *, apart: bool = False) -> None:
    """Our operator's transaction; ``apart``: it is to be broadcast privately. The verdict is told as a
    :class:`TransactionSubmitted`."""
    relay = state.relay
    if relay is None:
        answering.refuse(state, ticket, "relay-off", "this node relays no transactions")
        return
    if not (relay.ready and relay.serving):
        answering.refuse(
            state, ticket, "coins-not-ready", "the coin view does not stand at the tip yet: try again later"
        )
        return
    try:
        info = relay.ledger.identify_transaction(data)
    except PeerFault as fault:
        answering.refuse(state, ticket, fault.rule, fault.detail)
        return
    if not _may_be_own(relay, info):
        answering.refuse(state, ticket, "too-many-own", f"{OWN_TRANSACTIONS} of your transactions wait for a block")
        return
    entry = relay.pool.get(info.relay_id)
    if entry is not None and not (apart or state.config.private):
        # One that was to be broadcast privately is anybody's now.
        _own(relay, entry)
    if entry is not None:
        relay.stems.log.adopt(info.txid, Stage.SEEN)
    held = relay.stems.pool.get(info.relay_id)
    if entry is not None or (held is not None and held.own) or info.relay_id in relay.private:
        # One that is broadcast privately stays so, however it is handed in again.
        stage = relay.stems.log.get(info.txid)
        state.tell(TransactionSubmitted(ticket, info.txid, accepted=True, rule=WAITS_ALREADY, stage=stage))
        return
    way = private.wanted(state, relay, info, asked=apart)
    if way:
        answering.refuse(state, ticket, way, _NO_PRIVATE[way])
        return
    relay.tickets.setdefault(info.relay_id, []).append(ticket)
    if info.relay_id in relay.queue or info.relay_id in relay.judging:
        # A link has sent it in the open: there is nothing to hide, and that verdict is his too.
        begin(state, relay, now)
        return
    relay.due = True
    relay.queue.put(Waiting(None, data, info, own=True, stem=True, private=way is not None))
    begin(state, relay, now)


def begin(state: NodeState, relay: Relay, now: Now) -> None:
    """Give the ledger its next batch, if it may have one."""
    while relay.ready and not (relay.judging or relay.following) and len(relay.queue):
        candidates: list[Candidate] = []
        floor = relay.pool.floor(now.mono)
        # What is in the open does not see what is in stem, nor a link what others stem: batch-mates neither.
        opened: dict[TxId, bytes] = {}
        stemmed: dict[tuple[ConnId | None, bool], dict[TxId, bytes]] = {}
        for item in relay.queue.take():
            rule = stemming.refuses(relay, item) if item.stem else relay.pool.refuses(item.info)
            if rule:
                if item.private:
                    private.refused(state, relay, item, rule, now)
                else:
                    (stemming.refused if item.stem else _refuse)(state, relay, item, rule)
                continue
            parents = {entry.info.txid: entry.data for entry in relay.pool.parents_of(item.info)}
            hidden = stemming.parents_of(relay, item) | private.parents_of(relay, item) if item.stem else {}
            # One that comes before it in the batch counts as its parent: if that is refused, so is this verdict.
            mates = stemmed.setdefault((item.conn, item.own), {}) if item.stem else opened
            for point in item.info.spends:
                if point.txid in opened:
                    parents[point.txid] = opened[point.txid]
                elif point.txid in mates:
                    hidden[point.txid] = mates[point.txid]
            mates[item.info.txid] = item.data
            parents |= hidden
            relay.judging[item.key] = Judged(item, tuple(parents), leans_on_stems=bool(hidden))
            least = floor * STEM_FLOOR // 100 if item.stem else floor
            candidates.append(Candidate(item.data, item.info, tuple(parents.values()), least))
        if candidates:
            pending = PendingTransactions(tuple(relay.judging.values()))
            state.ask(JudgeTransactions(tuple(candidates)), pending)


def judged(state: NodeState, pending: PendingTransactions, outcomes: tuple[TxOutcome, ...], now: Now) -> None:
    """The ledger has decided about a batch."""
    relay = state.relay
    assert relay is not None, "only a node that relays has asked"
    relay.due = True
    for one, outcome in zip(pending.batch, outcomes, strict=True):
        item = one.item
        relay.queue.judged(item, outcome.cost)
        del relay.judging[item.key]
        if item.private:
            private.judged(state, relay, one, outcome, now)
        elif item.stem:
            stemming.judged(state, relay, one, outcome, now)
        elif outcome.verdict is TxVerdict.INVALID:
            stemming.charge(state, item, outcome.rule, now)
            _refuse(state, relay, item, outcome.rule, outcome.detail)
        elif outcome.verdict is TxVerdict.MISSING or not all(relay.pool.by_txid(txid) for txid in one.parents):
            _miss(state, relay, item, now)
        elif outcome.verdict is TxVerdict.ADMITTED:
            _admit(state, relay, item, outcome, now)
        else:
            _refuse(state, relay, item, outcome.rule, outcome.detail)


def link_gone(relay: Relay, dropped: list[Waiting]) -> None:
    """A link has ended that had these in line: others may be asked for them."""
    for item in dropped:
        if item.stem:
            continue
        if item.info.relay_id in relay.tickets:
            # Our operator has handed it in meanwhile.
            relay.offer(Waiting(None, item.data, item.info, own=True))
        else:
            relay.tracker.release(item.info.relay_id)


def left(state: NodeState, relay: Relay, entries: list[PoolEntry], *, for_good: bool) -> None:
    """Entries have left the mempool. Those that are judged again have not left ``for_good``."""
    spreading.withdraw(relay, entries)
    if for_good:
        for entry in entries:
            keeping.forget(state, relay, entry.info)


def _admit(state: NodeState, relay: Relay, item: Waiting, outcome: TxOutcome, now: Now) -> None:
    rule = relay.pool.refuses(item.info)
    if rule:
        # Another one of its batch came before it.
        _refuse(state, relay, item, rule)
        return
    relay_id = item.info.relay_id
    gone = relay.pool.add(
        item.data,
        item.info,
        fee=outcome.fee,
        rests_on=outcome.rests_on,
        now=now.mono,
        own=item.own or relay_id in relay.tickets,
        since=item.since,
    )
    left(state, relay, gone, for_good=True)
    entry = relay.pool.get(relay_id)
    if entry is None:
        _refuse(state, relay, item, "mempool full", f"its fee of {outcome.fee} is the lowest here")
        return
    relay.tracker.forget(relay_id)
    if (peer := None if item.conn is None or item.stem else state.peers.get(item.conn)) is not None:
        # Privacy: not for stems, or who is spared from eviction would tell that a stem was good.
        peer.worth.transaction_at = now.mono
    keeping.keep(state, relay, relay_id, entry.data)
    was_own = stemming.came_out(state, relay, item)
    private.came_out(state, relay, item.info.txid, now)
    if entry.own or was_own:
        _own(relay, entry)
    spreading.announce(relay, entry)
    for orphan in relay.orphans.waiting_for(item.info.txid):
        relay.offer(Waiting(orphan.conn, orphan.data, orphan.info))
    if relay_id in relay.tickets:
        relay.stems.log.adopt(item.info.txid, Stage.SEEN)
    answering.accept(state, relay, item, outcome.fee)


def _refuse(state: NodeState, relay: Relay, item: Waiting, rule: str, detail: str = "") -> None:
    relay.tracker.forget(item.info.relay_id)
    stemming.not_spread(state, relay, item)
    if rule != WAITS_ALREADY:
        relay.rejects.add(relay.short(item.info.relay_id))
        keeping.forget(state, relay, item.info)
    answering.resolve(state, relay, item, rule, detail)


def _miss(state: NodeState, relay: Relay, item: Waiting, now: Now) -> None:
    """An output that it spends is not known here: it waits for its parent, if a link has brought it."""
    if item.info.relay_id in relay.tickets or item.conn is None or item.conn not in relay.links:
        relay.tracker.release(item.info.relay_id)
        stemming.not_spread(state, relay, item)
        keeping.forget(state, relay, item.info)
        answering.resolve(
            state, relay, item, "bad-txns-inputs-missingorspent", "an output that it spends is unknown, or spent"
        )
        return
    # On disk are those alone that wait, or are judged again.
    keeping.forget(state, relay, item.info)
    for orphan in relay.orphans.add(item.conn, item.data, item.info, now.mono):
        relay.tracker.release(orphan.info.relay_id)


def _may_be_own(relay: Relay, info: TxInfo) -> bool:
    """Whether one more transaction of our operator is within the bound; those that wait for a verdict count."""
    known = info.txid in relay.own or info.relay_id in relay.tickets
    return known or len(relay.own) + len(relay.tickets) < OWN_TRANSACTIONS


def _own(relay: Relay, entry: PoolEntry) -> None:
    entry.own = True
    relay.own[entry.info.txid] = entry.info.relay_id
