"""Our operator's transactions through the driver, and what of all that wait is durable when."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from aio_nodes import LOOPS, Factory, RealNode, dialled, run, running, until

from obscura.base.digest import double_sha256
from obscura.base.errors import LocalError, StoreError
from obscura.base.names import TxId
from obscura.ledgers.memory_transactions import FAUCET_AMOUNT, faucet, make_transaction, parse
from obscura.node.config import NoStem
from obscura.node.effects import SaveTransaction
from obscura.wire.address import Network
from obscura.wire.blocks import Tx
from obscura.wire.features import Feature

Changes = Sequence[tuple[TxId, SaveTransaction | None]]


def pay(number: int) -> bytes:
    return make_transaction([faucet(number)], [FAUCET_AMOUNT - 1_000])


def relay_id(data: bytes) -> TxId:
    return TxId(double_sha256(data))


class Disk:
    """What was made durable, and in how many calls."""

    def __init__(self) -> None:
        self.rows: dict[TxId, bytes] = {}
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()

    def save(self, changes: Changes) -> None:
        assert self.gate.wait(10)
        self.calls += 1
        for name, one in changes:
            if one is None:
                self.rows.pop(name, None)
            else:
                self.rows[name] = one.data


async def ready(node: RealNode) -> None:
    await until(lambda: node.driver.snapshot().relay.ready, "the view stands at the tip")


@LOOPS
def test_one_that_is_accepted_is_on_disk_on_return(factory: Factory) -> None:
    disk = Disk()

    async def main() -> None:
        node = RealNode(save_transactions=disk.save, no_stem=NoStem.NOW)
        async with running(node):
            await ready(node)
            assert (await node.driver.submit_transaction(pay(1))).accepted
            assert disk.rows == {relay_id(pay(1)): pay(1)}
            assert (await node.driver.submit_transaction(pay(1))).rule == "txn-already-in-mempool"
            assert not (await node.driver.submit_transaction(b"?")).accepted
            assert len(disk.rows) == 1

    run(factory, main())


@LOOPS
def test_others_are_on_disk_before_the_end_in_few_calls(factory: Factory) -> None:
    disk = Disk()

    async def main() -> None:
        node = RealNode(save_transactions=disk.save, no_stem=NoStem.NOW)
        async with running(node):
            await ready(node)
            async with dialled(node, features=Feature.BASIC_TRANSACTIONS) as peer:
                disk.gate.clear()
                await peer.say(*(Tx(pay(number)) for number in range(100)))
                await until(lambda: node.driver.snapshot().relay.waiting == 100, "they are here")
            asyncio.get_running_loop().call_later(0.1, disk.gate.set)
        assert disk.rows == {relay_id(pay(number)): pay(number) for number in range(100)}
        assert disk.calls < 5

    run(factory, main())


@LOOPS
def test_a_disk_that_fails_is_told_to_who_sends_and_ends_nothing(factory: Factory) -> None:
    def save(_changes: Changes) -> None:
        raise StoreError("the disk is full")

    async def main() -> None:
        node = RealNode(save_transactions=save, no_stem=NoStem.NOW)
        async with running(node):
            await ready(node)
            with pytest.raises(LocalError, match="full"):
                await node.driver.submit_transaction(pay(1))
            await until(lambda: node.driver.snapshot().relay.waiting == 1, "it is here all the same")

    run(factory, main())


@LOOPS
def test_a_driver_without_a_store(factory: Factory) -> None:
    async def main() -> None:
        node = RealNode(no_stem=NoStem.NOW)
        async with running(node):
            await ready(node)
            assert (await node.driver.submit_transaction(pay(1))).accepted

    run(factory, main())


@LOOPS
def test_a_private_broadcast_is_on_disk_on_return_and_off_it_when_it_is_taken_back(factory: Factory) -> None:
    rows: dict[TxId, bytes] = {}
    refuse = False

    def save(changes: Sequence[tuple[TxId, bytes | None]]) -> None:
        if refuse:
            raise StoreError("the disk is full")
        for name, data in changes:
            rows.pop(name, None) if data is None else rows.update({name: data})

    async def main() -> None:
        nonlocal refuse
        node = RealNode(save_broadcasts=save, reach=(Network.TORV3,))
        async with running(node):
            await ready(node)
            done = await node.driver.submit_transaction(pay(1), apart=True)
            assert done.accepted and rows == {relay_id(pay(1)): pay(1)}
            [item] = node.driver.broadcasts()
            assert item.txid == done.txid
            refuse = True
            with pytest.raises(StoreError, match="full"):
                await node.driver.drop_broadcast(done.txid)
            with pytest.raises(StoreError, match="full"):
                await node.driver.submit_transaction(pay(2), apart=True)
            refuse = False
            assert await node.driver.drop_broadcast(parse(pay(2)).info.txid)
            assert rows == {}
            assert not await node.driver.drop_broadcast(done.txid)

    run(factory, main())
