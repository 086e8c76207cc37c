"""The replay window's file: torn tails, failing disks, kills, and how long it grows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from replay_contract import START, admits, value

from obscura.base.errors import StoreError
from obscura.base.instant import WallTime
from obscura.base.limits import REPLAY_TIME
from obscura.store.replay import ReplayFile

NOW = WallTime(START)
RECORD = 44


def filled(path: Path, count: int) -> None:
    guard = ReplayFile(path, NOW)
    for number in range(count):
        assert admits(guard, value(number), NOW)
    guard.close()


def held(path: Path, count: int, now: WallTime = NOW) -> list[int]:
    """Which of the first ``count`` values are refused after opening the file."""
    guard = ReplayFile(path, now)
    try:
        return [number for number in range(count) if not admits(guard, value(number), now)]
    finally:
        guard.close()


def test_a_torn_tail_is_cut(tmp_path: Path) -> None:
    for torn in range(RECORD):
        path = tmp_path / f"replay{torn}"
        filled(path, 3)
        os.truncate(path, 2 * RECORD + torn)
        guard = ReplayFile(path, NOW)
        assert len(guard) == 2
        assert path.stat().st_size == 2 * RECORD
        assert admits(guard, value(2), NOW)
        guard.close()
        assert held(path, 3) == [0, 1, 2]


def test_a_tail_of_zeros_and_a_bad_byte(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    filled(path, 3)
    data = bytearray(path.read_bytes())
    data[RECORD + 20] ^= 1
    path.write_bytes(data + bytes(2 * RECORD + 5))
    guard = ReplayFile(path, NOW)
    assert len(guard) == 2, "the others stand"
    guard.close()


def test_it_is_private_and_leaves_nothing_beside(tmp_path: Path) -> None:
    (tmp_path / "replay.new").write_text("of a run that was killed")
    filled(tmp_path / "replay", 2)
    assert [one.name for one in tmp_path.iterdir()] == ["replay"]
    assert (tmp_path / "replay").stat().st_mode & 0o777 == 0o600


def test_what_is_out_of_date_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    filled(path, 100)
    assert held(path, 0, WallTime(NOW + REPLAY_TIME)) == []
    assert path.stat().st_size == 0, "at open"
    guard = ReplayFile(path, NOW)
    sizes = []
    for step in range(400):
        now = WallTime(NOW + step * REPLAY_TIME // 50)
        assert admits(guard, value(1_000 + step), now)
        sizes.append(path.stat().st_size // RECORD)
    guard.close()
    assert 50 <= max(sizes) <= 2 * 50 + 2, "fifty are valid at a time"
    assert held(path, 0, WallTime(NOW + 8 * REPLAY_TIME)) == []


def test_what_was_admitted_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    script = (
        "import os; from pathlib import Path; from obscura.store.replay import ReplayFile\n"
        f"guard = ReplayFile(Path({str(path)!r}), {NOW})\n"
        f"assert all(guard.admit([(n.to_bytes(32, 'big'), {NOW}) for n in range(5)])); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    assert held(path, 6) == [0, 1, 2, 3, 4]


def test_many_at_once_share_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "replay"
    filled(path, 20)
    guard = ReplayFile(path, NOW)
    synced: list[int] = []
    real = os.fdatasync

    def count(fd: int) -> None:
        synced.append(path.stat().st_size // RECORD)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", count)
    assert guard.admit([(value(number), NOW) for number in range(15, 30)]) == [False] * 5 + [True] * 10
    assert synced == [30], "behind the last of them"
    assert guard.admit([(value(number), NOW) for number in range(30)]) == [False] * 30
    assert synced == [30], "what is known needs no disk"
    guard.close()
    assert held(path, 31) == list(range(30))


def test_a_batch_that_is_torn_keeps_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    guard = ReplayFile(path, NOW)
    assert all(guard.admit([(value(number), NOW) for number in range(8)]))
    guard.close()
    os.truncate(path, 5 * RECORD + 7)
    assert held(path, 8) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("call", ["pwrite", "fdatasync", "partly"])
def test_a_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "replay"
    guard = ReplayFile(path, NOW)
    assert admits(guard, value(0), NOW)
    real = os.pwrite

    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    def partly(fd: int, data: bytes, offset: int) -> int:
        return real(fd, data[:10], offset)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite" if call == "partly" else call, partly if call == "partly" else fail)
        with pytest.raises(StoreError, match="replay cannot be written"):
            admits(guard, value(1), NOW)
        patched.setattr(os, "fsync", fail)
        with pytest.raises(StoreError, match="No space left"):
            admits(guard, value(1), NOW)
        assert not admits(guard, value(0), NOW), "what is known needs no disk"
        with pytest.raises(StoreError, match="No space left"):
            guard.admit([(value(0), NOW), (value(1), NOW), (value(2), NOW)])
        assert len(guard) == 1, "nothing of a batch that failed is held"
    assert admits(guard, value(1), NOW), "what failed was not accepted, and the disk is well again"
    assert not admits(guard, value(1), NOW)
    guard.close()
    assert held(path, 3) == [0, 1]


def test_an_unusable_place(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        ReplayFile(tmp_path / "nowhere" / "replay", NOW)
    (tmp_path / "replay").mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        ReplayFile(tmp_path / "replay", NOW)


def test_other_lengths_are_a_mistake_of_ours(tmp_path: Path) -> None:
    guard = ReplayFile(tmp_path / "replay", NOW)
    with pytest.raises(ValueError, match="32 bytes"):
        guard.admit([(value(0), NOW), (bytes(31), NOW)])
    guard.close()
