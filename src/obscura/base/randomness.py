"""Chance for delays and choices, as a stream that a key repeats.

The core draws no entropy. A driver hands it one :class:`Chance`: keyed from the operating system in production, from
the seed in a simulation. Each part takes its own stream by :meth:`Chance.fork`, so that a new draw in one part does
not shift the draws of another. Secret keys never come from here: they are :class:`Secrets`, which only the operating
system or a cryptographic library provides.

The stream is BLAKE2b in counter mode under a 32-byte key: unpredictable to whoever lacks the key, and the same on
every machine and under every hash seed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import MutableSequence, Sequence
from typing import Protocol, TypeVar

from .instant import Duration

T = TypeVar("T")

_BLOCK = 64  # bytes that one BLAKE2b call yields


class Secrets(Protocol):
    """Where secret keys come from: the operating system, never a seed."""

    def token(self, length: int) -> bytes:
        """``length`` bytes that nobody can predict."""
        ...


class Chance:
    """A keyed stream of random choices.

    Args:
        key: at least 16 bytes. Two streams with one key give the same draws.

    Raises:
        ValueError: the key is shorter than 16 bytes.
    """

    __slots__ = ("_buffer", "_counter", "_key", "_offset")

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            msg = f"a key of {len(key)} bytes is too short for a stream: 16 at least"
            raise ValueError(msg)
        self._key = hashlib.blake2b(key, digest_size=32, person=b"obscura.chance").digest()
        self._counter = 0
        self._buffer = b""
        self._offset = 0

    @classmethod
    def from_seed(cls, seed: int) -> Chance:
        """The stream that a simulation's integer seed names."""
        return cls(hashlib.blake2b(str(seed).encode(), digest_size=32, person=b"obscura.seed").digest())

    def fork(self, name: str) -> Chance:
        """An independent stream. The same name gives the same stream, however much was drawn before."""
        return Chance(hashlib.blake2b(name.encode(), key=self._key, digest_size=32).digest())

    def take_bytes(self, length: int) -> bytes:
        """The next ``length`` bytes of the stream."""
        end = self._offset + length
        while end > len(self._buffer):
            block = hashlib.blake2b(self._counter.to_bytes(8, "little"), key=self._key).digest()
            self._counter += 1
            self._buffer = self._buffer[self._offset :] + block
            self._offset = 0
            end = length
        taken = self._buffer[self._offset : end]
        self._offset = end
        return taken

    def u64(self) -> int:
        """A uniform 64-bit integer."""
        return int.from_bytes(self.take_bytes(8), "little")

    def below(self, bound: int) -> int:
        """A uniform integer in ``range(bound)``, without modulo bias.

        Raises:
            ValueError: ``bound`` is not between 1 and 2**64.
        """
        if not 0 < bound <= 1 << 64:
            msg = f"cannot draw below {bound}"
            raise ValueError(msg)
        ceiling = (1 << 64) - (1 << 64) % bound
        while (value := self.u64()) >= ceiling:
            pass
        return value % bound

    def uniform(self) -> float:
        """A uniform float in [0, 1) with 53 random bits."""
        return (self.u64() >> 11) / (1 << 53)

    def span(self, low: Duration, high: Duration) -> Duration:
        """A uniform duration in [low, high], both included."""
        return Duration(low + self.below(high - low + 1))

    def exponential(self, mean: Duration) -> Duration:
        """An exponentially distributed duration with the given mean."""
        return Duration(round(-math.log1p(-self.uniform()) * mean))

    def choice(self, items: Sequence[T]) -> T:
        """One of ``items``, each as likely as another."""
        return items[self.below(len(items))]

    def shuffle(self, items: MutableSequence[T]) -> None:
        """Bring ``items`` into a uniformly random order, in place."""
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """``count`` different members of ``items`` (all of them if there are fewer), in random order."""
        pool = list(items)
        self.shuffle(pool)
        return pool[:count]
