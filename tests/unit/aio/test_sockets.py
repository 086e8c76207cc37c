"""Listening, dialling and writing: the parts below the links."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
from itertools import pairwise

import pytest
from aio_nodes import LOOPS, Factory, free_host, run, until
from hypothesis import given
from hypothesis import strategies as st

from obscura.aio.dial import DirectWay
from obscura.aio.listen import Listener, open_listener
from obscura.aio.stream import Stream, adopt_socket
from obscura.aio.ways import DialError, Ways
from obscura.base.errors import ConfigError
from obscura.base.instant import Duration, seconds
from obscura.base.limits import JOIN_BYTES, READ_BYTES, STRANGER_READ_BYTES
from obscura.base.names import ConnId
from obscura.channel.pieces import joined
from obscura.wire.address import NetAddress, Network, parse_address


class Owner:
    """Notes what its streams report."""

    def __init__(self) -> None:
        self.shared_buffer = memoryview(bytearray(READ_BYTES))
        self.log: list[str] = []
        self.data = b""
        self.sizes: list[int] = []

    def stream_made(self, stream: Stream) -> None:
        self.log.append("made")

    def stream_data(self, stream: Stream, data: bytes) -> None:
        self.data += data
        self.sizes.append(len(data))

    def stream_eof(self, stream: Stream) -> None:
        self.log.append("eof")
        stream.end()

    def stream_congested(self, stream: Stream) -> None:
        self.log.append("congested")

    def stream_drained(self, stream: Stream) -> None:
        self.log.append("drained")

    def stream_gone(self, stream: Stream) -> None:
        self.log.append("gone")


async def dial(owner: Owner, address: NetAddress, timeout: Duration, source_host: str | None) -> Stream:
    """Connect, and make a stream of it."""
    return await adopt_socket(owner, await connect(address, timeout, source_host))


async def connect(address: NetAddress, timeout: Duration, source_host: str | None) -> socket.socket:
    ways = Ways(dict.fromkeys((Network.IPV4, Network.IPV6), DirectWay(source_host)))
    return (await ways.connect(address, timeout)).sock


def at(sock: socket.socket) -> NetAddress:
    host, port = sock.getsockname()[:2]
    return parse_address(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


class TestListening:
    def test_a_taken_port(self) -> None:
        sock = open_listener(free_host())
        try:
            with pytest.raises(ConfigError, match=r"in use .* --listen"):
                open_listener(at(sock))
        finally:
            sock.close()

    def test_an_address_of_others(self) -> None:
        with pytest.raises(ConfigError, match="not an address of this machine"):
            open_listener(parse_address("192.0.2.1:20000"))

    def test_a_network_without_sockets(self) -> None:
        with pytest.raises(ConfigError, match="cannot listen on TORV3"):
            open_listener(NetAddress(Network.TORV3, bytes(32), 20_000))

    def test_a_port_can_be_taken_again_at_once(self) -> None:
        first = open_listener(free_host())
        address = at(first)
        client = socket.create_connection((address.host(), address.port))
        served, _ = first.accept()
        # The side that closes first keeps the port in TIME_WAIT.
        served.close()
        first.close()
        client.close()
        open_listener(address).close()

    @LOOPS
    def test_accepting_rests_without_file_descriptors(self, factory: Factory, caplog: pytest.LogCaptureFixture) -> None:
        """Accepting stops and goes on by itself, with one line in the log; nothing that waits is lost."""

        async def main() -> None:
            sock = open_listener(free_host())
            accepted: list[socket.socket] = []
            listener = Listener(sock, lambda link, peer: accepted.append(link), rest_s=0.05)
            clients = [socket.socket() for _ in range(3)]
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            free = os.dup(0)
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
            try:
                for client in clients:
                    client.connect(sock.getsockname())
                await asyncio.sleep(0.3)
                assert accepted == []
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await until(lambda: len(accepted) == 3, "all three are accepted")
            listener.close()
            for one in (*clients, *accepted):
                one.close()

        with caplog.at_level(logging.WARNING, "obscura"):
            run(factory, main())
        assert [record.getMessage() for record in caplog.records] == ["accept-paused"]

    @LOOPS
    def test_closing_while_it_rests(self, factory: Factory) -> None:
        async def main() -> None:
            sock = open_listener(free_host())
            listener = Listener(sock, lambda link, peer: link.close(), rest_s=0.05)
            listener._rest(OSError(24, "Too many open files"))
            listener.close()
            await asyncio.sleep(0.1)
            assert sock.fileno() == -1

        run(factory, main())


class TestDialling:
    @LOOPS
    @pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
    def test_from_a_source_address(self, factory: Factory, host: str) -> None:
        async def main() -> None:
            sock = open_listener(parse_address(f"{host}:0"))
            owner = Owner()
            stream = await dial(owner, at(sock), seconds(5), "127.9.9.1")
            link, (source, *_) = sock.accept()
            assert source == ("127.9.9.1" if host == "127.0.0.1" else "::1"), "only where the family fits"
            stream.cut()
            await until(lambda: "gone" in owner.log, "the socket is closed")
            link.close()
            sock.close()

        run(factory, main())

    @LOOPS
    def test_reasons(self, factory: Factory) -> None:
        async def main() -> None:
            silent = socket.socket()
            silent.bind(("127.0.0.1", 0))
            refused = at(silent)
            cases = (
                (refused, "connect-refused"),
                (NetAddress(Network.TORV3, bytes(32), 1), "unreachable-network"),
                (NetAddress(Network.I2P, bytes(32), 0), "unreachable-network"),
                (NetAddress(Network.CJDNS, b"\xfc" + bytes(15), 1), "unreachable-network"),
                (NetAddress(Network.IPV4, bytes([255, 255, 255, 255]), 1), "connect-error"),
            )
            for address, reason in cases:
                with pytest.raises(DialError) as caught:
                    await dial(Owner(), address, seconds(5), None)
                assert caught.value.reason == reason
            silent.close()

        run(factory, main())

    @LOOPS
    def test_no_file_descriptors_left(self, factory: Factory) -> None:
        async def main() -> None:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            free = os.dup(0)
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
            try:
                with pytest.raises(DialError) as caught:
                    await dial(Owner(), parse_address("127.0.0.1:9"), seconds(5), None)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert caught.value.reason == "connect-error"

        run(factory, main())

    @LOOPS
    def test_timeout(self, factory: Factory) -> None:
        async def main() -> None:
            full = socket.socket()
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                with pytest.raises(BlockingIOError):
                    filler.connect(full.getsockname())
            with pytest.raises(DialError) as caught:
                await dial(Owner(), at(full), seconds(0.1), None)
            assert caught.value.reason == "connect-timeout"
            for sock in (full, *fillers):
                sock.close()

        run(factory, main())


class Watcher:
    def __init__(self) -> None:
        self.told: list[str] = []

    def heard(self) -> None:
        self.told.append("heard")

    def ended(self) -> None:
        self.told.append("ended")


class TestStream:
    @LOOPS
    def test_who_watches_is_told_of_the_first_bytes_and_of_the_end(self, factory: Factory) -> None:
        async def main() -> None:
            sock = open_listener(free_host())
            for says in (False, True):
                owner, watcher = Owner(), Watcher()
                stream = await adopt_socket(owner, await connect(at(sock), seconds(5), None), watch=watcher)
                stream.adopt(ConnId(1))
                link, _ = sock.accept()
                if says:
                    link.sendall(b"one")
                    await until(lambda: owner.data, "it is read")  # noqa: B023
                    link.sendall(b"two")
                    await until(lambda: len(owner.data) == 6, "all of it")  # noqa: B023
                link.close()
                stream.cut()
                await until(lambda: "ended" in watcher.told, "it is over")  # noqa: B023
                assert watcher.told == (["heard", "ended"] if says else ["ended"])
            sock.close()

        run(factory, main())

    @LOOPS
    def test_what_comes_before_adoption_is_kept(self, factory: Factory) -> None:
        async def main() -> None:
            sock = open_listener(free_host())
            for reset in (False, True):
                owner = Owner()
                stream = await dial(owner, at(sock), seconds(5), None)
                link, _ = sock.accept()
                link.sendall(b"early")
                await asyncio.sleep(0.02)
                if reset:
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                link.close()
                await asyncio.sleep(0.02)
                assert owner.data == b""
                stream.adopt(ConnId(1))
                assert owner.data == b"early"
                await until(lambda owner=owner: "gone" in owner.log, "the socket is closed")  # type: ignore[misc]
                assert ("eof" in owner.log) is not reset
            sock.close()

        run(factory, main())

    @LOOPS
    def test_a_stranger_is_read_in_small_pieces(self, factory: Factory) -> None:
        async def main() -> None:
            sock = open_listener(free_host())
            owner = Owner()
            stream = await adopt_socket(owner, await connect(at(sock), seconds(5), None), STRANGER_READ_BYTES)
            stream.adopt(ConnId(1))
            link, _ = sock.accept()
            link.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(link, bytes(10 * STRANGER_READ_BYTES))
            await until(lambda: len(owner.data) == 10 * STRANGER_READ_BYTES, "all of it")
            assert max(owner.sizes) == STRANGER_READ_BYTES
            stream.read_most = READ_BYTES
            for _ in range(20):
                await loop.sock_sendall(link, bytes(10 * STRANGER_READ_BYTES))
            await until(lambda: len(owner.data) == 210 * STRANGER_READ_BYTES, "all of it")
            assert STRANGER_READ_BYTES < max(owner.sizes) <= READ_BYTES
            stream.cut()
            await until(lambda: "gone" in owner.log, "the socket is closed")
            link.close()
            sock.close()

        run(factory, main())

    @LOOPS
    def test_writing_after_the_end_is_harmless(self, factory: Factory) -> None:
        async def main() -> None:
            sock = open_listener(free_host())
            owner = Owner()
            stream = await dial(owner, at(sock), seconds(5), None)
            stream.adopt(ConnId(1))
            link, _ = sock.accept()
            stream.write([b"last"])
            for _ in range(2):
                stream.end()
                stream.write([b"more"])
                stream.pause_reading()
                stream.resume_reading()
            link.setblocking(False)
            loop = asyncio.get_running_loop()
            assert await loop.sock_recv(link, 100) == b"last"
            assert await loop.sock_recv(link, 100) == b""
            link.close()
            await until(lambda: "gone" in owner.log, "the socket is closed")
            stream.write([b"more"])
            stream.pause_reading()
            stream.resume_reading()
            stream.cut()
            assert stream.unsent == 0
            assert owner.log == ["made", "gone"]
            sock.close()

        run(factory, main())

    @LOOPS
    def test_a_paused_stream_reads_on_to_its_end(self, factory: Factory) -> None:
        """What the peer has sent is taken off the socket, so that it ends at once when the peer does."""

        async def main() -> None:
            sock = open_listener(free_host())
            owner = Owner()
            stream = await dial(owner, at(sock), seconds(5), None)
            stream.adopt(ConnId(1))
            link, _ = sock.accept()
            stream.pause_reading()
            link.sendall(bytes(100_000))
            await asyncio.sleep(0.02)
            assert owner.data == b""
            stream.write([b"last"])
            stream.end()
            link.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(link, 100) == b"last"
            link.close()
            await until(lambda: "gone" in owner.log, "the socket is closed", 0.5)
            assert owner.data == b"", "what comes after the end is dropped"
            sock.close()

        run(factory, main())

    @LOOPS
    def test_congestion_may_begin_earlier(self, factory: Factory) -> None:
        """What a slow line does not take of a constant rate is not to fill a megabyte."""

        async def main() -> None:
            sock = open_listener(free_host())
            owner = Owner()
            stream = await dial(owner, at(sock), seconds(5), None)
            stream.adopt(ConnId(1))
            link, _ = sock.accept()
            stream.set_limit(20_000)
            while "congested" not in owner.log:
                stream.write([bytes(5_000)])
                await asyncio.sleep(0)
            assert 20_000 < stream.unsent < 30_000
            stream.cut()
            await until(lambda: owner.log[-1] == "gone", "the socket is closed")
            stream.set_limit(10)
            link.close()
            sock.close()

        run(factory, main())

    @LOOPS
    def test_congestion_is_reported_both_ways(self, factory: Factory) -> None:
        async def main() -> None:
            sock = open_listener(free_host())
            owner = Owner()
            stream = await dial(owner, at(sock), seconds(5), None)
            stream.adopt(ConnId(1))
            link, _ = sock.accept()
            link.setblocking(False)
            total = 0
            while "congested" not in owner.log:
                stream.write([bytes(100_000)] * 10)
                total += 1_000_000
                await asyncio.sleep(0)
            while total:
                total -= len(await asyncio.get_running_loop().sock_recv(link, 1_000_000))
            await until(lambda: owner.log[-1] == "drained", "the other side has read")
            stream.cut()
            await until(lambda: owner.log[-1] == "gone", "the socket is closed")
            link.close()
            sock.close()

        run(factory, main())


@given(st.lists(st.integers(0, 3 * JOIN_BYTES), max_size=12))
def test_joining_keeps_every_byte_and_copies_only_small_parts(sizes: list[int]) -> None:
    parts = [bytes([number]) * size for number, size in enumerate(sizes)]
    pieces = list(joined(parts))
    assert b"".join(pieces) == b"".join(parts)
    for piece in pieces:
        assert len(piece) <= JOIN_BYTES or any(piece is part for part in parts)
    # Neighbours that would fit together are together.
    assert all(len(a) + len(b) > JOIN_BYTES for a, b in pairwise(pieces))
