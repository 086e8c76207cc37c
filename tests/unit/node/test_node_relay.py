"""Transactions from link to link: who is asked and told of what, what becomes of it, and what a peer cannot do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from nodes import Host, World, mine_chain
from pair import make_version
from stranger import Stranger

from obscura.base.digest import double_sha256
from obscura.base.instant import Duration, Instant, seconds
from obscura.base.limits import (
    FAULT_BUDGET,
    FAULT_INVALID_TX,
    FAULT_MALFORMED,
    MEMPOOL_AGE,
    MEMPOOL_ANSWER_AGE,
    MEMPOOL_SWEEP,
    ORPHAN_AGE,
    ORPHANS_PER_PEER,
    RELAY_BEHIND,
    TOKENS_BURST,
    TX_DELAY_INBOUND,
    TX_DELAY_OVERLOADED,
    TX_PRICE,
    TX_REQUEST_TIMEOUT,
    VALIDATION_LINK_COUNT,
)
from obscura.base.names import TxId
from obscura.chain import OutPoint
from obscura.ledgers.memory import HEADER_BYTES, MemoryLedger, mine
from obscura.ledgers.memory_transactions import FAUCET_AMOUNT, faucet, make_transaction, output, pack_body, parse
from obscura.node.effects import Ask, FollowCoins, JudgeTransactions, KeptTransaction, LinkClosed, TransactionSubmitted
from obscura.relay.mempool import Mempool as Mempool_
from obscura.relay.sent import Stage
from obscura.wire.blocks import GetData, Headers, Inv, NotFound, Tx
from obscura.wire.features import Feature, FeatureSet
from obscura.wire.greeting import Mempool, Verack
from obscura.wire.inventory import KIND_TX, InventoryItem
from obscura.wire.registry import Message, encode_message

RELAYS = Feature.BASIC_TRANSACTIONS
LONG = seconds(90)
"""More than any trickle takes, and less than a silent peer is borne with."""


@pytest.fixture
def world() -> World:
    return World()


def started(world: World, *connect: int, **more: Any) -> Host:
    """A node that has begun; its coin view has made its first step, unless that is held."""
    host = world.add(*connect, **more)
    world.run()
    return host


def pay(*spends: OutPoint, fee: int = 1_000, outputs: int = 1, salt: int = 0, **more: int | bytes) -> bytes:
    """A transaction that spends faucet's coins, or others of the same amount."""
    each = (FAUCET_AMOUNT * len(spends) - fee) // outputs
    return make_transaction(spends, [each] * outputs, salt=salt, **more)  # type: ignore[arg-type]


def child(parent: bytes, fee: int = 1_000, index: int = 0) -> bytes:
    """A transaction that spends an output of another."""
    known = parse(parent)
    return make_transaction([output(known.info.txid, index)], [known.amounts[index] - fee])


def relay_id(data: bytes) -> TxId:
    return TxId(double_sha256(data))


def item(data: bytes) -> InventoryItem:
    return InventoryItem(KIND_TX, relay_id(data))


def inv(*transactions: bytes) -> Inv:
    return Inv(tuple(item(data) for data in transactions))


def getdata(*transactions: bytes) -> GetData:
    return GetData(tuple(item(data) for data in transactions))


def send(world: World, host: Host, data: bytes) -> TransactionSubmitted:
    """Hand a transaction in, as the operator."""
    ticket = host.node.submit_transaction(data, world.now)
    world.run()
    [told] = [one for one in host.events if isinstance(one, TransactionSubmitted) and one.ticket == ticket]
    return told


def waits(host: Host, data: bytes) -> bool:
    return relay_id(data) in {one.relay_id for one in host.node.mempool(host.world.now)}


def link(world: World, host: Host, number: int = 0, features: Feature = RELAYS) -> Stranger:
    """An inbound peer that takes transactions, past its first exchange."""
    stranger = Stranger(world, host, f"127.{200 + number % 50}.{number // 50 + 1}.1:50000", features=features)
    stranger.read()
    return stranger


def named(messages: Sequence[Message]) -> list[TxId]:
    """The transactions of all announcements."""
    return [TxId(one.hash) for message in messages if isinstance(message, Inv) for one in message.items]


