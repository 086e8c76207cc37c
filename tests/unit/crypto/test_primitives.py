"""Elligator's representatives, ML-KEM's edges, and derivation against the standards' own vectors."""

from __future__ import annotations

import pytest

from obscura.base.errors import PeerFault
from obscura.crypto.agreement import KeyPair
from obscura.crypto.elligator import draw_hidden, public_of
from obscura.crypto.kdf import hkdf_pair, hmac_sha256, same
from obscura.crypto.kem import CIPHERTEXT_BYTES, ENCAPSULATION_KEY_BYTES, KemPair, encapsulate


class Never:
    def token(self, length: int) -> bytes:
        raise AssertionError(length)


def test_both_sides_of_a_hidden_pair_agree() -> None:
    for _ in range(20):
        one, other = draw_hidden(), draw_hidden()
        secret = one.pair.agree(public_of(other.hidden), Never())
        assert secret == other.pair.agree(public_of(one.hidden), Never())
        # The point that is seen differs from the clean public key by its component of low order, seven times of eight;
        # a partner that uses the clean one agrees all the same.
        assert secret == one.pair.agree(other.pair.public, Never())


def test_representatives_use_all_256_bits() -> None:
    drawn = [draw_hidden().hidden for _ in range(400)]
    for byte in range(32):
        for bit in range(8):
            ones = sum(value[byte] >> bit & 1 for value in drawn)
            # 400 draws: seven standard deviations; a bit that is fixed, or set in a third of all cases, is far outside.
            assert 130 < ones < 270, (byte, bit)


def test_the_points_are_not_all_in_one_subgroup() -> None:
    """Most of the points that are seen are not the clean public key: that alone would tell a recording apart."""
    drawn = [draw_hidden() for _ in range(64)]
    dirty = sum(public_of(hidden.hidden) != hidden.pair.public for hidden in drawn)
    assert 40 < dirty < 64


def test_the_top_bits_are_ignored() -> None:
    hidden = bytearray(draw_hidden().hidden)
    points = set()
    for top in range(4):
        hidden[31] = hidden[31] & 0x3F | top << 6
        points.add(public_of(bytes(hidden)))
    assert len(points) == 1


def test_rfc_7748() -> None:
    """Section 5.2: the first iteration of the repeated use of one scalar as both inputs, and the thousandth."""
    scalar = point = (9).to_bytes(32, "little")
    for at in range(1, 1001):
        scalar, point = KeyPair(scalar).agree(point, Never()), scalar
        if at == 1:
            assert scalar.hex() == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
    assert scalar.hex() == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"


def test_ml_kem() -> None:
    pair = KemPair()
    assert len(pair.encapsulation_key) == ENCAPSULATION_KEY_BYTES
    secret, ciphertext = encapsulate(pair.encapsulation_key)
    assert len(ciphertext) == CIPHERTEXT_BYTES
    assert pair.decapsulate(ciphertext) == secret
    wrong = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    assert pair.decapsulate(wrong) not in (secret, b"")
    assert pair.decapsulate(wrong) == pair.decapsulate(wrong), "implicit rejection is deterministic"


def test_ml_kem_refuses_what_is_no_key() -> None:
    for wrong in (b"", bytes(1183), b"\xff" * 1184):
        with pytest.raises(PeerFault, match="kem-malformed"):
            encapsulate(wrong)
    for length in (0, 1087, 1089):
        with pytest.raises(PeerFault, match="kem-malformed"):
            KemPair().decapsulate(bytes(length))


def test_a_kem_pair_from_its_seed() -> None:
    assert KemPair(bytes(64)).encapsulation_key == KemPair(bytes(64)).encapsulation_key
    assert KemPair(bytes(64)).encapsulation_key != KemPair(b"\1" * 64).encapsulation_key


def test_derivation_is_that_of_rfc_5869() -> None:
    # HKDF as Noise writes it: three HMACs.
    first, second = hkdf_pair(b"\x0b" * 32, b"material")
    temporary = hmac_sha256(b"\x0b" * 32, b"material")
    assert first == hmac_sha256(temporary, b"\x01")
    assert second == hmac_sha256(temporary, first + b"\x02")


def test_rfc_4231() -> None:
    assert hmac_sha256(b"\x0b" * 20, b"Hi There").hex() == (
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    )
    assert same(b"one", b"one")
    assert not same(b"one", b"two")
