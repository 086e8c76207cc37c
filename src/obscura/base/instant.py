"""Two clocks that do not mix.

The core never asks what time it is: ``now`` is an argument. Durations and deadlines live on the *monotonic* clock, in
whole microseconds, so that arithmetic is exact and a simulation repeats bit by bit. The *wall* clock, in whole Unix
seconds, serves only what strangers must agree about: the time in ``version``, the times of addresses, bans.
"""

from __future__ import annotations

from typing import NamedTuple, NewType

Instant = NewType("Instant", int)
"""A point on the monotonic clock, in microseconds since an arbitrary zero."""

Duration = NewType("Duration", int)
"""A span of monotonic time, in microseconds."""

WallTime = NewType("WallTime", int)
"""Seconds since 1970-01-01 UTC, from 0 to :data:`WALL_MOST`: a driver whose clock is elsewhere gives the nearer end."""

WALL_MOST = WallTime((1 << 32) - 1)
"""The last second that an address on the wire, or a block, can name (in 2106)."""

NEVER = WallTime(0)
"""The wall time that stands for "never happened"."""

MICROSECONDS = 1_000_000


class Now(NamedTuple):
    """Both clocks, read at one moment by the driver."""

    mono: Instant
    wall: WallTime


def seconds(value: float) -> Duration:
    """A duration of ``value`` seconds, rounded to a whole microsecond."""
    return Duration(round(value * MICROSECONDS))


def minutes(value: float) -> Duration:
    """A duration of ``value`` minutes."""
    return seconds(value * 60)


def whole_hour(wall: WallTime) -> WallTime:
    """The beginning of the hour, for what may be known to the hour and no nearer."""
    return WallTime(wall // 3_600 * 3_600)


def after(start: Instant, span: Duration) -> Instant:
    """The instant ``span`` after ``start``."""
    return Instant(start + span)


def earliest(*instants: Instant | None) -> Instant | None:
    """The earliest of the given instants; ``None`` stands for "no deadline"."""
    known = [instant for instant in instants if instant is not None]
    return min(known) if known else None
