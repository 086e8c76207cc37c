"""Tor beside the node: the session at its control port, our onion service, and the way to onion addresses.

The session is made anew whenever it is lost, by waits that double. While Tor cannot build circuits the ways through it
are closed; that the session alone is lost closes nothing, as its SOCKS port may well work.

An onion service ends with the session that made it, and has the same address again with the next one. It is told to
others only once a connection to it, through Tor, has come back to us.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from ..base.errors import LocalError
from ..base.instant import MICROSECONDS
from ..base.limits import CONNECT_TIMEOUT_OVERLAY, DAEMON_ANSWER, DAEMON_RETRY, DAEMON_RETRY_MOST, OWN_DIAL_WAIT
from ..overlay.control import (
    COOKIE_BYTES,
    NONCE_BYTES,
    Bootstrap,
    ControlEvent,
    ControlFailed,
    NeedCookie,
    OnionMade,
    OnionTold,
    OnionWanted,
    SocksPorts,
    TorControl,
)
from ..wire.address import AddressError, NetAddress, Network, address_from_ip, parse_address
from .dial import FAMILIES
from .listen import Listener, open_listener
from .services import Host, KeyKeeper
from .socks import Endpoint, SocksWay, connect_endpoint, why
from .ways import DialError, Ways

log = logging.getLogger("obscura.tor")

SOMEBODY: Final = NetAddress(Network.TORV3, bytes(32), 0)
"""Who comes through our onion service: Tor does not say who."""
_READ_BYTES: Final = 65_536


@dataclass(kw_only=True)
class TorPlan:
    """What is wanted of a Tor daemon."""

    control: Callable[[], Awaitable[Endpoint | None]]
    """Where its control port is: asked before each session. ``None`` while it is not known."""
    networks: tuple[Network, ...]
    """Those to which a way goes through it."""
    port: int = 0
    """That others dial of our onion service; 0: there is none."""
    keys: KeyKeeper | None = None
    """Keeps the service's key; needed where there is a service."""
    password: str | None = field(default=None, repr=False)
    """Of the control port."""
    own: bool = False
    """The daemon is ours: it ends with the session."""
    cookie_path: str | None = None
    """Where its cookie is, if it is ours."""
    find_socks: bool = True
    """Take its SOCKS port from it."""
    heard: Callable[[str, str], None] = lambda name, text: None
    """Told how far it has come, for people: a stable name, and a text that may reveal our onion address."""


