"""Peers that do harm, or die, on real sockets: what they cost is bounded, and other links never notice."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Sequence

import pytest
from aio_nodes import (
    LOOPS,
    Factory,
    RawPeer,
    RealNode,
    chain,
    dialled,
    free_host,
    ledger_of,
    run,
    running,
    until,
    within,
)
from pair import make_version

from obscura.aio.listen import open_listener
from obscura.aio.worker import WorkerClosed
from obscura.base.digest import double_sha256
from obscura.base.errors import LocalError
from obscura.base.limits import (
    BLOCK_BYTES,
    BLOCKS_IN_FLIGHT,
    ENDING_BYTES,
    ENDING_LINKS,
    LOBBY_PER_GROUP,
    READ_BYTES,
    RECEIVE_BUFFER_BYTES,
    SEND_BUFFER_BYTES,
    SERVE_BATCH_BLOCKS,
    SERVE_BATCH_BYTES,
    TOKENS_BURST,
    TOKENS_PER_SECOND,
)
from obscura.base.names import NULL_HASH, BlockHash
from obscura.chain import BlockReport
from obscura.ledgers.memory import MemoryLedger
from obscura.node.effects import LinkClosed
from obscura.peers.bans import parse_subject
from obscura.wire.address import NetAddress
from obscura.wire.blocks import Block, GetData, GetHeaders, Headers, NotFound
from obscura.wire.frame import encode_frame, type_field
from obscura.wire.greeting import Ping, Pong, Verack, Version
from obscura.wire.inventory import KIND_BLOCK, InventoryItem
from obscura.wire.registry import encode_message
from obscura.wire.target import Target


def hash_of(block: bytes) -> BlockHash:
    return BlockHash(double_sha256(block[:80]))


def asking_for(blocks: Sequence[bytes]) -> GetData:
    return GetData(tuple(InventoryItem(KIND_BLOCK, hash_of(block)) for block in blocks))


def reasons(node: RealNode) -> list[str]:
    return [event.reason for event in node.events if isinstance(event, LinkClosed)]


def ended(node: RealNode, reason: str) -> bool:
    return reason in reasons(node)


@contextlib.asynccontextmanager
async def played_server() -> AsyncIterator[tuple[NetAddress, asyncio.Queue[RawPeer]]]:
    """A listener whose connections the test plays by hand."""
    sock = open_listener(free_host())
    address = NetAddress(free_host().network, socket.inet_aton(sock.getsockname()[0]), sock.getsockname()[1])
    peers: asyncio.Queue[RawPeer] = asyncio.Queue()
    opened: list[socket.socket] = [sock]

    async def accept() -> None:
        while True:
            link, _ = await asyncio.get_running_loop().sock_accept(sock)
            link.setblocking(False)
            opened.append(link)
            peers.put_nowait(RawPeer(link))

    task = asyncio.create_task(accept())
    try:
        yield address, peers
    finally:
        task.cancel()
        await asyncio.wait([task])
        for one in opened:
            one.close()


class TestBackPressure:
    @LOOPS
    def test_a_peer_that_asks_and_never_reads(self, factory: Factory) -> None:
        """What waits for it is bounded, however much it asks for; and another peer is served meanwhile."""
        size = 500_000
        bound = SEND_BUFFER_BYTES + SERVE_BATCH_BLOCKS * (size + 200) + SERVE_BATCH_BYTES

        async def main() -> None:
            blocks = chain(40, size)
            ledger = MemoryLedger()
            ledger.accept_blocks(blocks)
            node = RealNode(ledger=ledger)
            async with running(node), dialled(node, receive_buffer=65_536) as deaf, dialled(node) as other:
                worst = 0
                for _ in range(40):
                    # 1,600 blocks, 800 MB
                    await deaf.say(asking_for(blocks))
                before = node.driver.snapshot().bytes_out
                for _ in range(100):
                    await asyncio.sleep(0.01)
                    worst = max(worst, node.driver.unsent)
                assert SEND_BUFFER_BYTES < worst < bound
                settled = node.driver.snapshot().bytes_out
                assert settled - before < bound + 10_000_000, "the system's own buffers take the rest"
                await other.say(asking_for(blocks[:5]))
                for expected in blocks[:5]:
                    assert (await other.hear_a(Block)).data == expected
                # It reads after all: everything comes, in order.
                for expected in blocks * 2:
                    assert (await deaf.hear_a(Block)).data == expected
                assert node.driver.unsent < bound

        run(factory, main())

    @LOOPS
    def test_a_peer_that_floods_is_paused(self, factory: Factory) -> None:
        """No more is read than tokens pay for; when they have come back, reading goes on."""
        frame = encode_message(NotFound(()))

        async def main() -> None:
            node = RealNode()
            async with running(node), dialled(node) as flood, dialled(node) as other:
                begun = time.monotonic()
                sending = asyncio.create_task(flood.send(frame * 1_000_000))
                await asyncio.sleep(1.5)

                def read() -> int:
                    return max(peer.bytes_in for peer in node.driver.snapshot().peers)

                tokens = TOKENS_BURST + TOKENS_PER_SECOND * (time.monotonic() - begun)
                first = read()
                assert TOKENS_BURST * len(frame) < first < tokens * len(frame) + READ_BYTES + 1_000
                assert not sending.done(), "the rest waits with the sender"
                await other.say(Ping(7))
                assert (await other.hear_a(Pong)).nonce == 7
                # One read of the socket may hold more than a second's tokens: they are worked off first.
                await until(lambda: read() > first, "reading goes on", 30)
                sending.cancel()
                await asyncio.wait([sending])
            assert not reasons(node).count("fault-budget")

        run(factory, main())


class TestEndings:
    @LOOPS
    def test_last_words_survive_unread_bytes(self, factory: Factory) -> None:
        """A violation with megabytes behind it: what was said before still arrives, then a clean end and no reset."""

        async def main() -> None:
            blocks = chain(1, 300_000)
            ledger = MemoryLedger()
            ledger.accept_blocks(blocks)
            node = RealNode(ledger=ledger)
            async with running(node), dialled(node) as peer:
                await peer.say(asking_for(blocks))
                oversized = bytes(type_field("ping"))
                await peer.send((9).to_bytes(4, "little") + oversized + bytes(4) + bytes(1_500_000))
                await until(lambda: ended(node, "frame-oversized"), "the violation is seen")
                await asyncio.sleep(0.1)
                assert (await peer.hear_a(Block)).data == blocks[0]
                assert await peer.hear() is None

        run(factory, main())

    @LOOPS
    def test_a_peer_that_never_ends_is_cut_off(self, factory: Factory) -> None:
        async def main() -> None:
            node = RealNode()
            async with running(node), dialled(node) as peer:
                await peer.say(make_version())
                await until(lambda: ended(node, "second-version"), "the violation is seen")
                begun = time.monotonic()
                with pytest.raises(ConnectionError):
                    while True:
                        await peer.send(bytes(100))
                        await asyncio.sleep(0.01)
                assert time.monotonic() - begun < 3

        run(factory, main())

    @LOOPS
    def test_a_dropped_peer_cannot_make_us_read_for_ever(self, factory: Factory) -> None:
        async def main() -> None:
            node = RealNode()
            async with running(node), dialled(node) as peer:
                sent = 0
                begun = time.monotonic()
                await peer.say(make_version())
                with pytest.raises(ConnectionError):
                    while True:
                        await peer.send(bytes(65_536))
                        sent += 65_536
                assert time.monotonic() - begun < 0.9, "the bound on bytes comes before the one on time"
                assert sent > RECEIVE_BUFFER_BYTES - 300_000

        run(factory, main())

    @LOOPS
    def test_a_half_closed_peer_still_gets_its_answer(self, factory: Factory) -> None:
        async def main() -> None:
            node = RealNode(ledger=ledger_of(1_500))
            genesis = MemoryLedger().tip
            async with running(node), dialled(node) as peer:
                # The node's first ping is over: it could not be answered any more.
                await peer.say(Ping(1))
                await peer.hear_a(Pong)
                await peer.say(GetHeaders(1, (genesis,), NULL_HASH))
                peer.sock.shutdown(socket.SHUT_WR)
                assert len((await peer.hear_a(Headers)).headers) == 1_500
                assert await peer.hear() is None
                await until(lambda: not node.driver.snapshot().peers, "the link is gone")
            assert reasons(node) == ["peer-closed"]

        run(factory, main())

    @LOOPS
    def test_reset_in_the_middle_of_a_block_that_we_send(self, factory: Factory) -> None:
        async def main() -> None:
            blocks = chain(3, BLOCK_BYTES - 100)
            ledger = MemoryLedger()
            ledger.accept_blocks(blocks)
            node = RealNode(ledger=ledger)
            async with running(node), dialled(node) as other:
                async with dialled(node, receive_buffer=65_536) as peer:
                    await peer.say(asking_for(blocks))
                    await asyncio.get_running_loop().sock_recv(peer.sock, 1_000)
                    peer.reset()
                await until(lambda: len(node.driver.snapshot().peers) == 1, "the link is gone")
                assert node.driver.unsent == 0
                await other.say(asking_for(blocks[:1]))
                assert (await other.hear_a(Block)).data == blocks[0]

        run(factory, main())

    @LOOPS
    def test_reset_in_the_middle_of_a_block_that_we_get(self, factory: Factory) -> None:
        """The requests of the dead link go to another peer."""

        async def main() -> None:
            blocks = chain(BLOCKS_IN_FLIGHT, 50_000)
            ledger = MemoryLedger()
            ledger.accept_blocks(blocks)
            honest = RealNode(ledger=ledger)
            async with played_server() as (address, peers):
                node = RealNode([address])
                async with running(honest, node):
                    peer = await peers.get()
                    await peer.hear_a(Version)
                    await peer.say(make_version(nonce=99), Verack())
                    await peer.hear_a(GetHeaders)
                    await peer.say(Headers(tuple(block[:80] for block in blocks)))
                    wanted = await peer.hear_a(GetData)
                    frame = encode_message(Block(next(b for b in blocks if hash_of(b) == wanted.items[0].hash)))
                    await peer.send(frame[: len(frame) // 2])
                    peer.reset()
                    await until(lambda: ended(node, "peer-closed"), "the reset is seen")
                    assert node.height < len(blocks)
                    node.driver.add_peer(Target(honest.address))
                    await until(lambda: node.height == len(blocks), "the chain, from the honest peer")

        run(factory, main())

    @LOOPS
    def test_oversized_frames_are_refused_before_their_payload(self, factory: Factory) -> None:
        async def main() -> None:
            node = RealNode()
            async with running(node), dialled(node) as peer:
                await peer.send((BLOCK_BYTES + 1).to_bytes(4, "little") + bytes(type_field("block")) + bytes(4))
                while await peer.hear() is not None:
                    pass
                assert reasons(node) == ["frame-oversized"]

        run(factory, main())

    @LOOPS
    def test_slots(self, factory: Factory) -> None:
        """Who finds no slot when its handshake is complete takes another one's, and a slot that is free again is
        given."""

        async def main() -> None:
            node = RealNode(inbound_slots=2)
            async with running(node):
                async with dialled(node), dialled(node), dialled(node, greet=False) as newcomer:
                    await newcomer.greet()
                    assert await newcomer.hear() is not None
                    await until(lambda: reasons(node) == ["evicted"], "one of the others has left for it")
                    assert len(node.driver.snapshot().peers) == 2
                await until(lambda: not node.driver.snapshot().peers, "both are gone")
                async with dialled(node):
                    assert len(node.driver.snapshot().peers) == 1

        run(factory, main())

    @LOOPS
    def test_silent_connections_do_not_shut_others_out(self, factory: Factory) -> None:
        """Many connections of one group say nothing; whoever comes after them still gets in."""

        async def main() -> None:
            node = RealNode()
            async with running(node), contextlib.AsyncExitStack() as stack, dialled(node) as other:
                silent = [await stack.enter_async_context(dialled(node, greet=False)) for _ in range(250)]
                await until(lambda: len(node.driver.snapshot().peers) == LOBBY_PER_GROUP + 1, "the group is full")
                assert await within(10, silent[0].hear()) is None, "the oldest has left"
                async with dialled(node) as late:
                    await late.say(Ping(3))
                    assert (await late.hear_a(Pong)).nonce == 3
                await other.say(Ping(8))
                assert (await other.hear_a(Pong)).nonce == 8
            assert reasons(node).count("lobby-full") > len(silent) - LOBBY_PER_GROUP - 1

        run(factory, main())

    @LOOPS
    def test_a_flood_of_bad_links(self, factory: Factory) -> None:
        async def main() -> None:
            node = RealNode()
            async with running(node), dialled(node) as other:
                for _ in range(300):
                    async with dialled(node, greet=False) as bad:
                        await bad.send(encode_frame(type_field("headers"), b""))
                await other.say(Ping(8))
                assert (await other.hear_a(Pong)).nonce == 8
                await until(lambda: len(node.driver.snapshot().peers) == 1, "the bad links are gone")
            assert reasons(node).count("wrong-phase") + reasons(node).count("peer-closed") >= 300

        run(factory, main())

    @LOOPS
    def test_only_so_many_may_linger(self, factory: Factory) -> None:
        """Of many dropped peers that do not end, the oldest are cut off before their second is over."""

        async def main() -> None:
            node = RealNode(inbound_slots=200)
            async with running(node), contextlib.AsyncExitStack() as stack:
                peers = []
                for count in range(1, ENDING_LINKS + 11):
                    peer = await stack.enter_async_context(dialled(node, greet=False))
                    peers.append(peer)
                    await peer.send(encode_frame(type_field("headers"), b""))
                    await until(lambda count=count: len(reasons(node)) == count, "the violation is seen")  # type: ignore[misc]
                await asyncio.sleep(0.05)
                for peer in peers[:10]:
                    with pytest.raises(ConnectionError):
                        for _ in range(3):
                            await peer.send(b"?")
                            await asyncio.sleep(0.005)
                for _ in range(3):
                    await peers[-1].send(b"?")
                    await asyncio.sleep(0.005)

        run(factory, main())

    @LOOPS
    def test_what_dropped_links_have_not_taken(self, factory: Factory) -> None:
        """Deaf peers with megabytes unsent are banned: all that is kept for their second is bounded."""

        async def main() -> None:
            blocks = chain(2, BLOCK_BYTES - 100)
            ledger = MemoryLedger()
            ledger.accept_blocks(blocks)
            node = RealNode(ledger=ledger)
            async with running(node), contextlib.AsyncExitStack() as stack:
                for _ in range(3 * ENDING_BYTES // BLOCK_BYTES // 2):
                    deaf = await stack.enter_async_context(dialled(node, receive_buffer=65_536))
                    await deaf.say(asking_for(blocks * 2))
                await until(
                    lambda: node.driver.unsent > ENDING_BYTES + 2 * BLOCK_BYTES, "bytes wait for the deaf peers"
                )
                await node.driver.ban(parse_subject("127.0.0.0/8"), None)
                # Far sooner than their second is over.
                await until(lambda: node.driver.unsent <= ENDING_BYTES, "the oldest are cut", 0.3)
                assert node.driver.unsent > 0

        run(factory, main())


class SlowLedger(MemoryLedger):
    """Validating takes long, as with real blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.batches = 0
        self.closed = False

    def accept_blocks(self, blocks: Sequence[bytes]) -> BlockReport:
        self.batches += 1
        self.begun.set()
        time.sleep(1.5)
        return super().accept_blocks(blocks)

    def close(self) -> None:
        assert threading.current_thread().name.startswith("ledger"), "closed on the thread that uses it"
        self.closed = True


