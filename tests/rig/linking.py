"""One node behind two doors, or two nodes with a door each: an attacker at both doors, and what he can compare.

The doors are a public address and an onion service. Everything that an attacker sees comes from links that he has
opened to a door, or from what is told on them. The load on each door is the same in both worlds: honest strangers of
the door's own class, a chain that grows, a source that shows the same transactions at both doors at the same moments.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from tx_flooders import Flooder, spend

from obscura.base.instant import Duration, WallTime, minutes, seconds
from obscura.base.names import ConnId
from obscura.base.randomness import Chance
from obscura.crypto.agreement import KeyPair
from obscura.node import NodeConfig
from obscura.node.vault import Vault
from obscura.peers.record import AddressRecord
from obscura.sim.adversary import Link
from obscura.sim.crowd import Citizen, Crowd, CrowdOptions, attacker_address, onion_address, public_address
from obscura.sim.disk import Clock, Disk
from obscura.sim.hive import Hive
from obscura.sim.host import Host
from obscura.sim.journal import Journal
from obscura.sim.keys import make_vault
from obscura.sim.lines import Line
from obscura.sim.network import Network
from obscura.sim.siege import CALM
from obscura.sim.world import World
from obscura.wire.address import AddressEntry, NetAddress
from obscura.wire.address import Network as AddressNetwork
from obscura.wire.blocks import Inv, Tx
from obscura.wire.gossip import Addr
from obscura.wire.greeting import GetAddr, Verack, Version
from obscura.wire.identity import KeyClass
from obscura.wire.inventory import KIND_TX
from obscura.wire.registry import Message, encode_message
from obscura.wire.target import Mode

CITIZENS = 8
"""Honest strangers at each door."""
SLOTS = 20
"""Inbound ones of each node, so that a flood fills them soon."""
LOBBY = 24
TRANSACTIONS = 16
PLANTED = 24
"""Addresses that the attacker tells at each door."""
_SKEW_S = 2
"""The clocks of two nodes are as far apart as two well-kept ones."""
_VIOLATION = encode_message(Verack())
"""On an open link, and inside the encryption."""


@dataclass
class Signs:
    """What the attacker has compared, each as a number that is larger where more speaks for one node."""

    overlap: float = 0
    """Addresses that both doors have answered to ``getaddr``."""
    planted: float = 0
    """Addresses told at one door and heard at the other."""
    timestamps: float = 0
    """Addresses that both doors have told with the same time."""
    foreign: float = 0
    """Addresses heard at a door that are not of its class."""
    inv_timing: float = 0
    """Minus the median distance, in ms, between the moments at which both doors announced a transaction."""
    version: float = 0
    """Equal fields of ``version``, over all pairs of links that began at the same moment."""
    nonces: float = 0
    """Equal nonces among all of them."""
    evictions: float = 0
    """Links at one door that ended while the other was flooded."""
    refusals: float = 0
    """Links that could not be opened at one door while the other was full."""
    lobby: float = 0
    """Connections at one door that were put out of the lobby while the other's was flooded."""
    bans: float = 0
    """Hosts that misbehaved at one door and then had no link at the other."""
    control: float = 0
    """Links of the flood that found no place at the door that they flooded: it is really full."""


