"""Dialling through a SOCKS5 proxy: Tor's, or any other one that our operator names."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from typing import TypeAlias

from ..overlay.faults import DaemonFault
from ..overlay.socks import Credentials, Socks5
from ..wire.address import NetAddress
from .ways import Connected, DialError, not_isolated

Endpoint: TypeAlias = tuple[str, int]
"""IP address and port of a daemon."""
_OURS = frozenset({"proxy-unable", "proxy-authentication"})
"""Refusals that are about the proxy. All others the far end may have brought about: if they closed the way, whoever has
addresses told that end so could keep a node from dialling."""


async def connect_endpoint(endpoint: Endpoint) -> socket.socket:
    """A connected, non-blocking socket to a daemon.

    Raises:
        OSError: it cannot be reached.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, endpoint)
    except BaseException:
        sock.close()
        raise
    return sock


def why(error: OSError) -> str:
    """What the system says of it, in its own words."""
    return os.strerror(error.errno).lower() if error.errno else str(error) or type(error).__name__


class SocksWay:
    """Dials through a proxy, which resolves what is a name.

    Privacy: with ``isolate`` every connection has credentials of its own, so that Tor gives each its own circuit: no
    exit and no rendezvous sees two links of one node as such. So each of them is apart; without it none is.

    Args:
        proxy: where it is; ``None``: not known yet.
        isolate: the proxy keeps streams of different credentials apart, as Tor does.
    """

    def __init__(self, proxy: Endpoint | None, *, isolate: bool) -> None:
        self.proxy = proxy
        self._isolate = isolate

    async def open(self, address: NetAddress, *, apart: bool = False) -> Connected:
        """See :class:`~obscura.aio.ways.Way`."""
        if apart and not self._isolate:
            raise not_isolated()
        if self.proxy is None:
            raise DialError("proxy-unknown", ours=True)
        credentials = None
        if self._isolate:
            credentials = Credentials(secrets.token_hex(16).encode(), secrets.token_hex(16).encode())
        request = Socks5(address.host(), address.port, credentials)
        try:
            sock = await connect_endpoint(self.proxy)
        except OSError as error:
            raise DialError("proxy-unreachable", ours=True) from error
        try:
            await _ask(sock, request)
        except BaseException:
            sock.close()
            raise
        return Connected(sock)


async def _ask(sock: socket.socket, request: Socks5) -> None:
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(sock, request.begin())
        while request.wanted:
            data = b""
            while len(data) < request.wanted:
                piece = await loop.sock_recv(sock, request.wanted - len(data))
                if not piece:
                    raise DialError("proxy-closed", ours=True)
                data += piece
            answer = request.feed(data)
            if answer:
                await loop.sock_sendall(sock, answer)
    except DaemonFault as fault:
        raise DialError(fault.rule, ours=True) from fault
    except OSError as error:
        raise DialError("proxy-closed", ours=True) from error
    if request.reason is not None:
        raise DialError(request.reason, ours=request.reason in _OURS)