@LOOPS
def test_stop_is_quick_and_clean(factory: Factory) -> None:
    """With a peer that does not read, a dial that hangs, a batch in the ledger and more of them waiting."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ledger = SlowLedger()
        big = chain(30, 300_000)
        MemoryLedger.accept_blocks(ledger, big)
        # A listener whose queue is full: the next dial to it gets no answer at all.
        full = socket.socket()
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            with pytest.raises(BlockingIOError):
                filler.connect(full.getsockname())
        hanging = NetAddress(free_host().network, bytes([127, 0, 0, 1]), full.getsockname()[1])
        node = RealNode([hanging], ledger=ledger)
        async with running(node), dialled(node, receive_buffer=65_536) as deaf:
            await deaf.say(asking_for(big))
            await until(lambda: node.driver.unsent > SEND_BUFFER_BYTES, "bytes wait for the deaf peer")
            first, second = chain(2, ledger=ledger)
            running_batch = asyncio.create_task(node.driver.submit_block(first))
            await loop.run_in_executor(None, ledger.begun.wait)
            waiting_batch = asyncio.create_task(node.driver.submit_block(second))
            begun_late: list[float] = []
            waiting_run = asyncio.create_task(node.worker.run(lambda: begun_late.append(time.monotonic())))
            await asyncio.sleep(0.05)
            begun = time.monotonic()
            await node.driver.stop()
            assert time.monotonic() - begun < 3.5
            assert ledger.closed
            assert ledger.batches == 1, "what had not begun is not begun"
            assert not begun_late
            with pytest.raises(WorkerClosed):
                await waiting_run
            assert (await running_batch).rule == ""
            with pytest.raises(LocalError, match="stopping"):
                await waiting_batch
            with pytest.raises(LocalError, match="stopping"):
                await node.driver.submit_block(second)
        for sock in (full, *fillers):
            sock.close()
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("ledger")]

    run(factory, main())
