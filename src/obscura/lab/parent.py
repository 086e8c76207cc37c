"""Not outliving the process that has started this one."""

from __future__ import annotations

import contextlib
import ctypes
import signal


def end_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends, even by a kill (Linux: PR_SET_PDEATHSIG). Elsewhere
    nothing happens."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
