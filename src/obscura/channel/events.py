"""What a channel tells its owner, one event at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ..wire.features import FeatureSet
from ..wire.greeting import Version
from ..wire.registry import Message


@dataclass(frozen=True, slots=True)
class Opened:
    """The handshake is complete: messages may be sent. ``in_force`` is what both sides support."""

    version: Version
    in_force: FeatureSet


@dataclass(frozen=True, slots=True)
class MessageFault:
    """A message was dropped because it could not be read, and the fault budget was charged. If it was the answer to
    a request, that request has failed."""

    type_name: str
    rule: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The last event of a channel. ``rule`` names what was broken, or how the link ended; ``fault`` says whether the
    peer broke a rule; ``silent`` that the connection is not to end now, but to go silent (transport: "Silence")."""

    rule: str
    detail: str = ""
    fault: bool = False
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """The peer has answered the ping of a quiet link's owner: it has read what was sent before."""


ChannelEvent: TypeAlias = Opened | MessageFault | Answered | Closed | Message
"""A message stands for itself: it is legal now, and it was read."""
