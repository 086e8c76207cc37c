"""What a crash takes and what it leaves."""

from __future__ import annotations

from dataclasses import replace

from nodes import mine_chain

from obscura.base.digest import double_sha256
from obscura.base.instant import seconds, whole_hour
from obscura.base.names import BlockHash, TxId
from obscura.base.randomness import Chance
from obscura.ledgers.memory import MemoryLedger
from obscura.ledgers.memory_transactions import FAUCET_AMOUNT, faucet, make_transaction
from obscura.node import NodeConfig, pinning
from obscura.node.config import NoStem
from obscura.node.effects import AcceptBlocks, AcceptHeaders, ReadBlocks
from obscura.peers.pins import Verdict
from obscura.peers.record import AddressRecord
from obscura.sim.disk import Clock, Disk
from obscura.sim.host import Host, host_address
from obscura.sim.journal import Journal
from obscura.sim.keys import make_vault
from obscura.sim.lines import LineOptions
from obscura.sim.network import Network
from obscura.sim.world import World
from obscura.wire.address import NetAddress
from obscura.wire.identity import KeyClass
from obscura.wire.target import Mode, Target

FIRST = 1_800_000_001  # a valid time of a block in a world that has just begun


def blocks_and_names(count: int) -> tuple[list[bytes], list[BlockHash]]:
    ledger = MemoryLedger()
    blocks = mine_chain(ledger.tip, count, b"body", FIRST)
    return blocks, [ledger.identify_block(block).hash for block in blocks]


def test_what_was_acknowledged_survives_every_crash() -> None:
    blocks, names = blocks_and_names(10)
    for seed in range(20):
        disk, ledger = Disk(), MemoryLedger()
        disk.accepted(blocks, ledger.accept_blocks(blocks))
        assert disk.crash(ledger, [], Chance.from_seed(seed)).total == 0
        again = disk.load(Clock(World(seed)))
        assert again.tip == ledger.tip == names[-1]
        assert again.read_blocks(names) == tuple(blocks)


def test_a_batch_in_progress_is_torn_anywhere() -> None:
    blocks, names = blocks_and_names(6)
    heights = {}
    for seed in range(100):
        disk, ledger = Disk(), MemoryLedger()
        disk.accepted(blocks[:2], ledger.accept_blocks(blocks[:2]))
        requests = [AcceptBlocks(tuple(blocks[2:])), ReadBlocks((names[0],), 1_000_000)]
        losses = disk.crash(ledger, requests, Chance.from_seed(seed))
        again = disk.load(Clock(World(seed)))
        assert again.height == 6 - losses.blocks
        heights[again.height] = None
    assert sorted(heights) == [2, 3, 4, 5, 6], "from nothing of it to all of it"


def test_headers_survive_by_chance_and_never_without_their_parent() -> None:
    blocks, _ = blocks_and_names(5)
    headers = [block[:80] for block in blocks]
    counts = {}
    for seed in range(100):
        disk, ledger = Disk(), MemoryLedger()
        report = ledger.accept_headers(headers)
        disk.headers_accepted(ledger, headers[: report.accepted])
        losses = disk.crash(ledger, [AcceptHeaders(tuple(headers))], Chance.from_seed(seed))
        kept = list(disk.load(Clock(World(seed))).restore().headers)
        assert [entry.header for entry in kept] == headers[: 5 - losses.headers]
        counts[len(kept)] = None
    assert sorted(counts) == [0, 1, 2, 3, 4, 5]


def test_a_header_whose_block_is_stored_is_not_lost() -> None:
    blocks, names = blocks_and_names(1)
    disk, ledger = Disk(), MemoryLedger()
    disk.headers_accepted(ledger, [blocks[0][:80]])
    disk.accepted(blocks, ledger.accept_blocks(blocks))
    assert not disk.headers
    disk.headers_accepted(ledger, [blocks[0][:80]])
    assert not disk.headers
    assert list(disk.blocks) == names


def changes(*numbers: int, features: int = 0) -> list[tuple[NetAddress, AddressRecord | None]]:
    names = [host_address(number) for number in numbers]
    return [(name, AddressRecord(address=name, features=features)) for name in names]


def test_a_save_of_addresses_is_done_or_not_done() -> None:
    outcomes = {}
    for seed in range(30):
        disk = Disk()
        disk.saving(changes(1, 2))
        losses = disk.crash(MemoryLedger(), [], Chance.from_seed(seed))
        outcomes[losses.saves, len(disk.addresses)] = None
        disk.saved()
        assert len(disk.addresses) in (0, 2)
        assert disk.crash(MemoryLedger(), [], Chance.from_seed(1)).saves == 0, "nothing is left of it"
    assert sorted(outcomes) == [(0, 2), (1, 0)]


def test_addresses_that_wait_for_a_save_are_lost_with_it() -> None:
    outcomes = {}
    for seed in range(30):
        disk = Disk()
        disk.saving(changes(1))
        disk.saving(changes(2))
        losses = disk.crash(MemoryLedger(), [], Chance.from_seed(seed))
        disk.all_saved()
        outcomes[losses.saves, *(one.address for one in disk.addresses)] = None
    assert sorted(outcomes) == [(1,), (1, host_address(1))]


