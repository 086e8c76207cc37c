"""Randomness from the operating system."""

from __future__ import annotations

import os

from ..base.randomness import Chance


def system_chance() -> Chance:
    """A stream keyed once from the operating system."""
    return Chance(os.urandom(32))


class SystemSecrets:
    """Implements :class:`~obscura.base.randomness.Secrets`."""

    def token(self, length: int) -> bytes:
        """``length`` bytes from the operating system."""
        return os.urandom(length)
