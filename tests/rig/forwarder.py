"""Forwarders of stream connections that a test can open, shut and cut, and the threads that they live in."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

Endpoint: TypeAlias = tuple[str, int] | Path
"""IPv4 address and port, or the path of a Unix socket."""
_PIECE_BYTES = 65_536

_T = TypeVar("_T")


class LoopThread:
    """A thread with an event loop for all that is to be done in there.

    Args:
        name: of the thread.
        first: called in there before all else; what it raises is raised here.
    """

    def __init__(self, name: str, first: Callable[[], None] = lambda: None) -> None:
        self._first = first
        self._began: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()
        try:
            self._loop = self._began.result()
        except BaseException:
            self._thread.join()
            raise

    def _live(self) -> None:
        try:
            self._first()
            loop = asyncio.new_event_loop()
        except BaseException as fault:
            self._began.set_exception(fault)
            return
        self._began.set_result(loop)
        try:
            loop.run_forever()
        finally:
            loop.close()

    def run(self, what: Coroutine[Any, Any, _T]) -> _T:
        """Run it in there; what it gives."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    def call(self, what: Callable[[], _T]) -> _T:
        """Call it in there; what it gives. What it starts is a child of that thread."""

        async def called() -> _T:
            return what()

        return self.run(called())

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class Forwarder:
    """Brings an endpoint that the thread reaches to where it is made: to a port of 127.0.0.1, or to a Unix socket.

    A port stays reserved while it is not open: who connects then is refused, as by a daemon that does not run.

    Args:
        thread: connects to the endpoint, and carries all bytes.
        upstream: the endpoint.
        at: where to listen; port 0 is one that is free.
    """

    def __init__(self, thread: LoopThread, upstream: Endpoint, at: Endpoint = ("127.0.0.1", 0)) -> None:
        self._inside = thread
        self._upstream = upstream
        self._listener: socket.socket | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._reserved: socket.socket | None = None
        self._at = at
        if not isinstance(at, Path):
            self._reserved = self._bound()
            self._at = self._reserved.getsockname()

    @property
    def port(self) -> int:
        """Of 127.0.0.1."""
        assert not isinstance(self._at, Path), "a Unix socket has no port"
        return self._at[1]

    def _bound(self) -> socket.socket:
        """A socket of the caller's network namespace: it stays where it was made, whoever uses it."""
        made = _socket(self._at)
        try:
            if isinstance(self._at, Path):
                self._at.unlink(missing_ok=True)
            else:
                # So that the one that reserves the port and the one that listens can both have it.
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(_name(self._at))
        except BaseException:
            made.close()
            raise
        return made

    def open(self) -> None:
        """Let connections in."""
        assert self._listener is None, "it is open"
        self._listener = listener = self._bound()
        listener.setblocking(False)
        listener.listen(128)
        self._inside.call(lambda: asyncio.get_running_loop().add_reader(listener, self._accept, listener))

    def shut(self) -> None:
        """Let no more connections in; those that are there stay."""
        listener, self._listener = self._listener, None
        if listener is not None:
            self._inside.call(lambda: asyncio.get_running_loop().remove_reader(listener))
            listener.close()

    def drop(self) -> int:
        """Cut all connections; how many there were."""
        return self._inside.run(self._drop())

    async def _drop(self) -> int:
        await asyncio.sleep(0.02)  # who has connected just now is let in first
        cut = set(self._connections)
        for one in cut:
            one.cancel()
        if cut:
            await asyncio.wait(cut)
        return len(cut)

    def close(self) -> None:
        """End all of it."""
        self.shut()
        self.drop()
        if self._reserved is not None:
            self._reserved.close()
        if isinstance(self._at, Path):
            self._at.unlink(missing_ok=True)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # it has gone away again
        task = asyncio.get_running_loop().create_task(self._forward(connection))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        task.add_done_callback(lambda _: connection.close())

    async def _forward(self, outside: socket.socket) -> None:
        with _socket(self._upstream) as inside:
            for one in (outside, inside):
                one.setblocking(False)
                if one.family == socket.AF_INET:
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                await asyncio.get_running_loop().sock_connect(inside, _name(self._upstream))
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._carry(outside, inside))
                    both.create_task(self._carry(inside, outside))
            except* OSError:
                pass  # one end has gone away; then the other one has to

    @staticmethod
    async def _carry(source: socket.socket, sink: socket.socket) -> None:
        """Carry bytes until the end, and carry the end; the other way stays as it is."""
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(source, _PIECE_BYTES):
            await loop.sock_sendall(sink, data)
        sink.shutdown(socket.SHUT_WR)


def _socket(of: Endpoint) -> socket.socket:
    return socket.socket(socket.AF_UNIX if isinstance(of, Path) else socket.AF_INET)


def _name(of: Endpoint) -> str | tuple[str, int]:
    """As sockets take it."""
    return str(of) if isinstance(of, Path) else of