def test_saves_of_addresses_are_made_in_order() -> None:
    disk = Disk()
    disk.saving(changes(1, 2))
    disk.saving([*changes(2, 3, features=5), (host_address(1), None)])
    disk.saving(changes(3, features=6))
    assert disk.addresses == ()
    disk.saved()
    assert disk.addresses == tuple(record for _, record in changes(1, 2))
    disk.saved()
    assert [(one.address, one.features) for one in disk.addresses] == [(host_address(2), 5), (host_address(3), 6)]
    disk.saved()
    assert len(disk.addresses) == 2


def test_times_are_not_judged_again_but_new_ones_are() -> None:
    blocks, names = blocks_and_names(2)
    disk, ledger = Disk(), MemoryLedger()
    disk.accepted(blocks[:1], ledger.accept_blocks(blocks[:1]))
    clock = Clock(World(1))
    clock.skew = -5 * 3_600
    again = disk.load(clock)
    assert again.tip == names[0], "it was fine by the clock of then"
    assert again.accept_blocks(blocks[1:]).outcomes[0].rule == "time-too-new"


def test_pins_survive_a_crash_and_are_known_in_the_next_life() -> None:
    world = World(1)
    network = Network(world, LineOptions(), Journal())
    config = NodeConfig(network="memory", user_agent="/Obscura:sim/", allow_local=True)
    disk, clock = Disk(), Clock(world)
    host = Host(0, network, config, clock=clock, disk=disk)
    state, where = host.node._state, host_address(1)
    host.start()
    assert pinning.meet(state, Target(where), b"\x01" * 32, clock.now, named=True) is Verdict.NEW
    host._settle()
    host.crash(power=True)
    again = Host(0, network, config, clock=clock, disk=disk, life=1)
    assert again.node._state.pins.expected(Target(where)) == b"\x01" * 32
    assert again.node.forget_pin(where, clock.now)
    again._settle()
    assert disk.pins == {}


def test_a_keyed_listener_remembers_who_has_knocked_in_its_next_life() -> None:
    world, secret = World(1), b"\x05" * 32
    network = Network(world, LineOptions(), Journal())
    disk, clock = Disk(), Clock(world)
    disk.vault = replace(make_vault(world.chance.fork("keys")), access=secret)
    key = disk.vault.statics[KeyClass.CLEARNET].public

    def host(number: int, *connect: Target, **kept: object) -> Host:
        config = NodeConfig(
            network="memory", user_agent="/Obscura:sim/", connect=connect, allow_local=True, discover=False
        )
        return Host(number, network, config, **kept)  # type: ignore[arg-type]

    def is_met(guest: Host) -> bool:
        return any(peer.state == "open" for peer in guest.node.snapshot(world.now).peers)

    keyed = host(0, clock=clock, disk=disk)
    guest = host(1, Target(host_address(0), Mode.VEILED, key, secret))
    stranger = host(2, Target(host_address(0), Mode.VEILED, key))
    for one in (keyed, guest, stranger):
        one.start()
    world.run_for(seconds(20))
    assert is_met(guest)
    assert not is_met(stranger)
    assert len(disk.replays) == 1
    keyed.crash(power=False)
    host(0, clock=clock, disk=disk, life=1).start()
    world.run_for(seconds(20))
    assert is_met(guest)
    assert len(disk.replays) == 2
    [(first, at), _] = disk.replays.entries()
    assert disk.replays.admit([(first, at)]) == [False]


def test_what_waits_survives_every_crash_and_nothing_says_whose_it_was() -> None:
    world = World(1)
    network = Network(world, LineOptions(), Journal())
    config = NodeConfig(
        network="memory", user_agent="/Obscura:sim/", allow_local=True, no_stem=NoStem.NOW, transport=Mode.PLAIN
    )
    disk, clock = Disk(), Clock(world)
    host = Host(0, network, config, clock=clock, disk=disk)
    host.start()
    world.run_for(seconds(1))
    data = [make_transaction([faucet(number)], [FAUCET_AMOUNT - 1_000]) for number in range(3)]
    for one in data:
        host.send(one)
    world.run_for(seconds(1))
    hour = whole_hour(world.now.wall)
    assert {name: (held.data, held.stem, held.hour) for name, held in disk.waiting.items()} == {
        TxId(double_sha256(one)): (one, False, hour) for one in data
    }
    assert repr(data[0]) not in repr(disk.waiting)
    world.run_for(seconds(2 * 3_600))
    host.crash(power=True)
    again = Host(0, network, config, clock=clock, disk=disk, life=1)
    again.start()
    world.run_for(seconds(1))
    items = again.node.mempool(clock.now)
    assert [one.relay_id for one in items] == sorted(disk.waiting)
    assert not any(one.own for one in items)
    assert all(one.age >= seconds(2 * 3_600) for one in items)
    assert all(held.hour == hour for held in disk.waiting.values())
    clock.skew = -24 * 3_600
    assert [one.age for one in disk.kept(clock.now.wall)] == [0, 0, 0], "a clock that was ahead makes nothing younger"
    disk.forget_transaction(TxId(bytes(32)))
    for name in list(disk.waiting):
        disk.forget_transaction(name)
    assert disk.kept(clock.now.wall) == ()
