"""The block store: torn writes, damage in the middle, a full disk, newer files, and that nothing valid is ever lost."""

from __future__ import annotations

import errno
import os
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.errors import StoreError
from obscura.base.names import BlockHash
from obscura.ledgers.kernel.blockstore import BlockStore
from obscura.ledgers.kernel.disk import Disk
from obscura.ledgers.kernel.header import block_hash
from obscura.ledgers.kernel.records import FORMAT, HEADS_BYTES, RECORD_BYTES, pack_heads

CHAIN = BlockHash(b"\x01" * 32)


def block(number: int, size: int = 120) -> tuple[BlockHash, bytes]:
    """Bytes that the store takes for a block: it looks at no more than the header's hash."""
    data = number.to_bytes(8, "little") * (size // 8 + 1)
    return block_hash(data[:80]), data[:size]


BLOCKS = [block(number, 90 + number % 40) for number in range(30)]


def open_store(directory: Path, **options: object) -> BlockStore:
    return BlockStore(directory, CHAIN, **options)  # type: ignore[arg-type]


def contents(store: BlockStore) -> dict[BlockHash, bytes | None]:
    names = store.names()
    return dict(zip(names, store.read(names), strict=True))


def segment(directory: Path, number: int = 0) -> Path:
    return directory / f"blk{number:05}.obs"


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x40
    path.write_bytes(data)


class TestGoodDisk:
    def test_what_was_appended_is_read(self, tmp_path: Path) -> None:
        store = open_store(tmp_path / "blocks")
        store.append(BLOCKS[:3])
        store.append(BLOCKS[3:5])
        assert contents(store) == dict(BLOCKS[:5])
        assert store.read([CHAIN, BLOCKS[1][0]]) == (None, BLOCKS[1][1])
        assert list(store.headers([BLOCKS[2][0], CHAIN])) == [BLOCKS[2][1][:80], None]
        assert BLOCKS[0][0] in store
        assert len(store) == 5

    @pytest.mark.parametrize("clean", [False, True])
    def test_reopened(self, tmp_path: Path, clean: bool) -> None:
        store = open_store(tmp_path, segment_bytes=1000)
        for at in range(0, 30, 4):
            store.append(BLOCKS[at : at + 4])
        if clean:
            store.checkpoint()
        again = open_store(tmp_path, segment_bytes=1000)
        assert contents(again) == dict(BLOCKS)
        assert again.names() == [name for name, _ in BLOCKS]
        assert again.take_warnings() == []
        assert len(list(tmp_path.glob("*.obs"))) > 3
        assert all(path.stat().st_size <= 1000 for path in tmp_path.glob("*.obs"))

    def test_a_block_is_written_once(self, tmp_path: Path) -> None:
        store = open_store(tmp_path)
        store.append([BLOCKS[0], BLOCKS[0]])
        size = segment(tmp_path).stat().st_size
        store.append([BLOCKS[0]])
        assert segment(tmp_path).stat().st_size == size

    def test_a_refused_block_is_never_served_again(self, tmp_path: Path) -> None:
        store = open_store(tmp_path)
        store.append(BLOCKS[:3])
        store.refuse([(BLOCKS[1][0], "bad-cb-amount")])
        store.append([BLOCKS[1]])
        for current in (store, open_store(tmp_path)):
            assert current.read([BLOCKS[1][0]]) == (None,)
            assert current.refused(BLOCKS[1][0]) == "bad-cb-amount"
            assert current.refused(BLOCKS[0][0]) is None
            assert BLOCKS[1][0] not in current.names()

    def test_a_huge_batch_takes_several_writes(self, tmp_path: Path) -> None:
        many = [block(number) for number in range(2500)]
        open_store(tmp_path).append(many)
        assert contents(open_store(tmp_path)) == dict(many)

    def test_short_writes_are_continued(self, tmp_path: Path) -> None:
        class Slow(Disk):
            def write(self, fd: int, buffers: Sequence[bytes], offset: int) -> int:
                return os.pwrite(fd, b"".join(buffers)[:7], offset)

        open_store(tmp_path, disk=Slow()).append(BLOCKS)
        assert contents(open_store(tmp_path)) == dict(BLOCKS)


class TestDamage:
    @pytest.fixture
    def whole(self, tmp_path: Path) -> Path:
        store = open_store(tmp_path / "whole")
        store.append(BLOCKS[:4])
        return tmp_path / "whole"

    def test_a_write_torn_at_every_byte(self, whole: Path, tmp_path: Path) -> None:
        full = segment(whole).read_bytes()
        start = len(full) - len(BLOCKS[3][1]) - RECORD_BYTES
        for cut in range(start, len(full)):
            target = tmp_path / "torn"
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            segment(target).write_bytes(full[:cut])
            store = open_store(target)
            assert contents(store) == dict(BLOCKS[:3]), cut
            assert bool(store.take_warnings()) == (cut > start)
            assert segment(target).stat().st_size == start
            store.append([BLOCKS[3]])
            assert contents(open_store(target)) == dict(BLOCKS[:4])

    def test_a_write_that_left_zeros(self, whole: Path) -> None:
        full = segment(whole).read_bytes()
        start = len(full) - len(BLOCKS[3][1]) - RECORD_BYTES
        segment(whole).write_bytes(full[:start] + bytes(len(full) - start))
        store = open_store(whole)
        assert contents(store) == dict(BLOCKS[:3])
        assert "torn" in store.take_warnings()[0]

    @pytest.mark.parametrize("clean", [False, True])
    def test_any_flipped_byte_costs_at_most_its_own_block(self, whole: Path, tmp_path: Path, clean: bool) -> None:
        if clean:
            open_store(whole).checkpoint()
        full = segment(whole).read_bytes()
        for offset in range(HEADS_BYTES, len(full)):
            target = tmp_path / "flipped"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(whole, target)
            flip(segment(target), offset)
            store = open_store(target)
            found = {name: data for name, data in contents(store).items() if data is not None}
            lost = set(dict(BLOCKS[:4])) - set(found)
            assert len(lost) == 1, offset
            assert all(dict(BLOCKS)[name] == data for name, data in found.items())
            assert store.take_warnings()
            # It may be given anew, and then all is well for ever.
            store.append(BLOCKS[:4])
            assert contents(store) == dict(BLOCKS[:4])
            store.checkpoint()
            again = open_store(target)
            assert contents(again) == dict(BLOCKS[:4]), offset
            assert again.take_warnings() == []

    def test_either_head_of_a_file_is_enough(self, whole: Path) -> None:
        for offset in (3, 30):
            flip(segment(whole), offset)
        assert contents(open_store(whole)) == dict(BLOCKS[:4])

    def test_without_any_head_a_file_is_left_alone(self, whole: Path) -> None:
        for offset in (3, 70):
            flip(segment(whole), offset)
        before = segment(whole).read_bytes()
        store = open_store(whole)
        assert len(store) == 0
        assert "left alone" in store.take_warnings()[0]
        store.append(BLOCKS[:2])
        assert segment(whole).read_bytes() == before
        assert contents(open_store(whole)) == dict(BLOCKS[:2])

    @pytest.mark.parametrize("size", [0, 1, 64, 92, HEADS_BYTES - 1, HEADS_BYTES])
    def test_a_file_whose_creation_was_cut_off(self, tmp_path: Path, size: int) -> None:
        for name, content in (("zeros", bytes(size)), ("head", pack_heads(b"12345678", CHAIN)[:size])):
            directory = tmp_path / name
            directory.mkdir()
            directory.joinpath("blk00000.obs").write_bytes(content)
            store = open_store(directory)
            store.append(BLOCKS[:2])
            assert contents(open_store(directory)) == dict(BLOCKS[:2])

    def test_damage_that_appears_while_open(self, whole: Path) -> None:
        store = open_store(whole)
        flip(segment(whole), segment(whole).stat().st_size - 5)
        assert store.read([BLOCKS[3][0], BLOCKS[2][0]]) == (None, BLOCKS[2][1])
        assert "damaged" in store.take_warnings()[0]
        assert BLOCKS[3][0] not in store
        store.append([BLOCKS[3]])
        assert contents(store) == dict(BLOCKS[:4])

    def test_a_file_that_vanishes_while_open(self, whole: Path) -> None:
        store = open_store(whole)
        segment(whole).unlink()
        assert store.read([BLOCKS[0][0]]) == (None,)
        assert "cannot be read" in store.take_warnings()[0]

    @pytest.mark.parametrize("mark", [b"", b"zzz", b"00000000\n{}\n", b"1\n2\n3\n4\n"])
    def test_a_bad_mark_is_ignored(self, whole: Path, mark: bytes) -> None:
        flip(segment(whole), HEADS_BYTES + RECORD_BYTES + 100)  # in the first payload, seen only by its checksum
        (whole / "clean").write_bytes(mark)
        assert len(open_store(whole)) == 3

    @pytest.mark.parametrize("size", ["200", '"x"', "-1", "true"])
    @pytest.mark.parametrize("spans", ["[]", "[[128,128]]", "[[140,128]]", "[[128,150],[128,140]]", '[["a",1]]', "[7]"])
    def test_a_mark_of_nonsense_is_ignored(self, whole: Path, size: str, spans: str) -> None:
        if (size, spans) == ("200", "[]"):
            return  # that one is good
        flip(segment(whole), HEADS_BYTES + RECORD_BYTES + 100)
        marker = segment(whole).read_bytes()[16:24].hex()
        body = f'{{"format":1,"segments":[[0,"{marker}",{size},{spans}]]}}'.encode()
        (whole / "clean").write_bytes(b"%08x\n%s\n" % (zlib.crc32(body), body))
        assert len(open_store(whole)) == 3

    def test_a_mark_nested_without_end_is_ignored(self, whole: Path) -> None:
        body = b"[" * 100_000
        (whole / "clean").write_bytes(b"%08x\n%s\n" % (zlib.crc32(body), body))
        assert len(open_store(whole)) == 4

    def test_nothing_is_appended_behind_a_torn_head(self, whole: Path) -> None:
        """A damaged record that was verified before, then a torn write: the torn head must not swallow what follows."""
        open_store(whole).checkpoint()
        path = segment(whole)
        good = path.stat().st_size
        open_store(whole).append([BLOCKS[4]])
        os.truncate(path, good + RECORD_BYTES + 10)
        flip(path, good - len(BLOCKS[3][1]) - RECORD_BYTES)
        store = open_store(whole)
        assert contents(store) == dict(BLOCKS[:3])
        store.append(BLOCKS[3:8])
        assert contents(open_store(whole)) == dict(BLOCKS[:8])

    def test_nor_when_damage_before_it_is_found_later(self, whole: Path) -> None:
        """A torn write that is not cut off, as a younger file stands behind it; then damage is read in front of it."""
        open_store(whole).checkpoint()
        path = segment(whole)
        good = path.stat().st_size
        open_store(whole).append([BLOCKS[4]])
        os.truncate(path, good + RECORD_BYTES + 10)
        flip(path, HEADS_BYTES + RECORD_BYTES + 85)  # below the mark: seen when it is read
        segment(whole, 1).write_bytes(b"half a head")
        store = open_store(whole)
        assert contents(store)[BLOCKS[0][0]] is None
        store.append(BLOCKS[:8])
        assert contents(open_store(whole)) == contents(store) == dict(BLOCKS[1:4] + BLOCKS[:1] + BLOCKS[4:8])

    def test_a_mark_that_does_not_fit_never_fits_again(self, tmp_path: Path) -> None:
        """Its damaged ranges are those of bytes that have been cut off, and others stand there now."""
        store = open_store(tmp_path)
        store.append(BLOCKS[:4])
        path = segment(tmp_path)
        short = path.stat().st_size
        store.append(BLOCKS[4:6])
        flip(path, short + RECORD_BYTES + 85)
        contents(store)
        store.checkpoint()
        os.truncate(path, short)
        store = open_store(tmp_path)
        store.append(BLOCKS[6:12])
        assert contents(open_store(tmp_path)) == dict(BLOCKS[:4] + BLOCKS[6:12])

    def test_the_mark_saves_reading_payloads(self, whole: Path) -> None:
        open_store(whole).checkpoint()
        flip(segment(whole), HEADS_BYTES + RECORD_BYTES + 85)
        store = open_store(whole)
        assert len(store) == 4  # not read yet …
        assert store.read([BLOCKS[0][0]]) == (None,)  # … but never served

    def test_the_mark_of_another_file_is_ignored(self, whole: Path, tmp_path: Path) -> None:
        open_store(whole).checkpoint()
        other = tmp_path / "other"
        open_store(other).append(BLOCKS[:4])
        shutil.copy(whole / "clean", other / "clean")
        flip(segment(other), HEADS_BYTES + RECORD_BYTES + 85)
        assert len(open_store(other)) == 3

    def test_a_block_that_holds_a_record_of_its_own(self, tmp_path: Path) -> None:
        # The marker is secret; an attacker who knows the format but not the marker gains nothing by nesting records.
        inner = open_store(tmp_path / "inner")
        inner.append([BLOCKS[0]])
        nested = segment(tmp_path / "inner").read_bytes()
        outer = tmp_path / "outer"
        store = open_store(outer)
        carrier = b"c" * 100 + nested
        store.append([(block_hash(carrier[:80]), carrier), BLOCKS[1]])
        flip(segment(outer), HEADS_BYTES + 9)
        assert contents(open_store(outer)) == dict([BLOCKS[1]])

    @pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
    def test_want_of_descriptors_costs_no_block(
        self, whole: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        store = open_store(whole)
        before = contents(store)

        def refuse(*_: object) -> int:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patched:
            patched.setattr(os, "open", refuse)
            assert store.read([BLOCKS[0][0]]) == (None,)
        assert contents(store) == before
        assert store.take_warnings() == []


class TestStrangers:
    def test_a_newer_format(self, tmp_path: Path) -> None:
        head = bytearray(pack_heads(b"m" * 8, CHAIN)[:64])
        head[8:12] = (FORMAT + 1).to_bytes(4, "little")
        head[60:] = zlib.crc32(bytes(head[:60])).to_bytes(4, "little")
        segment(tmp_path).write_bytes(bytes(head) + b"whatever the future brings")
        before = segment(tmp_path).read_bytes()
        with pytest.raises(StoreError, match="newer release"):
            open_store(tmp_path)
        assert segment(tmp_path).read_bytes() == before

    def test_another_chain(self, tmp_path: Path) -> None:
        open_store(tmp_path).append(BLOCKS[:1])
        with pytest.raises(StoreError, match="choose another data directory"):
            BlockStore(tmp_path, BlockHash(b"\x02" * 32))

    def test_other_files_are_none_of_ours(self, tmp_path: Path) -> None:
        (tmp_path / "blk00000.dat").write_bytes(b"x")
        (tmp_path / "blkx.obs").write_bytes(b"x")
        open_store(tmp_path).append(BLOCKS[:1])
        assert (tmp_path / "blkx.obs").read_bytes() == b"x"


class Full(Disk):
    """A disk with ``room`` bytes left; or one whose sync fails."""

    def __init__(self, room: int, *, sync_fails: bool = False) -> None:
        self.room = room
        self.sync_fails = sync_fails

    def write(self, fd: int, buffers: Sequence[bytes], offset: int) -> int:
        data = b"".join(buffers)[: self.room]
        if not data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(data)
        return os.pwrite(fd, data, offset)

    def sync(self, fd: int) -> None:
        if self.sync_fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fdatasync(fd)


class TestBadDisk:
    @pytest.mark.parametrize("room", [0, 1, 127, 128, 200, 300, 1000, 1500, 2500])
    def test_full(self, tmp_path: Path, room: int) -> None:
        disk = Full(1 << 20)
        store = open_store(tmp_path, segment_bytes=1000, disk=disk)
        store.append(BLOCKS[:4])
        files = {path.name: path.read_bytes() for path in tmp_path.glob("*.obs")}
        disk.room = room
        with pytest.raises(StoreError, match="No space left"):
            store.append(BLOCKS[4:])
        assert contents(store) == dict(BLOCKS[:4])
        assert {path.name: path.read_bytes() for path in tmp_path.glob("*.obs")} == files
        assert store.take_warnings() == []
        disk.room = 1 << 20
        store.append(BLOCKS[4:])
        assert contents(open_store(tmp_path)) == dict(BLOCKS)

    def test_full_at_the_very_first_write(self, tmp_path: Path) -> None:
        disk = Full(50)
        store = open_store(tmp_path, disk=disk)
        with pytest.raises(StoreError):
            store.append(BLOCKS)
        assert list(tmp_path.glob("*.obs")) == []
        disk.room = 1 << 20
        store.append(BLOCKS)
        assert contents(open_store(tmp_path)) == dict(BLOCKS)

    def test_a_failing_sync_undoes_the_batch(self, tmp_path: Path) -> None:
        disk = Full(1 << 20)
        store = open_store(tmp_path, disk=disk)
        store.append(BLOCKS[:2])
        disk.sync_fails = True
        with pytest.raises(StoreError, match="Input/output error"):
            store.append(BLOCKS[2:4])
        with pytest.raises(StoreError):
            store.refuse([(BLOCKS[0][0], "x")])
        assert contents(store) == dict(BLOCKS[:2])
        disk.sync_fails = False
        store.append(BLOCKS[4:6])
        assert contents(open_store(tmp_path)) == dict(BLOCKS[:2] + BLOCKS[4:6])

    def test_a_directory_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StoreError):
            open_store(tmp_path / "file" / "blocks")


@given(st.lists(st.tuples(st.sampled_from("abrcx"), st.integers(0, 400)), max_size=60))
def test_any_history_is_remembered(tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, int]]) -> None:
    """Appending (a, batches b), refusing (r), checkpointing (c), reopening (x): as a plain dict would have it."""
    directory = tmp_path_factory.mktemp("history")
    store = open_store(directory, segment_bytes=2000)
    expected: dict[BlockHash, bytes] = {}
    refused: set[BlockHash] = set()
    for step, number in history:
        if step in "ab":
            batch = [block(number + more, 81 + number) for more in range(1 if step == "a" else 20)]
            store.append(batch)
            for name, data in batch:
                if name not in refused:
                    expected.setdefault(name, data)
        elif step == "r":
            name = block(number, 81)[0]
            if name in expected:
                store.refuse([(name, "rule")])
                refused.add(name)
                del expected[name]
        elif step == "c":
            store.checkpoint()
        else:
            store = open_store(directory, segment_bytes=2000)
        assert contents(store) == expected
    assert contents(open_store(directory)) == expected


@pytest.mark.slow
def test_a_large_store_opens_quickly(tmp_path: Path) -> None:
    import time

    store = open_store(tmp_path)
    for first in range(0, 100_000, 1000):
        store.append([block(number, 300) for number in range(first, first + 1000)])
    store.checkpoint()
    start = time.perf_counter()
    assert len(open_store(tmp_path)) == 100_000
    assert time.perf_counter() - start < 10
