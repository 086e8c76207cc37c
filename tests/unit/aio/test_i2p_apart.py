"""Dials apart by I2P: each by a session of its own, which ends with its stream; and where one goes wrong nothing stays
open, and the session of all other dials does not feel it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from aio_nodes import LOOPS, Factory, run, until
from test_i2p_service import (
    FARS,
    HANGS_UP,
    ON_ANY,
    ON_CONNECT,
    ON_LOOKUP,
    PATIENCE,
    SILENT,
    Router,
    Stage,
    serving,
)

from obscura.aio import i2p as i2p_module
from obscura.aio.i2p import I2PWay
from obscura.aio.links import Links
from obscura.aio.ways import Connected, DialError, Ways
from obscura.base.instant import Now, seconds
from obscura.base.limits import SAM_MISSES
from obscura.base.names import ConnId
from obscura.node.effects import Dial
from obscura.wire.address import Network

STEPS: Final = ("HELLO", "SESSION CREATE", "NAMING LOOKUP", "STREAM CONNECT")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session outlives its stream, but not for long."""
    monkeypatch.setattr(i2p_module, "SAM_LINGER", seconds(0.1))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session apart is not waited for long."""
    monkeypatch.setattr(i2p_module, "SAM_APART_ANSWER", seconds(0.1))


def way_at(port: int) -> I2PWay:
    """With a session for other dials, of which every trouble fails the test."""
    way = I2PWay(("127.0.0.1", port))
    way.session = "abc"
    way.failed = lambda: pytest.fail("the session of other dials is given up")
    return way


def end(made: Connected) -> None:
    """What a stream does in the end."""
    assert made.watch is not None
    made.sock.close()
    made.watch.ended()


# -- what others see


@LOOPS
def test_each_shows_a_destination_that_nothing_else_shows(factory: Factory) -> None:
    async def main() -> None:
        stage, router = Stage(None), Router()
        async with serving(router.serve) as port:
            async with stage.service(port):
                await until(lambda: stage.ways.open, "the way opens")
                ordinary = await stage.ways.connect(FARS, PATIENCE)
                [shared] = router.dialling
                first = await stage.ways.connect(FARS, PATIENCE, apart=True)
                two = await asyncio.gather(*(stage.ways.connect(FARS, PATIENCE, apart=True) for _ in range(2)))
                end(await stage.ways.connect(FARS, PATIENCE))
                aparts = [first, *two]
                assert len(router.seen) == 5
                assert router.seen.count(router.transients[shared]) == 2, "ordinary dials have one in common"
                assert len(set(router.seen)) == 4, "the others have one each"
                names = list(router.dialling)
                assert len(names) == 4
                assert all(re.fullmatch(r"o[0-9a-f]{16}", name) for name in names)
                made = [line for line in router.asked if line.startswith("SESSION CREATE")]
                assert len({re.sub(r" ID=\w+ ", " ", line) for line in made}) == 1, "they are of one kind"
                assert " DESTINATION=TRANSIENT " in made[0]
                assert sorted(router.looked_up_by) == sorted(["", "", *names[1:]]), "each looks up for itself"
                for one in aparts:
                    assert one.first == b"of the stream"
                    assert one.sock.gettimeout() == 0, "it does not block"
                    one.sock.send(b"apart")
                end(aparts.pop(1))
                await until(lambda: len(router.dialling) == 3, "its session ends with it")
                for one in aparts:
                    one.sock.send(b", and still there")
                    end(one)
                await until(lambda: list(router.dialling) == [shared], "so do theirs")
                assert sorted(router.got)[1:] == [b"apart", *[b"apart, and still there"] * 2]
                end(ordinary)
            await until(lambda: router.open == 0, "all of it is closed")

    run(factory, main())


class Hearer:
    """A node that notes what becomes of its dials, and drops links that the far end has ended."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.links: Links

    def connected(self, conn: ConnId, now: Now) -> None:
        self.log.append("connected")

    def dial_failed(self, conn: ConnId, reason: str, now: Now, *, ours: bool) -> None:
        self.log.append(reason)

    def disconnected(self, conn: ConnId, now: Now) -> None:
        self.log.append("disconnected")
        self.links.drop(conn)

    def receive(self, conn: ConnId, data: bytes, now: Now, *, in_turns: bool) -> bool:
        self.log.append(data.decode())
        return False


@contextlib.asynccontextmanager
async def linked(way: I2PWay) -> AsyncIterator[tuple[Links, Hearer]]:
    """Links by this way, and their node."""
    node = Hearer()

    def give(call: Any, conn: ConnId | None = None) -> bool:
        call(Now(0, 0))
        return True

    node.links = Links(node, give, lambda: None, Ways({Network.I2P: way}))
    yield node.links, node
    await node.links.close()
    way.close()


def dial(conn: int, *, apart: bool = True) -> Dial:
    return Dial(ConnId(conn), FARS, PATIENCE, apart=apart)