class Spy(Flooder):
    """One address of the attacker: it relays, listens, and says only what it is told to."""

    name = "spy"

    def __init__(
        self, number: int, network: Network, hive: Hive, door: NetAddress, address: NetAddress, vault: Vault
    ) -> None:
        super().__init__(number, network, hive, (door,), links=1, address=address, vault=vault)
        self.announced: dict[bytes, int] = {}
        self.told: list[AddressEntry] = []
        self.answer: dict[NetAddress, WallTime] = {}
        self.versions: list[Version] = []
        self.asks = False
        network.distances[number] = seconds(0.01)

    @property
    def linked(self) -> bool:
        """A link of it stands."""
        return bool(self.open_links)

    def go(self) -> None:
        """Dial the door."""
        self._dial()

    def tell(self, addresses: list[NetAddress]) -> None:
        """Tell addresses, fresh ones."""
        for link in self.open_links:
            self.say(link, Addr(tuple(AddressEntry(self._world.now.wall, 0, one) for one in addresses)))

    def opened(self, link: Link) -> None:
        version = link.channel.peer_version
        assert version is not None, "the handshake is done"
        self.versions.append(version)
        if self.asks:
            self.say(link, GetAddr())

    def _redial(self) -> None:
        """Once is enough."""

    def act(self) -> None:
        """Nothing of its own."""

    def heard(self, link: Link, message: Message) -> None:
        match message:
            case Inv(items):
                for item in items:
                    if item.kind == KIND_TX:
                        self.announced.setdefault(item.hash, self._world.time)
            case Addr(entries):
                self.told += entries
                if self.asks and not self.answer:
                    self.answer = {entry.address: entry.time for entry in entries}
            case _:
                super().heard(link, message)


class Source(Spy):
    """An honest source of transactions at a door."""

    def send(self, data: bytes) -> None:
        """Show one."""
        for link in self.open_links:
            self.say(link, Tx(data))


class Knocker:
    """A connection that never says a word. It is put out before its time, or not."""

    def __init__(self, number: int, network: Network, door: NetAddress, address: NetAddress) -> None:
        self.number, self.address, self.frozen = number, address, False
        self.gone = False
        network.join(self)
        network.dial(self, ConnId(1), door, seconds(5))

    def on_accept(self, line: Line, address: NetAddress) -> ConnId | None:
        return None

    def on_connected(self, conn: ConnId, line: Line) -> None:
        line.conn = conn

    def on_dial_failed(self, conn: ConnId, reason: str) -> None:
        self.gone = True

    def on_data(self, conn: ConnId, data: bytes) -> None:
        pass

    def on_gone(self, conn: ConnId) -> None:
        self.gone = True

    def on_congestion(self, conn: ConnId, *, congested: bool) -> None:
        pass


class Door:
    """An address at which a host listens besides its own. Nobody who comes by an onion service shows where he is."""

    frozen = False

    def __init__(self, number: int, address: NetAddress, host: Host, network: Network) -> None:
        self.number, self.address, self._host = number, address, host
        network.join(self)
        network.distances[number] = seconds(0.02)
        self.on_connected, self.on_dial_failed = host.on_connected, host.on_dial_failed
        self.on_data, self.on_gone = host.on_data, host.on_gone

    def on_accept(self, line: Line, address: NetAddress) -> ConnId | None:
        if self.address.network is AddressNetwork.TORV3:
            address = NetAddress(AddressNetwork.TORV3, bytes(32), address.port)
        return self._host.on_accept(line, address)

    def on_congestion(self, conn: ConnId, *, congested: bool) -> None:
        self._host.on_congestion(conn, congested=congested)


