"""Shaping: when a link emits how many bytes (design §5). Pure arithmetic; it never sees what the bytes are."""

from .counters import Delays, Traffic
from .cover import CoverShaper
from .ghost import Ghost
from .options import LADDER_OF_RATES, CoverOptions, LinkClass, Profile, Shaping, SteadyOptions, monthly
from .profiles import OffShaper, PadShaper, Shaper, make_shaper
from .steady import SteadyShaper

__all__ = [
    "LADDER_OF_RATES",
    "CoverOptions",
    "CoverShaper",
    "Delays",
    "Ghost",
    "LinkClass",
    "OffShaper",
    "PadShaper",
    "Profile",
    "Shaper",
    "Shaping",
    "SteadyOptions",
    "SteadyShaper",
    "Traffic",
    "make_shaper",
    "monthly",
]
