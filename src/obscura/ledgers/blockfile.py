"""Reading Bitcoin Core's ``blk*.dat`` files, one block at a time.

A file is a row of records: the network's magic (4 bytes), the block's length (u32, little-endian), the block. Core
reserves space ahead, so zeros may follow the last record. Since release 28 what it writes is XOR-ed with the eight
bytes of ``xor.dat`` in the same directory, repeated from the file's beginning on; a missing or all-zero key changes
nothing. Reserved space was never written, so it is zero on disk with any key.
(Bitcoin Core ``src/node/blockstorage.cpp``, ``src/util/obfuscation.h``.)

What does not fit is an error with the byte at which it stands: a file that is repaired by guessing is worth nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from ..base.errors import LocalError
from ..base.limits import BLOCK_BYTES

_RECORD_BYTES: Final = 8
MAX_BLOCK_BYTES: Final = BLOCK_BYTES
"""More no valid block can have (BIP141: four million units of weight, at least one a byte)."""
MIN_BLOCK_BYTES: Final = 81
"""A header and a count of transactions."""
_KEY_BYTES: Final = 8
_CHUNK: Final = 1 << 20


class BlockFileError(LocalError):
    """A block file that is not what it should be.

    Args:
        path: the file.
        offset: the byte at which the record or the oddity begins.
        rule: ``file-magic``, ``file-length``, ``file-truncated``, ``file-key`` or ``file-unreadable``.
        detail: what was found.
    """

    def __init__(self, path: Path, offset: int, rule: str, detail: str) -> None:
        super().__init__(f"{path}, byte {offset}: {rule}: {detail}")
        self.path = path
        self.offset = offset
        self.rule = rule
        self.detail = detail


@dataclass(frozen=True, slots=True)
class FileBlock:
    """One record: where it begins, and the block's bytes."""

    offset: int
    block: bytes

    @property
    def end(self) -> int:
        """The byte after the record."""
        return self.offset + _RECORD_BYTES + len(self.block)


class BlockFile:
    """One ``blk*.dat`` file.

    Args:
        path: the file; ``xor.dat`` beside it is used.
        magic: the network's four bytes.

    Raises:
        BlockFileError: ``file-key`` or ``file-unreadable``.
    """

    def __init__(self, path: Path, magic: bytes) -> None:
        self.path = path
        self._magic = magic
        try:
            self.size = path.stat().st_size
            self._key = _read_key(path.with_name("xor.dat"))
        except OSError as error:
            raise self._unreadable(error) from error

    def blocks(self) -> Iterator[FileBlock]:
        """All records in the order of the file; memory holds one at a time.

        Raises:
            BlockFileError: at the first thing that does not fit. What came before it is good.
        """
        try:
            with self.path.open("rb", buffering=_CHUNK) as file:
                at = 0
                while at < self.size:
                    record = self._record(file, at)
                    if record is None:
                        return
                    yield record
                    at = record.end
        except OSError as error:
            raise self._unreadable(error) from error

    def block_at(self, offset: int) -> bytes:
        """The block of the record that begins at ``offset``, as :meth:`blocks` has named it.

        Raises:
            BlockFileError: there is no record any more.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(offset)
                record = self._record(file, offset)
        except OSError as error:
            raise self._unreadable(error) from error
        if record is None:
            raise BlockFileError(self.path, offset, "file-truncated", "a record that stood here is gone")
        return record.block

    def _record(self, file: BinaryIO, at: int) -> FileBlock | None:
        """The record at ``at``, where ``file`` stands; ``None`` if only zeros follow."""
        raw = self._raw(file, at, _RECORD_BYTES)
        if not any(raw):
            self._check_padding(file, at + len(raw))
            return None
        head = self._plain(raw, at)
        if not head.startswith(self._magic[: len(head)]):
            detail = f"found {head[:4].hex()}, the network's magic is {self._magic.hex()}"
            raise BlockFileError(self.path, at, "file-magic", detail)
        if len(head) < _RECORD_BYTES:
            raise BlockFileError(self.path, at, "file-truncated", f"the file ends {len(head)} bytes into a record")
        length = int.from_bytes(head[4:], "little")
        if not MIN_BLOCK_BYTES <= length <= MAX_BLOCK_BYTES:
            raise BlockFileError(self.path, at, "file-length", f"{length} bytes cannot be a block")
        start = at + _RECORD_BYTES
        block = self._plain(self._raw(file, start, length), start)
        if len(block) < length:
            detail = f"the block has {length} bytes, the file ends after {len(block)}"
            raise BlockFileError(self.path, at, "file-truncated", detail)
        return FileBlock(at, block)

    def _check_padding(self, file: BinaryIO, at: int) -> None:
        """Nothing but zeros may follow.

        Raises:
            BlockFileError: something does, and no record leads to it.
        """
        while chunk := self._raw(file, at, _CHUNK):
            if any(chunk):
                odd = at + len(chunk) - len(chunk.lstrip(b"\0"))
                raise BlockFileError(self.path, odd, "file-magic", "bytes after the padding at the end")
            at += len(chunk)

    def _raw(self, file: BinaryIO, at: int, length: int) -> bytes:
        """Up to ``length`` bytes as they lie on disk; fewer only where the file ends."""
        file.seek(at)
        parts: list[bytes] = []
        while length > 0 and (part := file.read(length)):
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _plain(self, raw: bytes, at: int) -> bytes:
        """What ``raw`` from offset ``at`` says once the key is taken off."""
        if self._key is None or not raw:
            return raw
        turn = at % _KEY_BYTES
        key = self._key[turn:] + self._key[:turn]
        stream = (key * (len(raw) // _KEY_BYTES + 1))[: len(raw)]
        return (int.from_bytes(raw, "little") ^ int.from_bytes(stream, "little")).to_bytes(len(raw), "little")

    def _unreadable(self, error: OSError) -> BlockFileError:
        return BlockFileError(self.path, 0, "file-unreadable", error.strerror or str(error))


def _read_key(path: Path) -> bytes | None:
    """The eight bytes of ``xor.dat``; ``None`` if there is no such file or the key changes nothing."""
    if not path.is_file():
        return None
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise BlockFileError(path, 0, "file-key", f"{len(key)} bytes, a key has {_KEY_BYTES}")
    return key if any(key) else None
