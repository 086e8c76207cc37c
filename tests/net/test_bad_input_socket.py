"""Bad input over real sockets: each case has its outcome, and an honest link beside it never notices."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from bad_input import GREETING, Case, cases, frame, sha
from cli_nodes import free_port
from nodes import mine_chain

from obscura.aio import Driver
from obscura.aio.listen import open_listener
from obscura.aio.worker import LedgerWorker
from obscura.base.instant import Now
from obscura.base.randomness import Chance
from obscura.ledgers.memory import INVALID_MARK, MemoryLedger, mine
from obscura.node import Node, NodeConfig
from obscura.node.effects import Event, LinkClosed
from obscura.wire.address import parse_address
from obscura.wire.target import Mode, Target

Body = Callable[["Bench"], Coroutine[Any, Any, None]]


class Link:
    """A raw connection that answers pings and ``getheaders``, so that it counts as honest."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def expect(self, kind: str) -> bytes:
        """The payload of the next message of a kind."""
        while True:
            head = await asyncio.wait_for(self.reader.readexactly(20), 10)
            size, name, check = struct.unpack("<I12s4s", head)
            payload = await asyncio.wait_for(self.reader.readexactly(size), 10)
            assert sha(payload)[:4] == check
            if name.rstrip(b"\0") == b"ping":
                self.writer.write(frame("pong", payload))
            if name.rstrip(b"\0") == b"getheaders":
                self.writer.write(frame("headers", b"\0"))
            if name.rstrip(b"\0").decode() == kind:
                return payload

    async def alive(self) -> bool:
        """Whether the node answers a ping here."""
        nonce = os.urandom(8)
        try:
            self.writer.write(frame("ping", nonce))
            return await self.expect("pong") == nonce
        except (asyncio.IncompleteReadError, ConnectionError):
            return False

    async def closed_by_peer(self) -> bool:
        """Read to the end of the stream."""
        try:
            while await asyncio.wait_for(self.reader.read(65_536), 10):
                pass
        except ConnectionError:
            return True
        return True


