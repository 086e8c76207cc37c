"""Words of I2P's SAM bridge, version 3.1: what is asked, and how an answer is read ("SAM V3", geti2p.net).

Each connection says HELLO, then asks one thing after the other and gets one line for each. After STREAM CONNECT, and
after the line that follows STREAM ACCEPT, it is the stream. A session lives as long as the connection that made it.
"""

from __future__ import annotations

import binascii
import contextlib
import hashlib
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Final

from ..base.limits import SAM_LINE_BYTES
from ..wire.address import NetAddress, Network
from .faults import DaemonFault
from .replies import pairs, shown

HELLO: Final = b"HELLO VERSION MIN=3.1 MAX=3.1\n"
SIGNATURE_TYPE: Final = 7
"""EdDSA-SHA512-Ed25519; SAM's own default is DSA with SHA-1."""
_VERSION: Final = "3.1"
_TEXT: Final = re.compile(r"[A-Za-z0-9~-]{1,4096}={0,2}")
_RESULT: Final = re.compile(r"[A-Z0-9_]{1,32}")
_PRIVATE_BYTES: Final = 64
"""The least that two private keys can have."""
_SESSION: Final = re.compile(r"[A-Za-z0-9]{1,64}")
_DESTINATION_BYTES: Final = 387
"""Encryption key, signing key, and a certificate of 3 bytes at least."""


class SamRefused(Exception):
    """The bridge says no. ``result`` is its word for it, ``text`` what it says besides."""

    def __init__(self, result: str, text: str) -> None:
        super().__init__(f"{result} {text}".strip())
        self.result = result
        self.text = text


@dataclass(frozen=True, slots=True, repr=False)
class Destination:
    """An I2P destination with its private keys, as SAM writes it. It redacts itself.

    Raises:
        ValueError: this cannot be one.
    """

    private: str = field()

    def __post_init__(self) -> None:
        if not is_destination(self.private):
            msg = "these are no private keys of an I2P destination"
            raise ValueError(msg)

    @property
    def address(self) -> NetAddress:
        """Where it is reached."""
        raw = _decoded(self.private)
        return NetAddress(Network.I2P, hashlib.sha256(raw[: _length(raw)]).digest(), 0)

    def __repr__(self) -> str:
        return "Destination(redacted)"


def is_destination(text: str) -> bool:
    """Whether a text may be the private keys of a destination."""
    try:
        raw = _decoded(text)
        return len(raw) >= _length(raw) + _PRIVATE_BYTES
    except DaemonFault:
        return False


class SamLine:
    """Cuts the next line out of a stream of bytes; what follows it stays in ``rest``."""

    __slots__ = ("rest",)

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> str | None:
        """The line, once it is complete.

        Raises:
            DaemonFault: it is too long, or no text.
        """
        self.rest += data
        line, mark, rest = self.rest.partition(b"\n")
        if len(line) > SAM_LINE_BYTES:
            raise DaemonFault("sam-too-long", f"{len(line)} bytes")
        if not mark:
            return None
        self.rest = rest
        try:
            return line.removesuffix(b"\r").decode("ascii")
        except UnicodeDecodeError:
            raise DaemonFault("sam-syntax", "a line that is no text") from None


def generate() -> bytes:
    """Ask for a new destination; :func:`generated` reads the answer."""
    return f"DEST GENERATE SIGNATURE_TYPE={SIGNATURE_TYPE}\n".encode()


def create(session: str, destination: Destination | None) -> bytes:
    """Ask for a session; ``None``: with a destination that nobody sees again. :func:`session_made` reads the answer."""
    key = "TRANSIENT" if destination is None else destination.private
    signature = f" SIGNATURE_TYPE={SIGNATURE_TYPE}" if destination is None else ""
    what = f"STYLE=STREAM ID={_named(session)} DESTINATION={key}{signature} i2cp.leaseSetEncType=4,0"
    return f"SESSION CREATE {what}\n".encode()


def lookup(name: str) -> bytes:
    """Ask for the destination of a name, or of ``ME``; :func:`looked_up` reads the answer."""
    if not re.fullmatch(r"[A-Za-z0-9.-]{1,255}", name):
        msg = "no name that I2P knows"
        raise ValueError(msg)
    return f"NAMING LOOKUP NAME={name}\n".encode()


def connect(session: str, destination: str) -> bytes:
    """Ask for a stream to a destination that :func:`looked_up` gave; :func:`stream_made` reads the answer.

    Raises:
        DaemonFault: it is none.
    """
    address_of(destination)
    return f"STREAM CONNECT ID={_named(session)} DESTINATION={destination} SILENT=false\n".encode()


