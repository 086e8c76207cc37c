"""The session with Tor's control port, as a machine (Tor's control-spec): authentication, how far Tor has come, and an
onion service that lives as long as the session.

Whoever holds the socket gives it bytes, writes what :meth:`TorControl.take_data` has, and acts on
:meth:`TorControl.take_events`. Commands go out one after the other as answers come, so that a broken daemon cannot have
us queue more than one.

Security: whoever answers at that port gets the key of our onion service, so he has to prove himself as far as he can:
SAFECOOKIE is used wherever it is offered, and a tor of our own must offer it, with its own file. The older way with a
cookie is not used: whatever answers could name any file of 32 bytes and be sent its content. Nothing counts that is
said before the login, or as an answer to what was not yet written.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, TypeAlias

from ..wire.address import AddressError, NetAddress, Network, parse_address
from .faults import DaemonFault
from .replies import Reply, ReplyReader, pairs, quoted_values, shown

COOKIE_BYTES: Final = 32
NONCE_BYTES: Final = 32
_SERVER_KEY: Final = b"Tor safe cookie authentication server-to-controller hash"
_CLIENT_KEY: Final = b"Tor safe cookie authentication controller-to-server hash"
_KEY_TYPE: Final = "ED25519-V3:"
_KEY_BYTES: Final = 64
_PATH_CHARACTERS: Final = 4_096
_DONE: Final = 100
_SYNTAX: Final = (512, 513)
"""Codes for an argument that this Tor does not know."""


@dataclass(frozen=True, slots=True)
class NeedCookie:
    """Read this file, and call :meth:`TorControl.cookie`."""

    path: str


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How far Tor has come."""

    percent: int
    """100: circuits can be built."""
    summary: str
    """What it does now, for people."""


@dataclass(frozen=True, slots=True)
class SocksPorts:
    """Where it takes SOCKS connections, as ``HOST:PORT``; none on Unix sockets."""

    at: tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False)
class OnionMade:
    """Our onion service is there, though nobody knows of it yet."""

    address: NetAddress
    key: str
    """``ED25519-V3:…``: whoever has it is this address."""
    guarded: bool
    """Who comes must have spent work when there are many (proof of work)."""

    def __repr__(self) -> str:
        return f"OnionMade(redacted, guarded={self.guarded})"


@dataclass(frozen=True, slots=True)
class OnionTold:
    """A directory of onion services has our descriptor: clients can find us."""


@dataclass(frozen=True, slots=True)
class ControlFailed:
    """The session cannot go on: close it. ``text`` says what an operator can do."""

    reason: str
    text: str


ControlEvent: TypeAlias = NeedCookie | Bootstrap | SocksPorts | OnionMade | OnionTold | ControlFailed


@dataclass(frozen=True, slots=True, repr=False)
class OnionWanted:
    """An onion service that is to be made.

    Args:
        port: that others dial.
        target: where Tor connects to for each of them, ``HOST:PORT``.
        key: of an earlier one, to be the same address; a new one if ``None``.
        host: the onion host that this key is, where it was noted; another one is not believed.
    """

    port: int
    target: str
    key: str | None = field(default=None)
    host: str | None = field(default=None)

    def __post_init__(self) -> None:
        if self.key is not None and not is_onion_key(self.key):
            msg = "this is no key of an onion service"
            raise ValueError(msg)

    def __repr__(self) -> str:
        return f"OnionWanted({self.port}, key redacted)"


