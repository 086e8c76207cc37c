"""A node with keys, under virtual time, and links to it that are channels in a test's hands."""

from __future__ import annotations

from veil import STATIC, SeededKeys, secure_channel

from obscura.base.errors import StoreError
from obscura.base.instant import Duration, Instant, Now, WallTime
from obscura.base.names import ConnId
from obscura.base.randomness import Chance
from obscura.channel import Channel, Opened, Role
from obscura.crypto.agreement import KeyPair
from obscura.ledgers.memory import MemoryLedger
from obscura.node import Node, NodeConfig
from obscura.node.effects import Admit, Drop, Effect, LinkClosed, Send, Tell
from obscura.node.vault import Vault
from obscura.peers.pins import NamedPin
from obscura.peers.replay import ReplayGuard
from obscura.shaping import Shaping
from obscura.wire.address import NetAddress, Network
from obscura.wire.identity import KeyClass
from obscura.wire.target import Mode, Target

START = Instant(1_000_000)
WALL = WallTime(1_700_000_000)
OTHER = KeyPair(b"\x11" * 32)


def address(number: int, group: int = 1) -> NetAddress:
    return NetAddress(Network.IPV4, bytes([8, group, number // 250, number % 250 + 1]), 8333)


class Rig:
    """A node, and links to it that are channels in our hands."""

    def __init__(
        self,
        mode: Mode = Mode.VEILED,
        connect: tuple[Target, ...] = (),
        pins: tuple[NamedPin, ...] = (),
        shaping: Shaping | None = None,
        replays: ReplayGuard | None = None,
        seed: int = 3,
        discover: bool = False,
        hidden: NetAddress | None = None,
        **vault: object,
    ) -> None:
        self.replays = replays
        self.ledger = MemoryLedger(relays=False)
        self.genesis = self.ledger.identify_header(self.ledger.genesis).hash
        config = NodeConfig(
            network="memory",
            user_agent="/t/",
            transport=mode,
            shaping=shaping or Shaping(),
            connect=connect,
            discover=discover,
            hidden=hidden,
            outbound_slots=0,
        )
        self.now = Now(START, WALL)
        keys = Vault(keys=SeededKeys(50), statics={KeyClass.CLEARNET: STATIC}, **vault)  # type: ignore[arg-type]
        self.node = Node(
            config, self.ledger, Chance.from_seed(seed), self.ledger.restore(), (), self.now, pins=pins, vault=keys
        )
        self.effects: list[Effect] = []
        self.node.start(self.now)

    def later(self, span: Duration) -> None:
        self.now = Now(Instant(self.now.mono + span), WallTime(self.now.wall + span // 1_000_000))

    def run(self, span: Duration) -> None:
        """Let time pass, with every deadline at its moment."""
        end = self.now.mono + span
        while (deadline := self.node.next_deadline()) is not None and deadline <= end:
            self.later(Duration(max(0, deadline - self.now.mono)))
            self.node.handle_deadline(self.now)
            self.drain()
        self.later(Duration(end - self.now.mono))

    def drain(self) -> list[Effect]:
        fresh: list[Effect] = []
        while effects := self.node.take_effects():
            fresh += effects
            for effect in effects:
                if isinstance(effect, Admit):
                    self.admit(effect)
        self.effects += fresh
        self.node.check()
        return fresh

    def admit(self, effect: Admit) -> None:
        """Ask the guard, as a driver does; without one its answer is the test's to give."""
        if self.replays is None:
            return
        try:
            [new], trouble = self.replays.admit([(effect.shown, effect.at)]), ""
        except StoreError as error:
            new, trouble = False, str(error)
        self.node.admitted(effect.conn, new, self.now, trouble=trouble)

    def sent(self, conn: ConnId) -> bytes:
        self.sent_so_far(conn)
        self.drain()
        return self.sent_so_far(conn)

    def sent_so_far(self, conn: ConnId) -> bytes:
        """What was sent to a link in effects that were drained by :meth:`run`; each is given once."""
        found = [one for one in self.effects if isinstance(one, Send) and one.conn == conn]
        self.effects = [one for one in self.effects if one not in found]
        return b"".join(one.data for one in found)

    def give(self, conn: ConnId, data: bytes) -> bytes:
        self.node.receive(conn, data, self.now)
        return self.sent(conn)

    def accept(self, number: int = 1, group: int = 1) -> ConnId:
        conn = self.node.accepted(address(number, group), self.now)
        assert conn is not None
        assert self.sent(conn) == b"", "a responder does not speak first"
        return conn

    def link(self, conn: ConnId, channel: Channel) -> list[object]:
        """Pump a link until it rests; what the channel has told."""
        told: list[object] = []
        out = b""
        while data := channel.take_data(self.now.mono):
            out = self.give(conn, data)
            channel.receive_data(out, self.now.mono)
            while (event := channel.next_event(self.now.mono)) is not None:
                told.append(event)
            if channel.may_answer:
                channel.answer()
        return told

    def dropped(self, conn: ConnId) -> bool:
        return Drop(conn) in self.effects

    def closed(self) -> list[str]:
        return [one.event.reason for one in self.effects if isinstance(one, Tell) and isinstance(one.event, LinkClosed)]


def opened(rig: Rig, **options: object) -> tuple[ConnId, Channel]:
    conn = rig.accept()
    channel = secure_channel(Role.INITIATOR, genesis=rig.genesis, **options)  # type: ignore[arg-type]
    told = rig.link(conn, channel)
    assert isinstance(told[0], Opened)
    return conn, channel
