"""Machines that decide when decoys are sent and when real traffic is held (design §5).

A machine has states. To enter one draws a time after which the state's action happens: a decoy of a drawn size, or a
hold of a drawn length. Events (of the link, and of the machine's own actions) move it on, each to one of some states
with some probability; a move to the state in which it is draws a new time. A state may end by itself after a drawn
number of actions. That is the model of Maybenot (Pulls and Witwer, "Maybenot: A Framework for Traffic Analysis
Defenses", WPES 2023), with what a link of ours needs; the limits over all machines stand in :mod:`.cover`.

Machines see neither contents nor sizes of real traffic, and none sees another's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from ..base.errors import BugError
from ..base.instant import Duration, Instant, after
from ..base.randomness import Chance
from .distributions import Distribution, Uniform

_NOTHING: Final = Uniform(0, 0)


class Trigger(Enum):
    """What moves a machine."""

    BEGUN = "begun"
    """The link is open."""
    QUEUED = "queued"
    """Real traffic begins to wait."""
    SENT = "sent"
    """Real traffic was emitted."""
    HEARD = "heard"
    """Bytes came in. Security: not of which kind. A link that has lost its keys goes on in the same way, and cannot
    know."""
    ACTED = "acted"
    """The machine's own action has happened."""
    REFUSED = "refused"
    """The machine's own decoy was over the link's budget, and was not sent."""
    SPENT = "spent"
    """The state has acted as often as it was to."""


class Act(Enum):
    """What a state does."""

    REST = "rest"
    DECOY = "decoy"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One state of a machine."""

    act: Act = Act.REST
    wait: Distribution = _NOTHING
    """Microseconds from entering the state to its action."""
    size: Distribution = _NOTHING
    """Of a decoy its bytes on the wire; of a hold its microseconds."""
    actions: Distribution | None = None
    """How often the state acts until :attr:`Trigger.SPENT`; ``None`` for as long as it lasts."""
    moves: Mapping[Trigger, tuple[tuple[float, int], ...]] = field(default_factory=dict)
    """For an event, probabilities and numbers of states; with what they lack to 1 the machine stays as it is, and the
    time of its action too."""


class Machine:
    """States, of which the first is where it begins.

    Raises:
        BugError: a move leads nowhere, or its probabilities are none.
    """

    __slots__ = ("states",)

    def __init__(self, *states: State) -> None:
        for state in states:
            for moves in state.moves.values():
                known = all(0 <= target < len(states) and chance >= 0 for chance, target in moves)
                if not known or sum(chance for chance, _ in moves) > 1.000_001:
                    raise BugError("a machine moves to states that it has, with probabilities that sum up to 1 at most")
        self.states = states


class Action(NamedTuple):
    """What a machine wants done now."""

    act: Act
    size: int
    """Bytes of a decoy, microseconds of a hold."""


class Running:
    """A machine on one link.

    Args:
        machine: which one.
        chance: draws its times, sizes and moves.
    """

    __slots__ = ("_chance", "_left", "_machine", "_state", "due")

    def __init__(self, machine: Machine, chance: Chance) -> None:
        self._machine = machine
        self._chance = chance
        self._state = 0
        self._left: int | None = None
        """Actions until the state is spent."""
        self.due: Instant | None = None
        """When :meth:`act` is to be called; ``None`` while the state rests."""

    @property
    def acts(self) -> Act:
        """What the state does when it is due."""
        return self._machine.states[self._state].act

    def begin(self, now: Instant) -> None:
        """The link is open: the first state is entered."""
        self._enter(0, now)
        self.on(Trigger.BEGUN, now)

    def act(self, now: Instant) -> Action:
        """The action that is due. Say by :meth:`on` what came of it.

        Raises:
            BugError: none is due.
        """
        if self.due is None or now < self.due:
            raise BugError("a machine is asked for an action before its time")
        state = self._machine.states[self._state]
        self.due = None
        return Action(state.act, state.size.draw(self._chance))

    def on(self, trigger: Trigger, now: Instant) -> None:
        """Something happened."""
        if trigger in (Trigger.ACTED, Trigger.REFUSED) and self._left is not None:
            # A decoy that was refused counts: a link over its budget must not spend its time in asking.
            self._left -= 1
            if self._left <= 0:
                trigger = Trigger.SPENT
        moves = self._machine.states[self._state].moves.get(trigger)
        if not moves:
            return
        drawn = self._chance.uniform()
        for chance, target in moves:
            drawn -= chance
            if drawn < 0:
                self._enter(target, now)
                return

    def _enter(self, number: int, now: Instant) -> None:
        state = self._machine.states[number]
        if number != self._state or self._left is None or self._left <= 0:
            self._left = None if state.actions is None else state.actions.draw(self._chance)
        self._state = number
        self.due = None if state.act is Act.REST else after(now, Duration(state.wait.draw(self._chance)))
