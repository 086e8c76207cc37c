"""Static public keys and access secrets as text that people pass on (docs/protocol.md, "Identity and pins").

Lower-case base32 (RFC 4648, without padding) of 32 bytes and a checksum of two. The checksum is made under another tag
for each kind, so that a secret that is pasted where a key belongs, or the other way round, is refused like a typing
mistake. A mistake passes once in 65,536 times; the handshake then fails by the wrong key.

Privacy: no error quotes what was given, as it may be a secret.
"""

from __future__ import annotations

import hashlib
from base64 import b32decode, b32encode
from enum import Enum
from typing import Final

from ..base.errors import LocalError

KEY_BYTES: Final = 32
"""Length of a static public key (X25519) and of an access secret."""
KEY_TEXT_LENGTH: Final = 55
"""Characters of the text: 272 bits at five each; the last three bits are zero."""
_ALPHABET: Final = frozenset("abcdefghijklmnopqrstuvwxyz234567")


class KeyKind(Enum):
    """What a text stands for: the name in errors, and the checksum's tag."""

    KEY = ("key", b"obscura key")
    SECRET = ("access secret", b"obscura secret")

    def checksum(self, raw: bytes) -> bytes:
        """The two bytes that follow ``raw``."""
        return hashlib.sha256(self.value[1] + raw).digest()[:2]


class KeyTextError(LocalError):
    """A text is not a key, or not an access secret; the error says what is wrong without quoting it."""


def key_text(key: bytes) -> str:
    """The text of a static public key of 32 bytes."""
    return _encode(KeyKind.KEY, key)


def secret_text(secret: bytes) -> str:
    """The text of an access secret of 32 bytes. Loud on purpose: whoever has it reaches the keyed listener."""
    return _encode(KeyKind.SECRET, secret)


def parse_key(text: str) -> bytes:
    """Read the text of a static public key.

    Raises:
        KeyTextError: it is none.
    """
    return _decode(KeyKind.KEY, text)


def parse_secret(text: str) -> bytes:
    """Read the text of an access secret.

    Raises:
        KeyTextError: it is none.
    """
    return _decode(KeyKind.SECRET, text)


def _encode(kind: KeyKind, raw: bytes) -> str:
    if len(raw) != KEY_BYTES:
        msg = f"a {kind.value[0]} has {KEY_BYTES} bytes, not {len(raw)}"
        raise ValueError(msg)
    return b32encode(raw + kind.checksum(raw)).decode().lower().rstrip("=")


def _decode(kind: KeyKind, text: str) -> bytes:
    name = kind.value[0]
    if text != text.lower():
        raise KeyTextError(f"the {name} has upper-case letters: it is written in lower case, copy it as it was shown")
    if len(text) != KEY_TEXT_LENGTH:
        raise KeyTextError(f"the {name} has {len(text)} characters, it must have {KEY_TEXT_LENGTH}: copy all of it")
    if not _ALPHABET.issuperset(text):
        raise KeyTextError(f"the {name} has a character that base32 has not (a to z and 2 to 7): a typing mistake")
    data = b32decode(text.upper() + "=")
    raw, checksum = data[:KEY_BYTES], data[KEY_BYTES:]
    # A decoder passes over the last character's spare bits, where a mistake hides.
    if checksum == kind.checksum(raw) and b32encode(data).decode().lower().rstrip("=") == text:
        return raw
    for other in KeyKind:
        if other is not kind and checksum == other.checksum(raw):
            raise KeyTextError(f"the {other.value[0]} stands where the {name} belongs")
    raise KeyTextError(f"the {name}'s checksum is wrong: look for a typing mistake")
