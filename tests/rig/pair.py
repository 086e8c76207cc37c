"""Two channels joined by a wire that can cut the stream anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from obscura.base.instant import Instant, WallTime
from obscura.base.names import NULL_HASH
from obscura.base.randomness import Chance
from obscura.channel import Channel, ChannelEvent, Closed, Role
from obscura.wire.features import FeatureSet
from obscura.wire.greeting import Version

START = Instant(1_000_000)


def make_version(
    nonce: int = 7, features: FeatureSet | None = None, protocol: int = 1, agent: str = "/Obscura:0.1(python)/"
) -> Version:
    """A ``version`` with sensible fields."""
    return Version(protocol, WallTime(1_700_000_400), features or FeatureSet(), agent, NULL_HASH, 0, nonce)


def make_channel(
    role: Role, version: Version | None = None, own: Callable[[int], bool] = lambda nonce: False
) -> Channel:
    """A channel of one role at the start of time."""
    return Channel(role, version or make_version(1 if role is Role.INITIATOR else 2), own, Chance.from_seed(1), START)


@dataclass
class Pair:
    """An initiator and a responder, and the events that each has shown."""

    initiator: Channel = field(default_factory=lambda: make_channel(Role.INITIATOR))
    responder: Channel = field(default_factory=lambda: make_channel(Role.RESPONDER))
    at_initiator: list[ChannelEvent] = field(default_factory=list)
    at_responder: list[ChannelEvent] = field(default_factory=list)
    now: Instant = START

    def pump(self, step: int = 1 << 30) -> None:
        """Carry bytes both ways, ``step`` at a time, until nothing moves."""
        moved = True
        while moved:
            moved = False
            for source, target, events in (
                (self.initiator, self.responder, self.at_responder),
                (self.responder, self.initiator, self.at_initiator),
            ):
                data = source.take_data(self.now)
                for at in range(0, len(data), step):
                    moved = True
                    target.receive_data(data[at : at + step], self.now)
                    drain(target, events, self.now)
            drain(self.initiator, self.at_initiator, self.now)
            drain(self.responder, self.at_responder, self.now)


def drain(channel: Channel, events: list[ChannelEvent], now: Instant) -> None:
    """Pull all events."""
    while (event := channel.next_event(now)) is not None:
        events.append(event)


def opened_pair(step: int = 1 << 30) -> Pair:
    """A pair whose handshake is done and whose first pings are answered."""
    pair = Pair()
    pair.pump(step)
    return pair


def feed(channel: Channel, data: bytes, now: Instant = START) -> list[ChannelEvent]:
    """Give bytes and pull all events."""
    channel.receive_data(data, now)
    events: list[ChannelEvent] = []
    drain(channel, events, now)
    return events


def closing_rule(events: list[ChannelEvent]) -> str | None:
    """The rule of the last event, if it closed the channel."""
    return events[-1].rule if events and isinstance(events[-1], Closed) else None
