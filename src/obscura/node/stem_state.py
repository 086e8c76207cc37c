"""What a node remembers of stems (design §6): apart from all that others may ask about.

A transaction in stem is here and nowhere else. The mempool, the tracker, what links were told, and what was refused do
not know of it: whoever announces it, asks for it, sends it or contradicts it in the open gets the answer that he would
get if it were not here.
"""

from __future__ import annotations

from ..base.instant import Duration, Instant, after
from ..base.names import ConnId
from ..base.randomness import Chance
from ..relay.dandelion import StemRouter
from ..relay.embargo import embargo_mean
from ..relay.sent import SentLog
from ..relay.stemline import StemLine
from ..relay.stempool import Stempool
from .config import NodeConfig


class Stems:
    """The stems' part of a node's transactions."""

    def __init__(self, config: NodeConfig, chance: Chance, now: Instant) -> None:
        settle = Duration(config.stem_link_age // 4)
        self.router = StemRouter(chance.fork("ways"), now, config.stem_diffusers, config.stem_epoch, settle)
        self.pool = Stempool()
        self.lines: dict[ConnId, StemLine] = {}
        """By stem peer, those of earlier epochs as well while their links stand."""
        self.log = SentLog()
        self._chance = chance.fork("embargo")
        self._mean = config.embargo_mean or embargo_mean(config.stem_hops, config.stem_hop, config.stem_early)

    def draw_embargo(self, now: Instant) -> Instant:
        """When a transaction that is taken now is told, if it has not spread until then."""
        return after(now, self._chance.exponential(self._mean))

    def check(self) -> None:
        """Walk the invariants of every part; for tests, fuzzers and simulations."""
        self.router.check()
        self.pool.check()
        for line in self.lines.values():
            line.check()
