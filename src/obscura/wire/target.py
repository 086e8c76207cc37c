"""Whom an operator wants dialled, and how: an address with a transport mode, a key, an access secret.

Texts: ``HOST:PORT`` · ``obscura://KEY@HOST:PORT`` · ``obscura://KEY.SECRET@HOST:PORT`` · ``veiled://HOST:PORT`` ·
``literal://HOST:PORT`` · ``plain://HOST:PORT``. Without a scheme the mode is the node's own (``--transport``).

Security: a key goes with the veiled channel alone. Under ``plain`` whoever is on the path could strip the channel, and
the key would promise what nobody checks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from .address import AddressError, NetAddress, Network, parse_address
from .keytext import KEY_BYTES, KeyTextError, key_text, parse_key, parse_secret, secret_text


class Mode(Enum):
    """How a link is opened; the values are those of the handshake's prologue. Members are true in conditions."""

    VEILED = 0
    """The encrypted channel from the first byte."""
    LITERAL = 1
    """``version`` in clear, the channel after it."""
    PLAIN = 2
    """In clear, unless both sides ask for the channel."""


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """An address that an operator named.

    Args:
        address: where it is.
        mode: how to open the link; ``None`` is the node's own mode.
        key: the 32 bytes of the static key that must answer, where the operator gave it; then the mode is VEILED.
        secret: the 32 bytes that a keyed listener asks for; only with a key.

    Raises:
        ValueError: the parts contradict each other.
    """

    address: NetAddress
    mode: Mode | None = None
    key: bytes | None = None
    secret: bytes | None = None

    def __post_init__(self) -> None:
        for name, value in (("key", self.key), ("secret", self.secret)):
            if value is not None and len(value) != KEY_BYTES:
                msg = f"a {name} has {KEY_BYTES} bytes, not {len(value)}"
                raise ValueError(msg)
        if self.key is not None and self.mode is not Mode.VEILED:
            msg = "a target with a key is veiled"
            raise ValueError(msg)
        if self.secret is not None and self.key is None:
            msg = "an access secret belongs to a key"
            raise ValueError(msg)

    def __repr__(self) -> str:
        parts = [repr(self.address), "own mode" if self.mode is None else self.mode.name]
        parts += ["key redacted"] if self.key is not None else []
        parts += ["secret redacted"] if self.secret is not None else []
        return f"Target({', '.join(parts)})"

    __str__ = __repr__


_URL: Final = "obscura"
_QUOTABLE: Final = 64
"""Characters: no text of an address is longer, but of those that consist of a key."""
_KEY_LIKE: Final = re.compile("[A-Za-z2-7]{20}")
"""A part of a key or of a secret, even of one that was copied badly; no IP address has one."""
_NAMED_BY_KEY: Final = re.compile(r"[A-Za-z2-7]{56}\.onion:|[A-Za-z2-7]{52}\.b32\.i2p")
_SCHEMES: Final = {mode.name.lower(): mode for mode in Mode}
_KNOWN: Final = ", ".join(f"{scheme}://" for scheme in (_URL, *_SCHEMES))


def parse_target(text: str) -> Target:
    """Read a target; see the head of this file for the forms.

    Raises:
        AddressError: anything else, in one line that says what is wanted and quotes neither key nor secret.
    """
    text = text.strip()
    scheme, mark, rest = text.partition("://")
    if not mark:
        if "@" in text:
            msg = f"a key before @ needs its scheme: obscura://KEY@{_shown_after_key(text)}"
            raise AddressError(msg)
        return Target(_dialable(text))
    if scheme == _URL:
        return _parse_url(rest)
    mode = _SCHEMES.get(scheme)
    if mode is None:
        hint = "schemes are in lower case: " if scheme.lower() in (_URL, *_SCHEMES) else "known are "
        # What stands before @ may be a secret, whatever the scheme, and so may the scheme.
        msg = f"{_shown(scheme[:20])!r} is no scheme of an address; {hint}{_KNOWN}, or HOST:PORT alone"
        raise AddressError(msg)
    if "@" in rest:
        msg = f"{scheme}://…@{_shown_after_key(rest)}: a key goes with obscura:// alone, {scheme} has no place for one"
        raise AddressError(msg)
    return Target(_dialable(rest), mode)


def refuse_secrets(text: str) -> None:
    """Refuse a text that is to be an address alone, if a key or a secret may be in it.

    Raises:
        AddressError: it may; nothing is quoted.
    """
    if "://" in text or "@" in text:
        raise AddressError("an address alone is wanted here, HOST:PORT without a scheme or a key")
    if not _is_quotable(text):
        raise AddressError("what was given is no address, and not shown because a key may be in it: HOST:PORT")


def target_text(target: Target) -> str:
    """The text that :func:`parse_target` reads as ``target``. Loud on purpose: it reveals address, key and secret."""
    where = target.address.reveal()
    if target.key is not None:
        secret = "" if target.secret is None else f".{secret_text(target.secret)}"
        return f"{_URL}://{key_text(target.key)}{secret}@{where}"
    return where if target.mode is None else f"{target.mode.name.lower()}://{where}"


def _parse_url(rest: str) -> Target:
    words, mark, where = rest.rpartition("@")
    if not mark:
        msg = f"obscura:// needs a key, obscura://KEY@HOST:PORT; without one write HOST:PORT, or {_schemes_alone()}"
        raise AddressError(msg)
    address = _dialable(where)
    key, dot, secret = words.partition(".")
    try:
        return Target(address, Mode.VEILED, parse_key(key), parse_secret(secret) if dot else None)
    except KeyTextError as error:
        msg = f"obscura://…@{address.reveal()}: {error}"
        raise AddressError(msg) from error


def _dialable(text: str) -> NetAddress:
    if not _is_quotable(text):
        # Privacy: an address error quotes what was given.
        msg = (
            "what was given is no address, and not shown because a key or an access secret may be in it: "
            "HOST:PORT, obscura://KEY@HOST:PORT, or obscura://KEY.SECRET@HOST:PORT"
        )
        raise AddressError(msg)
    address = parse_address(text)
    # I2P's streams have no ports; elsewhere nothing listens on 0.
    if address.port == 0 and address.network is not Network.I2P:
        msg = f"{text!r}: port 0 cannot be dialled"
        raise AddressError(msg)
    return address


def _is_quotable(text: str) -> bool:
    """Whether an error may show this part of what was given: nothing of a secret can be in it."""
    named_by_key = _NAMED_BY_KEY.match(text)
    rest = text if named_by_key is None else text[named_by_key.end() :]
    return len(rest) <= _QUOTABLE and _KEY_LIKE.search(rest) is None


def _shown(text: str) -> str:
    return text if _is_quotable(text) else "…"


def _shown_after_key(text: str) -> str:
    return _shown(text.rpartition("@")[2])


def _schemes_alone() -> str:
    return " or ".join(f"{scheme}://HOST:PORT" for scheme in _SCHEMES)
