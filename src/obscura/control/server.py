"""The node's end of the control socket.

Only the operator's own user can open it (mode 0600, in a directory of mode 0700), so there is no other authentication.
A bad request is answered by an error and harms nothing; a client that says nothing is dropped after a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..base.errors import LocalError, StoreError
from ..base.instant import MICROSECONDS
from ..base.limits import CONTROL_CLIENTS, CONTROL_IDLE, CONTROL_LINE_BYTES
from .wire import socket_path

Answer = Callable[[str, dict[str, Any]], Awaitable[Any]]


class RequestError(Exception):
    """A request that cannot be carried out; ``code`` is stable, ``text`` is for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class ControlServer:
    """Listens while the ``async with`` lasts. The caller holds the datadir's lock, so a socket file that is there is a
    dead node's and is removed."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self._path = path
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._inode = -1

    async def __aenter__(self) -> Self:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.unlink(missing_ok=True)
            # The mask closes the moment between making the socket and setting its mode.
            mask = os.umask(0o177)
            try:
                with socket_path(self._path) as where:
                    sock.bind(where)
            finally:
                os.umask(mask)
            self._inode = self._path.stat().st_ino
            sock.listen(16)
            sock.setblocking(False)
        except OSError as error:
            sock.close()
            msg = f"the control socket {self._path} cannot be made: {error.strerror}"
            raise StoreError(msg) from error
        self._server = await asyncio.start_unix_server(self._accept, sock=sock, limit=CONTROL_LINE_BYTES)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None, "entered before it is left"
        self._server.close()
        # An answer that is under way (to "stop", for one) is finished; who only listens is not waited for.
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=0.2)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        # The directory may have been removed meanwhile, and another node's may stand in its place.
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= CONTROL_CLIENTS:
            writer.write(b'{"error": {"code": "busy", "text": "too many clients are connected"}}\n')
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(CONTROL_IDLE / MICROSECONDS):
                    line = await reader.readline()
                if not line:
                    break
                writer.write(json.dumps(await self._one(line)).encode() + b"\n")
                await writer.drain()
        except ValueError:
            # Longer than a line may be: there is no telling where the next one begins.
            writer.write(b'{"error": {"code": "too-long", "text": "the request is too long"}}\n')
        except (TimeoutError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _one(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            method, values = request["method"], request.get("values", {})
            if not isinstance(method, str) or not isinstance(values, dict):
                raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {"error": {"code": "bad-request", "text": 'one line of JSON: {"method": "status"}'}}
        try:
            return {"result": await self._answer(method, values)}
        except RequestError as error:
            return {"error": {"code": error.code, "text": error.text}}
        except LocalError as error:
            # The node stops, or its disk fails, while it works on the request.
            return {"error": {"code": "failed", "text": str(error)}}