def accept(session: str) -> bytes:
    """Ask for one stream that somebody opens; :func:`stream_made` reads the answer, and :func:`caller` the line that
    follows when somebody does."""
    return f"STREAM ACCEPT ID={_named(session)} SILENT=false\n".encode()


def hello(line: str) -> None:
    """Read the answer to HELLO.

    Raises:
        SamRefused: no common version.
        DaemonFault: this is no SAM bridge.
    """
    if (version := _answer(line, "HELLO REPLY").get("VERSION", "")) != _VERSION:
        raise DaemonFault("sam-version", f"{_VERSION} was asked for, and an answer of {len(version)} characters came")


def generated(line: str) -> Destination:
    """Read the answer to :func:`generate`.

    Raises:
        SamRefused: the router makes none.
        DaemonFault: there is none in it.
    """
    values = _words(line, "DEST REPLY")
    if "RESULT" in values:
        _judge(values)
    return _private(values.get("PRIV", ""))


def session_made(line: str) -> None:
    """Read the answer to :func:`create`.

    Raises:
        SamRefused: no session; the result says why.
        DaemonFault: this is no answer to it.
    """
    _answer(line, "SESSION STATUS")


def looked_up(line: str) -> str:
    """Read the answer to :func:`lookup`: a destination, which may be given to :func:`connect`.

    Raises:
        SamRefused: ``KEY_NOT_FOUND`` and the like.
        DaemonFault: this is no answer to it.
    """
    value = _answer(line, "NAMING REPLY").get("VALUE", "")
    address_of(value)
    return value


def stream_made(line: str) -> None:
    """Read the answer to :func:`connect` or :func:`accept`.

    Raises:
        SamRefused: ``CANT_REACH_PEER``, ``TIMEOUT``, ``INVALID_ID`` and the like.
        DaemonFault: this is no answer to it.
    """
    _answer(line, "STREAM STATUS")


def caller(line: str) -> NetAddress:
    """Read who has opened a stream to us.

    Raises:
        DaemonFault: no destination.
    """
    return address_of(line.partition(" ")[0])


def address_of(destination: str) -> NetAddress:
    """The address of a destination in I2P's base64: the SHA-256 of its bytes.

    Raises:
        DaemonFault: it is none.
    """
    raw = _decoded(destination)
    # What stands behind the certificate would be private keys.
    if len(raw) != _length(raw):
        raise DaemonFault("sam-destination", f"{len(destination)} characters that are no destination")
    return NetAddress(Network.I2P, hashlib.sha256(raw).digest(), 0)


def _decoded(text: str) -> bytes:
    """I2P's base64, in the one form that each text of bytes has."""
    raw = b""
    if _TEXT.fullmatch(text) is not None:
        with contextlib.suppress(binascii.Error):
            raw = b64decode(text, altchars=b"-~")
    if not raw or b64encode(raw, altchars=b"-~").decode("ascii") != text:
        raise DaemonFault("sam-destination", f"{len(text)} characters that are not I2P's base64")
    return raw


def _length(raw: bytes) -> int:
    """Of the destination with which these bytes begin, as it says itself."""
    if len(raw) < _DESTINATION_BYTES:
        raise DaemonFault("sam-destination", f"{len(raw)} bytes are no destination")
    return _DESTINATION_BYTES + int.from_bytes(raw[_DESTINATION_BYTES - 2 : _DESTINATION_BYTES], "big")


def _answer(line: str, kind: str) -> dict[str, str]:
    values = _words(line, kind)
    _judge(values)
    return values


def _judge(values: dict[str, str]) -> None:
    result = values.get("RESULT", "")
    if result != "OK":
        # Of a fixed set, as it becomes a reason by name.
        known = result if _RESULT.fullmatch(result) else "UNKNOWN"
        raise SamRefused(known, shown(values.get("MESSAGE", "")))


def _words(line: str, kind: str) -> dict[str, str]:
    topic, _, rest = line.partition(" ")
    action, _, rest = rest.partition(" ")
    if f"{topic} {action}" != kind:
        raise DaemonFault("sam-syntax", f"another answer than {kind}")
    return pairs(rest)


def _private(text: str) -> Destination:
    try:
        return Destination(text)
    except ValueError:
        raise DaemonFault("sam-destination", "no private keys in the answer") from None


def _named(session: str) -> str:
    if _SESSION.fullmatch(session) is None:
        msg = "a session's name has letters and digits, 64 at most"
        raise ValueError(msg)
    return session
