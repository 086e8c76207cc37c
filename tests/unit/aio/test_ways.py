"""Ways to networks: which there are, when they are closed, and a SOCKS proxy that is down, lies, or says nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aio_nodes import LOOPS, Factory, free_host, run, until

from obscura.aio import ways as ways_module
from obscura.aio.dial import DirectWay
from obscura.aio.listen import open_listener
from obscura.aio.socks import SocksWay
from obscura.aio.ways import Connected, DialError, Ways
from obscura.base.instant import MICROSECONDS, Duration, seconds
from obscura.base.limits import WAY_REST, WAY_REST_MOST
from obscura.wire.address import NetAddress, Network, address_from_ip

ONION = NetAddress(Network.TORV3, bytes(range(32)), 8_333)
GRANTED = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"

PATIENCE = seconds(5)

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Proxy:
    """A SOCKS server that does what a test says, and keeps what it was told."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.port = 0
        self.served = 0

    @asynccontextmanager
    async def open(self):  # type: ignore[no-untyped-def]
        tasks: list[asyncio.Task[None]] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.append(task)
            self.served += 1
            try:
                await self._script(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def way(self, *, isolate: bool = True) -> SocksWay:
        return SocksWay(("127.0.0.1", self.port), isolate=isolate)


async def take_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[bytes, bytes]:
    """The credentials and the request of a client that offers them."""
    assert await reader.readexactly(3) == b"\x05\x01\x02"
    writer.write(b"\x05\x02")
    head = await reader.readexactly(2)
    user = await reader.readexactly(head[1])
    password = await reader.readexactly((await reader.readexactly(1))[0])
    writer.write(b"\x01\x00")
    request = await reader.readexactly(4 + 1 + 62 + 2)
    return user + b":" + password, request


def through(way: SocksWay, timeout: Duration = PATIENCE, *, apart: bool = False) -> Awaitable[Connected]:
    return Ways({Network.TORV3: way}).connect(ONION, timeout, apart=apart)


@LOOPS
def test_a_connection_by_name_with_credentials_of_its_own(factory: Factory) -> None:
    shown: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        credentials, request = await take_request(reader, writer)
        shown.append(credentials)
        assert request == b"\x05\x01\x00\x03\x3e" + ONION.host().encode() + b"\x20\x8d"
        writer.write(GRANTED + b"of the stream")
        await reader.read()

    async def main() -> None:
        async with Proxy(script).open() as proxy:
            for apart in (False, True, True):
                made = await through(proxy.way(), apart=apart)
                assert made.first == b""
                assert await asyncio.get_running_loop().sock_recv(made.sock, 100) == b"of the stream"
                made.sock.close()
        assert len(set(shown)) == 3

    run(factory, main())


def refusing(code: int) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take_request(reader, writer)
        writer.write(bytes([5, code, 0, 1]) + bytes(6))
        await reader.read()

    return script


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(3)


async def cuts_its_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await take_request(reader, writer)
    writer.write(GRANTED[:7])


async def is_no_proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example ESMTP\r\n" * 10_000)
    await reader.read()


async def takes_no_credentials(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(3)
    writer.write(b"\x05\x00")
    await reader.read()


async def refuses_the_login(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(3)
    writer.write(b"\x05\x02")
    await reader.readexactly(1)
    writer.write(b"\x01\x01")
    await reader.read()


@pytest.mark.parametrize(
    ("script", "reason", "ours"),
    [
        (refusing(4), "host-unreachable", False),
        (refusing(0xF0), "onion-not-found", False),
        (refusing(1), "proxy-failure", False),
        (refusing(2), "proxy-forbids", False),
        (refusing(0x42), "proxy-failure", False),
        (refusing(7), "proxy-unable", True),
        (refusing(8), "proxy-unable", True),
        (refuses_the_login, "proxy-authentication", True),
        (says_nothing, "connect-timeout", False),
        (hangs_up, "proxy-closed", True),
        (cuts_its_answer, "proxy-closed", True),
        (is_no_proxy, "socks-version", True),
        (takes_no_credentials, "socks-method", True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_proxy_may_do_wrong(script: Script, reason: str, ours: bool) -> None:
    async def main() -> None:
        async with Proxy(script).open() as proxy:
            with pytest.raises(DialError) as caught:
                await through(proxy.way(), seconds(0.3))
            assert (caught.value.reason, caught.value.ours) == (reason, ours)

    run(asyncio.new_event_loop, main())


def test_what_the_far_end_may_bring_about_closes_no_way() -> None:
    async def main() -> None:
        async with Proxy(refusing(1)).open() as proxy:
            ways = Ways({Network.TORV3: proxy.way()})
            for _ in range(5):
                with pytest.raises(DialError, match="proxy-failure"):
                    await ways.connect(ONION, PATIENCE)
                assert ways.open == {Network.TORV3}
            ways.close()

    run(asyncio.new_event_loop, main())


def test_a_dial_that_is_cancelled_leaves_no_socket() -> None:
    async def main() -> None:
        async with Proxy(says_nothing).open() as proxy:
            dial = asyncio.ensure_future(through(proxy.way()))
            await until(lambda: proxy.served, "the proxy is asked")
            dial.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dial

    run(asyncio.new_event_loop, main())


def test_a_proxy_that_keeps_nothing_apart_is_not_asked_to() -> None:
    async def main() -> None:
        async with Proxy(says_nothing).open() as proxy:
            ways = Ways({Network.TORV3: proxy.way(isolate=False)})
            with pytest.raises(DialError, match="not-isolated") as caught:
                await ways.connect(ONION, PATIENCE, apart=True)
            assert caught.value.ours, "it says nothing of the address"
            assert ways.open == {Network.TORV3}, "and the way is as good as before"
            await asyncio.sleep(0.05)
            assert not proxy.served

    run(asyncio.new_event_loop, main())


def test_nothing_is_dialled_apart_from_this_machine_itself() -> None:
    async def main() -> None:
        listener = open_listener(free_host())
        try:
            host, port = listener.getsockname()
            ways = Ways({Network.IPV4: DirectWay()})
            with pytest.raises(DialError, match="not-isolated") as caught:
                await ways.connect(address_from_ip(host, port), PATIENCE, apart=True)
            assert caught.value.ours
            assert ways.open == {Network.IPV4}
            await asyncio.sleep(0.05)
            with pytest.raises(BlockingIOError):
                listener.accept()
        finally:
            listener.close()

    run(asyncio.new_event_loop, main())


def test_what_has_no_way_cannot_be_dialled() -> None:
    async def main() -> None:
        ways = Ways({})
        for address in (ONION, address_from_ip("127.0.0.1", 1)):
            with pytest.raises(DialError, match="unreachable-network"):
                await ways.connect(address, seconds(1))
        assert ways.open == frozenset()

    run(asyncio.new_event_loop, main())


def test_a_proxy_that_is_down_closes_its_way_for_longer_and_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert WAY_REST_MOST > WAY_REST
    monkeypatch.setattr(ways_module, "WAY_REST", Duration(WAY_REST // 100))
    monkeypatch.setattr(ways_module, "WAY_REST_MOST", Duration(4 * WAY_REST // 100))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ways = Ways({Network.TORV3: SocksWay(None, isolate=True), Network.IPV4: SocksWay(None, isolate=False)})
        waits: list[float] = []
        later = loop.call_later

        def note(delay: float, call: Callable[..., object], *arguments: Any, **named: Any) -> asyncio.TimerHandle:
            if call == ways._wake:
                waits.append(delay)
            return later(delay, call, *arguments, **named)

        monkeypatch.setattr(loop, "call_later", note)
        changes: list[frozenset[Network]] = []
        ways.changed = lambda: changes.append(ways.open)
        for _ in range(4):
            with pytest.raises(DialError, match="proxy-unknown"):
                await ways.connect(ONION, seconds(1))
            assert ways.open == {Network.IPV4}
            await until(lambda: Network.TORV3 in ways.open, "it opens again")
        assert [round(wait * MICROSECONDS / (WAY_REST // 100)) for wait in waits] == [1, 2, 4, 4]
        assert changes == [{Network.IPV4}, {Network.IPV4, Network.TORV3}] * 4
        ways.close()

    run(asyncio.new_event_loop, main())


def test_a_way_that_closes_cuts_dials_off() -> None:
    async def main() -> None:
        async with Proxy(says_nothing).open() as proxy:
            ways = Ways({Network.TORV3: proxy.way()})
            dial = asyncio.ensure_future(ways.connect(ONION, seconds(60)))
            await until(lambda: proxy.served, "the proxy is asked")
            ways.let([Network.TORV3, Network.I2P], open=False)
            with pytest.raises(DialError) as caught:
                await dial
            assert caught.value.ours
            assert ways.open == frozenset()
            ways.let([Network.TORV3], open=True)
            assert ways.open == {Network.TORV3}
            ways.close()

    run(asyncio.new_event_loop, main())
