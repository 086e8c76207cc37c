"""What of the mempool is on disk: everything that waits, our operator's own and others' alike (decision 0009).

``Relay.saved`` mirrors the disk, so that an effect goes out only where something changes. A transaction that leaves the
mempool to be judged again stays on disk until that verdict: a kill in between loses nothing.

Privacy: nothing here, and so nothing on disk, depends on whose a transaction is. Who takes the machine learns what
waited at this node, as every peer could; not what was sent from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ..base.digest import double_sha256
from ..base.names import TxId
from ..chain import InvalidTransaction, TxInfo
from .effects import ForgetTransaction, KeptTransaction, SaveTransaction
from .relay_state import Relay
from .state import NodeState

TakenUp: TypeAlias = tuple[KeptTransaction, TxInfo]
"""What an earlier run has kept, and what it says about itself."""


def keep(state: NodeState, relay: Relay, relay_id: TxId, data: bytes, *, stem: bool = False) -> None:
    """Have a transaction on disk from now on, or its ``stem`` mark changed; nothing happens if it is there as such."""
    if relay.saved.get(relay_id) is not stem:
        relay.saved[relay_id] = stem
        state.emit(SaveTransaction(relay_id, data, stem))


def forget(state: NodeState, relay: Relay, info: TxInfo) -> None:
    """A transaction that neither waits nor is to be judged need not be kept for the next run, and counts as nobody's.
    Nothing happens if it waits all the same, in stem or in the open."""
    if info.relay_id in relay.stems.pool or info.relay_id in relay.pool:
        return
    if relay.saved.pop(info.relay_id, None) is not None:
        state.emit(ForgetTransaction(info.relay_id))
    if relay.own.get(info.txid) == info.relay_id:
        del relay.own[info.txid]


def take_up(state: NodeState, relay: Relay) -> list[TakenUp]:
    """What earlier runs have left, each once, parents before children. From now on it is to be judged, or forgotten;
    what cannot be read is forgotten here: another release may have read it otherwise."""
    found: dict[TxId, TakenUp] = {}
    for kept in relay.kept:
        try:
            info = relay.ledger.identify_transaction(kept.data)
        except InvalidTransaction:
            state.emit(ForgetTransaction(TxId(double_sha256(kept.data))))
            continue
        found[info.relay_id] = kept, info
        relay.saved[info.relay_id] = kept.stem
    relay.kept = ()
    return parents_first(list(found.values()))


def parents_first(kept: Sequence[TakenUp]) -> list[TakenUp]:
    """Sort so that none spends from a later one; those that are not related stay as they were given."""
    by_txid = {one[1].txid: one for one in kept}
    begun: dict[TxId, None] = {}
    placed: dict[TxId, TakenUp] = {}
    for start in kept:
        # Not by recursion: what was kept may be a long chain.
        path = [start]
        while path:
            one = path[-1]
            info = one[1]
            if info.relay_id not in begun:
                begun[info.relay_id] = None
                parents = {point.txid: by_txid[point.txid] for point in info.spends if point.txid in by_txid}
                path += [parent for parent in reversed(parents.values()) if parent[1].relay_id not in begun]
            else:
                path.pop()
                placed.setdefault(info.relay_id, one)
    return list(placed.values())
