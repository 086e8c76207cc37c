"""Last writes that were torn, zeroed or garbled, in every file of a data directory."""

from __future__ import annotations

import logging
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_nodes import COMMAND, DATA, environment
from crash_chain import OTHERS, make_datadir, name_of, row, stored

from obscura.base.errors import StoreError
from obscura.base.names import BlockHash
from obscura.ledgers.kernel.ledger import KernelLedger
from obscura.ledgers.kernel.networks import BITCOIN, REGTEST, Network
from obscura.store import Store

CHAIN = row(60)
RIVAL = row(40, on=CHAIN[:30], script=OTHERS)
SEED = 5

Damage = Callable[[bytes, int, random.Random], bytes]
"""A file's bytes, a position, randomness; gives the bytes that a broken write leaves."""


def cut(data: bytes, at: int, _draw: random.Random) -> bytes:
    return data[:at]


def zeroed(data: bytes, at: int, _draw: random.Random) -> bytes:
    return data[:at] + bytes(len(data) - at)


def garbled(data: bytes, at: int, draw: random.Random) -> bytes:
    return data[:at] + draw.randbytes(len(data) - at)


def sector(data: bytes, at: int, draw: random.Random) -> bytes:
    """One sector in the middle never reached the disk."""
    start = at // 512 * 512
    lost = data[start : start + 512]
    return data[:start] + draw.choice((bytes(len(lost)), draw.randbytes(len(lost)))) + data[start + 512 :]


DAMAGES = [cut, zeroed, garbled, sector]


def opened(datadir: Path, network: Network = REGTEST) -> tuple[KernelLedger, int]:
    ledger = KernelLedger(network, datadir)
    ledger.restore()
    return ledger, ledger.tip[0]


