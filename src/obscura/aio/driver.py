"""The node on an event loop: sockets, one timer, the ledger's worker.

Every input is followed by one flush at the end of the loop's turn: it drains the node's effects until there are none,
gathers what is sent to each link into one write, and sets the timer. So a burst of messages costs one write a link, and
a lone message goes out in the same turn.

An exception out of the node is a defect of ours. It is logged with its trace; if the input was a link's, that link is
dropped, and the node goes on: a peer that finds a defect must not be able to stop nodes. Only when the timer's input
fails again and again does the driver give up, because nothing else would move the node then.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final

from ..base.errors import BugError, LocalError
from ..base.instant import Instant, Now
from ..base.names import ConnId
from ..node import Node, Snapshot
from ..node.effects import Ask, BlockSubmitted, Dial, Drop, Effect, Event, Pause, Resume, SaveAddresses, Send, Tell
from ..wire.address import NetAddress, address_from_ip
from .clock import read_clock
from .dial import DialError, dial, undelay
from .listen import Listener
from .saver import AddressSaver, Save
from .stream import READ_BYTES, Stream
from .worker import LedgerWorker, WorkerClosed

log = logging.getLogger("obscura.driver")

MakeNode = Callable[[Now], Node]
FAILURES_MAX: Final = 10  # timer inputs that fail in a row: going on would only hide the defect
ENDING_MAX: Final = 64  # sockets that may be saying goodbye at once; more is a flood of links that we drop
_STOPPING: Final = "the node is stopping"


class Driver:
    """Runs one node.

    Args:
        make_node: builds the node; called once, here. The ledger was restored before.
        worker: the ledger's threads; closed when the driver ends.
        listener: a bound socket, or ``None``; closed when the driver ends.
        source_host: the local address that dials come from, where it matters (loopback networks).
        save: takes the addresses to be stored; runs on a thread, one call at a time, in order.
        listeners: called on the loop with every event that the node tells. What they raise is logged.
    """

    def __init__(
        self,
        make_node: MakeNode,
        worker: LedgerWorker,
        *,
        listener: socket.socket | None = None,
        source_host: str | None = None,
        save: Save | None = None,
        listeners: tuple[Callable[[Event], None], ...] = (),
    ) -> None:
        self.shared_buffer = memoryview(bytearray(READ_BYTES))
        self._node = make_node(read_clock())
        self._worker = worker
        self._listening = listener
        self._source_host = source_host
        self._saver = None if save is None else AddressSaver(save)
        self._listeners = listeners
        self._streams: dict[ConnId, Stream] = {}
        self._opening: dict[ConnId, asyncio.Task[None]] = {}
        self._sockets: dict[Stream, None] = {}
        self._ending: dict[Stream, None] = {}
        self._sockets_closed = asyncio.Event()
        self._asks: dict[asyncio.Task[None], None] = {}
        self._submitted: dict[int, asyncio.Future[BlockSubmitted]] = {}
        self._flush_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = Instant(0)
        self._timer_failures = 0
        self._stop = asyncio.Event()
        self._finished = asyncio.Event()
        self._stopping = False
        self._error: BaseException | None = None

    # -- the program's side

    async def run(self) -> None:
        """Run until :meth:`request_stop`. Everything that was opened is closed when this returns. Call it once.

        Raises:
            LocalError: the ledger's disk failed.
            BugError: the node, or the ledger, failed in a way that nothing can go on from.
        """
        acceptor = None
        try:
            if self._listening is not None:
                acceptor = Listener(self._listening, self._on_socket)
            self._timer_input(self._node.start)
            await self._stop.wait()
        finally:
            if acceptor is not None:
                acceptor.close()
            await self._shut_down()
            self._finished.set()
        if self._error is not None:
            raise self._error

    def request_stop(self) -> None:
        """Have :meth:`run` end."""
        self._stop.set()

    async def stop(self) -> None:
        """Have :meth:`run` end, and wait for it: a second for the links, and as long as one ledger batch takes."""
        self.request_stop()
        await self._finished.wait()

    def snapshot(self) -> Snapshot:
        """A picture of the node."""
        return self._node.snapshot(read_clock())

    @property
    def unsent(self) -> int:
        """Bytes that wait for sockets to take them, over all links."""
        return sum(stream.unsent for stream in self._sockets)

    def add_peer(self, address: NetAddress) -> None:
        """Name a peer while running."""
        self._input(lambda now: self._node.add_peer(address, now))

    async def submit_block(self, block: bytes) -> BlockSubmitted:
        """Hand in a block of our own and wait for the verdict.

        Raises:
            LocalError: the node stops before there is one.
        """
        if self._stopping:
            raise LocalError(_STOPPING)
        future: asyncio.Future[BlockSubmitted] = asyncio.get_running_loop().create_future()
        self._submitted[self._node.submit_block(block, read_clock())] = future
        self._schedule_flush()
        return await future

    # -- inputs

    def _input(self, call: Callable[[Now], object], conn: ConnId | None = None) -> bool:
        """Give the node an input; ``False`` if it failed. See the head of this file."""
        try:
            call(read_clock())
        except Exception as error:  # noqa: BLE001  # pragma: border
            self._log_defect(error, conn)
            if conn is not None and (stream := self._streams.pop(conn, None)) is not None:
                self._end(stream)
                self._input(lambda now: self._node.disconnected(conn, now))
            return False
        finally:
            self._schedule_flush()
        return True

    def _timer_input(self, call: Callable[[Now], object]) -> None:
        if self._input(call):
            self._timer_failures = 0
            return
        self._timer_failures += 1
        if self._timer_failures >= FAILURES_MAX:
            self._fail(BugError(f"the node failed {self._timer_failures} times in a row; the log has the traces"))

    def _log_defect(self, error: Exception, conn: ConnId | None) -> None:
        text = "a defect of Obscura: please report it with this trace"
        log.error("defect", exc_info=error, extra={"values": {"conn": conn or "none", "text": text}})

    def _on_socket(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        """A connection was accepted. The node is asked first, so that a flood of refused ones costs no more."""
        conn: ConnId | None = None

        def accept(now: Now) -> None:
            nonlocal conn
            conn = self._node.accepted(address_from_ip(*peer), now)

        if not self._stopping:
            self._input(accept)
        if conn is None:
            sock.close()
            return
        task = self._open(conn, self._adopt(conn, sock))
        # A task that is cancelled before its first step never sees its socket.
        task.add_done_callback(lambda done: sock.close() if done.cancelled() else None)

    def stream_made(self, stream: Stream) -> None:
        """See :class:`StreamOwner`."""
        self._sockets[stream] = None

    def stream_data(self, stream: Stream, data: bytes) -> None:
        """See :class:`StreamOwner`."""
        conn = stream.conn
        if conn in self._streams:
            self._input(lambda now: self._node.receive(conn, data, now), conn)

    def stream_eof(self, stream: Stream) -> None:
        """See :class:`StreamOwner`. The node answers by a ``Drop``, after its last words."""
        conn = stream.conn
        if conn in self._streams:
            self._input(lambda now: self._node.disconnected(conn, now), conn)

    def stream_congested(self, stream: Stream) -> None:
        """See :class:`StreamOwner`."""
        conn = stream.conn
        if conn in self._streams:
            self._input(lambda now: self._node.congested(conn, now), conn)

    def stream_drained(self, stream: Stream) -> None:
        """See :class:`StreamOwner`."""
        conn = stream.conn
        if conn in self._streams:
            self._input(lambda now: self._node.drained(conn, now), conn)

    def stream_gone(self, stream: Stream) -> None:
        """See :class:`StreamOwner`."""
        self._sockets.pop(stream, None)
        self._ending.pop(stream, None)
        if not self._sockets:
            self._sockets_closed.set()
        conn = stream.conn
        if conn is not None and self._streams.pop(conn, None) is not None:
            self._input(lambda now: self._node.disconnected(conn, now))

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_input(self._node.handle_deadline)

    # -- effects

    def _schedule_flush(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        writes: dict[ConnId, list[bytes]] = {}
        while effects := self._node.take_effects():
            for effect in effects:
                if isinstance(effect, Send):
                    writes.setdefault(effect.conn, []).append(effect.data)
                    continue
                if isinstance(effect, Drop):
                    self._write(effect.conn, writes.pop(effect.conn, []))
                self._carry_out(effect)
        for conn, parts in writes.items():
            self._write(conn, parts)
        self._set_timer()

    def _write(self, conn: ConnId, parts: list[bytes]) -> None:
        stream = self._streams.get(conn)
        if stream is not None:
            stream.write(parts)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Dial():
                self._open(effect.conn, self._dial(effect))
            case Drop(conn):
                if (stream := self._streams.pop(conn, None)) is not None:
                    self._end(stream)
                if (task := self._opening.pop(conn, None)) is not None:
                    task.cancel()
            case Pause(conn):
                if (stream := self._streams.get(conn)) is not None:
                    stream.pause_reading()
            case Resume(conn):
                if (stream := self._streams.get(conn)) is not None:
                    stream.resume_reading()
            case Ask():
                if not self._stopping:
                    task = asyncio.get_running_loop().create_task(self._ask(effect))
                    self._asks[task] = None
                    task.add_done_callback(self._asks.pop)
            case SaveAddresses(records):
                if self._saver is not None:
                    self._saver.put(records)
            case Tell(event):
                self._tell(event)
            case Send():
                raise BugError("sends are gathered before")

    def _end(self, stream: Stream) -> None:
        stream.end()
        if stream in self._sockets:
            self._ending[stream] = None
        if len(self._ending) > ENDING_MAX and not self._stopping:
            oldest = next(iter(self._ending))
            del self._ending[oldest]
            oldest.cut()

    def _tell(self, event: Event) -> None:
        if isinstance(event, BlockSubmitted):
            future = self._submitted.pop(event.ticket, None)
            if future is not None and not future.done():
                future.set_result(event)
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as error:  # pragma: border
                values = {"event": type(event).__name__}
                log.error("listener-failed", exc_info=error, extra={"values": values})

    def _set_timer(self) -> None:
        deadline = None if self._stopping else self._node.next_deadline()
        if self._timer is not None:
            if deadline == self._timer_at:
                return
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._timer_at = deadline
            # Whole milliseconds, rounded up: uvloop's timers know no finer step, and one that fires early is wasted.
            wait_ms = -(-max(0, deadline - read_clock().mono) // 1_000)
            self._timer = asyncio.get_running_loop().call_later(wait_ms / 1_000, self._on_timer)

    # -- tasks

    def _open(self, conn: ConnId, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._opening[conn] = task
        return task

    async def _dial(self, effect: Dial) -> None:
        conn = effect.conn
        try:
            stream = await dial(self, effect.address, effect.timeout, self._source_host)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  # pragma: border
            reason = error.reason if isinstance(error, DialError) else "connect-error"
            if not isinstance(error, DialError):
                self._log_defect(error, None)
            self._opening.pop(conn, None)
            self._input(lambda now: self._node.dial_failed(conn, reason, now))
            return
        self._opening.pop(conn, None)
        self._streams[conn] = stream
        self._input(lambda now: self._node.connected(conn, now), conn)
        stream.adopt(conn)

    async def _adopt(self, conn: ConnId, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            undelay(sock)
            _, stream = await loop.connect_accepted_socket(lambda: Stream(self, loop), sock)
        except OSError:
            # The peer has gone already.
            sock.close()
            self._opening.pop(conn, None)
            self._input(lambda now: self._node.disconnected(conn, now))
            return
        self._opening.pop(conn, None)
        self._streams[conn] = stream
        stream.adopt(conn)

    async def _ask(self, effect: Ask) -> None:
        try:
            answer = await self._worker.answer(effect.request)
        except WorkerClosed:
            return
        except Exception as error:  # noqa: BLE001  # pragma: border
            if isinstance(error, LocalError):
                self._fail(error)
            else:
                failure = BugError(f"the ledger failed: {error!r}")
                failure.__cause__ = error
                self._fail(failure)
            return
        self._input(lambda now: self._node.answered(effect.ticket, answer, now))

    def _fail(self, error: BaseException) -> None:
        """Stop, and have :meth:`run` raise ``error``. The first one counts."""
        if self._error is None:
            self._error = error
        self._stop.set()

    # -- the end

    async def _shut_down(self) -> None:
        """Say goodbye, finish what the ledger is doing, close it. Bounded: links get GRACE_STOP, a batch is small."""
        self._stopping = True
        self._worker.refuse()
        self._input(self._node.stop)
        # The node's last words: its Drops end the streams, its SaveAddresses goes to the saver.
        self._flush()
        for task in self._opening.values():
            task.cancel()
        for stream in list(self._sockets):
            stream.end()
        waiting = [*self._opening.values(), *self._asks]
        if waiting:
            await asyncio.wait(waiting)
        # The batch that was running has brought its verdicts; what was not begun has none.
        self._flush()
        for future in self._submitted.values():
            if not future.done():
                future.set_exception(LocalError(_STOPPING))
        while self._sockets:
            self._sockets_closed.clear()
            await self._sockets_closed.wait()
        if self._saver is not None:
            await self._saver.finish()
        await self._worker.close()
