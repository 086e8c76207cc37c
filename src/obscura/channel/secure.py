"""The transport of a link that has keys: veiled, literal, or plain until it is secured (transport: "Modes").

::

                 veiled dial                                      M3 sent / verified
      (birth) ---------------------------------> SHAKING -----------------------------> SECURED
         |  literal or plain dial                   ^                                      |
         +---------------> CLEAR -------------------+ secure(): both set PrivacyFeatures   |
         |  accepted          ^                     |                                      |
         +---------------> DOOR --------------------+ the stream is no clear frame         |
                              |                                                            |
                              +--> failed <------------------------------------------------+

At the *door* of a listener bytes 2 to 15 decide: those of a clear ``version`` frame make the link clear, if that is
allowed, and anything else is a handshake. Only there, and at the search for terminators, does anything depend on what
the bytes are.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final, TypeAlias

from ..base.errors import BugError, PeerFault, SilentFault
from ..base.instant import Instant
from ..wire.target import Mode
from .handshake import InitiatorHandshake, ResponderHandshake, prologue
from .records import DATA_BYTES, TRAILER_BYTES, RecordOpener, RecordSealer

Handshake: TypeAlias = InitiatorHandshake | ResponderHandshake
Begin: TypeAlias = Callable[[bytes], Handshake]
"""Makes a handshake from its prologue."""

_CLEAR_FROM: Final = 2
_CLEAR: Final = b"\0\0version\0\0\0\0\0"
"""Bytes 2 to 15 of a clear ``version`` frame: its length is below 65,536, and its type stands in NULs."""


class _Stage(Enum):
    DOOR = "unknown"
    CLEAR = "clear"
    SHAKING = "shaking"
    SECURED = "secured"
    FAILED = "failed"


class SecureTransport:
    """Implements :class:`~obscura.channel.transport.Transport`.

    Args:
        begin: makes our side's handshake.
        genesis: hash of the chain's first block; part of the prologue.
        mode: of a dial how it begins; of an accepted link the weakest that is allowed.
        dialled: whether we are the initiator.
    """

    __slots__ = (
        "_begin",
        "_dialled",
        "_genesis",
        "_handshake",
        "_mode",
        "_opener",
        "_own",
        "_sealer",
        "_stage",
        "_stream",
        "name",
        "responder",
        "session_id",
    )

    def __init__(self, begin: Begin, genesis: bytes, mode: Mode, *, dialled: bool) -> None:
        self._begin = begin
        self._genesis = genesis
        self._mode = mode
        self._dialled = dialled
        self._own: list[bytes] = []
        self._stream = b""
        self._handshake: Handshake | None = None
        self._sealer: RecordSealer | None = None
        self._opener: RecordOpener | None = None
        self._stage = _Stage.DOOR
        self.name = "unknown"
        self.session_id = b""
        self.responder = b""
        if dialled:
            if mode is Mode.VEILED:
                self._shake(Mode.VEILED, None)
            else:
                self._stage = _Stage.CLEAR
                self.name = mode.name.lower()

    @property
    def ready(self) -> bool:
        """See :class:`Transport`."""
        return self._stage in (_Stage.CLEAR, _Stage.SECURED)

    @property
    def secured(self) -> bool:
        """See :class:`Transport`."""
        return self._stage is _Stage.SECURED

    @property
    def must_secure(self) -> bool:
        """See :class:`Transport`."""
        return self._mode is not Mode.PLAIN

    @property
    def may_answer(self) -> bool:
        """See :class:`Transport`."""
        return isinstance(self._handshake, ResponderHandshake) and self._handshake.may_answer

    @property
    def initiator_shown(self) -> bytes:
        """The ephemeral bytes of who knocks; empty before they have come."""
        return self._handshake.initiator_shown if isinstance(self._handshake, ResponderHandshake) else b""

    def answer(self) -> None:
        """See :class:`Transport`."""
        if not isinstance(self._handshake, ResponderHandshake):
            raise BugError("no handshake waits for an answer")
        self._handshake.answer()
        self._own.append(self._handshake.take_data())

    def open(self, data: bytes, now: Instant) -> bytes:
        """See :class:`Transport`."""
        try:
            if self._opener is not None:
                return _joined(self._opener.open(data))
            match self._stage:
                case _Stage.CLEAR:
                    return data
                case _Stage.DOOR:
                    return self._at_the_door(data, now)
                case _Stage.SHAKING:
                    return self._receive(data, now)
                case _:
                    return b""
        except PeerFault as fault:
            self.forget()
            raise SilentFault(fault.rule, fault.detail) from None

    def seal(self, frames: list[bytes], now: Instant) -> list[bytes]:
        """See :class:`Transport`."""
        if self._stage is _Stage.CLEAR:
            return frames
        if self._sealer is None:
            raise BugError("frames are sealed before there are keys")
        stream = memoryview(b"".join(frames))
        sealed = []
        for at in range(0, len(stream), DATA_BYTES):
            data = stream[at : at + DATA_BYTES]
            sealed.append(self._sealer.seal(data, len(data) + TRAILER_BYTES, now))
        return sealed

    def take_own(self) -> list[bytes]:
        """See :class:`Transport`."""
        own, self._own = self._own, []
        return own

    def secure(self, clear: list[bytes], versions: tuple[bytes, bytes]) -> None:
        """See :class:`Transport`."""
        if self._stage is not _Stage.CLEAR:
            raise BugError("only a link in clear can be secured")
        self._own += clear
        # One mode for both names: the side that was dialled cannot know how the other one calls its dial.
        self._shake(Mode.LITERAL, versions)

    def forget(self) -> None:
        """Drop every key and whatever was to be sent."""
        self._stage = _Stage.FAILED
        self._own.clear()
        self._stream = b""
        for part in (self._handshake, self._sealer, self._opener):
            if part is not None:
                part.forget()
        self._handshake = self._sealer = self._opener = None

    def _shake(self, mode: Mode, versions: tuple[bytes, bytes] | None) -> None:
        self._stage = _Stage.SHAKING
        self.name = mode.name.lower()
        self._handshake = self._begin(prologue(self._genesis, mode, versions))
        if self._dialled:
            self._own.append(self._handshake.take_data())

    def _at_the_door(self, data: bytes, now: Instant) -> bytes:
        stream = self._stream + data
        shown = stream[_CLEAR_FROM : _CLEAR_FROM + len(_CLEAR)]
        if shown != _CLEAR[: len(shown)]:
            self._stream = b""
            self._shake(Mode.VEILED, None)
            return self._receive(stream, now)
        if len(shown) < len(_CLEAR):
            self._stream = stream
            return b""
        if self._mode is Mode.VEILED:
            raise PeerFault("clear-frame")
        self._stream = b""
        self._stage = _Stage.CLEAR
        self.name = self._mode.name.lower()
        return stream

    def _receive(self, data: bytes, now: Instant) -> bytes:
        assert self._handshake is not None, "there is one in this stage"
        secured = self._handshake.receive(data)
        if secured is None:
            return b""
        if last := self._handshake.take_data():
            self._own.append(last)
        self._handshake = None
        self._stage = _Stage.SECURED
        self.session_id = secured.session_id
        self.responder = secured.responder
        self._sealer = RecordSealer(secured.sending, now)
        self._opener = RecordOpener(secured.receiving)
        return _joined(self._opener.open(secured.rest))


def _joined(pieces: list[bytes]) -> bytes:
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