class Bench:
    """A node on a loopback address, and what it told."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.events: list[Event] = []
        self.links: list[Link] = []
        self.address = parse_address(f"127.71.1.1:{free_port('127.71.1.1')}")
        config = NodeConfig(
            transport=Mode.PLAIN,
            network="memory",
            user_agent="/Obscura:0.1(python)/",
            allow_local=True,
            inbound_slots=200,
        )

        def make(now: Now) -> Node:
            return Node(config, self.ledger, Chance(os.urandom(32)), self.ledger.restore(), (), now)

        self.driver = Driver(
            make, LedgerWorker(self.ledger), listener=open_listener(self.address), listeners=(self.events.append,)
        )

    async def link(self, *, greet: bool = True) -> Link:
        """Connect; if wanted with a good handshake, after which the node has asked for headers and got none."""
        reader, writer = await asyncio.open_connection("127.71.1.1", self.address.port)
        link = Link(reader, writer)
        self.links.append(link)
        if greet:
            writer.write(GREETING)
            await link.expect("getheaders")
        return link

    async def faults(self, awaited: int) -> int:
        """What stands against the newest link, as soon as it is what is awaited, or for sure is not."""
        for _ in range(200):
            newest = max(self.driver.snapshot().peers, key=lambda peer: peer.conn)
            if newest.faults:
                # One point is forgiven every six seconds.
                return awaited if awaited - 1 <= newest.faults <= awaited else newest.faults
            if not awaited and newest.state == "open":
                break
            await asyncio.sleep(0.005)
        return 0

    async def closings(self, count: int) -> list[str]:
        """Reasons of links that ended, as soon as there are ``count``."""
        for _ in range(500):
            found = [event.reason for event in self.events if isinstance(event, LinkClosed)]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.01)
        raise AssertionError(f"{count} ends awaited: {self.events}")


def on_bench(body: Body) -> None:
    """Run ``body`` against a node that is stopped afterwards."""

    async def main() -> None:
        bench = Bench()
        running = asyncio.create_task(bench.driver.run())
        try:
            await asyncio.wait_for(body(bench), 60)
        finally:
            bench.driver.request_stop()
            await asyncio.wait_for(running, 10)
            for link in bench.links:
                link.writer.close()
            await asyncio.gather(*(link.writer.wait_closed() for link in bench.links), return_exceptions=True)

    asyncio.run(main())


def extension(ledger: MemoryLedger) -> list[bytes]:
    return mine_chain(ledger.tip, 3, b"body", 1_700_000_100)


EXAMPLE = extension(MemoryLedger())
CASES = cases([block[:80] for block in EXAMPLE], EXAMPLE[0])


@pytest.mark.parametrize("size", [1 << 20, 1], ids=["whole", "byte by byte"])
def test_each_case_has_its_outcome_and_others_never_notice(size: int) -> None:
    async def body(bench: Bench) -> None:
        honest = await bench.link()
        ended = 0
        for case in CASES:
            link = await bench.link(greet=case.greet)
            await send(link, case, size)
            if case.rule:
                assert await link.closed_by_peer()
                ended += 1
                assert (await bench.closings(ended))[-1] == case.rule, case.name
            else:
                if not case.greet:
                    # The handshake can still be done.
                    await send(link, replace(case, data=GREETING), size)
                    await link.expect("verack")
                assert await link.alive(), case.name
                assert await bench.faults(case.points) == case.points, case.name
                link.writer.close()
                ended += 1
                assert (await bench.closings(ended))[-1] == "peer-closed", case.name
            assert await honest.alive(), case.name
        honest.writer.close()

    on_bench(body)


async def send(link: Link, case: Case, size: int) -> None:
    try:
        for at in range(0, len(case.data), size):
            link.writer.write(case.data[at : at + size])
            await link.writer.drain()
            if size == 1 and at % 64 == 0:
                await asyncio.sleep(0)
    except ConnectionError:
        assert case.rule, f"{case.name}: closed without a reason"


def test_a_link_that_ends_in_the_middle_of_a_frame() -> None:
    async def body(bench: Bench) -> None:
        honest = await bench.link()
        whole = frame("inv", b"\x01" + struct.pack("<I", 2) + bytes(32))
        for ended, cut in enumerate((1, 19, 20, 21, len(whole) - 1), start=1):
            link = await bench.link()
            link.writer.write(whole[:cut])
            link.writer.close()
            assert (await bench.closings(ended))[-1] == "peer-closed"
            assert await honest.alive()

    on_bench(body)


def test_invalid_and_mutated_blocks() -> None:
    async def body(bench: Bench) -> None:
        honest = await bench.link()
        tip = bench.ledger.tip
        bad = mine(tip, INVALID_MARK, 1_700_000_200)
        good = mine(tip, b"good", 1_700_000_300)
        for number, (block, delivered, rule) in enumerate(
            [(bad, bad, "bad-body"), (good, good + b"!", "body-mismatch")], start=1
        ):
            link = await bench.link()
            link.writer.write(frame("headers", b"\x01" + block[:80] + b"\0"))
            assert (await link.expect("getdata"))[5:] == sha(block[:80])
            link.writer.write(frame("block", delivered))
            assert await link.closed_by_peer()
            assert (await bench.closings(number))[-1] == rule
            assert bench.ledger.tip == tip
        link = await bench.link()
        link.writer.write(frame("headers", b"\x01" + good[:80] + b"\0"))
        await link.expect("getdata")
        link.writer.write(frame("block", good))
        while bench.ledger.tip == tip:
            assert await honest.alive()
        link.writer.close()
        honest.writer.close()

    on_bench(body)


def test_a_node_that_dials_itself() -> None:
    async def body(bench: Bench) -> None:
        bench.driver.add_peer(Target(bench.address))
        reasons = await bench.closings(2)
        assert reasons == ["self-connection"] * 2

    on_bench(body)


def test_a_peer_that_never_reads_does_not_grow_us() -> None:
    async def body(bench: Bench) -> None:
        blocks = mine_chain(bench.ledger.tip, 60, b"x" * 1_000_000, 1_700_000_100)
        await asyncio.gather(*(bench.driver.submit_block(block) for block in blocks))
        link = await bench.link()
        items = b"".join(struct.pack("<I", 2) + sha(block[:80]) for block in blocks)
        link.writer.write(frame("getdata", bytes([len(blocks)]) + items))
        await asyncio.sleep(1)
        [picture] = bench.driver.snapshot().peers
        assert picture.bytes_out < 25_000_000, "serving waits for the peer"
        received = 0
        while received < 60:
            await link.expect("block")
            received += 1
        assert await link.alive()
        link.writer.close()

    on_bench(body)
