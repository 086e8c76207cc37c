"""The profile ``cover``: bursts as those of ``pad``, and among them decoys of the same sizes (design §5).

Machines say when a decoy is due and how long real traffic is held (:mod:`.machines`); this shaper keeps them within the
operator's bounds. Decoys beyond their :class:`.allowance.Allowance` are not sent: one is for answers, as the other side
decides when there is something to answer, and one for all else. Nothing is held longer than the bound for delays. What
waits goes along with a decoy that is due: the burst is then no larger than the larger of both, and stands where a decoy
would have stood anyway. Urgent messages and full records go at once, as with ``pad``.
"""

from __future__ import annotations

from ..base.instant import Duration, Instant, after, earliest
from ..base.limits import COVER_ANSWERS, FIRST_PADDING
from ..base.randomness import Chance
from .allowance import Allowance
from .machine import Act, Running, Trigger
from .machines import draw_machines
from .options import CoverOptions, Profile
from .sizes import DATA_BYTES, FULL_RECORD, rung, sealed_size


class CoverShaper:
    """Implements :class:`~obscura.shaping.profiles.Shaper`.

    Args:
        chance: draws the machines, and runs them.
        options: the operator's bounds.
        firsts: how many bursts carry the handshake.
    """

    profile = Profile.COVER
    rate = None
    __slots__ = ("_allowances", "_chance", "_firsts", "_held", "_machines", "_options", "_since", "_urgent", "clogged")

    def __init__(self, chance: Chance, options: CoverOptions, firsts: int = 0) -> None:
        machines = draw_machines(options, chance.fork("machines"))
        self._machines = tuple(Running(one, chance.fork(f"machine {at}")) for at, one in enumerate(machines))
        self._options = options
        self._chance = chance
        self._firsts = firsts
        self._allowances: tuple[Allowance, ...] = ()
        """Of each machine, once the link is open."""
        self._since: Instant | None = None
        """When the oldest of what waits came."""
        self._held: Instant | None = None
        """Until when it is held."""
        self._urgent = False
        self.clogged = False

    def put(self, amount: int, now: Instant, *, urgent: bool) -> None:
        """See :class:`Shaper`."""
        del amount
        self._urgent |= urgent
        if self._since is None:
            self._since = now
            self._tell(Trigger.QUEUED, now)

    def opened(self, now: Instant) -> None:
        """See :class:`Shaper`. Machines begin now: strangers are sent no decoys."""
        answers = Allowance(self._options, now, COVER_ANSWERS)
        rest = Allowance(self._options, now, 100 - COVER_ANSWERS)
        self._allowances = (answers, *(rest for _ in self._machines[1:]))
        for machine in self._machines:
            machine.begin(now)

    def heard(self, now: Instant) -> None:
        """See :class:`Shaper`."""
        self._tell(Trigger.HEARD, now)

    def wake(self, now: Instant) -> None:
        """See :class:`Shaper`."""

    def take(self, waiting: int, now: Instant) -> int:
        """See :class:`Shaper`."""
        emitted, rest = self._act(waiting, now)
        due = self._due()
        full, rest = divmod(rest, DATA_BYTES)
        real = full * FULL_RECORD
        if rest and due is not None and now >= due:
            real += self._burst(rest)
            rest = 0
        if real:
            self._sent(real, now, left=rest)
        elif not rest:
            self._settled()
        return emitted + real

    def next_deadline(self) -> Instant | None:
        """See :class:`Shaper`."""
        return earliest(self._due(), *(machine.due for machine in self._machines))

    def _act(self, waiting: int, now: Instant) -> tuple[int, int]:
        """Have machines act whose time has come: what decoys emit, and what still waits. At most one decoy is sent: two
        at once would be a burst of a size that nothing else has."""
        emitted = 0
        for at, machine in enumerate(self._machines):
            if machine.due is None or now < machine.due:
                continue
            if emitted and machine.acts is Act.DECOY:
                # Its turn is the next one, which is now.
                continue
            act, size = machine.act(now)
            if act is Act.HOLD:
                self._held = after(now, Duration(size))
                machine.on(Trigger.ACTED, now)
                continue
            # What waits goes along. Whole records of it go anyway, and are none of the decoy's.
            rest = waiting % DATA_BYTES
            needed = rung(sealed_size(rest)) if rest else 0
            if self.clogged or not self._allowances[at].spend(max(0, size - needed), now):
                machine.on(Trigger.REFUSED, now)
                continue
            emitted = max(size, self._burst(rest)) if rest else size
            if rest:
                waiting -= rest
                self._sent(needed, now, left=waiting)
            machine.on(Trigger.ACTED, now)
        return emitted, waiting

    def _burst(self, rest: int) -> int:
        """Bytes of the burst that carries ``rest`` bytes."""
        size = rung(sealed_size(rest))
        if self._firsts:
            self._firsts -= 1
            size += self._chance.below(FIRST_PADDING + 1)
        return size

    def _sent(self, real: int, now: Instant, *, left: int) -> None:
        for allowance in dict.fromkeys(self._allowances):
            allowance.earn(real)
        if not left:
            self._settled()
        self._tell(Trigger.SENT, now)

    def _settled(self) -> None:
        self._since = self._held = None
        self._urgent = False

    def _due(self) -> Instant | None:
        """When what waits goes, if no decoy takes it along."""
        if self._since is None:
            return None
        if self._urgent or self._held is None:
            return self._since
        # The bound holds for the oldest that waits, whatever the machines say.
        return min(self._held, after(self._since, self._options.delay))

    def _tell(self, trigger: Trigger, now: Instant) -> None:
        if self._allowances:
            for machine in self._machines:
                machine.on(trigger, now)
