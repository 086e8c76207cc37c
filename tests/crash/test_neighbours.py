"""Two processes on one data directory, and directories that are not what they should be."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_nodes import COMMAND, DATA, Nodes, RunningNode, environment, obscura
from crash_kill import HANG_S, running, status, wait_until

from obscura.control.client import ask

pytestmark = pytest.mark.slow


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


def start(nodes: Nodes, name: str = "a") -> RunningNode:
    node = nodes.start(name, "--network", "regtest")
    wait_until(lambda: status(node.datadir) is not None, node.process, nodes.directory / f"{name}.log")
    return node


def one_line(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """It ended with this code and said why, in one line."""
    assert done.returncode == code, done
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0]


def test_whoever_comes_second_is_told(nodes: Nodes) -> None:
    node = start(nodes)
    ask(node.datadir, "mine", {"count": 3})
    holder = f"process {node.process.pid}"
    one_line(obscura("node", "--network", "regtest", "--datadir", node.datadir), 4, holder)
    one_line(obscura("import", "--network", "regtest", "--datadir", node.datadir, DATA), 4, holder)
    one_line(obscura("import", "--datadir", node.datadir, DATA), 4, holder)
    # A node that cannot be asked is no reason to work beside it.
    (node.datadir / "control.sock").unlink()
    one_line(obscura("mine", "--datadir", node.datadir), 4, holder)
    one_line(obscura("status", "--datadir", node.datadir), 3, "no node runs")
    assert node.stop(timeout=HANG_S) == 0
    done = obscura("mine", "--datadir", node.datadir)
    assert "height 4" in done.stdout, done


def test_six_imports_at_once(tmp_path: Path) -> None:
    command = [*COMMAND, "import", "--network", "bitcoin", "--datadir", str(tmp_path / "a"), str(DATA)]
    together = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment())
        for _ in range(6)
    ]
    codes = []
    for process in together:
        _, said = process.communicate(timeout=HANG_S)
        codes.append(process.returncode)
        assert process.returncode in (0, 4), said
        assert "Traceback" not in said
        assert "set aside" not in said
    assert 0 in codes
    with running(tmp_path / "a", "--network", "bitcoin"):
        assert (status(tmp_path / "a") or {})["height"] == 255


def test_what_a_kill_leaves_is_in_nobody_s_way(nodes: Nodes) -> None:
    node = start(nodes)
    node.process.kill()
    node.process.wait()
    assert (node.datadir / "control.sock").exists()
    one_line(obscura("status", "--datadir", node.datadir), 3, "no node runs")
    one_line(obscura("stop", "--datadir", node.datadir), 3, "no node runs")
    (node.datadir / "lock").write_text("1\n")
    assert "height 1" in obscura("mine", "--datadir", node.datadir).stdout
    assert start(nodes).stop(timeout=HANG_S) == 0


def test_a_directory_that_is_removed_under_a_node(nodes: Nodes) -> None:
    node = start(nodes)
    ask(node.datadir, "mine", {"count": 3})
    shutil.rmtree(node.datadir)
    other = nodes.start("other", "--network", "regtest")
    wait_until(lambda: status(other.datadir) is not None, other.process, nodes.directory / "other.log")
    other.stop()
    shutil.move(other.datadir, node.datadir)
    # Another node begins in its place; the old one must not take its control socket along when it ends.
    with running(node.datadir, "--network", "regtest"):
        assert node.process.poll() is None
        node.process.send_signal(signal.SIGTERM)
        code = node.process.wait(HANG_S)
        assert code in (0, 5), node.log()
        assert "Traceback" not in node.log()
        assert status(node.datadir) is not None
        assert ask(node.datadir, "mine", {"count": 2})["height"] == 2


def test_a_block_for_a_directory_that_is_gone(nodes: Nodes) -> None:
    node = start(nodes)
    ask(node.datadir, "mine", {"count": 3})
    # The coin view would meet the move first, and end the node before it is asked for a block.
    log = nodes.directory / "a.log"
    wait_until(lambda: (status(node.datadir) or {})["relay"]["coins_height"] == 3, node.process, log)
    sock = nodes.directory / "kept"
    (node.datadir / "control.sock").rename(sock)
    kept = node.datadir.with_name("moved")
    node.datadir.rename(kept)
    sock.rename(kept / "control.sock")
    one_line(obscura("mine", "--datadir", kept), 1, "stopping")
    assert node.process.wait(HANG_S) == 5
    assert "error: blocks cannot be stored: No such file" in node.log()
    assert "Traceback" not in node.log()
    # The kernel opens its files by their names, and may have lost what it wrote last.
    with running(kept, "--network", "regtest", whole=False):
        assert (status(kept) or {})["height"] >= 3


def test_what_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    one_line(obscura("node", "--network", "regtest", "--datadir", tmp_path / "file"), 2, "Not a directory")
    one_line(obscura("import", "--datadir", tmp_path / "file", DATA), 5, "File exists")
    one_line(obscura("import", "--datadir", tmp_path / "file" / "x", DATA), 5, "Not a directory")
    one_line(obscura("mine", "--datadir", tmp_path / "file"), 2, "holds no node")
    one_line(obscura("status", "--datadir", tmp_path / "file"), 3, "no node runs")
    assert (tmp_path / "file").read_text() == "precious"
    for name, words in (
        ("lock", "cannot be used"),
        ("state.db", "state.db"),
        ("blocks", "block store"),
        ("kernel", "kernel"),
    ):
        datadir = tmp_path / name
        datadir.mkdir()
        if name in ("lock", "state.db"):
            (datadir / name).mkdir()
        else:
            (datadir / name).write_text("")
        one_line(obscura("import", "--network", "bitcoin", "--datadir", datadir, DATA), 5, words)


def test_a_wrong_network_does_not_stick_after_the_store_is_lost(nodes: Nodes) -> None:
    node = start(nodes)
    ask(node.datadir, "mine", {"count": 3})
    assert node.stop(timeout=HANG_S) == 0
    for path in node.datadir.glob("state.db*"):
        path.unlink()
    one_line(obscura("import", "--datadir", node.datadir, DATA), 5, "another data directory for this network")
    one_line(obscura("node", "--network", "signet", "--datadir", node.datadir), 5, "another data directory")
    assert "height 4" in _mined(nodes)


def _mined(nodes: Nodes) -> str:
    node = start(nodes)
    said = obscura("mine", "--datadir", node.datadir).stdout
    assert node.stop(timeout=HANG_S) == 0
    return said


def test_a_network_without_a_store_is_not_guessed(nodes: Nodes) -> None:
    """``mine`` asks the store whose directory it is; a damaged one is left for its owner to set aside."""
    node = start(nodes)
    assert node.stop(timeout=HANG_S) == 0
    (node.datadir / "state.db").write_bytes(b"damaged" * 1_000)
    one_line(obscura("mine", "--datadir", node.datadir), 2, "holds no node")
    assert not list(node.datadir.glob("*corrupt*"))
    assert "height 1" in _mined(nodes)
    assert len(list(node.datadir.glob("state.db.corrupt-*"))) >= 1
