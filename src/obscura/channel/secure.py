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

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, TypeAlias

from ..base.errors import BugError, PeerFault, SilentFault
from ..base.instant import Instant
from ..base.limits import RECORD_BODY_BYTES
from ..shaping import Ghost, OffShaper, Profile, Shaper, Traffic
from ..shaping.counters import Delays, Waits
from ..shaping.sizes import RECORD_OVERHEAD, SMALLEST_RECORD, TRAILER_BYTES
from ..wire.target import Mode
from .handshake import InitiatorHandshake, ResponderHandshake, prologue
from .outbox import Outbox
from .pieces import joined
from .records import RecordOpener, RecordSealer

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
        shaper: says when records are emitted, and how much of them; it has no say in the handshake.
        dialled: whether we are the initiator.
    """

    __slots__ = (
        "_begin",
        "_dialled",
        "_genesis",
        "_handshake",
        "_mode",
        "_opener",
        "_outbox",
        "_overhang",
        "_own",
        "_sealer",
        "_shaper",
        "_stage",
        "_stream",
        "_traffic",
        "_waits",
        "fault",
        "ghost",
        "name",
        "responder",
        "session_id",
    )

    def __init__(
        self, begin: Begin, genesis: bytes, mode: Mode, shaper: Shaper | None = None, *, dialled: bool
    ) -> None:
        self._begin = begin
        self._genesis = genesis
        self._mode = mode
        self._dialled = dialled
        self._shaper: Shaper = shaper or OffShaper()
        self._own: list[bytes] = []
        """For the socket as they are: frames in clear, and the handshake."""
        self._outbox = Outbox()
        self._waits = Waits()
        self._traffic = Traffic(), Traffic()
        self._overhang: list[bytes] = []
        """The end of a record whose beginning was emitted."""
        self._stream = b""
        self.fault: SilentFault | None = None
        self.ghost: Ghost | None = None
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

    def open(self, data: bytes, now: Instant) -> Sequence[bytes | memoryview]:
        """See :class:`Transport`."""
        try:
            if self._opener is not None:
                return self._open_records(self._opener, data, now)
            match self._stage:
                case _Stage.CLEAR:
                    return (data,)
                case _Stage.DOOR:
                    return self._at_the_door(data, now)
                case _Stage.SHAKING:
                    return self._receive(data, now)
                case _:
                    return ()
        except PeerFault as fault:
            self._fail(fault)
            return ()

    @property
    def buffered(self) -> int:
        """See :class:`Transport`."""
        if self._opener is not None:
            return self._opener.buffered
        return len(self._stream) if self._handshake is None else self._handshake.buffered

    def take_price(self) -> int:
        """See :class:`Transport`."""
        return 0 if self._opener is None else self._opener.take_price()

    def put(self, frames: list[bytes], now: Instant, *, urgent: bool) -> None:
        """See :class:`Transport`."""
        if self._stage is _Stage.CLEAR:
            self._own += frames
        elif self._stage is not _Stage.FAILED:
            before = self._outbox.size
            self._outbox.put(frames)
            amount = self._outbox.size - before
            if self._sealer is not None:
                self._waits.put(amount, now)
            self._shaper.put(amount, now, urgent=urgent)

    @property
    def queued(self) -> int:
        """See :class:`Transport`."""
        return self._outbox.size

    def take(self, now: Instant) -> list[bytes]:
        """See :class:`Transport`."""
        parts: list[bytes] = []
        if self._own:
            parts += joined(self._own)
            self._own = []
        if self._sealer is not None and (amount := self._shaper.take(self._outbox.size, now)):
            parts += joined(self._emit(self._sealer, amount, now))
            self._waits.left(self._outbox.size, now)
        return parts

    def next_deadline(self) -> Instant | None:
        """See :class:`Transport`."""
        return None if self._sealer is None else self._shaper.next_deadline()

    def secure(self, versions: tuple[bytes, bytes], now: Instant) -> None:
        """See :class:`Transport`."""
        del now
        if self._stage is not _Stage.CLEAR:
            raise BugError("only a link in clear can be secured")
        # One mode for both names: the side that was dialled cannot know how the other one calls its dial.
        self._shake(Mode.LITERAL, versions)

    def forget(self) -> None:
        """See :class:`Transport`."""
        if self._stage is _Stage.SECURED:
            self.ghost = Ghost(self._shaper, self._outbox.size)
        self._stage = _Stage.FAILED
        # What the bytes before have earned (our own handshake) still goes out.
        self._outbox.clear()
        self._waits.clear()
        self._overhang = []
        self._stream = b""
        for part in (self._handshake, self._sealer, self._opener):
            if part is not None:
                part.forget()
        self._handshake = self._sealer = self._opener = None

    @property
    def traffic(self) -> tuple[Traffic, Traffic]:
        """See :class:`Transport`."""
        return self._traffic

    @property
    def delays(self) -> Delays:
        """See :class:`Transport`."""
        return self._waits.delays

    @property
    def profile(self) -> Profile:
        """See :class:`Transport`."""
        return self._shaper.profile

    @property
    def rate(self) -> int | None:
        """See :class:`Transport`."""
        return None if self._sealer is None else self._shaper.rate

    def opened(self, now: Instant) -> None:
        """See :class:`Transport`."""
        self._shaper.opened(now)

    def wake(self, now: Instant) -> None:
        """See :class:`Transport`."""
        self._shaper.wake(now)

    def clog(self, *, clogged: bool) -> None:
        """See :class:`Transport`."""
        self._shaper.clogged = clogged

    def _fail(self, fault: PeerFault) -> None:
        """Nothing is opened any more. The keys are dropped by the owner's :meth:`forget`, once what was good has been
        dealt with: what it is answered counts for the shape in which the link goes on."""
        self.fault = SilentFault(fault.rule, fault.detail)
        if self._stage is not _Stage.SECURED:
            self.forget()

    def _open_records(self, opener: RecordOpener, data: bytes, now: Instant) -> Sequence[memoryview]:
        # Before anything is known of them.
        self._shaper.heard(now)
        clear = opener.open(data)
        if opener.fault is not None and self.fault is None:
            self._fail(opener.fault)
        return clear

    def _emit(self, sealer: RecordSealer, amount: int, now: Instant) -> list[bytes]:
        """``amount`` bytes of records. A record that is larger than what is left is begun; its end goes out first next
        time."""
        parts, self._overhang = self._overhang, []
        over = sum(map(len, parts)) - amount
        while over < 0:
            record = self._seal(sealer, -over, now)
            parts += record
            over += sum(map(len, record))
        while over > 0:
            last = parts.pop()
            cut = max(0, len(last) - over)
            self._overhang.insert(0, last[cut:])
            if cut:
                parts.append(last[:cut])
            over -= len(last) - cut
        return parts

    def _seal(self, sealer: RecordSealer, space: int, now: Instant) -> tuple[bytes, bytes]:
        """One record that fills ``space`` bytes of the wire, or leaves room for another; or, if the space is too small
        for any, the smallest one."""
        body = min(max(space - RECORD_OVERHEAD, TRAILER_BYTES), RECORD_BODY_BYTES)
        left = space - RECORD_OVERHEAD - body
        if 0 < left < SMALLEST_RECORD:
            body -= SMALLEST_RECORD - left
        data = self._outbox.take(min(self._outbox.size, body - TRAILER_BYTES))
        return sealer.seal(data, body, now)

    def _shake(self, mode: Mode, versions: tuple[bytes, bytes] | None) -> None:
        self._stage = _Stage.SHAKING
        self.name = mode.name.lower()
        self._handshake = self._begin(prologue(self._genesis, mode, versions))
        if self._dialled:
            self._own.append(self._handshake.take_data())

    def _at_the_door(self, data: bytes, now: Instant) -> Sequence[bytes | memoryview]:
        stream = self._stream + data
        shown = stream[_CLEAR_FROM : _CLEAR_FROM + len(_CLEAR)]
        if shown != _CLEAR[: len(shown)]:
            self._stream = b""
            self._shake(Mode.VEILED, None)
            return self._receive(stream, now)
        if len(shown) < len(_CLEAR):
            self._stream = stream
            return ()
        if self._mode is Mode.VEILED:
            raise PeerFault("clear-frame")
        self._stream = b""
        self._stage = _Stage.CLEAR
        self.name = self._mode.name.lower()
        return (stream,)

    def _receive(self, data: bytes, now: Instant) -> Sequence[bytes | memoryview]:
        assert self._handshake is not None, "there is one in this stage"
        secured = self._handshake.receive(data)
        if secured is None:
            return ()
        if last := self._handshake.take_data():
            self._own.append(last)
        self._handshake = None
        self._stage = _Stage.SECURED
        self.session_id = secured.session_id
        self.responder = secured.responder
        self._sealer = RecordSealer(secured.sending, now)
        self._opener = RecordOpener(secured.receiving)
        self._traffic = self._sealer.traffic, self._opener.traffic
        # What waited for keys waits for its shaper from here on.
        self._waits.put(self._outbox.size, now)
        return self._open_records(self._opener, secured.rest, now)
