"""Is the peer still there? A ping every two minutes, an answer within twenty (limits: PING_INTERVAL, PING_TIMEOUT); or
a block that we asked for, as who sends many on a slow line answers when he is done.
On a quiet link nobody is asked but by the link's owner.

Privacy: the moments of pings are drawn, or both sides of a link would ping at once for ever, every two minutes since it
opened, and show how old it is and what it runs. A ping that is due is not delayed: its round trip is one of the
qualities that protect a link from eviction.
"""

from __future__ import annotations

from ..base.instant import Duration, Instant, after
from ..base.limits import PING_INTERVAL, PING_SPREAD, PING_TIMEOUT
from ..base.randomness import Chance


class Keepalive:
    """At most one ping is under way. Starts when the link opens.

    Args:
        now: when it opens.
        chance: draws when pings are due.
        quiet: nobody is asked.
    """

    __slots__ = ("_chance", "_due", "_nonce", "_rested", "_rests", "_sent", "lowest", "quiet", "round_trip")

    def __init__(self, now: Instant, chance: Chance, *, quiet: bool = False) -> None:
        self._chance = chance
        self.quiet = quiet
        # The first ping goes out at once: its round trip is wanted early.
        self._due = None if quiet else now
        self._sent: Instant | None = None
        self._rests: Instant | None = None
        """Since when answers are not looked at."""
        self._rested = Duration(0)
        """For how long they were not, since the ping under way."""
        self._nonce = 0
        self.round_trip: Duration | None = None
        self.lowest: Duration | None = None
        """The shortest round trip of all."""

    def next_deadline(self, heard: Instant) -> Instant | None:
        """When a ping is due, or when the one under way has failed; ``heard``: when the last sign of life came."""
        return self._due if self._sent is None else self._limit(heard)

    def _limit(self, heard: Instant) -> Instant | None:
        """When the ping under way has failed; never while its answer would not be looked at."""
        if self._sent is None or self._rests is not None:
            return None
        return after(max(self._sent, heard), Duration(PING_TIMEOUT + self._rested))

    def rest(self, now: Instant, *, resting: bool) -> None:
        """What comes is not looked at from now on, or is again: that time is not the peer's."""
        if resting == (self._rests is not None):
            return
        if self._rests is not None:
            self._rested = Duration(self._rested + now - max(self._rests, self._sent or now))
        self._rests = now if resting else None

    def timed_out(self, now: Instant, heard: Instant) -> bool:
        """The ping under way was not answered in time, nor was there another sign of life."""
        limit = self._limit(heard)
        return limit is not None and now >= limit

    def ping_due(self, now: Instant) -> bool:
        """A ping is to be sent now; say so by :meth:`sent`."""
        return self._sent is None and self._due is not None and now >= self._due

    def sent(self, nonce: int, now: Instant) -> None:
        """A ping with this nonce is on its way."""
        self._nonce = nonce
        self._sent = now
        self._rested = Duration(0)

    def pong(self, nonce: int, now: Instant) -> bool:
        """An answer came: ``False`` for one with a nonce that is not under way, which is an old answer, or a guess."""
        if self._sent is None or nonce != self._nonce:
            return False
        self.round_trip = Duration(now - self._sent)
        self.lowest = self.round_trip if self.lowest is None else min(self.lowest, self.round_trip)
        if not self.quiet:
            early = Duration(PING_INTERVAL - PING_SPREAD)
            self._due = after(self._sent, self._chance.span(early, Duration(PING_INTERVAL + PING_SPREAD)))
        self._sent = None
        return True
