"""Processes that are short of file descriptors."""

from __future__ import annotations

import resource
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_nodes import COMMAND, Nodes, environment, free_port
from crash_kill import HANG_S, status, wait_until

from obscura.base.limits import FD_RESERVE, OUTBOUND_SLOTS
from obscura.control.client import LostNodeError, ask

pytestmark = pytest.mark.slow
ENOUGH = FD_RESERVE + OUTBOUND_SLOTS


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


def limited(count: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A command that may open so many files."""
    command = ["bash", "-c", 'ulimit -n "$0"; exec "$@"', str(count), *COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, env=environment(), check=False)


@pytest.mark.parametrize("count", [9, 16, 40, ENOUGH - 1])
def test_too_few_to_start_with(tmp_path: Path, count: int) -> None:
    done = limited(count, "node", "--network", "regtest", "--datadir", tmp_path / "a")
    assert done.returncode == 2, done
    assert done.stderr.startswith(f"error: {count} open files are allowed here (ulimit -n), a node needs {ENOUGH}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("count", [9, 16])
def test_commands_with_too_few(tmp_path: Path, count: int) -> None:
    from crash_chain import row, write_block_file

    file = write_block_file(tmp_path / "blocks.dat", row(5))
    done = limited(count, "import", "--network", "regtest", "--datadir", tmp_path / "a", file)
    assert done.returncode == 5, done
    assert "Traceback" not in done.stderr
    assert [line[:7] for line in done.stderr.splitlines() if line.strip()] == ["error: "]
    done = limited(1_024, "import", "--network", "regtest", "--datadir", tmp_path / "a", file)
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "a").glob("*damaged*"))


def test_strangers_cannot_take_them_all(nodes: Nodes) -> None:
    host = "127.76.1.1"
    port = free_port(host)
    datadir = nodes.directory / "a"
    command = ["bash", "-c", f'ulimit -n {ENOUGH + 10}; exec "$@"', "-", *COMMAND, "node", "--network", "regtest"]
    command += ["--datadir", str(datadir), "--listen", f"{host}:{port}", "--no-discover"]
    log = nodes.directory / "a.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment())
    idle: list[socket.socket] = []
    try:
        wait_until(lambda: status(datadir) is not None, process, log)
        friend = nodes.start("friend", "--network", "regtest", "--connect", f"{host}:{port}", "--no-discover")
        friend.wait_for(HANG_S, peers=1)
        for _ in range(3 * ENOUGH):
            idle.append(socket.create_connection((host, port), timeout=HANG_S))
        tip = ask(datadir, "mine", {"count": 20})["tip"]
        friend.wait_for(HANG_S, height=20, tip=tip)
        # Without a slot the socket is closed at once; nine of ten strangers hold one.
        assert (status(datadir) or {})["peers"] == 1
        for sock in idle:
            sock.close()
        idle.clear()
        other = nodes.start("other", "--network", "regtest", "--connect", f"{host}:{port}", "--no-discover")
        other.wait_for(HANG_S, height=20, tip=tip)
        process.terminate()
        assert process.wait(HANG_S) == 0
    finally:
        for sock in idle:
            sock.close()
        process.kill()
        process.wait()
    said = log.read_text()
    assert f"{ENOUGH + 10} open files are allowed (ulimit -n): 10 inbound links instead of 114" in said
    assert "Traceback" not in said


def test_none_left_while_it_runs(nodes: Nodes) -> None:
    """As if the whole system had run out: nobody is accepted for a while, and that is all."""
    host = "127.77.1.1"
    port = free_port(host)
    node = nodes.start("a", "--network", "regtest", "--listen", f"{host}:{port}", "--no-discover")
    log = nodes.directory / "a.log"
    wait_until(lambda: status(node.datadir) is not None, node.process, log)
    friend = nodes.start("friend", "--network", "regtest", "--connect", f"{host}:{port}", "--no-discover")
    friend.wait_for(HANG_S, peers=1)
    allowed = resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (3, allowed[1]))
    idle = [socket.create_connection((host, port), timeout=HANG_S) for _ in range(40)]
    try:
        wait_until(lambda: "accept-paused" in log.read_text(), node.process, log)
        with pytest.raises(LostNodeError):
            ask(node.datadir, "status", timeout_s=2.5)
        assert node.process.poll() is None
        resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, allowed)
        wait_until(lambda: status(node.datadir) is not None, node.process, log)
        tip = ask(node.datadir, "mine", {"count": 5})["tip"]
        friend.wait_for(HANG_S, tip=tip)
        assert friend.log().count("link-opened") == 1, "the link has lasted"
        other = nodes.start("other", "--network", "regtest", "--connect", f"{host}:{port}", "--no-discover")
        other.wait_for(HANG_S, tip=tip)
    finally:
        for sock in idle:
            sock.close()
    assert node.stop(timeout=HANG_S) == 0
    assert node.log().count("accept-paused") == 1
    assert "Traceback" not in node.log()
