"""The profile ``cover``: bursts as those of ``pad``, and among them decoys of the same sizes (design §5).

Machines say when a decoy is due and how long real traffic is held (:mod:`.machines`); this shaper keeps them within the
operator's bounds. Decoys beyond the link's :class:`.allowance.Allowance` are not sent, and nothing is held longer than
the bound for delays. What waits goes along with a decoy that is due: the burst is then no larger than the larger of
both, and stands where a decoy would have stood anyway. Urgent messages and full records go at once, as with ``pad``.
"""

from __future__ import annotations

from ..base.instant import Duration, Instant, after, earliest
from ..base.limits import FIRST_PADDING
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
    __slots__ = ("_allowance", "_chance", "_firsts", "_held", "_machines", "_options", "_since", "_urgent", "clogged")

    def __init__(self, chance: Chance, options: CoverOptions, firsts: int = 0) -> None:
        machines = draw_machines(options, chance.fork("machines"))
        self._machines = tuple(Running(one, chance.fork(f"machine {at}")) for at, one in enumerate(machines))
        self._options = options
        self._chance = chance
        self._firsts = firsts
        self._allowance: Allowance | None = None
        """There is one once the link has keys."""
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

    def heard(self, data: int, decoys: int, now: Instant) -> None:
        """See :class:`Shaper`."""
        if data:
            self._tell(Trigger.HEARD, now)
        elif decoys:
            self._tell(Trigger.DECOY_HEARD, now)

    def take(self, waiting: int, now: Instant) -> int:
        """See :class:`Shaper`."""
        if self._allowance is None:
            self._allowance = Allowance(self._options, now)
            for machine in self._machines:
                machine.begin(now)
            if waiting and self._since is not None:
                self._tell(Trigger.QUEUED, now)
        emitted, rest = self._act(waiting, now, self._allowance)
        due = self._due()
        full, rest = divmod(rest, DATA_BYTES)
        real = full * FULL_RECORD
        if rest and due is not None and now >= due:
            real += self._burst(rest)
            rest = 0
        if real:
            self._sent(real, now, self._allowance, left=rest)
        elif not rest:
            self._since = self._held = None
            self._urgent = False
        return emitted + real

    def next_deadline(self) -> Instant | None:
        """See :class:`Shaper`."""
        return earliest(self._due(), *(machine.due for machine in self._machines))

    def _act(self, waiting: int, now: Instant, allowance: Allowance) -> tuple[int, int]:
        """Have machines act whose time has come: what decoys emit, and what still waits."""
        emitted = 0
        for machine in self._machines:
            if machine.due is None or now < machine.due:
                continue
            act, size = machine.act(now)
            if act is Act.HOLD:
                self._held = after(now, Duration(size))
                machine.on(Trigger.ACTED, now)
                continue
            # What waits goes along. Whole records of it go anyway, and are none of the decoy's.
            rest = waiting % DATA_BYTES
            needed = rung(sealed_size(rest)) if rest else 0
            if self.clogged or not allowance.spend(max(0, size - needed), now):
                machine.on(Trigger.REFUSED, now)
                continue
            if rest:
                emitted += max(size, self._burst(rest))
                waiting -= rest
                self._sent(needed, now, allowance, left=waiting)
            else:
                emitted += size
            machine.on(Trigger.ACTED, now)
        return emitted, waiting

    def _burst(self, rest: int) -> int:
        """Bytes of the burst that carries ``rest`` bytes."""
        size = rung(sealed_size(rest))
        if self._firsts:
            self._firsts -= 1
            size += self._chance.below(FIRST_PADDING + 1)
        return size

    def _sent(self, real: int, now: Instant, allowance: Allowance, *, left: int) -> None:
        allowance.earn(real)
        if not left:
            self._since = self._held = None
            self._urgent = False
        self._tell(Trigger.SENT, now)

    def _due(self) -> Instant | None:
        """When what waits goes, if no decoy takes it along."""
        if self._since is None:
            return None
        if self._urgent or self._held is None:
            return self._since
        # The bound holds for the oldest that waits, whatever the machines say.
        return min(self._held, after(self._since, self._options.delay))

    def _tell(self, trigger: Trigger, now: Instant) -> None:
        if self._allowance is not None:
            for machine in self._machines:
                machine.on(trigger, now)
