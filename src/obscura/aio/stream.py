"""One socket: bytes to the node, bytes from the node, back-pressure both ways.

Reading goes into one buffer that all links of a loop share, because the bytes are taken out before the callback
returns; an idle link holds no buffer, and one whose bytes wait for their turn holds one read. Writing is gathered: what
the node sends in one turn of the loop is one write.

Ending is the delicate part. A socket that is closed while bytes of the peer lie unread is *reset* by the system, and
the reset destroys what the peer has not read of ours. So an ending stream writes what is queued, sends its FIN, and
reads and drops what still comes until the peer ends too; one second and five megabytes are all that a peer gets for it.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol, cast

from ..base.instant import MICROSECONDS
from ..base.limits import GRACE_STOP, READ_BYTES, RECEIVE_BUFFER_BYTES, SEND_BUFFER_BYTES
from ..base.names import ConnId
from ..channel.pieces import joined
from .ways import Watch


class StreamOwner(Protocol):
    """What a stream needs of its driver."""

    shared_buffer: memoryview
    """:data:`READ_BYTES` long, one for each loop."""

    def stream_made(self, stream: Stream) -> None:
        """The stream holds a socket from now on."""
        ...

    def stream_data(self, stream: Stream, data: bytes) -> None:
        """Bytes came."""
        ...

    def stream_eof(self, stream: Stream) -> None:
        """The peer sends nothing more; it may still read. The owner answers by :meth:`Stream.end`."""
        ...

    def stream_congested(self, stream: Stream) -> None:
        """More than SEND_BUFFER_BYTES are unsent."""
        ...

    def stream_drained(self, stream: Stream) -> None:
        """Less than half of it is unsent."""
        ...

    def stream_gone(self, stream: Stream) -> None:
        """The socket is closed, by whatever cause; nothing follows. Comes twice if it was closed before adoption."""
        ...


class Stream(asyncio.BufferedProtocol):
    """A connected socket. Nothing is reported until :meth:`adopt` gives it the name that the node knows it by.

    Args:
        owner: hears of everything.
        loop: the running one.
        read_most: bytes that are read at once.
        first: what was read of it before.
        watch: told of the first bytes, and of the end.
    """

    def __init__(
        self,
        owner: StreamOwner,
        loop: asyncio.AbstractEventLoop,
        read_most: int = READ_BYTES,
        first: bytes = b"",
        watch: Watch | None = None,
    ) -> None:
        self.conn: ConnId | None = None
        self.read_most = read_most
        self._watch = watch
        self._heard = False
        self.congested = False
        """More than SEND_BUFFER_BYTES are unsent, or as :meth:`set_limit` says, and not less than half of it since."""
        self._owner = owner
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._eof = False
        self._ending = False
        self._paused = False
        self._dropped = 0
        self._early: list[bytes] = [first] if first else []
        self._cut_at: asyncio.TimerHandle | None = None

    # -- from the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ready."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=SEND_BUFFER_BYTES, low=SEND_BUFFER_BYTES // 2)
        self._owner.stream_made(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """The buffer that all links share, or its beginning."""
        del sizehint
        return self._owner.shared_buffer[: self.read_most]

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes are in the shared buffer; they are taken out before this returns."""
        if not self._heard:
            self._heard = True
            if self._watch is not None:
                self._watch.heard()
        if self._ending:
            self._dropped += nbytes
            if self._dropped > RECEIVE_BUFFER_BYTES:
                self._cut()
            return
        data = bytes(self._owner.shared_buffer[:nbytes])
        if self.conn is None:
            # Security: what a stranger pours in before the node knows of it is one buffer, not what the loop reads on.
            self._early.append(data)
            self.pause_reading()
        else:
            self._owner.stream_data(self, data)

    def eof_received(self) -> bool:
        """The peer has ended its side. Answers to what it asked before still go out, until the owner ends ours."""
        self._eof = True
        if self._ending:
            return False
        if self.conn is not None:
            self._owner.stream_eof(self)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whatever the cause."""
        del exc
        self._transport = None
        self._ending = True
        if self._cut_at is not None:
            self._cut_at.cancel()
        if self._watch is not None:
            self._watch.ended()
        self._owner.stream_gone(self)

    def pause_writing(self) -> None:
        """The peer does not take what is sent."""
        self.congested = True
        if not self._ending:
            self._owner.stream_congested(self)

    def resume_writing(self) -> None:
        """It has taken most of it."""
        self.congested = False
        if not self._ending:
            self._owner.stream_drained(self)

    # -- from the driver

    @property
    def unsent(self) -> int:
        """Bytes that wait for the socket to take them."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def set_limit(self, most: int) -> None:
        """Call it congested at ``most`` unsent bytes, and no longer at half of them."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.set_write_buffer_limits(high=most, low=most // 2)

    def adopt(self, conn: ConnId) -> None:
        """Name the stream. What came between connecting and now is handed on: bytes, the peer's end, the socket's."""
        self.conn = conn
        early, self._early = self._early, []
        self.resume_reading()
        for data in early:
            self._owner.stream_data(self, data)
        if self._transport is None:
            self._owner.stream_gone(self)
        elif self._eof:
            self._owner.stream_eof(self)

    def write(self, parts: list[bytes]) -> None:
        """Write what was gathered in this turn."""
        transport = self._transport
        if transport is not None and not self._ending and not transport.is_closing():
            for piece in joined(parts):
                transport.write(piece)

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
        """Write what is queued, then close, within GRACE_STOP; see the head of this file."""
        transport = self._transport
        if self._ending or transport is None or transport.is_closing():
            return
        self._ending = True
        self._limit()
        if self._eof:
            transport.close()
            return
        self.resume_reading()
        try:
            transport.write_eof()
        except OSError:
            # The peer's reset has come, and the loop has not looked yet.
            transport.abort()

    def cut(self) -> None:
        """Close now; what is queued is lost."""
        self._ending = True
        self._cut()

    def _limit(self) -> None:
        if self._cut_at is None:
            self._cut_at = self._loop.call_later(GRACE_STOP / MICROSECONDS, self._cut)

    def _cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()


async def adopt_socket(
    owner: StreamOwner,
    sock: socket.socket,
    read_most: int = READ_BYTES,
    first: bytes = b"",
    watch: Watch | None = None,
) -> Stream:
    """A stream for a connected, non-blocking socket, which belongs to the stream from here on.

    Args:
        owner: of the stream.
        sock: the socket.
        read_most: bytes that are read at once.
        first: what was read of it before.
        watch: told of the first bytes, and of the end.

    Do not cancel this: uvloop closes a transport whose making is cancelled without telling its protocol.

    Raises:
        OSError: the connection has gone already; the socket is closed.
    """
    loop = asyncio.get_running_loop()
    try:
        # A lone small message must not wait for the answer to the one before (Nagle's algorithm).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _, stream = await loop.connect_accepted_socket(lambda: Stream(owner, loop, read_most, first, watch), sock)
    except OSError:
        sock.close()
        if watch is not None:
            watch.ended()
        raise
    return stream
