"""Which faults a world has and how strong they are: one value, drawn from the seed ("swarm": each run has its own mix).

A mix in which everything is always on hides what single faults do: a crash every minute leaves no time for the bug that
a long partition shows. So each fault is on in about half of all runs, with a strength of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ..base.errors import ConfigError
from ..base.instant import MICROSECONDS, Duration, minutes, seconds
from ..base.randomness import Chance
from .adversaries import KINDS
from .lines import LineOptions

_ON_OF_TEN: Final = 6  # so often is a fault on: combinations of several are usual
_GAP: Final = (60.0, 1_200.0)  # seconds between two troubles of one sort in the whole world
_HOUR: Final = 3_600
_NEVER: Final = Duration(0)

FAULTS: Final[tuple[str, ...]] = ("loss", "resets", "partitions", "one-sided", "clogs", "crashes", "clocks", "pauses")
"""All faults by name. ``one-sided`` makes some of the partitions so, and is nothing without them."""
ADVERSARIES: Final[tuple[str, ...]] = tuple(kind.name for kind in KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultOptions:
    """The faults of one run. A mean of 0 between troubles says that there are none."""

    loss: float = 0.0
    """That a piece is lost."""
    reset: float = 0.0
    """That a piece breaks its link."""
    partition_every: Duration = _NEVER
    partition_for: Duration = field(default_factory=lambda: minutes(5))
    """Mean length."""
    one_sided: float = 0.0
    """That a partition is deaf in one direction only."""
    clog_every: Duration = _NEVER
    clog_for: Duration = field(default_factory=lambda: minutes(5))
    clog_bandwidth: int = 1_000
    """Bytes in a second that are left of a clogged host's links."""
    crash_every: Duration = _NEVER
    down_for: Duration = field(default_factory=lambda: minutes(2))
    power_cuts: float = 0.5
    """That a crash is a loss of power, so that nobody hears of it."""
    jump_every: Duration = _NEVER
    jump_s: int = 4 * _HOUR
    """The farthest that a wall clock is set wrong, either way."""
    pause_every: Duration = _NEVER
    pause_for: Duration = field(default_factory=lambda: minutes(3))
    adversaries: tuple[str, ...] = ()
    """The kinds that there are."""
    share: float = 0.0
    """Of all hosts that are adversaries."""
    power: float = 0.0
    """What adversaries mine, against the honest rate of blocks."""
    discover: bool = False
    """Hosts also look for peers by gossip."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.adversaries if name not in ADVERSARIES]
        if unknown:
            msg = f"there is no adversary {unknown[0]!r}; there are {', '.join(ADVERSARIES)}"
            raise ConfigError(msg)
        bounds = (("share", self.share, 0.5), ("power", self.power, 0.5), ("one_sided", self.one_sided, 1.0))
        for name, value, most in bounds:
            if not 0 <= value <= most:
                msg = f"{name} lies between 0 and {most}, {value} does not"
                raise ConfigError(msg)

    @property
    def on(self) -> tuple[str, ...]:
        """The names of the faults that there are."""
        strengths = (
            self.loss,
            self.reset,
            self.partition_every,
            self.one_sided if self.partition_every else 0,
            self.clog_every,
            self.crash_every,
            self.jump_every,
            self.pause_every,
        )
        return tuple(name for name, strength in zip(FAULTS, strengths, strict=True) if strength)

    def lines(self) -> LineOptions:
        """The lines while there is trouble."""
        return replace(LineOptions(), loss=self.loss, reset=self.reset)

    def describe(self) -> list[str]:
        """One line for each fault that is on, and for the adversaries."""
        texts = {
            "loss": f"loss: {self.loss:.1%} of pieces",
            "resets": f"resets: {self.reset:.3%} of pieces break their link",
            "partitions": f"partitions: every {_span(self.partition_every)}, for {_span(self.partition_for)}",
            "one-sided": f"one-sided: {self.one_sided:.0%} of partitions",
            "clogs": f"clogs: every {_span(self.clog_every)}, for {_span(self.clog_for)}, {self.clog_bandwidth} B/s",
            "crashes": f"crashes: every {_span(self.crash_every)}, down for {_span(self.down_for)}, "
            f"{self.power_cuts:.0%} power cuts",
            "clocks": f"clocks: one is set wrong every {_span(self.jump_every)}, by up to {self.jump_s // 60} min",
            "pauses": f"pauses: every {_span(self.pause_every)}, for {_span(self.pause_for)}",
        }
        lines = [texts[name] for name in self.on]
        if self.share:
            lines.append(f"adversaries: {self.share:.0%} of hosts: {', '.join(self.adversaries)}")
            lines.append(f"adversaries mine {self.power:.0%} of the honest rate")
        if self.discover:
            lines.append("hosts discover peers by gossip")
        return lines


NO_FAULTS: Final = FaultOptions()


def _span(span: Duration) -> str:
    whole = span // MICROSECONDS
    return f"{whole} s" if whole < 120 else f"{whole // 60} min"


def draw_faults(
    chance: Chance, faults: Collection[str] | None = None, adversaries: Collection[str] | None = None
) -> FaultOptions:
    """The faults of a run. Strengths are the same whatever is named, so that leaving one fault out changes no other.

    Args:
        chance: draws them.
        faults: those that are on, of :data:`FAULTS`; drawn if not given.
        adversaries: the kinds that there are, of :data:`ADVERSARIES`; drawn if not given.

    Raises:
        ConfigError: there is no such fault or adversary.
    """
    _known(faults, FAULTS)
    _known(adversaries, ADVERSARIES)

    def on() -> bool:
        return chance.below(10) < _ON_OF_TEN

    def between(low: float, high: float) -> float:
        # Even on a logarithmic scale: half of all draws lie below the geometric mean.
        return float(low * (high / low) ** chance.uniform())

    # Each is drawn in any case.
    drawn = {name: on() for name in (*FAULTS, *ADVERSARIES)}
    is_on = {name: drawn[name] if faults is None else name in faults for name in FAULTS}
    kinds = tuple(name for name in ADVERSARIES if (drawn[name] if adversaries is None else name in adversaries))

    def strength(name: str, low: float, high: float) -> float:
        value = round(between(low, high), 6)
        return value if is_on[name] else 0.0

    def gap(name: str) -> Duration:
        span = seconds(between(*_GAP))
        return span if is_on[name] else _NEVER

    share, power = round(between(0.05, 0.33), 6), round(between(0.02, 0.33), 6)
    return FaultOptions(
        loss=strength("loss", 0.001, 0.15),
        reset=strength("resets", 0.000_05, 0.005),
        partition_every=gap("partitions"),
        partition_for=seconds(between(20, 1_200)),
        one_sided=strength("one-sided", 0.1, 1.0),
        clog_every=gap("clogs"),
        clog_for=seconds(between(20, 1_200)),
        clog_bandwidth=round(between(100, 20_000)),
        crash_every=gap("crashes"),
        down_for=seconds(between(1, 900)),
        power_cuts=round(chance.uniform(), 2),
        jump_every=gap("clocks"),
        jump_s=round(between(60, 24 * _HOUR)),
        pause_every=gap("pauses"),
        pause_for=seconds(between(1, 900)),
        adversaries=kinds,
        share=share if kinds else 0.0,
        power=power if kinds else 0.0,
        discover=on(),
    )


def _known(names: Collection[str] | None, known: Sequence[str]) -> None:
    for name in names or ():
        if name not in known:
            msg = f"there is no {name!r}; there are {', '.join(known)}"
            raise ConfigError(msg)
