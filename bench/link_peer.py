"""One process of the message benchmarks. ``read KIND COUNT`` prints its port and then the seconds from the first
message to the last; ``write KIND COUNT PORT SIZE BATCH KEPT`` sends them, in batches, as fast as the socket takes them;
with KEPT 1 their frame is made once, as a node does for a block that several peers ask for."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time

import uvloop

from obscura.aio.allocator import keep_memory
from obscura.aio.stream import Stream, adopt_socket
from obscura.base.instant import MICROSECONDS
from obscura.base.limits import READ_BYTES, TX_BYTES
from obscura.base.names import ConnId
from obscura.channel import Opened, Role
from obscura.wire.blocks import Block, Tx
from obscura.wire.registry import encode_parts

from .secured import channel, clock, make_vault


class _Reader:
    """Implements ``StreamOwner``: feeds a channel and counts what comes out."""

    def __init__(self, kind: str, count: int) -> None:
        self.shared_buffer = memoryview(bytearray(READ_BYTES))
        self.finished: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._channel = channel(kind, Role.RESPONDER, make_vault())
        self._opened = False
        self._left = count
        self._began = 0.0

    def stream_made(self, stream: Stream) -> None:
        """See ``StreamOwner``."""

    def stream_data(self, stream: Stream, data: bytes) -> None:
        """See ``StreamOwner``."""
        now = clock()
        channel = self._channel
        channel.receive_data(data, now)
        if self._opened:
            self._began = self._began or time.perf_counter()
        left = self._left
        while (event := channel.next_event(now)) is not None:
            if isinstance(event, Opened):
                self._opened = True
            else:
                left -= 1
        if channel.may_answer:
            channel.answer()
        stream.write(channel.take_parts(now))
        self._left = left
        if left == 0:
            self.finished.set_result(time.perf_counter() - self._began)

    def stream_eof(self, stream: Stream) -> None:
        """See ``StreamOwner``."""
        stream.end()

    def stream_congested(self, stream: Stream) -> None:
        """See ``StreamOwner``."""

    def stream_drained(self, stream: Stream) -> None:
        """See ``StreamOwner``."""

    def stream_gone(self, stream: Stream) -> None:
        """See ``StreamOwner``."""


def _say(values: dict[str, float]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


async def _read(kind: str, count: int) -> None:
    owner = _Reader(kind, count)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.setblocking(False)
    _say({"port": port})
    peer, _ = await asyncio.get_running_loop().sock_accept(listener)
    stream = await adopt_socket(owner, peer)
    stream.adopt(ConnId(1))
    _say({"seconds": await owner.finished})
    stream.cut()
    listener.close()


async def _write(kind: str, count: int, port: int, size: int, batch: int, kept: int) -> None:
    link = channel(kind, Role.INITIATOR, make_vault())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    event = None
    while not isinstance(event, Opened):
        writer.write(link.take_data(clock()))
        link.receive_data(await reader.read(READ_BYTES), clock())
        event = link.next_event(clock())
    writer.write(link.take_data(clock()))
    # The reader's clock begins with the first message: the end of the handshake must not come with it.
    await asyncio.sleep(0.05)
    message = Tx(bytes(size)) if size <= TX_BYTES else Block(bytes(size))
    frame = encode_parts(message)
    for start in range(0, count, batch):
        for _ in range(min(batch, count - start)):
            link.send_frame(*(frame if kept else encode_parts(message)))
        for part in link.take_parts(clock()):
            writer.write(part)
        await writer.drain()
    while link.queued:
        due = link.transport.next_deadline()
        assert due is not None, "what waits has a time"
        await asyncio.sleep(max(0, due - clock()) / MICROSECONDS)
        writer.write(link.take_data(clock()))
    writer.write_eof()
    await reader.read()
    writer.close()


if __name__ == "__main__":
    keep_memory()
    given = sys.argv[2:]
    if sys.argv[1] == "read":
        uvloop.run(_read(given[0], int(given[1])))
    else:
        uvloop.run(_write(given[0], *map(int, given[1:])))
