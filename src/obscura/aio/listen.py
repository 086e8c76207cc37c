"""Accepting connections.

The accepting loop is our own, on ``add_reader``, because the two event loops differ in what they do when the process
has no file descriptor left: asyncio rests for a second and complains each time, libuv accepts and closes with a spare
one. Here both rest for a second, and one line is logged until a connection is accepted again.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from ..base.errors import ConfigError
from ..base.instant import MICROSECONDS
from ..base.limits import ACCEPT_BURST, ACCEPT_REST, LISTEN_BACKLOG
from ..wire.address import NetAddress
from .dial import FAMILIES

log = logging.getLogger("obscura.driver")


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
    # A node that restarts must not wait for connections of its last run to leave TIME_WAIT.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address.host(), address.port))
        sock.listen(LISTEN_BACKLOG)
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


class Listener:
    """Hands every connection on ``sock`` to ``accepted`` as a non-blocking socket, which the callee owns.

    The listening socket itself stays the caller's: :meth:`close` stops accepting and closes it.
    """

    def __init__(
        self,
        sock: socket.socket,
        accepted: Callable[[socket.socket, tuple[str, int]], None],
        rest_s: float = ACCEPT_REST / MICROSECONDS,
    ) -> None:
        self._sock = sock
        self._accepted = accepted
        self._rest_s = rest_s
        self._loop = asyncio.get_running_loop()
        self._resting: asyncio.TimerHandle | None = None
        self._complained = False
        self._loop.add_reader(sock.fileno(), self._ready)

    def close(self) -> None:
        """Accept no more."""
        if self._resting is not None:
            self._resting.cancel()
        else:
            self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

    def _ready(self) -> None:
        for _ in range(ACCEPT_BURST):
            try:
                sock, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                # It has gone before we looked.
                continue
            except OSError as error:
                self._rest(error)
                return
            self._complained = False
            sock.setblocking(False)
            self._accepted(sock, (peer[0], peer[1]))

    def _rest(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            text = f"{error.strerror}: no connection is accepted until some are closed; see ulimit -n"
            log.warning("accept-paused", extra={"values": {"text": text}})
        self._loop.remove_reader(self._sock.fileno())
        self._resting = self._loop.call_later(self._rest_s, self._wake)

    def _wake(self) -> None:
        self._resting = None
        self._loop.add_reader(self._sock.fileno(), self._ready)
