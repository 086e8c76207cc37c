"""Which way stems take through this node, for one epoch (Dandelion++: Fanti et al. 2018; BIP156).

Rules, each with its reason:

* *Roles last for an epoch.* With a small probability a node is a diffuser and spreads whatever comes by stem; otherwise
  it passes all of it on. A coin for each transaction would give a node away after ten of them.
* *Two stem peers* among the links that we have opened, encrypted, to different network groups, and tried (that
  have lasted for a while). Security: never chosen by what they say of themselves, or those that say the most get
  all; so one may be chosen that takes no stems, and what is routed to it spreads here.
* *One-to-one*: all that comes on one link takes one way. Where ways are drawn the least used one is taken, ties by
  chance.
* *Our operator's way* is drawn on its own and counts for nobody's balance: how others' ways are drawn must not tell
  which one it is. It is a stem in every epoch, a diffuser's as well.
* *Who leaves is replaced* by another one, which takes over all ways of its.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..base.instant import Duration, Instant, after
from ..base.limits import STEM_EPOCH, STEM_EPOCH_JITTER, STEM_PEERS
from ..base.names import ConnId
from ..base.randomness import Chance

OWN_EDGE: Final = ConnId(0)
"""Where our operator's transactions come from, and those of an earlier run; no link has this name."""
_SCALE: Final = 1_000_000
_AT_ONCE: Final = Duration(0)


@dataclass(frozen=True, slots=True)
class _Candidate:
    group: bytes
    takes: bool


class StemRouter:
    """See the head of this file.

    Args:
        chance: draws roles, peers and ways.
        now: when the first epoch begins.
        diffusers: the share of epochs in which the node is a diffuser, from 0 to 1.
        epoch: length of an epoch, to which up to STEM_EPOCH_JITTER is added.
        settle: how long the first link that may be chosen waits for others: who is there first must not be chosen for
            that. Then :meth:`turn` chooses.
    """

    def __init__(
        self,
        chance: Chance,
        now: Instant,
        diffusers: float,
        epoch: Duration = STEM_EPOCH,
        settle: Duration = _AT_ONCE,
    ) -> None:
        self._chance = chance
        self._diffusers_of_scale = round(diffusers * _SCALE)
        self._epoch = epoch
        self._candidates: dict[ConnId, _Candidate] = {}
        self._peers: list[ConnId] = []
        self._routes: dict[ConnId, ConnId] = {}
        self._used: dict[ConnId, int] = {}
        """How many ways lead to each stem peer."""
        self._own: ConnId | None = None
        self._settle = settle
        self._settled_at: Instant | None = None if settle else now
        """From when on there is a choice."""
        self.diffuses = False
        """In this epoch what comes by stem from others is spread."""
        self.ends_at = now
        self._begin(now)

    @property
    def peers(self) -> tuple[ConnId, ...]:
        """The stem peers of this epoch."""
        return tuple(self._peers)

    def join(self, conn: ConnId, group: bytes, now: Instant, *, takes: bool) -> None:
        """A link that may be chosen. ``takes``: the other side understands stems; it does not make it more likely."""
        self._candidates[conn] = _Candidate(group, takes)
        if self._settled_at is None:
            self._settled_at = after(now, self._settle)
        if now >= self._settled_at:
            self._fill()

    def leave(self, conn: ConnId) -> None:
        """A link has ended, whichever way it was used."""
        self._routes.pop(conn, None)
        if self._candidates.pop(conn, None) is None or conn not in self._peers:
            return
        self._peers.remove(conn)
        used = self._used.pop(conn)
        stayed = len(self._peers)
        self._fill()
        heir = next(iter(self._peers[stayed:]), None)
        if heir is None:
            # Nobody new: what went there is drawn anew when it is needed.
            self._routes = {edge: peer for edge, peer in self._routes.items() if peer != conn}
            if self._own == conn:
                self._own = None
            return
        self._used[heir] = used
        self._routes = {edge: heir if peer == conn else peer for edge, peer in self._routes.items()}
        if self._own == conn:
            self._own = heir

    def settles_at(self) -> Instant | None:
        """When :meth:`turn` chooses the first stem peers, if that is to come."""
        return self._settled_at if self._candidates and not self._peers else None

    def turn(self, now: Instant) -> bool:
        """Come to ``now``: begin the epoch that it is by then. ``True`` if that is another one. To be called before a
        way is asked for; epochs begin when they should, however long nobody has asked."""
        begun = False
        while now >= self.ends_at:
            begun = True
            self._begin(self.ends_at)
        if self._settled_at is not None and now >= self._settled_at and len(self._peers) < STEM_PEERS:
            self._fill()
        return begun

    def route(self, edge: ConnId) -> ConnId | None:
        """To whom what came on a link goes; ``None`` if it is to be spread here."""
        if self.diffuses or not self._peers:
            return None
        peer = self._routes.get(edge)
        if peer is None:
            fewest = min(self._used[one] for one in self._peers)
            peer = self._chance.choice([one for one in self._peers if self._used[one] == fewest])
            self._routes[edge] = peer
            self._used[peer] += 1
        return peer if self._candidates[peer].takes else None

    def own_route(self) -> ConnId | None:
        """To whom our operator's transactions go; ``None`` while there is nobody."""
        if self._own is None and self._peers:
            self._own = self._chance.choice(self._peers)
        if self._own is None or self._candidates[self._own].takes:
            return self._own
        return self.other_than(self._own)

    def other_than(self, *tried: ConnId) -> ConnId | None:
        """A stem peer beside those, for what did not come through."""
        return next((one for one in self._peers if one not in tried and self._candidates[one].takes), None)

    def check(self) -> None:
        """Walk the invariants; for tests, fuzzers and simulations."""
        assert len(self._peers) <= STEM_PEERS, "stem peers are few"
        groups = [self._candidates[peer].group for peer in self._peers]
        assert len(dict.fromkeys(groups)) == len(groups), "stem peers are in different network groups"
        assert list(self._used) == self._peers, "ways are counted for stem peers alone"
        assert all(peer in self._used for peer in self._routes.values()), "ways lead to stem peers"
        assert self._own is None or self._own in self._peers, "and so does our operator's"
        routed = list(self._routes.values())
        assert all(routed.count(peer) <= used for peer, used in self._used.items()), "no way is uncounted"

    # -- within

    def _begin(self, now: Instant) -> None:
        self.diffuses = self._chance.below(_SCALE) < self._diffusers_of_scale
        self.ends_at = after(now, Duration(self._epoch + self._chance.below(STEM_EPOCH_JITTER + 1)))
        self._peers.clear()
        self._used.clear()
        self._routes.clear()
        self._own = None
        if self._settled_at is not None and now >= self._settled_at:
            self._fill()

    def _fill(self) -> None:
        """Choose stem peers for what is free."""
        if len(self._peers) >= STEM_PEERS or len(self._candidates) <= len(self._peers):
            return
        groups = [self._candidates[peer].group for peer in self._peers]
        for conn in self._chance.sample(list(self._candidates), len(self._candidates)):
            group = self._candidates[conn].group
            if group not in groups:
                groups.append(group)
                self._peers.append(conn)
                self._used[conn] = 0
                if len(self._peers) == STEM_PEERS:
                    return
