"""Addresses that lead to ourselves, or to another chain: they are not dialled for a day (design §3.1).

Security: only what was learnt of gossip is left alone, and only for what the encryption has proven, where there is any.
Whoever sits between could otherwise silence a peer for a day by relaying, or changing, one connection. A named peer is
dialled again as after any failure.
"""

from __future__ import annotations

from ..base.instant import Now
from .peer import Peer
from .state import NodeState


def leave_alone(state: NodeState, peer: Peer, now: Now, *, proven: bool) -> None:
    """Note it of a peer that is about to end; nothing is noted of inbound and of named ones.

    Args:
        state: the node's.
        peer: whom we have dialled.
        now: both clocks.
        proven: nobody in between can have made us believe it.
    """
    if peer.inbound or peer.named or not (proven or state.door.vault is None):
        return
    if peer.expected is not None and peer.channel.transport.responder != peer.expected:
        # Somebody else answers there today.
        return
    peer.left_alone = True
    state.dialer.other_network(peer.address, now)