class Stage:
    """A world with two doors.

    Args:
        seed: draws everything.
        together: one node is behind both.
        same: the attacker goes to the first door where he should go to the second: what links two doors must show then.
    """

    def __init__(self, seed: int, *, together: bool, same: bool = False) -> None:
        self._at = (0, 0) if same else (0, 1)
        self.world = World(seed)
        self.chance = self.world.chance.fork("linking")
        self.network = Network(self.world, CALM, Journal())
        self.hive = Hive(lambda: self.world.now.wall)
        self.doors = (public_address(9_000), onion_address(self.chance.fork("door")))
        names = self.chance.fork("citizens")
        self.honest = (
            [public_address(index) for index in range(CITIZENS)],
            [onion_address(names) for _ in range(CITIZENS)],
        )
        self.vault = make_vault(self.chance.fork("strangers"))
        if together:
            self.hosts = [self._host(0, (0, 1), 0)]
            served = [self.hosts[0], self.hosts[0]]
        else:
            self.hosts = [self._host(0, (0,), 0), self._host(1, (1,), _SKEW_S)]
            served = self.hosts
        for index, host in enumerate(served):
            Door(10 + index, self.doors[index], host, self.network)
            crowd = Crowd(CrowdOptions(citizens=CITIZENS, session=minutes(600), visit=minutes(10), full=0.0))
            crowd.addresses = self.honest[index]
            for place, address in enumerate(self.honest[index]):
                Citizen(
                    100 + 100 * index + place, self.network, self.hive, self.doors[index], crowd, address=address,
                    vault=self.vault,
                ).start()  # fmt: skip
        for host in self.hosts:
            host.start()
        self._blocks = self.chance.fork("blocks")
        self.world.after(self._blocks.exponential(seconds(60)), self._mine)
        self._serial = 1_000

    def _host(self, number: int, doors: tuple[int, ...], skew: int) -> Host:
        networks = (AddressNetwork.IPV4, AddressNetwork.TORV3)
        classes = (KeyClass.CLEARNET, KeyClass.ONION)
        clock, disk = Clock(self.world), Disk()
        clock.skew = skew
        secrets = _Secrets(self.chance.fork(f"host {number}"))
        disk.vault = Vault(
            keys=make_vault(self.chance.fork(f"keys {number}")).keys,
            statics={classes[door]: KeyPair.generate(secrets) for door in doors},
        )
        now = self.world.now.wall
        disk.addresses = tuple(
            AddressRecord(address=address, seen=WallTime(now - 3_600), source=self.honest[door][-1].group())
            for door in doors
            for address in self.honest[door]
        )
        config = NodeConfig(
            network="memory",
            user_agent="/Obscura:sim/",
            transport=Mode.VEILED,
            advertise=tuple(self.doors[door] for door in doors),
            reach=tuple(networks[door] for door in doors),
            inbound_slots=SLOTS,
            lobby_links=LOBBY,
        )
        host = Host(number, self.network, config, clock=clock, disk=disk)
        self.network.distances[number] = seconds(0.02)
        return host

    def _mine(self) -> None:
        [block] = self.hive.branch(self.hive.tree.tip, 1)
        self.hive.learn(block)
        self.world.after(self._blocks.exponential(seconds(60)), self._mine)

    def spy(self, door: int, *, asks: bool = False) -> Spy:
        """One more host of the attacker, linked to a door."""
        door = self._at[door]
        self._serial += 1
        address = attacker_address(self._serial, 1) if door == 0 else onion_address(self.chance.fork(f"{self._serial}"))
        spy = Spy(self._serial, self.network, self.hive, self.doors[door], address, self.vault)
        spy.asks = asks
        spy.go()
        return spy

    def source(self, door: int) -> Source:
        """An honest one, linked to a door."""
        address = public_address(8_000) if door == 0 else onion_address(self.chance.fork("source"))
        source = Source(900 + door, self.network, self.hive, self.doors[door], address, self.vault)
        source.go()
        return source

    def knock(self, door: int) -> Knocker:
        """One more silent connection."""
        door = self._at[door]
        self._serial += 1
        address = attacker_address(self._serial, 1) if door == 0 else onion_address(self.chance.fork(f"{self._serial}"))
        return Knocker(self._serial, self.network, self.doors[door], address)

    def run(self, span: Duration) -> None:
        """Let time pass."""
        self.world.run_for(span)


class _Secrets:
    def __init__(self, chance: Chance) -> None:
        self._chance = chance

    def token(self, length: int) -> bytes:
        return self._chance.take_bytes(length)


