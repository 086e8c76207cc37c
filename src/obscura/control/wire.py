"""The control socket's language: one JSON object a line, each way.

Request: ``{"method": "status", "values": {…}}``. Answer: ``{"result": …}`` or ``{"error": {"code": …, "text": …}}``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_SUN_PATH: Final = 107
"""Longest path that a Unix socket's address holds on Linux."""


@contextmanager
def socket_path(path: Path) -> Iterator[str]:
    """``path`` in a form that fits a Unix socket's address, however long it is: by way of an open directory."""
    if len(os.fsencode(path)) <= _SUN_PATH:
        yield str(path)
        return
    fd = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}/{path.name}"
    finally:
        os.close(fd)
