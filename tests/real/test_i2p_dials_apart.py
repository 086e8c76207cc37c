"""Dials apart by a real I2P router: whom the far end sees, what comes through, and what the router keeps of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

import pytest
from aio_nodes import run, until
from i2p_network import I2PNetwork

from obscura.aio import i2p as i2p_module
from obscura.aio.i2p import I2PPlan, I2PService, I2PWay, bridge
from obscura.aio.services import running
from obscura.aio.ways import Connected, DialError, Ways
from obscura.base.instant import seconds
from obscura.base.limits import CONNECT_TIMEOUT_OVERLAY
from obscura.overlay import sam
from obscura.wire.address import NetAddress, Network

LIMIT_S: Final = 580
STANDS_S: Final = 200
"""A session takes 20 s, or 40, now and then 60."""
TRIES: Final = 6
"""Some streams carry nothing, which takes half a minute each to see."""
LONG: Final = bytes(200_000)


class Side:
    """One node's sessions. It answers whoever comes, and notes by his first line who he was and how much he said."""

    def __init__(self, port: int, *, listens: bool) -> None:
        self.way = I2PWay(("127.0.0.1", port))
        self.ways = Ways({Network.I2P: self.way})
        plan = I2PPlan(endpoint=self.way.endpoint, keys=self if listens else None)
        self.service = I2PService(plan, self, self.ways, self.way)
        self.at: NetAddress | None = None
        self.callers: dict[str, NetAddress] = {}
        self.said: dict[str, int] = {}
        """How many bytes, once he has ended."""
        self._tasks: set[asyncio.Task[None]] = set()

    def load(self) -> None:
        return None

    def keep(self, key: str, host: str) -> None:
        pass

    def advertise(self, address: NetAddress) -> None:
        self.at = address

    def withdraw(self, address: NetAddress) -> None:
        self.at = None

    def accept(self, sock: socket.socket, address: NetAddress, first: bytes = b"") -> None:
        task = asyncio.get_running_loop().create_task(self._answer(sock, address, first))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, sock: socket.socket, address: NetAddress, said: bytes) -> None:
        loop = asyncio.get_running_loop()
        with sock, contextlib.suppress(OSError):
            while b"\n" not in said:
                if not (data := await loop.sock_recv(sock, 65_536)):
                    return
                said += data
            line, _, rest = said.partition(b"\n")
            self.callers[line.decode()] = address
            await loop.sock_sendall(sock, b"here")
            count = len(rest)
            while data := await loop.sock_recv(sock, 65_536):
                count += len(data)
            self.said[line.decode()] = count

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.ways.close()


async def stream(ways: Ways, address: NetAddress, name: str, *, apart: bool) -> Connected:
    """A stream that has said its name, and has an answer."""
    loop = asyncio.get_running_loop()
    for _ in range(TRIES):
        with contextlib.suppress(DialError, OSError):
            made = await ways.connect(address, CONNECT_TIMEOUT_OVERLAY, apart=apart)
            assert made.watch is not None
            await loop.sock_sendall(made.sock, name.encode() + b"\n")
            if await loop.sock_recv(made.sock, 4) == b"here":
                made.watch.heard()
                return made
            end(made)
    pytest.fail(f"no stream: {name}")


def end(made: Connected) -> None:
    assert made.watch is not None
    made.sock.close()
    made.watch.ended()


async def exists(way: I2PWay, session: str) -> bool:
    """Whether the router has a session of this name."""
    async with bridge(way.endpoint) as one:
        try:
            sam.stream_made(await one.ask(sam.accept(session)))
        except sam.SamRefused as error:
            assert error.result == "INVALID_ID"
            return False
    return True


async def no_more(way: I2PWay, session: str) -> None:
    async with asyncio.timeout(STANDS_S):
        while await exists(way, session):
            await asyncio.sleep(1)


def test_streams_apart_show_callers_that_nothing_links(i2p: I2PNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    draw = i2p_module._name
    monkeypatch.setattr(i2p_module, "_name", lambda: names.append(draw()) or names[-1])

    async def main() -> None:
        here, there = Side(i2p.sam(0), listens=False), Side(i2p.sam(1), listens=True)
        async with running([there.service, here.service]):
            await until(lambda: there.at is not None and here.ways.open, "both have their sessions", STANDS_S)
            address, ordinary = there.at, here.way.session
            assert address is not None
            names.clear()
            apart = await asyncio.gather(*(stream(here.ways, address, f"apart {n}", apart=True) for n in range(2)))
            end(await stream(here.ways, address, "ordinary", apart=False))
            end(await stream(here.ways, address, "ordinary again", apart=False))
            seen = there.callers
            assert seen["ordinary"] == seen["ordinary again"]
            assert len({seen["apart 0"], seen["apart 1"], seen["ordinary"]}) == 3
            assert await exists(here.way, ordinary)
            assert [await exists(here.way, name) for name in names].count(True) >= 2
            for one in apart:
                await asyncio.get_running_loop().sock_sendall(one.sock, LONG)
                end(one)
            await until(
                lambda: there.said.get("apart 0") == there.said.get("apart 1") == len(LONG),
                "what they say last comes through, and so does their end",
            )
            dial = asyncio.create_task(here.ways.connect(address, seconds(100), apart=True))
            await asyncio.sleep(5)
            assert await exists(here.way, names[-1]), "a session is being made"
            dial.cancel()
            await asyncio.wait([dial])
            assert dial.cancelled()
            for name in names:
                await no_more(here.way, name)
            assert await exists(here.way, ordinary)
        await here.close()
        await there.close()

    run(asyncio.new_event_loop, main(), LIMIT_S)
