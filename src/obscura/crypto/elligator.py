"""Public keys that look like nothing: Elligator 2 (Bernstein, Hamburg, Krasnova, Lange 2013) by Monocypher.

A curve point is recognised at once, because only half of all 32-byte strings are one. Its *representative* is uniformly
random in all 256 bits. Half of all keys have one, so a key pair is drawn until it has; Monocypher also adds a random
component of low order, without which the points themselves would tell (they would all lie in the prime-order subgroup).
"""

from __future__ import annotations

from dataclasses import dataclass

import monocypher

from .agreement import KeyPair


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


def public_of(hidden: bytes) -> bytes:
    """The curve point that 32 bytes stand for. Every string stands for one; the two top bits are ignored."""
    point: bytes = monocypher.elligator_map(hidden)
    return point
