"""Keys and secrets as text: round trip, two kinds that cannot be mixed up, and every kind of typing mistake."""

from __future__ import annotations

import pytest

from obscura.wire.keytext import KEY_TEXT_LENGTH, KeyTextError, key_text, parse_key, parse_secret, secret_text

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
KEY = bytes(range(32))


def test_the_form() -> None:
    text = key_text(KEY)
    # sha256sum of "obscura key" and the bytes 00 01 … 1f begins with cb f8.
    assert text == "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dyp4x6a"
    assert len(text) == KEY_TEXT_LENGTH == len(secret_text(KEY))
    assert parse_key(text) == KEY
    assert parse_secret(secret_text(KEY)) == KEY
    assert text[:51] == secret_text(KEY)[:51], "the bytes are the same"
    assert text != secret_text(KEY), "the checksums are not"


def test_one_is_not_pasted_for_the_other() -> None:
    with pytest.raises(KeyTextError, match="access secret stands where the key belongs"):
        parse_key(secret_text(KEY))
    with pytest.raises(KeyTextError, match="key stands where the access secret belongs"):
        parse_secret(key_text(KEY))


def test_every_single_mistake_is_found() -> None:
    # 1,705 changes each; one in 65,536 escapes a checksum of two bytes, and for this key none does.
    for write, read in ((key_text, parse_key), (secret_text, parse_secret)):
        text = write(KEY)
        for at, char in enumerate(text):
            for other in ALPHABET:
                if other != char:
                    with pytest.raises(KeyTextError):
                        read(text[:at] + other + text[at + 1 :])


def test_spare_bits_are_zero() -> None:
    text = key_text(KEY)
    place = ALPHABET.index(text[-1])
    assert place % 8 == 0
    for spare in range(1, 8):
        with pytest.raises(KeyTextError, match="checksum"):
            parse_key(text[:-1] + ALPHABET[place + spare])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 characters, it must have 55"),
        (key_text(KEY)[:-1], "54 characters"),
        (key_text(KEY) + "=", "56 characters"),
        (key_text(KEY).upper(), "lower case"),
        (key_text(KEY)[:-1] + "1", "base32 has not"),
        (key_text(KEY)[:-1] + "\u0131", "base32 has not"),
        (key_text(KEY)[:-1] + "\n", "base32 has not"),
        ("a" * 55, "checksum is wrong"),
    ],
)
def test_refusals_say_why_and_quote_nothing(text: str, said: str) -> None:
    with pytest.raises(KeyTextError, match=said) as caught:
        parse_key(text)
    assert "\n" not in str(caught.value)
    assert not text or text[:20].lower() not in str(caught.value).lower()


def test_other_lengths_have_no_text() -> None:
    for length in (0, 31, 33):
        with pytest.raises(ValueError, match="32 bytes"):
            key_text(bytes(length))
        with pytest.raises(ValueError, match="32 bytes"):
            secret_text(bytes(length))
