"""The session at Tor's control port over real sockets: what it opens and tells, and daemons that lie, flood or go."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aio_nodes import LOOPS, Factory, run, until

from obscura.aio import tor as tor_module
from obscura.aio.services import running
from obscura.aio.socks import SocksWay
from obscura.aio.tor import SOMEBODY, TorPlan, TorService
from obscura.aio.ways import Ways
from obscura.base.instant import Duration, seconds
from obscura.wire.address import NetAddress, Network

KEY = "ED25519-V3:" + "A" * 86 + "=="
ADDRESS = NetAddress(Network.TORV3, bytes(range(32)), 8_333)
NAME = ADDRESS.host().removesuffix(".onion")
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Keys:
    """Keeps a key and its host in memory."""

    def __init__(self) -> None:
        self.kept: tuple[str, str] | None = None

    def load(self) -> tuple[str, str] | None:
        return self.kept

    def keep(self, key: str, host: str) -> None:
        self.kept = key, host


class Stage:
    """The driver's side of a service, and what it has said."""

    def __init__(self) -> None:
        self.advertised: list[NetAddress] = []
        self.came: list[tuple[NetAddress, bytes]] = []
        self.heard: list[tuple[str, str]] = []
        self.keys = Keys()
        self.ways = Ways({})
        self.way = SocksWay(None, isolate=True)

    def accept(self, sock: socket.socket, address: NetAddress, first: bytes = b"") -> None:
        self.came.append((address, first))
        sock.close()

    def advertise(self, address: NetAddress) -> None:
        self.advertised.append(address)

    def withdraw(self, address: NetAddress) -> None:
        self.advertised.remove(address)

    def names(self) -> list[str]:
        return [name for name, _ in self.heard]

    @asynccontextmanager
    async def service(
        self, port: int, *, onion: bool = True, own: bool = False, cookie_path: str | None = None
    ) -> AsyncIterator[TorService]:
        async def control() -> tuple[str, int]:
            return "127.0.0.1", port

        self.ways = Ways({Network.TORV3: self.way})
        plan = TorPlan(
            control=control,
            networks=(Network.TORV3,),
            port=8_333 if onion else 0,
            keys=self.keys if onion else None,
            own=own,
            cookie_path=cookie_path,
            heard=lambda name, text: self.heard.append((name, text)),
        )
        made = TorService(plan, self, self.ways, self.way)
        async with running([made]):
            yield made
        self.ways.close()


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    tasks: list[asyncio.Task[None]] = []

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Daemon:
    """A control port as Tor's, with a SOCKS port beside it that leads every dial to the onion service's target."""

    def __init__(self, cookie: Path) -> None:
        self.cookie = cookie
        self.heard: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.socks = 0
        self.target = 0
        self.ready = True
        self.ports = '"unix:/run/tor/socks" "127.0.0.1:{}"'
        """Where it says that it takes SOCKS connections."""
        cookie.write_bytes(bytes(range(32)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        secret = self.cookie.read_bytes()
        while line := (await reader.readline()).decode().strip():
            self.heard.append(line)
            word, _, rest = line.partition(" ")
            match word:
                case "PROTOCOLINFO":
                    answer = (
                        f'250-PROTOCOLINFO 1\r\n250-AUTH METHODS=COOKIE,SAFECOOKIE COOKIEFILE="{self.cookie}"\r\n250 OK'
                    )
                case "AUTHCHALLENGE":
                    both = secret + bytes.fromhex(rest.split()[1]) + bytes(32)
                    mine = b"Tor safe cookie authentication server-to-controller hash"
                    theirs = b"Tor safe cookie authentication controller-to-server hash"
                    self.expected = hmac.new(theirs, both, hashlib.sha256).hexdigest().upper()
                    shown = hmac.new(mine, both, hashlib.sha256).hexdigest().upper()
                    answer = f"250 AUTHCHALLENGE SERVERHASH={shown} SERVERNONCE={bytes(32).hex()}"
                case "AUTHENTICATE":
                    answer = "250 OK" if rest == self.expected else "515 no"
                case "GETINFO":
                    percent = 100 if self.ready else 10
                    answer = (
                        f"250-net/listeners/socks={self.ports.format(self.socks)}\r\n"
                        f"250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS={percent} TAG=x SUMMARY=so\r\n250 OK"
                    )
                case "ADD_ONION":
                    self.target = int(rest.rpartition(":")[2])
                    made = "" if KEY in rest else f"250-PrivateKey={KEY}\r\n"
                    answer = f"250-ServiceID={NAME}\r\n{made}250 OK"
                case _:
                    answer = "250 OK"
            writer.write(answer.encode() + b"\r\n")

    def tell(self, event: str) -> None:
        self.writers[-1].write(f"650 {event}\r\n".encode())

    async def proxy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(b"\x05\x02")
        await reader.readexactly(2 + 32 + 1 + 32)
        writer.write(b"\x01\x00")
        await reader.readexactly(4 + 1 + 62 + 2)
        _, there = await asyncio.open_connection("127.0.0.1", self.target)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await reader.read()
        there.close()


@LOOPS
def test_from_nothing_to_an_address_that_others_reach(factory: Factory, tmp_path: Path) -> None:
    async def main() -> None:
        stage, daemon = Stage(), Daemon(tmp_path / "cookie")
        daemon.ready = False
        async with listening(daemon.serve) as control, listening(daemon.proxy) as daemon.socks:
            async with stage.service(control):
                await until(lambda: "onion-made" in stage.names(), "the service is made")
                assert stage.keys.kept == (KEY, ADDRESS.host())
                assert not stage.ways.open
                assert not stage.advertised
                daemon.tell('STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY="Done"')
                await until(lambda: stage.ways.open, "the way opens")
                daemon.tell(f"HS_DESC UPLOADED {NAME} UNKNOWN somewhere")
                await until(lambda: stage.advertised == [ADDRESS], "it is told to others")
                assert (SOMEBODY, b"") in stage.came, "by a dial that came back"
                daemon.writers[-1].close()
                await until(lambda: not stage.advertised, "its address is withdrawn with the session")
                assert stage.ways.open, "the SOCKS port may still work"
                await until(lambda: len(daemon.writers) == 2, "there is another session")
                await until(lambda: any(KEY in line for line in daemon.heard), "with the same key")
            assert not any(name == "tor-trouble" for name in stage.names()[:3])
            for _, text in stage.heard:
                assert KEY not in text

    run(factory, main())


async def is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()


async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def floods_with_events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"650-CIRC " + b"y" * 1_000 + b"\r\n")
    while True:
        writer.write(b"650-" + b"z" * 1_000 + b"\r\n")
        await writer.drain()


async def talks_of_other_things(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"650 CIRC 1 BUILT\r\n")
        await asyncio.sleep(0.01)


async def answers_too_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n250 OK\r\n250 OK\r\n250 OK\r\n")
    await reader.read()


async def names_a_strange_file(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b'250-AUTH METHODS=SAFECOOKIE COOKIEFILE="/a\\000b"\r\n250 OK\r\n')
    await reader.read()


async def names_a_device(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b'250-AUTH METHODS=SAFECOOKIE COOKIEFILE="/dev/zero"\r\n250 OK\r\n')
    await reader.read()


async def answers_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"250 OK\r\n250 OK\r\nHTTP/1.1 400 Bad Request\r\n\r\n")
    await reader.read()


