"""The calls by which the block store changes a disk, and what their failures are called."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ...base.errors import StoreError

_VECTORS: Final = 1000
"""Buffers in one ``pwritev``; Linux takes 1024."""


class Disk:
    """The writing calls of the operating system. A test gives a store one that fails."""

    def write(self, fd: int, buffers: Sequence[bytes], offset: int) -> int:
        """As ``os.pwritev``: may write less than all."""
        return os.pwritev(fd, buffers, offset)

    def sync(self, fd: int) -> None:
        """As ``os.fdatasync``."""
        os.fdatasync(fd)

    def write_all(self, fd: int, buffers: Sequence[bytes], offset: int) -> None:
        """Write buffers one after the other, copying none that is written at once.

        Raises:
            OSError: the disk is full or fails; some of the bytes may be written.
        """
        for first in range(0, len(buffers), _VECTORS):
            rest = list(buffers[first : first + _VECTORS])
            while rest:
                written = self.write(fd, rest, offset)
                offset += written
                while rest and written >= len(rest[0]):
                    written -= len(rest[0])
                    del rest[0]
                if rest and written:
                    rest[0] = rest[0][written:]


def sync_directory(directory: Path) -> None:
    """Make names that were created or renamed in a directory survive a power cut.

    Raises:
        OSError: the disk fails.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def disk_error(what: str, error: OSError) -> StoreError:
    """What an operator is told about a failing disk."""
    where = error.filename or "block store"
    return StoreError(f"{what}: {error.strerror} ({where}): check the disk's space and health")
