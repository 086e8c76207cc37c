"""Can one attacker surround a node? Two ways: at a restart (Heilman et al. 2015), and without one (Monero, 2025).

*Restart.* For days the attacker fills the victim's address book, by gossip and by what is dialled. Then the victim
restarts, and dials whom its book and its anchors name. It is surrounded if all links that it opens end at the attacker.

*Live.* The attacker holds the victim's inbound slots, tells of his addresses, and is the best of peers to whoever
dials him. Honest links end by themselves, as hosts are switched off and lines break, and he waits for their places.
The victim is surrounded at the moment at which all links that it has opened are his; and wholly, when those that others
have opened to it are his as well.

The attacker knows the victim's rules, and which of its defences are off; he does what is best against those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, NamedTuple

from ..base.errors import ConfigError
from ..base.instant import MICROSECONDS, NEVER, Duration, WallTime, minutes, seconds
from ..base.randomness import Chance
from ..node import NodeConfig
from ..peers.defences import ALL, Defences
from ..peers.record import AddressRecord
from ..wire.address import NetAddress
from ..wire.target import Mode
from .botnet import Tactics
from .crowd import CrowdOptions, attacker_address, public_address
from .siege import Siege

_INTERVAL: Final = minutes(10)  # between blocks
_DAY_S: Final = 86_400
_HOUR_S: Final = 3_600
_KNOWN_S: Final = 30 * _DAY_S  # within which a reached address was reached first; who is gone, in those before
_FIRST_STALE: Final = 4_000  # groups of honest addresses that nobody is at any more
_SETTLE: Final = minutes(15)  # of quiet before an attack
_TOLD: Final = 30  # addresses at a time and link, every ten minutes: half of what is taken
_DOWN: Final = seconds(30)  # between a crash and the restart
_MOST_ADDRESSES: Final = 50_000
_MOST_HONEST: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EclipseOptions:
    """What both ways share.

    Raises:
        ConfigError: a number is impossible.
    """

    groups: int
    """Of the attacker: network groups (/16)."""
    addresses: int
    """Of the attacker, over all groups."""
    honest: int = 300
    """Honest strangers that can be dialled, each in a group of its own; as many more addresses in the victim's book are
    of hosts that are gone."""
    taint: float = 0.5
    """The attacker's share of what honest strangers answer to ``getaddr``: he tells everybody of himself."""
    full: float = 0.3
    """Share of honest strangers whose slots are taken when they are dialled, by the attacker or by others."""
    session: float = 30.0
    """Mean life of a link with an honest stranger, in minutes."""
    aged: float = 0.0
    """The attacker's share of the addresses that the victim has reached before all begins: he was there early. As far
    as he has addresses."""
    slots: int = 114
    """Inbound ones of the victim."""
    defences: Defences = ALL

    def __post_init__(self) -> None:
        if not 1 <= self.groups <= self.addresses <= _MOST_ADDRESSES:
            raise ConfigError(
                f"{self.addresses} addresses in {self.groups} groups: at least one in each, at most {_MOST_ADDRESSES}"
            )
        if not 1 <= self.honest <= _MOST_HONEST:
            raise ConfigError(f"{self.honest} honest strangers: 1 to {_MOST_HONEST}")
        if not all(0 <= share < 1 for share in (self.taint, self.full, self.aged)):
            raise ConfigError("shares are from 0 to below 1")
        if self.session <= 0:
            raise ConfigError(f"links of {self.session:g} minutes: more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartOptions(EclipseOptions):
    """The attack at a restart."""

    session: float = 360.0
    days: float = 1.0
    """Of filling the book."""
    patience: float = 10.0
    """Minutes from the restart until it is looked whose the links are."""
    links: int = 16
    """That the attacker holds at the victim meanwhile, each from another of his groups if he has so many."""

    def __post_init__(self) -> None:
        # (super() does not find its class in a dataclass with slots.)
        EclipseOptions.__post_init__(self)
        if not 0 < self.days <= 60:
            raise ConfigError(f"{self.days:g} days: more than 0, at most 60")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions(EclipseOptions):
    """The attack without a restart."""

    hours: float = 1.0
    visit: float = 0.0
    """Mean seconds after which he ends the first link that the victim opens to each of his addresses; 0: none."""

    def __post_init__(self) -> None:
        EclipseOptions.__post_init__(self)
        if not 0 < self.hours <= 240:
            raise ConfigError(f"{self.hours:g} hours: more than 0, at most 240")
        if not 0 <= self.visit <= _HOUR_S:
            raise ConfigError(f"links of {self.visit:g} seconds: 0 to {_HOUR_S}")


class RestartOutcome(NamedTuple):
    """What came of one attack at a restart. Shares are from 0 to 1."""

    taken: bool
    """All links that the victim has opened, and it has some, are the attacker's when patience ends."""
    share: float
    """His share of these links then."""
    links: int
    """How many there are."""
    book: float
    """His share of the addresses that the victim had saved."""
    tried: float
    """His share of those among them that stood in its tried table."""


class LiveOutcome(NamedTuple):
    """What came of one attack without a restart."""

    taken: bool
    """At some moment all links that the victim had opened were the attacker's."""
    wholly: bool
    """At some moment all of its links were."""
    after_s: float
    """Seconds until the former; -1 if never."""
    held: float
    """The share of the time in which it was so."""
    longest_s: float
    """The most seconds without a break in which it was so, but for honest links that ended within a minute."""
    peak: float
    """His largest share of the links that the victim had opened."""
    share: float
    """His share of them in the end."""
    inbound: float
    """His share of those that others had opened, in the end."""
    book: float
    """His share of the addresses that the victim has saved."""
    tried: float
    """His share of those among them that stand in its tried table."""


def without(names: Sequence[str]) -> Defences:
    """All defences but these.

    Raises:
        ConfigError: there is none of such a name.
    """
    known = [one.name for one in fields(Defences)]
    for name in names:
        if name not in known:
            raise ConfigError(f"no defence is called {name!r}: {', '.join(known)}")
    return Defences(**dict.fromkeys(names, False))


def restart(options: RestartOptions, seed: int) -> RestartOutcome:
    """Fill the victim's book, restart it, look whose its links are. The victim's invariants are walked at the end."""
    siege = _siege(options, seed)
    siege.run(_SETTLE)
    span = seconds(options.days * _DAY_S)
    hold = None
    if not options.defences.own_links:
        # Each address has a turn of its own in the victim's slots, and so is held for good.
        hold = Duration(max(seconds(20), span * options.links // options.addresses))
    siege.besiege(
        attacker_addresses(options.groups, options.addresses),
        Tactics(
            links=options.links,
            press=seconds(5),
            hold=hold,
            tell=Duration(minutes(10) // options.links),
            told=_TOLD if options.defences.addr_rate else 10 * _TOLD,
        ),
    )
    siege.run(span)
    # What is changed is on the disk within a minute.
    book, tried = siege.book_share(), siege.tried_share()
    siege.victim.node.check()
    siege.crash(power=False)
    siege.run(_DOWN)
    siege.restart()
    siege.run(minutes(options.patience))
    siege.victim.node.check()
    evil = [tie.evil for tie in siege.outbound]
    return RestartOutcome(
        taken=bool(evil) and all(evil),
        share=sum(evil) / max(1, len(evil)),
        links=len(evil),
        book=book,
        tried=tried,
    )


def live(options: LiveOptions, seed: int) -> LiveOutcome:
    """Surround a victim that goes on running. Its invariants are walked at the end."""
    siege = _siege(options, seed)
    early = options.aged > 0
    if not early:
        siege.run(_SETTLE)
    # Where good links are protected, more would put out his own alone.
    greedy = not (options.defences.protection and options.defences.eviction)
    siege.besiege(
        attacker_addresses(options.groups, options.addresses),
        Tactics(
            links=options.slots if greedy else options.slots * 4 // 5,
            press=seconds(1),
            storm=greedy,
            # Where inbound links make an address good, all of them are to have been there.
            hold=minutes(10) if options.defences.own_links else minutes(2),
            visit=seconds(options.visit) if options.visit else None,
            tell=seconds(5),
            told=100 if options.defences.addr_rate else 1_000,
        ),
    )
    if early:
        siege.run(_SETTLE)
    seen = siege.watch()
    siege.run(Duration(round(options.hours * 3_600 * MICROSECONDS)))
    siege.victim.node.check()
    outbound, inbound = siege.outbound, siege.inbound
    return LiveOutcome(
        taken=seen.outbound_taken >= 0,
        wholly=seen.all_taken >= 0,
        after_s=seen.outbound_taken,
        held=seen.taken_for / (options.hours * _HOUR_S),
        longest_s=seen.longest,
        peak=seen.peak,
        share=sum(tie.evil for tie in outbound) / max(1, len(outbound)),
        inbound=sum(tie.evil for tie in inbound) / max(1, len(inbound)),
        book=siege.book_share(),
        tried=siege.tried_share(),
    )


def attacker_addresses(groups: int, addresses: int) -> list[NetAddress]:
    """``addresses`` of them, spread evenly over ``groups`` network groups."""
    return [attacker_address(index % groups, 1 + index // groups) for index in range(addresses)]


def honest_records(honest: int, now: WallTime, chance: Chance) -> list[AddressRecord]:
    """What a node that has been there for long knows: half of the honest it has reached, of the others it was told; as
    many again are gone since, of both kinds. Each was told by another network group."""
    records: list[AddressRecord] = []
    for index in range(2 * honest):
        living = index % 2 == 0
        address = public_address(index // 2 if living else _FIRST_STALE + index // 2)
        seen = WallTime(now - chance.below(5 * _DAY_S) - 1)
        reached = index // 2 % 2 == 0
        records.append(
            AddressRecord(
                address=address,
                seen=seen,
                source=public_address(chance.below(honest)).group(),
                succeeded=seen if reached else NEVER,
                tried=reached,
                since=WallTime(seen - chance.below(_KNOWN_S) - (0 if living else _KNOWN_S)) if reached else NEVER,
            )
        )
    return records


def _aged_records(
    mine: Sequence[NetAddress], honest: int, share: float, now: WallTime, chance: Chance
) -> list[AddressRecord]:
    """Such of the attacker's, reached as early as the honest ones, that ``share`` of all reached ones are his."""
    count = min(len(mine), round(honest * share / (1 - share)))
    records: list[AddressRecord] = []
    for address in chance.sample(mine, count):
        seen = WallTime(now - chance.below(5 * _DAY_S) - 1)
        since = WallTime(seen - chance.below(_KNOWN_S))
        source = public_address(chance.below(honest)).group()
        records.append(
            AddressRecord(address=address, seen=seen, source=source, succeeded=seen, tried=True, since=since)
        )
    return records


@dataclass(frozen=True, slots=True, kw_only=True)
class DiversityOptions:
    """A network in which one attacker has many addresses in a few groups, and does nothing else.

    Raises:
        ConfigError: a number is impossible.
    """

    share: float = 0.8
    """The attacker's, of all addresses that can be dialled."""
    groups: int = 2
    """Network groups (/16) in which they are."""
    honest: int = 200
    minutes: float = 30.0
    defences: Defences = ALL

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(f"a share of {self.share:g}: above 0 and below 1")
        if not 1 <= self.groups <= self.addresses <= _MOST_ADDRESSES or not 1 <= self.honest <= _MOST_HONEST:
            raise ConfigError(f"{self.addresses} addresses in {self.groups} groups beside {self.honest} honest ones")

    @property
    def addresses(self) -> int:
        """The attacker's."""
        return round(self.honest * self.share / (1 - self.share))


class DiversityOutcome(NamedTuple):
    """Whose links the victim's are."""

    share: float
    """The attacker's, of those that it has opened."""
    links: int
    """How many it has opened."""


def diversity(options: DiversityOptions, seed: int) -> DiversityOutcome:
    """A node that knows everybody, by the word of many, dials whom it likes."""
    chance = Chance.from_seed(seed).fork("diversity")
    mine = attacker_addresses(options.groups, options.addresses)

    def records(now: WallTime) -> list[AddressRecord]:
        everybody = [*(public_address(index) for index in range(options.honest)), *mine]
        return [
            AddressRecord(
                address=address,
                seen=WallTime(now - 1 - chance.below(_DAY_S)),
                source=public_address(chance.below(options.honest)).group(),
            )
            for address in everybody
        ]

    siege = Siege(
        seed,
        _config(Mode.PLAIN, 114, options.defences),
        CrowdOptions(citizens=options.honest, visit=minutes(300)),
        interval=_INTERVAL,
        records=records,
    )
    siege.besiege(mine, Tactics())
    siege.victim.start()
    siege.run(minutes(options.minutes))
    siege.victim.node.check()
    evil = [tie.evil for tie in siege.outbound]
    return DiversityOutcome(sum(evil) / max(1, len(evil)), len(evil))


def _siege(options: EclipseOptions, seed: int) -> Siege:
    chance = Chance.from_seed(seed).fork("eclipse")
    crowd = CrowdOptions(
        citizens=options.honest, full=options.full, session=minutes(options.session), visit=minutes(300)
    )
    config = _config(Mode.PLAIN, options.slots, options.defences)
    lies = round(options.honest * options.taint / (1 - options.taint))
    mine = attacker_addresses(options.groups, options.addresses)
    siege = Siege(
        seed,
        config,
        crowd,
        rumours=chance.sample(mine, lies),
        interval=_INTERVAL,
        records=lambda now: [
            *honest_records(options.honest, now, chance),
            *_aged_records(mine, options.honest, options.aged, now, chance),
        ],
    )
    siege.victim.start()
    return siege


def _config(mode: Mode, slots: int, defences: Defences) -> NodeConfig:
    return NodeConfig(
        network="memory", user_agent="/Obscura:sim/", transport=mode, inbound_slots=slots, defences=defences
    )
