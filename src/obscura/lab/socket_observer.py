"""Somebody in the middle of a real connection: a forwarder that writes down when how many bytes came by."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Coroutine
from typing import Any, Final

from ..aio.clock import read_clock
from ..aio.dial import DirectWay
from ..aio.listen import open_listener
from ..wire.address import NetAddress
from .taps import Tap

_READ_BYTES: Final = 262_144


class LineObserver:
    """Listens in the place of a node, and carries all bytes to it and back.

    Args:
        at: where to listen; with port 0 on one that the system draws.
        source_host: the IP address of who dials, from which the node is to see it come.

    Raises:
        ConfigError: ``at`` is not to be had.
    """

    def __init__(self, at: NetAddress, source_host: str) -> None:
        self.tap = Tap()
        """What was read, by the clock of the drivers; outward is what who dials says."""
        self._listener = open_listener(at)
        self.address = NetAddress(at.network, at.raw, self._listener.getsockname()[1])
        """Where it listens."""
        self._way = DirectWay(source_host)
        self._tasks: dict[asyncio.Task[None], None] = {}

    def open(self, node: NetAddress) -> None:
        """Let connections in, and carry them to ``node``."""
        self._spawn(self._serve(node))

    async def close(self) -> None:
        """End all of it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _serve(self, node: NetAddress) -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            self._spawn(self._forward(sock, node))

    async def _forward(self, near: socket.socket, node: NetAddress) -> None:
        with near, contextlib.suppress(OSError):
            far = (await self._way.open(node)).sock
            with far:
                for one in (near, far):
                    one.setblocking(False)
                    # What was read goes on as it came: nothing is gathered here.
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                both = [
                    asyncio.ensure_future(self._carry(near, far, outward=True)),
                    asyncio.ensure_future(self._carry(far, near, outward=False)),
                ]
                try:
                    await asyncio.gather(*both)
                finally:
                    for one_way in both:
                        one_way.cancel()
                    await asyncio.wait(both)

    async def _carry(self, source: socket.socket, sink: socket.socket, *, outward: bool) -> None:
        """Carry bytes until the end, and then the end; the other way stays as it is."""
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(source, _READ_BYTES):
            self.tap.saw(read_clock().mono, len(data), outward=outward)
            await loop.sock_sendall(sink, data)
        sink.shutdown(socket.SHUT_WR)
