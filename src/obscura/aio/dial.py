"""Opening connections. Names are never resolved: DNS would tell others whom we dial."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from ..base.instant import MICROSECONDS, Duration
from ..wire.address import NetAddress, Network
from .stream import Stream, StreamOwner

FAMILIES = {Network.IPV4: socket.AF_INET, Network.IPV6: socket.AF_INET6, Network.CJDNS: socket.AF_INET6}


class DialError(Exception):
    """A dial came to nothing; ``reason`` is a stable name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def dial(owner: StreamOwner, address: NetAddress, timeout: Duration, source_host: str | None) -> Stream:
    """Connect within ``timeout``, from ``source_host`` if given and of the same family.

    Raises:
        DialError: ``unreachable-network``, ``connect-timeout``, ``connect-refused`` or ``connect-error``.
    """
    family = FAMILIES.get(address.network)
    if family is None:
        raise DialError("unreachable-network")
    loop = asyncio.get_running_loop()
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if source_host is not None and (":" in source_host) == (family == socket.AF_INET6):
            with contextlib.suppress(OSError):
                sock.bind((source_host, 0))
        async with asyncio.timeout(timeout / MICROSECONDS):
            await loop.sock_connect(sock, (address.host(), address.port))
        _, stream = await loop.create_connection(lambda: Stream(owner, loop), sock=sock)
    except TimeoutError:
        sock.close()
        raise DialError("connect-timeout") from None
    except ConnectionRefusedError:
        sock.close()
        raise DialError("connect-refused") from None
    except OSError as error:
        sock.close()
        raise DialError("connect-error") from error
    except asyncio.CancelledError:
        sock.close()
        raise
    return stream
