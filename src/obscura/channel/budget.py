"""Small accounts that a link keeps for its peer: faults, which are forgiven slowly, and rate-limit tokens.

Neither is an average: both are exact, whatever the pattern of calls, because they are advanced only by whole units.

What a peer may have of us is bounded by tokens, and by nothing that ends an honest link: who has spent them is not read
for a while. One token is about 10 µs of this side's processor time. A link has one bucket for all that it sends, in
messages, in bytes, in records and in unasked answers; and a smaller one for each kind of messages that has a natural
rate of its own (the registry's ``budget``): nobody needs a thousand pings a second, and a link that sends them should
not wait so long with its blocks. How links share the processor while several of them want it is another matter, and
measured: :mod:`obscura.aio.fair`.
"""

from __future__ import annotations

from ..base.instant import MICROSECONDS, Duration, Instant
from ..base.limits import FAULT_BUDGET, FAULT_DECAY, TOKENS_BURST, TOKENS_PER_SECOND, TOKENS_REST


class FaultBudget:
    """Points that a peer spent by faults (design §3.5: a decaying budget; over it, the link is closed)."""

    __slots__ = ("_points", "_since")

    def __init__(self, now: Instant) -> None:
        self._points = 0
        self._since = now

    def points(self, now: Instant) -> int:
        """What is charged now, after what time has forgiven."""
        forgiven = (now - self._since) // FAULT_DECAY
        if forgiven >= self._points:
            self._points = 0
            self._since = now
        elif forgiven > 0:
            self._points -= forgiven
            self._since = Instant(self._since + forgiven * FAULT_DECAY)
        return self._points

    def charge(self, points: int, now: Instant) -> bool:
        """Add points; ``True`` says that the budget is spent and the link must be closed."""
        self._points = self.points(now) + points
        return self._points >= FAULT_BUDGET


class TokenBucket:
    """Tokens that messages cost. It may go below zero by one message; then reading waits until it holds what comes in
    TOKENS_REST, so that a link that is always too fast does not cost a pause for each of its messages.

    Args:
        now: it is full then.
        per_second: what it gains.
        burst: what it holds.
    """

    __slots__ = ("_enough", "_full", "_level", "_per_second", "_resting", "_since")

    def __init__(self, now: Instant, per_second: int = TOKENS_PER_SECOND, burst: int = TOKENS_BURST) -> None:
        # The level is kept in token-microseconds so that no fraction is ever lost.
        self._full = burst * MICROSECONDS
        self._enough = min(self._full, per_second * TOKENS_REST)
        self._per_second = per_second
        self._level = self._full
        self._since = now
        self._resting = False

    def _refill(self, now: Instant) -> None:
        self._level = min(self._full, self._level + (now - self._since) * self._per_second)
        self._since = now
        self._resting = self._resting and self._level < self._enough

    def take(self, tokens: int, now: Instant) -> None:
        """Pay for one message."""
        self._refill(now)
        self._level -= tokens * MICROSECONDS

    def wait(self, now: Instant) -> Duration:
        """How long until the peer may go on; 0 if it may."""
        self._refill(now)
        self._resting = self._resting or self._level < 0
        return Duration(-((self._level - self._enough) // self._per_second)) if self._resting else Duration(0)
