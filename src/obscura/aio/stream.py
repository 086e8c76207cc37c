"""One socket: bytes to the node, bytes from the node, back-pressure both ways.

Reading goes into one buffer that all links of a loop share, because the node takes the bytes before the callback
returns; an idle link holds no buffer. Writing is gathered: what the node sends in one turn of the loop is one write.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final, Protocol, cast

from ..base.limits import GRACE_STOP, SEND_BUFFER_BYTES
from ..base.names import ConnId

RECEIVE_BUFFER: Final = 262_144  # bytes read at once: sixteen times a socket's usual segment train


class StreamOwner(Protocol):
    """What a stream needs of its driver."""

    shared_buffer: memoryview

    def stream_data(self, stream: Stream, data: bytes) -> None:
        """Bytes came."""
        ...

    def stream_lost(self, stream: Stream) -> None:
        """The peer has ended, or the connection broke."""
        ...

    def stream_congested(self, stream: Stream) -> None:
        """More than SEND_BUFFER_BYTES are unsent."""
        ...

    def stream_drained(self, stream: Stream) -> None:
        """Less than half of it is unsent."""
        ...


class Stream(asyncio.BufferedProtocol):
    """A connected socket. It is silent until :meth:`adopt` gives it the name that the node knows it by."""

    def __init__(self, owner: StreamOwner, loop: asyncio.AbstractEventLoop) -> None:
        self.conn: ConnId | None = None
        self._owner = owner
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._ending = False
        self._paused = False
        self._early: list[bytes] = []
        self._gone = asyncio.Event()

    # -- from the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ready."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=SEND_BUFFER_BYTES, low=SEND_BUFFER_BYTES // 2)
        raw = transport.get_extra_info("socket")
        if raw is not None:
            # A lone small message must not wait for the answer to the one before.
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get_buffer(self, sizehint: int) -> memoryview:
        """The buffer that all links share."""
        del sizehint
        return self._owner.shared_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes are in the shared buffer; they are taken out before this returns."""
        if self._ending:
            return
        data = bytes(self._owner.shared_buffer[:nbytes])
        if self.conn is None:
            self._early.append(data)
        else:
            self._owner.stream_data(self, data)

    def eof_received(self) -> bool:
        """The peer has ended its side; what we had to say is not wanted any more."""
        self._lost()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whatever the cause."""
        del exc
        self._lost()
        self._transport = None
        self._gone.set()

    def pause_writing(self) -> None:
        """The peer does not take what is sent."""
        self._owner.stream_congested(self)

    def resume_writing(self) -> None:
        """It has taken most of it."""
        self._owner.stream_drained(self)

    # -- from the driver

    def adopt(self, conn: ConnId) -> None:
        """Name the stream. What came in the turn of the loop between connecting and now is handed on, or its end."""
        self.conn = conn
        early, self._early = self._early, []
        for data in early:
            self._owner.stream_data(self, data)
        if self._ending:
            self._owner.stream_lost(self)

    def write(self, parts: list[bytes]) -> None:
        """Write what was gathered in this turn."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def pause_reading(self) -> None:
        """Leave what comes in the socket."""
        if self._transport is not None and not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take it again."""
        if self._transport is not None and self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def end(self) -> None:
        """Write what is queued, then close. What the peer still sends is read and dropped meanwhile, because unread
        bytes would turn the end into a reset and lose our last words. A peer that takes nothing is cut off."""
        if self._ending:
            return
        self._ending = True
        transport = self._transport
        if transport is None:
            return
        self.resume_reading()
        transport.close()
        self._loop.call_later(GRACE_STOP / 1_000_000, self._cut)

    async def closed(self) -> None:
        """Wait until the socket is closed; bounded by the grace that :meth:`end` gives."""
        if self._transport is not None:
            await self._gone.wait()

    def _cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _lost(self) -> None:
        if not self._ending:
            self._ending = True
            self._owner.stream_lost(self)