async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"250-PROTOCOLINFO 1\r\n250-AUTH METHODS=HASHEDPASSWORD\r\n250 OK\r\n")
    await reader.read()


@pytest.mark.parametrize(
    "serve",
    [
        is_silent,
        hangs_up,
        floods,
        floods_with_events,
        talks_of_other_things,
        answers_too_early,
        names_a_strange_file,
        names_a_device,
        answers_nonsense,
        refuses,
    ],
)
def test_a_daemon_that_is_no_use_is_asked_again_and_opens_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tor_module, "DAEMON_ANSWER", seconds(0.2))
    monkeypatch.setattr(tor_module, "DAEMON_RETRY", Duration(seconds(0.01)))
    sessions = 0

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sessions
        sessions += 1
        await serve(reader, writer)

    async def main() -> None:
        stage = Stage()
        async with listening(counted) as control, stage.service(control):
            await until(lambda: sessions >= 3, "it is asked again")
            assert not stage.ways.open
            assert not stage.advertised
            assert stage.names().count("tor-trouble") == 1, "one trouble is told once"

    run(asyncio.new_event_loop, main())


def test_nobody_gets_the_content_of_a_file_that_he_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tor_module, "DAEMON_RETRY", Duration(seconds(0.01)))
    secret = tmp_path / "secret"
    secret.write_bytes(b"exactly thirty-two bytes of it.!")
    got = bytearray()
    sessions = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sessions
        sessions += 1
        methods = ("COOKIE", "SAFECOOKIE", "COOKIE,SAFECOOKIE")[sessions % 3]
        writer.write(f'250-AUTH METHODS={methods} COOKIEFILE="{secret}"\r\n250 OK\r\n'.encode())
        while line := await reader.readline():
            got.extend(line)
            if line.startswith(b"AUTHCHALLENGE"):
                writer.write(b"250 AUTHCHALLENGE SERVERHASH=" + b"00" * 32 + b" SERVERNONCE=" + b"11" * 32 + b"\r\n")

    async def main() -> None:
        stage = Stage()
        async with listening(serve) as control, stage.service(control):
            await until(lambda: sessions >= 6, "all of it was tried")

    run(asyncio.new_event_loop, main())
    assert b"AUTHCHALLENGE" in got
    assert b"AUTHENTICATE" not in got
    for form in (secret.read_bytes(), secret.read_bytes().hex().encode(), secret.read_bytes().hex().upper().encode()):
        assert form not in got


