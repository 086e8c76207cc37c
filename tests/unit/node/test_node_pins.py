"""The node and the keys of those it dials: what a dial carries, what is saved, told and refused."""

from __future__ import annotations

import pytest
from nodes import World, node_address
from veil import SeededKeys

from obscura.base.instant import WallTime
from obscura.base.randomness import Chance
from obscura.ledgers.memory import MemoryLedger
from obscura.node import Node, NodeConfig, pinning
from obscura.node.effects import ForgetPin, SavePin
from obscura.node.state import PendingDial
from obscura.node.vault import Vault
from obscura.peers.pins import NamedPin, PinError, Verdict
from obscura.peers.record import AddressRecord
from obscura.wire.address import NetAddress
from obscura.wire.target import Mode, Target

OLD, NEW, SECRET = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
A, B, C = (node_address(number) for number in (1, 2, 3))
WALL = WallTime(1_799_990_000)


def make(*connect: Target, pins: tuple[NamedPin, ...] = (), addresses: tuple[AddressRecord, ...] = ()) -> Node:
    ledger = MemoryLedger(relays=False)
    config = NodeConfig(transport=Mode.PLAIN, network="memory", user_agent="/t/", connect=connect, allow_local=True)
    now = World().now
    vault = Vault(keys=SeededKeys(1))
    node = Node(config, ledger, Chance.from_seed(1), ledger.restore(), addresses, now, pins=pins, vault=vault)
    node.start(now)
    return node


def dials(node: Node) -> dict[NetAddress, PendingDial]:
    """What the handshake of each dial under way will be told."""
    node.take_effects()
    return {dial.address: dial for dial in node._state.dials.values()}


def needs(dial: PendingDial) -> tuple[Mode | None, bytes | None, bytes | None]:
    return dial.target.mode, dial.key, dial.target.secret


def test_a_dial_carries_what_the_handshake_needs() -> None:
    named = (Target(A, Mode.VEILED, OLD, SECRET), Target(B, Mode.PLAIN))
    node = make(
        *named, addresses=(AddressRecord(address=C, succeeded=WALL, seen=WALL, key=NEW, source=b"s", tried=True),)
    )
    found = dials(node)
    assert needs(found[A]) == (Mode.VEILED, OLD, SECRET)
    assert needs(found[B]) == (Mode.PLAIN, None, None)
    assert needs(found[C]) == (None, NEW, None), "of gossip: the pin of its record"
    for secret in (OLD, NEW, SECRET):
        assert repr(secret) not in repr(found) + repr(node._state.dials)


def test_a_pin_is_expected_of_a_named_peer() -> None:
    node = make(Target(A), pins=(NamedPin(A, OLD, WALL),), addresses=(AddressRecord(address=A),))
    assert dials(node)[A].key == OLD


def test_a_new_key_is_saved_and_a_changed_one_told() -> None:
    node, now = make(Target(A)), World().now
    node.take_effects()
    state, target = node._state, Target(A)
    assert pinning.meet(state, target, OLD, now, named=True) is Verdict.NEW
    assert node.take_effects() == [SavePin(A, OLD, now.wall)]
    assert pinning.meet(state, target, OLD, now, named=True) is Verdict.SAME
    assert node.take_effects() == []
    assert pinning.meet(state, target, NEW, now, named=True) is Verdict.CHANGED
    assert node.take_effects() == [], "the end of the link tells"
    assert "obscura key forget" in state.pins.refusal(target)
    assert node.forget_pin(A, now)
    assert node.take_effects() == [ForgetPin(A)]
    assert not node.forget_pin(A, now)
    assert node.take_effects() == []
    assert pinning.meet(state, target, NEW, now, named=True) is Verdict.NEW


def test_the_key_of_a_gossiped_peer_goes_into_its_record() -> None:
    node, now = make(addresses=(AddressRecord(address=C, seen=WALL, source=b"s"),)), World().now
    state = node._state
    assert pinning.meet(state, Target(C), OLD, now, named=False) is Verdict.NEW
    state.dialer.opened(C, now, OLD)
    assert pinning.expected(state, Target(C), named=False) == OLD
    assert pinning.meet(state, Target(C), NEW, now, named=False) is Verdict.CHANGED
    assert pinning.expected(state, Target(C), named=False) is None
    assert not any(isinstance(effect, SavePin) for effect in node.take_effects())


def test_a_named_peer_s_record_holds_no_key() -> None:
    node, now = make(Target(A)), World().now
    node._state.dialer.opened(A, now, OLD)
    assert [record.key for record in node._state.book.records()] == [None]


def test_a_mode_that_would_pass_a_pin_over() -> None:
    pins = (NamedPin(A, OLD, WALL),)
    with pytest.raises(PinError, match="a key is pinned"):
        make(Target(A, Mode.PLAIN), pins=pins)
    node, now = make(pins=pins), World().now
    with pytest.raises(PinError, match="obscura key forget"):
        node.add_peer(Target(A, Mode.PLAIN), now)
    node.take_effects()
    node.forget_pin(A, now)
    node.add_peer(Target(A, Mode.PLAIN), now)
    assert dials(node)[A].target.mode is Mode.PLAIN


def test_a_peer_that_is_named_again_is_dialled_in_the_new_way() -> None:
    node, now = make(Target(A)), World().now
    assert list(dials(node)) == [A]
    node.add_peer(Target(A, Mode.VEILED, OLD), now)
    node.dial_failed(next(iter(node._state.dials)), "connect-refused", now)
    deadline = node.next_deadline()
    assert deadline is not None
    node.handle_deadline(now._replace(mono=deadline))
    again = dials(node)[A]
    assert (again.target.mode, again.key) == (Mode.VEILED, OLD)


def test_a_pin_binds_whoever_dials() -> None:
    """An address that was named once, pinned, and is only gossiped now: no other key may answer."""
    node = make(
        pins=(NamedPin(A, OLD, WALL),),
        addresses=(AddressRecord(address=A, succeeded=WALL, seen=WALL, key=NEW, source=b"s", tried=True),),
    )
    dial = dials(node)[A]
    assert (dial.named, dial.key, dial.strict) == (False, OLD, True)
    state, now = node._state, World().now
    assert pinning.meet(state, Target(A), NEW, now, named=False) is Verdict.CHANGED
    assert node._state.pins.get(A) == NamedPin(A, OLD, WALL)


def test_a_node_without_keys_takes_no_pins() -> None:
    ledger = MemoryLedger(relays=False)
    named = NodeConfig(transport=Mode.PLAIN, network="memory", user_agent="/t/", connect=(Target(A, Mode.VEILED, OLD),))
    plain = NodeConfig(transport=Mode.PLAIN, network="memory", user_agent="/t/")
    with pytest.raises(PinError, match="vault"):
        Node(named, ledger, Chance.from_seed(1), ledger.restore(), (), World().now)
    with pytest.raises(PinError, match="vault"):
        Node(plain, ledger, Chance.from_seed(1), ledger.restore(), (), World().now, pins=(NamedPin(A, OLD, WALL),))
    node = Node(plain, ledger, Chance.from_seed(1), ledger.restore(), (), World().now)
    with pytest.raises(PinError, match="vault"):
        node.add_peer(Target(A, Mode.VEILED, OLD), World().now)
