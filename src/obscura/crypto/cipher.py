"""A cipher with a key and a counter: Noise's CipherState (revision 34, section 5.1) with ChaCha20-Poly1305."""

from __future__ import annotations

from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from ..base.errors import BugError, PeerFault

KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
_NONCE: Final = Struct("<4xQ")  # Noise section 12.3: 32 zero bits, then the counter
_LAST: Final = (1 << 64) - 1  # reserved for REKEY


class CipherState:
    """One key and the number of times it was used.

    Args:
        key: 32 bytes.
        counter: where to go on, for tests of the end of the range.

    Each call of :meth:`seal` and each successful one of :meth:`open` uses up one value of the counter. A counter that
    would wrap raises; a link is rekeyed long before (limits: RECORDS_PER_KEY).
    """

    __slots__ = ("_aead", "_key", "counter")

    def __init__(self, key: bytes, counter: int = 0) -> None:
        if len(key) != KEY_BYTES:
            msg = f"a key has {KEY_BYTES} bytes, not {len(key)}"
            raise BugError(msg)
        self._key = key
        self._aead: ChaCha20Poly1305 | None = ChaCha20Poly1305(key)
        self.counter = counter

    def __repr__(self) -> str:
        return f"CipherState(<key>, counter={self.counter})"

    def seal(self, plain: bytes | bytearray | memoryview, associated: bytes | None = None) -> bytes:
        """Encrypt and authenticate: as long as ``plain`` and 16 bytes more.

        Raises:
            BugError: the counter is used up, or the key was forgotten.
        """
        sealed = self._usable().encrypt(_NONCE.pack(self.counter), plain, associated)
        self.counter += 1
        return sealed

    def open(self, sealed: bytes | bytearray | memoryview, associated: bytes | None = None) -> bytes:
        """The plaintext.

        Raises:
            PeerFault: ``tag-wrong``; the counter stands where it stood.
            BugError: as for :meth:`seal`.
        """
        try:
            plain = self._usable().decrypt(_NONCE.pack(self.counter), sealed, associated)
        except InvalidTag:
            raise PeerFault("tag-wrong") from None
        self.counter += 1
        return plain

    def rekey(self) -> None:
        """Replace the key by REKEY(key) and start the counter again (Noise section 4.2 and 11.3).

        Who takes the new key cannot compute the old one. Noise leaves the counter as it is; here it starts again,
        because no value of it is ever used twice under one key (transport: "Records").
        """
        aead = self._usable()
        self._key = aead.encrypt(_NONCE.pack(_LAST), bytes(KEY_BYTES), None)[:KEY_BYTES]
        self._aead = ChaCha20Poly1305(self._key)
        self.counter = 0

    def forget(self) -> None:
        """Drop the key; nothing can be sealed or opened any more."""
        self._key = b""
        self._aead = None

    def _usable(self) -> ChaCha20Poly1305:
        if self._aead is None:
            raise BugError("the key of this cipher was forgotten")
        if self.counter >= _LAST:
            raise BugError("the counter of this cipher is used up")
        return self._aead
