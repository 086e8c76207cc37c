"""The shape of a link that has lost its keys (transport: "Silence, sinks, deadlines").

A link whose record failed says nothing any more. But if it stopped emitting at that moment, whoever changed a byte
would see which bytes mattered and when. So what would have been emitted is emitted still, at its time and in its
amount, as random bytes.
"""

from __future__ import annotations

from ..base.instant import Instant
from .profiles import Shaper
from .sizes import carried


class Ghost:
    """What a link that has gone silent goes on emitting.

    Args:
        shaper: the link's.
        waiting: bytes of messages that waited when it went silent.
    """

    __slots__ = ("_shaper", "_waiting")

    def __init__(self, shaper: Shaper, waiting: int) -> None:
        self._shaper = shaper
        self._waiting = waiting

    def take(self, now: Instant) -> int:
        """How many random bytes to emit now."""
        self._shaper.wake(now)
        amount = self._shaper.take(self._waiting, now)
        self._waiting = max(0, self._waiting - carried(amount))
        return amount

    def hurry(self, now: Instant) -> int:
        """How many random bytes to emit now, because the connection ends: a link that ends holds nothing back."""
        if self._waiting:
            self._shaper.put(0, now, urgent=True)
        return self.take(now)

    def heard(self, now: Instant) -> None:
        """Bytes came in: as on a link that lives, whatever they are."""
        self._shaper.heard(now)

    @property
    def rate(self) -> int | None:
        """Bytes a second, where they are constant."""
        return self._shaper.rate

    def clog(self, *, clogged: bool) -> None:
        """The peer does not take what was emitted, or takes it again."""
        self._shaper.clogged = clogged

    def next_deadline(self) -> Instant | None:
        """When :meth:`take` wants to be called."""
        return self._shaper.next_deadline()
