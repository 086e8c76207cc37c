"""Honest strangers around one node: many light stations that speak the real wire, without a node behind them.

A citizen does what an honest node does where others can see it. It accepts links, or has no slot left; it dials the one
node that is looked at from time to time; it answers ``getaddr`` with what the crowd knows, tells its own address, shows
the header of each new block after a delay of its own, and serves headers and blocks. Its links end by themselves: hosts
are switched off, lines break. What it does not do: relay transactions, or judge what it is told.

Addresses are of public IPv4, so that network groups and what may be gossiped are as in life.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from ..base.errors import BugError
from ..base.instant import Duration, WallTime, minutes, seconds
from ..base.limits import ADDR_ITEMS, GETADDR_SHARE
from ..base.names import ConnId
from ..base.randomness import Chance
from ..node.vault import Vault
from ..wire.address import AddressEntry, NetAddress
from ..wire.address import Network as AddressNetwork
from ..wire.blocks import Headers
from ..wire.gossip import Addr
from ..wire.greeting import GetAddr
from ..wire.registry import Message
from ..wire.target import Mode
from .adversary import Adversary, Link
from .hive import Hive
from .host import PORT
from .lines import Line
from .network import Network

_FIRST_BYTE: Final = 16  # of the first group; from here to 95 every address is public
_GROUPS: Final = 80 * 256
_MEMBERS: Final = 1 << 16
_SEEN_AGO: Final = 86_400  # seconds: how old what a citizen answers may be
_LEARNT: Final = 64  # addresses that a citizen remembers of what it was told
_FIRST_ATTACKER: Final = 10_000  # groups from here on are left to attackers


def public_address(group: int, member: int = 1) -> NetAddress:
    """The ``member``-th address of a public /16; groups from 0.

    Raises:
        BugError: there are not so many.
    """
    if not (0 <= group < _GROUPS and 0 <= member < _MEMBERS):
        msg = f"group {group}, member {member}: there are {_GROUPS} groups of {_MEMBERS}"
        raise BugError(msg)
    raw = bytes((_FIRST_BYTE + group // 256, group % 256, member // 256, member % 256))
    return NetAddress(AddressNetwork.IPV4, raw, PORT)


def attacker_address(group: int, member: int) -> NetAddress:
    """The ``member``-th address of an attacker's ``group``-th /16, where no honest one is."""
    return public_address(_FIRST_ATTACKER + group, member)


def onion_address(chance: Chance) -> NetAddress:
    """A random Tor v3 address; nobody checks that it is a key."""
    return NetAddress(AddressNetwork.TORV3, chance.take_bytes(32), PORT)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdOptions:
    """How honest strangers are. Times are means of exponential ones, in microseconds."""

    citizens: int = 60
    """How many there are, each in a network group of its own."""
    session: Duration = field(default_factory=lambda: minutes(30))
    """How long a link lasts before its citizen ends it."""
    visit: Duration = field(default_factory=lambda: minutes(60))
    """Between a citizen's link to the node that is looked at and its next dial of it; the first comes within it."""
    full: float = 0.2
    """That all of a citizen's slots are taken by others when it is dialled."""
    slots: int = 8
    """Links that a citizen takes from us."""
    gossip: Duration = field(default_factory=lambda: minutes(10))
    """Between two addresses that a citizen passes on to each of its links."""
    delay: Duration = field(default_factory=lambda: seconds(1))
    """Between a block and its header on a citizen's links."""
    near: Duration = field(default_factory=lambda: seconds(0.005))
    far: Duration = field(default_factory=lambda: seconds(0.1))
    """One way from a citizen to the middle of the network, at least and at most."""


