"""The data directory: made private, locked by one process at a time.

The lock is the operating system's (``flock``), so it ends with the process that holds it, however that ends: a kill
leaves nothing to be deleted by hand. The file holds the number of the process for the error text only.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from ..base.errors import StoreError


class DatadirLockedError(StoreError):
    """Another process uses the data directory."""


class Datadir:
    """A locked data directory; a context manager that gives the lock up."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def remove(self, *names: str) -> None:
        """Delete files that an earlier release has left; those that are not there are passed over.

        Raises:
            StoreError: one cannot be deleted.
        """
        for name in names:
            try:
                (self.path / name).unlink(missing_ok=True)
            except OSError as error:
                msg = f"{self.path / name}, of an earlier release, cannot be deleted: {error.strerror}"
                raise StoreError(msg) from error

    def close(self) -> None:
        """Give the lock up. A second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def open_datadir(path: Path) -> Datadir:
    """Make the directory if it is missing (mode 0700), and lock it.

    Raises:
        DatadirLockedError: another process holds it; the text names that process.
        StoreError: it cannot be made or written.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        msg = f"the data directory {path} cannot be used: {error.strerror}"
        raise StoreError(msg) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        os.close(fd)
        by = f"process {holder}" if holder else "another process"
        msg = f"{path} is in use by {by}: stop it first (obscura stop --datadir {path}), or choose another --datadir"
        raise DatadirLockedError(msg) from error
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        # The number is a courtesy; a full disk must not keep a node from starting that only wants to read.
        pass
    return Datadir(path, fd)
