"""A small disk of one's own, that can be filled, enlarged and made read-only: a tmpfs, which root may mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SmallDisk:
    """Mounted at ``path``. Use :func:`small_disk`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, leave: int) -> None:
        """Take all of its space but ``leave`` bytes."""
        free = os.statvfs(self.path)
        with (self.path / "filler").open("ab") as file:
            file.write(bytes(max(0, free.f_bavail * free.f_frsize - leave)))

    def free(self) -> None:
        """Give back what :meth:`fill` took."""
        (self.path / "filler").unlink()

    def remount(self, options: str) -> None:
        """With other options: ``ro``, ``rw``, ``size=200m``."""
        _run("mount", "-o", f"remount,{options}", str(self.path))


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A disk of that size; what still uses it must have ended before the block does."""
    path.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path))
    try:
        yield SmallDisk(path)
    finally:
        _run("umount", str(path))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr} (these tests are run by root)"
