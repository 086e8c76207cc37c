"""The keys of peers that we dial: which one must answer, and what follows from the one that does.

A named peer's pin is the operator's (:mod:`obscura.peers.pins`), one of gossip is a field of its entry in the address
book. The handshake asks :func:`expected` before it answers, and :func:`meet` once a key has proved itself.
"""

from __future__ import annotations

from ..base.instant import Now
from ..peers.pins import Verdict
from ..wire.address import NetAddress
from ..wire.target import Target
from .effects import ForgetPin, SavePin
from .state import NodeState


def expected(state: NodeState, target: Target, *, named: bool) -> bytes | None:
    """The key that is expected to answer a dial, ``None`` for any."""
    if is_strict(state, target, named=named):
        return state.pins.expected(target)
    known = state.book.get(target.address)
    return None if known is None else known.key


def is_strict(state: NodeState, target: Target, *, named: bool) -> bool:
    """Whether no other key may answer: of a named peer, and of an address that was named once and is pinned since. Of
    a gossiped address the key is only what was there last time: another one is a new peer, not a refusal."""
    return named or state.pins.get(target.address) is not None


def meet(state: NodeState, target: Target, key: bytes, now: Now, *, named: bool) -> Verdict:
    """Judge the key that a dialled peer has shown, and remember it.

    A named peer whose key has changed is refused: the caller ends the link, and tells the operator. One of gossip may
    go on, and its new key is pinned when the link opens (``Dialer.opened``).
    """
    if not is_strict(state, target, named=named):
        return state.book.meet(target.address, key)
    verdict = state.pins.meet(target, key, now.wall)
    if verdict is Verdict.NEW:
        state.emit(SavePin(target.address, key, now.wall))
    return verdict


def forget(state: NodeState, address: NetAddress) -> bool:
    """The operator gives a pin up; ``False`` if there was none."""
    if not state.pins.forget(address):
        return False
    state.emit(ForgetPin(address))
    return True
