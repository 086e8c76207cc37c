"""Sealing what is kept: ChaCha20-Poly1305 (RFC 8439) with a nonce that travels with what it has sealed."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from ..base.errors import BugError
from .cipher import KEY_BYTES, TAG_BYTES

NONCE_BYTES: Final = 12


class Sealer:
    """One key for many messages, in any order and over many runs.

    Args:
        key: 32 bytes, uniformly random.

    Nonces are drawn at random, so that nothing has to be counted across runs. They have 96 bits: one key must seal no
    more than 2^32 messages, or two of them meet with a probability of more than 2^-33.
    """

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise BugError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
        self._aead = ChaCha20Poly1305(key)

    def __repr__(self) -> str:
        return "Sealer(<key>)"

    def seal(self, plain: bytes, associated: bytes, nonce: bytes) -> bytes:
        """Encrypt and authenticate: the nonce, and what is as long as ``plain`` and 16 bytes more.

        Args:
            plain: what is to be read by who has the key alone.
            associated: what it belongs to; it opens with the same bytes only.
            nonce: 12 random bytes, never used before with this key.

        Raises:
            BugError: the nonce is of another length.
        """
        if len(nonce) != NONCE_BYTES:
            raise BugError(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
        return nonce + self._aead.encrypt(nonce, plain, associated)

    def open(self, sealed: bytes, associated: bytes) -> bytes | None:
        """The plaintext; ``None`` if this was not sealed with this key for the same ``associated``."""
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            return None
        try:
            return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], associated)
        except InvalidTag:
            return None