def is_onion_key(text: str) -> bool:
    """Whether this may be the key of a version 3 onion service, as ADD_ONION takes it: 64 bytes in base64."""
    if not text.startswith(_KEY_TYPE) or not text.isascii():
        return False
    try:
        return len(b64decode(text.removeprefix(_KEY_TYPE), validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False


class TorControl:
    """One session.

    Args:
        nonce: 32 random bytes, for this session alone.
        onion: the service to make; none if ``None``.
        password: of the operator's, if Tor is set so; ``None``: the cookie.
        own: have Tor end when this session does: it is ours.
        cookie_path: where the cookie of our own Tor is; any file if ``None``.
    """

    def __init__(
        self,
        nonce: bytes,
        onion: OnionWanted | None = None,
        password: str | None = None,
        *,
        own: bool = False,
        cookie_path: str | None = None,
    ) -> None:
        if len(nonce) != NONCE_BYTES:
            msg = f"{NONCE_BYTES} bytes, not {len(nonce)}"
            raise ValueError(msg)
        self._nonce = nonce
        self._onion = onion
        self._password = password
        self._own = own
        self._cookie_path = cookie_path
        self._cookie: bytes | None = None
        """Empty once it is asked for."""
        self._logged_in = False
        self._address: NetAddress | None = None
        self._reader = ReplyReader()
        self._out = bytearray()
        self._events: deque[ControlEvent] = deque()
        self._waiting: Callable[[Reply], None] | None = None
        """Takes the answer to the command that is out."""
        self._next: deque[tuple[str, Callable[[Reply], None]]] = deque()
        self._failed = False
        self._say("PROTOCOLINFO 1", self._on_protocol)

    # -- the socket's side

    def receive(self, data: bytes) -> None:
        """Bytes of the daemon, in any cut. A fault of it is a :class:`ControlFailed`."""
        if self._failed:
            return
        try:
            for reply in self._reader.feed(data):
                self._take(reply)
        except DaemonFault as fault:
            self._fail(fault.rule, f"what answers there does not speak Tor's control protocol ({fault.rule})")

    def take_data(self) -> bytes:
        """What is to be written; nothing after a failure."""
        data = b"" if self._failed else bytes(self._out)
        self._out.clear()
        return data

    def take_events(self) -> list[ControlEvent]:
        """What has happened since the last time."""
        events = list(self._events)
        self._events.clear()
        return events

    @property
    def waits(self) -> bool:
        """An answer is due."""
        return self._waiting is not None and not self._failed

    def cookie(self, data: bytes) -> None:
        """The content of the file that was asked for by :class:`NeedCookie`."""
        if self._failed or self._cookie != b"":
            return
        if len(data) != COOKIE_BYTES:
            self._fail("cookie-length", f"Tor's cookie file has {len(data)} bytes, not {COOKIE_BYTES}")
            return
        self._cookie = data
        self._say(f"AUTHCHALLENGE SAFECOOKIE {self._nonce.hex().upper()}", self._on_challenge)

    # -- commands and answers

    def _say(self, command: str, then: Callable[[Reply], None]) -> None:
        self._next.append((command, then))
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting is None and self._next:
            command, self._waiting = self._next.popleft()
            self._out += command.encode("utf-8") + b"\r\n"

    def _take(self, reply: Reply) -> None:
        if self._failed:
            return
        if reply.is_event:
            if self._logged_in:
                self._on_event(reply)
            return
        if self._waiting is None or self._out:
            raise DaemonFault("control-unasked", f"an answer of code {reply.code}")
        then, self._waiting = self._waiting, None
        then(reply)
        self._go_on()

    def _fail(self, reason: str, text: str) -> None:
        if self._failed:
            return
        self._failed = True
        self._next.clear()
        self._events.append(ControlFailed(reason, text))

    def _on_protocol(self, reply: Reply) -> None:
        if not reply.is_fine:
            raise DaemonFault("control-syntax", f"code {reply.code} for PROTOCOLINFO")
        methods: set[str] = set()
        path = ""
        for line in reply.lines:
            word, _, rest = line.text.partition(" ")
            if word == "AUTH":
                values = pairs(rest)
                methods = set(values.get("METHODS", "").split(","))
                path = values.get("COOKIEFILE", "")
        if self._password is not None and "HASHEDPASSWORD" in methods and not self._own:
            # In hexadecimal, as no text can then say anything else.
            password = self._password.encode("utf-8", "surrogateescape").hex()
            self._say(f"AUTHENTICATE {password}", self._on_authenticated)
        elif "SAFECOOKIE" in methods and path:
            self._need_cookie(path)
        elif self._own:
            self._fail("not-ours", "what answers there is not the tor that this node has started")
        elif "NULL" in methods:
            self._say("AUTHENTICATE", self._on_authenticated)
        elif "HASHEDPASSWORD" in methods:
            self._fail("needs-password", "Tor's control port wants a password: set tor_password in obscura.toml")
        else:
            self._fail("no-method", "Tor's control port offers no way to log in: set CookieAuthentication 1 in torrc")

    def _need_cookie(self, path: str) -> None:
        if self._cookie_path is not None and path != self._cookie_path:
            self._fail("not-ours", "what answers there is not the tor that this node has started")
        elif not path.startswith("/") or not path.isprintable() or len(path) > _PATH_CHARACTERS:
            self._fail("cookie-path", "what answers at Tor's control port names a cookie file that no Tor has")
        else:
            self._cookie = b""
            self._events.append(NeedCookie(path))

    def _on_challenge(self, reply: Reply) -> None:
        values = pairs(reply.last)
        server_hash, server_nonce = _hex(values.get("SERVERHASH", "")), _hex(values.get("SERVERNONCE", ""))
        if not reply.is_fine or len(server_nonce) != NONCE_BYTES:
            raise DaemonFault("control-challenge", f"code {reply.code}")
        assert self._cookie, "the challenge follows the cookie"
        both = self._cookie + self._nonce + server_nonce
        if not hmac.compare_digest(hmac.digest(_SERVER_KEY, both, sha256), server_hash):
            self._fail("cookie-mismatch", "what answers at Tor's control port does not know Tor's cookie")
            return
        self._say(f"AUTHENTICATE {hmac.digest(_CLIENT_KEY, both, sha256).hex().upper()}", self._on_authenticated)

    def _on_authenticated(self, reply: Reply) -> None:
        if not reply.is_fine:
            self._fail("refused", f"Tor's control port refuses us: {shown(reply.last)}")
            return
        self._logged_in = True
        if self._own:
            self._say("TAKEOWNERSHIP", self._on_needed)
        self._say("SETEVENTS STATUS_CLIENT HS_DESC", self._on_needed)
        self._say("GETINFO status/bootstrap-phase net/listeners/socks", self._on_info)
        if self._onion is not None:
            self._add_onion(self._onion, guarded=True)

    def _on_needed(self, reply: Reply) -> None:
        if not reply.is_fine:
            self._fail("refused", f"Tor refuses what the node needs: {shown(reply.last)}")

    def _on_info(self, reply: Reply) -> None:
        self._on_needed(reply)
        for line in () if self._failed else reply.lines:
            key, _, value = line.text.partition("=")
            if key == "net/listeners/socks":
                ports = tuple(part for part in quoted_values(value) if not part.startswith("unix:"))
                self._events.append(SocksPorts(ports))
            elif key == "status/bootstrap-phase":
                self._on_phase(value)

    def _on_event(self, reply: Reply) -> None:
        for line in reply.lines:
            kind, _, rest = line.text.partition(" ")
            if kind == "STATUS_CLIENT":
                self._on_phase(rest)
            elif kind == "HS_DESC" and self._address is not None:
                words = rest.split(" ")
                ours = self._address.host().removesuffix(".onion")
                if words[:1] == ["UPLOADED"] and words[1:2] == [ours]:
                    self._events.append(OnionTold())

    def _on_phase(self, text: str) -> None:
        words = text.split(" ", 2)
        if words[1:2] != ["BOOTSTRAP"]:
            return
        values = pairs(words[2] if len(words) > 2 else "")
        progress = values.get("PROGRESS", "")
        if not (progress.isascii() and progress.isdigit() and len(progress) <= 3 and int(progress) <= _DONE):
            raise DaemonFault("control-syntax", "a bootstrap phase without progress")
        self._events.append(Bootstrap(int(progress), shown(values.get("SUMMARY", ""))))

    # -- the onion service

    def _add_onion(self, onion: OnionWanted, *, guarded: bool) -> None:
        work = " PoWDefensesEnabled=1" if guarded else ""
        command = f"ADD_ONION {onion.key or 'NEW:ED25519-V3'}{work} Port={onion.port},{onion.target}"
        self._say(command, lambda reply: self._on_onion(reply, onion, guarded=guarded))

    def _on_onion(self, reply: Reply, onion: OnionWanted, *, guarded: bool) -> None:
        if guarded and reply.code in _SYNTAX:
            self._add_onion(onion, guarded=False)
            return
        if not reply.is_fine:
            self._fail("onion-refused", f"Tor makes no onion service: {shown(reply.last)}")
            return
        found = dict(line.text.partition("=")[::2] for line in reply.lines)
        key = onion.key or found.get("PrivateKey", "")
        try:
            address = parse_address(f"{found.get('ServiceID', '')}.onion:{onion.port}")
        except AddressError:
            raise DaemonFault("control-onion", "the name of the onion service is none") from None
        if address.network is not Network.TORV3 or not is_onion_key(key):
            raise DaemonFault("control-onion", "an onion service without a key")
        if onion.host is not None and address.host() != onion.host:
            raise DaemonFault("control-onion", "another onion service than the one that was asked for")
        self._address = address
        self._events.append(OnionMade(address, key, guarded))


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise DaemonFault("control-challenge", "not hexadecimal") from None
