"""Sealing what is kept, against the standard's own vector."""

from __future__ import annotations

import pytest

from obscura.base.errors import BugError
from obscura.crypto.sealing import NONCE_BYTES, Sealer

KEY, NONCE = bytes(range(0x80, 0xA0)), bytes.fromhex("070000004041424344454647")


def test_rfc_8439() -> None:
    """Section 2.8.2."""
    plain = b"Ladies and Gentlemen of the class of '99: If I could offer you "
    plain += b"only one tip for the future, sunscreen would be it."
    associated = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    sealed = Sealer(KEY).seal(plain, associated, NONCE)
    assert sealed[:NONCE_BYTES] == NONCE
    assert sealed[NONCE_BYTES:].hex() == (
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e06"
        "0b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d265"
        "86cec64b61161ae10b594f09e26a7e902ecbd0600691"
    )
    assert Sealer(KEY).open(sealed, associated) == plain


def test_nothing_else_opens() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(b"plain", b"mine", NONCE)
    assert sealer.open(sealed, b"mine") == b"plain"
    assert sealer.open(sealed, b"yours") is None
    assert Sealer(bytes(32)).open(sealed, b"mine") is None
    for at in range(len(sealed)):
        assert sealer.open(sealed[:at], b"mine") is None
        assert sealer.open(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], b"mine") is None
    assert sealer.open(sealed + b"\0", b"mine") is None


def test_wrong_lengths_are_defects_of_ours() -> None:
    with pytest.raises(BugError, match="a key has 32 bytes, not 31"):
        Sealer(bytes(31))
    with pytest.raises(BugError, match="a nonce has 12 bytes, not 24"):
        Sealer(KEY).seal(b"", b"", bytes(24))


def test_it_redacts_itself() -> None:
    assert repr(Sealer(KEY)) == "Sealer(<key>)"
