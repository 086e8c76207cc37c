"""One process of the message benchmark. ``read COUNT`` prints its port and then the seconds from the first message to
the last; ``write COUNT PORT`` sends them, in batches, as fast as the socket takes them."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time

import uvloop

from obscura.aio.stream import Stream, adopt_socket
from obscura.base.limits import READ_BYTES
from obscura.base.names import ConnId
from obscura.wire.blocks import Tx

from .codec import NOW, open_pair
from .links import BATCH, PAYLOAD


class _Reader:
    """Implements ``StreamOwner``: feeds a channel and counts what comes out."""

    def __init__(self, count: int) -> None:
        self.shared_buffer = memoryview(bytearray(READ_BYTES))
        self.finished: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._channel = open_pair()[1]
        self._left = count
        self._began = 0.0

    def stream_made(self, stream: Stream) -> None:
        """See ``StreamOwner``."""

    def stream_data(self, stream: Stream, data: bytes) -> None:
        """See ``StreamOwner``."""
        self._began = self._began or time.perf_counter()
        channel = self._channel
        channel.receive_data(data, NOW)
        left = self._left
        while channel.next_event(NOW) is not None:
            left -= 1
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


async def _read(count: int) -> None:
    owner = _Reader(count)
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


async def _write(count: int, port: int) -> None:
    channel = open_pair()[0]
    message = Tx(bytes(PAYLOAD))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for start in range(0, count, BATCH):
        for _ in range(min(BATCH, count - start)):
            channel.send(message)
        writer.write(channel.take_data(NOW))
        await writer.drain()
    writer.write_eof()
    await reader.read()
    writer.close()


if __name__ == "__main__":
    if sys.argv[1] == "read":
        uvloop.run(_read(int(sys.argv[2])))
    else:
        uvloop.run(_write(int(sys.argv[2]), int(sys.argv[3])))
