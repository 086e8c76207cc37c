"""Floods by one attacker with many addresses, and what honest strangers notice of them.

The node has some honest links, then the flood begins. It is asked which of these links are still there when it ends,
how long an honest newcomer tries until it has a link that stays, how many of the addresses in the book are nobody's,
what pings are like, and how late blocks come. The kind ``calm``, without a flood, is what to compare with.

What a flood costs in processor time is not simulated: the real node's part of that is measured elsewhere
(tests/net, docs/reliability.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

from ..base.errors import ConfigError
from ..base.instant import MICROSECONDS, Duration, Instant, minutes, seconds
from ..base.names import ConnId
from ..base.randomness import Chance
from ..node import NodeConfig
from ..peers.defences import ALL, Defences
from ..wire.target import Mode
from .adversary import Adversary, Link
from .botnet import Service, Tactics
from .crowd import CrowdOptions, public_address
from .eclipse import attacker_addresses, honest_records
from .siege import Siege, Tie

CALM_KIND: Final = "calm"
_CALM: Final = minutes(20)  # before the flood
_INTERVAL: Final = seconds(60)  # between blocks
_FOR_EVER: Final = minutes(60 * 1_000)
_CITIZENS: Final = 80
_FIRST_NEWCOMER: Final = 5_000  # groups and numbers of newcomers
_NEWCOMERS_EVERY: Final = seconds(30)
_TRY_AGAIN: Final = seconds(5)
_STAYS: Final = seconds(30)  # a link of a newcomer that lasts so long counts
_SOON_S: Final = 30.0  # a block that comes within it is in time
_CITIZEN_DELAY: Final = seconds(1)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of flood."""

    text: str
    """For people."""
    tactics: Callable[[FloodOptions], Tactics]
    matters: tuple[str, ...] = ()
    """Defences that are made against it."""
    mode: Mode = Mode.PLAIN
    """Of all links: veiled where what happens inside an encrypted link counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodOptions:
    """One flood.

    Raises:
        ConfigError: there is no such kind, or a number is impossible.
    """

    kind: str
    minutes: float = 10.0
    """Of flood."""
    addresses: int = 600
    """Of the attacker."""
    groups: int = 64
    """Network groups in which they are."""
    slots: int = 114
    """Inbound ones of the victim."""
    defences: Defences = ALL

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"no flood is called {self.kind!r}: {', '.join(KINDS)}")
        if not 1 <= self.minutes <= 1_440:
            raise ConfigError(f"{self.minutes:g} minutes: 1 to 1440")
        if not 1 <= self.groups <= self.addresses <= 20_000:
            raise ConfigError(
                f"{self.addresses} addresses in {self.groups} groups: at least one in each, at most 20000"
            )


class FloodOutcome(NamedTuple):
    """What honest strangers noticed of one flood. Shares are from 0 to 1."""

    inbound_kept: float
    """Of the honest links that others had opened when it began, those that are still there."""
    outbound_kept: float
    """Of the honest links that the victim had opened, likewise."""
    outbound_honest: float
    """Honest ones among the links that the victim has opened, in the end."""
    entry_s: float
    """Mean seconds from a newcomer's first try to its link that stays; for one that never had any, until the end."""
    entered: float
    """Newcomers that had one."""
    foreign: float
    """Addresses in the book that are no honest stranger's, living or dead."""
    ping_ms: float
    """Median round trip on honest links, in virtual time."""
    in_time: float
    """Blocks that the victim had within 30 s; nothing but honest miners finds any."""
    lag_s: float
    """Mean seconds until it had a block."""


