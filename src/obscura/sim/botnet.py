"""One attacker with many addresses, who wants one node for himself.

Each address is a station (:class:`Bot`); what they do is decided in one place (:class:`Botnet`), which knows of every
link and from which address it is. Addresses of one attacker cost him little; what he cannot do is cut the lines of
others, read what is encrypted, or mine more than he pays for (here: nothing).

What he does is :class:`Tactics`: how he comes in, what he does there, and what becomes of a dial to him.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Final

from ..base.instant import Duration, WallTime, seconds
from ..base.limits import ADDR_ITEMS
from ..base.names import NULL_HASH, ConnId
from ..base.randomness import Chance
from ..chain import HEADER_BYTES
from ..node.vault import Vault
from ..wire.address import AddressEntry, NetAddress
from ..wire.blocks import GetHeaders
from ..wire.gossip import Addr
from ..wire.greeting import PROTOCOL_VERSION, GetAddr
from ..wire.registry import Message
from ..wire.target import Mode
from .adversary import Adversary, Link
from .crowd import public_address
from .hive import Hive
from .lines import Line
from .network import Network

_JUNK_GROUPS: Final = 8_000  # groups of invented addresses, none of them an attacker's own
_LORIS_BYTE: Final = b"\x00"


class Service(Enum):
    """How the botnet treats whoever dials it."""

    GOOD = "good"
    """As the best of peers: it answers, and has every block first."""
    BLACK_HOLE = "black hole"
    """It completes the handshake, and is never heard of again."""
    SILENT = "silent"
    """It takes the connection, and never completes the handshake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tactics:
    """What a botnet does. Times are means of exponential ones; ``None`` is never."""

    links: int = 0
    """Links that it wants to hold open at the victim, from as many addresses."""
    press: Duration = field(default_factory=lambda: seconds(1))
    """Between two dials, while it has fewer; see ``storm``."""
    storm: bool = False
    """It goes on dialling however many links it holds, so that each dial may cost somebody a slot."""
    hold: Duration | None = None
    """How long it keeps a link before another address takes a turn."""
    service: Service = Service.GOOD
    """For whom the victim dials."""
    visit: Duration | None = None
    """How long the first link that the victim opens to each of its addresses lasts before it hangs up; later ones
    stay. So many more of its addresses are dialled, and reached."""
    mute: bool = False
    """Its own links are black holes as well: nothing is said after the handshake."""
    loris: int = 0
    """Connections that it holds without ever completing a handshake, a byte now and then."""
    drip: Duration = field(default_factory=lambda: seconds(12))
    """Between two bytes of such a connection."""
    tell: Duration | None = None
    """Between two messages of addresses, over all of its links; each from a random one."""
    told: int = 60
    """Addresses in each."""
    junk: bool = False
    """They are invented, of random groups; else its own."""
    headers: Duration | None = None
    """Between two bursts of requests for headers and of headers that connect to nothing, over all of its links."""
    burst: int = 20
    """Messages in each."""
    first: bool = True
    """It shows new blocks before anybody else does."""
    way: Duration = field(default_factory=lambda: seconds(0.002))
    """One way from each of its hosts to the middle of the network: near, so that its pings are the best."""


