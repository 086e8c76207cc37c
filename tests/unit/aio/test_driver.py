"""The driver against nodes that fail, ledgers that fail, and listeners that fail."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Sequence
from typing import Any

import pytest
from aio_nodes import LOOPS, Factory, RealNode, chain, dialled, free_host, ledger_of, run, running, until

from obscura.aio.clock import read_clock
from obscura.aio.saver import ChangeSaver
from obscura.base.digest import double_sha256
from obscura.base.errors import BugError, LocalError, StoreError
from obscura.base.instant import Instant, Now
from obscura.base.limits import READS_AT_ONCE
from obscura.base.names import ConnId
from obscura.chain import BlockReport
from obscura.ledgers.memory import MemoryLedger
from obscura.node import Node
from obscura.node.effects import DialFailed, Effect, Event, LedgerAnswer, LinkClosed, Send, TipMoved
from obscura.peers.record import AddressRecord
from obscura.wire.address import NetAddress, address_from_ip
from obscura.wire.blocks import Block, GetData
from obscura.wire.greeting import Ping, Pong
from obscura.wire.inventory import KIND_BLOCK, InventoryItem


def defects(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.getMessage() == "defect"]


class Stumbling(Node):
    """Raises at a ping with nonce 13."""

    def receive(self, conn: ConnId, data: bytes, now: Now, *, in_turns: bool = False) -> bool:
        if (13).to_bytes(8, "little") in data:
            raise RuntimeError("thirteen")
        return super().receive(conn, data, now, in_turns=in_turns)


@LOOPS
def test_a_defect_costs_the_link_only(factory: Factory, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        node = RealNode(make=Stumbling)
        async with running(node), dialled(node) as bad, dialled(node) as good:
            await bad.say(Ping(13))
            while await bad.hear() is not None:
                pass
            await until(lambda: len(node.driver.snapshot().peers) == 1, "the node knows that the link has ended")
            await good.say(Ping(14))
            assert (await good.hear_a(Pong)).nonce == 14

    run(factory, main())
    [record] = defects(caplog)
    assert record.exc_info is not None
    assert "thirteen" in str(record.exc_info[1])


class Hopeless(Stumbling):
    """Cannot let go of a link either."""

    def disconnected(self, conn: ConnId, now: Now) -> None:
        raise RuntimeError("still thirteen")


@LOOPS
def test_the_socket_ends_even_if_the_node_cannot_let_go(factory: Factory, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        node = RealNode(make=Hopeless)
        async with running(node), dialled(node) as bad:
            await bad.say(Ping(13))
            async with asyncio.timeout(5):
                while await bad.hear() is not None:
                    pass

    run(factory, main())
    assert len(defects(caplog)) == 2


class Ticking(Node):
    """Its timer fails ``failing`` times in a row, then works."""

    failing = 0

    def start(self, now: Now) -> None:
        self.calls = 0

    def next_deadline(self) -> Instant | None:
        return Instant(0)

    def handle_deadline(self, now: Now) -> None:
        self.calls += 1
        if self.calls <= self.failing:
            raise RuntimeError("tick")


class TickingShort(Ticking):
    failing = 9


class TickingLong(Ticking):
    failing = 1_000_000


@LOOPS
def test_a_timer_that_fails_now_and_then(factory: Factory, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        node = RealNode(make=TickingShort)
        async with running(node):
            await asyncio.sleep(0.2)
            assert node.driver._node.calls > 20  # type: ignore[attr-defined]

    run(factory, main())
    assert len(defects(caplog)) == 9


@LOOPS
def test_a_timer_that_always_fails_stops_the_node(factory: Factory) -> None:
    async def main() -> None:
        node = RealNode(make=TickingLong)
        async with asyncio.timeout(10):
            await node.driver.run()

    with pytest.raises(BugError, match="10 times in a row"):
        run(factory, main())


@LOOPS
def test_only_so_many_answers_of_the_store_wait_for_turns(factory: Factory) -> None:
    async def main() -> None:
        node = RealNode(ledger=ledger_of(1))
        block = chain(1)[0]
        waiting, most, gate = 0, 0, asyncio.Event()
        give = node.driver._links.answer

        async def held_back(conn: ConnId | None, given: Any) -> None:
            nonlocal waiting, most
            if conn is not None:
                waiting += 1
                most = max(most, waiting)
                await gate.wait()
                waiting -= 1
            await give(conn, given)

        node.driver._links.answer = held_back  # type: ignore[method-assign]
        async with running(node), contextlib.AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(dialled(node)) for _ in range(READS_AT_ONCE + 8)]
            for peer in peers:
                await peer.say(GetData((InventoryItem(KIND_BLOCK, double_sha256(block[:80])),)))
            await until(lambda: waiting == READS_AT_ONCE, "as many as may")
            await asyncio.sleep(0.05)
            gate.set()
            for peer in peers:
                assert (await peer.hear_a(Block)).data == block
        assert most == READS_AT_ONCE

    run(factory, main())


class Unstoppable(Node):
    """Cannot even end its links."""

    def stop(self, now: Now) -> None:
        raise RuntimeError("no")


@LOOPS
def test_stopping_does_not_depend_on_the_node(factory: Factory, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        node = RealNode(make=Unstoppable)
        async with running(node), dialled(node):
            async with asyncio.timeout(5):
                await node.driver.stop()

    run(factory, main())
    assert len(defects(caplog)) == 1


@LOOPS
def test_a_link_that_is_dropped_before_its_socket_is_ready(factory: Factory) -> None:
    async def main() -> None:
        node = RealNode()
        async with running(node):
            links = node.driver._links
            for turns in range(4):
                tcp = socket.create_server(("127.0.0.1", 0))
                client = socket.create_connection(tcp.getsockname())
                accepted, peer = tcp.accept()
                accepted.setblocking(False)
                links.accept(accepted, address_from_ip(*peer))
                for _ in range(turns):
                    await asyncio.sleep(0)
                [picture] = node.driver.snapshot().peers
                links.drop(picture.conn)
                client.settimeout(3)
                # Off the loop, so that it can close its side.
                assert await asyncio.to_thread(client.recv, 1) == b""
                node.driver._node.disconnected(picture.conn, read_clock())
                for sock in (tcp, client):
                    sock.close()
                await until(lambda: accepted.fileno() == -1, "the socket is closed")  # noqa: B023

    run(factory, main())


@LOOPS
def test_a_socket_that_fails_at_once_is_not_a_link(factory: Factory) -> None:
    async def main() -> None:
        node = RealNode()
        async with running(node):
            # No TCP socket, so its options cannot be set.
            node.driver._links.accept(socket.socket(type=socket.SOCK_DGRAM), address_from_ip("127.0.0.1", 5_000))
            assert len(node.driver.snapshot().peers) == 1
            await until(lambda: not node.driver.snapshot().peers, "the node knows that there is no link")

    run(factory, main())


@LOOPS
def test_addresses_are_saved_before_the_end(factory: Factory) -> None:
    async def main() -> None:
        saved: list[int] = []

        def save(changes: Sequence[tuple[NetAddress, AddressRecord | None]]) -> None:
            time.sleep(0.2)
            saved.append(len(changes))

        node = RealNode([free_host()])
        node.driver._saver = ChangeSaver(save, "address")
        async with running(node):
            await until(lambda: any(isinstance(event, DialFailed) for event in node.events), "a dial")
        assert saved
        assert saved[-1] == 1

    run(factory, main())


class Full(MemoryLedger):
    """A ledger on a disk that is full."""

    error: Exception = StoreError("no space left in the datadir")
    closed = False

    def accept_blocks(self, blocks: Sequence[bytes]) -> BlockReport:
        raise self.error

    def close(self) -> None:
        self.closed = True


class Defective(Full):
    error = ZeroDivisionError("oops")


@LOOPS
@pytest.mark.parametrize(("ledger", "kind"), [(Full, StoreError), (Defective, BugError)])
def test_a_ledger_that_fails_stops_the_node(factory: Factory, ledger: type[Full], kind: type[Exception]) -> None:
    chained = ledger()

    async def main() -> None:
        source = RealNode(ledger=ledger_of(3))
        node = RealNode([source.address], ledger=chained)
        async with running(source):
            async with asyncio.timeout(10):
                await node.driver.run()

    with pytest.raises(kind, match=r"no space|oops"):
        run(factory, main())
    assert chained.closed


class FullToTheEnd(Full):
    """Cannot be closed well either, as the disk is still full."""

    def close(self) -> None:
        raise StoreError("the clean mark cannot be written")


@LOOPS
def test_what_stopped_the_node_is_told_not_what_followed(factory: Factory, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        node = RealNode(ledger=FullToTheEnd())
        task = asyncio.create_task(node.driver.run())
        with contextlib.suppress(LocalError):
            await node.driver.submit_block(chain(1)[0])
        with pytest.raises(StoreError, match="no space left"):
            await task

    run(factory, main())
    assert "not-ended-well" in caplog.text

    async def alone() -> None:
        node = RealNode(ledger=FullToTheEnd())
        node.driver.request_stop()
        with pytest.raises(StoreError, match="clean mark"):
            await node.driver.run()

    run(factory, alone())


@LOOPS
def test_listeners_that_fail_hide_nothing(factory: Factory, caplog: pytest.LogCaptureFixture) -> None:
    def failing(event: Event) -> None:
        raise RuntimeError("deaf")

    async def main() -> None:
        source = RealNode(ledger=ledger_of(3))
        node = RealNode([source.address])
        node.driver._listeners = (failing, node.events.append)
        async with running(source, node):
            await until(lambda: node.height == 3, "the chain")
            await until(lambda: any(isinstance(event, TipMoved) for event in node.events), "the event")

    run(factory, main())
    assert any(record.getMessage() == "listener-failed" for record in caplog.records)


class Chatty(Node):
    """Counts what is sent; every input's sends come one by one."""

    def take_effects(self) -> list[Effect]:
        split: list[Effect] = []
        for effect in super().take_effects():
            if isinstance(effect, Send):
                split.extend(Send(effect.conn, effect.data[at : at + 1]) for at in range(len(effect.data)))
            else:
                split.append(effect)
        return split


