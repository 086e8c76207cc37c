"""Telling our operator what became of a transaction that he has handed in."""

from __future__ import annotations

from ..base.names import TxId
from ..relay.validation import Waiting
from .effects import TransactionSubmitted
from .relay_state import Relay
from .state import NodeState

WAITS_ALREADY = "txn-already-in-mempool"


def refuse(state: NodeState, ticket: int, rule: str, detail: str) -> None:
    """It was not looked at."""
    state.tell(TransactionSubmitted(ticket, TxId(bytes(32)), accepted=False, rule=rule, detail=detail))


def resolve(state: NodeState, relay: Relay, item: Waiting, rule: str, detail: str) -> None:
    """It is refused, or waits already."""
    for ticket in relay.tickets.pop(item.info.relay_id, ()):
        accepted = rule == WAITS_ALREADY
        stage = relay.stems.log.get(item.info.txid)
        state.tell(
            TransactionSubmitted(ticket, item.info.txid, accepted=accepted, rule=rule, detail=detail, stage=stage)
        )


def accept(state: NodeState, relay: Relay, item: Waiting, fee: int) -> None:
    """It is here, and on its way."""
    stage = relay.stems.log.get(item.info.txid)
    for ticket in relay.tickets.pop(item.info.relay_id, ()):
        state.tell(TransactionSubmitted(ticket, item.info.txid, accepted=True, fee=fee, stage=stage))