def test_a_cookie_that_cannot_be_read_is_said_with_what_to_do(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(f'250-AUTH METHODS=SAFECOOKIE COOKIEFILE="{tmp_path}/none"\r\n250 OK\r\n'.encode())
        await reader.read()

    async def main() -> None:
        stage = Stage()
        async with listening(serve) as control, stage.service(control):
            await until(lambda: stage.heard, "it is said")
            assert "debian-tor" in stage.heard[0][1]

    run(asyncio.new_event_loop, main())


def test_a_pipe_in_the_place_of_the_cookie_stops_nobody(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(f'250-AUTH METHODS=SAFECOOKIE COOKIEFILE="{pipe}"\r\n250 OK\r\n'.encode())
        await reader.read()

    async def main() -> None:
        stage = Stage()
        async with listening(serve) as control, stage.service(control):
            await until(lambda: stage.heard, "it is said")
            assert "0 bytes, not 32" in stage.heard[0][1]

    run(asyncio.new_event_loop, main())


def test_somebody_in_the_place_of_our_own_daemon_gets_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        stage, daemon = Stage(), Daemon(tmp_path / "cookie")
        daemon.ports = '"127.0.0.1:9050"'
        stage.keys.keep(KEY, ADDRESS.host())
        async with listening(daemon.serve) as control:
            async with stage.service(control, own=True, cookie_path=str(tmp_path / "other")):
                await until(lambda: stage.heard, "it is said")
            assert stage.heard == [("tor-trouble", "what answers there is not the tor that this node has started")]
            assert daemon.heard == ["PROTOCOLINFO 1"]
            async with stage.service(control, own=True, cookie_path=str(daemon.cookie)):
                await until(lambda: "onion-made" in stage.names(), "the right one makes the service")
            assert "TAKEOWNERSHIP" in daemon.heard

    run(asyncio.new_event_loop, main())


def test_a_kept_key_that_becomes_another_service_is_not_told(tmp_path: Path) -> None:
    other = NetAddress(Network.TORV3, bytes(32), 8_333)

    async def main() -> None:
        stage, daemon = Stage(), Daemon(tmp_path / "cookie")
        stage.keys.keep(KEY, other.host())
        daemon.ports = '"127.0.0.1:9050"'
        async with listening(daemon.serve) as control, stage.service(control):
            await until(lambda: "tor-trouble" in stage.names(), "it is said")
            assert "(control-onion)" in stage.heard[-1][1]
            assert "onion-made" not in stage.names()
            assert not stage.advertised
            assert stage.keys.kept == (KEY, other.host()), "what is kept stays"

    run(asyncio.new_event_loop, main())


@pytest.mark.parametrize(
    ("ports", "found"),
    [
        ('"127.0.0.1:9050"', ("127.0.0.1", 9_050)),
        ('"[::1]:9050" "127.0.0.1:9051"', ("::1", 9_050)),
        ('"127.8.9.1:9050"', ("127.8.9.1", 9_050)),
        ('"192.0.2.1:9050" "127.0.0.1:9051"', ("127.0.0.1", 9_051)),
        ('"unix:/run/my 127.0.0.1:9050 socks" "127.0.0.1:9051"', ("127.0.0.1", 9_051)),
        ('"192.0.2.1:9050"', None),
        ('"[2001:db8::7]:9050" "10.0.0.1:9050" "0.0.0.0:9050"', None),
        ('"127.0.0.1:0"', None),
        ('"127.0.0.1:65536" "127.0.0.1" "localhost:9050" ":9050" ""', None),
        (f'"{ADDRESS.host()}:9050"', None),
        ('"unix:/run/socks"', None),
        ("", None),
    ],
)
def test_a_proxy_is_taken_beside_the_control_port_only(
    tmp_path: Path, ports: str, found: tuple[str, int] | None
) -> None:
    async def main() -> None:
        stage, daemon = Stage(), Daemon(tmp_path / "cookie")
        daemon.ports = ports
        async with listening(daemon.serve) as control, stage.service(control, onion=False):
            if found is None:
                await until(lambda: "tor-trouble" in stage.names(), "it is said")
                assert "set SocksPort in torrc" in stage.heard[-1][1]
                assert not stage.ways.open
            else:
                await until(lambda: stage.ways.open, "the way opens")
            assert stage.way.proxy == found

    run(asyncio.new_event_loop, main())
