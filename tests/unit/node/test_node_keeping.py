"""What of transactions is on disk: everything that waits, whoever sent it, over stops, kills and reorganisations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from nodes import Host, World, mine_chain
from test_node_relay import LONG, block, child, link, pay, relay_id, send, waits

from obscura.base.instant import Duration, seconds
from obscura.base.limits import MEMPOOL_AGE, MEMPOOL_SWEEP, RELAY_BEHIND
from obscura.base.names import TxId
from obscura.ledgers.memory import MemoryLedger, mine
from obscura.ledgers.memory_transactions import faucet, pack_body
from obscura.node.effects import (
    Effect,
    FollowCoins,
    ForgetTransaction,
    JudgeTransactions,
    KeptTransaction,
    SaveTransaction,
)
from obscura.wire.blocks import Tx


@pytest.fixture
def world() -> World:
    return World()


def reborn(world: World, dead: Host, **more: Any) -> Host:
    """The next life of a node that was killed: what its disk holds, and nothing else."""
    host = world.add(kept=dead.kept(), **{"ledger": dead.ledger} | more)
    host.waiting = dict(dead.waiting)
    world.run()
    return host


def on_disk(host: Host) -> list[TxId]:
    return sorted(host.waiting)


def names(*transactions: bytes) -> list[TxId]:
    return sorted(map(relay_id, transactions))


def own(world: World, host: Host) -> int:
    return host.node.snapshot(world.now).relay.own


class TestRestarts:
    def test_a_kill_leaves_everything_that_waited_and_nothing_of_whose_it_was(self, world: World) -> None:
        host = world.add()
        world.run()
        ours, theirs = pay(faucet(1)), [pay(faucet(2)), child(pay(faucet(2)))]
        send(world, host, ours)
        for number, data in enumerate(theirs):
            link(world, host, number).say(Tx(data))
        assert own(world, host) == 1
        world.advance(seconds(7_200))
        again = reborn(world, host)
        assert all(waits(again, data) for data in (ours, *theirs))
        items = again.node.mempool(world.now)
        assert [one.own for one in items] == [False] * 3
        assert all(seconds(7_200) <= one.age < seconds(7_300) for one in items)
        assert own(world, again) == 0
        assert again.waiting == host.waiting, "nothing was written anew"
        again.node.check()
        assert send(world, again, ours).rule == "txn-already-in-mempool"
        assert own(world, again) == 1, "he says so again"
        block(again, ours)
        assert on_disk(again) == names(*theirs)
        assert own(world, again) == 0
        again.node.check()

    def test_own_and_relayed_are_on_disk_in_one_form(self, world: World) -> None:
        data = pay(faucet(1))
        sender, other = world.add(), world.add()
        world.run()
        send(world, sender, data)
        link(world, other).say(Tx(data))
        assert sender.waiting == other.waiting == {relay_id(data): (SaveTransaction(relay_id(data), data), 0)}

    def test_a_stop_says_nothing_more(self, world: World) -> None:
        host = world.add()
        world.run()
        send(world, host, pay(faucet(1)))
        before = dict(host.waiting)
        host.node.stop(world.now)
        world.run()
        assert host.waiting == before

    def test_what_a_block_took_meanwhile_is_forgotten(self, world: World) -> None:
        host = world.add()
        world.run()
        taken, left = pay(faucet(1)), pay(faucet(2))
        contradicted = pay(faucet(3))
        for data in (taken, left, contradicted):
            send(world, host, data)
        ledger = MemoryLedger()
        body = pack_body([taken, pay(faucet(3), salt=1)])
        ledger.accept_blocks([mine(ledger.tip, body, world.block_time())])
        again = reborn(world, host, ledger=ledger)
        assert on_disk(again) == names(left)
        assert [one.relay_id for one in again.node.mempool(world.now)] == names(left)
        again.node.check()

    @pytest.mark.parametrize("held", [FollowCoins, JudgeTransactions])
    def test_an_end_in_the_middle_of_taking_up_loses_nothing(self, world: World, held: type) -> None:
        host = world.add()
        world.run()
        kept = [pay(faucet(number)) for number in range(100)]
        for data in kept:
            link(world, host, relay_id(data)[0]).say(Tx(data))
        again = reborn(world, host, hold=held)
        assert again.node.mempool(world.now) == []
        again.node.check()
        again.node.stop(world.now)
        world.run()
        assert on_disk(again) == names(*kept)
        last = reborn(world, again)
        assert all(waits(last, data) for data in kept)

    def test_parents_are_taken_up_before_their_children(self, world: World) -> None:
        host = world.add()
        world.run()
        families = []
        for number in range(10):
            families.append([pay(faucet(number))])
            for _ in range(20):
                families[-1].append(child(families[-1][-1]))
        for family in families:
            for data in family:
                send(world, host, data)
        again = reborn(world, host)
        assert all(waits(again, data) for family in families for data in family)
        again.node.check()

    def test_a_row_that_cannot_be_read_is_passed_over_and_forgotten(self, world: World) -> None:
        host = world.add()
        world.run()
        good, bad = pay(faucet(1)), b"of another release"
        send(world, host, good)
        row = host.waiting[relay_id(good)]
        host.waiting[relay_id(bad)] = replace(row[0], relay_id=relay_id(bad), data=bad), row[1]
        again = reborn(world, host)
        assert waits(again, good)
        assert on_disk(again) == names(good)

    def test_the_same_one_twice(self, world: World) -> None:
        data = pay(faucet(1))
        host = world.add(kept=[KeptTransaction(data, seconds(5))] * 2)
        world.run()
        assert waits(host, data)
        host.node.check()

    def test_a_ledger_without_transactions_leaves_the_disk_alone(self, world: World) -> None:
        host = world.add()
        world.run()
        send(world, host, pay(faucet(1)))
        without = reborn(world, host, ledger=MemoryLedger(relays=False))
        assert without.waiting == host.waiting


class TestLeaving:
    def test_what_is_judged_again_stays_until_that_verdict(self, world: World) -> None:
        host = world.add()
        world.run()
        root = host.ledger.tip
        block(host)
        final, good = pay(faucet(1), lock_height=1), pay(faucet(2))
        send(world, host, final)
        send(world, host, child(final))
        send(world, host, good)
        host.hold = JudgeTransactions
        fork = mine_chain(root, 2, b"other", world.block_time())
        for one in fork:
            host.node.submit_block(one, world.now)
        world.run()
        assert host.ledger.height == 2
        assert not waits(host, final)
        assert on_disk(host) == names(final, child(final), good)
        assert own(world, host) == 1, "of those that wait"
        host.node.check()
        again = reborn(world, host, hold=None)
        assert all(waits(again, data) for data in (final, child(final), good))
        host.release()
        world.run()
        assert on_disk(host) == names(final, child(final), good)
        assert own(world, host) == 3
        host.node.check()

    def test_what_is_refused_when_it_is_judged_again_is_forgotten(self, world: World) -> None:
        host = world.add()
        world.run()
        root = host.ledger.tip
        first, second = pay(faucet(1)), pay(faucet(2))
        block(host, first)
        for data in (child(first), child(child(first)), second):
            send(world, host, data)
        other = mine(root, pack_body([pay(faucet(1), salt=1)]), world.block_time())
        tip = MemoryLedger().identify_block(other).hash
        for one in (other, *mine_chain(tip, 1, b"", world.block_time())):
            host.node.submit_block(one, world.now)
        world.run()
        assert host.ledger.height == 2
        assert on_disk(host) == names(second)
        assert own(world, host) == 1
        host.node.check()

    def test_what_is_confirmed_by_the_same_step_that_unsettles_it(self, world: World) -> None:
        host = world.add()
        world.run()
        root = host.ledger.tip
        block(host)
        final = pay(faucet(1), lock_height=1)
        send(world, host, final)
        first = mine(root, b"", world.block_time())
        tip = MemoryLedger().identify_block(first).hash
        for one in (first, mine(tip, pack_body([final]), world.block_time())):
            host.node.submit_block(one, world.now)
        world.run()
        assert host.ledger.height == 2
        assert on_disk(host) == []
        assert own(world, host) == 0
        host.node.check()

    def test_what_is_pushed_out_is_forgotten_whoever_sent_it(self, world: World) -> None:
        host = world.add(mempool_bytes=50_000)
        world.run()
        ours = pay(faucet(0), fee=200)
        assert send(world, host, ours).accepted
        peer = link(world, host)
        for number in range(1, 60):
            peer.say(Tx(pay(faucet(number), fee=1_000 + number)))
            host.node.check()
        here = sorted(one.relay_id for one in host.node.mempool(world.now))
        assert 5 < len(here) < 50
        assert on_disk(host) == here
        assert not waits(host, ours)
        assert own(world, host) == 0

    def test_what_nobody_mines_is_forgotten(self, world: World) -> None:
        host = world.add()
        world.run()
        link(world, host).say(Tx(pay(faucet(1))))
        ours = pay(faucet(2))
        send(world, host, ours)
        world.advance(Duration(MEMPOOL_AGE + 2 * MEMPOOL_SWEEP))
        assert on_disk(host) == []

    def test_refused_ones_were_never_on_disk(self, world: World) -> None:
        host = world.add()
        world.run()
        effects: list[Effect] = []

        def seen(effect: Effect) -> bool:
            effects.append(effect)
            return True

        host.filter = seen
        link(world, host).say(Tx(pay(faucet(1), seal=b"\0")), Tx(child(pay(faucet(2)))))
        world.advance(LONG)
        assert effects
        assert not any(isinstance(effect, SaveTransaction | ForgetTransaction) for effect in effects)


class TestTheBound:
    def test_those_that_wait_for_a_verdict_count(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("obscura.node.judging.OWN_TRANSACTIONS", 3)
        monkeypatch.setattr("obscura.node.bounds.OWN_TRANSACTIONS", 3)
        host = world.add()
        world.run()
        link(world, host).say(Tx(pay(faucet(9))))
        for number in (0, 1, 1, 2, 3):
            host.node.submit_transaction(pay(faucet(number)), world.now)
        host.node.check()
        world.run()
        assert own(world, host) == 3
        assert send(world, host, pay(faucet(9))).rule == "too-many-own", "it waits, but not as his"
        host.node.check()

    def test_nothing_is_taken_while_the_chain_is_far_behind(self, world: World) -> None:
        """The view stands at the tip of a chain that lacks a day: what it says of coins is old."""
        ledger = MemoryLedger()
        blocks = mine_chain(ledger.tip, RELAY_BEHIND + 1, b"", world.block_time())
        ledger.accept_headers([one[:80] for one in blocks])
        host = world.add(ledger=ledger, kept=(KeptTransaction(pay(faucet(1)), seconds(5)),))
        world.run()
        assert send(world, host, pay(faucet(2))).rule == "coins-not-ready"
        host.node.check()
        for one in blocks:
            host.node.submit_block(one, world.now)
        world.run()
        assert send(world, host, pay(faucet(2))).accepted
        assert waits(host, pay(faucet(1)))
        host.node.check()
