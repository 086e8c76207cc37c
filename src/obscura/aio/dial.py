"""Opening connections. Names are never resolved: DNS would tell others whom we dial."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

from ..base.instant import MICROSECONDS, Duration
from ..wire.address import NetAddress, Network

FAMILIES: Final = {Network.IPV4: socket.AF_INET, Network.IPV6: socket.AF_INET6}
"""Networks that plain sockets reach."""


class DialError(Exception):
    """A dial came to nothing; ``reason`` is a stable name that ``Node.dial_failed`` takes."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def connect(address: NetAddress, timeout: Duration, source_host: str | None) -> socket.socket:
    """A connected, non-blocking socket, which the caller owns. May be cancelled.

    Args:
        address: where to.
        timeout: in microseconds.
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
            return await _connect(family, address, source_host)
    except TimeoutError:
        raise DialError("connect-timeout") from None
    except ConnectionRefusedError:
        raise DialError("connect-refused") from None
    except OSError as error:
        raise DialError("connect-error") from error


async def _connect(family: socket.AddressFamily, address: NetAddress, source_host: str | None) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if source_host is not None and (":" in source_host) == (family == socket.AF_INET6):
            # An address that this machine has lost is no reason not to dial.
            with contextlib.suppress(OSError):
                sock.bind((source_host, 0))
        await asyncio.get_running_loop().sock_connect(sock, (address.host(), address.port))
    except BaseException:
        sock.close()
        raise
    return sock
