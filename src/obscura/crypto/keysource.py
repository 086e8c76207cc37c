"""Where a handshake's single-use keys come from, with pools that are filled while the node is idle.

Making a hidden key pair costs about 100 µs and a KEM pair about as much: more than everything else that answering a
handshake costs. A flood then meets filled pools first. What is taken from a pool is never put back.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from ..base.limits import HANDSHAKE_POOL, PRINTABLE_DRAWS
from ..base.randomness import Secrets
from .elligator import HiddenPair, draw_hidden, draw_printable
from .kem import KemPair, encapsulate


class KeySource(Secrets, Protocol):
    """Single-use keys, and random bytes."""

    def hidden(self) -> HiddenPair:
        """A hidden X25519 pair that nobody has seen."""
        ...

    def printable(self) -> HiddenPair:
        """A hidden pair that nobody has seen, whose first six bytes are printable ASCII (transport: "Prefix
        profile")."""
        ...

    def kem(self) -> KemPair:
        """A KEM pair that nobody has seen."""
        ...

    def encapsulate(self, encapsulation_key: bytes) -> tuple[bytes, bytes]:
        """See :func:`obscura.crypto.kem.encapsulate`."""
        ...


class PooledKeys:
    """Implements :class:`KeySource` by the libraries, which draw from the operating system.

    Args:
        secrets: for random bytes.
        size: pairs that each pool holds when it is full.
        printable: the same, of pairs whose first bytes are printable; each costs some 40 ms.
    """

    def __init__(self, secrets: Secrets, size: int = HANDSHAKE_POOL, printable: int = 0) -> None:
        self._secrets = secrets
        self._size = size
        self._hidden: deque[HiddenPair] = deque()
        self._kem: deque[KemPair] = deque()
        self._printable_size = printable
        self._printable: deque[HiddenPair] = deque()

    def __repr__(self) -> str:
        return f"PooledKeys(<{len(self._hidden)} and {len(self._kem)} keys>)"

    @property
    def is_full(self) -> bool:
        """Nothing is left for :meth:`fill_one`."""
        return (
            len(self._hidden) >= self._size
            and len(self._kem) >= self._size
            and len(self._printable) >= self._printable_size
        )

    def fill_one(self) -> None:
        """Make one pair for the pool that is emptier, if one is not full, or try for a printable one: about 1 ms at
        most."""
        if len(self._printable) < self._printable_size and (pair := draw_printable(PRINTABLE_DRAWS)) is not None:
            self._printable.append(pair)
        if len(self._hidden) <= len(self._kem):
            if len(self._hidden) < self._size:
                self._hidden.append(draw_hidden())
        elif len(self._kem) < self._size:
            self._kem.append(KemPair())

    def token(self, length: int) -> bytes:
        """See :class:`~obscura.base.randomness.Secrets`."""
        return self._secrets.token(length)

    def hidden(self) -> HiddenPair:
        """See :class:`KeySource`."""
        return self._hidden.popleft() if self._hidden else draw_hidden()

    def printable(self) -> HiddenPair:
        """See :class:`KeySource`."""
        if self._printable:
            return self._printable.popleft()
        pair = draw_printable()
        assert pair is not None, "without a bound it goes on until there is one"
        return pair

    def kem(self) -> KemPair:
        """See :class:`KeySource`."""
        return self._kem.popleft() if self._kem else KemPair()

    def encapsulate(self, encapsulation_key: bytes) -> tuple[bytes, bytes]:
        """See :class:`KeySource`."""
        return encapsulate(encapsulation_key)
