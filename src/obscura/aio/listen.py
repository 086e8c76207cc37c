"""Accepting connections."""

from __future__ import annotations

import asyncio
import errno
import socket

from ..base.errors import ConfigError
from ..wire.address import NetAddress
from .dial import FAMILIES
from .stream import Stream, StreamOwner


def open_listener(address: NetAddress) -> socket.socket:
    """A bound socket for ``address``.

    Raises:
        ConfigError: the port is taken, or the address is not one of this machine.
    """
    family = FAMILIES.get(address.network)
    if family is None:
        msg = f"cannot listen on {address.network.name}: give an IP address of this machine"
        raise ConfigError(msg)
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address.host(), address.port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        where = address.reveal()
        if error.errno == errno.EADDRINUSE:
            msg = f"{where} is in use by another program: choose another port with --listen, or stop that program"
        elif error.errno == errno.EADDRNOTAVAIL:
            msg = f"{where} is not an address of this machine: see --listen"
        elif error.errno == errno.EACCES:
            msg = f"listening on {where} is not allowed: ports below 1024 need rights, choose a higher one"
        else:
            msg = f"cannot listen on {where}: {error.strerror}"
        raise ConfigError(msg) from error
    sock.setblocking(False)
    return sock


async def serve(owner: StreamOwner, sock: socket.socket) -> asyncio.Server:
    """Hand every accepted connection to ``owner`` as a :class:`Stream`."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _Accepted(owner, loop), sock=sock, backlog=128)


class Acceptor(StreamOwner):
    """What the listener needs of its driver besides the stream's verbs."""

    def stream_accepted(self, stream: Stream, transport: asyncio.BaseTransport) -> None:
        """A connection was accepted."""


class _Accepted(Stream):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(self._owner, Acceptor), "a listener's owner accepts"
        self._owner.stream_accepted(self, transport)
