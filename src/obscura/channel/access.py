"""Who may knock at a keyed listener (transport: "Keyed listener").

The garbage of an initiator that holds the listener's secret is ``pad ‖ mark ‖ mac``. The mark lets the responder find
the mac without a length field; the mac binds ephemeral key, padding and hour. To everybody else it is random garbage,
and a listener that is not shown one never answers.
"""

from __future__ import annotations

from typing import Final, Protocol

from ..base.errors import BugError
from ..base.limits import GARBAGE_BYTES
from ..crypto.kdf import hmac_sha256, same

SECRET_BYTES: Final = 32
MARK_BYTES: Final = 16
MAC_BYTES: Final = 16
PAD_BYTES: Final = GARBAGE_BYTES - MARK_BYTES - MAC_BYTES  # 4,063
HOUR_S: Final = 3_600


class Access(Protocol):
    """What a responder asks before it answers."""

    def admits(self, shown: bytes, garbage: bytes | bytearray) -> bool:
        """Whether M2 may be sent to who has sent these ephemeral bytes and, so far, this garbage."""
        ...


def _mark(secret: bytes, shown: bytes) -> bytes:
    return hmac_sha256(secret, b"mark" + shown)[:MARK_BYTES]


def _mac(secret: bytes, shown: bytes, padded: bytes, hour: int) -> bytes:
    return hmac_sha256(secret, b"mac" + shown + padded + hour.to_bytes(8, "little"))[:MAC_BYTES]


def access_garbage(secret: bytes, shown: bytes, pad: bytes, hour: int) -> bytes:
    """G_i for a keyed listener.

    Args:
        secret: the listener's, 32 bytes.
        shown: e_i as it goes over the wire.
        pad: random bytes, at most :data:`PAD_BYTES`.
        hour: Unix hours by our clock.
    """
    if len(pad) > PAD_BYTES:
        msg = f"{len(pad)} bytes of padding; {PAD_BYTES} at most"
        raise BugError(msg)
    padded = pad + _mark(secret, shown)
    return padded + _mac(secret, shown, padded, hour)


class SecretAccess:
    """Implements :class:`Access` for one connection: one HMAC, then a substring search for each arrival.

    Args:
        secret: the listener's.
        hour: Unix hours when the connection was made; one less and one more are accepted, for clocks that differ.
    """

    __slots__ = ("_hour", "_judged", "_mark", "_searched", "_secret")

    def __init__(self, secret: bytes, hour: int) -> None:
        self._secret = secret
        self._hour = hour
        self._mark = b""
        self._searched = 0
        self._judged = False

    def admits(self, shown: bytes, garbage: bytes | bytearray) -> bool:
        """See :class:`Access`."""
        if self._judged:
            # One whole knock is looked at: a copied mark before a wrong mac must not cost three HMACs for each arrival.
            return False
        if not self._mark:
            self._mark = _mark(self._secret, shown)
        at = garbage.find(self._mark, self._searched)
        if at < 0:
            self._searched = max(0, len(garbage) - MARK_BYTES + 1)
            return False
        self._searched = at
        end = at + MARK_BYTES
        mac = bytes(garbage[end : end + MAC_BYTES])
        if len(mac) < MAC_BYTES:
            return False
        self._judged = True
        padded = bytes(garbage[:end])
        fits = False
        for hour in (self._hour - 1, self._hour, self._hour + 1):
            # All three are computed, whichever fits: the time tells nothing about the clock.
            fits |= hour >= 0 and same(_mac(self._secret, shown, padded, hour), mac)
        return fits
