"""A look, now and then, at the links that we opened: which is one too many, and which has lost the chain.

*One too many.* The schedule of dials opens links beyond the slots (:mod:`obscura.peers.dialing`). Of full ones the one
that has shown us nothing new for longest ends, never the last of its class; of block-only ones the younger of the two
youngest, unless it has brought a block later than the other, and never the one that was picked for its seniority.

*Behind.* A peer that we chose, and that has not shown our tip's work in BEHIND_WAIT, is asked once more, and ends when
it does not show it in BEHIND_ANSWER: it would say nothing new. BEHIND_SPARED full ones that once had our tip are
spared, so that a fork that few know cannot cost us all peers at once.

*Anchors.* Where our block-only links are is kept for the next start. One that has ended keeps its place until another
one has lasted for STEADY_LINK: whoever ends our links takes none of them away, nor does a host that is full and hangs
up; and a crash finds them written.

*Stale.* When our tip has not moved for STALE_TIP, the schedule looks for somebody who knows more.
"""

from __future__ import annotations

from ..base.instant import Now, after
from ..base.limits import ANCHORS, BEHIND_ANSWER, BEHIND_SPARED, BEHIND_WAIT, REVIEW_EVERY, STEADY_LINK
from ..peers.dialing import Purpose
from ..wire.address import NetAddress
from ..wire.identity import class_of
from . import on_gossip, on_sync
from .effects import SaveAnchors
from .peer import Peer
from .state import NodeState


def begin(state: NodeState, now: Now) -> None:
    """The node has started."""
    if state.config.discover and state.config.outbound_slots:
        state.timers.set(("review", 0), after(now.mono, REVIEW_EVERY))


def review(state: NodeState, now: Now) -> None:
    """Look at all of them."""
    if state.stopping:
        return
    state.timers.set(("review", 0), after(now.mono, REVIEW_EVERY))
    if not any(peer.purpose is Purpose.FULL for peer in state.open_peers()):
        on_gossip.take_seeds(state, now, alone=True)
    chosen = [peer for peer in state.open_peers() if peer.purpose in (Purpose.FULL, Purpose.BLOCKS)]
    for peer in chosen:
        _look_behind(state, peer, now)
    _review_anchors(state, now)
    full = [peer for peer in chosen if peer.purpose is Purpose.FULL and peer.is_open]
    if len(full) > state.config.outbound_slots:
        _end(state, _least_useful(state, full, now))
    blocks = [peer for peer in chosen if peer.purpose is Purpose.BLOCKS and peer.is_open]
    if len(blocks) > state.config.block_slots:
        _end(state, _less_useful(state, blocks, now))
    if state.is_stale(now.mono):
        # The schedule looks for somebody who knows more.
        state.timers.set(("dial", 0), now.mono)


def first_anchors(state: NodeState, peer: Peer) -> None:
    """A block-only link is open. While there are few anchors it is one at once, behind the others."""
    known = state.company.anchors
    if peer.address not in known and len(known) < ANCHORS:
        _set_anchors(state, (*known, peer.address))


def _review_anchors(state: NodeState, now: Now) -> None:
    known = state.company.anchors
    lasting = [
        peer.address
        for peer in state.open_peers()
        if peer.purpose is Purpose.BLOCKS and peer.lived(now.mono) >= STEADY_LINK
    ]
    here = [address for address in known if address in lasting]
    fresh = [address for address in lasting if address not in known]
    gone = [address for address in known if address not in lasting]
    _set_anchors(state, (*here, *fresh, *gone)[:ANCHORS])


def _set_anchors(state: NodeState, anchors: tuple[NetAddress, ...]) -> None:
    if anchors != state.company.anchors:
        state.company.anchors = anchors
        state.emit(SaveAnchors(anchors))


def _look_behind(state: NodeState, peer: Peer, now: Now) -> None:
    # Of a chain that is its genesis alone nobody can show anything.
    shown = state.tree.genesis.work if peer.best is None else peer.best.work
    tip = state.tree.tip.work
    if shown >= tip:
        peer.worth.behind_at, peer.worth.behind_asked = None, False
        if peer.purpose is Purpose.FULL and not peer.worth.spared:
            spared = sum(1 for other in state.peers.values() if other.worth.spared)
            peer.worth.spared = spared < BEHIND_SPARED
    elif peer.worth.spared:
        return
    elif peer.worth.behind_at is None or shown >= peer.worth.behind_work:
        # It comes along: what it must show next is what we have now.
        peer.worth.behind_at, peer.worth.behind_work, peer.worth.behind_asked = after(now.mono, BEHIND_WAIT), tip, False
    elif now.mono >= peer.worth.behind_at:
        if peer.worth.behind_asked:
            peer.channel.close("behind")
            state.wake(peer.conn)
            return
        peer.worth.behind_at, peer.worth.behind_asked = after(now.mono, BEHIND_ANSWER), True
        on_sync.ask_again(state, peer, now)


def _least_useful(state: NodeState, full: list[Peer], now: Now) -> Peer | None:
    counts: dict[object, int] = {}
    for peer in full:
        of = class_of(peer.address.network)
        counts[of] = counts.get(of, 0) + 1
    others = [peer for peer in full if not peer.worth.spared and counts[class_of(peer.address.network)] > 1]

    def shown(peer: Peer) -> int:
        return -1 if peer.worth.announced_at is None else peer.worth.announced_at

    # Security: who has shown nothing goes first, the youngest of them, as soon as it has had its time: a newcomer must
    # not be worth more than those that were there before it.
    leaving = min(others, key=lambda peer: (shown(peer), -peer.conn), default=None)
    return leaving if leaving is not None and _is_ripe(state, leaving, now) else None


def _less_useful(state: NodeState, blocks: list[Peer], now: Now) -> Peer | None:
    # Security: an attacker who has the slots, and every block first, would otherwise be worth more than any newcomer.
    *_, leaving = others = [peer for peer in blocks if not state.dialer.is_senior(peer.address)]

    def brought(peer: Peer) -> int:
        return -1 if peer.worth.block_at is None else peer.worth.block_at

    if len(others) > 1 and brought(leaving) > brought(others[-2]):
        leaving = others[-2]
    return leaving if _is_ripe(state, leaving, now) else None


def _is_ripe(state: NodeState, peer: Peer, now: Now) -> bool:
    """It has had the time to show something, and is not in the middle of it."""
    return peer.lived(now.mono) >= STEADY_LINK and not state.download.in_flight(peer.conn)


def _end(state: NodeState, peer: Peer | None) -> None:
    if peer is not None:
        peer.channel.close("one-too-many")
        state.wake(peer.conn)
