"""Plain diffusion: every node tells each neighbour after a time of its own, all exponential with one mean.

Such times forget what has passed, so the edge on which something happens next is any of those that run, each as likely:
the order in which nodes learn is drawn without drawing a time. It is the spreading of the papers, to compare with, and
what is behind a stem; the node's own spreading, by moments that links share, is in :mod:`.spreading`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..base.randomness import Chance


class Sighting(NamedTuple):
    """A spy has heard of a transaction."""

    spy: int
    before: int
    """The honest node that told it."""


def first_sighting(
    neighbours: Sequence[Sequence[int]], spies: Sequence[bool], start: int | Iterable[int], chance: Chance
) -> Sighting | None:
    """Spread from ``start`` until the first spy has it; ``None`` if no spy can be reached.

    Args:
        neighbours: for each node the others that it tells.
        spies: for each node whether it is one.
        start: the honest node, or nodes, that begin.
        chance: draws the order.
    """
    begun = [start] if isinstance(start, int) else list(start)
    informed = dict.fromkeys(begun)
    running = [(node, other) for node in informed for other in neighbours[node]]
    while running:
        at = chance.below(len(running))
        node, other = running[at]
        running[at] = running[-1]
        running.pop()
        if other in informed:
            continue
        if spies[other]:
            return Sighting(other, node)
        informed[other] = None
        running += [(other, further) for further in neighbours[other] if further not in informed]
    return None
