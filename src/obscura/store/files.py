"""What several files of the data directory need from the operating system."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Make names that were created or renamed in a directory survive a power cut.

    Raises:
        OSError: the disk fails.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_private(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write a file that its owner alone may read, in a directory that he alone may enter, durably: a power cut leaves
    the old file, the new one, or none. Without ``replace`` one that is there already stays.

    Raises:
        OSError: the disk fails.
    """
    directory = path.parent
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    directory.chmod(0o700)
    sync_directory(directory.parent)
    beside.unlink(missing_ok=True)
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        if replace:
            beside.rename(path)
        else:
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(beside)
    finally:
        beside.unlink(missing_ok=True)
    sync_directory(directory)


def remove_private(path: Path) -> bool:
    """Delete a file that :func:`write_private` has written, and what a kill has left of it beside, durably. ``False``
    if there was nothing.

    Raises:
        OSError: the disk fails.
    """
    found = [one for one in (path, *path.parent.glob(f".{path.name}.*.new")) if one.exists()]
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(one.open("r+b")) for one in found]
        for one in found:
            one.unlink()
        if found:
            sync_directory(path.parent)
        # Privacy: a name that is gone leaves the content. Where file system and disk write in place this does not. The
        # name goes first, or a disk that refuses it would leave a file that is damaged.
        with contextlib.suppress(OSError):
            for file in files:
                file.write(bytes(os.fstat(file.fileno()).st_size))
                file.flush()
                os.fsync(file.fileno())
    return bool(found)


def read_private(path: Path, most: int) -> tuple[bytes, int] | None:
    """The content of a file, ``most`` bytes at most, and its mode; ``None`` if there is none.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(most), os.fstat(file.fileno()).st_mode & 0o777
    except FileNotFoundError:
        return None
