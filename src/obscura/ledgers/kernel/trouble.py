"""Telling damaged files of the kernel from a world in which no file can be used, and moving damaged ones away.

The kernel's files can be rebuilt from the block store, but that takes as long as validating the chain. So they are
given up only when nothing else explains the failure: a full or read-only disk, want of descriptors or of memory, and
another process leave them where they are.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from ...base.errors import StoreError
from .disk import Disk

SPACE_BYTES: Final = 64 << 20
"""The kernel refuses to open or to flush with less than 50 MB free; the rest is for what others write meanwhile."""
_PROBE_BYTES: Final = 4_096
_IN_USE: Final = ("already held by process", "temporarily unavailable")
"""What the kernel says when another process has its files open."""
_WORLD: Final = {
    "No space left": "make space on its disk, then start again",
    "Disk space is too low": "make space on its disk, then start again",
    "Disk quota exceeded": "make space on its disk, then start again",
    "File too large": "the limit of file sizes (ulimit -f) is too low for it",
    "Permission denied": "give this user the right to write there",
    "Read-only file system": "its disk is read-only: mount it writable, then start again",
    "Too many open files": "allow more open files (ulimit -n), then start again",
    "Input/output error": "its disk fails: check it; if it is sound, remove this directory, and it is rebuilt",
    "Cannot allocate memory": "this machine has too little memory free",
    "bad_alloc": "this machine has too little memory free",
}
"""What the kernel says when its files may be fine but the world is not; and what to do about it."""


def world_trouble(directory: Path, said: str) -> str | None:
    """What to do about a failure of the kernel's that is not its files' fault; ``None`` if it can only be theirs.

    Args:
        directory: the kernel's, or where it was to be.
        said: the kernel's words.
    """
    if any(text in said for text in _IN_USE):
        return "is another node running on this data directory?"
    for text, advice in _WORLD.items():
        if text in said:
            return advice
    try:
        disk = os.statvfs(directory)
        _probe(directory / "probe")
    except OSError as error:
        return _WORLD.get(error.strerror or "", f"its disk fails ({error.strerror}): check it, then start again")
    free = disk.f_bavail * disk.f_frsize
    if free < SPACE_BYTES:
        return f"only {free >> 20} MB are free, it needs {SPACE_BYTES >> 20}: make space on its disk, then start again"
    return None


def _probe(path: Path) -> None:
    """Whether a file can be written and synced. A kill may leave it behind; the next probe takes it along."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        Disk().write_all(fd, [bytes(_PROBE_BYTES)], 0)
        os.fsync(fd)
    finally:
        os.close(fd)
        path.unlink(missing_ok=True)


def set_aside(directory: Path) -> Path:
    """Move the kernel's directory to ``NAME.damaged-N``, and return that.

    Older ones go: they are as large as the chain, and a disk that damages files again and again would fill up.

    Raises:
        StoreError: it cannot be moved.
    """
    older = sorted(directory.parent.glob(f"{directory.name}.damaged-*"))
    numbers = [int(last) for path in older if (last := path.name.rpartition("-")[2]).isdigit()]
    aside = directory.with_name(f"{directory.name}.damaged-{max(numbers, default=0) + 1}")
    try:
        directory.rename(aside)
    except OSError as error:
        msg = f"the kernel's files in {directory} are unusable and cannot be moved: {error.strerror}"
        raise StoreError(msg) from error
    for path in older:
        shutil.rmtree(path, ignore_errors=True)
    return aside