class TorService:
    """Holds the session, until its task is cancelled.

    Args:
        plan: what is wanted.
        host: the node's driver.
        ways: where the ways through Tor open and close.
        way: dials through it; gets its SOCKS port if that is to be found.
    """

    def __init__(self, plan: TorPlan, host: Host, ways: Ways, way: SocksWay) -> None:
        self._plan = plan
        self._host = host
        self._ways = ways
        self._way = way
        self._address: NetAddress | None = None
        """Of our onion service, while it is told to others."""
        self._percent = -1
        self._looking: asyncio.Task[None] | None = None
        self._trouble = ""
        if plan.find_socks:
            ways.let(plan.networks, open=False)

    async def run(self) -> None:
        """Hold a session, for ever."""
        acceptor = sock = None
        if self._plan.port:
            # Security: a socket of its own. Who comes by it has come through Tor, or is on this machine.
            sock = open_listener(address_from_ip("127.0.0.1", 0))
            acceptor = Listener(sock, lambda link, _: self._host.accept(link, SOMEBODY))
        wait = int(DAEMON_RETRY)
        try:
            while True:
                began = asyncio.get_running_loop().time()
                try:
                    await self._session(None if sock is None else sock.getsockname()[1])
                except (OSError, LocalError) as error:
                    self._complain(str(error) or type(error).__name__)
                finally:
                    self._lost()
                if asyncio.get_running_loop().time() - began > DAEMON_RETRY_MOST / MICROSECONDS:
                    wait = int(DAEMON_RETRY)
                await asyncio.sleep(wait / MICROSECONDS)
                wait = min(2 * wait, DAEMON_RETRY_MOST)
        finally:
            if acceptor is not None:
                acceptor.close()

    # -- one session

    async def _session(self, target: int | None) -> None:
        """From the connection to its end; raises the reason as an ``OSError`` or a ``LocalError``."""
        onion = None
        if target is not None:
            assert self._plan.keys is not None, "a service has a place for its key"
            key, host = self._plan.keys.load() or (None, None)
            onion = OnionWanted(self._plan.port, f"127.0.0.1:{target}", key, host)
        plan, nonce = self._plan, secrets.token_bytes(NONCE_BYTES)
        control = TorControl(nonce, onion, plan.password, own=plan.own, cookie_path=plan.cookie_path)
        loop = asyncio.get_running_loop()
        endpoint = await self._plan.control()
        if endpoint is None:
            return
        try:
            async with asyncio.timeout(DAEMON_ANSWER / MICROSECONDS):
                sock = await connect_endpoint(endpoint)
        except TimeoutError:
            raise LocalError("Tor's control port does not answer") from None
        except OSError as error:
            text = f"Tor's control port cannot be reached: {why(error)}"
            raise LocalError(text) from error
        with contextlib.closing(sock):
            until: float | None = None
            while True:
                if data := control.take_data():
                    # By then it has answered, whatever else it says meanwhile.
                    until = loop.time() + DAEMON_ANSWER / MICROSECONDS
                elif not control.waits:
                    until = None
                try:
                    async with asyncio.timeout_at(until):
                        await loop.sock_sendall(sock, data)
                        data = await loop.sock_recv(sock, _READ_BYTES)
                except TimeoutError:
                    raise LocalError("Tor's control port does not answer") from None
                if not data:
                    raise LocalError("Tor has closed its control port")
                control.receive(data)
                while events := control.take_events():
                    for event in events:
                        self._on(event, control, endpoint)

    def _on(self, event: ControlEvent, control: TorControl, endpoint: Endpoint) -> None:
        match event:
            case NeedCookie(path):
                control.cookie(_read_cookie(path))
            case Bootstrap(percent, summary):
                self._on_bootstrap(percent, summary)
            case SocksPorts(at):
                self._on_socks(at, endpoint)
            case OnionMade(address, key, _):
                assert self._plan.keys is not None, "it was asked for with a place for its key"
                self._plan.keys.keep(key, address.host())
                self._plan.heard("onion-made", f"onion service {address.reveal()}: telling Tor's directories")
                self._address = address
            case OnionTold():
                if self._address is not None and self._looking is None:
                    self._looking = asyncio.get_running_loop().create_task(self._look(self._address))
            case ControlFailed(_, text):
                raise LocalError(text)

    def _on_bootstrap(self, percent: int, summary: str) -> None:
        if percent != self._percent:
            self._percent = percent
            self._plan.heard("tor-progress", f"Tor is at {percent} %: {summary}")
            if percent == 100:
                self._trouble = ""
        self._ways.let(self._plan.networks, open=percent == 100)

    def _on_socks(self, at: tuple[str, ...], control: Endpoint) -> None:
        if not self._plan.find_socks:
            return
        # Security: on this machine, or on the one that the operator named: not wherever an answer says.
        known = [address for address in map(_address, at) if address is not None]
        near = [one for one in known if one.is_loopback() or one.host() == control[0]]
        if not near:
            raise LocalError("Tor has no SOCKS port beside its control port: set SocksPort in torrc, or --tor-socks")
        found = near[0].host(), near[0].port
        self._way.proxy = found

    async def _look(self, address: NetAddress) -> None:
        """Dial our own onion service until somebody answers, which can only be us; then tell others of it."""
        while True:
            with contextlib.suppress(DialError, OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_TIMEOUT_OVERLAY / MICROSECONDS):
                    made = await self._way.open(address)
                made.sock.close()
                break
            await asyncio.sleep(OWN_DIAL_WAIT / MICROSECONDS)
        self._host.advertise(address)
        self._plan.heard("onion-reachable", f"reachable at {address.reveal()}")

    def _lost(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        if self._address is not None:
            self._host.withdraw(self._address)
            self._address = None

    def _complain(self, text: str) -> None:
        """Once for each trouble: it comes again with every try."""
        self._percent = -1
        if text != self._trouble:
            self._trouble = text
            self._plan.heard("tor-trouble", text)
            log.warning("tor-trouble", extra={"values": {"text": text}})


def _read_cookie(path: str) -> bytes:
    try:
        # Security: whoever poses as Tor may name a pipe, which nobody ever writes into, or a device.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            return os.read(fd, COOKIE_BYTES + 1) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
        finally:
            os.close(fd)
    except OSError as error:
        text = (
            f"Tor's cookie {path} cannot be read: {error.strerror}. Become a member of the group that may "
            "(Debian: debian-tor), or set tor_password"
        )
        raise LocalError(text) from error


def _address(text: str) -> NetAddress | None:
    try:
        address = parse_address(text)
    except AddressError:
        return None
    return address if address.port and address.network in FAMILIES else None
