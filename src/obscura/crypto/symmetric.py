"""Noise's SymmetricState (revision 34, section 5.2) over SHA-256 and ChaCha20-Poly1305."""

from __future__ import annotations

import hashlib

from .cipher import KEY_BYTES, CipherState
from .kdf import HASH_BYTES, hkdf_pair


class SymmetricState:
    """The transcript's hash, the chaining key, and the cipher of a handshake.

    Args:
        protocol_name: names pattern and primitives; hashed if it is longer than a hash.
    """

    __slots__ = ("_chaining_key", "_cipher", "hash")

    def __init__(self, protocol_name: bytes) -> None:
        self.hash = (
            protocol_name.ljust(HASH_BYTES, b"\0")
            if len(protocol_name) <= HASH_BYTES
            else hashlib.sha256(protocol_name).digest()
        )
        """Of everything so far; both sides have the same or the handshake fails. Not secret."""
        self._chaining_key = self.hash
        self._cipher: CipherState | None = None

    def __repr__(self) -> str:
        return "SymmetricState(<keys>)"

    def mix_hash(self, data: bytes) -> None:
        """Add ``data`` to the transcript."""
        self.hash = hashlib.sha256(self.hash + data).digest()

    def mix_key(self, secret: bytes) -> None:
        """Add a secret: all keys from here on depend on it and on those before."""
        self._chaining_key, key = hkdf_pair(self._chaining_key, secret)
        self._cipher = CipherState(key[:KEY_BYTES])

    def export_pair(self, label: bytes) -> tuple[bytes, bytes]:
        """Two strings of 32 bytes that only both sides can compute now; the chaining key stays as it is."""
        return hkdf_pair(self._chaining_key, self.hash + label)

    def encrypt_and_hash(self, plain: bytes) -> bytes:
        """``plain`` sealed under the transcript, or as it is while there is no key."""
        sealed = plain if self._cipher is None else self._cipher.seal(plain, self.hash)
        self.mix_hash(sealed)
        return sealed

    def decrypt_and_hash(self, sealed: bytes) -> bytes:
        """What was given to :meth:`encrypt_and_hash`.

        Raises:
            PeerFault: ``tag-wrong``: keys or transcripts differ.
        """
        plain = sealed if self._cipher is None else self._cipher.open(sealed, self.hash)
        self.mix_hash(sealed)
        return plain

    @property
    def has_key(self) -> bool:
        """Whether :meth:`encrypt_and_hash` encrypts, and adds a tag."""
        return self._cipher is not None

    def split(self) -> tuple[CipherState, CipherState]:
        """The ciphers of the two directions, the initiator's first. The handshake's keys are forgotten."""
        first, second = hkdf_pair(self._chaining_key, b"")
        self.forget()
        return CipherState(first), CipherState(second)

    def forget(self) -> None:
        """Drop all keys."""
        self._chaining_key = b""
        if self._cipher is not None:
            self._cipher.forget()