class Crowd:
    """What citizens share: who they are, and what they believe of others.

    Args:
        options: how they are.
        rumours: addresses that their answers may hold besides their own: of the dead, and of attackers.
    """

    def __init__(self, options: CrowdOptions, rumours: Sequence[NetAddress] = ()) -> None:
        self.options = options
        self.addresses = [public_address(number) for number in range(options.citizens)]
        self.rumours = list(rumours)
        self.citizens: list[Citizen] = []

    def settle(self, network: Network, hive: Hive, victim: NetAddress, *, vault: Vault | None, first: int) -> None:
        """Have all of them listen, and begin their lives.

        Args:
            network: where they live.
            hive: knows the chain.
            victim: the node that is looked at.
            vault: their keys; without any they speak in clear.
            first: the number of the first of them.
        """
        for index, address in enumerate(self.addresses):
            citizen = Citizen(first + index, network, hive, victim, self, address=address, vault=vault)
            self.citizens.append(citizen)
            citizen.start()

    def answer(self, chance: Chance, wall: WallTime, learnt: Sequence[NetAddress]) -> tuple[AddressEntry, ...]:
        """What one citizen answers to ``getaddr``: a part of what it knows, seen within a day."""
        known = [*self.addresses, *self.rumours, *learnt]
        share = chance.sample(known, min(ADDR_ITEMS, max(1, len(known) * GETADDR_SHARE // 100)))
        return tuple(AddressEntry(WallTime(wall - chance.below(_SEEN_AGO)), 0, address) for address in share)


class Citizen(Adversary):
    """One honest stranger. A link of it with ``sent`` set is one that it has no slot for."""

    name: ClassVar[str] = "citizen"

    def __init__(
        self,
        number: int,
        network: Network,
        hive: Hive,
        victim: NetAddress,
        crowd: Crowd,
        *,
        address: NetAddress,
        vault: Vault | None,
    ) -> None:
        super().__init__(
            number,
            network,
            hive,
            (victim,),
            links=1,
            address=address,
            mode=Mode.PLAIN if vault is None else Mode.VEILED,
            vault=vault,
        )
        options = crowd.options
        self._crowd = crowd
        self._options = options
        self._learnt: list[NetAddress] = []
        self._answer: tuple[AddressEntry, ...] = ()
        network.distances[number] = self.chance.span(options.near, options.far)

    def start(self) -> None:
        """Dial for the first time within a visit's mean, so that the crowd does not come all at once."""
        self.after(self.chance.below(self._options.visit), self._visit)

    def _visit(self) -> None:
        if self.links or self._dialling:
            # They are linked already, whoever dialled.
            self._redial()
        else:
            self._dial()

    def _redial(self) -> None:
        self.after(self.chance.exponential(self._options.visit), self._visit)

    def on_accept(self, line: Line, address: NetAddress) -> ConnId | None:
        """See :class:`~obscura.sim.lines.Station`. Who is full says so as nodes do: by an end after the handshake."""
        full = len(self.links) >= self._options.slots or self.chance.uniform() < self._options.full
        conn = super().on_accept(line, address)
        if conn is not None:
            self.links[conn].sent = full
        return conn

    def opened(self, link: Link) -> None:
        """Tell where it is; some time the link ends."""
        if link.sent:
            self.drop(link)
            return
        if link.outbound:
            self.say(link, GetAddr())
        self.say(link, Addr((AddressEntry(self._world.now.wall, 0, self.address),)))
        self.after(self.chance.exponential(self._options.session), self.drop, link)
        self.after(self.chance.exponential(self._options.gossip), self._pass_on, link)

    def heard(self, link: Link, message: Message) -> None:
        """Answer ``getaddr`` once a day, remember addresses, serve the chain."""
        match message:
            case GetAddr():
                if not self._answer:
                    self._answer = self._crowd.answer(self.chance, self._world.now.wall, self._learnt)
                self.say(link, Addr(self._answer))
            case Addr(entries):
                self._learnt = [*self._learnt, *(entry.address for entry in entries)][-_LEARNT:]
            case _:
                super().heard(link, message)

    def learned(self) -> None:
        """Show the new header on every link, each after its own delay."""
        for link in self.open_links:
            self.after(self.chance.exponential(self._options.delay), self._show, link)

    def _show(self, link: Link) -> None:
        self.say(link, Headers((self.hive.tree.tip.raw,)))

    def _pass_on(self, link: Link) -> None:
        if link.is_open and link.conn in self.links:
            address = self.chance.choice(self._learnt or self._crowd.addresses)
            self.say(link, Addr((AddressEntry(self._world.now.wall, 0, address),)))
            self.after(self.chance.exponential(self._options.gossip), self._pass_on, link)
