"""Shaping: when a link emits how many bytes (design §5). Pure arithmetic; it never sees what the bytes are."""

from .counters import Traffic
from .ghost import Ghost
from .profiles import OffShaper, PadShaper, Profile, Shaper, make_shaper

__all__ = ["Ghost", "OffShaper", "PadShaper", "Profile", "Shaper", "Traffic", "make_shaper"]
