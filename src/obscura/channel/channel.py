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
from ..base.limits import (
    FAULT_MALFORMED,
    HANDSHAKE_TIMEOUT,
    PRE_HANDSHAKE_BYTES,
    PRICE_BYTES,
    TURN_TOKENS,
)
from ..base.randomness import Chance
from ..wire.features import NO_FEATURES, Feature, FeatureSet
from ..wire.frame import HEADER_SIZE, check_type_field, parse_header, type_field
from ..wire.gossip import Addr
from ..wire.greeting import PROTOCOL_VERSION_MIN, Ping, Pong, Verack, Version
from ..wire.registry import (
    BY_MESSAGE,
    BY_TYPE_FIELD,
    REGISTRY,
    UNKNOWN,
    UNKNOWN_PRICE,
    UNKNOWN_SIZE_MAX,
    Budget,
    Direction,
    Message,
    MessageClass,
    Phase,
    encode_message,
)
from .budget import FaultBudget, TokenBucket
from .events import Answered, ChannelEvent, Closed, MessageFault, Opened
from .keepalive import Keepalive
from .pieces import Pieces
from .portions import LONG_ADDR_BYTES, LONG_BYTES, Inventory, LongAddr, LongInventory
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


_Legal: TypeAlias = tuple[int, int, int, Budget | None, Callable[[bytes], Message], bool, str]
"""What may come in a state: largest payload, price, bytes of it that cost a token more, what it is limited by besides,
reader, whether it is handed out (others are dealt with inside, or ignored because the wrong side sent them), type
name."""


