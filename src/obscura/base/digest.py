"""The digest of Bitcoin's formats: it names headers, blocks and transactions, and checks frames."""

from __future__ import annotations

from hashlib import sha256


def double_sha256(data: bytes | bytearray | memoryview) -> bytes:
    """SHA-256 of SHA-256 of ``data``, 32 bytes in wire order."""
    return sha256(sha256(data).digest()).digest()
