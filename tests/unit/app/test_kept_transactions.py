"""Transactions that wait, from the node's effects to the store and back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from nodes import Host, World
from stranger import Stranger

from obscura.app import transactions
from obscura.app.compose import open_store
from obscura.base.instant import WallTime, seconds
from obscura.base.names import TxId
from obscura.ledgers.memory_transactions import FAUCET_AMOUNT, faucet, make_transaction, output, parse
from obscura.node.effects import Effect, ForgetTransaction, KeptTransaction, SaveTransaction
from obscura.store import Store, open_datadir
from obscura.wire.blocks import Tx
from obscura.wire.features import Feature

HOUR = 3_600
NAME = parse(make_transaction([faucet(1)], [5])).info.relay_id


def keeping(store: Store) -> Callable[[Effect], bool]:
    """Carries a node's changes out, as the driver does."""

    def carry_out(effect: Effect) -> bool:
        if isinstance(effect, SaveTransaction | ForgetTransaction):
            value = effect if isinstance(effect, SaveTransaction) else None
            transactions.save(store, [(effect.relay_id, value)])
        return True

    return carry_out


def content(store: Store) -> list[str]:
    return list(store._database.iterdump())


def test_the_disks_of_who_sent_and_of_who_relayed_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 100.0 * HOUR)
    first = make_transaction([faucet(1)], [FAUCET_AMOUNT - 1_000] * 1)
    ones = [first, make_transaction([output(parse(first).info.txid, 0)], [FAUCET_AMOUNT - 2_000])]
    ones += [make_transaction([faucet(number)], [FAUCET_AMOUNT - 1_000]) for number in range(2, 9)]
    world = World()
    stores: list[Store] = []
    hosts: list[Host] = []
    for number in range(2):
        stores.append(Store(tmp_path / f"{number}.db"))
        hosts.append(world.add())
        hosts[-1].filter = keeping(stores[-1])
    world.run()
    sender, other = hosts
    peer = Stranger(world, other, "127.201.1.1:50000", features=Feature.BASIC_TRANSACTIONS)
    for data in ones:
        sender.node.submit_transaction(data, world.now)
        world.run()
        peer.say(Tx(data))
    assert content(stores[0]) == content(stores[1])
    assert len(stores[0].load_transactions()) == len(ones)
    for host in hosts:
        host.node.stop(world.now)
    world.run()
    assert content(stores[0]) == content(stores[1]), "a stop adds nothing"
    wall = WallTime(102 * HOUR)
    again = World().add(kept=transactions.load(stores[0], wall))
    again.filter = keeping(stores[0])
    again.world.run()
    items = again.node.mempool(again.world.now)
    assert sorted(one.relay_id for one in items) == sorted(parse(data).info.relay_id for data in ones)
    assert {(one.own, one.age) for one in items} == {(False, seconds(2 * HOUR))}
    assert content(stores[0]) == content(stores[1]), "neither does a start"
    for store in stores:
        store.close()


def test_ages_never_lie_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 100.0 * HOUR)
    store = Store(tmp_path / "state.db")
    data = make_transaction([faucet(1)], [5])
    transactions.save(store, [(NAME, SaveTransaction(NAME, data, stem=True)), (TxId(bytes(32)), None)])
    assert transactions.load(store, WallTime(99 * HOUR)) == (KeptTransaction(data, seconds(0), stem=True),)
    assert transactions.load(store, WallTime(101 * HOUR + 7))[0].age == seconds(HOUR + 7)
    transactions.save(store, [(NAME, None)])
    assert transactions.load(store, WallTime(0)) == ()
    store.close()


def test_the_file_of_an_earlier_release_is_deleted(tmp_path: Path) -> None:
    for name in ("mempool.dat", "mempool.new"):
        (tmp_path / name).write_bytes(b"what was not our operator's")
    with open_datadir(tmp_path) as locked:
        open_store(locked, "regtest").close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["lock", "state.db"]
