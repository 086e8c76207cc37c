"""The kernel's files and the world around them: what is given up, what is kept, and what the operator is told."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from crash_chain import OTHERS, make_datadir, name_of, row

from obscura.base.errors import StoreError
from obscura.ledgers.kernel import recovery, trouble
from obscura.ledgers.kernel.binding import Kernel, KernelError
from obscura.ledgers.kernel.ledger import KernelLedger
from obscura.ledgers.kernel.networks import REGTEST
from obscura.ledgers.kernel.trouble import SPACE_BYTES, set_aside, world_trouble

CHAIN = row(60)
RIVAL = row(40, on=CHAIN[:30], script=OTHERS)


def asides(datadir: Path) -> list[str]:
    return sorted(path.name for path in datadir.glob("kernel.damaged-*"))


def scribble(path: Path, start: float, end: float) -> None:
    """Overwrite a stretch of what a file holds (the kernel makes its files larger than that)."""
    used = len(path.read_bytes().rstrip(b"\0"))
    with path.open("r+b") as file:
        file.seek(int(used * start))
        file.write(os.urandom(int(used * (end - start))))


@pytest.mark.parametrize("name", ["rev00000.dat", "blk00000.dat"])
def test_damage_that_a_reorganisation_finds_is_healed_by_a_start(tmp_path: Path, name: str) -> None:
    datadir = make_datadir(tmp_path / "node", CHAIN)
    # Above the fork, and below the six last blocks that the kernel looks at when it opens.
    scribble(datadir / "kernel" / "blocks" / name, 0.6, 0.85)
    ledger = KernelLedger(REGTEST, datadir)
    ledger.restore()
    assert ledger.tip == (60, name_of(CHAIN[-1]))
    with pytest.raises(StoreError, match="start again, they are rebuilt"):
        ledger.accept_blocks(RIVAL)
    ledger.close()
    assert asides(datadir) == ["kernel.damaged-1"]
    ledger = KernelLedger(REGTEST, datadir)
    ledger.restore()
    assert ledger.tip == (60, name_of(CHAIN[-1]))
    ledger.accept_blocks(RIVAL)
    assert ledger.tip == (70, name_of(RIVAL[-1]))
    ledger.close()


FAILURES = (
    "Disk space is too low!",
    "IO error: MANIFEST-000004: No space left on device",
    "Fatal LevelDB error: IO error: x: Read-only file system",
    "Fatal LevelDB error: IO error: x: Input/output error",
    "IO error: x: Too many open files",
    "Cannot obtain a lock: already held by process 7",
)


@pytest.mark.parametrize("said", FAILURES)
def test_a_bad_world_costs_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    datadir = make_datadir(tmp_path / "node", CHAIN[:5])

    def refuse(*_: object, **__: object) -> Kernel:
        raise StoreError(said)

    monkeypatch.setattr(recovery, "Kernel", refuse)
    with pytest.raises(StoreError, match=said[:20]) as caught:
        KernelLedger(REGTEST, datadir).restore()
    assert any(word in str(caught.value) for word in ("space", "mount", "ulimit", "another node", "check it"))
    assert asides(datadir) == []
    monkeypatch.undo()
    ledger = KernelLedger(REGTEST, datadir)
    ledger.restore()
    assert ledger.tip[0] == 5
    ledger.close()


def test_little_space_is_told_with_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world_trouble(tmp_path, "whatever") is None

    class Nearly:
        f_bavail, f_frsize = (SPACE_BYTES >> 12) - 1, 4_096

    monkeypatch.setattr(os, "statvfs", lambda _: Nearly)
    assert "only 63 MB are free, it needs 64" in (world_trouble(tmp_path, "whatever") or "")


def test_a_disk_that_takes_no_file_is_at_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.setattr(trouble, "_probe", refuse)
    assert "mount it writable" in (world_trouble(tmp_path, "whatever") or "")
    monkeypatch.undo()
    assert "its disk fails" in (world_trouble(tmp_path / "missing", "whatever") or "")


def test_a_world_at_fault_during_a_run_costs_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datadir = make_datadir(tmp_path / "node", CHAIN[:5])
    ledger = KernelLedger(REGTEST, datadir)
    ledger.restore()

    def fail(*_: object) -> None:
        raise KernelError("the kernel cannot go on: Disk space is too low!")

    monkeypatch.setattr(Kernel, "submit_block", fail)
    with pytest.raises(StoreError, match="make space on its disk"):
        ledger.accept_blocks(CHAIN[5:])
    ledger.close()
    assert asides(datadir) == []


def test_one_damaged_directory_is_kept_at_most(tmp_path: Path) -> None:
    kernel = tmp_path / "kernel"
    for number in range(1, 12):
        kernel.mkdir()
        (kernel / str(number)).touch()
        assert set_aside(kernel).name == f"kernel.damaged-{number}"
        assert asides(tmp_path) == [f"kernel.damaged-{number}"]
        assert (tmp_path / f"kernel.damaged-{number}" / str(number)).exists()


@pytest.mark.parametrize("size", range(8))
def test_a_kill_while_the_kernel_makes_its_files_costs_nothing(
    tmp_path: Path, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    # The kernel writes a key of eight bytes first, and refuses a shorter one for ever.
    (tmp_path / "kernel" / "blocks").mkdir(parents=True)
    (tmp_path / "kernel" / "blocks" / "xor.dat").write_bytes(bytes(size))
    ledger = KernelLedger(REGTEST, tmp_path)
    ledger.restore()
    ledger.close()
    assert asides(tmp_path) == []
    assert "damaged" not in caplog.text
    assert "unusable" not in caplog.text
