"""Sieges, counted: how often a node is surrounded, with all defences and without each, and what floods cost it.

The worlds are :mod:`obscura.sim.eclipse` and :mod:`obscura.sim.flood`; here they are run many times, each with a seed
of its own. Variants get the same seeds, so that they differ by their defences alone (until the attack has changed what
happens).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar

from ..base.randomness import Chance
from ..peers.book import AddressBook
from ..peers.defences import ALL, NAMES, Defences
from ..peers.groups import Grouping
from ..sim.crowd import attacker_address
from ..sim.eclipse import (
    DiversityOptions,
    DiversityOutcome,
    LiveOptions,
    LiveOutcome,
    RestartOptions,
    RestartOutcome,
    diversity,
    live,
    restart,
    without,
)
from ..sim.flood import FloodOptions, FloodOutcome, flood
from .findings import Finding, exactly
from .statistics import estimate

ROW: Final = 17
"""Of the table of results to reproduce."""
BUCKETS: Final = 256
PER_GROUP: Final = 8
TOLERANCE: Final = 0.03
_MEMBERS: Final = 128
"""Addresses of each attacker group: that some bucket of the eight is missed has a chance of 3 in ten million."""

Options = TypeVar("Options", RestartOptions, LiveOptions, FloodOptions, DiversityOptions)


def covered(groups: int) -> float:
    """The expected share of the tried table's buckets that ``groups`` network groups reach (Heilman et al. 2015)."""
    return 1 - (1 - 1 / BUCKETS) ** (PER_GROUP * groups)


def coverage(groups: int, chance: Chance) -> float:
    """The share of the tried table's buckets that an attacker in ``groups`` network groups reaches in one book."""
    book = AddressBook((), chance, key=chance.fork("key").take_bytes(32), grouping=Grouping(), defences=ALL)
    first = chance.below(1_000)
    reached = {
        book.tried_bucket(attacker_address(first + group, member)): None
        for group in range(groups)
        for member in range(_MEMBERS)
    }
    return len(reached) / BUCKETS


def coverage_finding(groups: int, shares: Sequence[float]) -> Finding:
    """Beside what the formula says."""
    return exactly(
        ROW, "tried table", "buckets reached", float(groups), estimate(shares), round(covered(groups), 3), TOLERANCE
    )


def restarted(options: RestartOptions, chance: Chance) -> RestartOutcome:
    """One attack at a restart."""
    return restart(options, chance.u64() >> 1)


def lived(options: LiveOptions, chance: Chance) -> LiveOutcome:
    """One attack without."""
    return live(options, chance.u64() >> 1)


def flooded(options: FloodOptions, chance: Chance) -> FloodOutcome:
    """One flood."""
    return flood(options, chance.u64() >> 1)


def mixed(options: DiversityOptions, chance: Chance) -> DiversityOutcome:
    """One network with an attacker in a few groups."""
    return diversity(options, chance.u64() >> 1)


def variants(options: Options, names: Sequence[str] = NAMES) -> dict[str, Options]:
    """The same with all of its defences, without each of ``names``, and without any at all, by what to call them."""
    found = {"all defences" if options.defences == ALL else "as given": options}
    for name in names:
        if getattr(options.defences, name):
            label = f"without {name}" if options.defences == ALL else f"without {name} as well"
            found[label] = replace(options, defences=replace(options.defences, **{name: False}))
    none: Defences = without(NAMES)
    found["none at all"] = replace(options, defences=none)
    return found
