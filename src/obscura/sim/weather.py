"""Troubles as they happen: each sort has its own chance and comes at exponential intervals, until it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from ..base.instant import Duration
from ..base.randomness import Chance
from .disk import Losses
from .faults import FaultOptions
from .host import Host
from .network import Network
from .world import World

_SIDES_MAX: Final = 3
_PAUSE_SHARE: Final = 10  # one host in so many is frozen at once, one at least


class Ground(Protocol):
    """What the weather comes down on."""

    world: World
    network: Network
    hosts: list[Host]
    """The honest ones in their present lives, dead ones included, by number."""
    everyone: int
    """How many hosts there are, adversaries included."""

    def restart(self, number: int) -> None:
        """Begin the next life of a crashed host."""
        ...

    def crashed(self, host: Host, losses: Losses, *, power: bool) -> None:
        """A host has crashed."""
        ...


@dataclass(slots=True)
class Toll:
    """How often what happened."""

    partitions: int = 0
    one_sided: int = 0
    clogs: int = 0
    crashes: int = 0
    power_cuts: int = 0
    jumps: int = 0
    pauses: int = 0
    writes_lost: int = 0
    blocks_lost: int = 0
    most_down: int = field(default=0)
    """Hosts that were down at once."""


class Weather:
    """Makes the troubles of one run.

    Args:
        ground: the run.
        options: which troubles, how often.
    """

    def __init__(self, ground: Ground, options: FaultOptions) -> None:
        self.toll = Toll()
        self._ground = ground
        self._world = ground.world
        self._options = options
        self._over = False
        self._parted = 0
        self._down: dict[int, None] = {}
        self._clogged: dict[int, None] = {}
        sorts: tuple[tuple[str, Duration, Callable[[Chance], None]], ...] = (
            ("partitions", options.partition_every, self._part),
            ("clogs", options.clog_every, self._clog),
            ("crashes", options.crash_every, self._crash),
            ("clocks", options.jump_every, self._jump),
            ("pauses", options.pause_every, self._pause),
        )
        for name, every, happen in sorts:
            if every:
                chance = self._world.chance.fork(f"weather {name}")
                self._world.after(chance.exponential(every), self._next, chance, every, happen)

    def _next(self, chance: Chance, every: Duration, happen: Callable[[Chance], None]) -> None:
        if self._over:
            return
        happen(chance)
        self._world.after(chance.exponential(every), self._next, chance, every, happen)

    def end(self) -> None:
        """The sky clears: everything is whole, everybody is up, clocks are right."""
        self._over = True
        ground = self._ground
        ground.network.heal()
        for number in list(self._clogged):
            self._unclog(number)
        for number in list(self._down):
            self._rise(number)
        for host in ground.hosts:
            host.thaw()
            if host.clock.skew:
                host.set_skew(0)

    # -- the sorts

    def _part(self, chance: Chance) -> None:
        """Two or three sides at random; one in three partitions cuts off a small group instead."""
        network, count = self._ground.network, self._ground.everyone
        self._parted += 1
        if chance.below(3):
            number_of_sides = 2 + chance.below(_SIDES_MAX - 1)
            sides: list[list[int]] = [[] for _ in range(number_of_sides)]
            for number in range(count):
                sides[chance.below(number_of_sides)].append(number)
        else:
            sides = [chance.sample(range(count), 1 + chance.below(max(1, count // 10)))]
        one_way = chance.uniform() < self._options.one_sided
        network.part(sides, one_way=one_way)
        self.toll.partitions += 1
        self.toll.one_sided += one_way
        self._world.after(chance.exponential(self._options.partition_for), self._heal, self._parted)

    def _heal(self, parted: int) -> None:
        if parted == self._parted and not self._over:
            self._ground.network.heal()

    def _clog(self, chance: Chance) -> None:
        number = chance.below(self._ground.everyone)
        if number in self._clogged:
            return
        self.toll.clogs += 1
        self._clogged[number] = None
        self._ground.network.clog(number, self._options.clog_bandwidth)
        self._world.after(chance.exponential(self._options.clog_for), self._unclog, number)

    def _unclog(self, number: int) -> None:
        if number in self._clogged:
            del self._clogged[number]
            self._ground.network.unclog(number)

    def _crash(self, chance: Chance) -> None:
        host = chance.choice(self._ground.hosts)
        power = chance.uniform() < self._options.power_cuts
        down_for = chance.exponential(self._options.down_for)
        if not host.alive:
            return
        losses = host.crash(power=power)
        self._ground.crashed(host, losses, power=power)
        toll = self.toll
        toll.crashes += 1
        toll.power_cuts += power
        toll.writes_lost += losses.total
        toll.blocks_lost += losses.blocks
        self._down[host.number] = None
        toll.most_down = max(toll.most_down, len(self._down))
        self._world.after(down_for, self._rise_after, host)

    def _rise_after(self, host: Host) -> None:
        # The clear sky may have raised it already, and another crash have felled its next life.
        if self._ground.hosts[host.number] is host:
            self._rise(host.number)

    def _rise(self, number: int) -> None:
        if number in self._down:
            del self._down[number]
            self._ground.network.power_on(number)
            self._ground.restart(number)

    def _jump(self, chance: Chance) -> None:
        """Set a clock wrong; one in two jumps puts it right again."""
        host = chance.choice(self._ground.hosts)
        skew = chance.below(2 * self._options.jump_s + 1) - self._options.jump_s
        right = bool(chance.below(2))
        if host.alive:
            self.toll.jumps += 1
            host.set_skew(0 if right and host.clock.skew else skew)

    def _pause(self, chance: Chance) -> None:
        hosts = self._ground.hosts
        for host in chance.sample(hosts, 1 + chance.below(max(1, len(hosts) // _PAUSE_SHARE))):
            if host.alive and not host.frozen:
                self.toll.pauses += 1
                host.freeze()
                self._world.after(chance.exponential(self._options.pause_for), host.thaw)
