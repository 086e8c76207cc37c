"""Disks that are full, fail or are read-only: a clear line, exit code 5, nothing lost, and all is well afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_nodes import Nodes, RunningNode, free_port, obscura
from crash_chain import make_datadir, name_of, row, stored, write_block_file
from crash_disk import SmallDisk, small_disk
from crash_kill import HANG_S, running, status, traced, wait_for_tip, wait_until

from obscura.base.errors import LocalError
from obscura.base.names import display_hash
from obscura.control.client import ask

pytestmark = pytest.mark.slow
LENGTH = 1_200
BEFORE = 100
CHAIN = row(LENGTH)
TIP = display_hash(name_of(CHAIN[-1]))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 120) as made:
        yield made


@pytest.fixture
def nodes(disk: SmallDisk) -> Iterator[Nodes]:
    made = Nodes(disk.path)
    yield made
    made.close()


def told(text: str, *words: str) -> None:
    """One line of error, with these words in it, and no trace."""
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, text
    assert "Traceback" not in text
    assert "exception" not in text
    for word in words:
        assert word in lines[0], lines[0]


def start(nodes: Nodes, name: str, *options: object) -> RunningNode:
    node = nodes.start(name, "--network", "regtest", *options)
    wait_until(lambda: status(node.datadir) is not None, node.process, nodes.directory / f"{name}.log")
    return node


def nothing_given_up(datadir: Path) -> None:
    assert not [path.name for path in datadir.iterdir() if "damaged" in path.name or "corrupt" in path.name]


def test_commands_on_a_full_disk(disk: SmallDisk, tmp_path: Path) -> None:
    file = write_block_file(tmp_path / "blocks.dat", CHAIN)
    datadir = disk.path / "a"
    imported = ("import", "--network", "regtest", "--datadir", datadir, file)
    # Not a byte is left: the directory itself cannot be made, or nothing in it.
    disk.fill(0)
    done = obscura(*imported)
    assert done.returncode == 5, done
    told(done.stderr, "make space on its disk")
    # A little is left: enough for a store, not for the kernel.
    disk.free()
    disk.fill(3 << 20)
    for command in (imported, ("node", "--network", "regtest", "--datadir", datadir)):
        done = obscura(*command)
        assert done.returncode == 5, done
        told(done.stderr, "make space on its disk")
    disk.free()
    done = obscura(*imported)
    assert done.returncode == 0, done.stderr
    assert f"{LENGTH} blocks imported" in done.stdout
    # A node's own directory is not given up because the disk is full at a start.
    disk.fill(0)
    for command in (("node", "--datadir", datadir, "--network", "regtest"), ("mine", "--datadir", datadir), imported):
        done = obscura(*command)
        assert done.returncode == 5, done
        told(done.stderr, "make space on its disk")
        nothing_given_up(datadir)
    disk.free()
    with running(datadir, "--network", "regtest"):
        assert (status(datadir) or {})["tip"] == TIP


def test_a_disk_that_fills_up_while_mining(disk: SmallDisk, nodes: Nodes) -> None:
    node = start(nodes, "a")
    reported = ask(node.datadir, "mine", {"count": 20})["height"]
    disk.fill(20_000)
    with pytest.raises(LocalError):
        while True:
            reported = ask(node.datadir, "mine", {"count": 10})["height"]
    assert node.process.wait(HANG_S) == 5
    disk.free()
    # Whichever met it first: the blocks' store, or the coin view.
    told(node.log(), "check the disk's space")
    assert "No space left on device" in node.log() or "disk is full" in node.log()
    nothing_given_up(node.datadir)
    with running(node.datadir, "--network", "regtest"):
        assert (status(node.datadir) or {})["height"] >= reported
        assert ask(node.datadir, "mine", {"count": 1})["height"] > reported


def test_a_disk_that_fills_up_while_syncing(disk: SmallDisk, nodes: Nodes, tmp_path: Path) -> None:
    make_datadir(tmp_path / "source", CHAIN)
    elsewhere = Nodes(tmp_path)
    where = f"127.75.1.1:{free_port('127.75.1.1')}"
    try:
        source = elsewhere.start("source", "--network", "regtest", "--listen", where, "--no-discover")
        source.wait_for(HANG_S, height=LENGTH)
        make_datadir(disk.path / "a", CHAIN[:BEFORE])
        node = start(nodes, "a")
        disk.fill(60_000)
        ask(node.datadir, "add", {"address": where})
        assert node.process.wait(HANG_S) == 5
        disk.free()
        told(node.log(), "space")
        nothing_given_up(node.datadir)
        kept = len(stored(node.datadir))
        assert BEFORE < kept < LENGTH
        with running(node.datadir, "--network", "regtest"):
            assert (status(node.datadir) or {})["height"] >= kept
        with running(node.datadir, "--network", "regtest", "--connect", where) as process:
            wait_for_tip(node.datadir, TIP, process)
        assert source.process.poll() is None
    finally:
        elsewhere.close()


def test_a_disk_that_is_full_at_the_end(disk: SmallDisk, nodes: Nodes) -> None:
    """Blocks that the kernel cannot flush are in our store: nothing is lost, and the operator hears of it."""
    node = start(nodes, "a")
    reported = ask(node.datadir, "mine", {"count": 50})["height"]
    log = nodes.directory / "a.log"
    wait_until(lambda: (status(node.datadir) or {})["relay"]["coins_height"] == reported, node.process, log)
    disk.fill(0)
    assert node.stop(timeout=HANG_S) == 5
    disk.free()
    told(node.log(), "make space on its disk")
    nothing_given_up(node.datadir)
    with running(node.datadir, "--network", "regtest"):
        assert (status(node.datadir) or {})["height"] == reported


def test_an_import_onto_a_disk_that_is_too_small(disk: SmallDisk, tmp_path: Path) -> None:
    # Blocks of half a megabyte: the disk holds the kernel's first files and some of them, and is enlarged later.
    blocks = row(90, script=b"\x6a" + bytes(500_000))
    file = write_block_file(tmp_path / "blocks.dat", blocks)
    command = ("import", "--network", "regtest", "--datadir", disk.path / "a", file)
    done = obscura(*command, timeout=HANG_S)
    assert done.returncode == 5, done
    told(done.stderr, "space")
    nothing_given_up(disk.path / "a")
    disk.remount("size=300m")
    done = obscura(*command, timeout=HANG_S)
    assert done.returncode == 0, done.stderr
    assert "height 90" in done.stdout


def test_a_read_only_disk(disk: SmallDisk, tmp_path: Path) -> None:
    file = write_block_file(tmp_path / "blocks.dat", CHAIN[:50])
    datadir = disk.path / "a"
    with running(datadir, "--network", "regtest"):
        ask(datadir, "mine", {"count": 5})
    disk.remount("ro")
    for command in (
        ("node", "--network", "regtest", "--datadir", datadir),
        ("mine", "--datadir", datadir),
        ("import", "--network", "regtest", "--datadir", datadir, file),
        ("import", "--network", "regtest", "--datadir", disk.path / "new", file),
    ):
        done = obscura(*command)
        assert done.returncode == 5, done
        told(done.stderr, "Read-only file system")
    disk.remount("rw")
    nothing_given_up(datadir)
    with running(datadir, "--network", "regtest"):
        assert ask(datadir, "mine", {"count": 1})["height"] == 6


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        ("pwritev2", "ENOSPC", "No space left"),
        ("pwritev2", "EROFS", "Read-only"),
        ("fdatasync", "EIO", "Input/output error"),
    ],
)
def test_a_disk_that_fails_under_a_node(tmp_path: Path, call: str, error: str, words: str) -> None:
    """The system call itself fails, from the third time on in each thread."""
    nodes = Nodes(tmp_path)
    try:
        node = start(nodes, "a")
        datadir = node.datadir
        reported = ask(datadir, "mine", {"count": 5})["height"]
        with traced(node.process.pid, f"trace={call}", f"inject={call}:error={error}:when=3+"):
            deadline = time.monotonic() + HANG_S
            with pytest.raises(LocalError):
                while time.monotonic() < deadline:
                    reported = ask(datadir, "mine", {"count": 1})["height"]
            assert node.process.wait(HANG_S) == 5
    finally:
        nodes.close()
    told(node.log(), words)
    with running(datadir, "--network", "regtest"):
        assert (status(datadir) or {})["height"] >= reported