@LOOPS
def test_a_session_lasts_as_long_as_its_link(factory: Factory) -> None:
    async def main() -> None:
        router = Router()
        async with serving(router.serve) as port:
            async with linked(way_at(port)) as (links, node):
                for conn in range(5):
                    links.dial(dial(conn))
                    await until(lambda conn=conn: len(router.streams) == conn + 1, "they stand in turn")
                await until(lambda: node.log.count("of the stream") == 5, "all of them stand")
                await asyncio.sleep(0.3)
                assert len(router.dialling) == 5
                links.drop(ConnId(0))
                await until(lambda: len(router.dialling) == 4 and router.open == 8, "one is dropped")
                router.streams[1].transport.abort()
                await until(lambda: len(router.dialling) == 3 and router.open == 6, "one is ended by the far end")
                reset(router.streams[2])
                await until(lambda: len(router.dialling) == 2 and router.open == 4, "one is lost")
            await until(lambda: not router.dialling and router.open == 0, "the others end with the node")
            assert set(node.log) == {"connected", "of the stream", "disconnected"}

    run(factory, main())


def reset(writer: asyncio.StreamWriter) -> None:
    """Cut a connection so that the other side reads an error."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    writer.transport.abort()


@LOOPS
def test_a_session_outlives_its_stream_for_a_while(monkeypatch: pytest.MonkeyPatch, factory: Factory) -> None:
    monkeypatch.setattr(i2p_module, "SAM_LINGER", seconds(60))

    async def main() -> None:
        router = Router()
        async with serving(router.serve) as port:
            way = way_at(port)
            async with linked(way) as (links, node):
                for conn in range(3):
                    links.dial(dial(conn))
                await until(lambda: node.log.count("of the stream") == 3, "three links stand")
                for conn in range(2):
                    links.drop(ConnId(conn))
                await until(lambda: router.open == 4, "two streams are over")
                await asyncio.sleep(0.3)
                assert len(router.dialling) == 3, "what they have said last may still be on its way"
            await until(lambda: not router.dialling and router.open == 0, "they do not outlive the node")

    run(factory, main())


def test_ordinary_links_make_no_session() -> None:
    async def main() -> None:
        router = Router()
        async with serving(router.serve) as port:
            router.dialling["abc"] = None  # type: ignore[assignment]
            router.transients["abc"] = FARS
            async with linked(way_at(port)) as (links, node):
                links.dial(dial(1, apart=False))
                await until(lambda: "of the stream" in node.log, "the link stands")
            assert not router.times("SESSION CREATE")

    run(asyncio.new_event_loop, main())


@LOOPS
@pytest.mark.parametrize("step", STEPS)
def test_a_link_that_is_dropped_while_it_is_dialled_leaves_nothing(step: str, factory: Factory) -> None:
    async def main() -> None:
        router = Router({step: SILENT})
        async with serving(router.serve) as port:
            async with linked(way_at(port)) as (links, node):
                links.dial(dial(1))
                await until(lambda: router.times(step), "the router is asked")
                links.drop(ConnId(1))
                await until(lambda: router.open == 0, "nothing is left")
                links.dial(dial(2))
                await until(lambda: router.times(step) == 2, "the router is asked")
            assert not node.log
            await until(lambda: router.open == 0, "nothing is left either when the node ends")

    run(factory, main())


def test_no_session_outlives_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i2p_module, "SAM_LINGER", seconds(60))

    async def main() -> None:
        stage, router = Stage(None), Router()
        async with serving(router.serve) as port:
            async with stage.service(port):
                await until(lambda: stage.ways.open, "the way opens")
                end(await stage.ways.connect(FARS, PATIENCE, apart=True))
                await asyncio.sleep(0.1)
                assert len(router.dialling) == 2
            await until(lambda: router.open == 0, "all of it is closed")

    run(asyncio.new_event_loop, main())


# -- what goes wrong


@pytest.mark.parametrize("step", STEPS)
def test_a_dial_that_is_cancelled_leaves_neither_socket_nor_session(step: str) -> None:
    async def main() -> None:
        router = Router({step: SILENT})
        async with serving(router.serve) as port:
            one = asyncio.ensure_future(way_at(port).open(FARS, apart=True))
            await until(lambda: router.times(step), "the router is asked")
            one.cancel()
            with pytest.raises(asyncio.CancelledError):
                await one
            await until(lambda: router.open == 0, "nothing is left")
            assert not router.dialling

    run(asyncio.new_event_loop, main())


@pytest.mark.parametrize("step", STEPS)
def test_a_way_that_closes_ends_a_dial_and_its_session(step: str) -> None:
    async def main() -> None:
        router = Router({step: SILENT})
        async with serving(router.serve) as port:
            ways = Ways({Network.I2P: way_at(port)})
            one = asyncio.ensure_future(ways.connect(FARS, seconds(60), apart=True))
            await until(lambda: router.times(step), "the router is asked")
            ways.let([Network.I2P], open=False)
            with pytest.raises(DialError, match="way-closed") as caught:
                await one
            assert caught.value.ours
            await until(lambda: router.open == 0, "nothing is left")

    run(asyncio.new_event_loop, main())


def apart_from(cases: list[tuple[bytes, str, bool]], step: str) -> list[tuple[str, bytes, str, bool]]:
    return [(step, said, reason, ours) for said, reason, ours in cases]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("step", "said", "reason", "ours"),
    [
        *apart_from(ON_ANY, "HELLO"),
        *apart_from([*ON_LOOKUP, *ON_ANY], "NAMING LOOKUP"),
        *apart_from([*ON_CONNECT, *ON_ANY], "STREAM CONNECT"),
        *apart_from(ON_ANY[:-1], "SESSION CREATE"),
        ("SESSION CREATE", SILENT, "i2p-no-session", True),
        ("SESSION CREATE", b"SESSION STATUS RESULT=I2P_ERROR MESSAGE=no\n", "i2p-no-session", True),
        ("SESSION CREATE", b"SESSION STATUS RESULT=DUPLICATED_ID\n", "i2p-no-session", True),
        ("SESSION CREATE", b"SESSION STATUS\n", "i2p-no-session", True),
        ("SESSION CREATE", b"STREAM STATUS RESULT=OK\n", "sam-syntax", True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_comes_to_nothing_counts_for_no_other_dial(step: str, said: bytes, reason: str, ours: bool) -> None:
    async def main() -> None:
        router = Router({step: said})
        async with serving(router.serve) as port:
            ways = Ways({Network.I2P: way_at(port)})
            for _ in range(SAM_MISSES + 1):
                with pytest.raises(DialError) as caught:
                    await ways.connect(FARS, seconds(0.2), apart=True)
                assert (caught.value.reason, caught.value.ours) == (reason, ours)
                assert bool(ways.open) is (said != HANGS_UP), "only one that is not there closes the way"
            ways.close()
            await until(lambda: router.open == 0, "nothing is left")

    run(asyncio.new_event_loop, main())


def test_a_router_that_is_not_there_closes_the_way() -> None:
    async def main() -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            ways = Ways({Network.I2P: way_at(nobody.getsockname()[1])})
            with pytest.raises(DialError, match="proxy-unreachable") as caught:
                await ways.connect(FARS, PATIENCE, apart=True)
            assert caught.value.ours
            assert not ways.open
            ways.close()

    run(asyncio.new_event_loop, main())


def test_streams_apart_keep_no_other_session_alive_and_give_none_up() -> None:
    async def main() -> None:
        router = Router()
        async with serving(router.serve) as port:
            lost: list[None] = []
            way = way_at(port)
            way.failed = lambda: lost.append(None)
            made = await way.open(FARS, apart=True)
            assert made.watch is not None
            made.watch.heard()
            router.instead["STREAM CONNECT"] = b"STREAM STATUS RESULT=CANT_REACH_PEER\n"
            for misses in range(SAM_MISSES):
                assert not lost, misses
                with pytest.raises(DialError, match="cant-reach-peer"):
                    await way.open(FARS, apart=True)
                with pytest.raises(DialError, match="cant-reach-peer"):
                    await way.open(FARS)
            assert lost == [None]
            end(made)
            await until(lambda: router.open == 0, "nothing is left")

    run(asyncio.new_event_loop, main())


@LOOPS
def test_a_stream_by_which_nothing_comes_is_ended_and_its_session_with_it(
    monkeypatch: pytest.MonkeyPatch, factory: Factory
) -> None:
    monkeypatch.setattr(i2p_module, "I2P_FIRST_BYTE", seconds(0.1))

    async def main() -> None:
        router = Router({"STREAM CONNECT": b"STREAM STATUS RESULT=OK\n"})
        async with serving(router.serve) as port, linked(way_at(port)) as (links, node):
            for conn in range(SAM_MISSES + 1):
                links.dial(dial(conn))
            await until(lambda: node.log.count("disconnected") == SAM_MISSES + 1, "their ends are read")
            await until(lambda: router.open == 0, "nothing is left")
            links.dial(dial(9))
            await until(lambda: node.log.count("connected") == SAM_MISSES + 2, "one more")
            router.streams[-1].write(b"here I am")
            await until(lambda: "here I am" in node.log, "it answers")
            await asyncio.sleep(0.3)
            assert len(router.dialling) == 1, "and so it stays"

    run(factory, main())


def test_a_session_that_ends_before_its_stream() -> None:
    async def main() -> None:
        router = Router()
        async with serving(router.serve) as port:
            way = way_at(port)
            made = await way.open(FARS, apart=True)
            next(iter(router.dialling.values())).close()
            await until(lambda: router.open == 1, "the stream alone is left")
            made.sock.send(b"still there")
            end(made)
            await until(lambda: router.got == [b"still there"], "it ends as it would have")
            way.close()

    run(asyncio.new_event_loop, main())


def test_a_router_that_talks_on_while_a_session_is_held() -> None:
    async def main() -> None:
        router = Router()
        async with serving(router.serve) as port:
            made = await way_at(port).open(FARS, apart=True)
            [session] = router.dialling.values()
            session.write(b"x" * 10_000_000)
            made.sock.send(b"still there")
            await asyncio.sleep(0.05)
            end(made)
            await until(lambda: router.got == [b"still there"] and not router.dialling, "nobody listens to it")

    run(asyncio.new_event_loop, main())
