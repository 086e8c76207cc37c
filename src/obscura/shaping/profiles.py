"""The profiles of shaping (design §5): which amounts a link emits, and when.

A shaper is told how many bytes of messages wait and whether one of them is urgent; it answers how many bytes of sealed
records the link is to emit now, and when it wants to be asked again. It sees no content, no address and no clock.

- ``off``: what waits goes at once, in records as long as they must be.
- ``pad``: what waits is gathered for a random time of at most SEND_JITTER, and goes as one burst, whose size is a rung
  of a short ladder. Full records do not wait: what is transferred in bulk shows itself anyway, and is not slowed down.
  Urgent messages (handshake, ping, pong) take with them at once what stands before them: their time protects a link
  against eviction, and a random delay of pings would only add noise to what the node knows of its peers. The bursts
  that carry the handshake get up to FIRST_PADDING bytes more: their messages have one length on every link.
- ``cover``: as ``pad``, with decoys among them (:mod:`.cover`).
- ``steady``: so many bytes in each tick, whatever waits (:mod:`.steady`).
"""

from __future__ import annotations

from typing import Protocol

from ..base.instant import Duration, Instant, after
from ..base.limits import FIRST_PADDING, SEND_JITTER
from ..base.randomness import Chance
from .cover import CoverShaper
from .options import Profile, Shaping
from .sizes import DATA_BYTES, FULL_RECORD, rung, sealed_size
from .steady import Room, SteadyShaper

_AT_ONCE = Duration(0)


class Shaper(Protocol):
    """One direction of one link. Its owner tells it what waits, and emits what it says."""

    profile: Profile
    clogged: bool
    """Set by the owner while the peer does not take what was sent: nothing that carries no message is emitted then."""

    @property
    def rate(self) -> int | None:
        """Bytes a second, where they do not depend on what waits."""
        ...

    def put(self, amount: int, now: Instant, *, urgent: bool) -> None:
        """Messages of ``amount`` bytes were added to what waits."""
        ...

    def opened(self, now: Instant) -> None:
        """The other side is no stranger any more: the whole handshake is complete."""
        ...

    def heard(self, now: Instant) -> None:
        """Bytes came in, whatever they are."""
        ...

    def wake(self, now: Instant) -> None:
        """The deadline may have come: :meth:`take` is called next."""
        ...

    def take(self, waiting: int, now: Instant) -> int:
        """How many bytes of sealed records to emit now, while ``waiting`` bytes of messages wait."""
        ...

    def next_deadline(self) -> Instant | None:
        """When :meth:`take` wants to be called although nothing was put; ``None`` for not at all."""
        ...


class OffShaper:
    """Implements :class:`Shaper`: everything at once, nothing added."""

    __slots__ = ("clogged",)
    profile = Profile.OFF
    rate = None

    def __init__(self) -> None:
        self.clogged = False

    def put(self, amount: int, now: Instant, *, urgent: bool) -> None:
        """See :class:`Shaper`."""

    def opened(self, now: Instant) -> None:
        """See :class:`Shaper`."""

    def heard(self, now: Instant) -> None:
        """See :class:`Shaper`."""

    def wake(self, now: Instant) -> None:
        """See :class:`Shaper`."""

    def take(self, waiting: int, now: Instant) -> int:
        """See :class:`Shaper`."""
        del now
        return sealed_size(waiting)

    def next_deadline(self) -> Instant | None:
        """See :class:`Shaper`."""
        return None


class PadShaper:
    """Implements :class:`Shaper`: bursts of few sizes, a little late.

    Args:
        chance: for the delays.
        firsts: how many bursts carry the handshake.
    """

    __slots__ = ("_at", "_chance", "_firsts", "clogged")
    profile = Profile.PAD
    rate = None

    def __init__(self, chance: Chance, firsts: int = 0) -> None:
        self.clogged = False
        self._chance = chance
        self._firsts = firsts
        self._at: Instant | None = None
        """When what waits is due."""

    def put(self, amount: int, now: Instant, *, urgent: bool) -> None:
        """See :class:`Shaper`."""
        del amount
        if urgent:
            self._at = now
        elif self._at is None:
            self._at = after(now, self._chance.span(_AT_ONCE, SEND_JITTER))

    def opened(self, now: Instant) -> None:
        """See :class:`Shaper`."""

    def heard(self, now: Instant) -> None:
        """See :class:`Shaper`."""

    def wake(self, now: Instant) -> None:
        """See :class:`Shaper`."""

    def take(self, waiting: int, now: Instant) -> int:
        """See :class:`Shaper`."""
        full, rest = divmod(waiting, DATA_BYTES)
        emitted = full * FULL_RECORD
        if not rest:
            self._at = None
        elif self._at is not None and now >= self._at:
            self._at = None
            emitted += rung(sealed_size(rest))
            if self._firsts:
                self._firsts -= 1
                emitted += self._chance.below(FIRST_PADDING + 1)
        return emitted

    def next_deadline(self) -> Instant | None:
        """See :class:`Shaper`."""
        return self._at


def make_shaper(
    profile: Profile, chance: Chance, shaping: Shaping | None = None, room: Room | None = None, *, dialled: bool
) -> Shaper:
    """A shaper for one side of a link. Who has dialled says ``version`` and ``verack`` apart, the other side says them
    at once.

    Args:
        profile: of the link.
        chance: the link's.
        shaping: bounds of the profiles that have any; the usual ones if ``None``.
        room: bytes a second by which constant rates may still rise, over all links; ``None`` for no bound.
        dialled: whether the link is a dial of ours.
    """
    shaping = shaping or Shaping()
    firsts = 2 if dialled else 1
    match profile:
        case Profile.OFF:
            return OffShaper()
        case Profile.PAD:
            return PadShaper(chance, firsts)
        case Profile.COVER:
            return CoverShaper(chance, shaping.cover, firsts)
        case Profile.STEADY:
            return SteadyShaper(chance, shaping.steady, room)
