"""Where a handshake's single-use keys come from, with pools that are filled while the node is idle.

Making a hidden key pair costs about 100 µs and a KEM pair about as much: more than everything else that answering a
handshake costs. A flood then meets filled pools first. What is taken from a pool is never put back.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from ..base.limits import HANDSHAKE_POOL
from ..base.randomness import Secrets
from .elligator import HiddenPair, draw_hidden
from .kem import KemPair, encapsulate


class KeySource(Secrets, Protocol):
    """Single-use keys, and random bytes."""

    def hidden(self) -> HiddenPair:
        """A hidden X25519 pair that nobody has seen."""
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
    """

    def __init__(self, secrets: Secrets, size: int = HANDSHAKE_POOL) -> None:
        self._secrets = secrets
        self._size = size
        self._hidden: deque[HiddenPair] = deque()
        self._kem: deque[KemPair] = deque()

    def __repr__(self) -> str:
        return f"PooledKeys(<{len(self._hidden)} and {len(self._kem)} keys>)"

    @property
    def is_full(self) -> bool:
        """Nothing is left for :meth:`fill_one`."""
        return len(self._hidden) >= self._size and len(self._kem) >= self._size

    def fill_one(self) -> None:
        """Make one pair for the pool that is emptier, if one is not full: at most about 200 µs."""
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

    def kem(self) -> KemPair:
        """See :class:`KeySource`."""
        return self._kem.popleft() if self._kem else KemPair()

    def encapsulate(self, encapsulation_key: bytes) -> tuple[bytes, bytes]:
        """See :class:`KeySource`."""
        return encapsulate(encapsulation_key)
