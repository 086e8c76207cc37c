"""Keeping in step with the ledger's coin view, and beginning to relay once it stands at the tip (design §6).

The mempool stands on the view, not on the chain: each step of the view says what it has taken back, what it confirmed
and what that spends, and the mempool follows before anything more is judged.

BasicTransactions is set in our ``version`` from the first time on that the view stands at the tip. A link that was
opened before is renewed if its peer had set the bit: features are agreed on once for each link.
"""

from __future__ import annotations

from ..base.instant import Duration, Instant, Now, after
from ..base.limits import RELAY_BEHIND, RENEW_MEAN
from ..base.names import TxId
from ..chain import CoinReport, InvalidTransaction, TxInfo
from ..relay.validation import Waiting
from ..wire.features import Feature
from . import judging
from .effects import FollowCoins, KeptTransaction, SaveMempool
from .relay_state import Relay
from .state import NodeState, PendingFollow


def follow(state: NodeState) -> None:
    """Have the view make a step, after the one that it is making."""
    relay = state.relay
    if relay is None or state.stopping:
        return
    if relay.following:
        relay.moved = True
        return
    relay.following, relay.moved = True, False
    # Before anything was judged nothing rests on what the view passes, but for what an operator waits for.
    state.ask(FollowCoins(details=relay.serving or bool(relay.kept_own)), PendingFollow())


def stepped(state: NodeState, report: CoinReport, now: Now) -> None:
    """The view has made a step."""
    relay = state.relay
    assert relay is not None, "only a node that relays has asked"
    relay.due = True
    relay.following = False
    relay.ready = report.ready
    if report.tip != relay.tip:
        # What could not be in the last block may be in the next one.
        relay.rejects.clear()
    relay.tip, relay.height = report.tip, report.height
    _confirm_kept(state, relay, report)
    if relay.serving:
        _apply(state, relay, report, now)
    if relay.moved or not report.ready:
        follow(state)
    if relay.ready and not relay.serving and not behind(state):
        _begin_serving(state, relay, now)


def keep(state: NodeState, now: Now) -> None:
    """The node stops: have what waits kept for the next run; what an earlier one kept as well, if it was not yet taken
    up."""
    relay = state.relay
    if relay is None:
        return
    waiting = [
        KeptTransaction(entry.data, Duration(now.mono - entry.since))
        for entry in relay.pool.entries()
        if entry.info.txid not in relay.own
    ]
    # What was to be judged again when the stop came is kept as well.
    ours = [one.item for one in relay.judging.values() if one.item.conn is None] + relay.queue.ours()
    waiting += [
        KeptTransaction(item.data, Duration(0 if item.since is None else now.mono - item.since))
        for item in ours
        if not item.own
    ]
    state.emit(SaveMempool(relay.kept + tuple(waiting)))


def behind(state: NodeState) -> bool:
    """Whether our chain lacks so much that what is announced now could not be judged. A block or two are no reason:
    each one is missing for a moment, and announcements come only once."""
    return state.tree.best.height - state.tree.tip.height > RELAY_BEHIND


def renew(state: NodeState, now: Now) -> None:
    """End one link that was opened before we could relay, and whose peer could; whoever dialled it dials again."""
    for peer in state.open_peers():
        version = peer.channel.peer_version
        could = version is not None and version.features.features & Feature.BASIC_TRANSACTIONS
        if could and not peer.channel.in_force.features & Feature.BASIC_TRANSACTIONS:
            peer.channel.close("features-changed")
            state.wake(peer.conn)
            _renew_later(state, now)
            return


def _renew_later(state: NodeState, now: Now) -> None:
    state.timers.set(("renew", 0), after(now.mono, state.chance.exponential(RENEW_MEAN)))


def _begin_serving(state: NodeState, relay: Relay, now: Now) -> None:
    """Take up what earlier runs have left, our operator's first, and offer to relay."""
    relay.serving = True
    _renew_later(state, now)
    for data in relay.kept_own:
        if (info := _read(relay, data)) is not None:
            relay.own[info.txid] = info.relay_id
            judging.offer(relay, Waiting(None, data, info, own=True))
    for kept in relay.kept:
        if (info := _read(relay, kept.data)) is not None and not relay.handles(info.relay_id):
            judging.offer(relay, Waiting(None, kept.data, info, since=Instant(now.mono - kept.age)))
    relay.kept, relay.kept_own = (), ()


def _read(relay: Relay, data: bytes) -> TxInfo | None:
    """What an earlier run has kept; another release may have read it otherwise."""
    try:
        return relay.ledger.identify_transaction(data)
    except InvalidTransaction:
        return None


def _confirm_kept(state: NodeState, relay: Relay, report: CoinReport) -> None:
    """Blocks that came while the node was away may hold what its operator has sent."""
    if not relay.kept_own or not report.confirmed:
        return
    confirmed = dict.fromkeys(report.confirmed)
    waiting: list[bytes] = []
    for data in relay.kept_own:
        info = _read(relay, data)
        if info is not None and info.txid in confirmed:
            judging.forget_own(state, info.relay_id)
        else:
            waiting.append(data)
    relay.kept_own = tuple(waiting)


def _apply(state: NodeState, relay: Relay, report: CoinReport, now: Now) -> None:
    """Bring the mempool to where the view stands."""
    pool = relay.pool
    doomed = pool.unsettle(-1 if report.lost else report.fork)
    judging.left(state, relay, doomed, for_good=False)
    held = {txid: entry for txid in report.confirmed if (entry := pool.by_txid(txid)) is not None}
    judging.left(state, relay, list(held.values()), for_good=False)
    judging.left(state, relay, pool.connect(report.confirmed, report.spent), for_good=True)
    judging.confirm_own(state, relay, report.confirmed)
    for orphan in relay.orphans.erase_spending(report.spent):
        relay.tracker.forget(orphan.info.relay_id)
    if len(relay.orphans):
        for txid in report.confirmed:
            for orphan in relay.orphans.waiting_for(txid):
                judging.offer(relay, Waiting(orphan.conn, orphan.data, orphan.info))
    again: dict[TxId, None] = dict.fromkeys(report.confirmed)
    for data in report.returned:
        info = relay.ledger.identify_transaction(data)
        if info.txid not in again and not relay.handles(info.relay_id):
            again[info.txid] = None
            judging.offer(relay, Waiting(None, data, info, since=now.mono))
    for entry in doomed:
        if entry.info.txid not in again:
            item = Waiting(None, entry.data, entry.info, own=entry.own, since=entry.since)
            judging.offer(relay, item)
