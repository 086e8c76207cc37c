"""Opening connections. Names are never resolved: DNS would tell others whom we dial."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

from ..base.instant import MICROSECONDS, Duration
from ..wire.address import NetAddress, Network
from .stream import Stream, StreamOwner

FAMILIES: Final = {Network.IPV4: socket.AF_INET, Network.IPV6: socket.AF_INET6}
"""Networks that plain sockets reach."""


class DialError(Exception):
    """A dial came to nothing; ``reason`` is a stable name that ``Node.dial_failed`` takes."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def dial(owner: StreamOwner, address: NetAddress, timeout: Duration, source_host: str | None) -> Stream:
    """Connect within ``timeout``.

    Args:
        owner: the new stream's.
        address: where to.
        timeout: in microseconds, for the whole of it.
        source_host: the local IP address to connect from, where it is of the same family. On loopback it makes a node
            appear from the address at which it listens.

    Raises:
        DialError: ``unreachable-network``, ``connect-timeout``, ``connect-refused`` or ``connect-error``.
    """
    family = FAMILIES.get(address.network)
    if family is None:
        raise DialError("unreachable-network")
    try:
        async with asyncio.timeout(timeout / MICROSECONDS):
            return await _connect(owner, family, address, source_host)
    except TimeoutError:
        raise DialError("connect-timeout") from None
    except ConnectionRefusedError:
        raise DialError("connect-refused") from None
    except OSError as error:
        raise DialError("connect-error") from error


async def _connect(
    owner: StreamOwner, family: socket.AddressFamily, address: NetAddress, source_host: str | None
) -> Stream:
    loop = asyncio.get_running_loop()
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        undelay(sock)
        if source_host is not None and (":" in source_host) == (family == socket.AF_INET6):
            # An address that this machine has lost is no reason not to dial.
            with contextlib.suppress(OSError):
                sock.bind((source_host, 0))
        await loop.sock_connect(sock, (address.host(), address.port))
        _, stream = await loop.create_connection(lambda: Stream(owner, loop), sock=sock)
    except BaseException:
        sock.close()
        raise
    return stream


def undelay(sock: socket.socket) -> None:
    """A lone small message must not wait for the answer to the one before (Nagle's algorithm)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
