"""X25519 (RFC 7748): key pairs and shared secrets."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from ..base.randomness import Secrets

POINT_BYTES: Final = 32


class KeyPair:
    """A private key and its public key.

    Args:
        private: 32 bytes, clamped by the library when it is used.
    """

    __slots__ = ("_private", "public")

    def __init__(self, private: bytes) -> None:
        self._private = X25519PrivateKey.from_private_bytes(private)
        self.public = self._private.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return "KeyPair(<private key>)"

    @classmethod
    def generate(cls, secrets: Secrets) -> KeyPair:
        """A new pair."""
        return cls(secrets.token(POINT_BYTES))

    def private_bytes(self) -> bytes:
        """The 32 bytes that :class:`KeyPair` takes; for the file in which a static key is kept."""
        return self._private.private_bytes_raw()

    def agree(self, public: bytes, secrets: Secrets) -> bytes:
        """The secret that both sides compute, 32 bytes.

        A point of low order gives a secret that everybody knows. It is not refused: that would be an answer of its
        own, which a prober could look for. A random secret stands in for it, so that the handshake goes on, and fails,
        like any other with somebody who does not know the keys (transport: "Handshake").
        """
        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:
            return secrets.token(POINT_BYTES)
