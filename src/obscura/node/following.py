"""Keeping in step with the ledger's coin view, and beginning to relay once it stands at the tip (design §6).

The mempool stands on the view, not on the chain: each step of the view says what it has taken back, what it confirmed
and what that spends, and the mempool follows before anything more is judged.

BasicTransactions is set in our ``version`` from the first time on that the view stands at the tip. A link that was
opened before is renewed if its peer had set the bit: features are agreed on once for each link.
"""

from __future__ import annotations

from ..base.instant import Instant, Now, after
from ..base.limits import RENEW_MEAN
from ..base.names import TxId
from ..chain import CoinReport
from ..relay.validation import Waiting
from ..wire.features import Feature
from . import judging, keeping, private, stemming
from .effects import FollowCoins
from .peer import Peer
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
    # Before anything was judged nothing rests on what the view passes.
    state.ask(FollowCoins(details=relay.serving), PendingFollow())


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
    if relay.serving:
        _apply(state, relay, report, now)
    if relay.moved or not report.ready:
        follow(state)
    if relay.ready and not relay.serving and not state.behind:
        _begin_serving(state, relay, now)


def renew(state: NodeState, now: Now) -> None:
    """End one link that was opened before we could relay, and whose peer could; whoever dialled it dials again."""
    for peer in state.open_peers():
        if _could_relay(peer):
            peer.channel.close("features-changed")
            state.wake(peer.conn)
            _renew_later(state, now)
            return


def opened(state: NodeState, peer: Peer, now: Now) -> None:
    """A link has opened. Its handshake may have begun before we could relay, and ended after :func:`renew` was done."""
    if state.relay is not None and state.relay.serving and _could_relay(peer):
        _renew_later(state, now)


def _could_relay(peer: Peer) -> bool:
    """The peer has set the bit, and we had not when the link was opened."""
    version = peer.channel.peer_version
    if not peer.relays:
        # We have opened it for something else.
        return False
    could = version is not None and bool(version.features.features & Feature.BASIC_TRANSACTIONS)
    return could and not peer.channel.in_force.features & Feature.BASIC_TRANSACTIONS


def _renew_later(state: NodeState, now: Now) -> None:
    state.timers.set(("renew", 0), after(now.mono, state.chance.exponential(RENEW_MEAN)))


def _begin_serving(state: NodeState, relay: Relay, now: Now) -> None:
    """Take up what earlier runs have left, and offer to relay. What a block holds meanwhile misses its inputs, and is
    forgotten by that verdict."""
    relay.serving = True
    _renew_later(state, now)
    for kept, info in keeping.take_up(state, relay):
        item = Waiting(None, kept.data, info, since=Instant(now.mono - kept.age), stem=kept.stem)
        relay.queue.put(item) if kept.stem else relay.offer(item)
    private.take_up(state, relay, now)


def _apply(state: NodeState, relay: Relay, report: CoinReport, now: Now) -> None:
    """Bring the mempool to where the view stands."""
    pool = relay.pool
    doomed = pool.unsettle(-1 if report.lost else report.fork)
    judging.left(state, relay, doomed, for_good=False)
    held = {txid: entry for txid in report.confirmed if (entry := pool.by_txid(txid)) is not None}
    contradicted = pool.connect(report.confirmed, report.spent)
    judging.left(state, relay, [*held.values(), *contradicted], for_good=True)
    stemming.confirmed(state, relay, report.confirmed)
    private.confirmed(state, relay, report.confirmed, now)
    for orphan in relay.orphans.erase_spending(report.spent):
        relay.tracker.forget(orphan.info.relay_id)
    if len(relay.orphans):
        for txid in report.confirmed:
            for orphan in relay.orphans.waiting_for(txid):
                relay.offer(Waiting(orphan.conn, orphan.data, orphan.info))
    again: dict[TxId, None] = dict.fromkeys(report.confirmed)
    for data in report.returned:
        info = relay.ledger.identify_transaction(data)
        if info.txid not in again and not relay.handles(info.relay_id):
            again[info.txid] = None
            relay.offer(Waiting(None, data, info, since=now.mono))
    for entry in doomed:
        if entry.info.txid not in again:
            item = Waiting(None, entry.data, entry.info, own=entry.own, since=entry.since)
            relay.offer(item)
        elif not relay.handles(entry.info.relay_id):
            keeping.forget(state, relay, entry.info)
