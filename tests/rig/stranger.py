"""A peer that a test plays by hand: it speaks to one node in messages and may break any rule."""

from __future__ import annotations

from nodes import Host, World
from pair import make_version

from obscura.base.names import ConnId
from obscura.node.effects import Drop, Effect, LinkClosed, Send
from obscura.wire.address import NetAddress, parse_address
from obscura.wire.features import Feature, FeatureSet
from obscura.wire.frame import HEADER_SIZE, parse_header
from obscura.wire.greeting import GetAddr, Ping, Pong, Verack, Version
from obscura.wire.registry import BY_TYPE_FIELD, Message, encode_message


class Stranger:
    """An inbound link to ``host``. ``inbox`` holds what the node said, pings and the handshake left out."""

    def __init__(
        self,
        world: World,
        host: Host,
        address: str = "127.200.1.1:50000",
        *,
        greet: bool = True,
        features: Feature = Feature.NONE,
    ) -> None:
        self.world = world
        self.host = host
        self.address: NetAddress = parse_address(address)
        conn = host.node.accepted(self.address, world.now)
        assert conn is not None, "the node has a free slot"
        self.conn: ConnId = conn
        self.inbox: list[Message] = []
        self.closed = False
        self._stream = b""
        previous = host.filter

        def catch(effect: Effect) -> bool:
            if isinstance(effect, Send) and effect.conn == conn:
                self._stream += effect.data
                return False
            if isinstance(effect, Drop) and effect.conn == conn:
                self.closed = True
            return previous(effect)

        host.filter = catch
        if greet:
            self.say(make_version(4242, FeatureSet(features)), Verack())
            self.inbox.clear()

    def say(self, *messages: Message) -> list[Message]:
        """Send messages; returns what the node answers."""
        return self.send(b"".join(encode_message(message) for message in messages))

    def send(self, data: bytes) -> list[Message]:
        """Send raw bytes; returns what the node answers."""
        self.host.node.receive(self.conn, data, self.world.now)
        self.world.run()
        return self.read()

    def read(self) -> list[Message]:
        """What came since the last look."""
        fresh: list[Message] = []
        while len(self._stream) >= HEADER_SIZE:
            size, field, _ = parse_header(self._stream, 0)
            message = BY_TYPE_FIELD[field].message.from_payload(self._stream[HEADER_SIZE : HEADER_SIZE + size])
            self._stream = self._stream[HEADER_SIZE + size :]
            if type(message) is Ping:
                self.host.node.receive(self.conn, encode_message(Pong(message.nonce)), self.world.now)
            elif not isinstance(message, Version | Verack | GetAddr):
                fresh.append(message)
        self.inbox.extend(fresh)
        return fresh

    @property
    def reason(self) -> str:
        """Why the link ended."""
        return next(
            event.reason for event in self.host.events if isinstance(event, LinkClosed) and event.conn == self.conn
        )
