"""The machines of ``cover``, drawn anew for each link: two links of one node have no common rhythm.

What transactions make of a link is small bursts in two moods, lone ones and some in a row, and bursts that are
answered: an ``inv`` by a ``getdata``, that by a ``tx``. The machines make the same of nothing:

- *beat* sends lone decoys at exponential gaps, and now and then some in a row;
- *answers* replies to what comes in, whatever it is, as if it had been asked something;
- *hold* keeps real traffic back for a drawn time, in which it goes along with a decoy if one is due.

How often they do so follows from the bytes a second that the operator allows.
"""

from __future__ import annotations

from ..base.instant import MICROSECONDS
from ..base.limits import COVER_ANSWER_LATEST, COVER_GAP_MOST
from ..base.randomness import Chance
from .distributions import Exponential, Geometric, Mix, Uniform
from .machine import Act, Machine, State, Trigger
from .options import CoverOptions
from .sizes import LADDER

_USE = 0.5
"""The share of the allowed bytes that the beat aims at, on average: answers and luck have the rest."""
_HASTE = 10
"""Decoys in a row follow each other so many times faster than lone ones."""


def draw_machines(options: CoverOptions, chance: Chance) -> tuple[Machine, ...]:
    """The machines of one side of one link; the first is that of answers."""
    # The weights are of the order in which sizes occur among what transactions make of a padded link.
    sizes = Mix(
        LADDER[:4], tuple(low + chance.below(high - low) for low, high in ((35, 55), (20, 35), (12, 25), (8, 20)))
    )
    machines = [_answers(Mix(LADDER[:3], sizes.weights[:3]), chance)]
    if options.rate:
        machines.append(_beat(options.rate, sizes, chance))
    if options.delay:
        machines.append(_hold(options))
    return tuple(machines)


def _beat(rate: int, sizes: Mix, chance: Chance) -> Machine:
    in_a_row = 4 + 3 * chance.uniform()
    excited = 0.1 + 0.2 * chance.uniform()
    # One lone decoy and what follows it: so many decoys, in so many of the lone one's mean gaps.
    decoys = 1 + excited * in_a_row
    gaps = 1 + excited * in_a_row / _HASTE
    per_second = _USE * rate * (0.8 + 0.4 * chance.uniform()) / sizes.mean
    gap = max(1, min(COVER_GAP_MOST // 2, round(decoys / gaps / per_second * MICROSECONDS)))
    calm = State(
        act=Act.DECOY,
        wait=Exponential(gap, COVER_GAP_MOST),
        size=sizes,
        moves={Trigger.ACTED: ((excited, 1), (1 - excited, 0)), Trigger.REFUSED: ((1.0, 0),)},
    )
    busy = State(
        act=Act.DECOY,
        wait=Exponential(max(1, gap // _HASTE), COVER_GAP_MOST),
        size=sizes,
        actions=Geometric(in_a_row),
        moves={Trigger.ACTED: ((1.0, 1),), Trigger.SPENT: ((1.0, 0),), Trigger.REFUSED: ((1.0, 0),)},
    )
    return Machine(calm, busy)


def _answers(sizes: Mix, chance: Chance) -> Machine:
    likely = 0.3 + 0.3 * chance.uniform()
    waiting = State(moves={Trigger.HEARD: ((likely, 1),)})
    answering = State(
        act=Act.DECOY,
        wait=Uniform(0, COVER_ANSWER_LATEST),
        size=sizes,
        moves={Trigger.ACTED: ((1.0, 0),), Trigger.REFUSED: ((1.0, 0),)},
    )
    return Machine(waiting, answering)


def _hold(options: CoverOptions) -> Machine:
    free = State(moves={Trigger.QUEUED: ((1.0, 1),)})
    holding = State(
        act=Act.HOLD,
        size=Uniform(0, options.delay),
        moves={Trigger.ACTED: ((1.0, 0),), Trigger.QUEUED: ((1.0, 1),)},
    )
    return Machine(free, holding)
