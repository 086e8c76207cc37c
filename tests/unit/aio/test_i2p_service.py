"""Both sessions at an I2P router's SAM bridge over real sockets: what they open and tell, whom they dial and take in,
and routers that lie, flood or go."""

from __future__ import annotations

import asyncio
import re
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from aio_nodes import LOOPS, Factory, run, until

from obscura.aio import i2p as i2p_module
from obscura.aio.i2p import I2PPlan, I2PService, I2PWay
from obscura.aio.services import KeyKeeper, running
from obscura.aio.ways import DialError, Ways
from obscura.base.instant import Duration, seconds
from obscura.base.limits import SAM_ACCEPTS, SAM_LINE_BYTES, SAM_MISSES
from obscura.overlay.sam import address_of, is_destination
from obscura.store.servicekey import I2P, ServiceKey
from obscura.wire.address import NetAddress, Network

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATIENCE: Final = seconds(5)


def destination(seed: int) -> tuple[str, str, NetAddress]:
    """One as SAM writes it, its private keys, and its address."""
    raw = bytes([seed]) * 384 + bytes.fromhex("05 0004 0007 0000")
    public, private = (b64encode(one, altchars=b"-~").decode() for one in (raw, raw + bytes([seed]) * 288))
    return public, private, address_of(public)


PUBLIC, PRIVATE, OURS = destination(1)
CALLER, _CALLER_PRIVATE, CALLERS = destination(2)
FAR, FAR_PRIVATE, FARS = destination(3)
HANGS_UP: Final = b"hangs up"
SILENT: Final = b"silent"


