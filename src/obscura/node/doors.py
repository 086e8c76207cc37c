"""Answering handshakes: who may be, and how many a second.

An answer costs a responder about half a millisecond, and anybody can ask for one. So they are rationed over the whole
node: HANDSHAKES_BURST at once, HANDSHAKES_PER_SECOND after that. Who comes over that waits for the turn of its network
group (:mod:`obscura.peers.knocking`); nobody is refused, which would tell a prober something. At a keyed listener the
guard against replays is asked first; its answer comes from a disk, and no more than KNOCKS_JUDGED wait for that. A few
rations are for groups that had none lately.
"""

from __future__ import annotations

from ..base.instant import Now
from ..base.limits import KNOCKS_JUDGED
from ..base.names import ConnId
from .effects import Admit, Notice
from .peer import Peer
from .state import NodeState


def knock(state: NodeState, peer: Peer, now: Now) -> None:
    """A handshake waits for an answer: give it, or have it wait."""
    if peer.conn in state.door.admitting:
        return
    knocking, group = state.door.knocking, state.group(peer.address)
    fresh = knocking.is_fresh(group, now.mono)
    in_turn = (fresh or not knocking) and peer.conn not in knocking and not _guard_is_busy(state)
    if in_turn and state.door.rations.take(now.mono, fresh=fresh):
        _answer(state, peer, now)
    else:
        if not knocking:
            # Where somebody waits already, the time of the next answer is set, and may be sooner.
            state.timers.set(("knock", 0), state.door.rations.next_at())
        knocking.enter(peer.conn, group)


def answer_due(state: NodeState, now: Now) -> None:
    """Answer one of those whom the rations and the guard allow, whose turn it is. The next one soon: links must not
    wait for a crowd that has come at once."""
    while state.door.knocking and not _guard_is_busy(state):
        conn, group = state.door.knocking.first()
        peer = state.peers.get(conn)
        if peer is None or not peer.channel.may_answer:
            state.door.knocking.leave(conn)
            continue
        fresh = state.door.knocking.is_fresh(group, now.mono)
        if state.door.rations.take(now.mono, fresh=fresh):
            state.door.knocking.leave(conn)
            _answer(state, peer, now)
            state.wake(conn)
            state.timers.set(("knock", 0), now.mono)
        else:
            state.timers.set(("knock", 0), state.door.rations.next_at())
        return


def admitted(state: NodeState, conn: ConnId, *, new: bool, trouble: str, now: Now) -> None:
    """The guard against replays has answered for a knock at our keyed listener; its link may have ended meanwhile."""
    state.door.admitting.pop(conn, None)
    if trouble and not state.door.forgetful:
        # What cannot be remembered could be replayed.
        state.tell(Notice("replays-unwritable", f"nobody can be let in by the access secret: {trouble}"))
    state.door.forgetful = bool(trouble)
    peer = state.peers.get(conn)
    if peer is not None and peer.channel.may_answer:
        if new:
            peer.channel.answer()
        else:
            peer.channel.silence("replayed", now.mono)
        state.wake(conn)
    answer_due(state, now)


def _guard_is_busy(state: NodeState) -> bool:
    return len(state.door.admitting) >= KNOCKS_JUDGED


def _answer(state: NodeState, peer: Peer, now: Now) -> None:
    vault = state.door.vault
    assert vault is not None, "handshakes come only where there are keys"
    state.door.knocking.answered(state.group(peer.address), now.mono)
    if vault.access is None:
        peer.channel.answer()
    else:
        state.door.admitting[peer.conn] = None
        state.emit(Admit(peer.conn, peer.channel.transport.initiator_shown, now.wall))
