"""Networks to which there is a way now and then, addresses at which we are reached now and then, and slow networks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from nodes import Host, World
from pair import make_version
from stranger import Stranger

from obscura.base.errors import ConfigError, LocalError
from obscura.base.instant import MICROSECONDS, Duration, Instant, Now, WallTime, after, seconds
from obscura.base.limits import (
    CONNECT_TIMEOUT,
    CONNECT_TIMEOUT_OVERLAY,
    HANDSHAKE_TIMEOUT,
    HANDSHAKE_TIMEOUT_OVERLAY,
)
from obscura.base.names import NULL_HASH, ConnId
from obscura.base.randomness import Chance
from obscura.ledgers.memory import MemoryLedger
from obscura.node import Node, NodeConfig
from obscura.node.effects import Dial
from obscura.peers.record import AddressRecord
from obscura.wire.address import AddressEntry, NetAddress, Network
from obscura.wire.blocks import GetHeaders
from obscura.wire.features import EVERYWHERE, Feature, FeatureSet
from obscura.wire.gossip import Addr
from obscura.wire.greeting import GetAddr, Mempool, Verack
from obscura.wire.identity import class_of
from obscura.wire.registry import Message
from obscura.wire.target import Mode, Target

BOTH = (Network.IPV4, Network.TORV3)
IP = NetAddress(Network.IPV4, bytes([127, 9, 9, 9]), 8_333)
ONION = NetAddress(Network.TORV3, bytes(range(32)), 8_333)
OTHER = NetAddress(Network.TORV3, bytes(range(1, 33)), 8_333)
OURS = NetAddress(Network.TORV3, bytes(range(2, 34)), 8_333)


def make(
    *connect: NetAddress,
    reach: tuple[Network, ...] = BOTH,
    addresses: tuple[NetAddress, ...] = (),
    anchors: tuple[NetAddress, ...] = (),
) -> tuple[Node, Now]:
    ledger = MemoryLedger(relays=False)
    config = NodeConfig(
        transport=Mode.PLAIN,
        network="memory",
        user_agent="/t/",
        connect=tuple(map(Target, connect)),
        allow_local=True,
        reach=reach,
    )
    now = World().now
    records = [AddressRecord(address=one, seen=now.wall, source=b"s") for one in addresses]
    return Node(config, ledger, Chance.from_seed(1), ledger.restore(), records, now, anchors=anchors), now


def dials(node: Node) -> dict[NetAddress, Dial]:
    """Those among the effects."""
    return {effect.address: effect for effect in node.take_effects() if isinstance(effect, Dial)}


def moment(at: Instant) -> Now:
    return Now(at, WallTime(World().now.wall + at // MICROSECONDS))


def spend(node: Node, now: Now, span: Duration) -> tuple[dict[NetAddress, Dial], Now]:
    """What is dialled meanwhile."""
    end, found = after(now.mono, span), dials(node)
    while (at := node.next_deadline()) is not None and at <= end:
        now = moment(at)
        node.handle_deadline(now)
        found |= dials(node)
    return found, moment(end)


def test_named_peers_are_dialled_when_there_is_a_way_and_not_before() -> None:
    node, now = make(IP, ONION)
    node.open_ways({Network.IPV4}, now)
    node.start(now)
    found, now = spend(node, now, seconds(600))
    assert set(found) == {IP}
    node.open_ways(BOTH, now)
    assert set(dials(node)) == {ONION}


def test_addresses_of_the_book_wait_for_a_way() -> None:
    node, now = make(addresses=(ONION,))
    node.open_ways({Network.IPV4}, now)
    node.start(now)
    found, now = spend(node, now, seconds(600))
    assert not found
    node.open_ways(BOTH, now)
    found, now = spend(node, now, seconds(600))
    assert set(found) == {ONION}


def test_an_anchor_waits_for_a_way() -> None:
    node, now = make(addresses=(IP,), anchors=(OTHER,))
    node.open_ways({Network.IPV4}, now)
    node.start(now)
    _, now = spend(node, now, seconds(600))
    node.open_ways(BOTH, now)
    found, now = spend(node, now, seconds(20))
    assert OTHER in found


def test_a_way_that_is_not_to_be_used_is_never_opened() -> None:
    node, now = make(addresses=(ONION,), reach=(Network.IPV4,))
    node.open_ways(BOTH, now)
    node.start(now)
    found, _ = spend(node, now, seconds(600))
    assert not found


def test_nobody_can_be_named_to_whom_no_way_leads() -> None:
    with pytest.raises(ConfigError, match="--tor"):
        make(ONION, reach=(Network.IPV4,))
    node, now = make(reach=(Network.TORV3,))
    with pytest.raises(LocalError, match="--onlynet"):
        node.add_peer(Target(IP), now)
    assert not dials(node)


def test_a_daemon_that_fails_is_not_held_against_an_address() -> None:
    node, now = make(addresses=(ONION,))
    node.start(now)
    made = 0
    for _ in range(20):
        found, now = spend(node, now, seconds(60))
        for dial in found.values():
            made += 1
            node.dial_failed(dial.conn, "proxy-unreachable", now, ours=True)
    assert made >= 10
    record = node._state.book.get(ONION)
    assert record is not None
    assert record.failures == 0
    assert node._state.dialer._misses == 0


def test_a_named_peer_is_dialled_again_after_a_daemon_has_failed() -> None:
    node, now = make(ONION)
    node.start(now)
    waits = []
    for _ in range(6):
        [dial] = dials(node).values()
        node.dial_failed(dial.conn, "proxy-unreachable", now, ours=True)
        at = node.next_deadline()
        assert at is not None
        waits.append(at - now.mono)
        now = moment(at)
        node.handle_deadline(now)
    assert max(waits) <= seconds(10), "without waiting for longer and longer"


def test_overlays_have_more_time() -> None:
    node, now = make(IP, ONION)
    node.start(now)
    found = dials(node)
    assert found[IP].timeout == CONNECT_TIMEOUT
    assert found[ONION].timeout == CONNECT_TIMEOUT_OVERLAY
    for address, timeout in ((IP, HANDSHAKE_TIMEOUT), (ONION, HANDSHAKE_TIMEOUT_OVERLAY)):
        conn = node.accepted(address, now)
        assert conn is not None
        peer = node._state.peers[ConnId(conn)]
        assert peer.channel.next_deadline() == after(now.mono, timeout)


def test_an_address_of_ours_is_known_while_it_works_and_never_dialled() -> None:
    node, now = make(addresses=(OURS,))
    assert node.snapshot(now).advertised == ()
    assert OURS in node._state.book
    node.advertise(OURS, now)
    node.advertise(OURS, now)
    assert node.snapshot(now).advertised == (OURS,)
    node.withdraw(OURS, now)
    node.withdraw(OURS, now)
    assert node.snapshot(now).advertised == ()
    node._state.book.learn(AddressEntry(now.wall, 0, OURS), b"s", now.wall)
    assert OURS not in node._state.book


class Listener(Stranger):
    """A peer that keeps every byte that it is sent."""

    def __init__(self, world: World, host: Host, address: str) -> None:
        self.bytes = b""
        super().__init__(world, host, address, greet=False, features=Feature.BASIC_TRANSACTIONS)
        self.say(make_version(4243, FeatureSet(Feature.BASIC_TRANSACTIONS)), Verack())

    def read(self) -> list[Message]:
        self.bytes += self._stream
        return super().read()


@pytest.mark.parametrize("by", [OTHER.reveal(), "a" * 52 + ".b32.i2p", "8.8.8.8:8333"])
def test_no_byte_tells_of_another_network(by: str) -> None:
    clearnet = NetAddress(Network.IPV4, bytes([93, 184, 216, 34]), 47_111)
    world = World()
    reach = (Network.IPV4, Network.TORV3, Network.I2P)
    host = world.add(advertise=(clearnet, OURS), reach=reach)
    others = [NetAddress(Network.IPV4, bytes([5, n, 7, 9]), 8_333) for n in range(100)]
    others += [NetAddress(Network.TORV3, bytes([n]) * 32, 8_333) for n in range(1, 100)]
    others += [NetAddress(Network.I2P, bytes([200 - n]) * 32, 0) for n in range(1, 80)]
    for one in others:
        host.node._state.book.learn(AddressEntry(world.now.wall, 0, one), one.group(), world.now.wall)
    listener = Listener(world, host, by)
    of = class_of(listener.address.network)
    listener.say(GetAddr(), Mempool(), GetHeaders(1, (host.ledger.tip,), NULL_HASH))
    host.mine(3)
    fresh = [one for one in others if class_of(one.network) is of][:1]
    listener.say(Addr(tuple(AddressEntry(world.now.wall, 0, replace(one, port=one.port and 9)) for one in fresh)))
    for _ in range(50):
        world.advance(seconds(600))
        listener.read()
    said = listener.bytes
    assert len(said) > 500
    told = [one for one in (*others, clearnet, OURS, host.address) if one.raw in said]
    assert len(told) > 10, "addresses of its own network are told"
    assert {class_of(one.network) for one in told} == {of}


def test_every_node_understands_overlay_addresses_and_none_says_whether_it_dials_them() -> None:
    world = World()
    world.add()
    world.add(0, reach=BOTH)
    world.add(0, reach=(Network.IPV4, Network.I2P))
    world.run()
    offered = []
    for host in world.hosts:
        for peer in host.node.snapshot(world.now).peers:
            assert EVERYWHERE.common(peer.in_force) == EVERYWHERE
            version = host.node._state.peers[peer.conn].channel.peer_version
            assert version is not None
            offered.append(version.features)
    assert len(offered) == 4 and len(set(offered)) == 1
