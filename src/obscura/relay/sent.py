"""How far our operator's transactions have come, as far as the node may know: for his questions alone.

A node knows whom it gave a transaction to, whether it came back from the network, and what it did itself. It does not
know whether others have it; a stage says no more than that.
"""

from __future__ import annotations

from enum import Enum

from ..base.limits import SENT_KEPT
from ..base.names import TxId


class Stage(Enum):
    """In the order in which they may follow each other."""

    PRIVATE = "private"
    """It is to be broadcast privately, and nobody has it yet."""
    HANDED = "handed"
    """It was handed over privately, and has not been seen since."""
    WAITING = "waiting"
    """There is no stem peer yet, or it has as much as it takes."""
    STEMMED = "stemmed"
    """It was given to a stem peer, and has not been seen since."""
    FLUFFED = "fluffed"
    """The node tells everybody itself: its embargo has ended, or there was no stem peer."""
    SEEN = "seen"
    """It came from the network, as any other does: it spreads."""
    CONFIRMED = "confirmed"
    """A block holds it."""
    EXPIRED = "expired"
    """No block has taken it in two weeks, and it waits no longer here."""
    REFUSED = "refused"
    """It cannot be relayed any more: something contradicts it, or the least fee has risen."""
    GONE = "gone"
    """It was to be broadcast privately, and what it spends is not there any more: a block may hold it, or something
    that contradicts it."""
    DROPPED = "dropped"
    """The operator has taken it back before it was seen."""


class SentLog:
    """Stages by txid, of the latest SENT_KEPT."""

    def __init__(self) -> None:
        self._stages: dict[TxId, Stage] = {}

    def __len__(self) -> int:
        return len(self._stages)

    def get(self, txid: TxId) -> Stage | None:
        """How far a transaction has come; ``None`` for one that was not sent here in this run, or long ago."""
        return self._stages.get(txid)

    def begin(self, txid: TxId, stage: Stage) -> None:
        """Follow a transaction from now on."""
        if txid not in self._stages and len(self._stages) >= SENT_KEPT:
            del self._stages[next(iter(self._stages))]
        self._stages[txid] = stage

    def adopt(self, txid: TxId, stage: Stage) -> Stage:
        """Follow a transaction that is here already, unless it is followed. Returns its stage."""
        if txid not in self._stages:
            self.begin(txid, stage)
        return self._stages[txid]

    def note(self, txid: TxId, stage: Stage) -> None:
        """A transaction has come further; one that is not followed is passed over."""
        if txid in self._stages:
            self._stages[txid] = stage
