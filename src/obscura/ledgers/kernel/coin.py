"""A coin: one output that the chain has created, with what its spending depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ...chain.transactions import OutPoint


@dataclass(frozen=True, slots=True)
class Coin:
    """An output, and where it was made."""

    height: int
    """Of the block that holds it; of the next block where it is an unconfirmed parent's."""
    coinbase: bool
    amount: int
    """Satoshis."""
    script: bytes


class Coins(Protocol):
    """What admission asks about the state of the chain, as of the view's tip."""

    @property
    def height(self) -> int:
        """Height of the tip on which the next block is to be built."""
        ...

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """The unspent output, or ``None``."""
        ...

    def median_time(self, height: int) -> int:
        """The median of the times of the eleven blocks that end at ``height`` (BIP113), Unix seconds; fewer at the
        chain's begin. ``height`` is the view's tip or below."""
        ...
