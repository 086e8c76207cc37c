"""Services that run beside the node: daemons of other networks, and sessions with them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from ..base.errors import LocalError
from ..wire.address import NetAddress

log = logging.getLogger("obscura.driver")


class Host(Protocol):
    """What a service needs of the node's driver."""

    def accept(self, sock: socket.socket, address: NetAddress, first: bytes = b"") -> None:
        """Somebody has come."""
        ...

    def advertise(self, address: NetAddress) -> None:
        """Others reach us there."""
        ...

    def withdraw(self, address: NetAddress) -> None:
        """They do not any more."""
        ...


class KeyKeeper(Protocol):
    """Keeps the key of our service in a network, as its daemon writes it."""

    def load(self) -> tuple[str, str] | None:
        """The key that was kept, if one was, and the host that it is."""
        ...

    def keep(self, key: str, host: str) -> None:
        """Keep it, durably."""
        ...


class Service(Protocol):
    """Something that runs until it is cancelled."""

    async def run(self) -> None:
        """Run."""
        ...


@contextlib.asynccontextmanager
async def running(services: Sequence[Service]) -> AsyncIterator[None]:
    """Run services beside the body, and end them, the last one first. One that fails is logged, and the node goes on
    without it."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(service.run()) for service in services]
    for task in tasks:
        task.add_done_callback(_ended)
    try:
        yield
    finally:
        for task in reversed(tasks):
            task.cancel()
            await asyncio.wait([task])


def _ended(task: asyncio.Task[None]) -> None:
    if task.cancelled() or (error := task.exception()) is None:
        return
    if isinstance(error, LocalError):
        log.error("service-ended", extra={"values": {"text": str(error)}})
    else:
        text = "a defect of Obscura: please report it with this trace"
        log.error("defect", exc_info=error, extra={"values": {"text": text}})