@LOOPS
def test_sends_of_one_turn_are_one_write(factory: Factory) -> None:
    async def main() -> None:
        node = RealNode(make=Chatty)
        writes: list[int] = []
        async with running(node), dialled(node) as peer:
            [stream] = node.driver._links._streams.values()
            transport: Any = stream._transport

            class Counting:
                def __getattr__(self, name: str) -> Any:
                    return getattr(transport, name)

                def write(self, data: bytes) -> None:
                    writes.append(len(data))
                    transport.write(data)

            stream._transport = Counting()  # type: ignore[assignment]
            await asyncio.sleep(0.05)
            writes.clear()
            await peer.say(*(Ping(number) for number in range(100, 150)))
            for number in range(100, 150):
                assert (await peer.hear_a(Pong)).nonce == number
            assert len(writes) <= 2
            assert sum(writes) == 50 * 28

    run(factory, main())


class Muddled(Node):
    """Cannot deal with the ledger's answers about headers."""

    def answered(self, ticket: int, answer: LedgerAnswer, now: Now) -> None:
        raise RuntimeError("muddled")


@LOOPS
def test_a_defect_without_a_link_leaves_links_alone(factory: Factory, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        node = RealNode(make=Muddled)
        async with running(node), dialled(node) as peer:
            [block] = chain(1)
            submitting = asyncio.create_task(node.driver.submit_block(block))
            await until(lambda: defects(caplog), "the defect")
            await peer.say(Ping(5))
            assert (await peer.hear_a(Pong)).nonce == 5
            submitting.cancel()
        assert [event.reason for event in node.events if isinstance(event, LinkClosed)] != []

    run(factory, main())
