"""Public keys that look like nothing: Elligator 2 (Bernstein, Hamburg, Krasnova, Lange 2013) by Monocypher.

A curve point is recognised at once, because only half of all 32-byte strings are one. Its *representative* is uniformly
random in all 256 bits. Half of all keys have one, so a key pair is drawn until it has; Monocypher also adds a random
component of low order, without which the points themselves would tell (they would all lie in the prime-order subgroup).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import monocypher

from .agreement import KeyPair

PRINTABLE_BYTES: Final = 6


@dataclass(frozen=True, slots=True, repr=False)
class HiddenPair:
    """A key pair of which only the representative is shown. For one handshake."""

    pair: KeyPair
    hidden: bytes
    """The representative, 32 bytes, its two top bits random."""


def draw_hidden() -> HiddenPair:
    """A new pair, from the operating system's randomness; about 100 µs.

    The public key that the other side computes differs from ``pair.public`` by a component of low order, which
    X25519 takes out again.
    """
    hidden, private = monocypher.elligator_key_pair()
    return HiddenPair(KeyPair(private), hidden)


def is_printable(hidden: bytes) -> bool:
    """Whether the first six bytes are printable ASCII, as those of one representative in 383 are."""
    return all(0x20 <= byte <= 0x7E for byte in hidden[:PRINTABLE_BYTES])


def draw_printable(draws: int | None = None) -> HiddenPair | None:
    """A pair whose representative :func:`is_printable`; ``None`` if none of so many draws was (without a bound it goes
    on until one is: 40 ms, more or less)."""
    while draws is None or draws > 0:
        pair = draw_hidden()
        if is_printable(pair.hidden):
            return pair
        draws = None if draws is None else draws - 1
    return None


def public_of(hidden: bytes) -> bytes:
    """The curve point that 32 bytes stand for. Every string stands for one; the two top bits are ignored."""
    point: bytes = monocypher.elligator_map(hidden)
    return point
