"""Noise handshakes (revision 34, sections 5.3 and 7): patterns as data, and the state that walks them.

A message of a pattern is a row of tokens. ``e`` and ``s`` send a public key, the two-letter tokens mix the agreement
of the initiator's key (first letter) with the responder's (second letter). The transport's handshake
(``channel.handshake``) puts other things between the tokens, so it calls :meth:`HandshakeState.put` and
:meth:`HandshakeState.take` for each; :meth:`write_message` and :meth:`read_message` walk a whole pattern, and published
vectors of several patterns judge them (tests/vectors/noise.json).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ..base.errors import BugError, PeerFault
from ..base.randomness import Secrets
from .agreement import POINT_BYTES, KeyPair
from .cipher import TAG_BYTES
from .symmetric import SymmetricState

Token: TypeAlias = Literal["e", "s", "ee", "es", "se", "ss"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """What is known before, and what each message carries; the initiator writes the first, third, ... one."""

    name: str
    messages: tuple[tuple[Token, ...], ...]
    responder_known: bool = False
    """The initiator knows the responder's static key before (``<- s`` as a pre-message)."""
    initiator_known: bool = False
    """The responder knows the initiator's."""


N: Final = Pattern("N", (("e", "es"),), responder_known=True)
NN: Final = Pattern("NN", (("e",), ("e", "ee")))
NX: Final = Pattern("NX", (("e",), ("e", "ee", "s", "es")))
KX: Final = Pattern("KX", (("e",), ("e", "ee", "se", "s", "es")), initiator_known=True)
IX: Final = Pattern("IX", (("e", "s"), ("e", "ee", "se", "s", "es")))


def as_it_is(wire: bytes) -> bytes:
    """Public keys in the clear, as Noise sends them."""
    return wire


class HandshakeState:
    """One side of a handshake.

    Args:
        symmetric: its state, the prologue mixed in.
        secrets: stands in for agreements with points of low order.
        initiator: which side.
        static: our static keys, if the pattern uses them.
        remote_static: theirs, if it is known before.
        ephemeral: makes our single-use keys and says how they are shown to the other side; called when they are sent.
        point_of: the point that the other side's ephemeral bytes stand for.
    """

    __slots__ = (
        "_draw",
        "_ephemeral",
        "_initiator",
        "_point_of",
        "_remote_ephemeral",
        "_secrets",
        "_static",
        "remote_static",
        "symmetric",
    )

    def __init__(
        self,
        symmetric: SymmetricState,
        secrets: Secrets,
        *,
        initiator: bool,
        static: KeyPair | None = None,
        remote_static: bytes | None = None,
        ephemeral: Callable[[], tuple[KeyPair, bytes]] | None = None,
        point_of: Callable[[bytes], bytes] = as_it_is,
    ) -> None:
        self.symmetric = symmetric
        self.remote_static = remote_static
        """The other side's static key, once it is known. It is authenticated by the agreements that follow it."""
        self._secrets = secrets
        self._initiator = initiator
        self._static = static
        self._draw = ephemeral
        self._ephemeral: tuple[KeyPair, bytes] | None = None
        self._point_of = point_of
        self._remote_ephemeral: bytes | None = None

    def __repr__(self) -> str:
        return f"HandshakeState(<keys>, initiator={self._initiator})"

    def mix_known(self, pattern: Pattern) -> None:
        """Mix in what ``pattern`` says is known before, the initiator's key first."""
        if pattern.initiator_known:
            self.symmetric.mix_hash(self._own_static().public if self._initiator else self._their_static())
        if pattern.responder_known:
            self.symmetric.mix_hash(self._their_static() if self._initiator else self._own_static().public)

    def put(self, token: Token) -> bytes:
        """Do a token of ours; the bytes that it sends, maybe none."""
        match token:
            case "e":
                if self._draw is None:
                    raise BugError("there is no ephemeral key")
                self._ephemeral = self._draw()
                shown = self._ephemeral[1]
                self.symmetric.mix_hash(shown)
                return shown
            case "s":
                return self.symmetric.encrypt_and_hash(self._own_static().public)
            case _:
                self._agree(token)
                return b""

    def size(self, token: Token) -> int:
        """How many bytes :meth:`take` needs for a token now."""
        match token:
            case "e":
                return POINT_BYTES
            case "s":
                return POINT_BYTES + (TAG_BYTES if self.symmetric.has_key else 0)
            case _:
                return 0

    def take(self, token: Token, data: bytes = b"") -> None:
        """Do a token of the other side, which sent ``data`` (:meth:`size` bytes) for it.

        Raises:
            PeerFault: ``tag-wrong``.
        """
        match token:
            case "e":
                self.symmetric.mix_hash(data)
                self._remote_ephemeral = self._point_of(data)
            case "s":
                self.remote_static = self.symmetric.decrypt_and_hash(data)
            case _:
                self._agree(token)

    def write_message(self, tokens: tuple[Token, ...], payload: bytes) -> bytes:
        """A whole message of a pattern."""
        return b"".join([*(self.put(token) for token in tokens), self.symmetric.encrypt_and_hash(payload)])

    def read_message(self, tokens: tuple[Token, ...], message: bytes) -> bytes:
        """The payload of a whole message.

        Raises:
            PeerFault: it is too short, or ``tag-wrong``.
        """
        at = 0
        for token in tokens:
            end = at + self.size(token)
            if end > len(message):
                raise PeerFault("handshake-short", f"{len(message)} bytes")
            self.take(token, message[at:end])
            at = end
        if self.symmetric.has_key and len(message) - at < TAG_BYTES:
            raise PeerFault("handshake-short", f"{len(message)} bytes")
        return self.symmetric.decrypt_and_hash(message[at:])

    def forget(self) -> None:
        """Drop the keys of this handshake."""
        self._draw = None
        self._ephemeral = None
        self._static = None
        self.symmetric.forget()

    def _own_static(self) -> KeyPair:
        if self._static is None:
            raise BugError("there is no static key")
        return self._static

    def _their_static(self) -> bytes:
        if self.remote_static is None:
            raise BugError("the static key of the other side is not known")
        return self.remote_static

    def _agree(self, token: Token) -> None:
        ours, theirs = (token[0], token[1]) if self._initiator else (token[1], token[0])
        if ours == "s":
            pair = self._own_static()
        elif self._ephemeral is None:
            raise BugError("there is no ephemeral key")
        else:
            pair = self._ephemeral[0]
        public = self._their_static() if theirs == "s" else self._remote_ephemeral
        if public is None:
            raise BugError(f"{token} comes before the key of the other side")
        self.symmetric.mix_key(pair.agree(public, self._secrets))
