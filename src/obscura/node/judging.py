"""Having transactions judged, and what follows of the verdicts (design §6).

The order of the checks is that of their costs: whether we have it, conflicts with what waits (no ledger needed), then
the ledger's rules, scripts last. One batch is before the ledger at a time, and none while the coin view makes a step:
every verdict is about the view that the mempool stands on.

A peer learns no reason. Security: a conflict, or anything that is policy, costs it nothing either: an attacker would
have honest links pay for relaying what somebody else contradicts (reference: the Monero eclipse of 2025).
"""

from __future__ import annotations

from ..base.errors import PeerFault
from ..base.instant import Now
from ..base.limits import FAULT_INVALID_TX, OWN_TRANSACTIONS
from ..base.names import TxId
from ..chain import Candidate, TxOutcome, TxVerdict
from ..relay.mempool import PoolEntry
from ..relay.validation import Waiting
from . import spreading
from .effects import ForgetTransaction, JudgeTransactions, SaveTransaction, TransactionSubmitted
from .relay_state import Judged, Relay
from .state import NodeState, PendingTransactions

WAITS_ALREADY = "txn-already-in-mempool"


def submit(state: NodeState, data: bytes, ticket: int, now: Now) -> None:
    """Our operator's transaction. The verdict is told as a :class:`TransactionSubmitted`."""
    relay = state.relay
    if relay is None:
        _refuse_operator(state, ticket, "relay-off", "this node relays no transactions")
        return
    if not relay.ready:
        _refuse_operator(
            state, ticket, "coins-not-ready", "the coin view does not stand at the tip yet: try again later"
        )
        return
    try:
        info = relay.ledger.identify_transaction(data)
    except PeerFault as fault:
        _refuse_operator(state, ticket, fault.rule, fault.detail)
        return
    entry = relay.pool.get(info.relay_id)
    if entry is not None:
        _keep_own(state, relay, entry)
        state.tell(TransactionSubmitted(ticket, info.txid, accepted=True, rule=WAITS_ALREADY))
        return
    if info.txid not in relay.own and len(relay.own) >= OWN_TRANSACTIONS:
        _refuse_operator(state, ticket, "too-many-own", f"{OWN_TRANSACTIONS} of your transactions wait for a block")
        return
    relay.tickets.setdefault(info.relay_id, []).append(ticket)
    relay.orphans.discard(info.relay_id)
    if info.relay_id not in relay.queue and info.relay_id not in relay.judging:
        offer(relay, Waiting(None, data, info, own=True))
    begin(state, relay, now)


def offer(relay: Relay, item: Waiting) -> bool:
    """Put a transaction that was not decided into the line; if there is no room, others may be asked for it, and the
    answer is ``False``."""
    relay.due = True
    taken = relay.queue.put(item)
    if taken:
        relay.tracker.hold(item.info.relay_id)
    else:
        relay.tracker.release(item.info.relay_id)
    return taken


def begin(state: NodeState, relay: Relay, now: Now) -> None:
    """Give the ledger its next batch, if it may have one."""
    while relay.ready and not (relay.judging or relay.following) and len(relay.queue):
        candidates: list[Candidate] = []
        floor = relay.pool.floor(now.mono)
        mates: dict[TxId, bytes] = {}
        for item in relay.queue.take():
            rule = relay.pool.refuses(item.info)
            if rule:
                _refuse(state, relay, item, rule)
                continue
            parents = {entry.info.txid: entry.data for entry in relay.pool.parents_of(item.info)}
            # One that comes before it in the batch counts as its parent: if that is refused, so is this verdict.
            parents.update((point.txid, mates[point.txid]) for point in item.info.spends if point.txid in mates)
            mates[item.info.txid] = item.data
            relay.judging[item.info.relay_id] = Judged(item, tuple(parents))
            candidates.append(Candidate(item.data, item.info, tuple(parents.values()), floor))
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
        del relay.judging[item.info.relay_id]
        if outcome.verdict is TxVerdict.INVALID:
            _charge(state, item, outcome.rule, now)
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
        if item.info.relay_id in relay.tickets:
            # Our operator has handed it in meanwhile.
            offer(relay, Waiting(None, item.data, item.info, own=True))
        else:
            relay.tracker.release(item.info.relay_id)


