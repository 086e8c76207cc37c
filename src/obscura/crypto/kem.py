"""ML-KEM-768 (FIPS 203): a secret that a later quantum computer does not find in a recording."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey

from ..base.errors import PeerFault

ENCAPSULATION_KEY_BYTES: Final = 1_184
CIPHERTEXT_BYTES: Final = 1_088
SHARED_BYTES: Final = 32


class KemPair:
    """A decapsulation key and its encapsulation key. For one handshake.

    Args:
        seed: the 64 bytes (d ‖ z) of FIPS 203, for vectors; new ones from the operating system if ``None``.
    """

    __slots__ = ("_private", "encapsulation_key")

    def __init__(self, seed: bytes | None = None) -> None:
        self._private = MLKEM768PrivateKey.generate() if seed is None else MLKEM768PrivateKey.from_seed_bytes(seed)
        self.encapsulation_key = self._private.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return "KemPair(<private key>)"

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The shared secret, 32 bytes. A wrong ciphertext gives a wrong secret, not an error (implicit rejection).

        Raises:
            PeerFault: the ciphertext has not :data:`CIPHERTEXT_BYTES`.
        """
        if len(ciphertext) != CIPHERTEXT_BYTES:
            raise PeerFault("kem-malformed", f"{len(ciphertext)} bytes of ciphertext")
        return self._private.decapsulate(ciphertext)


def encapsulate(encapsulation_key: bytes) -> tuple[bytes, bytes]:
    """A new shared secret (32 bytes) and the ciphertext (1,088 bytes) from which its holder computes it.

    Raises:
        PeerFault: the key is none (FIPS 203, section 7.2: wrong length, or a coefficient that is not reduced).
    """
    try:
        return MLKEM768PublicKey.from_public_bytes(encapsulation_key).encapsulate()
    except ValueError:
        raise PeerFault("kem-malformed", "the encapsulation key is not valid") from None
