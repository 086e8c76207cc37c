"""Two small accounts that a link keeps for its peer: faults, which are forgiven slowly, and rate-limit tokens.

Neither is an average: both are exact, whatever the pattern of calls, because they are advanced only by whole units.
"""

from __future__ import annotations

from ..base.instant import MICROSECONDS, Duration, Instant
from ..base.limits import FAULT_BUDGET, FAULT_DECAY, TOKENS_BURST, TOKENS_PER_SECOND


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
    """Tokens that messages cost. It may go below zero by one message; then reading waits until it is filled again."""

    __slots__ = ("_level", "_since")

    # The level is kept in token-microseconds so that no fraction is ever lost.
    _FULL = TOKENS_BURST * MICROSECONDS

    def __init__(self, now: Instant) -> None:
        self._level = self._FULL
        self._since = now

    def _refill(self, now: Instant) -> None:
        self._level = min(self._FULL, self._level + (now - self._since) * TOKENS_PER_SECOND)
        self._since = now

    def take(self, tokens: int, now: Instant) -> None:
        """Pay for one message."""
        self._refill(now)
        self._level -= tokens * MICROSECONDS

    def wait(self, now: Instant) -> Duration:
        """How long until the level is not negative; 0 if it is not."""
        self._refill(now)
        return Duration(0) if self._level >= 0 else Duration(-(self._level // TOKENS_PER_SECOND))
