"""What an audit records of simulated worlds: each profile as it is used, some under more than one condition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from ..base.errors import ConfigError
from ..base.instant import seconds
from ..base.limits import STEADY_YOUNG_PART
from ..shaping import Profile, Shaping
from .audit import PLAIN
from .observed import Activity, Recording
from .script import WatchOptions
from .watching import record

ONE_EPOCH: Final = "steady, one epoch"
ACROSS: Final = "steady, across epochs"
SLOW: Final = "slow line"
_Tell: TypeAlias = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Arm:
    """One thing to record."""

    name: str
    shaping: Shaping
    options: WatchOptions
    beside: str = PLAIN
    """Name of the recording with which its delays are compared."""


def parse_profiles(text: str) -> tuple[Profile, ...]:
    """Profiles by their names, with commas, in their usual order; ``all`` for all.

    Raises:
        ConfigError: one does not exist, or none is named.
    """
    names = [part.strip() for part in text.split(",")]
    if "all" in names:
        return tuple(Profile)
    for name in names:
        if name not in [one.value for one in Profile]:
            raise ConfigError(
                f"there is no profile {name!r}: all, or some of {', '.join(one.value for one in Profile)}"
            )
    return tuple(one for one in Profile if one.value in names)


def arms(
    profiles: Sequence[Profile], shaping: Shaping, options: WatchOptions, bottleneck: int | None = None
) -> tuple[Arm, ...]:
    """What to record of simulated worlds.

    Args:
        profiles: which.
        shaping: bounds of the profiles that have any.
        options: of the worlds.
        bottleneck: bytes a second that all lines carry in a second recording of each profile; ``None`` for none.
    """
    found = []
    for profile in profiles:
        shaped = replace(shaping, profile=profile, choices=())
        if profile is Profile.STEADY:
            found.append(Arm(ONE_EPOCH, _one_epoch(shaped, options), options))
            found.append(Arm(ACROSS, shaped, options))
        else:
            found.append(Arm(profile.value, shaped, options))
    if bottleneck is not None:
        slow = replace(options, lines=replace(options.lines, bandwidth=bottleneck))
        found += [
            Arm(f"{arm.name}, {SLOW}", arm.shaping, slow, f"{PLAIN}, {SLOW}") for arm in found if arm.name != ACROSS
        ]
    return tuple(found)


def record_arms(
    wanted: Sequence[Arm], worlds: int, seed: int, jobs: int, progress: _Tell | None = None
) -> list[Recording]:
    """Record simulated worlds.

    Args:
        wanted: what.
        worlds: of each.
        seed: draws everything; the worlds of all arms are the same but for the arm.
        jobs: processes; the result does not depend on it.
        progress: told what is recorded, and how much of it is done, from 0 to 1.

    Raises:
        ConfigError: there is no world.
        LocalError: a process has died.
    """
    found = []
    for arm in wanted:

        def tell(share: float, name: str = arm.name) -> None:
            if progress is not None:
                progress(name, share)

        one = record(arm.name, arm.shaping, worlds, seed, jobs, arm.options, tell)
        found.append(replace(one, beside=arm.beside))
    return found


def _one_epoch(shaping: Shaping, options: WatchOptions) -> Shaping:
    """So that the first epoch, a young one, outlasts the longest run that there can be."""
    windows = options.each * len(options.activities or tuple(Activity))
    longest = options.warm_up_s + windows * (options.window_s + options.rest_s[1] + options.patience_s)
    return replace(shaping, steady=replace(shaping.steady, epoch=seconds(STEADY_YOUNG_PART * longest)))