def positions(data: bytes, draw: random.Random, count: int) -> Iterator[int]:
    """Where writes break: ends, and anywhere among the bytes in use (the kernel makes its files larger than that)."""
    used = len(data.rstrip(b"\0"))
    yield 0
    yield max(0, used - 1)
    for _ in range(count - 2):
        yield draw.randrange(used + 1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_datadir(tmp_path_factory.mktemp("whole") / "node", CHAIN)


@pytest.mark.parametrize("damage", DAMAGES)
def test_our_last_write(whole: Path, tmp_path: Path, damage: Damage) -> None:
    """The kernel has what the store lost here: it is copied, or, as after a kill, it is gone with it."""
    draw = random.Random(SEED)
    segment = whole / "blocks" / "blk00000.obs"
    data = segment.read_bytes()
    for number, at in enumerate(positions(data, draw, 8)):
        for kernel_too in (False, True):
            datadir = tmp_path / f"{number}{kernel_too}"
            shutil.copytree(whole, datadir)
            (datadir / "blocks" / "blk00000.obs").write_bytes(damage(data, at, draw))
            (datadir / "blocks" / "clean").unlink(missing_ok=True)
            if kernel_too:
                shutil.rmtree(datadir / "kernel")
            kept = len(set(stored(datadir)))
            ledger, height = opened(datadir)
            if kernel_too:
                # Whole blocks above a lost one wait for it; those below count.
                assert height <= kept
                if damage is not sector:
                    assert height == kept
            else:
                assert height == 60
            ledger.accept_blocks(CHAIN)
            assert ledger.tip == (60, name_of(CHAIN[-1])), f"{damage.__name__} at {at}"
            ledger.close()
            ledger, height = opened(datadir)
            assert height == 60
            assert None not in ledger.read_blocks([name_of(block) for block in CHAIN])
            ledger.close()
            shutil.rmtree(datadir)


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_mark_of_a_clean_end(whole: Path, tmp_path: Path, damage: Damage) -> None:
    draw = random.Random(SEED)
    data = (whole / "blocks" / "clean").read_bytes()
    datadir = tmp_path / "node"
    shutil.copytree(whole, datadir)
    for at in range(0, len(data), 3):
        (datadir / "blocks" / "clean").write_bytes(damage(data, at, draw))
        ledger, height = opened(datadir)
        assert height == 60
        ledger.close()


KERNEL_FILES = (
    "blocks/blk00000.dat", "blocks/rev00000.dat", "blocks/xor.dat", "blocks/index/*.log", "blocks/index/MANIFEST-*",
    "blocks/index/CURRENT", "chainstate/*.log", "chainstate/MANIFEST-*", "chainstate/CURRENT",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("pattern", KERNEL_FILES)
def test_the_kernel_s_own_files(whole: Path, tmp_path: Path, pattern: str, caplog: pytest.LogCaptureFixture) -> None:
    """It opens and has everything, by itself or rebuilt; a reorganisation works then, or after one more start."""
    caplog.set_level(logging.CRITICAL)
    draw = random.Random(SEED)
    [file] = (whole / "kernel").glob(pattern)
    data = file.read_bytes()
    number = 0
    for damage in DAMAGES:
        for at in positions(data, draw, 3):
            number += 1
            datadir = tmp_path / str(number)
            shutil.copytree(whole, datadir)
            (datadir / "kernel" / file.relative_to(whole / "kernel")).write_bytes(damage(data, at, draw))
            ledger, height = opened(datadir)
            assert height == 60, f"{damage.__name__} at {at}"
            try:
                ledger.accept_blocks(RIVAL)
            except StoreError as error:
                assert "start again" in str(error), f"{damage.__name__} at {at}"
                ledger.close()
                ledger, height = opened(datadir)
                assert height == 60
                ledger.accept_blocks(RIVAL)
            assert ledger.tip == (70, name_of(RIVAL[-1])), f"{damage.__name__} at {at}"
            ledger.close()
            shutil.rmtree(datadir)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_the_store_s_last_write(tmp_path: Path, damage: Damage, suffix: str) -> None:
    """The store opens, with what was durable or set aside with a warning; what is written then is kept."""
    origin = tmp_path / "origin"
    origin.mkdir()
    store = Store(origin / "state.db")
    store.put("network", "regtest")
    # As a kill leaves it: with its log, and with one more change in that.
    copied = tmp_path / "copied"
    synced = (origin / "state.db-wal").stat().st_size if suffix else 0
    if suffix:
        store.put("listen_port", "12345")
        shutil.copytree(origin, copied)
    store.close()
    if not suffix:
        shutil.copytree(origin, copied)
    draw = random.Random(SEED)
    data = (copied / f"state.db{suffix}").read_bytes()
    for number, at in enumerate(positions(data, draw, 12)):
        place = tmp_path / str(number)
        shutil.copytree(copied, place)
        (place / f"state.db{suffix}").write_bytes(damage(data, at, draw))
        (place / "state.db-shm").unlink(missing_ok=True)
        again = Store(place / "state.db")
        if again.get("network") is None and suffix:
            # A sector begins before the position, and may reach into what was synced.
            assert at < synced + 512, f"what was synced before the last write is lost, {damage.__name__} at {at}"
        elif again.get("network") is None and at > 0:
            assert any("set aside" in warning for warning in again.warnings), f"silent loss, {damage.__name__} at {at}"
        again.put("network", "regtest")
        again.close()
        again = Store(place / "state.db")
        assert again.get("network") == "regtest"
        again.close()


@pytest.mark.slow
def test_a_copy_that_was_taken_while_blocks_came(tmp_path: Path) -> None:
    """Files of different moments, as a power cut may leave them: every stored block counts, nothing is refused."""
    datadir = tmp_path / "node"
    command = [*COMMAND, "import", "--network", "bitcoin", "--datadir", str(datadir), str(DATA)]
    copies: list[Path] = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()) as process:
        while process.poll() is None:
            target = tmp_path / f"copy{len(copies)}"
            try:
                shutil.copytree(datadir, target)
            except (OSError, shutil.Error):
                shutil.rmtree(target, ignore_errors=True)  # a file went while we copied
            else:
                copies.append(target)
    assert process.returncode == 0
    assert copies, "the import was too quick to be seen"
    names: set[BlockHash] = set()
    for copy in copies[-6:]:
        kept = stored(copy)
        ledger, height = opened(copy, BITCOIN)
        assert height >= len(kept)
        names.update(kept)
        ledger.close()