def _sybil(options: FloodOptions) -> Tactics:
    # No more than can stay: who dials on is the next kind.
    return Tactics(links=options.slots * 3 // 4, press=seconds(0.5), tell=seconds(5), told=60)


def _evict(options: FloodOptions) -> Tactics:
    return Tactics(links=options.slots, press=seconds(0.5), storm=True)


def _churn(options: FloodOptions) -> Tactics:
    return Tactics(links=options.addresses, press=seconds(0.25), hold=seconds(20))


def _spam(options: FloodOptions) -> Tactics:
    return Tactics(links=40, press=seconds(0.5), tell=seconds(5), told=1_000, junk=True)


def _loris(options: FloodOptions) -> Tactics:
    return Tactics(loris=options.addresses, press=seconds(1))


def _headers(options: FloodOptions) -> Tactics:
    return Tactics(links=40, press=seconds(1), headers=seconds(2), burst=20)


def _holes(options: FloodOptions) -> Tactics:
    return Tactics(links=40, press=seconds(1), tell=seconds(2), told=60, service=Service.BLACK_HOLE, first=False)


KINDS: Final[dict[str, Kind]] = {
    CALM_KIND: Kind("nothing: what to compare with", lambda options: Tactics()),
    "sybil": Kind("holds most of the inbound slots, and behaves well", _sybil, ("eviction", "protection")),
    "evict": Kind("dials on and on, so that each dial may cost somebody a slot", _evict, ("eviction", "protection")),
    "churn": Kind("links of seconds from ever other addresses", _churn, ("eviction", "protection", "own_links")),
    "spam": Kind("tells invented addresses as fast as it can", _spam, ("addr_rate", "buckets", "feelers")),
    "loris": Kind("connections that never complete their handshake", _loris),
    "headers": Kind(
        "asks for headers, and shows some that connect to nothing", _headers, ("discouragement",), Mode.VEILED
    ),
    "holes": Kind(
        "has itself dialled, and is never heard of again",
        _holes,
        ("own_links", "diverse_groups", "feelers", "block_only"),
    ),
}
"""By their names."""


class Newcomer(Adversary):
    """An honest stranger that wants a link with the victim, and tries until it has one that stays."""

    name: ClassVar[str] = "newcomer"

    def __init__(self, index: int, siege: Siege, begun: Instant) -> None:
        super().__init__(
            _FIRST_NEWCOMER + index,
            siege.network,
            siege.hive,
            (siege.victim.address,),
            links=1,
            address=public_address(_FIRST_NEWCOMER + index),
            mode=siege.config.transport,
            vault=siege.vault,
        )
        siege.network.distances[self.number] = self.chance.span(seconds(0.005), seconds(0.1))
        self.begun = begun
        self.entered: Instant | None = None

    def start(self) -> None:
        """Dial now."""
        self._dial()

    def _redial(self) -> None:
        if self.entered is None:
            self.after(_TRY_AGAIN, self._dial)

    def opened(self, link: Link) -> None:
        """It counts only if it stays."""
        self.after(_STAYS, self._settled, link, self._world.time)

    def _settled(self, link: Link, since: Instant) -> None:
        if link.conn in self.links and self.entered is None:
            self.entered = since

    def learned(self) -> None:
        """Show new blocks, as all do."""
        for link in self.open_links:
            self.after(self.chance.exponential(_CITIZEN_DELAY), self._show, link)

    def _show(self, link: Link) -> None:
        self.announce(link, [self.hive.tree.tip.raw])


def flood(options: FloodOptions, seed: int) -> FloodOutcome:
    """Have a flood, and look. The victim's invariants are walked at the end."""
    kind = KINDS[options.kind]
    siege = _siege(options, kind, seed)
    siege.run(_CALM)
    then = dict(siege.ties)
    begun = siege.world.time
    siege.besiege(attacker_addresses(options.groups, options.addresses), kind.tactics(options))
    end = Instant(begun + round(options.minutes * 60 * MICROSECONDS))
    newcomers: list[Newcomer] = []
    # The last of them has the time to stay.
    while not newcomers or siege.world.time < end - 2 * _STAYS:
        newcomers.append(Newcomer(len(newcomers), siege, siege.world.time))
        newcomers[-1].start()
        siege.run(Duration(min(_NEWCOMERS_EVERY, end - siege.world.time)))
    siege.run(Duration(end - siege.world.time))
    siege.victim.node.check()
    return _look(siege, then, newcomers, begun)


def _siege(options: FloodOptions, kind: Kind, seed: int) -> Siege:
    chance = Chance.from_seed(seed).fork("flood")
    config = NodeConfig(
        network="memory",
        user_agent="/Obscura:sim/",
        transport=kind.mode,
        inbound_slots=options.slots,
        defences=options.defences,
    )
    crowd = CrowdOptions(citizens=_CITIZENS, session=_FOR_EVER, visit=minutes(40), full=0.1)
    siege = Siege(seed, config, crowd, interval=_INTERVAL, records=lambda now: honest_records(_CITIZENS, now, chance))
    siege.victim.start()
    return siege


def _look(siege: Siege, then: dict[ConnId, Tie], newcomers: list[Newcomer], begun: Instant) -> FloodOutcome:
    now = siege.world.time

    def kept(*, inbound: bool) -> float:
        had = [conn for conn, tie in then.items() if tie.inbound is inbound]
        return sum(conn in siege.ties for conn in had) / max(1, len(had))

    outbound = [not tie.evil for tie in siege.outbound]
    known = {record.address: None for record in honest_records(_CITIZENS, siege.world.now.wall, Chance.from_seed(0))}
    known |= {one.address: None for one in newcomers}
    saved = siege.victim.saved
    pings = sorted(
        peer.ping / 1_000
        for peer in siege.victim.node.snapshot(siege.clock.now).peers
        if peer.ping is not None and not siege.is_evil(peer.address)
    )
    lags = siege.lags(begun)
    return FloodOutcome(
        inbound_kept=kept(inbound=True),
        outbound_kept=kept(inbound=False),
        outbound_honest=sum(outbound) / max(1, len(outbound)),
        entry_s=sum(((now if one.entered is None else one.entered) - one.begun) for one in newcomers)
        / len(newcomers)
        / MICROSECONDS,
        entered=sum(one.entered is not None for one in newcomers) / len(newcomers),
        foreign=sum(record.address not in known for record in saved) / max(1, len(saved)),
        ping_ms=pings[len(pings) // 2] if pings else 0.0,
        in_time=sum(lag <= _SOON_S for lag in lags) / max(1, len(lags)),
        lag_s=sum(lags) / max(1, len(lags)),
    )
