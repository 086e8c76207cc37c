"""Asking the C library to keep the memory of blocks, instead of giving it back and getting it anew for each.

glibc maps every allocation above 128 KB at first, and unmaps it when it is freed. A block of a megabyte is allocated
several times on its way, and each time 250 pages are faulted in and zeroed: on a virtual machine that costs more than
hashing the block. With these settings such memory stays with the process (KEPT_BYTES at most) and is used again.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from typing import Final

from ..base.limits import KEPT_BYTES, MAPPED_BYTES

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def keep_memory() -> bool:
    """Apply the settings to this process; ``False`` where the C library has none (not glibc). Harmless to repeat."""
    if not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)) and bool(mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))
    return False
