"""``obscura key`` on real data directories, with and without a node."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_nodes import COMMAND, Nodes, environment, obscura

from obscura.base.instant import WallTime
from obscura.peers.pins import NamedPin
from obscura.store import Store
from obscura.store.keyfile import KeyFiles
from obscura.wire.address import parse_address
from obscura.wire.identity import KeyClass
from obscura.wire.keytext import key_text, secret_text
from obscura.wire.target import Mode, Target, parse_target, target_text

WHERE = "203.0.113.7:38333"
PIN = NamedPin(parse_address(WHERE), b"\x07" * 32, WallTime(1_800_000_000))


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    nodes = Nodes(tmp_path)
    yield nodes
    nodes.close()


def pinned(datadir: Path) -> None:
    """A data directory that a node has used, with a pin."""
    datadir.mkdir(mode=0o700, exist_ok=True)
    store = Store(datadir / "state.db")
    store.put("network", "regtest")
    store.put_pin(PIN)
    store.close()


def test_invite_then_show(tmp_path: Path) -> None:
    datadir = tmp_path / "d"
    done = obscura("key", "show", "--datadir", datadir)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no keys" in done.stdout
    assert not datadir.exists(), "looking makes nothing"
    done = obscura("key", "invite", "--datadir", datadir, "--network", "signet", "--host", WHERE)
    assert done.returncode == 0, done.stderr
    target = parse_target(done.stdout)
    files = KeyFiles(datadir, "signet")
    key, access = files.load(KeyClass.CLEARNET), files.load_access()
    assert key is not None
    assert access is not None
    assert target == Target(parse_address(WHERE), Mode.VEILED, key.public, access.raw)
    again = obscura("key", "invite", "--datadir", datadir, "--network", "signet", "--host", WHERE, "--json")
    answer = json.loads(again.stdout)
    assert answer == {"url": done.stdout.strip(), "class": "clearnet", "key": key_text(key.public)}
    assert sorted(one.name for one in datadir.iterdir()) == ["keys"]
    done = obscura("key", "show", "--datadir", datadir)
    assert done.returncode == 5
    assert "belongs to network signet, not bitcoin" in done.stderr
    (datadir / "obscura.toml").write_text('network = "signet"')
    files.obtain_broadcast()
    done = obscura("key", "show", "--datadir", datadir, "--json")
    shown = json.loads(done.stdout)
    row = {"class": "clearnet", "key": key_text(key.public), "file": str(files.path(KeyClass.CLEARNET))}
    assert shown == {"keys": [row], "access_secret_file": str(files.access_path)}
    text = obscura("key", "show", "--datadir", datadir).stdout
    assert key_text(key.public) in text
    assert answer["url"].split(".")[1][:20] not in text, "the secret is not shown by the way"
    assert "broadcast" not in text + done.stdout, "that one is nobody's identity"
    done = obscura("key", "rotate", "--datadir", datadir, "broadcast")
    assert done.returncode == 2, "nor can it be rotated: what waits could not be read any more"


def test_rotate(nodes: Nodes) -> None:
    a = nodes.start("a", "--network", "regtest", "--no-discover")
    a.wait_for()
    done = obscura("key", "rotate", "--datadir", a.datadir, "clearnet")
    assert done.returncode == 4
    assert "in use by process" in done.stderr
    assert "obscura stop" in done.stderr
    a.stop()
    keys = set()
    for _ in range(2):
        done = obscura("key", "rotate", "--datadir", a.datadir, "clearnet", "--json")
        assert done.returncode == 0, done.stderr
        keys.add(json.loads(done.stdout)["key"])
    assert len(keys) == 2
    shown = json.loads(obscura("key", "show", "--datadir", a.datadir, "--json").stdout)
    assert shown["keys"][0]["key"] in keys
    done = obscura("key", "rotate", "--datadir", a.datadir, "tor")
    assert done.returncode == 2
    assert "clearnet" in done.stderr
    (a.datadir / "keys" / "clearnet.key").chmod(0o644)
    done = obscura("key", "show", "--datadir", a.datadir)
    assert done.returncode == 5
    assert "chmod 600" in done.stderr


def test_forget_without_a_node(tmp_path: Path) -> None:
    datadir = tmp_path / "d"
    done = obscura("key", "forget", "--datadir", datadir, WHERE)
    assert done.returncode == 2
    assert "holds no node" in done.stderr
    done = obscura("key", "rotate", "--datadir", datadir, "clearnet")
    assert done.returncode == 2
    assert not datadir.exists()
    pinned(datadir)
    done = obscura("key", "forget", "--datadir", datadir, WHERE)
    assert done.returncode == 0, done.stderr
    assert f"the key of {WHERE} is forgotten" in done.stdout
    done = obscura("key", "forget", "--datadir", datadir, WHERE, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"forgotten": False}
    assert done.stderr == f"error: no key is pinned for {WHERE}: nothing was forgotten\n"
    done = obscura("key", "forget", "--datadir", datadir, "203.0.113.7")
    assert done.returncode == 2
    assert "HOST:PORT" in done.stderr


def test_forget_through_a_node(nodes: Nodes) -> None:
    pinned(nodes.directory / "a")
    a = nodes.start("a", "--network", "regtest", "--no-discover")
    a.wait_for()
    done = obscura("add", "--datadir", a.datadir, f"plain://{WHERE}")
    assert done.returncode == 1
    assert (
        f"a key is pinned for this address, and plain could be made to pass it over; to give the key up: obscura \
key forget {WHERE}"
        in done.stderr
    )
    done = obscura("add", "--datadir", a.datadir, "obscura://abc@1.2.3.4:5")
    assert done.returncode == 1
    assert "the key has 3 characters" in done.stderr
    done = obscura("key", "forget", "--datadir", a.datadir, WHERE, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"forgotten": True}
    done = obscura("key", "forget", "--datadir", a.datadir, WHERE)
    assert done.returncode == 1
    assert "no key is pinned" in done.stderr
    assert obscura("add", "--datadir", a.datadir, f"plain://{WHERE}").returncode == 0
    assert "defect" not in a.log()
    a.process.kill()
    a.process.wait()
    store = Store(a.datadir / "state.db")
    assert store.load_pins() == (), "durable before it was reported"
    store.close()


def test_a_setting_against_a_pin_stops_the_start(tmp_path: Path) -> None:
    pinned(tmp_path / "d")
    done = obscura("node", "--network", "regtest", "--datadir", tmp_path / "d", "--connect", f"plain://{WHERE}")
    assert done.returncode == 2
    assert f"obscura key forget {WHERE}" in done.stderr


def test_a_node_that_moves_shows_another_key(nodes: Nodes) -> None:
    def key_at(host: str, *options: str) -> bytes:
        node = nodes.start("a", "--network", "regtest", "--no-discover", "--listen", host, *options)
        node.wait_for()
        node.stop()
        key = KeyFiles(node.datadir, "regtest").load(KeyClass.CLEARNET)
        assert key is not None
        return key.public

    first = key_at("127.60.1.1")
    assert key_at("127.60.2.1", "--keep-key") == first
    log = nodes.directory / "a.log"
    assert "key-renewed" not in log.read_text()
    assert key_at("127.60.1.1") != first
    [line] = [line for line in log.read_text().splitlines() if "key-renewed" in line]
    assert "the clearnet key was renewed" in line
    assert "127.60" not in line


def test_no_key_is_made_for_a_network_that_the_blocks_are_not_of(nodes: Nodes) -> None:
    a = nodes.start("a", "--network", "regtest", "--no-discover")
    a.wait_for()
    assert obscura("mine", "--datadir", a.datadir).returncode == 0
    a.stop()
    for lost in a.datadir.glob("state.db*"):
        lost.unlink()
    done = obscura("node", "--datadir", a.datadir, "--network", "signet", "--listen", "127.60.1.1")
    assert done.returncode == 5
    assert "blocks of the chain with genesis" in done.stderr
    assert not (a.datadir / "keys").exists(), "it would refuse the right network from then on"


def test_a_peer_with_a_secret_need_not_stand_in_the_command_line(nodes: Nodes, tmp_path: Path) -> None:
    url = target_text(Target(parse_address(WHERE), Mode.VEILED, b"\x08" * 32, b"\x09" * 32))
    secret = secret_text(b"\x09" * 32)
    (tmp_path / "peer").write_text(url + "\n")
    (tmp_path / "bad").write_text(url.replace("@", "#"))
    a = nodes.start(
        "a", "--network", "regtest", "--no-discover", "--log-level", "debug", "--connect", f"@{tmp_path}/peer"
    )
    a.wait_for()
    assert secret not in Path(f"/proc/{a.process.pid}/cmdline").read_text()
    said = ""
    for argument, given, code in ((f"@{tmp_path}/peer", None, 0), ("-", url, 0), (f"@{tmp_path}/bad", None, 1)):
        command = [*COMMAND, "add", "--datadir", str(a.datadir), argument]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, env=environment())
        assert done.returncode == code, done.stderr
        said += done.stdout + done.stderr
    for words in (["add", "--datadir", a.datadir, url, url], ["add", "--datadir", a.datadir, url.replace("@", "#")]):
        done = obscura(*words)
        assert done.returncode in (1, 2)
        said += done.stdout + done.stderr
    a.stop()
    for start in range(len(secret) - 20):
        assert secret[start : start + 20] not in said + a.log()
