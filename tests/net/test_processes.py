"""Real node processes: sync of the real chain, kills, stops, wrong use."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_nodes import COMMAND, DATA, TIP_255, Nodes, environment, free_port, obscura


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


def imported(nodes: Nodes, name: str = "a") -> Path:
    done = obscura("import", "--network", "bitcoin", "--datadir", nodes.directory / name, DATA, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tip"] == TIP_255
    return nodes.directory / name


def test_the_real_chain_reaches_others(nodes: Nodes) -> None:
    imported(nodes)
    where = f"127.62.1.1:{free_port('127.62.1.1')}"
    other = f"127.62.2.1:{free_port('127.62.2.1')}"
    a = nodes.start("a", "--network", "bitcoin", "--listen", where)
    a.wait_for(height=255)
    b = nodes.start("b", "--network", "bitcoin", "--listen", other, "--connect", where)
    status = b.wait_for(height=255)
    assert status["tip"] == TIP_255
    assert status["network"] == "bitcoin"
    assert status["headers"] == 255
    assert not status["syncing"]
    c = nodes.start("c", "--network", "bitcoin", "--connect", where, "--connect", other)
    c.wait_for(height=255, tip=TIP_255)
    received = sorted(peer["blocks_received"] for peer in c.ask("peers"))
    assert len(received) == 2
    assert received[0] > 0, "it fetches from both"
    assert sum(received) >= 255
    for node in (c, b, a):
        began = time.monotonic()
        assert node.stop(signal.SIGINT if node is a else signal.SIGTERM) == 0
        assert time.monotonic() - began < 5


@pytest.mark.slow
def test_kills_during_import_and_sync(nodes: Nodes) -> None:
    draw = random.Random(5)
    for round_number in range(8):
        command = [*COMMAND, "import", "--network", "bitcoin", "--datadir", str(nodes.directory / "a"), str(DATA)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
        time.sleep(0.15 + draw.random() * 0.5)
        process.kill()
        process.wait()
        if round_number == 7:
            imported(nodes)
    where = f"127.63.1.1:{free_port('127.63.1.1')}"
    a = nodes.start("a", "--network", "bitcoin", "--listen", where)
    a.wait_for(height=255, tip=TIP_255)
    for _ in range(8):
        b = nodes.start("b", "--network", "bitcoin", "--connect", where)
        time.sleep(0.2 + draw.random() * 0.6)
        b.process.kill()
        b.process.wait()
    b = nodes.start("b", "--network", "bitcoin", "--connect", where)
    b.wait_for(height=255, tip=TIP_255)
    a.process.kill()
    a.process.wait()
    again = nodes.start("a", "--network", "bitcoin", "--listen", where)
    again.wait_for(height=255, tip=TIP_255)
    b.wait_for(timeout=90, peers=1)


def test_mined_blocks_travel_and_survive_a_kill(nodes: Nodes) -> None:
    where = f"127.64.1.1:{free_port('127.64.1.1')}"
    a = nodes.start("a", "--network", "regtest", "--listen", where)
    b = nodes.start("b", "--network", "regtest", "--connect", where)
    a.wait_for(peers=1)
    done = obscura("mine", "--datadir", a.datadir, "-n", "30", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["height"] == 30
    b.wait_for(height=30, tip=answer["tip"])
    b.process.kill()
    b.process.wait()
    done = obscura("mine", "--datadir", b.datadir, "-n", "1", "--to", "51")
    assert done.returncode == 0, done.stderr
    again = nodes.start("b", "--network", "regtest", "--connect", where)
    again.wait_for(height=31)
    a.wait_for(height=31)


def test_one_process_a_datadir(nodes: Nodes) -> None:
    a = nodes.start("a", "--network", "regtest")
    a.wait_for(height=0)
    done = obscura("node", "--network", "regtest", "--datadir", a.datadir)
    assert done.returncode == 4
    assert f"process {a.process.pid}" in done.stderr
    done = obscura("stop", "--datadir", a.datadir)
    assert done.returncode == 0
    assert a.process.wait(5) == 0
    assert not (a.datadir / "control.sock").exists()


def test_a_drawn_port_is_kept(nodes: Nodes) -> None:
    ports = []
    for _ in range(2):
        a = nodes.start("a", "--network", "regtest", "--listen", "127.65.1.1")
        a.wait_for(height=0)
        ports.append(a.log().rsplit("listening on 127.65.1.1:", 1)[1].split(";")[0])
        assert a.stop() == 0
    assert ports[0] == ports[1]
    assert 10_000 <= int(ports[0]) <= 32_767


def test_the_control_socket_is_private_and_patient(nodes: Nodes) -> None:
    import socket

    a = nodes.start("a", "--network", "regtest")
    a.wait_for(height=0)
    path = a.datadir / "control.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    assert a.datadir.stat().st_mode & 0o077 == 0 or a.datadir.stat().st_mode & 0o777 == 0o755, "made by the test itself"
    for line in (
        b"nonsense\n",
        b"[]\n",
        b'{"method": 5}\n',
        b'{"method": "fly"}\n',
        b"x" * 200_000 + b"\n",
        b"{" * 5_000 + b"\n",
    ):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.settimeout(5)
            try:
                sock.sendall(line)
                answer = sock.makefile("rb").readline()
            except (BrokenPipeError, ConnectionResetError):
                continue
            assert b'"error"' in answer
    hanging = socket.socket(socket.AF_UNIX)
    hanging.connect(str(path))
    assert a.ask("status")["height"] == 0
    assert a.stop() == 0
    hanging.close()


def test_wrong_use_is_told_in_one_line(tmp_path: Path) -> None:
    cases = [
        (("node", "--network", "mainnet", "--datadir", tmp_path / "x"), 2, "bitcoin, testnet4, signet, regtest"),
        (("node", "--transport", "tls", "--datadir", tmp_path / "x"), 2, "veiled, literal, plain"),
        (("node", "--listener", "shut", "--datadir", tmp_path / "x"), 2, "open, keyed"),
        (("node", "--listener", "keyed", "--datadir", tmp_path / "x"), 2, "--listen too"),
        (("node", "--connect", "example.org:8333", "--datadir", tmp_path / "x"), 2, "not resolved"),
        (("node", "--connect", "1.2.3.4", "--datadir", tmp_path / "x"), 2, "HOST:PORT"),
        (("node", "--connect", "plain://a@1.2.3.4:5", "--datadir", tmp_path / "x"), 2, "a key goes with obscura://"),
        (("node", "--listen", "nowhere:1", "--datadir", tmp_path / "x"), 2, "listen"),
        (
            ("node", "--listen", "203.0.113.1:9", "--network", "regtest", "--datadir", tmp_path / "x"),
            2,
            "not an address of this",
        ),
        (("node", "--conect", "1.2.3.4:5"), 2, "--conect"),
        (("status", "--datadir", tmp_path / "none"), 3, "no node runs"),
        (("mine", "--datadir", tmp_path / "none"), 2, "holds no node"),
        (("import", "--datadir", tmp_path / "x", tmp_path / "missing.dat"), 2, "does not exist"),
        (("fly",), 2, "No such command"),
    ]
    for arguments, code, text in cases:
        done = obscura(*arguments)
        assert done.returncode == code, (arguments, done)
        assert text in done.stderr, (arguments, done.stderr)
        assert "Traceback" not in done.stderr


def test_a_datadir_belongs_to_one_network(nodes: Nodes) -> None:
    imported(nodes)
    done = obscura("node", "--network", "regtest", "--datadir", nodes.directory / "a")
    assert done.returncode == 2
    assert "belongs to network bitcoin" in done.stderr
    done = obscura("mine", "--datadir", nodes.directory / "a")
    assert done.returncode == 2
    assert "regtest only" in done.stderr


def test_a_bad_block_in_a_file_is_named(nodes: Nodes, tmp_path: Path) -> None:
    data = bytearray(DATA.read_bytes())
    # The coinbase of the second block.
    data[8 + 215 + 8 + 120] ^= 1
    (tmp_path / "bad.dat").write_bytes(data)
    done = obscura("import", "--network", "bitcoin", "--datadir", nodes.directory / "a", tmp_path / "bad.dat")
    assert done.returncode == 1
    assert "byte 223" in done.stderr
    assert "bad-txnmrklroot" in done.stderr
    assert imported(nodes)


def test_every_command_shows_an_example() -> None:
    for command in ("node", "import", "status", "peers", "add", "stop", "mine", "devnet"):
        done = obscura(command, "--help")
        assert done.returncode == 0
        assert f"Example: obscura {command}" in " ".join(done.stdout.split())
    for command in ("show", "rotate", "forget", "invite"):
        done = obscura("key", command, "--help")
        assert f"Example: obscura key {command}" in " ".join(done.stdout.split())
    assert obscura("--version").stdout.startswith("obscura ")


@pytest.mark.slow
def test_devnet_agrees_and_leaves_nothing(tmp_path: Path) -> None:
    done = obscura("devnet", "--nodes", "4", "--seconds", "5", "--dir", tmp_path / "net", "--json", timeout=120)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["agreed"]
    assert answer["height"] > 3
    assert len(answer["nodes"]) == 4
    left = subprocess.run(["pgrep", "-f", str(tmp_path / "net")], capture_output=True, text=True, check=False)
    assert left.stdout == ""


@pytest.mark.slow
def test_devnet_takes_its_nodes_along_when_killed(tmp_path: Path) -> None:
    command = [*COMMAND, "devnet", "--nodes", "2", "--seconds", "60", "--dir", str(tmp_path / "net")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    deadline = time.monotonic() + 30
    pattern = ["pgrep", "-f", f"obscura.cli.main node .*{tmp_path / 'net'}"]
    while len(subprocess.run(pattern, capture_output=True, check=False).stdout.split()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while subprocess.run(pattern, capture_output=True, check=False).stdout:
        assert time.monotonic() < deadline, "the nodes outlive the devnet"
        time.sleep(0.1)


def test_devnet_does_not_touch_a_foreign_directory(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    done = obscura("devnet", "--dir", tmp_path)
    assert done.returncode == 2
    assert "not a devnet's" in done.stderr
