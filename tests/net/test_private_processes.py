"""Private broadcast by real node processes: what the operator sees, and what is on disk. Nobody is reached: the daemon
that is named does not run (with real ones: tests/real)."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_nodes import Nodes, RunningNode, free_port, obscura
from test_transactions import KEY, OPEN, fund, mined_to_key, payment, shown, until

from obscura.control.client import ask


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


def start(nodes: Nodes, *more: object) -> RunningNode:
    node = nodes.start("a", *OPEN, *more)
    node.wait_for(network="regtest")
    until(lambda: ask(node.datadir, "status")["relay"]["ready"])
    return node


def no_tor() -> tuple[str, str]:
    return "--tor-socks", f"127.0.0.1:{free_port('127.0.0.1')}"


def remains(datadir: Path, *secrets: bytes) -> list[str]:
    """Files in which one of these stands."""
    files = [path for path in datadir.rglob("*") if path.is_file()]
    return [path.name for path in files if any(secret in path.read_bytes() for secret in secrets)]


def test_what_waits_survives_a_kill_unseen_and_may_be_taken_back(nodes: Nodes) -> None:
    never = (*no_tor(), "--private-fallback", "never")
    node = start(nodes, *never)
    [coin, other] = fund(node, 2)
    one = payment(coin)
    done = obscura("send", "--datadir", node.datadir, "--private", one.data.hex())
    assert (done.returncode, done.stdout.strip()) == (0, shown(one)), done.stderr
    assert "no recipient has confirmed it yet" in done.stderr
    table = obscura("broadcasts", "--datadir", node.datadir).stdout
    assert re.search(rf"{shown(one)} +\d+ s +0 +0 ", table)
    [row] = json.loads(obscura("broadcasts", "--datadir", node.datadir, "--json").stdout)
    assert (row["txid"], row["confirmed"], row["under_way"]) == (shown(one), 0, 0)
    again = obscura("send", "--datadir", node.datadir, one.data.hex())
    assert again.returncode == 0 and "no recipient has confirmed it yet" in again.stderr, "it stays private"
    assert ask(node.datadir, "mempool", {})["waiting"] == 0
    node.stop(signal.SIGKILL)
    ids = (one.txid, one.txid[::-1], shown(one).encode())
    assert remains(node.datadir, one.data, *ids) == []
    assert (node.datadir / "keys" / "broadcast.key").stat().st_mode & 0o777 == 0o600

    node = start(nodes, *never)
    [row] = ask(node.datadir, "broadcasts", {})
    assert row["txid"] == shown(one)
    contradiction = KEY.pay([coin], [(coin.amount - 900, KEY.script)])
    refused = obscura("send", "--datadir", node.datadir, "--private", contradiction.data.hex())
    assert refused.returncode == 1 and "txn-mempool-conflict" in refused.stderr
    assert obscura("broadcasts", "--datadir", node.datadir, "--drop", "zz").returncode == 2
    wrong = obscura("broadcasts", "--datadir", node.datadir, "--drop", "00" * 32)
    assert wrong.returncode == 1 and "waits for private broadcast" in wrong.stderr
    taken = obscura("broadcasts", "--datadir", node.datadir, "--drop", shown(one))
    assert taken.returncode == 0 and "taken back" in taken.stdout
    assert "no transaction waits" in obscura("broadcasts", "--datadir", node.datadir).stdout
    assert not (node.datadir / "keys" / "broadcast.key").exists()
    assert ask(node.datadir, "sent", {"txid": shown(one)})["stage"] == "dropped"
    second = payment(other)
    assert obscura("send", "--datadir", node.datadir, "--private", second.data.hex()).returncode == 0
    assert node.stop() == 0
    log = node.log()
    assert shown(one) not in log and shown(second) not in log

    (node.datadir / "keys" / "broadcast.key").unlink()
    node = start(nodes, *never)
    assert ask(node.datadir, "broadcasts", {}) == []
    assert "1 of 1 transactions that wait for private broadcast cannot be read" in node.log()
    assert node.stop() == 0


def test_without_tor_or_i2p_it_is_refused_or_goes_by_stem(nodes: Nodes) -> None:
    node = start(nodes, "--private-fallback", "never")
    [coin, other] = fund(node, 2)
    refused = obscura("send", "--datadir", node.datadir, "--private", payment(coin).data.hex())
    assert refused.returncode == 1
    assert "--tor" in refused.stderr and "no-overlay" in refused.stderr
    assert node.stop() == 0
    node = start(nodes)
    done = obscura("send", "--datadir", node.datadir, "--private", payment(coin).data.hex())
    assert done.returncode == 0 and "not privately" in done.stderr
    assert ask(node.datadir, "broadcasts", {}) == []
    assert not (node.datadir / "keys" / "broadcast.key").exists()
    done = obscura("send", "--datadir", node.datadir, payment(other).data.hex())
    assert done.returncode == 0 and "not privately" not in done.stderr
    assert node.stop() == 0
    bad = obscura("node", "--datadir", node.datadir, "--network", "regtest", "--private", "--private-fallback", "never")
    assert bad.returncode == 2 and "--tor" in bad.stderr


def test_all_may_be_private(nodes: Nodes) -> None:
    node = start(nodes, *no_tor(), "--private")
    coin = mined_to_key(node)
    done = obscura("send", "--datadir", node.datadir, payment(coin).data.hex())
    assert done.returncode == 0 and "no recipient has confirmed it yet" in done.stderr
    assert node.stop() == 0
