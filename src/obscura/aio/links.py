"""The sockets of a node: which link is which stream, from a dial or an acceptance to the last byte.

What streams report becomes inputs of the node: bytes, ends and answers in fair turns (:mod:`.fair`), the rest at once
through the driver's ``give``. What the node wants done to a link comes back as the verbs here. A link that the node
does not know any more is simply not there.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from ..base.instant import Now
from ..base.limits import ENDING_BYTES, ENDING_LINKS, READ_BYTES, STRANGER_READ_BYTES
from ..base.names import ConnId
from ..node import Node
from ..node.effects import Dial
from ..wire.address import NetAddress
from .fair import STRANGERS, Input, Turns
from .stream import Stream, adopt_socket
from .ways import DialError, Watch, Ways

log = logging.getLogger("obscura.driver")


class Give(Protocol):
    """Gives the node an input, which concerns the link ``conn`` if one is named; ``False`` if it failed."""

    def __call__(self, call: Callable[[Now], object], conn: ConnId | None = None) -> bool:
        """See the class."""
        ...


class Links:
    """Implements :class:`~obscura.aio.stream.StreamOwner` for all streams of one node."""

    def __init__(
        self,
        node: Node,
        give: Give,
        flush: Callable[[], None],
        ways: Ways,
        clock: Callable[[], int] = time.thread_time_ns,
        tap: Callable[[ConnId, int], None] | None = None,
    ) -> None:
        self.shared_buffer = memoryview(bytearray(READ_BYTES))
        self._node = node
        self._give = give
        self._ways = ways
        self._clock = clock
        self._tap = tap
        self._turns = Turns(self._receive, give, flush, lambda turn: asyncio.get_running_loop().call_soon(turn), clock)
        self._streams: dict[ConnId, Stream] = {}
        self._opening: dict[ConnId, asyncio.Task[None] | None] = {}
        """Links without a stream yet; the task of a dial, as long as it may be cancelled."""
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._sockets: dict[Stream, None] = {}
        self._ending: dict[Stream, None] = {}
        self._all_closed = asyncio.Event()
        self._closing = False

    # -- what the node wants

    def dial(self, effect: Dial) -> None:
        """Begin to connect; the node hears of it by ``connected`` or ``dial_failed``."""
        self._opening[effect.conn] = self._spawn(self._dial(effect))

    def write(self, conn: ConnId, parts: list[bytes]) -> None:
        """Write what was gathered in one turn."""
        if (stream := self._streams.get(conn)) is not None:
            if self._tap is not None and parts:
                self._tap(conn, sum(map(len, parts)))
            stream.write(parts)
            if stream.congested:
                # It was so before; the node weighs what it does not take.
                self.stream_congested(stream)

    def mind(self, conn: ConnId, most: int) -> None:
        """Say that a link is congested at ``most`` unsent bytes."""
        if (stream := self._streams.get(conn)) is not None:
            stream.set_limit(most)

    def drop(self, conn: ConnId) -> None:
        """End a link, or a dial."""
        self._turns.close(conn)
        if (stream := self._streams.pop(conn, None)) is not None:
            self._end(stream)
        if (task := self._opening.pop(conn, None)) is not None:
            task.cancel()

    def pause(self, conn: ConnId) -> None:
        """Stop reading; what was read waits."""
        self._turns.hold(conn)

    def resume(self, conn: ConnId) -> None:
        """Go on with what was read, then read again."""
        self._turns.release(conn)

    def know(self, conn: ConnId) -> None:
        """A link's handshake is complete."""
        if (stream := self._streams.get(conn)) is not None:
            stream.read_most = READ_BYTES
        self._turns.know(conn)

    async def answer(self, conn: ConnId | None, given: Input) -> None:
        """An answer of the ledger: to a link's request in that link's turn. Returns when the node has it."""
        if conn is None or conn not in self._turns:
            self._give(given)
            return
        done = asyncio.Event()

        def give(now: Now) -> None:
            done.set()
            given(now)

        self._turns.call(conn, give)
        await done.wait()

    # -- the driver

    def accept(self, sock: socket.socket, address: NetAddress, first: bytes = b"") -> None:
        """Take an accepted socket, of which ``first`` was read. The node is asked first, so that a flood of connections
        it refuses costs no more."""
        conn: ConnId | None = None

        def ask(now: Now) -> None:
            nonlocal conn
            conn = self._node.accepted(address, now)

        began = self._clock()
        if not self._closing:
            self._give(ask)
        if conn is None:
            sock.close()
        else:
            self._opening[conn] = None
            self._spawn(self._adopt(conn, sock, first))
        self._turns.charge(STRANGERS, self._clock() - began)

    @property
    def unsent(self) -> int:
        """Bytes that wait for sockets to take them."""
        return sum(stream.unsent for stream in self._sockets)

    def begin_closing(self) -> None:
        """Accept nothing more, and let every link say goodbye at its own pace."""
        self._closing = True

    async def close(self) -> None:
        """End what the node has not ended, and wait until every socket is closed: GRACE_STOP at most."""
        self.begin_closing()
        for conn in list(self._opening):
            self.drop(conn)
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        for stream in list(self._sockets):
            stream.end()
        while self._sockets:
            self._all_closed.clear()
            await self._all_closed.wait()

    # -- what streams report

    def stream_made(self, stream: Stream) -> None:
        """See :class:`StreamOwner`."""
        self._sockets[stream] = None

    def stream_data(self, stream: Stream, data: bytes) -> None:
        """See :class:`StreamOwner`."""
        conn = stream.conn
        if conn in self._streams:
            self._turns.put(conn, data, full=len(data) >= stream.read_most)

    def stream_eof(self, stream: Stream) -> None:
        """See :class:`StreamOwner`. The node answers by a ``Drop``, after its last words."""
        conn = stream.conn
        if conn in self._streams:
            self._turns.end(conn, lambda now: self._node.disconnected(conn, now))

    def stream_congested(self, stream: Stream) -> None:
        """See :class:`StreamOwner`."""
        conn = stream.conn
        if conn in self._streams:
            self._turns.call(conn, lambda now: self._node.congested(conn, now, unsent=stream.unsent))

    def stream_drained(self, stream: Stream) -> None:
        """See :class:`StreamOwner`."""
        conn = stream.conn
        if conn in self._streams:
            self._turns.call(conn, lambda now: self._node.drained(conn, now))

    def stream_gone(self, stream: Stream) -> None:
        """See :class:`StreamOwner`."""
        self._sockets.pop(stream, None)
        self._ending.pop(stream, None)
        if not self._sockets:
            self._all_closed.set()
        conn = stream.conn
        if conn is not None and self._streams.pop(conn, None) is not None:
            self._turns.end(conn, lambda now: self._gone(conn, now))

    def _receive(self, conn: ConnId, data: bytes) -> bool:
        """Give the node bytes; whether it has more to do for the link."""
        more = False

        def receive(now: Now) -> None:
            nonlocal more
            more = self._node.receive(conn, data, now, in_turns=True)

        self._give(receive, conn)
        return more

    def _gone(self, conn: ConnId, now: Now) -> None:
        try:
            self._node.disconnected(conn, now)
        finally:
            self._turns.close(conn)

    def _end(self, stream: Stream) -> None:
        stream.end()
        if stream in self._sockets:
            self._ending[stream] = None
        while not self._closing and (
            len(self._ending) > ENDING_LINKS or sum(one.unsent for one in self._ending) > ENDING_BYTES
        ):
            oldest = next(iter(self._ending))
            del self._ending[oldest]
            oldest.cut()

    # -- tasks

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    async def _dial(self, effect: Dial) -> None:
        conn = effect.conn
        try:
            made = await self._ways.connect(effect.address, effect.timeout, apart=effect.apart)
        except Exception as error:  # pragma: border
            reason = error.reason if isinstance(error, DialError) else "connect-error"
            ours = isinstance(error, DialError) and error.ours
            if not isinstance(error, DialError):
                log.error("defect", exc_info=error, extra={"values": {"conn": conn, "text": "dialling"}})
            self._opening.pop(conn, None)
            self._give(lambda now: self._node.dial_failed(conn, reason, now, ours=ours))
            return
        self._opening[conn] = None
        await self._adopt(conn, made.sock, made.first, made.watch, dialled=True)

    async def _adopt(
        self,
        conn: ConnId,
        sock: socket.socket,
        first: bytes = b"",
        watch: Watch | None = None,
        *,
        dialled: bool = False,
    ) -> None:
        """Make a link of a connected socket, unless it is dropped meanwhile."""
        try:
            stream = await adopt_socket(self, sock, READ_BYTES if dialled else STRANGER_READ_BYTES, first, watch)
        except OSError:
            if self._still_wanted(conn):
                self._give(lambda now: self._node.disconnected(conn, now))
            return
        if not self._still_wanted(conn):
            self._end(stream)
            return
        self._streams[conn] = stream
        self._turns.open(conn, stream, dialled=dialled)
        if dialled:
            self._give(lambda now: self._node.connected(conn, now), conn)
        stream.adopt(conn)

    def _still_wanted(self, conn: ConnId) -> bool:
        """Whether a link was not dropped while it opened; it is open, or gone, from here on."""
        wanted = conn in self._opening
        self._opening.pop(conn, None)
        return wanted
