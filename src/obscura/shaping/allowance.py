"""How many bytes of decoys a link may send: so many a second, and besides a share of what it sends."""

from __future__ import annotations

from typing import Final

from ..base.instant import MICROSECONDS, Instant
from ..base.limits import COVER_BURST
from .options import CoverOptions

_PERCENT: Final = 100


class Allowance:
    """Bytes of decoys that are still allowed, in millionths, so that nothing is lost to rounding.

    At any time the decoys sent are at most COVER_BURST + rate x time + share / (100 - share) x real bytes sent.

    Args:
        options: rate and share.
        now: when it begins; COVER_BURST is allowed at once.
    """

    __slots__ = ("_credit", "_options", "_since")

    def __init__(self, options: CoverOptions, now: Instant) -> None:
        self._options = options
        self._since = now
        self._credit = COVER_BURST * MICROSECONDS

    def earn(self, real: int) -> None:
        """Bytes were sent that carry messages, with their padding."""
        share = self._options.share
        self._add(real * MICROSECONDS * share // (_PERCENT - share))

    def spend(self, decoys: int, now: Instant) -> bool:
        """Whether ``decoys`` bytes may be sent now; they count as sent then."""
        if now > self._since:
            self._add((now - self._since) * self._options.rate)
            self._since = now
        if decoys * MICROSECONDS > self._credit:
            return False
        self._credit -= decoys * MICROSECONDS
        return True

    def _add(self, credit: int) -> None:
        self._credit = min(COVER_BURST * MICROSECONDS, self._credit + credit)
