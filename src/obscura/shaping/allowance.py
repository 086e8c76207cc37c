"""How many bytes of decoys a link may send: so many a second, and besides a share of what it sends."""

from __future__ import annotations

from typing import Final

from ..base.instant import MICROSECONDS, Instant
from ..base.limits import COVER_BURST
from .options import CoverOptions

_PERCENT: Final = 100


class Allowance:
    """Bytes of decoys that are still allowed, in millionths, so that nothing is lost to rounding.

    At any time the decoys sent are at most ``part`` percent of COVER_BURST + rate x time + share / (100 - share) x
    real bytes sent.

    Args:
        options: rate and share.
        now: when it begins; what COVER_BURST gives is allowed at once.
        part: percent of all that is allowed on the link.
    """

    __slots__ = ("_credit", "_most", "_options", "_part", "_since")

    def __init__(self, options: CoverOptions, now: Instant, part: int = 100) -> None:
        self._options = options
        self._part = part
        self._since = now
        self._credit = self._most = COVER_BURST * MICROSECONDS * part // _PERCENT

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
        self._credit = min(self._most, self._credit + credit * self._part // _PERCENT)
