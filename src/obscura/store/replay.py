"""The replay window of a keyed listener on disk: what was accepted before a restart is not answered after it.

A file of records of 44 bytes: wall time u64 LE · ephemeral (32) · CRC-32 of both, u32 LE. Records are synced before
their handshakes are answered, those of handshakes that wait together by one sync. A crash can tear only the last ones,
whose handshakes were not answered then: a torn record is cut off, a whole one refuses a copy that nobody needs. The
file is written anew, beside, synced and renamed, when it is opened and when half of it is out of date; so it stays
below twice REPLAY_KEPT records (8.8 MB).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..base.errors import StoreError
from ..base.instant import WallTime
from ..peers.replay import Knock, ReplayWindow
from .files import sync_directory

_EPHEMERAL: Final = 32
_RECORD: Final = 8 + _EPHEMERAL + 4


class ReplayFile:
    """Implements :class:`~obscura.peers.replay.ReplayGuard`. One process and one thread at a time use it.

    Args:
        path: the file; made if missing, mode 0600.
        now: the wall clock, for what is out of date already.

    Raises:
        StoreError: the disk refuses.
    """

    def __init__(self, path: Path, now: WallTime) -> None:
        self._path = path
        self._fd = -1
        self._records = 0
        try:
            data = path.read_bytes() if path.exists() else b""
            self._window = ReplayWindow(_read(data))
            self._window.expire(now)
            self._rewrite()
        except OSError as error:
            self.close()
            raise self._trouble(error) from error

    def __len__(self) -> int:
        return len(self._window)

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def admit(self, knocks: Sequence[Knock]) -> list[bool]:
        """See :class:`~obscura.peers.replay.ReplayGuard`. It syncs the disk, once for all of them, if any is new: not
        for an event loop's thread.

        Raises:
            StoreError: the disk refuses; nothing is accepted. The next call tries again.
        """
        for e_i, _ in knocks:
            if len(e_i) != _EPHEMERAL:
                msg = f"an ephemeral has {_EPHEMERAL} bytes, not {len(e_i)}"
                raise ValueError(msg)
        admitted = self._window.admit(knocks)
        fresh = [knock for knock, new in zip(knocks, admitted, strict=True) if new]
        if not fresh:
            return admitted
        try:
            if self._fd < 0 or self._records + len(fresh) > 2 * len(self._window):
                self._rewrite()
            else:
                self._append(fresh)
        except OSError as error:
            # After a failed sync nobody knows what of the file is on the disk: the next call writes it anew.
            self.close()
            for e_i, _ in fresh:
                self._window.forget(e_i)
            raise self._trouble(error) from error
        return admitted

    def _append(self, knocks: list[Knock]) -> None:
        records = b"".join(_record(e_i, accepted) for e_i, accepted in knocks)
        written = os.pwrite(self._fd, records, self._records * _RECORD)
        if written != len(records):
            raise OSError(0, "the records were written in part")
        os.fdatasync(self._fd)
        self._records += len(knocks)

    def _rewrite(self) -> None:
        self.close()
        beside = self._path.with_name(f"{self._path.name}.new")
        beside.unlink(missing_ok=True)
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            rest = memoryview(b"".join(_record(e_i, accepted) for e_i, accepted in self._window.entries()))
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fsync(fd)
            beside.rename(self._path)
            sync_directory(self._path.parent)
        except BaseException:
            os.close(fd)
            raise
        self._fd, self._records = fd, len(self._window)

    def _trouble(self, error: OSError) -> StoreError:
        return StoreError(f"{self._path} cannot be written: {error.strerror}: check the disk's space and health")


def _record(e_i: bytes, accepted: WallTime) -> bytes:
    body = accepted.to_bytes(8, "little") + e_i
    return body + zlib.crc32(body).to_bytes(4, "little")


def _read(data: bytes) -> list[tuple[bytes, WallTime]]:
    """The records of a file, without those that are not whole: a torn one, or what a bad disk made of one."""
    found = []
    for at in range(0, len(data) - _RECORD + 1, _RECORD):
        body, checksum = data[at : at + _RECORD - 4], data[at + _RECORD - 4 : at + _RECORD]
        if zlib.crc32(body).to_bytes(4, "little") == checksum:
            found.append((body[8:], WallTime(int.from_bytes(body[:8], "little"))))
    return found
