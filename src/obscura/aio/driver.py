"""The node on an event loop: sockets, one timer, the ledger's worker.

Every input is followed by one flush at the end of the loop's turn: it drains the node's effects until there are none,
gathers what is sent to each link into one write, and sets the timer. So a burst of messages costs one write a link, and
a lone message goes out in the same turn.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from ..base.errors import BugError, LocalError
from ..base.instant import MICROSECONDS, Now
from ..base.names import ConnId
from ..node import Node, Snapshot
from ..node.effects import (
    Ask,
    BlockSubmitted,
    Dial,
    Drop,
    Effect,
    Event,
    Pause,
    Resume,
    SaveAddresses,
    Send,
    Tell,
)
from ..peers.record import AddressRecord
from ..wire.address import AddressError, NetAddress, address_from_ip
from .clock import read_clock
from .dial import DialError, dial
from .listen import Acceptor, serve
from .stream import RECEIVE_BUFFER, Stream
from .worker import LedgerWorker

log = logging.getLogger("obscura.driver")

MakeNode = Callable[[Now], Node]
_FAILURES_MAX = 10  # defects in a row after which going on would only hide them


class Driver(Acceptor):
    """Runs one node.

    Args:
        make_node: builds the node; called once, on the loop, after the ledger was restored.
        worker: the ledger's threads; closed when the driver ends.
        listener: a bound socket, or ``None``.
        source_host: the local address that dials come from, where it matters (loopback networks).
        save: takes the addresses to be stored; runs on a thread.
        listeners: called with every event that the node tells.
    """

    def __init__(
        self,
        make_node: MakeNode,
        worker: LedgerWorker,
        *,
        listener: socket.socket | None = None,
        source_host: str | None = None,
        save: Callable[[tuple[AddressRecord, ...]], None] | None = None,
        listeners: tuple[Callable[[Event], None], ...] = (),
    ) -> None:
        self.shared_buffer = memoryview(bytearray(RECEIVE_BUFFER))
        self._node = make_node(read_clock())
        self._worker = worker
        self._listener = listener
        self._source_host = source_host
        self._save = save
        self._listeners = listeners
        self._streams: dict[ConnId, Stream] = {}
        self._dials: dict[ConnId, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._submitted: dict[int, asyncio.Future[BlockSubmitted]] = {}
        self._flush_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._failures = 0
        self._stop = asyncio.Event()
        self._error: BaseException | None = None
        self._saving: asyncio.Task[None] | None = None

    # -- the program's side

    async def run(self) -> None:
        """Run until :meth:`request_stop`. Everything that was opened is closed when this returns.

        Raises:
            LocalError: the ledger's disk failed.
            BugError: the node failed again and again.
        """
        server = None if self._listener is None else await serve(self, self._listener)
        try:
            self._input(self._node.start)
            await self._stop.wait()
        finally:
            if server is not None:
                server.close()
            await self._shut_down()
        if self._error is not None:
            raise self._error

    def request_stop(self) -> None:
        """Have :meth:`run` end."""
        self._stop.set()

    def snapshot(self) -> Snapshot:
        """A picture of the node."""
        return self._node.snapshot(read_clock())

    def add_peer(self, address: NetAddress) -> None:
        """Name a peer while running."""
        self._input(lambda now: self._node.add_peer(address, now))

    async def submit_block(self, block: bytes) -> BlockSubmitted:
        """Hand in a block of our own and wait for the verdict."""
        ticket = self._node.submit_block(block, read_clock())
        future: asyncio.Future[BlockSubmitted] = asyncio.get_running_loop().create_future()
        self._submitted[ticket] = future
        self._schedule_flush()
        return await future

    # -- inputs

    def _input(self, call: Callable[[Now], object], conn: ConnId | None = None) -> None:
        """Give the node an input. An exception out of it is a defect of ours: it costs the link, not the node."""
        try:
            call(read_clock())
            self._failures = 0
        except Exception as error:  # noqa: BLE001  # pragma: border
            self._defect(error, conn)
        self._schedule_flush()

    def _defect(self, error: Exception, conn: ConnId | None) -> None:
        self._failures += 1
        log.error("defect in the node, please report it", exc_info=error, extra={"conn": conn})
        if self._failures >= _FAILURES_MAX:
            failure = BugError(f"the node failed {self._failures} times in a row: {error!r}")
            failure.__cause__ = error
            self._fail(failure)
        elif conn is not None and (stream := self._streams.get(conn)) is not None:
            stream.end()
            self._gone(conn)

    def _gone(self, conn: ConnId) -> None:
        if self._streams.pop(conn, None) is not None:
            self._input(lambda now: self._node.disconnected(conn, now))

    def stream_accepted(self, stream: Stream, transport: asyncio.BaseTransport) -> None:
        """See :class:`Acceptor`."""
        peer = transport.get_extra_info("peername")
        try:
            address = address_from_ip(peer[0], peer[1])
        except (AddressError, TypeError, IndexError):
            # The peer has gone before it could be asked who it is.
            stream.end()
            return
        conn: ConnId | None = None

        def accept(now: Now) -> None:
            nonlocal conn
            conn = self._node.accepted(address, now)

        self._input(accept)
        if conn is None:
            stream.end()
            return
        self._streams[conn] = stream
        stream.adopt(conn)

    def stream_data(self, stream: Stream, data: bytes) -> None:
        """See :class:`StreamOwner`."""
        conn = stream.conn
        if conn is not None:
            self._input(lambda now: self._node.receive(conn, data, now), conn)

    def stream_lost(self, stream: Stream) -> None:
        """See :class:`StreamOwner`."""
        if stream.conn is not None:
            self._gone(stream.conn)

    def stream_congested(self, stream: Stream) -> None:
        """See :class:`StreamOwner`."""
        conn = stream.conn
        if conn is not None:
            self._input(lambda now: self._node.congested(conn, now), conn)

    def stream_drained(self, stream: Stream) -> None:
        """See :class:`StreamOwner`."""
        conn = stream.conn
        if conn is not None:
            self._input(lambda now: self._node.drained(conn, now), conn)

    def _on_timer(self) -> None:
        self._timer = None
        self._input(self._node.handle_deadline)

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
                    self._write(effect.conn, writes)
                self._carry_out(effect)
        for conn in list(writes):
            self._write(conn, writes)
        self._set_timer()

    def _write(self, conn: ConnId, writes: dict[ConnId, list[bytes]]) -> None:
        parts = writes.pop(conn, None)
        stream = self._streams.get(conn)
        if parts is not None and stream is not None:
            stream.write(parts)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Dial():
                self._dials[effect.conn] = self._spawn(self._dial(effect))
            case Drop(conn):
                stream = self._streams.pop(conn, None)
                if stream is not None:
                    stream.end()
                task = self._dials.pop(conn, None)
                if task is not None:
                    task.cancel()
            case Pause(conn):
                if (stream := self._streams.get(conn)) is not None:
                    stream.pause_reading()
            case Resume(conn):
                if (stream := self._streams.get(conn)) is not None:
                    stream.resume_reading()
            case Ask():
                self._spawn(self._ask(effect))
            case SaveAddresses(records):
                self._saving = self._spawn(self._save_addresses(records, self._saving))
            case Tell(event):
                self._tell(event)
            case Send():
                raise BugError("sends are gathered before")

    def _tell(self, event: Event) -> None:
        if isinstance(event, BlockSubmitted):
            future = self._submitted.pop(event.ticket, None)
            if future is not None and not future.done():
                future.set_result(event)
        for listener in self._listeners:
            listener(event)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._node.next_deadline()
        if deadline is not None and self._error is None:
            delay = max(0, deadline - read_clock().mono) / MICROSECONDS
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    # -- tasks

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _dial(self, effect: Dial) -> None:
        conn = effect.conn
        try:
            stream = await dial(self, effect.address, effect.timeout, self._source_host)
        except DialError as error:
            self._dials.pop(conn, None)
            reason = error.reason
            self._input(lambda now: self._node.dial_failed(conn, reason, now))
            return
        self._dials.pop(conn, None)
        self._streams[conn] = stream
        self._input(lambda now: self._node.connected(conn, now), conn)
        stream.adopt(conn)

    async def _ask(self, effect: Ask) -> None:
        try:
            answer = await self._worker.answer(effect.request)
        except Exception as error:  # noqa: BLE001  # pragma: border
            self._fail(error if isinstance(error, LocalError) else BugError(f"the ledger failed: {error!r}"))
            return
        self._input(lambda now: self._node.answered(effect.ticket, answer, now))

    async def _save_addresses(self, records: tuple[AddressRecord, ...], before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        if self._save is None:
            return
        try:
            await asyncio.to_thread(self._save, records)
        except LocalError as error:
            # Addresses can be learnt again; a node that relays blocks is worth more than its address book.
            log.error("addresses are not saved: %s", error)

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
        self._stop.set()

    # -- the end

    async def _shut_down(self) -> None:
        """Say goodbye, wait for what is running (bounded: a ledger batch is small), close the ledger."""
        streams = list(self._streams.values())
        self._input(self._node.stop)
        self._flush()
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._dials.values()):
            task.cancel()
        while self._tasks:
            await asyncio.wait(list(self._tasks))
        for future in self._submitted.values():
            future.cancel()
        for stream in streams:
            await stream.closed()
        await self._worker.close()
