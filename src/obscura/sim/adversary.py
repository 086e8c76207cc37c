"""An adversarial host: a station that speaks the real wire through a real channel, without a node behind it.

By itself it is polite: it greets, answers ``getheaders`` and ``getdata`` from what the hive knows, and dials honest
hosts again whenever it is thrown out. The kinds in :mod:`obscura.sim.adversaries` change what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from ..base.instant import Duration, Instant, seconds
from ..base.limits import CONNECT_TIMEOUT, HEADERS_ITEMS
from ..base.names import BlockHash, ConnId
from ..base.randomness import Chance
from ..channel import Answered, Channel, Closed, MessageFault, Opened, Role
from ..channel.transport import PlainTransport, Transport
from ..node.vault import Vault
from ..wire.address import NetAddress
from ..wire.blocks import Block, GetData, GetHeaders, Headers, NotFound
from ..wire.features import Feature, FeatureSet
from ..wire.greeting import PROTOCOL_VERSION, Version
from ..wire.identity import KeyClass
from ..wire.registry import Message
from ..wire.target import Mode
from .hive import Hive
from .host import host_address
from .journal import Kind
from .keys import make_vault
from .lines import Line
from .network import Network

_REDIAL: Final = seconds(60)  # mean wait before somebody else is dialled for a link that is gone


@dataclass(slots=True, eq=False)
class Link:
    """One link of an adversary."""

    conn: ConnId
    line: Line
    channel: Channel
    outbound: bool
    is_open: bool = False
    sent: int = 0
    """Free for a kind's own use."""