def _legal(role: Role, state: State) -> dict[bytes, _Legal]:
    """What may come in a state, by type field."""
    table: dict[bytes, _Legal] = {}
    for field, row in BY_TYPE_FIELD.items():
        if row.phase is Phase.OPEN if state is State.OPEN else (state, row.message) in _NEXT_STATE:
            limit = row.size_max if state is State.OPEN else min(row.size_max, PRE_HANDSHAKE_BYTES)
            wrong_side = row.direction is Direction.FROM_INITIATOR and role is Role.INITIATOR
            passed_on = row.message not in _INSIDE and not wrong_side
            read = row.message.from_payload
            table[field] = (limit, row.price, row.price_bytes, row.budget, read, passed_on, row.name)
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
        chance: for pings: their nonces and their moments.
        now: when the connection was made; the handshake's time runs from here.
        transport: how the stream is protected.
        handshake_timeout: how long transport and handshake may take together.
        quiet: an open link says nothing by itself: it does not ping, and answers no ping. Its owner may :meth:`ping`.
    """

    __slots__ = (
        "_budgets",
        "_chance",
        "_clear",
        "_closed",
        "_faults",
        "_frames",
        "_handshake_deadline",
        "_heard",
        "_keepalive",
        "_legal",
        "_long",
        "_more",
        "_own_nonce",
        "_position",
        "_quiet",
        "_rest_until",
        "_skip",
        "_spent",
        "_tokens",
        "_turn_end",
        "_urgent",
        "_verify",
        "_version",
        "_worked",
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
        *,
        quiet: bool = False,
    ) -> None:
        self.role = role
        self._quiet = quiet
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
        self._heard = now
        """When the last sign of life came: see :meth:`alive`."""
        self._faults = FaultBudget(now)
        self._tokens = TokenBucket(now)
        self._budgets: dict[Budget, TokenBucket] = {}
        """Of kinds of messages that have come."""
        self._rest_until = now
        """One of these is spent until then."""
        self._worked = 0
        """All tokens that were spent, whatever came back."""
        self._turn_end: int | None = None
        """Where, of these, the link's turn is over."""
        self._legal = _LEGAL[role, State.AWAIT_VERSION]
        self._clear = b""
        self._position = 0
        self._more = Pieces()
        self._skip = 0
        self._long: LongInventory | LongAddr | None = None
        """A message that is dealt with in portions."""
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

    def ping(self, now: Instant) -> None:
        """Ask the peer of a quiet link for a sign that it has read what was sent before: :class:`Answered` follows.

        Raises:
            BugError: the link is not open, or not quiet.
        """
        if self._keepalive is None or not self._quiet or self.state is not State.OPEN:
            raise BugError("only an open link that is quiet is pinged by its owner")
        nonce = self._chance.u64()
        self._keepalive.sent(nonce, now)
        self._say(Ping(nonce))

    def alive(self, now: Instant) -> None:
        """The peer has just done what we asked for: it is there, though it has not answered a ping yet."""
        self._heard = now

    def rest(self, now: Instant, *, resting: bool) -> None:
        """The owner does not pull events from now on, or does again: that time is not the peer's silence."""
        if self._keepalive is not None:
            self._keepalive.rest(now, resting=resting)

    def charge(self, points: int, rule: str, now: Instant) -> None:
        """Charge the peer for a fault that the owner found; over budget the link closes with that rule's name."""
        if self.state is not State.CLOSED and self._faults.charge(points, now):
            self._end(Closed("fault-budget", rule, fault=True))

    def spend(self, tokens: int, now: Instant) -> None:
        """Take tokens for something that the registry cannot price: an answer that nobody asked for."""
        self._spent += tokens
        self._settle_tokens(now)

    def close(self, rule: str, detail: str = "", *, fault: bool = False) -> None:
        """End the link from our side. :class:`Closed` follows as its last event."""
        self._end(Closed(rule, detail, fault=fault))

    # -- time

    def next_deadline(self) -> Instant | None:
        """When :meth:`handle_deadline` wants to be called; ``None`` once closed."""
        if self.state is State.CLOSED:
            return None
        ours = self._handshake_deadline if self._keepalive is None else self._keepalive.next_deadline(self._heard)
        return earliest(ours, self.transport.next_deadline())

    def handle_deadline(self, now: Instant) -> None:
        """Send a ping that is due, or give up on a peer that does not answer. Harmless when nothing is due.

        What the transport has held back is in :meth:`take_data` when its time has come."""
        self.transport.wake(now)
        if self.state is State.CLOSED:
            return
        if self._keepalive is None:
            if now >= self._handshake_deadline:
                self._end(Closed("handshake-timeout"))
        elif self._keepalive.timed_out(now, self._heard):
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
            if now < self._rest_until:
                return None
            if self._long is not None:
                event = self._next_portion(self._long, now)
                if event is not None or self.turn_over:
                    return event
                continue
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
                    self._refuse_or_ignore(size, field, now)
                    continue
                limit, price, price_bytes, budget, read, passed_on, name = legal
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
                    self._spent += price + size // price_bytes
                    if budget is not None:
                        self._draw(budget, price + size // price_bytes, now)
                if self._verify and _sha256(_sha256(payload).digest()).digest()[:4] != check:
                    raise Malformed("checksum-wrong", f"{name} of {size} bytes")
                if size > LONG_ADDR_BYTES and read == Addr.from_payload:
                    self._long = LongAddr(payload)
                    continue
                message = read(payload)
                if passed_on:
                    return self._first_portion(message) if size > LONG_BYTES else message
                happened = self._deal_with(message, now)
                if happened is not None:
                    return happened
            except Malformed as fault:
                if (told := self._faulty(fault, name, now)) is not None:
                    return told
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
        left = 0 if self._long is None else self._long.size
        return self._unread + left + self.transport.buffered

    @property
    def has_more(self) -> bool:
        """There are bytes that may be more events; the beginning of one at least."""
        return self._unread > 0 or self._long is not None

    def work(self, tokens: int) -> None:
        """Count work against the turn that costs the peer no tokens: it was asked for."""
        self._worked += tokens

    def begin_turn(self) -> None:
        """The owner pulls events until :attr:`turn_over` from here on, so that other links have their turn then."""
        self._turn_end = self._worked + self._spent + TURN_TOKENS

    def end_turn(self) -> None:
        """The turn is over, if one was begun."""
        if self._turn_end is not None:
            self._turn_end = self._worked + self._spent

    @property
    def turn_over(self) -> bool:
        """The link has spent TURN_TOKENS since :meth:`begin_turn`; never where nobody has begun one."""
        return self._turn_end is not None and self._worked + self._spent >= self._turn_end

    @property
    def lowest_round_trip(self) -> Duration | None:
        """The shortest of all round trips, ``None`` before the first."""
        return None if self._keepalive is None else self._keepalive.lowest

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
        return Duration(max(self._tokens.wait(now), self._rest_until - now))

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
            self._worked += self._spent
            self._spent = 0

    def _draw(self, budget: Budget, tokens: int, now: Instant) -> None:
        """Pay for a message that has a budget of its own."""
        bucket = self._budgets.get(budget)
        if bucket is None:
            bucket = self._budgets[budget] = TokenBucket(now, budget.per_second, budget.burst)
        bucket.take(tokens, now)
        self._rest_until = max(self._rest_until, after(now, bucket.wait(now)))

    def _first_portion(self, message: Message) -> Message:
        """A large message; of a long inventory its first portion."""
        if not isinstance(message, Inventory):
            return message
        self._long = whole = LongInventory(message)
        first = whole.take()
        # The others are paid for when they are handed out.
        self._spent -= whole.size // BY_MESSAGE[type(message)].price_bytes
        return first

    def _next_portion(self, whole: LongInventory | LongAddr, now: Instant) -> ChannelEvent | None:
        """More of a long message; ``None`` if there is nothing to hand out yet."""
        if isinstance(whole, LongInventory):
            before = whole.size
            portion = whole.take()
            tokens = (before - whole.size) // BY_MESSAGE[type(portion)].price_bytes
            self._spent += tokens
            # One portion is enough for a turn, however little it costs.
            self.work(TURN_TOKENS - tokens)
            if not whole.size:
                self._long = None
            return portion
        # It is paid for; it is work all the same.
        self.work(TURN_TOKENS)
        try:
            message = whole.take()
        except PeerFault as fault:
            self._long = None
            return self._faulty(fault, Addr.type_name, now)
        if message is not None:
            self._long = None
        return message

    def _faulty(self, fault: PeerFault, name: str, now: Instant) -> MessageFault | None:
        """A message breaks a rule: it is dropped, or ends the link."""
        if not isinstance(fault, Malformed):
            self._fail(fault, now)
        elif self._faults.charge(FAULT_MALFORMED, now):
            self._end(Closed("fault-budget", fault.rule, fault=True))
        else:
            return MessageFault(name, fault.rule)
        return None

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
        self._long = None

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

    def _deal_with(self, message: Message, now: Instant) -> Opened | Answered | None:
        """A message that is not handed out."""
        match message:
            case Version():
                self._greet(message, now)
            case Verack():
                return self._open(now)
            case Pong():
                if self._keepalive is not None and self._keepalive.pong(message.nonce, now) and self._quiet:
                    return Answered()
            case Ping():
                if not self._quiet:
                    self._say(Pong(message.nonce))
        return None

    def _refuse_or_ignore(self, size: int, field: bytes, now: Instant) -> None:
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
        if self.state is State.OPEN:
            self._draw(UNKNOWN, UNKNOWN_PRICE + size // PRICE_BYTES, now)
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
        self._keepalive = Keepalive(now, self._chance, quiet=self._quiet)
        self.transport.opened(now)
        assert self.peer_version is not None, "the table admits verack only after version"
        return Opened(self.peer_version, self.in_force)

    def _enter(self, state: State) -> None:
        self.state = state
        self._legal = _LEGAL[self.role, state]


def _oversized(name: str, size: int, limit: int) -> Violation:
    return Violation("frame-oversized", f"{name} of {size} bytes, {limit} allowed")