class Router:
    """A SAM bridge that does what an I2P router's does. ``instead`` has answers to questions that begin so."""

    def __init__(self, instead: dict[str, bytes] | None = None) -> None:
        self.instead = instead or {}
        self.port = 0
        self.asked: list[str] = []
        self.connections = 0
        self.open = 0
        self.dialling: dict[str, asyncio.StreamWriter] = {}
        """Sessions by name; those with a destination that nobody sees again."""
        self.transients: dict[str, NetAddress] = {}
        """These destinations, of all sessions that there have been."""
        self.listening: dict[str, asyncio.StreamWriter] = {}
        """Those with ours."""
        self.waiting: list[asyncio.StreamWriter] = []
        """Connections that take one caller each."""
        self.got: list[bytes] = []
        """What came by streams."""
        self.streams: list[asyncio.StreamWriter] = []
        """Connections that became streams, or were to."""
        self.looked_up_by: list[str] = []
        """The sessions on whose own connections an address was asked for; empty for any other connection."""
        self.seen: list[NetAddress] = []
        """Whom the far ends of streams see."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while line := (await reader.readline()).decode().removesuffix("\n"):
                self.asked.append(line)
                answer = next((one for head, one in self.instead.items() if line.startswith(head)), None)
                if answer == HANGS_UP:
                    return
                if answer is None:
                    answer = self.answer(line, writer)
                if answer != SILENT:
                    writer.write(answer)
                if line.startswith("STREAM"):
                    self.streams.append(writer)
                    self.got.append(await reader.read())
                    return
        finally:
            self.open -= 1
            for sessions in (self.dialling, self.listening):
                for name in [name for name, of in sessions.items() if of is writer]:
                    del sessions[name]
            if writer in self.waiting:
                self.waiting.remove(writer)

    def answer(self, line: str, writer: asyncio.StreamWriter) -> bytes:
        words = dict(word.partition("=")[::2] for word in line.split(" ")[2:])
        match line.split(" ")[:2]:
            case ["HELLO", "VERSION"]:
                assert words == {"MIN": "3.1", "MAX": "3.1"}
                return b"HELLO REPLY RESULT=OK VERSION=3.1\n"
            case ["DEST", "GENERATE"]:
                return f"DEST REPLY PUB={PUBLIC} PRIV={PRIVATE}\n".encode()
            case ["SESSION", "CREATE"]:
                private = words["DESTINATION"]
                fresh = private == "TRANSIENT"
                (self.dialling if fresh else self.listening)[words["ID"]] = writer
                if fresh:
                    _, private, self.transients[words["ID"]] = destination(4 + len(self.transients))
                return f"SESSION STATUS RESULT=OK DESTINATION={private}\n".encode()
            case ["NAMING", "LOOKUP"]:
                known = {FARS.host(): FAR}
                self.looked_up_by.append(next((name for name, of in self.dialling.items() if of is writer), ""))
                if writer in self.listening.values():
                    known["ME"] = PUBLIC
                if words["NAME"] not in known:
                    return b"NAMING REPLY RESULT=KEY_NOT_FOUND\n"
                return f"NAMING REPLY RESULT=OK NAME={words['NAME']} VALUE={known[words['NAME']]}\n".encode()
            case ["STREAM", "CONNECT"]:
                if words["ID"] not in self.dialling:
                    return b"STREAM STATUS RESULT=INVALID_ID\n"
                assert words["DESTINATION"] == FAR
                self.seen.append(self.transients[words["ID"]])
                return b"STREAM STATUS RESULT=OK\nof the stream"
            case ["STREAM", "ACCEPT"]:
                if words["ID"] not in self.listening:
                    return b"STREAM STATUS RESULT=INVALID_ID\n"
                self.waiting.append(writer)
                return b"STREAM STATUS RESULT=OK\n"
        return b"I2P STATUS RESULT=I2P_ERROR\n"

    def times(self, head: str) -> int:
        """How often something was asked that begins so."""
        return sum(line.startswith(head) for line in self.asked)

    def comes(self, said: bytes) -> None:
        """Somebody opens a stream to us: what its connection says."""
        self.waiting.pop(0).write(said)


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    """A server that does this for each connection: its port."""
    tasks: list[asyncio.Task[None]] = []

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
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


class Keys:
    """Keeps private keys and their host in memory."""

    def __init__(self, kept: tuple[str, str] | None = None) -> None:
        self.kept = kept

    def load(self) -> tuple[str, str] | None:
        return self.kept

    def keep(self, key: str, host: str) -> None:
        self.kept = key, host


class Stage:
    """The driver's side of the service, and what it has said."""

    def __init__(self, keys: KeyKeeper | None) -> None:
        self.keys = keys
        self.advertised: list[NetAddress] = []
        self.told: list[str] = []
        """Addresses that came and went."""
        self.came: list[tuple[NetAddress, bytes]] = []
        self.heard: list[tuple[str, str]] = []
        self.changes: list[bool] = []
        """Whether the way was open after each change."""
        self.ways = Ways({})

    def accept(self, sock: socket.socket, address: NetAddress, first: bytes = b"") -> None:
        self.came.append((address, first))
        assert sock.gettimeout() == 0, "it does not block"
        sock.send(b"ours")
        sock.close()

    def advertise(self, address: NetAddress) -> None:
        self.advertised.append(address)
        self.told.append("advertised")

    def withdraw(self, address: NetAddress) -> None:
        self.advertised.remove(address)
        self.told.append("withdrawn")

    def names(self) -> list[str]:
        return [name for name, _ in self.heard]

    def troubles(self) -> list[str]:
        return [text for name, text in self.heard if name == "i2p-trouble"]

    @asynccontextmanager
    async def service(self, port: int) -> AsyncIterator[None]:
        way = I2PWay(("127.0.0.1", port))
        self.ways = Ways({Network.I2P: way})
        plan = I2PPlan(endpoint=way.endpoint, keys=self.keys, heard=lambda name, text: self.heard.append((name, text)))
        made = I2PService(plan, self, self.ways, way)
        assert not self.ways.open
        self.ways.changed = lambda: self.changes.append(bool(self.ways.open))
        async with running([made]):
            yield
        assert not self.advertised
        assert not self.ways.open
        assert not way.session
        self.ways.close()
        for _, text in self.heard:
            assert PRIVATE not in text
            assert len(text) < 300


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is waited for."""
    monkeypatch.setattr(i2p_module, "DAEMON_RETRY", Duration(seconds(0.01)))
    monkeypatch.setattr(i2p_module, "DAEMON_RETRY_MOST", Duration(seconds(0.1)))
    monkeypatch.setattr(i2p_module, "SAM_AGAIN", Duration(seconds(0.01)))
    monkeypatch.setattr(i2p_module, "DAEMON_ANSWER", seconds(0.2))
    monkeypatch.setattr(i2p_module, "SAM_SESSION_ANSWER", seconds(0.2))


# -- both sessions


@LOOPS
def test_from_nothing_to_an_address_at_which_others_come(factory: Factory) -> None:
    async def main() -> None:
        keys, router = Keys(), Router()
        stage = Stage(keys)
        async with serving(router.serve) as port:
            async with stage.service(port):
                await until(lambda: stage.advertised == [OURS], "it is told to others")
                await until(lambda: stage.ways.open == {Network.I2P}, "the way opens")
                assert keys.kept == (PRIVATE, OURS.host())
                await until(lambda: len(router.waiting) == SAM_ACCEPTS, "it waits for others")
                firsts = [b"", b"the first bytes\n", bytes(3_000)]
                for first in firsts:
                    router.comes(CALLER.encode() + b" FROM_PORT=0 TO_PORT=0\n" + first)
                    await until(lambda: len(router.waiting) == SAM_ACCEPTS, "the next one finds somebody too")
                await until(lambda: len(router.got) == 3, "each has got an answer")
                assert stage.came == [(CALLERS, first) for first in firsts]
                assert router.got == [b"ours"] * 3
                [ours], [dials] = router.listening, router.dialling
                made = await stage.ways.connect(FARS, PATIENCE)
                assert made.first == b"of the stream"
                made.sock.send(b"an answer")
                made.sock.close()
                await until(lambda: b"an answer" in router.got, "it is the stream")
                assert ours != dials
                assert not any(ours in line for line in router.asked if line.startswith("STREAM CONNECT")), (
                    "a dial does not show our destination"
                )
            await until(lambda: router.open == 0, "all of it is closed")
        assert sorted(stage.names()) == ["i2p-reachable", "i2p-ready"]
        assert router.times("DEST GENERATE SIGNATURE_TYPE=7") == 1
        assert all(re.fullmatch(r"o[0-9a-f]{16}", name) for name in (ours, dials))

    run(factory, main())


def test_a_node_that_others_do_not_reach_has_one_session() -> None:
    async def main() -> None:
        stage, router = Stage(None), Router()
        async with serving(router.serve) as port, stage.service(port):
            await until(lambda: stage.ways.open, "the way opens")
            (await stage.ways.connect(FARS, PATIENCE)).sock.close()
            assert not router.listening
        assert stage.names() == ["i2p-ready"]
        assert router.times("SESSION CREATE") == 1

    run(asyncio.new_event_loop, main())


@LOOPS
@pytest.mark.usefixtures("soon")
def test_a_session_that_ends_is_made_anew_with_the_same_keys(factory: Factory) -> None:
    async def main() -> None:
        keys, router = Keys(), Router()
        stage = Stage(keys)
        async with serving(router.serve) as port, stage.service(port):
            for _ in range(3):
                await until(lambda: stage.advertised == [OURS], "it is told to others")
                next(iter(router.listening.values())).close()
                await until(lambda: not stage.advertised, "it is withdrawn")
            await until(lambda: stage.advertised == [OURS], "it is told once more")
            assert stage.told == ["advertised", *["withdrawn", "advertised"] * 3]
            await until(lambda: stage.changes == [True], "the way stays as it is")
        assert router.times("DEST GENERATE") == 1
        made = [line for line in router.asked if line.startswith("SESSION CREATE") and "TRANSIENT" not in line]
        assert len(made) == len(set(made)) == 4, "each with a name of its own"
        assert all(f" DESTINATION={PRIVATE} " in line for line in made)

    run(factory, main())


@pytest.mark.usefixtures("soon")
def test_the_way_closes_with_its_session() -> None:
    async def main() -> None:
        stage, router = Stage(Keys()), Router({"STREAM CONNECT": SILENT})
        async with serving(router.serve) as port, stage.service(port):
            await until(lambda: stage.ways.open and stage.advertised, "all stands")
            dial = asyncio.ensure_future(stage.ways.connect(FARS, seconds(60)))
            await until(lambda: router.times("STREAM CONNECT"), "somebody is dialled")
            next(iter(router.dialling.values())).close()
            with pytest.raises(DialError, match="way-closed") as caught:
                await dial
            assert caught.value.ours
            await until(lambda: stage.changes == [True, False, True], "it opens again")
            assert stage.told == ["advertised"], "the other session stands"
            assert stage.troubles() == ["the I2P router has ended the session for dials"]

    run(asyncio.new_event_loop, main())


@pytest.mark.usefixtures("soon")
def test_a_session_that_the_router_has_forgotten_is_made_anew() -> None:
    async def main() -> None:
        stage, router = Stage(None), Router({"STREAM CONNECT": b"STREAM STATUS RESULT=INVALID_ID\n"})
        async with serving(router.serve) as port, stage.service(port):
            await until(lambda: stage.ways.open, "the way opens")
            with pytest.raises(DialError, match="i2p-invalid-id") as caught:
                await stage.ways.connect(FARS, PATIENCE)
            assert caught.value.ours
            del router.instead["STREAM CONNECT"]
            await until(lambda: router.times("SESSION CREATE") == 2 and stage.ways.open, "there is another one")
            (await stage.ways.connect(FARS, PATIENCE)).sock.close()

    run(asyncio.new_event_loop, main())


@pytest.mark.usefixtures("soon")
def test_a_session_by_which_nobody_is_reached_is_made_anew_if_no_stream_runs_by_it() -> None:
    async def main() -> None:
        stage, router = Stage(None), Router()
        async with serving(router.serve) as port, stage.service(port):
            await until(lambda: stage.ways.open, "the way opens")
            made = await stage.ways.connect(FARS, PATIENCE)
            assert made.watch is not None
            made.watch.heard()
            router.instead["STREAM CONNECT"] = b"STREAM STATUS RESULT=CANT_REACH_PEER\n"
            for _ in range(2 * SAM_MISSES):
                with pytest.raises(DialError, match="cant-reach-peer"):
                    await stage.ways.connect(FARS, PATIENCE)
            assert router.times("SESSION CREATE") == 1, "a link runs by it"
            made.sock.close()
            made.watch.ended()
            with pytest.raises(DialError, match="cant-reach-peer"):
                await stage.ways.connect(FARS, PATIENCE)
            await until(lambda: router.times("SESSION CREATE") == 2 and stage.ways.open, "there is another one")
            router.instead["STREAM CONNECT"] = SILENT
            for _ in range(SAM_MISSES):
                with pytest.raises(DialError, match="connect-timeout"):
                    await stage.ways.connect(FARS, seconds(0.1))
            await until(lambda: router.times("SESSION CREATE") == 3 and stage.ways.open, "and another one")
            assert not stage.troubles(), "that is nobody's fault"

    run(asyncio.new_event_loop, main())


@pytest.mark.usefixtures("soon")
def test_a_stream_by_which_nothing_comes_is_ended_and_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i2p_module, "I2P_FIRST_BYTE", seconds(0.05))

    async def main() -> None:
        stage, router = Stage(None), Router()
        async with serving(router.serve) as port, stage.service(port):
            await until(lambda: stage.ways.open, "the way opens")
            for _ in range(SAM_MISSES):
                made = await stage.ways.connect(FARS, PATIENCE)
                assert made.watch is not None
                assert await asyncio.get_running_loop().sock_recv(made.sock, 1) == b"", "its end is read"
                made.sock.close()
                made.watch.ended()
            await until(lambda: router.times("SESSION CREATE") == 2 and stage.ways.open, "there is another session")
            made = await stage.ways.connect(FARS, PATIENCE)
            assert made.watch is not None
            made.watch.heard()
            await asyncio.sleep(0.1)
            made.sock.send(b"it stands")
            made.sock.close()
            made.watch.ended()

    run(asyncio.new_event_loop, main())


@pytest.mark.usefixtures("soon")
def test_a_session_by_which_nobody_comes_is_made_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i2p_module, "I2P_UNHEARD", seconds(0.3))

    async def main() -> None:
        stage, router = Stage(Keys()), Router()
        async with serving(router.serve) as port, stage.service(port):
            await until(lambda: stage.told.count("advertised") == 2, "it is made once more")
            await until(lambda: router.waiting, "it waits for others")
            router.comes(CALLER.encode() + b"\n")
            await until(lambda: stage.came, "he is handed over")
            await asyncio.sleep(0.6)
            assert stage.told.count("advertised") == 2, "now it stays"

    run(asyncio.new_event_loop, main())


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    "said",
    [
        b"nonsense\n",
        b"\n",
        FAR_PRIVATE.encode() + b"\n",
        b"STREAM STATUS RESULT=I2P_ERROR\n",
        b"\xff\n",
        b"x" * (SAM_LINE_BYTES + 1),
    ],
    ids=["nonsense", "empty", "private", "refusal", "no text", "flood"],
)
def test_a_caller_who_is_none_is_not_handed_over(said: bytes) -> None:
    async def main() -> None:
        stage, router = Stage(Keys()), Router()
        async with serving(router.serve) as port, stage.service(port):
            await until(lambda: router.waiting, "it waits for others")
            router.comes(said)
            await until(lambda: router.waiting, "others are waited for all the same")
            router.comes(CALLER.encode() + b"\nfirst")
            await until(lambda: stage.came, "somebody comes")
            assert stage.came == [(CALLERS, b"first")]
            assert stage.told == ["advertised"], "the session stands"

    run(asyncio.new_event_loop, main())


# -- dials


LOOKED_UP: Final = "NAMING REPLY RESULT=OK VALUE="
ON_LOOKUP: Final[list[tuple[bytes, str, bool]]] = [
    (b"NAMING REPLY RESULT=KEY_NOT_FOUND\n", "i2p-key-not-found", False),
    (b"NAMING REPLY RESULT=INVALID_KEY MESSAGE=x\n", "i2p-invalid-key", False),
    (b"NAMING REPLY\n", "i2p-unknown", False),
    (f"{LOOKED_UP}{CALLER}\n".encode(), "sam-destination", True),
    (f"{LOOKED_UP}{FAR_PRIVATE}\n".encode(), "sam-destination", True),
    (f"{LOOKED_UP}{FARS.host()}\n".encode(), "sam-destination", True),
    (f"{LOOKED_UP}\n".encode(), "sam-destination", True),
]
ON_CONNECT: Final[list[tuple[bytes, str, bool]]] = [
    (b"STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=x\n", "i2p-cant-reach-peer", False),
    (b"STREAM STATUS RESULT=TIMEOUT\n", "i2p-timeout", False),
    (b"STREAM STATUS RESULT=I2P_ERROR\n", "i2p-i2p-error", False),
    (b"STREAM STATUS RESULT=INVALID_ID\n", "i2p-invalid-id", True),
    (b"STREAM STATUS RESULT=../../x\n", "i2p-unknown", False),
    (b"NAMING REPLY RESULT=OK\n", "sam-syntax", True),
]
ON_ANY: Final[list[tuple[bytes, str, bool]]] = [
    (b"HTTP/1.1 400 Bad Request\n", "sam-syntax", True),
    (b"\xff\n", "sam-syntax", True),
    (b"x" * (SAM_LINE_BYTES + 1), "sam-too-long", True),
    (HANGS_UP, "proxy-unreachable", True),
    (SILENT, "connect-timeout", False),
]


@pytest.mark.parametrize(
    ("step", "said", "reason", "ours"),
    [
        *(("NAMING LOOKUP", *one) for one in (*ON_LOOKUP, *ON_ANY)),
        *(("STREAM CONNECT", *one) for one in (*ON_CONNECT, *ON_ANY)),
        *(("HELLO", *one) for one in ON_ANY),
        ("HELLO", b"HELLO REPLY RESULT=OK VERSION=3.3\n", "sam-version", True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_dials_that_come_to_nothing(step: str, said: bytes, reason: str, ours: bool) -> None:
    async def main() -> None:
        router = Router({step: said})
        async with serving(router.serve) as port:
            way = I2PWay(("127.0.0.1", port))
            way.session = "abc"
            lost: list[None] = []
            way.failed = lambda: lost.append(None)
            ways = Ways({Network.I2P: way})
            with pytest.raises(DialError) as caught:
                await ways.connect(FARS, seconds(0.3))
            assert (caught.value.reason, caught.value.ours) == (reason, ours)
            assert bool(ways.open) is not ours
            assert bool(lost) is (reason == "i2p-invalid-id")
            ways.close()
            await until(lambda: router.open == 0, "no socket is left")

    run(asyncio.new_event_loop, main())


def test_a_router_that_is_not_there() -> None:
    async def main() -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            way = I2PWay(nobody.getsockname())
            for session, reason in (("", "proxy-unknown"), ("abc", "proxy-unreachable")):
                way.session = session
                with pytest.raises(DialError, match=reason) as caught:
                    await way.open(FARS)
                assert caught.value.ours

    run(asyncio.new_event_loop, main())


@pytest.mark.parametrize("step", ["HELLO", "NAMING LOOKUP", "STREAM CONNECT"])
def test_a_dial_that_is_cancelled_leaves_no_socket(step: str) -> None:
    async def main() -> None:
        router = Router({step: SILENT})
        async with serving(router.serve) as port:
            way = I2PWay(("127.0.0.1", port))
            way.session = "abc"
            dial = asyncio.ensure_future(way.open(FARS))
            await until(lambda: router.times(step), "the router is asked")
            dial.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dial
            await until(lambda: router.open == 0, "no socket is left")

    run(asyncio.new_event_loop, main())


# -- routers that are no use


async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def answers_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HELLO REPLY RESULT=OK VERSION=3.1\n" + b"HTTP/1.1 400 Bad Request\r\n\r\n" * 3)
    await reader.read()


USELESS: Final[dict[str, Serve]] = {
    "silent": Router({"HELLO": SILENT}).serve,
    "hangs up": Router({"HELLO": HANGS_UP}).serve,
    "floods": floods,
    "nonsense": answers_nonsense,
    "no version": Router({"HELLO": b"HELLO REPLY RESULT=NOVERSION\n"}).serve,
    "another version": Router({"HELLO": b"HELLO REPLY RESULT=OK VERSION=3.3\n"}).serve,
    "no session": Router({"SESSION": b"SESSION STATUS RESULT=I2P_ERROR MESSAGE=no\n"}).serve,
    "silent session": Router({"SESSION": SILENT}).serve,
    "session hangs up": Router({"SESSION": HANGS_UP}).serve,
}


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("how", USELESS)
def test_a_router_that_is_no_use_is_asked_again_and_opens_nothing(how: str) -> None:
    connections = 0

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await USELESS[how](reader, writer)

    async def main() -> None:
        stage = Stage(Keys())
        async with serving(counted) as port, stage.service(port):
            await until(lambda: connections >= 8, "it is asked again")
            assert not stage.changes
            assert not stage.told
            assert set(stage.names()) == {"i2p-trouble"}
            assert len(set(stage.heard)) == len(stage.heard) < 4, "one trouble is told once"

    run(asyncio.new_event_loop, main())


@pytest.mark.usefixtures("soon")
def test_a_router_that_comes_later() -> None:
    async def main() -> None:
        stage, router = Stage(Keys()), Router({"HELLO": HANGS_UP})
        async with serving(router.serve) as port, stage.service(port):
            await until(lambda: router.connections >= 4, "it is asked again")
            router.instead.clear()
            await until(lambda: stage.ways.open and stage.advertised, "all stands")
            assert stage.names()[0] == "i2p-trouble"

    run(asyncio.new_event_loop, main())


@pytest.mark.usefixtures("soon")
def test_a_router_that_always_says_something_else_is_not_told_for_ever() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(f"HELLO REPLY RESULT=X{connections} MESSAGE=\x1b[31m\n".encode())
        await reader.read()

    async def main() -> None:
        stage = Stage(Keys())
        async with serving(serve) as port, stage.service(port):
            await until(lambda: connections >= 24, "it is asked again")
            assert len(stage.heard) == 16
            assert all(text.isprintable() for _, text in stage.heard)

    run(asyncio.new_event_loop, main())


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("NAMING LOOKUP NAME=ME", f"NAMING REPLY RESULT=OK NAME=ME VALUE={CALLER}\n".encode()),
        ("NAMING LOOKUP NAME=ME", f"NAMING REPLY RESULT=OK NAME=ME VALUE={PRIVATE}\n".encode()),
        ("NAMING LOOKUP NAME=ME", b"NAMING REPLY RESULT=KEY_NOT_FOUND NAME=ME\n"),
        ("NAMING LOOKUP NAME=ME", HANGS_UP),
        ("NAMING LOOKUP NAME=ME", SILENT),
        ("DEST", f"DEST REPLY PUB={PUBLIC}\n".encode()),
        ("DEST", f"DEST REPLY PUB={PUBLIC} PRIV={PUBLIC}\n".encode()),
        ("DEST", f"DEST REPLY PUB={PUBLIC} PRIV={PRIVATE.replace('A', '+')[:-1]}+\n".encode()),
        ("DEST", b"DEST REPLY RESULT=I2P_ERROR\n"),
        ("DEST", SILENT),
    ],
    ids=lambda value: value[:4] if isinstance(value, str) else "",
)
def test_an_address_that_is_in_doubt_is_neither_told_nor_kept(step: str, said: bytes) -> None:
    async def main() -> None:
        keys, router = Keys(), Router({step: said})
        stage = Stage(keys)
        async with serving(router.serve) as port, stage.service(port):
            await until(lambda: router.times(step) >= 3, "it is tried again")
            assert keys.kept is None
            assert not stage.told
            assert not router.waiting
            assert len(set(stage.troubles())) == 1
            await until(lambda: stage.ways.open, "others can be dialled")
            router.instead.clear()
            await until(lambda: stage.advertised == [OURS], "until it is right")

    run(asyncio.new_event_loop, main())


# -- the keys


@pytest.mark.usefixtures("soon")
def test_kept_keys_are_used() -> None:
    async def main() -> None:
        stage, router = Stage(Keys((PRIVATE, OURS.host()))), Router()
        async with serving(router.serve) as port, stage.service(port):
            await until(lambda: stage.advertised == [OURS], "it is told to others")
        assert not router.times("DEST")

    run(asyncio.new_event_loop, main())


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("kept", [(PRIVATE, FARS.host()), (FAR_PRIVATE, OURS.host())])
def test_keys_of_another_address_are_not_used(kept: tuple[str, str]) -> None:
    async def main() -> None:
        keys, router = Keys(kept), Router()
        stage = Stage(keys)
        async with serving(router.serve) as port, stage.service(port):
            await until(lambda: stage.ways.open and router.connections >= 4, "it is tried again")
            assert set(stage.troubles()) == {
                "the private keys of our I2P destination are damaged: put a copy of them back"
            }
            assert keys.kept == kept
            assert not stage.told
        assert router.times("SESSION CREATE") == 1, "the keys are not said"

    run(asyncio.new_event_loop, main())


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    "content", ["", PUBLIC, PRIVATE, f"{PRIVATE[:-304]} {OURS.host()}\n", f"{PUBLIC} {OURS.host()}\n"]
)
def test_a_damaged_file_is_said_and_left_as_it_is(tmp_path: Path, content: str) -> None:
    async def main() -> None:
        keys, router = ServiceKey(tmp_path, I2P, is_destination), Router()
        keys.keep(PRIVATE, OURS.host())
        whole = keys.path.read_text()
        keys.path.write_text(content)
        stage = Stage(keys)
        async with serving(router.serve) as port, stage.service(port):
            await until(lambda: stage.ways.open and router.connections >= 4, "it is tried again")
            assert len(set(stage.troubles())) == 1
            assert "damaged" in stage.troubles()[0]
            assert keys.path.read_text() == content
            assert not stage.told
            assert not router.times("DEST"), "nobody makes another address of it"
            keys.path.write_text(whole)
            await until(lambda: stage.advertised == [OURS], "a copy was put back")

    run(asyncio.new_event_loop, main())


# -- what is told


@pytest.mark.usefixtures("soon")
def test_a_router_that_is_silent_is_said_in_words() -> None:
    async def main() -> None:
        stage = Stage(None)
        async with serving(USELESS["silent"]) as port, stage.service(port):
            await until(lambda: stage.heard, "it is said")
            assert "Error" not in stage.troubles()[0]

    run(asyncio.new_event_loop, main())


@pytest.mark.usefixtures("soon")
def test_who_has_ended_a_session_is_said_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i2p_module, "I2P_UNHEARD", seconds(0.05))

    async def main() -> None:
        stage, router = Stage(Keys()), Router()
        async with serving(router.serve) as port, stage.service(port):
            await until(lambda: stage.told.count("advertised") == 2, "it is made once more")
            assert not stage.troubles()

    run(asyncio.new_event_loop, main())