class Botnet:
    """The mind.

    Args:
        addresses: where it is.
        network: where it lives.
        hive: knows the chain.
        victim: whom it is about.
        tactics: what it does.
        vault: keys of all its hosts; without any they speak in clear.
        first: number of its first host.
    """

    def __init__(
        self,
        addresses: Sequence[NetAddress],
        network: Network,
        hive: Hive,
        victim: NetAddress,
        tactics: Tactics,
        *,
        vault: Vault | None,
        first: int,
    ) -> None:
        self.addresses = tuple(addresses)
        self.tactics = tactics
        self.victim = victim
        self.chance: Chance = network.world.chance.fork("botnet")
        self.network = network
        self.hive = hive
        self.raws = {address.raw: None for address in self.addresses}
        """To tell its addresses from others, whatever their port."""
        self.awake = True
        """It acts of its own; asleep it only answers."""
        self.open_inbound: dict[Bot, None] = {}
        """Hosts with an open link that they have dialled."""
        self._coming: dict[Bot, None] = {}
        """Those on the way to one."""
        self.bots = [
            Bot(first + index, self, address=address, vault=vault) for index, address in enumerate(self.addresses)
        ]
        self._free: dict[Bot, None] = dict.fromkeys(self.bots)
        """Hosts that have neither a link nor a dial of their own."""

    def start(self) -> None:
        """Begin to act."""
        tactics = self.tactics
        if tactics.links:
            self._soon(tactics.press, self._press)
        if tactics.tell is not None:
            self._soon(tactics.tell, self._tell)
        if tactics.headers is not None:
            self._soon(tactics.headers, self._pester)
        for _ in range(tactics.loris):
            self._soon(tactics.press, self._crawl)

    def owns(self, address: NetAddress) -> bool:
        """Whether an address is the attacker's."""
        return address.raw in self.raws

    # -- coming in

    def _soon(self, mean: Duration, act: Callable[[], None]) -> None:
        self.network.world.after(self.chance.exponential(mean), act)

    def _take_free(self) -> Bot | None:
        """The host that has been without a link for longest, so that all have their turns."""
        if not self._free:
            return None
        bot = next(iter(self._free))
        del self._free[bot]
        return bot

    def _press(self) -> None:
        tactics = self.tactics
        if self.awake and (tactics.storm or len(self.open_inbound) + len(self._coming) < tactics.links):
            bot = self._take_free()
            if bot is not None:
                self._coming[bot] = None
                bot.dial()
        self._soon(tactics.press, self._press)

    def _crawl(self) -> None:
        """Hold one more connection without a handshake."""
        bot = self._take_free() if self.awake else None
        if bot is not None:
            bot.crawl()
        else:
            self._soon(self.tactics.press, self._crawl)

    def lost(self, bot: Bot, *, crawled: bool) -> None:
        """A host's own link, or dial, is over."""
        self.open_inbound.pop(bot, None)
        self._coming.pop(bot, None)
        self._free[bot] = None
        if crawled:
            self._soon(self.tactics.press, self._crawl)

    def came_in(self, bot: Bot, link: Link) -> None:
        """A host's own link stands."""
        self._coming.pop(bot, None)
        self.open_inbound[bot] = None
        if self.tactics.hold is not None:
            self.network.world.after(self.chance.exponential(self.tactics.hold), bot.drop, link)

    # -- acting

    def entries(self, wall: WallTime, count: int) -> tuple[AddressEntry, ...]:
        """Addresses to tell, as fresh as can be."""
        if self.tactics.junk:
            return tuple(
                AddressEntry(wall, 0, public_address(self.chance.below(_JUNK_GROUPS), self.chance.below(1 << 16)))
                for _ in range(count)
            )
        start = self.chance.below(len(self.addresses))
        count = min(count, len(self.addresses))
        # In a row from a random start: all are told equally often.
        return tuple(
            AddressEntry(wall, 0, self.addresses[(start + index) % len(self.addresses)]) for index in range(count)
        )

    def _some_link(self) -> tuple[Bot, Link] | None:
        if not self.open_inbound:
            return None
        # The one that has not acted for longest.
        bot = next(iter(self.open_inbound))
        del self.open_inbound[bot]
        self.open_inbound[bot] = None
        link = bot.own_link
        return None if link is None else (bot, link)

    def _tell(self) -> None:
        tactics = self.tactics
        assert tactics.tell is not None, "it tells"
        some = self._some_link() if self.awake else None
        if some is not None:
            bot, link = some
            bot.say(link, Addr(self.entries(self.network.world.now.wall, tactics.told)))
        self._soon(tactics.tell, self._tell)

    def _pester(self) -> None:
        tactics = self.tactics
        assert tactics.headers is not None, "it pesters"
        some = self._some_link() if self.awake else None
        if some is not None:
            bot, link = some
            genesis = self.hive.tree.genesis.hash
            for _ in range(tactics.burst):
                bot.say(link, GetHeaders(PROTOCOL_VERSION, (genesis,), NULL_HASH))
            # Its parent is known to nobody.
            bot.announce(link, [self.hive.branch(self.hive.tree.tip, 2)[1][:HEADER_BYTES]])
        self._soon(tactics.headers, self._pester)


