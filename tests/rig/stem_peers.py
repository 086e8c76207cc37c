"""One node between peers that a test plays: predecessors that stem, stem peers that swallow, probers that watch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from obscura.base.digest import double_sha256
from obscura.base.instant import Duration, Instant, seconds
from obscura.base.names import ConnId, TxId
from obscura.ledgers.memory_transactions import FAUCET_AMOUNT, faucet, make_transaction, output, parse
from obscura.node import NodeConfig
from obscura.node.effects import Event, StemStep, StemTrace
from obscura.sim.adversary import Adversary, Link
from obscura.sim.hive import Hive
from obscura.sim.host import Host, host_address
from obscura.sim.journal import Journal
from obscura.sim.lines import LineOptions
from obscura.sim.network import Network
from obscura.sim.world import World
from obscura.wire.address import NetAddress
from obscura.wire.blocks import DandelionTx, GetData, Inv, NotFound, Tx
from obscura.wire.features import STEMS, Feature, FeatureSet
from obscura.wire.greeting import Version
from obscura.wire.inventory import KIND_TX, InventoryItem
from obscura.wire.registry import Message
from obscura.wire.target import Target

CALM = LineOptions(latency_min=seconds(0.02), latency_max=seconds(0.08), jitter=seconds(0.01), loss=0, cut=0, reset=0)
FEE = 20_000


def pay(number: int, fee: int = FEE, *, salt: int = 0, seal: bytes = b"\1", pad: int = 0) -> bytes:
    """A transaction of a coin that everybody has."""
    return make_transaction([faucet(number)], [FAUCET_AMOUNT - fee], salt=salt, seal=seal, pad=pad)


def child_of(parent: bytes, fee: int = FEE, *, seal: bytes = b"\1") -> bytes:
    """A transaction that spends what another one makes."""
    known = parse(parent)
    return make_transaction([output(known.info.txid, 0)], [known.amounts[0] - fee], seal=seal)


def relay_id(data: bytes) -> TxId:
    return TxId(double_sha256(data))


def items(*transactions: bytes) -> tuple[InventoryItem, ...]:
    return tuple(InventoryItem(KIND_TX, relay_id(data)) for data in transactions)


class StemPeer(Adversary):
    """Does nothing by itself but what the protocol wants, and writes down what it hears: (time, link, message)."""

    def __init__(self, *arguments: Any, bits: FeatureSet = STEMS, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.bits = FeatureSet(bits.features | Feature.PRIVACY_FEATURES, bits.privacy)
        self.log: list[tuple[Instant, int, Message]] = []
        self.bursts: list[tuple[Instant, int, int]] = []
        """All that came over the wire: (time, link, bytes), pongs and what else the channel keeps; 0 bytes for the
        link's end."""
        self.has: dict[bytes, bytes] = {}
        """Transactions that it gives out when it is asked, by relay id."""

    def version(self) -> Version:
        true = super().version()
        return Version(
            true.protocol, true.timestamp, self.bits, true.user_agent, true.best_hash, true.best_height, true.nonce
        )

    def heard(self, link: Link, message: Message) -> None:
        self.log.append((self._world.time, link.conn, message))
        if isinstance(message, GetData) and any(item.kind == KIND_TX for item in message.items):
            for item in message.items:
                data = self.has.get(item.hash)
                self.say(link, NotFound((item,)) if data is None else Tx(data))
            return
        super().heard(link, message)

    def on_data(self, conn: ConnId, data: bytes) -> None:
        self.bursts.append((self._world.time, conn, len(data)))
        super().on_data(conn, data)

    def drop(self, link: Link) -> None:
        self.bursts.append((self._world.time, link.conn, 0))
        super().drop(link)

    def stem(self, *transactions: bytes) -> None:
        """Stem transactions on the first link."""
        for data in transactions:
            self.say(self.open_links[0], DandelionTx(data))

    def announce_transactions(self, *transactions: bytes) -> None:
        """Announce them on the first link, and give them when they are asked for."""
        self.has.update((relay_id(data), data) for data in transactions)
        self.say(self.open_links[0], Inv(items(*transactions)))

    @property
    def stems(self) -> list[TxId]:
        """What it was stemmed."""
        return [relay_id(message.data) for _, _, message in self.log if isinstance(message, DandelionTx)]

    @property
    def told(self) -> list[TxId]:
        """What it was told of, as often as it was."""
        return [
            TxId(item.hash)
            for _, _, message in self.log
            if isinstance(message, Inv)
            for item in message.items
            if item.kind == KIND_TX
        ]


@dataclass
class Stage:
    """A world with one node, number 0, and peers around it. ``settings`` are of its :class:`NodeConfig`."""

    seed: int = 1
    stem_peers: int = 2
    settings: dict[str, Any] = field(default_factory=dict)
    bits: FeatureSet = STEMS
    """Of the stem peers."""

    def __post_init__(self) -> None:
        self.world = World(self.seed)
        self.network = Network(self.world, CALM, Journal())
        self.hive = Hive(lambda: self.world.now.wall)
        self.events: list[Event] = []
        self.traces: list[tuple[Instant, StemTrace]] = []
        self.ahead = [self.peer(100 + number, bits=self.bits) for number in range(self.stem_peers)]
        self.host = Host(0, self.network, self.config(), listener=self._heard)
        self.host.start()
        self.world.run_for(seconds(5))

    def restart(self, *, power: bool, **settings: Any) -> None:
        """Kill the node, or cut its power, and begin its next life."""
        dead = self.host
        dead.crash(power=power)
        self.traces.clear()
        for peer in self.ahead:
            peer.log.clear()
        self.world.run_for(seconds(1))
        config = self.config(**settings)
        self.host = Host(
            0, self.network, config, listener=self._heard, clock=dead.clock, disk=dead.disk, life=dead.life + 1
        )
        self.host.start()

    def config(self, **more: Any) -> NodeConfig:
        """Of the node: it has dialled the peers ahead."""
        usual: dict[str, Any] = {
            "network": "memory",
            "user_agent": "/Obscura:sim/",
            "connect": tuple(Target(one.address) for one in self.ahead),
            "allow_local": True,
            "discover": False,
            "stem_link_age": seconds(1),
            "stem_diffusers": 0.0,
            "trace_stems": True,
        }
        return NodeConfig(**{**usual, **self.settings, **more})

    def peer(self, number: int, *, links: int = 0, bits: FeatureSet = STEMS) -> StemPeer:
        """A peer, with links to the node if it is to open some."""
        victims: list[NetAddress] = [host_address(0)] if links else []
        peer = StemPeer(number, self.network, self.hive, victims, bits=bits)
        peer.start()
        for _ in range(links - len(victims)):
            peer._dial()
        self.world.run_for(seconds(2) if links else Duration(0))
        return peer

    def _heard(self, host: Host, event: Event) -> None:
        del host
        if isinstance(event, StemTrace):
            self.traces.append((self.world.time, event))
        else:
            self.events.append(event)

    def run(self, span_s: float) -> None:
        """Let time pass, and look at the node's invariants."""
        self.world.run_for(seconds(span_s))
        self.host.node.check()

    def steps(self, data: bytes) -> list[StemStep]:
        """What happened to a transaction at the node."""
        return [one.step for _, one in self.traces if one.relay_id == relay_id(data)]

    def waits(self, data: bytes) -> bool:
        """Whether a transaction is in the mempool."""
        return relay_id(data) in {one.relay_id for one in self.host.node.mempool(self.world.now)}
