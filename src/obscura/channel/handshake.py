"""The encrypted transport's handshake: Noise NX, hidden keys, garbage, and ML-KEM-768 (transport: "Handshake").

Three messages; ``e`` are Elligator representatives, ``G`` random bytes of random length, ``T`` terminators::

    initiator                                                   responder
      M1   e_i (32)  G_i (0..4,095)                     ---->
                     <----   e_r (32)  G_r (0..4,095)  T_r (16)  sealed s (48)  sealed ek (1,200)   M2
      M3   T_i (16)  sealed ct (1,104)                  ---->

A stream of these bytes has no field that a reader without the keys can tell from random ones. Nobody knows where
garbage ends before the Diffie-Hellman result is there: it gives both sides the terminators. Both garbages are part of
the transcript, so that a byte changed in them breaks the handshake like any other.

Each side is a machine that two things drive: bytes of the other side (:meth:`receive`), and, for a responder, the
owner's leave to answer (:meth:`ResponderHandshake.answer`), because answering costs CPU time that is rationed. What it
wants sent is drained by :meth:`take_data`. A failure raises :class:`~obscura.base.errors.PeerFault` once; what follows
from it (silence) is the owner's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..base.errors import BugError, PeerFault
from ..base.limits import GARBAGE_BYTES
from ..crypto.agreement import POINT_BYTES, KeyPair
from ..crypto.cipher import TAG_BYTES, CipherState
from ..crypto.elligator import HiddenPair, public_of
from ..crypto.kem import CIPHERTEXT_BYTES, ENCAPSULATION_KEY_BYTES, KemPair
from ..crypto.keysource import KeySource
from ..crypto.noise import HandshakeState
from ..crypto.symmetric import SymmetricState
from ..wire.target import Mode
from .access import Access

PROTOCOL_NAME: Final = b"Noise_NX+kem_25519+MLKEM768_ChaChaPoly_SHA256/Obscura1"
TRANSPORT_VERSION: Final = 1
TERMINATOR_BYTES: Final = 16
_TERMINATORS: Final = b"terminators"
_STATIC_BYTES: Final = POINT_BYTES + TAG_BYTES
_SEALED_EK_BYTES: Final = ENCAPSULATION_KEY_BYTES + TAG_BYTES
_SEALED_CT_BYTES: Final = CIPHERTEXT_BYTES + TAG_BYTES


def prologue(genesis: bytes, mode: Mode, versions: tuple[bytes, bytes] | None = None) -> bytes:
    """What both sides must agree on before the first key.

    Args:
        genesis: hash of the chain's first block, 32 bytes: links of different networks fail.
        mode: how the link began.
        versions: the raw ``version`` payloads that went in clear, the initiator's first: a bit that somebody stripped
            from one fails the handshake.
    """
    return bytes([TRANSPORT_VERSION]) + genesis + bytes([mode.value]) + b"".join(versions or ())


@dataclass(frozen=True, slots=True, repr=False)
class Secured:
    """What a finished handshake gives."""

    sending: CipherState
    receiving: CipherState
    session_id: bytes
    """The hash of the whole transcript, 32 bytes; equal on both sides and on no other link."""
    responder: bytes
    """The responder's static public key."""
    rest: bytes
    """Bytes that came behind the handshake: the first records."""


