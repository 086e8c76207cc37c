"""Blocks on disk, append only: what was accepted survives whatever happens to the kernel's own files.

The store is a row of segment files ``blk00000.obs``, ``blk00001.obs``, … (:mod:`.records` has their bytes) and an index
in memory that is rebuilt by reading them at open. Its promises:

* *Durable*: when :meth:`BlockStore.append` returns, the batch is on disk (one ``fdatasync``).
* *Whole or absent*: a checksum is verified at each read. A damaged block is reported, never served, and may be appended
  anew.
* *Nothing valid is deleted*: only the torn end of the last write is cut off, and only when no record follows it.
* *All or nothing*: when the disk is full or fails, the batch is undone and :class:`StoreError` raised.

One thread appends; reading is safe beside it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from bisect import insort
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Final

from ...base.errors import StoreError
from ...base.limits import SEGMENT_BYTES
from ...base.names import BlockHash, display_hash
from ...chain import HEADER_BYTES, up_to
from .cleanmark import CleanSegment, read_mark, remove_mark, write_mark
from .disk import Disk, disk_error, sync_directory
from .header import block_hash
from .records import (
    FORMAT,
    HEADS_BYTES,
    MARKER_BYTES,
    RECORD_BYTES,
    FileHead,
    Kind,
    pack_heads,
    pack_record_head,
    parse_heads,
    parse_record_head,
    payload_is_whole,
)
from .segment import Range, scan

_PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN})

Place = tuple[int, int, int]
"""Segment number, offset of the payload, its length."""


class _Segment:
    """What is known of one file: ``size`` is the end of its last whole record."""

    __slots__ = ("damage", "marker", "path", "size")

    def __init__(self, path: Path, marker: bytes, size: int, damage: list[Range]) -> None:
        self.path = path
        self.marker = marker
        self.size = size
        self.damage = damage

    @property
    def ends_damaged(self) -> bool:
        """Nothing is appended here any more: what stands at the end may be a head whose record would seem to hold it.
        A file ends so when its last verified record is damaged and a torn write follows."""
        return bool(self.damage) and self.damage[-1][1] == self.size

    def fits(self, clean: CleanSegment) -> bool:
        """Whether what was written down of a segment can be about this one."""
        return clean.marker == self.marker and clean.size <= self.size


class BlockStore:
    """See the module's text.

    Args:
        directory: made if missing.
        chain: the genesis hash; a store of another chain is refused.
        segment_bytes: when to begin a new file.
        disk: how to write.

    Raises:
        StoreError: a file is from a newer release or of another chain, or the disk fails.
    """

    def __init__(
        self, directory: Path, chain: BlockHash, *, segment_bytes: int = SEGMENT_BYTES, disk: Disk | None = None
    ) -> None:
        self._directory = directory
        self._chain = chain
        self._segment_bytes = segment_bytes
        self._disk = disk or Disk()
        self._lock = threading.Lock()
        self._index: dict[BlockHash, Place] = {}
        self._refused: dict[BlockHash, str] = {}
        self._segments: dict[int, _Segment] = {}
        self._last = -1
        self._warnings: list[str] = []
        try:
            if not directory.is_dir():
                directory.mkdir(parents=True)
                sync_directory(directory.parent)
            self._load()
        except OSError as error:
            raise disk_error("the block store cannot be opened", error) from error

    # -- questions; safe beside an append

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, name: BlockHash) -> bool:
        return name in self._index

    def refused(self, name: BlockHash) -> str | None:
        """The rule that a stored block turned out to break, or ``None``."""
        return self._refused.get(name)

    def names(self) -> list[BlockHash]:
        """All blocks that are stored and not refused, in the order in which they were appended."""
        with self._lock:
            return list(self._index)

    def take_warnings(self) -> list[str]:
        """What was found damaged since the last call, as texts for an operator."""
        with self._lock:
            warnings, self._warnings = self._warnings, []
        return warnings

    def read(self, names: Sequence[BlockHash], bytes_max: int | None = None) -> tuple[bytes | None, ...]:
        """The bytes of blocks; ``None`` for one that is absent, refused or damaged, or cannot be read just now. Fewer
        than were asked for where more would hold over ``bytes_max`` bytes; the first always fits."""
        with contextlib.closing(self._read(names, None)) as blocks:
            return up_to(blocks, bytes_max)

    def headers(self, names: Sequence[BlockHash]) -> Iterator[bytes | None]:
        """The 80-byte headers of blocks, read one by one as they are asked for. Only the hash vouches for them."""
        for name, header in zip(names, self._read(names, HEADER_BYTES), strict=True):
            yield header if header is not None and block_hash(header) == name else None

    # -- changes; on one thread

    def append(self, blocks: Sequence[tuple[BlockHash, bytes]]) -> None:
        """Write a batch and make it durable. A block that is stored or refused already is not written again.

        Raises:
            StoreError: the disk is full or fails; the store is as it was before.
        """
        fresh = {name: block for name, block in blocks if name not in self._index and name not in self._refused}
        places = self._write([(Kind.BLOCK, block) for block in fresh.values()])
        with self._lock:
            self._index.update(zip(fresh, places, strict=True))

    def refuse(self, marks: Sequence[tuple[BlockHash, str]]) -> None:
        """Note durably that stored blocks break a rule: they are never served again.

        Raises:
            StoreError: as :meth:`append`.
        """
        self._write([(Kind.REFUSED, name + rule.encode()) for name, rule in marks])
        with self._lock:
            for name, rule in marks:
                self._refused[name] = rule
                self._index.pop(name, None)

    def discard(self, name: BlockHash, why: str) -> None:
        """Forget a stored block that cannot be used as it is; the hash may be appended anew."""
        place = self._index.get(name)
        if place is not None:
            self._lose(name, place, why)

    def checkpoint(self) -> None:
        """Write down how far the store is whole, so that the next open need not read it all.

        Raises:
            StoreError: the disk fails; the next open is slow, nothing is lost.
        """
        with self._lock:
            clean = {
                number: CleanSegment(segment.marker, segment.size, tuple(sorted(segment.damage)))
                for number, segment in self._segments.items()
            }
        try:
            write_mark(self._directory, clean)
        except OSError as error:
            raise disk_error("the block store's clean mark cannot be written", error) from error

    # -- opening

    def _load(self) -> None:
        mark = read_mark(self._directory)
        paths = {int(path.stem[3:]): path for path in self._directory.glob("blk*.obs") if path.stem[3:].isdigit()}
        self._last = max(paths, default=-1)
        for number in sorted(paths):
            path = paths[number]
            fd = os.open(path, os.O_RDWR)
            try:
                head = parse_heads(os.pread(fd, HEADS_BYTES, 0))
                if head is not None:
                    self._check_head(path, head)
                size = os.fstat(fd).st_size
                if head is None or size < HEADS_BYTES:
                    # With one copy of its head and half of the other it is not ready for records either.
                    self._skip_headless(number, path, size)
                    continue
                self._load_segment(number, path, fd, head.marker, mark.get(number))
            finally:
                os.close(fd)
        if any(
            number not in self._segments or not self._segments[number].fits(clean) for number, clean in mark.items()
        ):
            remove_mark(self._directory)

    def _check_head(self, path: Path, head: FileHead) -> None:
        if head.format > FORMAT:
            msg = (
                f"{path} has format {head.format}, this release knows up to {FORMAT}: "
                "start the newer release that wrote it, or choose another data directory"
            )
            raise StoreError(msg)
        if head.chain != self._chain:
            msg = (
                f"{path} holds blocks of the chain with genesis {display_hash(head.chain)}, "
                f"not of {display_hash(self._chain)}: choose another data directory for this network"
            )
            raise StoreError(msg)

    def _skip_headless(self, number: int, path: Path, size: int) -> None:
        """A file whose head is unreadable is left where it is; one without records is a creation that was cut off."""
        if number == self._last and size <= HEADS_BYTES:
            path.unlink()
            self._last = number - 1
            self._warnings.append(f"{path} was being created when the last run ended: removed, it held nothing")
        else:
            self._warnings.append(f"{path}: the head of this block file is damaged; it is left alone and not used")

    def _load_segment(self, number: int, path: Path, fd: int, marker: bytes, clean: CleanSegment | None) -> None:
        whole = _Segment(path, marker, os.fstat(fd).st_size, [])
        trusted, known_damage = (clean.size, clean.damage) if clean is not None and whole.fits(clean) else (0, ())
        result = scan(fd, marker, trusted, known_damage)
        size, torn = result.size, result.torn
        if torn is not None and torn >= trusted and number == self._last:
            os.ftruncate(fd, torn)
            os.fsync(fd)
            self._warnings.append(f"{path}: the last write was torn; {size - torn} bytes cut off at byte {torn}")
            size = torn
            del result.damage[-1]
        self._warnings.extend(
            f"{path}: bytes {start} to {end} are damaged; what stood there is not used"
            for start, end in result.damage
            if (start, end) not in known_damage
        )
        self._segments[number] = _Segment(path, marker, size, result.damage)
        for record in result.found:
            if record.kind == Kind.BLOCK and record.length > HEADER_BYTES:
                name = block_hash(record.lead)
                if name not in self._refused:
                    self._index[name] = (number, record.start, record.length)
            elif record.kind == Kind.REFUSED and record.length >= 32:
                name = BlockHash(record.lead[:32])
                self._refused[name] = record.lead[32:].decode("utf-8", "replace")
                self._index.pop(name, None)

    # -- reading

    def _read(self, names: Sequence[BlockHash], limit: int | None) -> Generator[bytes | None, None, None]:
        """Payloads, or only their first ``limit`` bytes (then unverified). A file stays open while it serves."""
        fd, opened = -1, -1
        try:
            for name in names:
                with self._lock:
                    place = self._index.get(name)
                if place is None:
                    yield None
                    continue
                number, start, length = place
                segment = self._segments[number]
                try:
                    if opened != number:
                        if fd >= 0:
                            os.close(fd)
                        fd, opened = -1, -1
                        fd, opened = os.open(segment.path, os.O_RDONLY), number
                    if limit is not None:
                        yield os.pread(fd, limit, start)
                        continue
                    data = os.pread(fd, RECORD_BYTES + length, start - RECORD_BYTES)
                except OSError as error:
                    # Want of descriptors or memory passes, and says nothing about the block.
                    if error.errno not in _PASSING:
                        self._lose(name, place, f"cannot be read ({error.strerror})")
                    yield None
                    continue
                head = parse_record_head(segment.marker, data)
                payload = data[RECORD_BYTES:]
                if head is None or not payload_is_whole(head, payload):
                    self._lose(name, place, "is damaged")
                    yield None
                else:
                    yield payload
        finally:
            if fd >= 0:
                os.close(fd)

    def _lose(self, name: BlockHash, place: Place, how: str) -> None:
        """A stored block is unusable: forget it, so that it may be appended anew, and remember where it stood."""
        number, start, length = place
        with self._lock:
            if self._index.get(name) != place:
                return
            del self._index[name]
            segment = self._segments[number]
            insort(segment.damage, (start - RECORD_BYTES, start + length))
            self._warnings.append(f"{segment.path}: block {display_hash(name)} at byte {start} {how}")

    # -- writing

    def _write(self, records: Sequence[tuple[Kind, bytes]]) -> list[Place]:
        """Append records, across segments where needed; durable on return, or undone."""
        places: list[Place] = []
        grown: dict[int, tuple[_Segment, int, list[bytes]]] = {}
        number, last_before = self._last, self._last
        fds: dict[int, int] = {}
        try:
            for kind, payload in records:
                segment = self._segments.get(number)
                end = 0 if segment is None else grown[number][1] if number in grown else segment.size
                whole = RECORD_BYTES + len(payload)
                if (
                    segment is None
                    or (number not in grown and segment.ends_damaged)
                    or (end > HEADS_BYTES and end + whole > self._segment_bytes)
                ):
                    number += 1
                    segment = self._create(number, fds)
                    end = HEADS_BYTES
                _, _, buffers = grown.setdefault(number, (segment, end, []))
                buffers += (pack_record_head(segment.marker, kind, payload), payload)
                places.append((number, end + RECORD_BYTES, len(payload)))
                grown[number] = (segment, end + whole, buffers)
            for at, (segment, _, buffers) in grown.items():
                if at not in fds:
                    fds[at] = os.open(segment.path, os.O_RDWR)
                self._disk.write_all(fds[at], buffers, segment.size)
                self._disk.sync(fds[at])
        except OSError as error:
            self._undo(fds, last_before)
            raise disk_error("blocks cannot be stored", error) from error
        finally:
            for fd in fds.values():
                os.close(fd)
        with self._lock:
            for segment, end, _ in grown.values():
                segment.size = end
        return places

    def _create(self, number: int, fds: dict[int, int]) -> _Segment:
        path = self._directory / f"blk{number:05}.obs"
        fds[number] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        marker = os.urandom(MARKER_BYTES)
        segment = self._segments[number] = _Segment(path, marker, HEADS_BYTES, [])
        self._last = number
        self._disk.write_all(fds[number], [pack_heads(marker, self._chain)], 0)
        self._disk.sync(fds[number])
        sync_directory(self._directory)
        return segment

    def _undo(self, fds: dict[int, int], last: int) -> None:
        """Back to the sizes before. Failing here too costs nothing but a torn end, which the next open cuts off."""
        self._last = last
        for number, fd in fds.items():
            segment = self._segments[number]
            try:
                if number > last:
                    segment.path.unlink()
                else:
                    os.ftruncate(fd, segment.size)
            except OSError as error:
                self._warnings.append(f"{segment.path}: cannot be cut back to byte {segment.size} ({error.strerror})")
        for number in [number for number in self._segments if number > last]:
            del self._segments[number]
