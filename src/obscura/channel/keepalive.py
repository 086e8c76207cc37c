"""Is the peer still there? A ping every two minutes, an answer within twenty (limits: PING_INTERVAL, PING_TIMEOUT).
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

    __slots__ = ("_chance", "_due", "_nonce", "_sent", "lowest", "quiet", "round_trip")

    def __init__(self, now: Instant, chance: Chance, *, quiet: bool = False) -> None:
        self._chance = chance
        self.quiet = quiet
        # The first ping goes out at once: its round trip is wanted early.
        self._due = None if quiet else now
        self._sent: Instant | None = None
        self._nonce = 0
        self.round_trip: Duration | None = None
        self.lowest: Duration | None = None
        """The shortest round trip of all."""

    def next_deadline(self) -> Instant | None:
        """When a ping is due, or when the one under way has failed."""
        return self._due if self._sent is None else after(self._sent, PING_TIMEOUT)

    def timed_out(self, now: Instant) -> bool:
        """The ping under way was not answered in time."""
        return self._sent is not None and now >= after(self._sent, PING_TIMEOUT)

    def ping_due(self, now: Instant) -> bool:
        """A ping is to be sent now; say so by :meth:`sent`."""
        return self._sent is None and self._due is not None and now >= self._due

    def sent(self, nonce: int, now: Instant) -> None:
        """A ping with this nonce is on its way."""
        self._nonce = nonce
        self._sent = now

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
