"""One link as a machine.

Three things drive it: the network (``receive_data``, ``receive_eof``), the owner (``send``, ``close``, ``charge``) and
time (``handle_deadline``). The owner then pulls ``next_event`` until it answers ``None``, and sends what ``take_data``
drains. One event is found at a time, so a fault surfaces only after the good messages before it were handed out,
however the stream was cut.

States, the same on both sides; what differs is only who speaks first (specification "Handshake Sequence")::

                      version valid                     verack
      AWAIT_VERSION ----------------> AWAIT_VERACK ----------------> OPEN
            |   initiator: sends verack     |                          |
            |   responder: sends version,   |                          |
            |              verack           |                          |
            +-------------------------------+--------------------------+--> CLOSED
                       violation, timeout, end of stream, close()

The initiator sends its ``version`` at birth. A message that has no place in the table :data:`_NEXT_STATE`, or that is
not of the registry's phase, is a violation, known from the frame's header alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import Final, TypeAlias

from ..base.errors import BugError, Malformed, PeerFault, SilentFault, Violation
from ..base.instant import Duration, Instant, after, earliest
from ..base.limits import FAULT_MALFORMED, HANDSHAKE_TIMEOUT, PRE_HANDSHAKE_BYTES, PRICE_BYTES
from ..base.randomness import Chance
from ..wire.features import NO_FEATURES, Feature, FeatureSet
from ..wire.frame import HEADER_SIZE, check_type_field, parse_header, type_field
from ..wire.greeting import PROTOCOL_VERSION_MIN, Ping, Pong, Verack, Version
from ..wire.registry import (
    BY_TYPE_FIELD,
    REGISTRY,
    UNKNOWN_PRICE,
    UNKNOWN_SIZE_MAX,
    Direction,
    Message,
    MessageClass,
    Phase,
    encode_message,
)
from .budget import FaultBudget, TokenBucket
from .events import ChannelEvent, Closed, MessageFault, Opened
from .keepalive import Keepalive
from .pieces import Pieces
from .transport import PlainTransport, Transport


class Role(Enum):
    """Who dialled."""

    INITIATOR = "initiator"
    RESPONDER = "responder"


class State(Enum):
    """See the picture at the head of this file."""

    AWAIT_VERSION = "await-version"
    AWAIT_VERACK = "await-verack"
    OPEN = "open"
    CLOSED = "closed"


_CLOSED: Final = State.CLOSED  # an enumeration's member is slow to look up
_NEXT_STATE: Final[dict[tuple[State, type[Message]], State]] = {
    (State.AWAIT_VERSION, Version): State.AWAIT_VERACK,
    (State.AWAIT_VERACK, Verack): State.OPEN,
}
_sha256 = hashlib.sha256
_INSIDE: Final = (Version, Verack, Ping, Pong)
"""What the channel deals with itself."""


_Legal: TypeAlias = tuple[int, int, Callable[[bytes], Message], bool, str]
"""What may come in a state: largest payload, price, reader, whether it is handed out (others are dealt with inside, or
ignored because the wrong side sent them), type name."""


def _legal(role: Role, state: State) -> dict[bytes, _Legal]:
    """What may come in a state, by type field."""
    table: dict[bytes, _Legal] = {}
    for field, row in BY_TYPE_FIELD.items():
        if row.phase is Phase.OPEN if state is State.OPEN else (state, row.message) in _NEXT_STATE:
            limit = row.size_max if state is State.OPEN else min(row.size_max, PRE_HANDSHAKE_BYTES)
            wrong_side = row.direction is Direction.FROM_INITIATOR and role is Role.INITIATOR
            passed_on = row.message not in _INSIDE and not wrong_side
            table[field] = (limit, row.price, row.message.from_payload, passed_on, row.name)
    return table


_LEGAL: Final = {(role, state): _legal(role, state) for role in Role for state in State}
_OPTIONAL: Final = tuple(row for row in REGISTRY if row.message_class is MessageClass.OPTIONAL)


@lru_cache(maxsize=64)
def _legal_without(role: Role, missing: tuple[str, ...]) -> dict[bytes, _Legal]:
    """What may come on an open link on which some optional messages are not served."""
    left_out = {type_field(name): None for name in missing}
    return {field: legal for field, legal in _LEGAL[role, State.OPEN].items() if field not in left_out}


class Channel:
    """A link that speaks the protocol over some stream.

    Args:
        role: who dialled.
        version: the ``version`` that we send.
        own_nonce: tells whether a nonce is one of our pending dials under the same identity; such a peer is ourselves.
        chance: for ping nonces.
        now: when the connection was made; the handshake's time runs from here.
        transport: how the stream is protected.
        handshake_timeout: how long transport and handshake may take together.
    """

    __slots__ = (
        "_chance",
        "_clear",
        "_closed",
        "_faults",
        "_frames",
        "_handshake_deadline",
        "_keepalive",
        "_legal",
        "_more",
        "_own_nonce",
        "_position",
        "_skip",
        "_spent",
        "_tokens",
        "_urgent",
        "_verify",
        "_version",
        "bytes_in",
        "bytes_out",
        "in_force",
        "own_nonce_seen",
        "peer_version",
        "role",
        "state",
        "transport",
    )

    def __init__(
        self,
        role: Role,
        version: Version,
        own_nonce: Callable[[int], bool],
        chance: Chance,
        now: Instant,
        transport: Transport | None = None,
        handshake_timeout: Duration = HANDSHAKE_TIMEOUT,
    ) -> None:
        self.role = role
        self.state = State.AWAIT_VERSION
        self.peer_version: Version | None = None
        self.own_nonce_seen = 0
        self.in_force: FeatureSet = NO_FEATURES
        self.bytes_in = 0
        self.bytes_out = 0
        self.transport: Transport = transport or PlainTransport()
        self._version = version
        self._own_nonce = own_nonce
        self._chance = chance
        self._handshake_deadline = after(now, handshake_timeout)
        self._keepalive: Keepalive | None = None
        self._faults = FaultBudget(now)
        self._tokens = TokenBucket(now)
        self._legal = _LEGAL[role, State.AWAIT_VERSION]
        self._clear = b""
        self._position = 0
        self._more = Pieces()
        self._skip = 0
        self._spent = 0
        self._verify = True
        self._frames: list[bytes] = []
        self._urgent = False
        """A message that must not be delayed is among the frames."""
        self._closed: Closed | None = None
        if role is Role.INITIATOR:
            self._say(version)

    # -- the network

    def receive_data(self, data: bytes, now: Instant) -> None:
        """Take bytes in any cut. Pull :meth:`next_event` afterwards. Nothing of a frame is judged yet."""
        self.bytes_in += len(data)
        if self.state is State.CLOSED:
            return
        self._take_stream(data, now)

    def _take_stream(self, data: bytes, now: Instant) -> None:
        pieces = self.transport.open(data, now)
        self._spent += self.transport.take_price()
        # Speed: the records' tags have authenticated the frames; their checksums are not computed once more.
        self._verify = not self.transport.secured
        for piece in pieces:
            if self._position == len(self._clear) and not self._more.size:
                # Speed: the usual case, every frame of the last bytes was whole. What came in clear is not copied.
                self._clear = bytes(piece)
                self._position = 0
            else:
                self._more.put(piece)

    def trim(self) -> None:
        """Let go of what was handed out: an idle link holds no buffer, and one that waits no more than what is left."""
        if self._position > len(self._clear) // 2:
            self._clear = self._clear[self._position :]
            self._position = 0

    def receive_eof(self) -> None:
        """The peer has ended its stream, or the connection is lost."""
        self._end(Closed("peer-closed"))

    # -- the owner

    def send(self, message: Message) -> None:
        """Queue a message for :meth:`take_data`.

        Raises:
            BugError: the link is not open; the owner must wait for :class:`Opened`.
        """
        if self.state is not State.OPEN:
            msg = f"a {message.type_name} is sent on a link that is {self.state.value}"
            raise BugError(msg)
        self._frames.append(encode_message(message))

    def send_frame(self, *parts: bytes) -> None:
        """Queue a frame that was made before, to use it for many peers, or as
        :func:`~obscura.wire.registry.encode_parts` makes it.

        Raises:
            BugError: as :meth:`send`.
        """
        if self.state is not State.OPEN:
            msg = f"a frame is sent on a link that is {self.state.value}"
            raise BugError(msg)
        self._frames += parts

    def charge(self, points: int, rule: str, now: Instant) -> None:
        """Charge the peer for a fault that the owner found; over budget the link closes with that rule's name."""
        if self.state is not State.CLOSED and self._faults.charge(points, now):
            self._end(Closed("fault-budget", rule, fault=True))

    def spend(self, tokens: int, now: Instant) -> None:
        """Take tokens for something that the registry cannot price: an answer that nobody asked for."""
        self._settle_tokens(now)
        self._tokens.take(tokens, now)

    def close(self, rule: str, detail: str = "", *, fault: bool = False) -> None:
        """End the link from our side. :class:`Closed` follows as its last event."""
        self._end(Closed(rule, detail, fault=fault))

    # -- time

    def next_deadline(self) -> Instant | None:
        """When :meth:`handle_deadline` wants to be called; ``None`` once closed."""
        if self.state is State.CLOSED:
            return None
        ours = self._handshake_deadline if self._keepalive is None else self._keepalive.next_deadline()
        return earliest(ours, self.transport.next_deadline())

    def handle_deadline(self, now: Instant) -> None:
        """Send a ping that is due, or give up on a peer that does not answer. Harmless when nothing is due.

        What the transport has held back is in :meth:`take_data` when its time has come."""
        if self.state is State.CLOSED:
            return
        if self._keepalive is None:
            if now >= self._handshake_deadline:
                self._end(Closed("handshake-timeout"))
        elif self._keepalive.timed_out(now):
            self._end(Closed("ping-timeout"))
        elif self._keepalive.ping_due(now):
            nonce = self._chance.u64()
            self._keepalive.sent(nonce, now)
            self._say(Ping(nonce))

    # -- what comes out

    def take_data(self, now: Instant) -> bytes:
        """Drain the bytes to be written to the socket now; a shaped link holds some for :meth:`next_deadline`."""
        return b"".join(self.take_parts(now))

    def take_parts(self, now: Instant) -> list[bytes]:
        """As :meth:`take_data`, in pieces: small ones joined, large ones not copied."""
        # Nothing is held back on a link that has ended: there is no later.
        urgent = self._urgent or self.state is _CLOSED
        if self._frames or (urgent and self.transport.queued):
            self._put(now, urgent=urgent)
        parts = self.transport.take(now)
        self.bytes_out += sum(map(len, parts))
        return parts

    def next_event(self, now: Instant) -> ChannelEvent | None:
        """The next thing that happened; ``None`` when bytes or time are needed, and for ever after :class:`Closed`."""
        while self.state is not _CLOSED:
            # Speed: a link's whole cost per message is here, so it is one stretch of code (docs/performance.md).
            if self._skip and not self._skip_payload():
                return self._starve(now)
            clear, start = self._clear, self._position
            body = start + HEADER_SIZE
            if body > len(clear):
                if self._unread < HEADER_SIZE:
                    return self._starve(now)
                self._clear = self._more.take_front(clear[start:], HEADER_SIZE)
                self._position = 0
                continue
            size, field, check = parse_header(clear, start)
            legal = self._legal.get(field)
            try:
                if legal is None:
                    self._refuse_or_ignore(size, field)
                    continue
                limit, price, read, passed_on, name = legal
                if size > limit:
                    raise _oversized(name, size, limit)
                end = body + size
                if end <= len(clear):
                    payload = clear[body:end]
                    self._position = end
                elif self._unread < HEADER_SIZE + size:
                    return self._starve(now)
                else:
                    payload, self._clear, self._position = self._more.take_payload(memoryview(clear)[body:], size)
                if price:
                    self._spent += price + size // PRICE_BYTES
                if self._verify and _sha256(_sha256(payload).digest()).digest()[:4] != check:
                    raise Malformed("checksum-wrong", f"{name} of {size} bytes")
                message = read(payload)
                if passed_on:
                    return message
                opened = self._deal_with(message, now)
                if opened is not None:
                    return opened
            except Malformed as fault:
                if not self._faults.charge(FAULT_MALFORMED, now):
                    return MessageFault(name, fault.rule)
                self._end(Closed("fault-budget", fault.rule, fault=True))
            except PeerFault as fault:
                self._fail(fault, now)
        return self._take_closed()

    @property
    def may_answer(self) -> bool:
        """A transport handshake waits for the owner's leave: :meth:`answer`."""
        return self.state is not State.CLOSED and self.transport.may_answer

    def answer(self) -> None:
        """Answer the transport's handshake; its bytes are in :meth:`take_data`.

        Raises:
            BugError: :attr:`may_answer` is not set.
        """
        self.transport.answer()

    def silence(self, rule: str, now: Instant) -> None:
        """End the link from our side without a word: :class:`Closed` follows, and is silent."""
        self._fail(SilentFault(rule), now)

    @property
    def is_closed(self) -> bool:
        """The link has ended; :class:`Closed` may still be waiting in :meth:`next_event`."""
        return self.state is State.CLOSED

    @property
    def queued(self) -> int:
        """Bytes of frames that wait for :meth:`take_data`, now or later."""
        return sum(map(len, self._frames)) + self.transport.queued

    @property
    def buffered(self) -> int:
        """Bytes that were received and not yet handed out, in clear or not."""
        return self._unread + self.transport.buffered

    @property
    def round_trip(self) -> Duration | None:
        """The last ping's round trip."""
        return None if self._keepalive is None else self._keepalive.round_trip

    def fault_points(self, now: Instant) -> int:
        """What stands against the peer now."""
        return self._faults.points(now)

    def throttle(self, now: Instant) -> Duration:
        """How long the owner is to wait before it pulls again, because the peer has spent its tokens; 0 for not."""
        self._settle_tokens(now)
        return self._tokens.wait(now)

    # -- inside

    @property
    def _unread(self) -> int:
        """Clear bytes that were received and not yet handed out."""
        return len(self._clear) - self._position + self._more.size

    def _starve(self, now: Instant) -> Closed | None:
        """No frame is whole: wait for more; or end, if a fault stands behind what was good."""
        if self.transport.fault is None:
            return None
        self._fail(self.transport.fault, now)
        return self._take_closed()

    def _take_closed(self) -> Closed | None:
        closed, self._closed = self._closed, None
        return closed

    def _settle_tokens(self, now: Instant) -> None:
        """Pay for the messages since the last look, in one sum."""
        if self._spent:
            self._tokens.take(self._spent, now)
            self._spent = 0

    def _say(self, message: Message) -> None:
        """Queue a message of the channel's own: none of them may be delayed."""
        self._frames.append(encode_message(message))
        self._urgent = True

    def _put(self, now: Instant, *, urgent: bool) -> None:
        frames, self._frames = self._frames, []
        self._urgent = False
        self.transport.put(frames, now, urgent=urgent)

    def _end(self, closed: Closed) -> None:
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self._closed = closed
        # What is unread no longer matters, and must not hold memory.
        self._clear = b""
        self._position = 0
        self._more.clear()

    def _fail(self, fault: PeerFault, now: Instant) -> None:
        silent = isinstance(fault, SilentFault)
        if silent:
            if self._keepalive is not None and self._keepalive.ping_due(now):
                # The first ping follows the opening at once, and takes with it what waits.
                self._say(Ping(0))
            # It is not sent, but it counts for the shape in which the link goes on.
            self._put(now, urgent=self._urgent)
            self.transport.forget()
        self._end(Closed(fault.rule, fault.detail, fault=True, silent=silent))

    def _deal_with(self, message: Message, now: Instant) -> Opened | None:
        """A message that is not handed out."""
        match message:
            case Version():
                self._greet(message, now)
            case Verack():
                return self._open(now)
            case Pong():
                if self._keepalive is not None:
                    self._keepalive.pong(message.nonce, now)
            case Ping():
                self._say(Pong(message.nonce))
        return None

    def _refuse_or_ignore(self, size: int, field: bytes) -> None:
        """A type that may not come now: a known one is a violation by its header alone, an unknown one is skipped, and
        so is an optional one that is not served on this link.

        Raises:
            Violation: see the text.
        """
        row = BY_TYPE_FIELD.get(field)
        if row is not None and not (self.state is State.OPEN and row in _OPTIONAL):
            raise Violation(
                "second-version" if row.message is Version else "wrong-phase", f"{row.name} {self.state.value}"
            )
        check_type_field(field)
        limit = UNKNOWN_SIZE_MAX if self.state is State.OPEN else PRE_HANDSHAKE_BYTES
        if size > limit:
            raise _oversized("unknown type", size, limit)
        self._spent += UNKNOWN_PRICE + size // PRICE_BYTES
        self._position += HEADER_SIZE
        self._skip = size

    def _skip_payload(self) -> bool:
        """Drop bytes of an unknown message as they come; ``True`` when it is over."""
        while True:
            step = min(self._skip, len(self._clear) - self._position)
            self._position += step
            self._skip -= step
            if self._skip == 0:
                return True
            if not self._more.size:
                return False
            self._clear = self._more.take_front(b"", 1)
            self._position = 0

    def _greet(self, version: Version, now: Instant) -> None:
        """Validate the peer's ``version``, then answer as our role does."""
        if version.protocol < PROTOCOL_VERSION_MIN:
            raise Violation("version-obsolete", f"{version.protocol}, {PROTOCOL_VERSION_MIN} is the oldest we speak")
        if self._own_nonce(version.nonce):
            self.own_nonce_seen = version.nonce
            self._end(Closed("self-connection"))
            return
        in_force = self._version.features.common(version.features)
        private = bool(in_force.features & Feature.PRIVACY_FEATURES)
        if self.transport.must_secure and not (self.transport.secured or private):
            raise SilentFault("privacy-features-missing")
        self.peer_version = version
        self.in_force = in_force
        self._enter(_NEXT_STATE[self.state, Version])
        if self.role is Role.RESPONDER:
            self._say(self._version)
        if private and not self.transport.secured:
            self._secure(version, now)
        self._say(Verack())

    def _secure(self, version: Version, now: Instant) -> None:
        """Go on encrypted: what was queued goes out in clear, what has come behind ``version`` is no frame any more."""
        ours, theirs = self._version.to_payload(), version.to_payload()
        self._put(now, urgent=True)
        self.transport.secure((ours, theirs) if self.role is Role.INITIATOR else (theirs, ours), now)
        rest = self._more.take_front(self._clear[self._position :], self._unread)
        self._clear = b""
        self._position = 0
        self._take_stream(rest, now)

    def _open(self, now: Instant) -> Opened:
        self._enter(_NEXT_STATE[self.state, Verack])
        secured = self.transport.secured
        missing = tuple(row.name for row in _OPTIONAL if not row.is_served(self.in_force, secured=secured))
        if missing:
            self._legal = _legal_without(self.role, missing)
        self._keepalive = Keepalive(now)
        assert self.peer_version is not None, "the table admits verack only after version"
        return Opened(self.peer_version, self.in_force)

    def _enter(self, state: State) -> None:
        self.state = state
        self._legal = _LEGAL[self.role, state]


def _oversized(name: str, size: int, limit: int) -> Violation:
    return Violation("frame-oversized", f"{name} of {size} bytes, {limit} allowed")
