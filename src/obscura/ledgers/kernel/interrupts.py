"""Ctrl-C while C code runs.

Python handles a signal at the next step of Python code in the main thread. Inside a C call of the kernel's that is the
first step of a callback, where no ``try`` of ours stands yet: the exception would be printed and forgotten, and with it
the verdict that the callback was to note. So a signal that comes during such a call waits until it has returned.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Ctrl-C that comes while the block runs is handled at its end. Does nothing on other threads than the main one."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    came: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda _number, frame: came.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            handler(signal.SIGINT, came[0])