class Bot(Adversary):
    """One address of a botnet. A link of it with ``sent`` set is a black hole."""

    name: ClassVar[str] = "bot"

    def __init__(self, number: int, mind: Botnet, *, address: NetAddress, vault: Vault | None) -> None:
        super().__init__(
            number,
            mind.network,
            mind.hive,
            (mind.victim,),
            links=1,
            address=address,
            mode=Mode.PLAIN if vault is None else Mode.VEILED,
            vault=vault,
        )
        mind.network.distances[number] = mind.tactics.way
        self.own_link: Link | None = None
        """The link that it has dialled."""
        self._mind = mind
        self._visited = False
        """The victim has opened a link to it before."""
        self._crawling = False
        self._raw_lines: dict[ConnId, Line] = {}
        """Connections on which it does not shake hands."""

    def dial(self) -> None:
        """Go in as an honest peer does."""
        self._crawling = False
        self._dial()

    def crawl(self) -> None:
        """Connect, and never complete the handshake."""
        self._crawling = True
        self._dial()

    def _redial(self) -> None:
        """The mind decides who dials."""
        crawled, self._crawling = self._crawling, False
        self.own_link = None
        self._mind.lost(self, crawled=crawled)

    def on_accept(self, line: Line, address: NetAddress) -> ConnId | None:
        """See :class:`~obscura.sim.lines.Station`."""
        if self._mind.tactics.service is not Service.SILENT:
            return super().on_accept(line, address)
        self._serial += 1
        line.conn = ConnId(self._serial)
        self._raw_lines[line.conn] = line
        return line.conn

    def on_connected(self, conn: ConnId, line: Line) -> None:
        """See :class:`~obscura.sim.lines.Station`."""
        if not self._crawling:
            super().on_connected(conn, line)
            return
        del self._dialling[conn]
        line.conn = conn
        self._raw_lines[conn] = line
        self._drip(conn)

    def _drip(self, conn: ConnId) -> None:
        line = self._raw_lines.get(conn)
        if line is not None and line.is_open:
            self._network.send(line, _LORIS_BYTE)
            self.after(self._mind.tactics.drip, self._drip, conn)

    def flush(self, link: Link) -> None:
        """A black hole writes nothing once the handshake is done. (What it should have said is lost.)"""
        if link.sent:
            link.channel.take_data(self._world.time)
        else:
            super().flush(link)

    def on_gone(self, conn: ConnId) -> None:
        """See :class:`~obscura.sim.lines.Station`."""
        if self._raw_lines.pop(conn, None) is not None:
            if self._crawling:
                self._redial()
            return
        super().on_gone(conn)

    def opened(self, link: Link) -> None:
        """A link stands."""
        tactics = self._mind.tactics
        link.sent = tactics.mute if link.outbound else tactics.service is Service.BLACK_HOLE
        if link.outbound:
            self.own_link = link
            self._mind.came_in(self, link)
        elif tactics.visit is not None and not self._visited:
            self._visited = True
            self.after(self._mind.chance.exponential(tactics.visit), self.drop, link)

    def learned(self) -> None:
        """There is a new block, and nobody has shown it yet."""
        if self._mind.tactics.first:
            self.announce_tip()

    def heard(self, link: Link, message: Message) -> None:
        """Answer as an honest peer does, but for addresses: there are none but the botnet's."""
        if isinstance(message, GetAddr):
            self.say(link, Addr(self._mind.entries(self._world.now.wall, ADDR_ITEMS)))
        else:
            super().heard(link, message)
