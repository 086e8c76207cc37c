"""The seam under the frames: how the clear stream of a link becomes the bytes of its socket.

A transport is a machine like the channel. ``plain`` passes bytes through. An encrypted one consumes its own handshake
inside ``open``, answers through ``take_own``, and yields clear bytes only once it is ready; the channel does not see
the difference, but for three things: nothing is sealed before the transport is :attr:`~Transport.ready`, the owner's
leave to answer a handshake is passed on, and a link that began in clear is told to go on encrypted.
"""

from __future__ import annotations

from typing import Protocol

from ..base.errors import BugError
from ..base.instant import Instant


class Transport(Protocol):
    """Turns stream bytes into clear bytes and back."""

    @property
    def name(self) -> str:
        """How the link is protected: ``plain``, ``literal``, ``veiled``; ``unknown`` until it is known."""
        ...

    @property
    def ready(self) -> bool:
        """Frames can be sealed."""
        ...

    @property
    def secured(self) -> bool:
        """What comes out of :meth:`open` now was encrypted and authenticated."""
        ...

    @property
    def session_id(self) -> bytes:
        """Names the encrypted channel, 32 bytes, equal on both sides; empty while there is none."""
        ...

    @property
    def responder(self) -> bytes:
        """The static public key of the side that was dialled; empty while none has been proven."""
        ...

    @property
    def may_answer(self) -> bool:
        """A handshake waits for :meth:`answer`."""
        ...

    @property
    def initiator_shown(self) -> bytes:
        """The first 32 bytes of who has dialled us, while :attr:`may_answer`; to tell a replay."""
        ...

    def answer(self) -> None:
        """The owner's leave to answer the handshake; the answer is in :meth:`take_own`."""
        ...

    def open(self, data: bytes, now: Instant) -> bytes:
        """Take bytes of the socket; return the clear bytes that they complete, maybe none.

        Raises:
            SilentFault: the stream is not what this transport expects, and the peer must not be told.
        """
        ...

    def seal(self, frames: list[bytes], now: Instant) -> list[bytes]:
        """The socket's bytes, in pieces, for whole clear frames, in pieces that need not be frames."""
        ...

    def take_own(self) -> list[bytes]:
        """Bytes that the transport itself wants sent before any sealed frame (its handshake), drained."""
        ...

    @property
    def must_secure(self) -> bool:
        """The link may not go on in clear: both sides have to set PrivacyFeatures."""
        ...

    def secure(self, clear: list[bytes], versions: tuple[bytes, bytes]) -> None:
        """Go on encrypted after frames in clear (transport: "literal").

        Args:
            clear: frames that are still to go out as they are.
            versions: the raw ``version`` payloads of both sides, the initiator's first.

        Raises:
            BugError: the link has not begun in clear, or there are no keys; nobody may have set PrivacyFeatures then.
        """
        ...

    def forget(self) -> None:
        """Drop every key, and what was to be sent."""
        ...


class PlainTransport:
    """No protection at all: the stream is the frames."""

    name = "plain"
    ready = True
    secured = False
    session_id = b""
    responder = b""
    may_answer = False
    must_secure = False
    initiator_shown = b""

    def answer(self) -> None:
        """There is no handshake.

        Raises:
            BugError: always.
        """
        raise BugError("a plain transport has no handshake to answer")

    def open(self, data: bytes, now: Instant) -> bytes:
        """The same bytes."""
        del now
        return data

    def seal(self, frames: list[bytes], now: Instant) -> list[bytes]:
        """The same bytes."""
        del now
        return frames

    def take_own(self) -> list[bytes]:
        """Nothing: there is no handshake."""
        return []

    def secure(self, clear: list[bytes], versions: tuple[bytes, bytes]) -> None:
        """There are no keys: our ``version`` must not set PrivacyFeatures.

        Raises:
            BugError: always.
        """
        raise BugError("a plain transport cannot be secured")

    def forget(self) -> None:
        """There is nothing."""