def asked(messages: Sequence[Message]) -> list[TxId]:
    """The transactions that are asked for."""
    return [TxId(one.hash) for message in messages if isinstance(message, GetData) for one in message.items]


def give(world: World, stranger: Stranger, data: bytes) -> None:
    """Announce a transaction and send it when it is asked for."""
    stranger.say(inv(data))
    world.advance(TX_DELAY_INBOUND)
    assert relay_id(data) in asked(stranger.read())
    stranger.say(Tx(data))


def block(host: Host, *transactions: bytes) -> None:
    """Mine a block that holds transactions."""
    host.node.submit_block(mine(host.ledger.tip, pack_body(transactions), host.world.block_time()), host.world.now)
    host.world.run()


class TestTheWay:
    def test_a_transaction_reaches_everybody_and_then_a_block(self, world: World) -> None:
        hosts = [started(world)]
        for number in range(1, 5):
            hosts.append(started(world, number - 1))
        data = pay(faucet(1))
        told = send(world, hosts[2], data)
        assert (told.accepted, told.txid, told.fee) == (True, parse(data).info.txid, 1_000)
        world.advance(LONG)
        assert all(waits(host, data) for host in hosts)
        block(hosts[4], data)
        assert not any(waits(host, data) for host in hosts)
        assert {host.ledger.height for host in hosts} == {1}
        world.check()

    def test_it_is_told_in_one_moment_each_in_an_order_that_tells_nothing(self, world: World) -> None:
        host = started(world)
        first, second = link(world, host), link(world, host, 1)
        many = [pay(faucet(number)) for number in range(20)]
        for data in many:
            send(world, host, data)
        assert named(first.read()) == [], "nothing is told at once"
        after = world.now.mono
        while not (told := named(first.read())):
            world.advance(Duration(10_000))
        assert told == sorted(map(relay_id, many))
        assert named(second.read()) == told, "all inbound links of a network hear at one moment"
        assert world.now.mono > after

    def test_parents_are_told_before_their_children(self, world: World) -> None:
        host = started(world)
        peer = link(world, host)
        family = [pay(faucet(1))]
        for _ in range(9):
            family.append(child(family[-1]))
        for data in family:
            send(world, host, data)
        world.advance(LONG)
        assert named(peer.read()) == list(map(relay_id, family))

    def test_it_waits_for_somebody_to_be_told(self, world: World) -> None:
        """Sent by a node without links, or taken up again by one that has just started."""
        host = started(world)
        data = pay(faucet(1))
        send(world, host, data)
        world.advance(LONG)
        peer = link(world, host)
        world.advance(LONG)
        assert named(peer.read()) == [relay_id(data)]
        other = started(world, 0)
        world.advance(LONG)
        assert other.node.mempool(world.now) == [], "what was told once is not told to newcomers"
        again = started(world, kept=(KeptTransaction(pay(faucet(2)), seconds(0)),))
        world.advance(LONG)
        dialler = started(world, len(world.hosts) - 1)
        world.advance(LONG)
        assert waits(dialler, pay(faucet(2)))
        assert again.node.snapshot(world.now).relay.own == 0, "nobody remembers whose it was"

    def test_who_has_it_is_not_told(self, world: World) -> None:
        host = started(world)
        peer, other = link(world, host), link(world, host, 1)
        data = pay(faucet(1))
        give(world, peer, data)
        world.advance(LONG)
        assert named(peer.read()) == []
        assert named(other.read()) == [relay_id(data)]

    def test_a_link_without_the_bit_neither_hears_nor_is_heard(self, world: World) -> None:
        host = started(world)
        peer = link(world, host, features=Feature.NONE)
        mine_, theirs = pay(faucet(1)), pay(faucet(2))
        send(world, host, mine_)
        assert peer.say(inv(theirs), Tx(theirs), getdata(mine_)) == [NotFound((item(mine_),))]
        world.advance(LONG)
        assert (named(peer.read()), asked(peer.inbox)) == ([], [])
        assert not waits(host, theirs)
        assert not peer.closed

    def test_one_that_nobody_asked_for_is_taken(self, world: World) -> None:
        host = started(world)
        data = pay(faucet(1))
        link(world, host).say(Tx(data))
        assert waits(host, data)


