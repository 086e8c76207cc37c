"""Private broadcast over real, private Tor and I2P networks: recipients confirm, the transaction comes back, and each
connection had a circuit, or a destination, of its own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cli_nodes import Nodes, RunningNode, obscura
from i2p_network import I2PNetwork
from test_i2p_nodes import PATIENCE_S as I2P_PATIENCE_S
from test_i2p_nodes import i2p_of, sam
from test_tor_nodes import OPEN, PATIENCE_S, by, onion_of, until
from tor_network import TorNetwork, TorProcess

from obscura.control.client import ask
from obscura.demo.signer import DemoCoin, DemoKey, DemoPayment

KEY = DemoKey("private")


@pytest.fixture(scope="module")
def clients(tor: TorNetwork) -> list[TorProcess]:
    return [tor.client("recipients"), tor.client("origin")]


def payments(miner: RunningNode, nodes: list[RunningNode], count: int, patience: float) -> list[DemoPayment]:
    """Payments of ripe coins, once all nodes have the chain that makes them so and a view of its coins."""
    coins = []
    for _ in range(count):
        mined = ask(miner.datadir, "mine", {"count": 1, "to": KEY.script.hex()})
        coins.append(DemoCoin(bytes.fromhex(mined["coinbase"])[::-1], 0, mined["reward"]))
    tip = ask(miner.datadir, "mine", {"count": 100})["tip"]
    for node in nodes:
        node.wait_for(patience, tip=tip)
        until(lambda node=node: node.wait_for()["relay"]["ready"], "its coin view stands", patience)
    return [KEY.pay([coin], [(coin.amount - 500, KEY.script)]) for coin in coins]


def stage(node: RunningNode, payment: DemoPayment) -> str:
    return str(ask(node.datadir, "sent", {"txid": payment.txid[::-1].hex()})["stage"])


def has(node: RunningNode, payment: DemoPayment) -> bool:
    rows = ask(node.datadir, "mempool", {"all": True})["transactions"]
    return payment.txid[::-1].hex() in {row["txid"] for row in rows}


@contextmanager
def watched(client: TorProcess) -> Iterator[dict[str, tuple[str, str]]]:
    """All streams that a Tor client makes meanwhile: circuit and target, by the stream's number."""
    seen: dict[str, tuple[str, str]] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            for line in client.tell("GETINFO stream-status").splitlines():
                words = line.removeprefix("250+stream-status=").removeprefix("250-stream-status=").split()
                if "SUCCEEDED" in words:
                    at = words.index("SUCCEEDED")
                    # It has streams of its own, to the network's directories.
                    if ".exit:" not in words[at + 2]:
                        seen[words[at - 1]] = words[at + 1], words[at + 2]

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_over_tor(nodes: Nodes, clients: list[TorProcess]) -> None:
    a = nodes.start("a", *OPEN, *by(clients[0]))
    onions = [onion_of(a)]
    b = nodes.start("b", *OPEN, *by(clients[0]), "--connect", onions[0])
    c = nodes.start("c", *OPEN, *by(clients[0]), "--connect", onions[0])
    onions += [onion_of(b), onion_of(c)]
    (nodes.directory / "seeds").write_text("\n".join(onions[1:]) + "\n")
    origin = (*OPEN, *by(clients[1]), "--no-onion", "--onlynet", "onion", "--connect", onions[0])
    more = ("--seeds", nodes.directory / "seeds", "--private-fallback", "never")
    o = nodes.start("o", *origin, *more)
    everybody = [a, b, c, o]
    first, second = payments(a, everybody, 2, PATIENCE_S)
    before = {peer["conn"] for peer in o.ask("peers")}
    with watched(clients[1]) as streams:
        done = obscura("send", "--datadir", o.datadir, "--private", "--wait", 200, first.data.hex(), timeout=300)
        assert done.returncode == 0, done.stderr
        assert "came back from the network" in done.stderr, done.stderr
        told = done.stderr.splitlines()
    assert "no recipient has confirmed it yet" in told[0]
    assert all(has(node, first) for node in everybody)
    [row] = ask(o.datadir, "mempool", {"all": True})["transactions"]
    assert not row["own"]
    assert ask(o.datadir, "broadcasts", {}) == []
    circuits = [circuit for circuit, _ in streams.values()]
    assert len(set(circuits)) == len(circuits), "no two streams share a circuit"
    assert {target for _, target in streams.values()} <= set(onions)
    assert len(streams) > len(before), "there were some besides the links that last"

    # The daemon is gone; the node is killed with what waits; both come back.
    clients[1].stop()
    done = obscura("send", "--datadir", o.datadir, "--private", second.data.hex())
    assert done.returncode == 0, done.stderr
    o.stop(signal.SIGKILL)
    clients[1].start()
    o = nodes.start("o", *origin, *more)
    until(lambda: o.wait_for()["relay"]["ready"], "its coin view stands")
    assert [row["txid"] for row in ask(o.datadir, "broadcasts", {})] == [second.txid[::-1].hex()]
    until(lambda: has(a, second), "it went on", 300)
    until(lambda: stage(o, second) == "seen", "it came back", 300)
    for node in (a, b, c, o):
        assert node.stop() == 0


def test_over_i2p(nodes: Nodes, i2p: I2PNetwork) -> None:
    a = nodes.start("a", *OPEN, *sam(i2p, 0))
    address = i2p_of(a)
    o = nodes.start(
        "o", *OPEN, *sam(i2p, 1), "--no-i2p-listen", "--onlynet", "i2p", "--connect", address,
        "--private-fallback", "never",
    )  # fmt: skip
    until(lambda: o.wait_for()["relay"]["links"] == 1, "the link relays", I2P_PATIENCE_S)
    [payment] = payments(a, [a, o], 1, I2P_PATIENCE_S)
    [link] = a.ask("peers")
    callers = {link["address"]}
    assert obscura("send", "--datadir", o.datadir, "--private", payment.data.hex()).returncode == 0

    def came_back() -> bool:
        callers.update(peer["address"] for peer in ask(a.datadir, "peers", {}) if peer["inbound"])
        return stage(o, payment) == "seen"

    until(came_back, "it came back", I2P_PATIENCE_S)
    assert len(callers) > 1, "the hand-over came from another destination than the link"
    assert has(a, payment) and has(o, payment)
    for node in (a, o):
        assert node.stop() == 0
