"""Nodes behind real Tor clients of a private network: they find each other by onion addresses, and by nothing else."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from cli_nodes import DATA, TIP_255, Nodes, RunningNode, obscura
from tor_network import TorNetwork, TorProcess, free_port

from obscura.control.client import ask
from obscura.demo.signer import DemoCoin, DemoKey
from obscura.wire.address import Network, parse_address

PATIENCE_S = 120
OPEN = ("--network", "regtest", "--no-stem", "now")


@pytest.fixture(scope="module")
def clients(tor: TorNetwork) -> list[TorProcess]:
    return [tor.client("one"), tor.client("two")]


def by(client: TorProcess) -> tuple[str, ...]:
    return ("--tor-control", f"127.0.0.1:{client.control}")


def onion_of(node: RunningNode) -> str:
    """Its onion address, once it is reachable there."""
    found: list[str] = []

    def reachable() -> bool:
        found[:] = [one for one in node.wait_for()["reached_at"] if ".onion:" in one]
        return bool(found)

    until(reachable, "the onion service is reachable")
    return found[0]


def until(condition: Any, what: str, seconds: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def imported(nodes: Nodes, name: str) -> None:
    done = obscura("import", "--network", "bitcoin", "--datadir", nodes.directory / name, DATA)
    assert done.returncode == 0, done.stderr


def test_the_real_chain_is_synced_over_onion_addresses(nodes: Nodes, clients: list[TorProcess]) -> None:
    imported(nodes, "a")
    a = nodes.start("a", "--network", "bitcoin", *by(clients[0]))
    onion = onion_of(a)
    b = nodes.start("b", "--network", "bitcoin", *by(clients[1]), "--connect", onion, "--onlynet", "onion")
    b.wait_for(PATIENCE_S, height=255, tip=TIP_255)
    [to_a] = [peer for peer in b.ask("peers") if not peer["inbound"]]
    assert to_a["transport"] == "veiled"
    assert to_a["address"] == onion
    [from_b] = [peer for peer in a.ask("peers") if peer["inbound"]]
    assert parse_address(from_b["address"]).network is Network.TORV3, "nothing is known of who comes"
    for node in (a, b):
        assert node.stop() == 0
    assert stat.S_IMODE((nodes.directory / "a" / "keys" / "onion.service").stat().st_mode) == 0o600


def test_the_address_stays_over_restarts_of_node_and_daemon(nodes: Nodes, clients: list[TorProcess]) -> None:
    a = nodes.start("a", *OPEN, *by(clients[0]))
    onion = onion_of(a)
    a.stop()
    a = nodes.start("a", *OPEN, *by(clients[0]))
    assert onion_of(a) == onion
    b = nodes.start("b", *OPEN, *by(clients[1]), "--connect", onion)
    b.wait_for(PATIENCE_S, peers=1)
    for client in clients:
        client.stop()
    until(lambda: b.wait_for()["peers"] == 0, "the link is lost")
    assert a.wait_for()["reached_at"] == []
    for client in clients:
        client.start()
    assert onion_of(a) == onion
    # It may have dialled by a descriptor from before, with which Tor keeps it waiting until the dial is given up.
    b.wait_for(2 * PATIENCE_S, peers=1)


def test_transactions_go_over_onion_links(nodes: Nodes, clients: list[TorProcess]) -> None:
    key = DemoKey("tests")
    a = nodes.start("a", *OPEN, *by(clients[0]))
    b = nodes.start("b", *OPEN, *by(clients[1]), "--connect", onion_of(a))
    until(lambda: b.wait_for()["relay"]["links"] == 1, "the link relays")
    mined = ask(a.datadir, "mine", {"count": 1, "to": key.script.hex()})
    tip = ask(a.datadir, "mine", {"count": 100})["tip"]
    b.wait_for(PATIENCE_S, tip=tip)
    coin = DemoCoin(bytes.fromhex(mined["coinbase"])[::-1], 0, mined["reward"])
    payment = key.pay([coin], [(coin.amount - 500, key.script)])
    until(lambda: b.wait_for()["relay"]["ready"], "its coin view stands")
    ask(b.datadir, "send", {"hex": payment.data.hex()})
    until(lambda: a.wait_for()["relay"]["waiting"] == 1, "the other one has it")


def test_a_node_starts_a_tor_of_its_own(nodes: Nodes, tor: TorNetwork) -> None:
    made = nodes.directory / "a"
    made.mkdir()
    (made / "obscura.toml").write_text(f"tor_extra = {json.dumps(tor.extra)}\n")
    a = nodes.start("a", "--network", "regtest", "--tor")
    onion = onion_of(a)
    assert f"reachable at {onion}" in a.log()
    pid = _pid(made)
    assert a.stop() == 0
    assert not _alive(pid), "it ends with the node"


def test_streams_have_circuits_of_their_own(nodes: Nodes, clients: list[TorProcess]) -> None:
    onions = [onion_of(nodes.start(name, *OPEN, *by(clients[0]))) for name in ("a", "b")]
    c = nodes.start("c", *OPEN, *by(clients[1]), "--no-onion", *(x for onion in onions for x in ("--connect", onion)))
    c.wait_for(PATIENCE_S, peers=2)
    streams = [line.split() for line in clients[1].tell("GETINFO stream-status").splitlines() if "SUCCEEDED" in line]
    circuits = {words[words.index("SUCCEEDED") + 1] for words in streams}
    assert len(streams) == len(circuits) == 2
    names = [
        part
        for line in clients[1].tell("GETINFO circuit-status").splitlines()
        for part in line.split()
        if part.startswith("SOCKS_USERNAME=") and line.split()[0].removeprefix("250+circuit-status=") in circuits
    ]
    assert len(set(names)) == 2, "each with credentials of its own"


def _pid(made: Path) -> int:
    done = subprocess.run(["pgrep", "-f", str(made / "tor" / "torrc")], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_cannot_be_is_said_at_the_start(nodes: Nodes) -> None:
    for words, text in (
        (("--connect", "a" * 56 + ".onion:8333"), "onion"),
        (("--onlynet", "onion"), "onion addresses need Tor"),
        (("--tor-control", "localhost"), "tor_control"),
        (("--onlynet", "tor"), "choose among"),
        (("--tor", "--onlynet", "onion", "--listen", "127.0.0.1"), "--onlynet leaves out"),
        (("--proxy", "tor"), "--tor"),
        (
            ("--tor-control", f"127.0.0.1:{free_port()}", "--onion", "--listener", "keyed", "--listen", "127.0.0.1"),
            "tie",
        ),
    ):
        done = obscura("node", "--network", "regtest", "--datadir", nodes.directory / "x", *words)
        assert done.returncode == 2, words
        assert text in done.stderr, (words, done.stderr)
