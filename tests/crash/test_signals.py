"""Signals other than SIGKILL, closed standard streams, and clients of the control socket that misbehave."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_nodes import COMMAND, DATA, Nodes, RunningNode, environment, free_port, obscura
from crash_chain import row, stored, write_block_file
from crash_kill import HANG_S, running, status, wait_until

from obscura.control.client import LostNodeError, RefusedError, ask
from obscura.ledgers.kernel.records import HEADS_BYTES

pytestmark = pytest.mark.slow
COUNT = 4_000
"""Blocks of an import that takes long enough to be interrupted."""


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


def start(nodes: Nodes, name: str = "a", *options: object) -> RunningNode:
    node = nodes.start(name, "--network", "regtest", *options)
    wait_until(lambda: status(node.datadir) is not None, node.process, nodes.directory / f"{name}.log")
    return node


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_polite_end_twice(nodes: Nodes, name: str) -> None:
    node = start(nodes)
    assert ask(node.datadir, "mine", {"count": 20})["height"] == 20
    for _ in range(2):
        node.process.send_signal(getattr(signal, name))
    assert node.process.wait(HANG_S) == 0
    assert "Traceback" not in node.log()
    assert not (node.datadir / "control.sock").exists()
    with running(node.datadir, "--network", "regtest"):
        assert (status(node.datadir) or {})["height"] == 20


def test_the_end_of_a_terminal_is_nothing_to_nohup(tmp_path: Path) -> None:
    command = ["nohup", *COMMAND, "node", "--network", "regtest", "--datadir", str(tmp_path / "a")]
    log = tmp_path / "a.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment())
    try:
        wait_until(lambda: status(tmp_path / "a") is not None, process, log)
        process.send_signal(signal.SIGHUP)
        assert ask(tmp_path / "a", "mine", {"count": 1})["height"] == 1
        time.sleep(0.3)
        assert process.poll() is None
        process.terminate()
        assert process.wait(HANG_S) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_import_is_interrupted(tmp_path: Path, name: str) -> None:
    file = write_block_file(tmp_path / "blocks.dat", row(COUNT))
    datadir = tmp_path / "a"
    command = [*COMMAND, "import", "--network", "regtest", "--datadir", str(datadir), str(file), "--json"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
    deadline = time.monotonic() + HANG_S
    segment = datadir / "blocks" / "blk00000.obs"
    while not segment.exists() or segment.stat().st_size < HEADS_BYTES + 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=HANG_S)
    if process.returncode == 0:
        pytest.fail("the import was over before the signal came: give it more blocks")
    assert process.returncode == (130 if name == "SIGINT" else -signal.SIGTERM)
    assert "Traceback" not in said
    kept = len(stored(datadir))
    assert 0 < kept < COUNT
    done = obscura("import", "--network", "regtest", "--datadir", datadir, file, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    # A clean end saves what the kernel has beyond the store, too.
    assert result["skipped"] >= kept
    assert result["skipped"] + result["accepted"] == result["height"] == COUNT


def test_mining_is_interrupted(nodes: Nodes) -> None:
    node = start(nodes)
    command = [*COMMAND, "mine", "--datadir", str(node.datadir), "-n", "100000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
    wait_until(lambda: (status(node.datadir) or {"height": 0})["height"] > 5, process, nodes.directory / "a.log")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=HANG_S)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert status(node.datadir) is not None, "only the client has ended"
    assert node.stop(timeout=HANG_S) == 0
    assert "Traceback" not in node.log()
    assert "exception" not in node.log()


def test_a_request_that_the_end_overtakes_is_answered(nodes: Nodes) -> None:
    node = start(nodes)
    command = [*COMMAND, "mine", "--datadir", str(node.datadir), "-n", "100000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
    wait_until(lambda: (status(node.datadir) or {"height": 0})["height"] > 5, process, nodes.directory / "a.log")
    assert node.stop(timeout=HANG_S) == 0
    _, said = process.communicate(timeout=HANG_S)
    assert process.returncode == 1
    assert said == "error: the node is stopping\n"
    assert "Traceback" not in node.log()


@pytest.mark.parametrize("closed", [(2,), (1,), (0, 1, 2)])
def test_standard_streams_that_are_closed(tmp_path: Path, closed: tuple[int, ...]) -> None:
    datadir = tmp_path / "a"
    arguments = [*COMMAND[1:], "node", "--network", "regtest", "--datadir", str(datadir)]
    code = (
        f"import os, sys; [os.close(fd) for fd in {closed}]; os.execv(sys.executable, [sys.executable, *{arguments}])"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=environment())
    try:
        deadline = time.monotonic() + HANG_S
        while status(datadir) is None:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert ask(datadir, "mine", {"count": 3})["height"] == 3
        for fd in closed:
            target = os.readlink(f"/proc/{process.pid}/fd/{fd}")
            assert target == "/dev/null", "no file of the node's stands where words for people go"
        process.terminate()
        assert process.wait(HANG_S) == 0
    finally:
        process.kill()
        process.wait()


def test_a_log_that_nobody_reads_any_more(tmp_path: Path) -> None:
    datadir = tmp_path / "a"
    command = [*COMMAND, "node", "--network", "regtest", "--datadir", str(datadir)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment())
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"obscura")
        process.stdout.close()
        assert ask(datadir, "mine", {"count": 30})["height"] == 30
        process.terminate()
        assert process.wait(HANG_S) == 0
    finally:
        process.kill()
        process.wait()


def test_control_clients_that_hang_or_talk_nonsense(nodes: Nodes) -> None:
    node = start(nodes)
    hanging: list[socket.socket] = []
    try:
        for _ in range(60):
            sock = socket.socket(socket.AF_UNIX)
            hanging.append(sock)
            sock.connect(str(node.datadir / "control.sock"))
            # Those above the bound are turned away, some before they have said anything.
            with contextlib.suppress(BrokenPipeError):
                sock.sendall(os.urandom(2_000).replace(b"\n", b"") if len(hanging) % 2 else b'{"method"')
        # The slots are taken: others are told so at once, and do not hang.
        with pytest.raises((RefusedError, LostNodeError), match=r"too many clients|ended before it answered"):
            ask(node.datadir, "status", timeout_s=HANG_S)
        for sock in hanging:
            sock.close()
        hanging.clear()
        wait_until(lambda: status(node.datadir) is not None, node.process, nodes.directory / "a.log")
        with pytest.raises(RefusedError, match="no method"):
            ask(node.datadir, "fly")
    finally:
        for sock in hanging:
            sock.close()
    assert node.stop(timeout=HANG_S) == 0
    assert "Traceback" not in node.log()


def test_a_stopped_process_is_given_up_and_comes_back(nodes: Nodes) -> None:
    """SIGSTOP in the middle of a sync: of the one that serves, then of the one that asks."""
    where = f"127.74.1.1:{free_port('127.74.1.1')}"
    done = obscura("import", "--network", "bitcoin", "--datadir", nodes.directory / "a", DATA)
    assert done.returncode == 0, done.stderr
    a = nodes.start("a", "--network", "bitcoin", "--listen", where)
    a.wait_for(HANG_S, height=255)
    for name, victim in (("b", 0), ("c", 1)):
        node = nodes.start(name, "--network", "bitcoin", "--connect", where, "--no-discover")
        wait_until(lambda at=node.datadir: status(at) is not None, node.process, nodes.directory / f"{name}.log")
        stopped = (a, node)[victim]
        stopped.process.send_signal(signal.SIGSTOP)
        time.sleep(1)
        if stopped is a:
            assert status(node.datadir) is not None, "the other one goes on"
        else:
            with pytest.raises(LostNodeError, match=r"did not answer|does not take"):
                ask(node.datadir, "status", timeout_s=0.5)
        stopped.process.send_signal(signal.SIGCONT)
        node.wait_for(HANG_S, height=255)
        assert node.stop(timeout=HANG_S) == 0
        assert "defect" not in node.log()