class Adversary:
    """Implements :class:`~obscura.sim.lines.Station`.

    Args:
        number: names it in the journal and decides its address.
        network: where it lives.
        hive: what all adversaries know.
        victims: whom it dials, at random.
        links: how many outbound links it keeps.
        every: mean time between two of its acts.
        kind: number of its kind, for the journal.
        address: where it is, if not where its number says.
        mode: how its links are protected, veiled or plain.
        vault: its keys; its own if not given. Many hosts may share some.
    """

    name: ClassVar[str] = "polite"
    mines: ClassVar[bool] = False
    """It can use units of work."""

    def __init__(
        self,
        number: int,
        network: Network,
        hive: Hive,
        victims: Sequence[NetAddress],
        *,
        links: int = 4,
        every: Duration | None = None,
        kind: int = 0,
        address: NetAddress | None = None,
        mode: Mode = Mode.VEILED,
        vault: Vault | None = None,
    ) -> None:
        self.number = number
        self.address = address or host_address(number)
        self.frozen = False
        self.hive = hive
        self.links: dict[ConnId, Link] = {}
        self.units = 0
        """Headers that it may mine."""
        self.chance: Chance = network.world.chance.fork(f"adversary {number}")
        self._vault = vault
        if vault is None and mode is not Mode.PLAIN:
            self._vault = make_vault(self.chance.fork("keys"))
        self._network = network
        self._world = network.world
        self._victims = tuple(victims)
        self._wanted = min(links, len(victims))
        self._every = every or seconds(60)
        self._kind = kind
        self._serial = 0
        self._dialling: dict[ConnId, None] = {}
        network.join(self)
        hive.watchers.append(self.learned)

    def start(self) -> None:
        """Dial, and begin to act."""
        for _ in range(self._wanted):
            self._dial()
        self._world.after(self.chance.exponential(self._every), self._act)

    # -- what a kind changes

    def version(self) -> Version:
        """What it says of itself."""
        tip = self.hive.tree.tip
        return Version(
            PROTOCOL_VERSION,
            self._world.now.wall,
            # A link in clear has no keys to go on with.
            FeatureSet(Feature.PRIVACY_FEATURES if self._vault is not None else Feature.NONE),
            "/Obscura:sim/",
            tip.hash,
            tip.height,
            self.chance.u64(),
        )

    def opened(self, link: Link) -> None:
        """A handshake is complete."""

    def heard(self, link: Link, message: Message) -> None:
        """A message has come."""
        match message:
            case GetHeaders():
                self.give_headers(link, message)
            case GetData():
                self.give_blocks(link, message)

    def act(self) -> None:
        """It is time for a mischief."""

    def found(self) -> None:
        """A unit of work was added to ``units``."""

    def learned(self) -> None:
        """The hive has a new tip, which most honest hosts have not heard of yet."""

    # -- what kinds use

    def give_headers(self, link: Link, message: GetHeaders) -> None:
        """The true headers."""
        tree = self.hive.tree
        entries = tree.after(tree.locate(message.locator), message.stop, HEADERS_ITEMS)
        self.say(link, Headers(tuple(entry.raw for entry in entries)))

    def give_blocks(self, link: Link, message: GetData) -> None:
        """The true blocks."""
        for item in message.items:
            [block] = self.hive.ledger.read_blocks((BlockHash(item.hash),))
            self.say(link, NotFound((item,)) if block is None else Block(block))

    def say(self, link: Link, message: Message) -> None:
        """Send a message on an open link."""
        if link.is_open and not link.channel.is_closed:
            link.channel.send(message)
            self.flush(link)

    def raw(self, link: Link, data: bytes, *, sealed: bool) -> None:
        """Send bytes that no channel would: inside the encryption, where there is some by now, or outside of it."""
        self.flush(link)
        if sealed and link.channel.transport.secured and not link.channel.is_closed:
            data = sealed_now(link.channel, data, self._world.time)
        if link.line.is_open:
            self._network.send(link.line, data)

    def mischief(self, link: Link | None = None, name: str = "") -> None:
        """Count and journal an act of this kind."""
        self.hive.count(name or self.name)
        self._network.journal.note(
            self._world.time, self.number, Kind.MISCHIEF, self._kind, 0 if link is None else link.conn
        )

    @property
    def open_links(self) -> list[Link]:
        """Links whose handshake is done, oldest first."""
        return [link for link in self.links.values() if link.is_open]

    def announce(self, link: Link, headers: Sequence[bytes]) -> None:
        """Show headers that nobody asked for."""
        self.say(link, Headers(tuple(headers)))

    def announce_tip(self) -> None:
        """Show the newest header to everybody, before anybody else does, so as to be asked for its block."""
        for link in self.open_links:
            self.announce(link, [self.hive.tree.tip.raw])

    def after(self, delay: int, call: Callable[..., None], *arguments: object) -> None:
        """Do something later."""
        self._world.after(delay, call, *arguments)

    # -- links

    def _dial(self) -> None:
        self._serial += 1
        conn = ConnId(self._serial)
        self._dialling[conn] = None
        self._network.dial(self, conn, self.chance.choice(self._victims), CONNECT_TIMEOUT)

    def _redial(self) -> None:
        self._world.after(self.chance.exponential(_REDIAL), self._dial)

    def _act(self) -> None:
        self.act()
        self._world.after(self.chance.exponential(self._every), self._act)

    def _add(self, conn: ConnId, line: Line, role: Role) -> Link:
        line.conn = conn
        chance, genesis, now = self.chance.fork(f"channel {conn}"), self.hive.tree.genesis.hash, self._world.now
        transport: Transport
        if self._vault is None:
            transport = PlainTransport()
        elif role is Role.INITIATOR:
            transport = self._vault.dial(genesis, Mode.VEILED, chance, now.wall, pin=None, secret=None)
        else:
            transport = self._vault.accept(genesis, Mode.VEILED, KeyClass.CLEARNET, chance, now.wall)
        channel = Channel(role, self.version(), lambda nonce: False, chance, now.mono, transport)
        link = self.links[conn] = Link(conn, line, channel, role is Role.INITIATOR)
        self.flush(link)
        return link

    def flush(self, link: Link) -> None:
        """Write what the channel wants written."""
        data = link.channel.take_data(self._world.time)
        if data and link.line.is_open:
            self._network.send(link.line, data)

    def drop(self, link: Link) -> None:
        """End a link."""
        if self.links.pop(link.conn, None) is not None:
            self._network.close(link.line)
            if link.outbound:
                self._redial()

    def on_accept(self, line: Line, address: NetAddress) -> ConnId | None:
        """See :class:`Station`."""
        self._serial += 1
        return self._add(ConnId(self._serial), line, Role.RESPONDER).conn

    def on_connected(self, conn: ConnId, line: Line) -> None:
        """See :class:`Station`."""
        del self._dialling[conn]
        self._add(conn, line, Role.INITIATOR)

    def on_dial_failed(self, conn: ConnId, reason: str) -> None:
        """See :class:`Station`."""
        del self._dialling[conn]
        self._redial()

    def on_data(self, conn: ConnId, data: bytes) -> None:
        """See :class:`Station`."""
        link = self.links.get(conn)
        if link is None:
            return
        link.channel.receive_data(data, self._world.time)
        while (event := link.channel.next_event(self._world.time)) is not None:
            match event:
                case Opened():
                    link.is_open = True
                    self.flush(link)
                    self.opened(link)
                case Closed():
                    self.drop(link)
                    return
                case MessageFault() | Answered():
                    pass
                case _:
                    self.heard(link, event)
        if link.channel.may_answer:
            link.channel.answer()
        self.flush(link)

    def on_gone(self, conn: ConnId) -> None:
        """See :class:`Station`."""
        link = self.links.get(conn)
        if link is not None:
            self.drop(link)

    def on_congestion(self, conn: ConnId, *, congested: bool) -> None:
        """See :class:`Station`. It does not care."""


def sealed_now(channel: Channel, data: bytes, now: Instant) -> bytes:
    """Bytes as they go over the wire inside a link's encryption, behind what it has sent so far."""
    channel.transport.put([data], now, urgent=True)
    return b"".join(channel.transport.take(now))