class _Handshake:
    """What both sides share. The state is the next step: a method that answers whether it got on."""

    __slots__ = ("_garbage", "_keys", "_noise", "_out", "_searched", "_secured", "_step", "_stream", "_terminators")

    def __init__(
        self,
        keys: KeySource,
        start: bytes,
        garbage: bytes,
        pair: HiddenPair | None,
        static: KeyPair | None,
        *,
        initiator: bool,
    ) -> None:
        if len(garbage) > GARBAGE_BYTES:
            msg = f"garbage of {len(garbage)} bytes; {GARBAGE_BYTES} at most"
            raise BugError(msg)

        def draw() -> tuple[KeyPair, bytes]:
            # Security: made when it is sent. Anybody can have us begin a handshake, but answers are rationed.
            drawn = pair or keys.hidden()
            return drawn.pair, drawn.hidden

        symmetric = SymmetricState(PROTOCOL_NAME)
        symmetric.mix_hash(start)
        self._keys = keys
        self._noise = HandshakeState(
            symmetric, keys, initiator=initiator, static=static, ephemeral=draw, point_of=public_of
        )
        self._garbage = garbage
        self._out: list[bytes] = []
        self._stream = bytearray()
        self._searched = 0
        self._terminators = (b"", b"")
        self._secured: Secured | None = None
        self._step: Callable[[], bool] = self._read_ephemeral

    def receive(self, data: bytes) -> Secured | None:
        """Take bytes in any cut; the keys of the link once the handshake is complete, and then never again.

        Raises:
            PeerFault: ``terminator-missing``, ``knock-missing``, ``tag-wrong``, ``kem-malformed``; on the initiator's
                side also ``own-key`` and ``key-changed``, and nothing was sent to who showed that key.
        """
        self._stream += data
        while self._step():
            pass
        secured, self._secured = self._secured, None
        return secured

    @property
    def buffered(self) -> int:
        """Bytes that are kept because what they begin is not whole."""
        return len(self._stream)

    def take_data(self) -> bytes:
        """Drain what is to be sent."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def forget(self) -> None:
        """Drop every key and buffer; what comes then is ignored."""
        self._noise.forget()
        self._stream.clear()
        self._terminators = (b"", b"")
        self._step = self._nothing

    def _read_ephemeral(self) -> bool:
        raise NotImplementedError

    def _nothing(self) -> bool:
        """Waits for the owner, or for nobody."""
        return False

    def _take(self, length: int) -> bytes:
        taken = bytes(self._stream[:length])
        del self._stream[:length]
        return taken

    def _take_garbage(self, terminator: bytes) -> bytes | None:
        """The other side's garbage, once its terminator has come, which is taken too.

        Raises:
            PeerFault: ``terminator-missing``: it cannot come any more.
        """
        end = GARBAGE_BYTES + TERMINATOR_BYTES
        at = self._stream.find(terminator, self._searched, end)
        if at >= 0:
            garbage = self._take(at)
            del self._stream[:TERMINATOR_BYTES]
            return garbage
        if len(self._stream) >= end:
            raise PeerFault("terminator-missing")
        # Bytes that were looked through are not looked through again, however the stream is cut.
        self._searched = max(0, len(self._stream) - TERMINATOR_BYTES + 1)
        return None

    def _agree_on_terminators(self) -> None:
        first, second = self._noise.symmetric.export_pair(_TERMINATORS)
        self._terminators = first[:TERMINATOR_BYTES], second[:TERMINATOR_BYTES]

    def _finish(self, secret: bytes, responder: bytes, *, initiator: bool) -> None:
        symmetric = self._noise.symmetric
        symmetric.mix_key(secret)
        session_id = symmetric.hash
        first, second = symmetric.split()
        sending, receiving = (first, second) if initiator else (second, first)
        rest = bytes(self._stream)
        self.forget()
        self._secured = Secured(sending, receiving, session_id, responder, rest)


class InitiatorHandshake(_Handshake):
    """The side that dialled. M1 is ready at birth, M3 when the handshake is complete.

    Args:
        keys: single-use keys.
        start: see :func:`prologue`.
        garbage: G_i, at most :data:`GARBAGE_BYTES`; random, or what a keyed listener asks for.
        pin: the static key that the responder must show; any if ``None``.
        own: our listeners' public keys: a link to ourselves is recognised by them.
        pair: the ephemeral pair, where it must be a chosen one.
    """

    __slots__ = ("_own", "_pin")

    def __init__(
        self,
        keys: KeySource,
        start: bytes,
        garbage: bytes,
        *,
        pin: bytes | None = None,
        own: tuple[bytes, ...] = (),
        pair: HiddenPair | None = None,
    ) -> None:
        super().__init__(keys, start, garbage, pair, None, initiator=True)
        self._pin = pin
        self._own = own
        self._out += [self._noise.put("e"), garbage]
        self._noise.symmetric.mix_hash(b"")

    def _read_ephemeral(self) -> bool:
        if len(self._stream) < POINT_BYTES:
            return False
        self._noise.take("e", self._take(POINT_BYTES))
        self._noise.take("ee")
        self._agree_on_terminators()
        self._step = self._read_garbage
        return True

    def _read_garbage(self) -> bool:
        garbage = self._take_garbage(self._terminators[1])
        if garbage is None:
            return False
        self._noise.symmetric.mix_hash(garbage)
        self._step = self._read_keys
        return True

    def _read_keys(self) -> bool:
        if len(self._stream) < _STATIC_BYTES + _SEALED_EK_BYTES:
            return False
        noise = self._noise
        noise.take("s", self._take(_STATIC_BYTES))
        noise.take("es")
        encapsulation_key = noise.symmetric.decrypt_and_hash(self._take(_SEALED_EK_BYTES))
        # The tag of the encapsulation key proves that the responder holds the static key: before, anybody could have
        # shown it, and made us cry that a key has changed.
        responder = noise.remote_static or b""
        # Security: the pin first. Who relays our dial to our own listener shows our key, which is not the pinned one.
        if self._pin is not None and responder != self._pin:
            raise PeerFault("key-changed")
        if responder in self._own:
            raise PeerFault("own-key")
        secret, ciphertext = self._keys.encapsulate(encapsulation_key)
        noise.symmetric.mix_hash(self._garbage)
        self._out += [self._terminators[0], noise.symmetric.encrypt_and_hash(ciphertext)]
        self._finish(secret, responder, initiator=True)
        return False


class ResponderHandshake(_Handshake):
    """The side that was dialled. It answers when it :attr:`may_answer` and the owner calls :meth:`answer`.

    Args:
        keys: single-use keys.
        start: see :func:`prologue`.
        static: our identity on this network.
        garbage: G_r, at most :data:`GARBAGE_BYTES`, random.
        access: judges the garbage of the initiator at a keyed listener; everybody may come in if ``None``.
    """

    __slots__ = ("_access", "_kem", "_shown", "_static", "may_answer")

    def __init__(
        self,
        keys: KeySource,
        start: bytes,
        static: KeyPair,
        garbage: bytes,
        *,
        access: Access | None = None,
        pair: HiddenPair | None = None,
    ) -> None:
        super().__init__(keys, start, garbage, pair, static, initiator=False)
        self.may_answer = False
        """M1 has come as far as it must for M2; :meth:`answer` sends it."""
        self._static = static
        self._access = access
        self._kem: KemPair | None = None
        self._shown = b""

    @property
    def initiator_shown(self) -> bytes:
        """The ephemeral bytes of the initiator, once they have come; to tell a replay."""
        return self._shown

    def answer(self) -> None:
        """Compute M2. This is what a handshake costs a responder: about half a millisecond.

        Raises:
            BugError: :attr:`may_answer` is not set.
        """
        if not self.may_answer:
            raise BugError("there is nothing to answer yet")
        self.may_answer = False
        noise = self._noise
        shown = noise.put("e")
        noise.put("ee")
        self._agree_on_terminators()
        noise.symmetric.mix_hash(self._garbage)
        sealed_static = noise.put("s")
        noise.put("es")
        self._kem = self._keys.kem()
        sealed_key = noise.symmetric.encrypt_and_hash(self._kem.encapsulation_key)
        self._out += [shown, self._garbage, self._terminators[1], sealed_static, sealed_key]
        self._step = self._read_garbage

    def _read_ephemeral(self) -> bool:
        if len(self._stream) < POINT_BYTES:
            return False
        self._shown = self._take(POINT_BYTES)
        self._noise.take("e", self._shown)
        self._noise.symmetric.mix_hash(b"")
        self._step = self._await_access
        return True

    def _await_access(self) -> bool:
        """Nothing but garbage can come before M2, as the terminator depends on it. Who sends more has failed already;
        but a prefix of the stream may have earned an answer, and gets it, however the stream was cut."""
        del self._stream[GARBAGE_BYTES + TERMINATOR_BYTES :]
        if not self.may_answer:
            if self._access is None or self._access.admits(self._shown, self._stream[:GARBAGE_BYTES]):
                self.may_answer = True
            elif len(self._stream) > GARBAGE_BYTES:
                raise PeerFault("knock-missing")
        return False

    def _read_garbage(self) -> bool:
        garbage = self._take_garbage(self._terminators[0])
        if garbage is None:
            return False
        self._noise.symmetric.mix_hash(garbage)
        self._step = self._read_ciphertext
        return True

    def _read_ciphertext(self) -> bool:
        if len(self._stream) < _SEALED_CT_BYTES:
            return False
        assert self._kem is not None, "made with the answer"
        ciphertext = self._noise.symmetric.decrypt_and_hash(self._take(_SEALED_CT_BYTES))
        secret = self._kem.decapsulate(ciphertext)
        self._kem = None
        self._finish(secret, self._static.public, initiator=False)
        return False
