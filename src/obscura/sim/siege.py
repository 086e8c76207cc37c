"""A world around one real node: honest strangers, one attacker, a chain that grows, and who is linked with whom.

The node is the victim. Everything else is light (:mod:`.crowd`, :mod:`.botnet`), so that hours with hundreds of links
take seconds. The world is calm: lines lose nothing and honest hosts have no faults, so that what happens is the
attack's doing. Who is honest is known here by address alone; the node is looked at from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ..base.instant import MICROSECONDS, Duration, Instant, WallTime, minutes, seconds
from ..base.names import ConnId
from ..base.randomness import Chance
from ..node import NodeConfig
from ..node.effects import Event, LinkClosed, LinkOpened, TipMoved
from ..node.vault import Vault
from ..peers.record import AddressRecord
from ..wire.address import NetAddress
from ..wire.target import Mode
from .botnet import Botnet, Tactics
from .crowd import Crowd, CrowdOptions, public_address
from .disk import Clock, Disk
from .hive import Hive
from .host import Host
from .journal import Journal
from .keys import make_vault
from .lines import LineOptions
from .network import Network
from .world import World

VICTIM: Final = public_address(9_999)
"""Where the victim is: in a group of its own."""
CALM: Final = LineOptions(
    latency_min=seconds(0.01), latency_max=seconds(0.1), jitter=seconds(0.005), loss=0.0, cut=0.0, reset=0.0
)
_LASTING: Final = minutes(1)  # of a link that counts
_FIRST_CITIZEN: Final = 1
_FIRST_BOT: Final = 10_000


@dataclass(slots=True, eq=False)
class Tie:
    """One open link of the victim."""

    address: NetAddress
    inbound: bool
    evil: bool
    since: Instant


@dataclass(slots=True)
class Watch:
    """What was seen since :meth:`Siege.watch`. Moments are in seconds since then, -1 if it never came to that."""

    since: Instant
    outbound_taken: float = -1.0
    """All links that the victim has opened, and there are some, end at the attacker."""
    all_taken: float = -1.0
    """So do all links whatever."""
    taken_for: float = 0.0
    """Seconds in which the former held."""
    longest: float = 0.0
    """The most seconds without a break in which it had no honest link but such as ended within a minute."""
    peak: float = 0.0
    """The attacker's largest share of the links that the victim has opened."""
    _last: Instant = field(default=Instant(0))
    _taken: bool = False
    _spell: Instant | None = None