def look(seed: int, *, together: bool, same: bool = False) -> Signs:
    """All that the attacker compares in one world, see :class:`Stage`. Nodes' invariants are walked at the end."""
    stage = Stage(seed, together=together, same=same)
    signs = Signs()
    stage.run(minutes(2))
    listeners = [stage.spy(0), stage.spy(1)]
    sources = [stage.source(0), stage.source(1)]
    stage.run(seconds(5))
    versions = [[listener.versions[0]] for listener in listeners]
    plants = [
        [attacker_address(2_000 + index, 1) for index in range(PLANTED)],
        [onion_address(stage.chance.fork(f"plant {index}")) for index in range(PLANTED)],
    ]
    # Both kinds at both doors, each another half.
    half = PLANTED // 2
    by_door = [plants[0][:half] + plants[1][:half], plants[0][half:] + plants[1][half:]]
    for step in range(TRANSACTIONS):
        data = spend(seed % 1_000 * 1_000 + step, 20_000)
        for source in sources:
            source.send(data)
        for door in (0, 1):
            listeners[door].tell(by_door[door][step % half :: half])
        if step % 4 == 0:
            for door in (0, 1):
                versions[door] += _greet(stage, door)
        stage.run(seconds(20))
    askers = [stage.spy(0, asks=True), stage.spy(1, asks=True)]
    stage.run(seconds(10))
    _compare(signs, listeners, askers, versions, by_door)
    _misbehave(signs, stage)
    _press(signs, stage)
    for host in stage.hosts:
        host.node.check()
    return signs


def _greet(stage: Stage, door: int) -> list[Version]:
    """A short link, for what is said of oneself there."""
    spy = stage.spy(door)
    for _ in range(20):
        stage.run(seconds(0.05))
        if spy.versions:
            break
    for link in spy.open_links:
        spy.drop(link)
    return spy.versions


def _compare(
    signs: Signs,
    listeners: list[Spy],
    askers: list[Spy],
    versions: list[list[Version]],
    by_door: list[list[NetAddress]],
) -> None:
    answers = [asker.answer for asker in askers]
    signs.overlap = len(answers[0].keys() & answers[1].keys())
    heard = [
        {entry.address: entry.time for spy in (listeners[door], askers[door]) for entry in spy.told} for door in (0, 1)
    ]
    signs.timestamps = sum(heard[1].get(address) == time for address, time in heard[0].items())
    signs.planted = sum(address in heard[1 - door] for door in (0, 1) for address in by_door[door])
    networks = (AddressNetwork.IPV4, AddressNetwork.TORV3)
    signs.foreign = sum(address.network is not networks[door] for door in (0, 1) for address in heard[door])
    both = listeners[0].announced.keys() & listeners[1].announced.keys()
    gaps = sorted(abs(listeners[0].announced[one] - listeners[1].announced[one]) for one in both)
    signs.inv_timing = -gaps[len(gaps) // 2] / 1_000 if gaps else 0
    for one, other in zip(*versions, strict=False):
        for field in fields(Version):
            same = getattr(one, field.name) == getattr(other, field.name)
            if field.name == "nonce":
                signs.nonces += same
            else:
                signs.version += same


def _press(signs: Signs, stage: Stage) -> None:
    """Floods of one door, looked at from the other."""
    flood = [stage.spy(0) for _ in range(SLOTS)]
    stage.run(seconds(5))
    # The youngest links of all: where they can be put out, they are.
    quiet = [stage.spy(1) for _ in range(3)]
    stage.run(seconds(5))
    flood += [stage.spy(0) for _ in range(SLOTS)]
    stage.run(seconds(10))
    signs.evictions = sum(not spy.linked for spy in quiet)
    late = [stage.spy(1) for _ in range(2)]
    stage.run(seconds(5))
    signs.refusals = sum(not spy.linked for spy in late)
    signs.control = sum(not spy.linked for spy in flood)
    waiting = [stage.knock(1) for _ in range(4)]
    stage.run(seconds(1))
    for _ in range(2 * LOBBY):
        stage.knock(0)
    stage.run(seconds(5))
    signs.lobby = sum(one.gone for one in waiting)


def _misbehave(signs: Signs, stage: Stage) -> None:
    """Break the rules at one door, and come to the other."""
    bad = [stage.spy(0) for _ in range(2)]
    stage.run(seconds(2))
    for spy in bad:
        for link in spy.open_links:
            spy.raw(link, _VIOLATION, sealed=True)
    stage.run(seconds(2))
    assert not any(spy.linked for spy in bad), "who breaks the rules is put out"
    again = [stage.spy(1) for _ in range(2)]
    stage.run(seconds(40))
    signs.bans = sum(not spy.linked for spy in again)
    for spy in again:
        for link in spy.open_links:
            spy.drop(link)
    stage.run(seconds(5))
