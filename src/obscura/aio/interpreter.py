"""What the interpreter may do to the loop while a node runs.

The ledger's Python runs on threads, and a thread that computes keeps the interpreter for the switch interval whenever
another one wants it: with the usual five milliseconds each time that the loop comes back from the system it may wait so
long, and a ping with it. And the garbage collector now and then looks at every object that there is, which takes a
hundred milliseconds for the headers of a long chain; what stands when a node begins is not garbage.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator

from ..base.instant import MICROSECONDS
from ..base.limits import SWITCH_INTERVAL


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Have the collector rest while the body builds what stays: it would look at all of it again and again as it
    grows, which takes a third of the time that a full address book needs."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Have threads give way after SWITCH_INTERVAL, and the collector leave alone what there is now; as it was, at the
    end."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_INTERVAL / MICROSECONDS))
    gc.collect(1)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)
