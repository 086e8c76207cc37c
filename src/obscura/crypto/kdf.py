"""Key derivation and message authentication over SHA-256."""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HASH_BYTES: Final = 32


def hkdf_pair(chaining_key: bytes, material: bytes) -> tuple[bytes, bytes]:
    """Noise's HKDF with two outputs of 32 bytes (revision 34, section 4.3), which is RFC 5869 with no ``info``."""
    both = HKDF(hashes.SHA256(), 2 * HASH_BYTES, chaining_key, b"").derive(material)
    return both[:HASH_BYTES], both[HASH_BYTES:]


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256, 32 bytes."""
    return hmac.digest(key, data, "sha256")


def same(one: bytes, other: bytes) -> bool:
    """Whether two strings are equal, in time that does not depend on where they differ."""
    return hmac.compare_digest(one, other)
