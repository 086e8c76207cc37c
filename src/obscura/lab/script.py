"""What happens in a watched world, and when: the windows in their order, and how much there is of each thing.

A script is drawn before the world runs, and nothing that happens changes it. An attacker gets windows cut out of a long
run; so that a label is given away by nothing but its own activity, all labels are in one random order, each activity
begins at a random moment of its window's first third, and between two windows there is a rest that does not depend on
what comes next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ..base.errors import ConfigError
from ..base.instant import Duration, seconds
from ..base.randomness import Chance
from ..sim.lines import LineOptions
from .observed import Activity

_FIRST_PART: Final = 3  # an activity begins in this part of its window
_LEAST_WINDOW_S: Final = 0.5
_LEAST_BODY: Final = 8  # bytes of a block's body that hold its number
_LEAST_TRANSACTION: Final = 61  # bytes: one input, one output, a seal
_MOST_TRANSACTION: Final = 10_000  # bytes that its fee pays for, by far


def usual_lines() -> LineOptions:
    """The internet on an average day: 20 to 80 ms one way, a piece in a thousand lost, no link broken."""
    return LineOptions(
        latency_min=seconds(0.02), latency_max=seconds(0.08), jitter=seconds(0.01), loss=0.001, cut=0.0, reset=0.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """How worlds are watched. Ranges hold both of their ends.

    Raises:
        ConfigError: a number is impossible.
    """

    window_s: float = 60.0
    each: int = 15
    """Windows of each activity in a world."""
    activities: tuple[Activity, ...] = tuple(Activity)
    topologies: tuple[int, ...] = (1, 2, 3)
    """Taken in turn by the worlds of a recording: see :class:`~obscura.lab.observed.Window`."""
    warm_up_s: float = 300.0
    """Before the first window. Links stand after a second and take stems after STEM_LINK_AGE, a minute; pings come
    every PING_INTERVAL, two minutes, so that two have been answered."""
    rest_s: tuple[float, float] = (30.0, 60.0)
    """Between two windows, once the activity of the first is over: the last announcements trickle for some seconds."""
    patience_s: float = 900.0
    """How long an activity may go on after its window, where links are slow."""
    hosts: tuple[int, int] = (6, 8)
    block_bytes: tuple[int, int] = (20_000, 200_000)
    """Of a block that is found alone."""
    sync_blocks: tuple[int, int] = (20, 40)
    """How many are caught up by."""
    sync_bytes: tuple[int, int] = (20_000, 100_000)
    """Of each of these."""
    transaction_bytes: tuple[int, int] = (200, 2_000)
    diffusers: float = 0.3
    """The share of epochs in which a node spreads what others stem. More than usual: a stem's ten steps would go in
    circles among so few hosts, and only an embargo, minutes later, would end it."""
    lines: LineOptions = field(default_factory=usual_lines)

    def __post_init__(self) -> None:
        if self.window_s < _LEAST_WINDOW_S or min(self.warm_up_s, self.patience_s) < 0:
            raise ConfigError(f"a window lasts {_LEAST_WINDOW_S:g} s at least, and no time is negative")
        if self.each < 1 or not self.activities:
            raise ConfigError("there is nothing to be recorded: give one window and one activity at least")
        if not self.topologies or not all(1 <= one <= 3 for one in self.topologies):
            raise ConfigError(f"topologies {self.topologies}: the watched node dials 1 to 3 hosts")
        ranges = (self.rest_s, self.hosts, self.block_bytes, self.sync_blocks, self.sync_bytes, self.transaction_bytes)
        if any(low > high for low, high in ranges) or self.rest_s[0] < 0:
            raise ConfigError("the least of a range is more than its most, or a rest is negative")
        if not 6 <= self.hosts[0] <= self.hosts[1] <= 60:
            # With three peers of the watched node, two more are left to find what it catches up by.
            raise ConfigError(f"{self.hosts[0]} to {self.hosts[1]} hosts: 6 to 60")
        if min(self.block_bytes[0], self.sync_bytes[0]) < _LEAST_BODY or self.sync_blocks[0] < 1:
            raise ConfigError("a block has 8 bytes at least, and to catch up takes one")
        if not _LEAST_TRANSACTION <= self.transaction_bytes[0] <= self.transaction_bytes[1] <= _MOST_TRANSACTION:
            raise ConfigError(f"a transaction has {_LEAST_TRANSACTION} to {_MOST_TRANSACTION:,} bytes")
        if not 0 < self.diffusers <= 1:
            raise ConfigError(f"a share of diffusers of {self.diffusers:g}: more than 0, and 1 at most")


class Scene(NamedTuple):
    """One window to come."""

    activity: Activity
    begins: Duration
    """From the window's beginning to the activity's."""
    rest: Duration
    """After it."""


def write_script(options: WatchOptions, chance: Chance) -> tuple[Scene, ...]:
    """All windows of one world: as many of each activity, in a random order."""
    activities = [activity for activity in options.activities for _ in range(options.each)]
    chance.shuffle(activities)
    low, high = map(seconds, options.rest_s)
    part = seconds(options.window_s / _FIRST_PART)
    return tuple(Scene(activity, Duration(chance.below(part)), chance.span(low, high)) for activity in activities)


def draw(span: tuple[int, int], chance: Chance) -> int:
    """A number of a range, both ends included."""
    low, high = span
    return low + chance.below(high - low + 1)
