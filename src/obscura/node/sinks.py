"""Connections that have gone silent (transport: "Silence, sinks, deadlines").

A link whose encryption fails is over for the node, but its connection stays, so that neither a byte nor the moment of
the end tells a prober what was wrong. Before the handshake is done it ends when every handshake would,
HANDSHAKE_TIMEOUT after it began; after that, when a record fails, SINK_SHORTEST to SINK_LONGEST later. What comes
meanwhile is read and dropped; a peer that ends its stream is answered at once. A sink holds no buffer and no peer. One
that follows an open link goes on in the link's shape, by random bytes.

What was sent before may still wait for its peer: one that was open keeps its slot until its end.

Inbound ones count among the strangers of the lobby, which may evict them like any other. Where we have dialled, the
address is dialled again, or another one in its place, only when the silence is over.
"""

from __future__ import annotations

from ..base.instant import Now, after
from ..base.names import ConnId
from ..wire.identity import class_of
from .effects import Drop, Resume, Send
from .peer import Peer
from .state import NodeState, Sink


def begin(state: NodeState, peer: Peer, now: Now) -> None:
    """A link goes silent. It is no peer any more, and still in the lobby if it was there."""
    conn = peer.conn
    if peer.paused:
        # It always drains, or the end would be a reset.
        state.emit(Resume(conn))
    if peer.opened_at is None:
        deadline = after(peer.since, state.handshake_timeout(peer.address))
    else:
        deadline = after(now.mono, state.chance.fork(f"sink {conn}").span(*state.config.sink_span))
    state.door.sinks[conn] = Sink(
        deadline=deadline,
        ghost=peer.channel.transport.ghost,
        dialled=None if peer.inbound else peer.address,
        purpose=peer.purpose,
        of=class_of(peer.address.network),
        lived=None if peer.left_alone or peer.private else peer.lived(now.mono),
        slot=peer.inbound and peer.opened_at is not None,
    )
    state.timers.set(("sink", conn), deadline)
    emit_due(state, conn, now)
    if peer.inbound and peer.opened_at is not None:
        evict(state, state.pool(peer.address).lobby.enter(conn, state.arrival(conn, peer.address)), now)


def emit_due(state: NodeState, conn: ConnId, now: Now) -> None:
    """Emit what the link that is gone would have emitted."""
    sink = state.door.sinks.get(conn)
    if sink is None or sink.ghost is None:
        return
    _emit(state, conn, sink.ghost.take(now.mono))
    state.timers.set(("ghost", conn), sink.ghost.next_deadline())


def heard(state: NodeState, conn: ConnId, now: Now) -> None:
    """Bytes of a connection that has gone silent: dropped, and its shape goes on as if they had been read."""
    sink = state.door.sinks.get(conn)
    if sink is not None and sink.ghost is not None:
        sink.ghost.heard(now.mono)
        state.timers.set(("ghost", conn), sink.ghost.next_deadline())


def clog(state: NodeState, conn: ConnId, *, clogged: bool) -> None:
    """A sink's peer does not take what is emitted, or takes it again."""
    sink = state.door.sinks.get(conn)
    if sink is not None and sink.ghost is not None:
        sink.ghost.clog(clogged=clogged)


def evict(state: NodeState, leaving: ConnId | None, now: Now) -> None:
    """The lobby has put somebody out."""
    if leaving is None:
        return
    if leaving in state.door.sinks:
        end(state, leaving, now)
    else:
        state.peers[leaving].channel.close("lobby-full")
        state.wake(leaving)


def end(state: NodeState, conn: ConnId, now: Now) -> bool:
    """A sink's time has come, or its peer has ended; ``False`` if it is none."""
    sink = state.door.sinks.pop(conn, None)
    if sink is None:
        return False
    state.timers.set(("sink", conn), None)
    state.timers.set(("ghost", conn), None)
    if sink.ghost is not None:
        _emit(state, conn, sink.ghost.hurry(now.mono))
    pool = state.company.pools.get(sink.of)
    if pool is not None:
        pool.lobby.leave(conn)
        pool.open -= sink.slot
    state.emit(Drop(conn))
    if sink.dialled is not None:
        # Security: only now is the link over. Another dial before would show when, and so at which byte, it failed.
        if sink.lived is not None:
            state.dialer.ended(sink.dialled, sink.lived, now)
        state.timers.set(("dial", 0), now.mono)
    return True


def _emit(state: NodeState, conn: ConnId, amount: int) -> None:
    assert state.door.vault is not None, "there was an encrypted link"
    if amount:
        state.bytes_out += amount
        state.emit(Send(conn, state.door.vault.keys.token(amount)))
