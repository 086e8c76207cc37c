"""The seam under the frames: how the clear stream of a link becomes the bytes of its socket.

A transport is a machine like the channel. ``plain`` passes bytes through. An encrypted one consumes its own handshake
inside ``open``, holds frames until it has keys, and emits them when the link's shaper says. The channel sees the
difference in two things only: the owner's leave to answer a handshake is passed on, and a link that began in clear is
told to go on encrypted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..base.errors import BugError, SilentFault
from ..base.instant import Instant
from ..shaping import Ghost, Profile, Traffic
from ..shaping.counters import Delays
from .pieces import joined


class Transport(Protocol):
    """Turns stream bytes into clear bytes and back."""

    @property
    def name(self) -> str:
        """How the link is protected: ``plain``, ``literal``, ``veiled``; ``unknown`` until it is known."""
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
        """The owner's leave to answer the handshake; the answer is in :meth:`take`."""
        ...

    def open(self, data: bytes, now: Instant) -> Sequence[bytes | memoryview]:
        """Take bytes of the socket; return the clear bytes that they complete, in pieces, maybe none."""
        ...

    @property
    def fault(self) -> SilentFault | None:
        """The stream is not what this transport expects, and the peer must not be told. What :meth:`open` returned
        before and with it is good."""
        ...

    def take_price(self) -> int:
        """Tokens for the work of :meth:`open` since they were last taken."""
        ...

    @property
    def buffered(self) -> int:
        """Bytes of the socket that are kept because what they begin is not whole."""
        ...

    def put(self, frames: list[bytes], now: Instant, *, urgent: bool) -> None:
        """Queue whole clear frames, in pieces that need not be frames; ``urgent`` ones are not to be delayed."""
        ...

    @property
    def queued(self) -> int:
        """Bytes of frames that wait."""
        ...

    def take(self, now: Instant) -> list[bytes]:
        """The bytes for the socket that are due, in pieces: the transport's own handshake, and frames."""
        ...

    def next_deadline(self) -> Instant | None:
        """When :meth:`take` wants to be called though nothing has happened."""
        ...

    @property
    def must_secure(self) -> bool:
        """The link may not go on in clear: both sides have to set PrivacyFeatures."""
        ...

    def secure(self, versions: tuple[bytes, bytes], now: Instant) -> None:
        """Go on encrypted behind the frames that were put in clear (transport: "literal").

        Args:
            versions: the raw ``version`` payloads of both sides, the initiator's first.
            now: as always.

        Raises:
            BugError: the link has not begun in clear, or there are no keys; nobody may have set PrivacyFeatures then.
        """
        ...

    def forget(self) -> None:
        """Drop every key, and the frames that wait. What the transport itself had to say, its handshake, is still in
        :meth:`take`: it was earned before."""
        ...

    @property
    def ghost(self) -> Ghost | None:
        """The shape in which a link that was encrypted goes on after :meth:`forget`, if it was."""
        ...

    @property
    def traffic(self) -> tuple[Traffic, Traffic]:
        """What went out and what came in inside the encryption."""
        ...

    @property
    def delays(self) -> Delays:
        """How long what was :meth:`put` waited for its shaper."""
        ...

    @property
    def profile(self) -> Profile:
        """The shape of our side, once the link is encrypted."""
        ...

    @property
    def rate(self) -> int | None:
        """Bytes a second that our side emits, where they do not depend on what waits."""
        ...

    def opened(self, now: Instant) -> None:
        """The whole handshake is complete."""
        ...

    def wake(self, now: Instant) -> None:
        """The deadline may have come; :meth:`take` follows."""
        ...

    def clog(self, *, clogged: bool) -> None:
        """The peer does not take what was sent, or takes it again: meanwhile nothing is emitted that carries no
        message."""
        ...


class PlainTransport:
    """No protection at all: the stream is the frames."""

    name = "plain"
    secured = False
    session_id = b""
    responder = b""
    may_answer = False
    must_secure = False
    initiator_shown = b""
    fault = None
    buffered = 0
    ghost = None
    rate = None
    profile = Profile.OFF

    def __init__(self) -> None:
        self._frames: list[bytes] = []

    def answer(self) -> None:
        """There is no handshake.

        Raises:
            BugError: always.
        """
        raise BugError("a plain transport has no handshake to answer")

    def open(self, data: bytes, now: Instant) -> Sequence[bytes | memoryview]:
        """The same bytes."""
        del now
        return (data,)

    def take_price(self) -> int:
        """Nothing was done."""
        return 0

    def put(self, frames: list[bytes], now: Instant, *, urgent: bool) -> None:
        """See :class:`Transport`."""
        del now, urgent
        self._frames += frames

    @property
    def queued(self) -> int:
        """See :class:`Transport`."""
        return sum(map(len, self._frames))

    def take(self, now: Instant) -> list[bytes]:
        """The same bytes."""
        del now
        if not self._frames:
            return []
        frames, self._frames = self._frames, []
        return list(joined(frames))

    def next_deadline(self) -> Instant | None:
        """Nothing is delayed."""
        return None

    def secure(self, versions: tuple[bytes, bytes], now: Instant) -> None:
        """There are no keys: our ``version`` must not set PrivacyFeatures.

        Raises:
            BugError: always.
        """
        raise BugError("a plain transport cannot be secured")

    def forget(self) -> None:
        """Drop what was to be sent."""
        self._frames.clear()

    @property
    def traffic(self) -> tuple[Traffic, Traffic]:
        """Nothing is encrypted."""
        return Traffic(), Traffic()

    @property
    def delays(self) -> Delays:
        """Nothing waits."""
        return Delays()

    def opened(self, now: Instant) -> None:
        """Nothing changes."""

    def wake(self, now: Instant) -> None:
        """Nothing is delayed."""

    def clog(self, *, clogged: bool) -> None:
        """Nothing is emitted that carries no message."""
