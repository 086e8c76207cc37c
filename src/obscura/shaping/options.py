"""What an operator decides about the shape of links: a profile for each class of them, and what they may cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from ..base.errors import BugError
from ..base.instant import Duration, seconds
from ..base.limits import (
    COVER_DELAY,
    COVER_DELAY_MOST,
    COVER_RATE,
    COVER_SHARE,
    COVER_SHARE_MOST,
    STEADY_EPOCH,
    STEADY_EPOCH_LEAST,
    STEADY_HIGHEST,
    STEADY_LOWEST,
    STEADY_SMALLEST,
    STEADY_STEP,
    STEADY_STEPS,
    STEADY_TOTAL,
)


class Profile(Enum):
    """The profiles by their names in the settings, by what they cost."""

    OFF = "off"
    PAD = "pad"
    COVER = "cover"
    STEADY = "steady"


class LinkClass(Enum):
    """Which links a choice is for, from the most particular to the most general. The first that is chosen for, and
    that a link belongs to, decides."""

    NAMED = "named"
    """Peers that the operator named."""
    ONION = "onion"
    """By Tor to or from an onion service; as the next ones, whoever has dialled."""
    I2P = "i2p"
    CJDNS = "cjdns"
    CLEARNET = "clearnet"
    INBOUND = "inbound"
    OUTBOUND = "outbound"


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverOptions:
    """Bounds of ``cover``, for our side of each link."""

    rate: int = COVER_RATE
    """Bytes a second of decoys, on average, that are allowed whatever else is sent: what an idle link costs."""
    share: int = COVER_SHARE
    """Percent of all that is sent that decoys beyond that may be: 50 allows a byte of them for a real one."""
    delay: Duration = COVER_DELAY
    """How long real traffic that is not urgent is held at most."""

    def __post_init__(self) -> None:
        if self.rate < 0 or not 0 <= self.share <= COVER_SHARE_MOST or not 0 <= self.delay <= COVER_DELAY_MOST:
            msg = f"cover of {self.rate} B/s, {self.share} percent and {self.delay} µs is out of its bounds"
            raise BugError(msg)


LADDER_OF_RATES: Final = tuple(STEADY_SMALLEST * STEADY_STEP**step for step in range(STEADY_STEPS))
"""Bytes a second: 1 KiB, and each four times the one before, to 1 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SteadyOptions:
    """Bounds of ``steady``, for our side of each link."""

    lowest: int = STEADY_LOWEST
    """Bytes a second at which a link begins and below which it never goes, of :data:`LADDER_OF_RATES`."""
    highest: int = STEADY_HIGHEST
    """And above which it never goes."""
    epoch: Duration = STEADY_EPOCH
    """How long a rate stays at least."""
    total: int = STEADY_TOTAL
    """Bytes a second up to which rates may rise, all links together that others have opened, by class of networks."""

    def __post_init__(self) -> None:
        known = self.lowest in LADDER_OF_RATES and self.highest in LADDER_OF_RATES
        if not known or self.lowest > self.highest or self.epoch < STEADY_EPOCH_LEAST or self.total < 0:
            msg = f"rates from {self.lowest} to {self.highest} B/s for {self.epoch} µs are out of their bounds"
            raise BugError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaping:
    """How our side of all encrypted links looks."""

    profile: Profile = Profile.PAD
    """Of links for which nothing else is chosen."""
    choices: tuple[tuple[LinkClass, Profile], ...] = ()
    """At most one for a class."""
    cover: CoverOptions = field(default_factory=CoverOptions)
    steady: SteadyOptions = field(default_factory=SteadyOptions)

    def of(self, *classes: LinkClass) -> Profile:
        """The profile of a link that belongs to these classes."""
        chosen = dict(self.choices)
        return next((chosen[one] for one in LinkClass if one in classes and one in chosen), self.profile)

    @property
    def in_use(self) -> tuple[Profile, ...]:
        """All profiles that some link may have."""
        named = [self.profile, *(profile for _, profile in self.choices)]
        return tuple(profile for profile in Profile if profile in named)


def monthly(rate: float) -> int:
    """Bytes in 30 days at ``rate`` bytes a second."""
    return round(rate * (seconds(30 * 86_400) / seconds(1)))