class TestAsking:
    def test_only_what_was_told_is_given_out(self, world: World) -> None:
        host = started(world)
        peer, other = link(world, host), link(world, host, 1)
        data = pay(faucet(1))
        send(world, host, data)
        assert peer.say(getdata(data)) == [NotFound((item(data),))], "whether it is here cannot be asked"
        assert peer.say(inv(data), getdata(data)) == [NotFound((item(data),))], "nor by announcing it"
        world.advance(LONG)
        assert named(other.read()) == [relay_id(data)]
        assert other.say(getdata(data)) == [Tx(data)]
        block(host, data)
        other.read()
        assert other.say(getdata(data)) == [NotFound((item(data),))]

    def test_mempool_names_what_is_old(self, world: World) -> None:
        host = started(world)
        old, young = pay(faucet(1)), pay(faucet(2))
        send(world, host, old)
        world.advance(Duration(MEMPOOL_ANSWER_AGE - 1))
        peer = link(world, host)
        assert peer.say(Mempool()) == [Inv(())]
        send(world, host, young)
        later = link(world, host, 1)
        world.advance(Duration(1))
        assert later.say(Mempool()) == [inv(old)]
        assert later.say(getdata(old)) == [Tx(old)]
        assert later.say(Mempool()) == [], "once a minute"

    def test_mempool_names_so_many_what_pays_most(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("obscura.node.spreading.MEMPOOL_ANSWER", 3)
        host = started(world)
        many = [pay(faucet(number), fee=1_000 + 100 * number) for number in range(8)]
        for data in many:
            send(world, host, data)
        world.advance(MEMPOOL_ANSWER_AGE)
        assert sorted(named(link(world, host).say(Mempool()))) == sorted(map(relay_id, many[-3:]))

    def test_a_link_that_never_delivers_is_followed_by_the_next(self, world: World) -> None:
        host = started(world)
        data = pay(faucet(1))
        links = [link(world, host, number) for number in range(2)]
        for peer in links:
            peer.say(inv(data))
        world.advance(TX_DELAY_INBOUND)
        [first] = [peer for peer in links if asked(peer.read())]
        world.advance(TX_REQUEST_TIMEOUT)
        [second] = [peer for peer in links if peer is not first]
        assert asked(second.read()) == [relay_id(data)]
        second.say(Tx(data))
        assert waits(host, data)

    def test_notfound_and_an_end_let_others_be_asked_at_once(self, world: World) -> None:
        host = started(world)
        data = pay(faucet(1))
        links = [link(world, host, number) for number in range(3)]
        for peer in links:
            peer.say(inv(data))
        world.advance(TX_DELAY_INBOUND)
        for number in range(3):
            [one] = [peer for peer in links if asked(peer.read())]
            links.remove(one)
            if number == 0:
                one.say(NotFound((item(data),)))
            elif number == 1:
                host.node.disconnected(one.conn, world.now)
                world.run()
            else:
                one.say(Tx(data))
        assert waits(host, data)

    def test_a_link_that_delivers_and_leaves_before_the_verdict_takes_nothing_away(self, world: World) -> None:
        """Its transaction is judged all the same, or others are asked."""
        host = started(world)
        data, other = pay(faucet(1)), pay(faucet(2))
        links = [link(world, host, number) for number in range(2)]
        host.node.submit_transaction(other, world.now)  # a batch is before the ledger
        for peer in links:
            host.node.receive(peer.conn, b"", world.now)
        effects = host.node.take_effects()
        assert any(isinstance(effect, Ask) for effect in effects)
        for peer in links:
            peer.say(inv(data))
        world.advance(TX_DELAY_INBOUND)
        [first] = [peer for peer in links if asked(peer.read())]
        first.say(Tx(data))
        assert not waits(host, data)
        host.node.disconnected(first.conn, world.now)
        world.run()
        [second] = [peer for peer in links if peer is not first]
        assert asked(second.read()) == [relay_id(data)]

    def test_more_at_once_than_there_is_room_for_in_line(self, world: World) -> None:
        """What was asked for and found no room is asked for again, though nobody announces it twice."""
        host = started(world)
        peer = link(world, host)
        many = [pay(faucet(number)) for number in range(VALIDATION_LINK_COUNT + 50)]
        peer.say(inv(*many))
        world.advance(TX_DELAY_INBOUND)
        wanted = asked(peer.read())
        assert len(wanted) == len(many)
        host.hold = JudgeTransactions
        by_id = {relay_id(data): data for data in many}
        peer.say(*(Tx(by_id[name]) for name in wanted))
        host.release()
        world.run()
        assert VALIDATION_LINK_COUNT <= len(host.node.mempool(world.now)) < len(many)
        world.advance(TX_DELAY_OVERLOADED)
        again = asked(peer.read())
        peer.say(*(Tx(by_id[name]) for name in again))
        assert len(host.node.mempool(world.now)) == len(many)
        host.node.check()

    def test_nothing_is_asked_for_while_the_chain_is_far_behind(self, world: World) -> None:
        host = started(world)
        peer = link(world, host)
        ahead = mine_chain(host.ledger.tip, RELAY_BEHIND + 1, b"", world.block_time())
        data = pay(faucet(1))
        headers = [one[:HEADER_BYTES] for one in ahead]
        peer.say(*(Headers((header,)) for header in headers[:RELAY_BEHIND]))
        peer.say(inv(data))
        world.advance(TX_DELAY_INBOUND)
        assert relay_id(data) in asked(peer.read())
        peer.say(Headers((headers[-1],)))
        late = pay(faucet(2))
        peer.say(inv(late), Tx(late))
        world.advance(TX_DELAY_INBOUND)
        assert relay_id(late) not in asked(peer.read())
        assert not waits(host, late)


class TestRefusals:
    def test_a_conflict_costs_nobody_anything(self, world: World) -> None:
        host = started(world)
        peer = link(world, host)
        first = pay(faucet(1))
        send(world, host, first)
        for number in range(50):
            peer.say(Tx(pay(faucet(1), fee=5_000, salt=number)))
        assert waits(host, first)
        assert len(host.node.mempool(world.now)) == 1
        assert faults(host, peer) == 0

    def test_policy_costs_nobody_anything(self, world: World) -> None:
        host = started(world)
        peer = link(world, host)
        for number in range(50):
            peer.say(Tx(pay(faucet(number), fee=1)))
        assert host.node.mempool(world.now) == []
        assert faults(host, peer) == 0

    def test_what_no_block_may_hold_costs_its_sender_the_link(self, world: World) -> None:
        host = started(world)
        peer = link(world, host)
        for number in range(FAULT_BUDGET // FAULT_INVALID_TX):
            assert not peer.closed
            peer.say(Tx(pay(faucet(number), seal=b"\0")))
        assert peer.closed
        assert peer.reason == "fault-budget"

    def test_what_cannot_be_read_is_dropped_and_charged(self, world: World) -> None:
        host = started(world)
        peer = link(world, host)
        peer.say(Tx(b"nothing of that kind"))
        assert (peer.closed, faults(host, peer)) == (False, FAULT_MALFORMED)
        peer.say(inv(b"nothing of that kind"))
        world.advance(TX_DELAY_INBOUND)
        assert asked(peer.read()) == [], "these bytes have that name, and nothing better has"

    def test_announcements_and_what_nobody_asked_for_have_their_price(self, world: World) -> None:
        host = started(world)
        told, sent = link(world, host), link(world, host, 1)
        most = TOKENS_BURST // TX_PRICE
        told.say(*(Inv((InventoryItem(KIND_TX, relay_id(bytes([at]))),)) for at in range(100)))
        assert paused(host) == []
        told.say(Inv(tuple(InventoryItem(KIND_TX, double_sha256(at.to_bytes(4, "big"))) for at in range(most))))
        assert paused(host) == [told.conn]
        for number in range(most + 100):
            if sent.conn in paused(host):
                break
            sent.say(Tx(pay(faucet(7), salt=number)))
        assert most - 300 < number < most + 10

    def test_what_was_refused_is_not_asked_for_before_the_next_block(self, world: World) -> None:
        host = started(world)
        peer = link(world, host)
        data = pay(faucet(1), lock_height=1)
        give(world, peer, data)
        assert not waits(host, data)
        other = link(world, host, 1)
        other.say(inv(data))
        world.advance(LONG)
        assert asked(other.read()) == []
        block(host)
        other.read()
        third = link(world, host, 2)
        give(world, third, data)
        assert waits(host, data)

    def test_a_full_pool_keeps_what_pays_more_and_raises_its_floor(self, world: World) -> None:
        host = started(world, mempool_bytes=50_000)
        peer = link(world, host)
        for number in range(60):
            peer.say(Tx(pay(faucet(number), fee=1_000 + 100 * number)))
        kept = host.node.mempool(world.now)
        assert 10 < len(kept) < 25
        assert min(one.fee for one in kept) > 1_000 + 100 * 30
        assert host.node.snapshot(world.now).relay.floor > 100
        host.node.check()


def paused(host: Host) -> list[int]:
    """Links that are not read from."""
    return [conn for conn in host.paused if conn in {one.conn for one in host.node.snapshot(host.world.now).peers}]


def faults(host: Host, peer: Stranger) -> int:
    [seen] = [one.faults for one in host.node.snapshot(host.world.now).peers if one.conn == peer.conn]
    return seen


class TestOrphans:
    def test_a_child_waits_for_its_parent(self, world: World) -> None:
        host = started(world)
        peer = link(world, host)
        parent = pay(faucet(1))
        line = [parent, child(parent), child(child(parent))]
        for data in reversed(line):
            peer.say(Tx(data))
        assert all(waits(host, data) for data in line)
        host.node.check()

    def test_a_parent_in_a_block_will_do(self, world: World) -> None:
        host = started(world)
        peer = link(world, host)
        parent = pay(faucet(1))
        peer.say(Tx(child(parent)))
        block(host, parent)
        assert waits(host, child(parent))

    def test_who_pushes_an_orphan_out_again_takes_nothing_away(self, world: World) -> None:
        host = started(world)
        attacker, honest = link(world, host), link(world, host, 1)
        parent = pay(faucet(1))
        data = child(parent)
        give(world, attacker, data)
        honest.say(inv(data))
        world.advance(TX_DELAY_INBOUND)
        assert asked(honest.read()) == [], "it is here"
        for number in range(ORPHANS_PER_PEER):
            attacker.say(Tx(child(pay(faucet(100 + number)))))
        world.advance(Duration(1))
        assert asked(honest.read()) == [relay_id(data)]
        honest.say(Tx(data), Tx(parent))
        assert waits(host, data)

    def test_an_orphan_leaves_with_its_link_and_others_are_asked(self, world: World) -> None:
        host = started(world)
        attacker, honest = link(world, host), link(world, host, 1)
        data = child(pay(faucet(1)))
        give(world, attacker, data)
        honest.say(inv(data))
        world.advance(TX_DELAY_INBOUND)
        host.node.disconnected(attacker.conn, world.now)
        world.advance(Duration(1))
        assert asked(honest.read()) == [relay_id(data)]

    def test_a_wrong_witness_of_the_parent_does_not_take_the_child_along(self, world: World) -> None:
        """Judged in one batch: the child's verdict leant on a parent that was refused."""
        host = started(world)
        peer = link(world, host)
        bad, good = pay(faucet(1), seal=b"\0"), pay(faucet(1))
        assert parse(bad).info.txid == parse(good).info.txid
        data = child(good)
        for one in (bad, data):
            host.node.receive(peer.conn, encode_message(Tx(one)), world.now)
        world.run()
        assert not waits(host, data)
        peer.say(Tx(good))
        assert waits(host, good)
        assert waits(host, data)


class TestTheChain:
    def test_a_block_takes_out_what_it_contradicts_and_what_builds_on_that(self, world: World) -> None:
        host = started(world)
        first, second = pay(faucet(1)), pay(faucet(2))
        for data in (first, child(first), second):
            send(world, host, data)
        block(host, pay(faucet(1), salt=9))
        assert [one.relay_id for one in host.node.mempool(world.now)] == [relay_id(second)]
        assert list(host.waiting) == [relay_id(second)], "what can never be valid is not kept"

    def test_a_reorganisation_brings_back_what_only_the_old_branch_held(self, world: World) -> None:
        host = started(world)
        both, old, dependent = pay(faucet(1)), pay(faucet(2)), pay(faucet(3))
        root = host.ledger.tip
        block(host, both, old)
        send(world, host, child(old))
        send(world, host, dependent)
        fork = mine(root, pack_body([both]), world.block_time())
        host.node.submit_block(fork, world.now)
        tip = MemoryLedger().identify_block(fork).hash
        host.node.submit_block(mine(tip, pack_body([pay(faucet(3), salt=1)]), world.block_time()), world.now)
        world.run()
        assert host.ledger.height == 2
        assert {one.relay_id for one in host.node.mempool(world.now)} == {relay_id(old), relay_id(child(old))}
        host.node.check()

    def test_what_a_block_makes_final_is_taken_back_with_it(self, world: World) -> None:
        host = started(world)
        root = host.ledger.tip
        block(host)
        data = pay(faucet(1), lock_height=1)
        send(world, host, data)
        assert waits(host, data)
        # A branch with more work, of one block that is as high: the memory chain counts work by target alone, so two.
        longer = mine_chain(root, 2, b"other", world.block_time())
        for one in longer:
            host.node.submit_block(one, world.now)
        world.run()
        assert host.ledger.height == 2
        assert waits(host, data), "it is final again"
        host.node.check()


class TestTime:
    def test_orphans_and_what_nobody_mines_leave_in_time(self, world: World) -> None:
        host = started(world)
        orphan, old = child(pay(faucet(1))), pay(faucet(2))
        link(world, host).say(Tx(orphan))
        link(world, host, 1).say(Tx(old))
        own = pay(faucet(3))
        send(world, host, own)
        assert host.node.snapshot(world.now).relay.orphans == 1
        world.advance(ORPHAN_AGE)
        assert host.node.snapshot(world.now).relay.orphans == 0
        world.advance(Duration(MEMPOOL_AGE - MEMPOOL_SWEEP))
        assert waits(host, old)
        world.advance(Duration(2 * MEMPOOL_SWEEP))
        assert host.node.mempool(world.now) == []
        assert host.node.sent_stage(parse(own).info.txid) is Stage.EXPIRED
        host.node.check()

    def test_the_pool_is_not_walked_for_every_timer(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        walks = []
        monkeypatch.setattr(Mempool_, "expire", lambda self, now: walks.append(now) or [])
        host = started(world)
        peer = link(world, host)
        for number in range(20):
            give(world, peer, pay(faucet(number)))
            world.advance(seconds(1))
        assert walks == []
        world.advance(MEMPOOL_SWEEP)
        assert len(walks) == 1


class TestOurOperator:
    @pytest.mark.parametrize(
        ("data", "rule"),
        [
            (b"nothing", "tx-truncated"),
            (pay(faucet(1), fee=1), "min relay fee not met"),
            (pay(faucet(1), lock_height=5), "non-final"),
            (pay(faucet(1), seal=b"\0"), "bad-seal"),
            (child(pay(faucet(1))), "bad-txns-inputs-missingorspent"),
            (pay(faucet(99)), "txn-mempool-conflict"),
        ],
    )
    def test_is_told_which_rule_is_broken(self, world: World, data: bytes, rule: str) -> None:
        host = started(world)
        assert send(world, host, pay(faucet(99), salt=1)).accepted
        told = send(world, host, data)
        assert (told.accepted, told.rule) == (False, rule)
        assert len(host.waiting) == 1

    def test_twice_is_as_good_as_once(self, world: World) -> None:
        host = started(world)
        data = pay(faucet(1))
        send(world, host, data)
        again = send(world, host, data)
        assert (again.accepted, again.rule) == (True, "txn-already-in-mempool")

    def test_two_tickets_for_one_verdict(self, world: World) -> None:
        host = started(world)
        data = pay(faucet(1))
        tickets = [host.node.submit_transaction(data, world.now) for _ in range(2)]
        world.run()
        told = [one for one in host.events if isinstance(one, TransactionSubmitted)]
        assert [(one.ticket, one.accepted) for one in told] == [(ticket, True) for ticket in tickets]

    def test_one_that_a_peer_brought_first_becomes_his(self, world: World) -> None:
        host = started(world)
        data = pay(faucet(1))
        link(world, host).say(Tx(data))
        assert host.node.snapshot(world.now).relay.own == 0
        assert send(world, host, data).accepted
        assert host.node.snapshot(world.now).relay.own == 1
        assert list(host.waiting) == [relay_id(data)]

    def test_an_orphan_of_a_peer_is_judged_anew(self, world: World) -> None:
        host = started(world)
        parent = pay(faucet(1))
        link(world, host).say(Tx(child(parent)))
        assert send(world, host, child(parent)).rule == "bad-txns-inputs-missingorspent"
        assert send(world, host, parent).accepted
        assert send(world, host, child(parent)).accepted
        host.node.check()

    def test_a_ledger_without_transactions(self, world: World) -> None:
        host = started(world, ledger=MemoryLedger(relays=False))
        assert send(world, host, pay(faucet(1))).rule == "relay-off"
        peer = link(world, host)
        assert peer.say(Mempool()) == [Inv(())]
        assert host.node.mempool(world.now) == []

    def test_so_many_and_no_more(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("obscura.node.judging.OWN_TRANSACTIONS", 3)
        host = started(world)
        for number in range(3):
            assert send(world, host, pay(faucet(number))).accepted
        assert send(world, host, pay(faucet(9))).rule == "too-many-own"
        assert send(world, host, pay(faucet(0))).rule == "txn-already-in-mempool"


class TestTheView:
    def test_the_bit_is_clear_until_the_view_stands_at_the_tip_and_links_are_renewed(self, world: World) -> None:
        host = started(world, hold=FollowCoins)
        assert send(world, host, pay(faucet(1))).rule == "coins-not-ready"
        able, unable = link(world, host), link(world, host, 1, features=Feature.NONE)
        pictures = {one.conn: one for one in host.node.snapshot(world.now).peers}
        assert not pictures[able.conn].in_force.features & RELAYS
        host.release()
        world.run()
        assert send(world, host, pay(faucet(1))).accepted
        world.advance(LONG)
        assert [one.reason for one in host.events if isinstance(one, LinkClosed)] == ["features-changed"]
        assert (able.closed, unable.closed) == (True, False)
        assert link(world, host, 2).say(getdata(b"?"), Mempool())[-1:] != [], "it serves"

    def test_a_handshake_that_was_under_way_is_renewed_as_well(self, world: World) -> None:
        """Begun before we could relay, complete when the other links have been renewed: both sides would stay without
        the bit for ever."""
        host = started(world, hold=FollowCoins)
        slow = Stranger(world, host, greet=False)
        slow.say(make_version(4242, FeatureSet(RELAYS)))
        host.release()
        world.run()
        world.advance(seconds(20))
        slow.say(Verack())
        assert not slow.closed
        world.advance(LONG)
        assert slow.closed
        assert [one.reason for one in host.events if isinstance(one, LinkClosed)] == ["features-changed"]

    def test_dials_wait_for_the_first_step(self, world: World) -> None:
        first = started(world)
        second = started(world, 0, hold=FollowCoins)
        world.run()
        assert second.node.snapshot(world.now).peers == ()
        second.release()
        world.run()
        [peer] = second.node.snapshot(world.now).peers
        assert peer.in_force.features & RELAYS
        assert first.node.snapshot(world.now).peers[0].in_force.features & RELAYS

    def test_nothing_is_judged_while_the_view_moves(self, world: World) -> None:
        host = started(world, hold=FollowCoins)
        host.release()
        world.run()
        host.hold = FollowCoins
        block(host)
        data = pay(faucet(1))
        peer = link(world, host)
        peer.say(Tx(data))
        assert not waits(host, data)
        host.release()
        world.run()
        assert waits(host, data)


class TestTheBudget:
    def test_what_pays_more_is_told_first_and_a_flood_waits(self, world: World) -> None:
        host = started(world, relay_tenths=1)
        peer = link(world, host)
        for number in range(200):
            send(world, host, pay(faucet(number), fee=1_000))
        dear = pay(faucet(1_000), fee=50_000)
        send(world, host, dear)
        world.advance(seconds(30))
        told = named(peer.read())
        assert relay_id(dear) in told
        assert 42 <= len(told) <= 42 + 30 * 1.4 + 1, "a tenth of the usual burst, then a tenth of the usual rate"
        world.advance(seconds(3_600))
        assert len(told) + len(named(peer.read())) == 201
        assert all(isinstance(one.age, int) for one in host.node.mempool(world.now))


def test_moments_repeat_with_a_seed() -> None:
    def story() -> list[tuple[Instant, list[TxId]]]:
        world = World()
        host = started(world)
        peer = link(world, host)
        found = []
        for number in range(10):
            send(world, host, pay(faucet(number)))
            world.advance(seconds(3))
            found.append((world.now.mono, named(peer.read())))
        return found

    assert story() == story()
