"""Opening connections without anybody between. Names are never resolved: DNS would tell others whom we dial."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

from ..wire.address import NetAddress, Network
from .ways import Connected, DialError, not_isolated

FAMILIES: Final = {Network.IPV4: socket.AF_INET, Network.IPV6: socket.AF_INET6, Network.CJDNS: socket.AF_INET6}
"""Networks that plain sockets reach; CJDNS where its interface is."""


class DirectWay:
    """Dials from this machine itself.

    Args:
        source_host: the local IP address to connect from, where it is of the same family. On loopback it makes a node
            appear from the address at which it listens.
    """

    def __init__(self, source_host: str | None = None) -> None:
        self._source_host = source_host

    async def open(self, address: NetAddress, *, apart: bool = False) -> Connected:
        """See :class:`~obscura.aio.ways.Way`."""
        if apart:
            # Privacy: all that is dialled from here shows this machine's address.
            raise not_isolated()
        family = FAMILIES.get(address.network)
        if family is None:
            raise DialError("unreachable-network")
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if self._source_host is not None and (":" in self._source_host) == (family == socket.AF_INET6):
                # An address that this machine has lost is no reason not to dial.
                with contextlib.suppress(OSError):
                    sock.bind((self._source_host, 0))
            await asyncio.get_running_loop().sock_connect(sock, (address.host(), address.port))
        except BaseException:
            sock.close()
            raise
        return Connected(sock)