class Siege:
    """A world under way.

    Args:
        seed: draws everything.
        config: the victim's; its address is filled in.
        crowd: the honest strangers.
        rumours: addresses that their answers hold besides their own.
        interval: mean time between blocks; ``None``: the chain does not grow.
        records: what the victim's address book begins with, given the time.
    """

    def __init__(
        self,
        seed: int,
        config: NodeConfig,
        crowd: CrowdOptions,
        *,
        rumours: Sequence[NetAddress] = (),
        interval: Duration | None = None,
        records: Callable[[WallTime], Sequence[AddressRecord]] = lambda now: (),
    ) -> None:
        self.world = World(seed)
        self.chance: Chance = self.world.chance.fork("siege")
        self.network = Network(self.world, CALM, Journal())
        self.hive = Hive(lambda: self.world.now.wall)
        self.config = replace(config, advertise=(VICTIM,))
        self.vault: Vault | None = None
        if config.transport is not Mode.PLAIN:
            # One for all strangers: nobody compares their keys.
            self.vault = make_vault(self.chance.fork("keys"))
        self.ties: dict[ConnId, Tie] = {}
        self.closed: dict[str, int] = {}
        """Links that ended, by the victim's reason."""
        self.mined: dict[int, Instant] = {}
        """When each height was mined, and, in ``reached``, when the victim first had it."""
        self.reached: dict[int, Instant] = {}
        self.first_honest: Instant | None = None
        """When the victim first had an honest link of its own in this life."""
        self.botnet: Botnet | None = None
        self.seen: Watch | None = None
        self.clock, self.disk = Clock(self.world), Disk()
        self.disk.addresses = tuple(records(self.world.now.wall))
        self.victim = self._live(0)
        self.crowd = Crowd(crowd, rumours)
        self.crowd.settle(self.network, self.hive, VICTIM, vault=self.vault, first=_FIRST_CITIZEN)
        if interval is not None:
            self._interval = interval
            self._blocks = self.world.chance.fork("blocks")
            self.world.after(self._blocks.exponential(interval), self._mine)

    def _live(self, life: int) -> Host:
        host = Host(
            0,
            self.network,
            self.config,
            clock=self.clock,
            disk=self.disk,
            life=life,
            listener=self._heard,
        )
        # A host is where its number says; this one is where strangers may be.
        self.network.leave(host)
        host.address = VICTIM
        self.network.join(host)
        return host

    # -- who there is

    def besiege(self, addresses: Sequence[NetAddress], tactics: Tactics) -> Botnet:
        """The attacker comes, and begins to act."""
        self.botnet = Botnet(addresses, self.network, self.hive, VICTIM, tactics, vault=self.vault, first=_FIRST_BOT)
        for tie in self.ties.values():
            tie.evil = self.botnet.owns(tie.address)
        self.botnet.start()
        return self.botnet

    def is_evil(self, address: NetAddress) -> bool:
        """Whether an address is the attacker's."""
        return self.botnet is not None and self.botnet.owns(address)

    def _mine(self) -> None:
        [block] = self.hive.branch(self.hive.tree.tip, 1)
        self.hive.learn(block)
        self.mined[self.hive.tree.tip.height] = self.world.time
        self.world.after(self._blocks.exponential(self._interval), self._mine)

    # -- the victim's lives

    def crash(self, *, power: bool) -> None:
        """The victim's process dies, or its power is cut."""
        self.victim.crash(power=power)
        self.ties.clear()
        self.first_honest = None
        self._look()

    def restart(self) -> None:
        """It lives again, from its disk."""
        self.network.power_on(self.victim.number)
        self.victim = self._live(self.victim.life + 1)
        self.victim.start()

    # -- what is seen

    def _heard(self, host: Host, event: Event) -> None:
        match event:
            case LinkOpened(conn=conn, address=address, inbound=inbound):
                # A feeler is over as soon as it is open, and counts for nothing.
                if inbound or self._is_kept(host, conn):
                    tie = self.ties[conn] = Tie(address, inbound, self.is_evil(address), self.world.time)
                    if self.first_honest is None and not (tie.inbound or tie.evil):
                        self.first_honest = self.world.time
                    self._look()
            case LinkClosed(conn=conn, reason=reason, was_open=was_open):
                self.closed[reason] = self.closed.get(reason, 0) + 1
                if was_open and conn in self.ties:
                    self._look()
                    del self.ties[conn]
                    self._look()
            case TipMoved(height=height):
                self.reached.setdefault(height, self.world.time)

    def _is_kept(self, host: Host, conn: ConnId) -> bool:
        """Whether the victim has opened a link to keep it."""
        peers = host.node.snapshot(self.clock.now).peers
        return any(peer.conn == conn and peer.purpose != "feeler" for peer in peers)

    def lags(self, since: Instant) -> list[float]:
        """Seconds from each block's mining to the victim's having it; so far, where it has not yet."""
        return [
            (self.reached.get(height, self.world.time) - mined) / MICROSECONDS
            for height, mined in self.mined.items()
            if mined >= since
        ]

    def watch(self) -> Watch:
        """Note from now on when the victim's links are all the attacker's."""
        self.seen = Watch(self.world.time, _last=self.world.time)
        self._look()
        return self.seen

    def _look(self) -> None:
        seen = self.seen
        if seen is None:
            return
        now = self.world.time
        since = (now - seen.since) / MICROSECONDS
        if seen._taken:
            seen.taken_for += (now - seen._last) / MICROSECONDS
        outbound = [tie.evil for tie in self.outbound]
        seen._taken = bool(outbound) and all(outbound)
        if seen._spell is None and seen._taken:
            seen._spell = now
        elif seen._spell is not None:
            # Who is full completes its handshake and hangs up: that is no way out.
            end = min((tie.since for tie in self.outbound if not tie.evil), default=now)
            seen.longest = max(seen.longest, (end - seen._spell) / MICROSECONDS)
            if now - end >= _LASTING:
                seen._spell = None
        seen._last = now
        if outbound:
            seen.peak = max(seen.peak, sum(outbound) / len(outbound))
        if seen._taken:
            if seen.outbound_taken < 0:
                seen.outbound_taken = since
            if seen.all_taken < 0 and all(tie.evil for tie in self.ties.values()):
                seen.all_taken = since

    @property
    def outbound(self) -> list[Tie]:
        """Links that the victim has opened to keep them."""
        return [tie for tie in self.ties.values() if not tie.inbound]

    @property
    def inbound(self) -> list[Tie]:
        """Links that others have opened to it."""
        return [tie for tie in self.ties.values() if tie.inbound]

    def book_share(self) -> float:
        """The attacker's share of the addresses that the victim has saved."""
        return self._share(self.victim.saved)

    def tried_share(self) -> float:
        """The attacker's share of those among them that stand in the tried table."""
        return self._share([record for record in self.victim.saved if record.tried])

    def _share(self, records: Sequence[AddressRecord]) -> float:
        return sum(self.is_evil(record.address) for record in records) / max(1, len(records))

    def run(self, span: Duration) -> None:
        """Let time pass."""
        self.world.run_for(span)
        self._look()


def honest(ties: Iterable[Tie]) -> list[Tie]:
    """Those of honest strangers."""
    return [tie for tie in ties if not tie.evil]
