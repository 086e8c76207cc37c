"""SOCKS5 as its client: a connection to a named host through a proxy (RFC 1928, RFC 1929, Tor's "socks-extensions").

The proxy resolves names; nothing here does. Give :class:`Socks5` exactly ``wanted`` bytes at a time: so nothing of the
stream that follows is taken. Tor's extended errors (F0 to F7) are told where the proxy sends them.

Privacy: with credentials no method without them is offered: Tor keeps streams of different credentials on different
circuits, and a proxy that ignores them would put all of them on one.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .faults import DaemonFault

_VERSION: Final = 5
_NO_AUTH: Final = 0
_USER_PASSWORD: Final = 2
_UNACCEPTABLE: Final = 0xFF
_CONNECT: Final = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_TEXT_BYTES: Final = 255
_PORT_MAX: Final = 65_535
_REFUSALS: Final = {
    1: "proxy-failure",
    2: "proxy-forbids",
    3: "network-unreachable",
    4: "host-unreachable",
    5: "connect-refused",
    6: "connect-timeout",
    7: "proxy-unable",
    8: "proxy-unable",
    0xF0: "onion-not-found",
    0xF1: "onion-invalid",
    0xF2: "onion-introduction",
    0xF3: "onion-rendezvous",
    0xF4: "onion-needs-key",
    0xF5: "onion-wrong-key",
    0xF6: "onion-bad-address",
    0xF7: "onion-timeout",
}
"""Answers other than success, as reasons of a dial that came to nothing."""


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """A user's name and password, 1 to 255 bytes each. They redact themselves."""

    user: bytes
    password: bytes

    def __post_init__(self) -> None:
        for part in (self.user, self.password):
            if not 1 <= len(part) <= _TEXT_BYTES:
                msg = f"1 to {_TEXT_BYTES} bytes, not {len(part)}"
                raise ValueError(msg)

    def __repr__(self) -> str:
        return "Credentials(redacted)"


class Socks5:
    """One CONNECT.

    Args:
        host: an IP address, or a name that the proxy resolves.
        port: of the host.
        credentials: shown to the proxy; ``None``: none are offered.
    """

    __slots__ = ("_credentials", "_needed", "_request", "_step", "reason")

    def __init__(self, host: str, port: int, credentials: Credentials | None = None) -> None:
        if not 0 <= port <= _PORT_MAX:
            msg = "not a port"
            raise ValueError(msg)
        self._request = bytes([_VERSION, _CONNECT, 0]) + _encoded(host) + port.to_bytes(2, "big")
        self._credentials = credentials
        self._step: Callable[[bytes], bytes] = self._chosen
        self._needed = 2
        self.reason: str | None = None
        """Why there is no connection, once the proxy has said so."""

    @property
    def wanted(self) -> int:
        """Bytes that the proxy says next; 0: it has said all, and unless there is a ``reason`` the stream stands."""
        return self._needed

    def begin(self) -> bytes:
        """What is written first."""
        return bytes([_VERSION, 1, _NO_AUTH if self._credentials is None else _USER_PASSWORD])

    def feed(self, data: bytes) -> bytes:
        """Take ``wanted`` bytes; what is to be written now.

        Raises:
            DaemonFault: this is no SOCKS5 proxy.
        """
        if not self._needed or len(data) != self._needed:
            msg = f"{self._needed} bytes are wanted, not {len(data)}"
            raise ValueError(msg)
        try:
            return self._step(data)
        except DaemonFault:
            self._needed = 0
            raise

    def _chosen(self, data: bytes) -> bytes:
        if data[0] != _VERSION:
            raise DaemonFault("socks-version", str(data[0]))
        if data[1] == _UNACCEPTABLE:
            return self._refused("proxy-authentication")
        if self._credentials is None:
            if data[1] != _NO_AUTH:
                raise DaemonFault("socks-method", str(data[1]))
            return self._ask()
        if data[1] != _USER_PASSWORD:
            raise DaemonFault("socks-method", str(data[1]))
        user, password = self._credentials.user, self._credentials.password
        self._step = self._authenticated
        return bytes([1, len(user)]) + user + bytes([len(password)]) + password

    def _authenticated(self, data: bytes) -> bytes:
        if data[0] != 1:
            raise DaemonFault("socks-version", f"of the authentication: {data[0]}")
        return self._refused("proxy-authentication") if data[1] else self._ask()

    def _ask(self) -> bytes:
        self._step, self._needed = self._answered, 4
        return self._request

    def _answered(self, data: bytes) -> bytes:
        if data[0] != _VERSION:
            raise DaemonFault("socks-version", str(data[0]))
        if data[1]:
            # Some proxies close at once, without the address.
            return self._refused(_REFUSALS.get(data[1], "proxy-failure"))
        match data[3]:
            case 1:
                self._step, self._needed = self._finished, 4 + 2
            case 4:
                self._step, self._needed = self._finished, 16 + 2
            case 3:
                self._step, self._needed = self._name_length, 1
            case other:
                raise DaemonFault("socks-address", str(other))
        return b""

    def _name_length(self, data: bytes) -> bytes:
        self._step, self._needed = self._finished, data[0] + 2
        return b""

    def _finished(self, _: bytes) -> bytes:
        # Where the proxy connects from is its own business.
        self._needed = 0
        return b""

    def _refused(self, reason: str) -> bytes:
        self.reason, self._needed = reason, 0
        return b""


def _encoded(host: str) -> bytes:
    address: ipaddress.IPv4Address | ipaddress.IPv6Address | None = None
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
    if address is None:
        if not host.isascii() or not host.isprintable() or not 1 <= len(host) <= _TEXT_BYTES:
            # Privacy: it is not quoted.
            msg = f"a name of {len(host)} characters that cannot be asked for"
            raise ValueError(msg)
        return bytes([_NAME, len(host)]) + host.encode("ascii")
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed
