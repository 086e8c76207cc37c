"""What an adversary concludes, and how right he is.

Every honest node sends one transaction. The adversary maps each to a node. *Recall* is the share mapped rightly.
*Precision* is the mean, over honest nodes v, of 1{v's is mapped to v} / (transactions mapped to v): who is right
because he names one node for everything learns nothing (Bojja Venkatakrishnan et al. 2017). For any scheme recall is p
at least, and precision p², where p is the share of spies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Score(NamedTuple):
    """How right an adversary is, each from 0 to 1."""

    recall: float
    precision: float


def score(guesses: Mapping[int, int | None]) -> Score:
    """Judge guesses.

    Args:
        guesses: for each honest node, to whom its transaction is mapped; ``None``: to nobody, as none was seen.
    """
    if not guesses:
        return Score(0.0, 0.0)
    mapped: dict[int, int] = {}
    for guess in guesses.values():
        if guess is not None:
            mapped[guess] = mapped.get(guess, 0) + 1
    right = [node for node, guess in guesses.items() if guess == node]
    return Score(len(right) / len(guesses), sum(1 / mapped[node] for node in right) / len(guesses))