def left(state: NodeState, relay: Relay, entries: list[PoolEntry], *, for_good: bool) -> None:
    """Entries have left the mempool without a block. ``for_good``: a block contradicts them."""
    spreading.withdraw(relay, entries)
    for entry in entries:
        if for_good and relay.own.pop(entry.info.txid, None) is not None:
            forget_own(state, entry.info.relay_id)


def confirm_own(state: NodeState, relay: Relay, confirmed: tuple[TxId, ...]) -> None:
    """Blocks hold these: those of our operator need not be kept any longer."""
    if not relay.own:
        return
    for txid in confirmed:
        relay_id = relay.own.pop(txid, None)
        if relay_id is not None:
            forget_own(state, relay_id)


def forget_own(state: NodeState, relay_id: TxId) -> None:
    """A transaction of our operator need not be kept for the next run."""
    state.emit(ForgetTransaction(relay_id))


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
    left(state, relay, gone, for_good=False)
    entry = relay.pool.get(relay_id)
    if entry is None:
        _refuse(state, relay, item, "mempool full", f"its fee of {outcome.fee} is the lowest here")
        return
    relay.tracker.forget(relay_id)
    if entry.own:
        _keep_own(state, relay, entry)
    spreading.announce(relay, entry)
    for orphan in relay.orphans.waiting_for(item.info.txid):
        offer(relay, Waiting(orphan.conn, orphan.data, orphan.info))
    for ticket in relay.tickets.pop(relay_id, ()):
        state.tell(TransactionSubmitted(ticket, item.info.txid, accepted=True, fee=outcome.fee))


def _refuse(state: NodeState, relay: Relay, item: Waiting, rule: str, detail: str = "") -> None:
    relay.tracker.forget(item.info.relay_id)
    if rule != WAITS_ALREADY:
        relay.rejects.add(relay.short(item.info.relay_id))
    _resolve(state, relay, item, rule, detail)


def _miss(state: NodeState, relay: Relay, item: Waiting, now: Now) -> None:
    """An output that it spends is not known here: it waits for its parent, if a link has brought it."""
    if item.info.relay_id in relay.tickets or item.conn is None or item.conn not in relay.links:
        relay.tracker.release(item.info.relay_id)
        _resolve(state, relay, item, "bad-txns-inputs-missingorspent", "an output that it spends is unknown, or spent")
        return
    for orphan in relay.orphans.add(item.conn, item.data, item.info, now.mono):
        relay.tracker.release(orphan.info.relay_id)


def _resolve(state: NodeState, relay: Relay, item: Waiting, rule: str, detail: str) -> None:
    """Tell our operator that a transaction of his is refused."""
    for ticket in relay.tickets.pop(item.info.relay_id, ()):
        accepted = rule == WAITS_ALREADY
        state.tell(TransactionSubmitted(ticket, item.info.txid, accepted=accepted, rule=rule, detail=detail))


def _charge(state: NodeState, item: Waiting, rule: str, now: Now) -> None:
    """No block may ever hold what this link has sent. An honest node judges before it relays."""
    peer = None if item.conn is None else state.peers.get(item.conn)
    if peer is not None:
        peer.channel.charge(FAULT_INVALID_TX, rule, now.mono)
        state.wake(peer.conn)


def _keep_own(state: NodeState, relay: Relay, entry: PoolEntry) -> None:
    entry.own = True
    if entry.info.txid not in relay.own:
        relay.own[entry.info.txid] = entry.info.relay_id
        state.emit(SaveTransaction(entry.info.relay_id, entry.data))


def _refuse_operator(state: NodeState, ticket: int, rule: str, detail: str) -> None:
    state.tell(TransactionSubmitted(ticket, TxId(bytes(32)), accepted=False, rule=rule, detail=detail))
