"""What somebody on the line sees of one link, and what was going on meanwhile: the material of ``obscura audit``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Activity(Enum):
    """What the watched node and its neighbours do during a window."""

    IDLE = "idle"
    """Nothing but what links say by themselves."""
    SYNC = "sync"
    """The node catches up by many blocks."""
    BLOCK = "block"
    """One block is found elsewhere and arrives."""
    OWN = "own"
    """The node's operator sends a transaction."""
    RELAYED = "relayed"
    """Somebody else's transaction comes by."""


class Seen(NamedTuple):
    """One write, as it is on the line: encryption leaves its time, its direction and its length."""

    at: int
    """Microseconds since the window began."""
    size: int
    """Bytes; positive from the watched node, negative to it."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of one link, of one length for all windows of a recording."""

    world: int
    """Number of the seed; windows of one world are never both in training and in test."""
    topology: int
    """How the world is wired: how many links the watched node has, of which one is watched."""
    activity: Activity
    seen: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Course:
    """The whole measured time of one world, for the test of volume against block times."""

    world: int
    topology: int
    volume: tuple[int, ...]
    """Bytes on the watched link, both ways together, in each second."""
    blocks: tuple[int, ...]
    """Seconds in which a block was found, by anybody. What was found in a part of the network that was cut off counts,
    once, when that is whole again: nobody could know before."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the watched link cost in one world, both directions together, while it was measured."""

    world: int
    topology: int
    seconds: float
    wire: int
    """Bytes of the stream, of all kinds."""
    real: int
    """Of these, messages."""
    padding: int
    decoy: int
    block_delays: tuple[float, ...]
    """Seconds from a block's finding until the watched node's tip is this block."""
    relayed_delays: tuple[float, ...]
    """Seconds from another one's sending of a transaction until the watched node has it."""
    own_delays: tuple[float, ...]
    """Seconds from our operator's sending until half of the other nodes have it."""


@dataclass(frozen=True, slots=True)
class Recording:
    """All that was recorded of one profile."""

    name: str
    """Of the profile, or of a variant of it: ``steady, across epochs``."""
    window_s: float
    windows: tuple[Window, ...]
    courses: tuple[Course, ...]
    costs: tuple[Cost, ...]
    late: tuple[Activity, ...] = ()
    """Windows that are here though what they are about went on after their end, one entry each: where links are slow.
    The watched node had noticed it before."""
    left_out: tuple[Activity, ...] = ()
    """Windows that are not here, one entry each: what they are about did not reach the watched node in them, or did
    not come to its end."""
    beside: str = "off"
    """Name of the recording with which delays are compared: the same without shaping."""
