"""What a node loses of Tor in the middle of a sync, circuits or the control port, and how it goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from cli_nodes import TIP_255, Nodes, RunningNode, obscura
from forwarder import Forwarder, LoopThread
from test_tor_nodes import PATIENCE_S, by, imported, onion_of, until
from tor_network import TorNetwork, TorProcess

from obscura.control.client import ask

TIP = 255
SLOW_KIB = 8
"""A second: at this rate the chain takes more than ten seconds."""
AWAY_S = 5


@pytest.fixture(scope="module")
def clients(tor: TorNetwork) -> list[TorProcess]:
    return [tor.client("serving"), tor.client("syncing")]


@pytest.fixture
def forwarders(clients: list[TorProcess]) -> Iterator[list[Forwarder]]:
    """One before the control port of each client."""
    thread = LoopThread("forwarders")
    made: list[Forwarder] = []
    try:
        for client in clients:
            made.append(Forwarder(thread, ("127.0.0.1", client.control)))
            made[-1].open()
        yield made
    finally:
        for one in made:
            one.close()
        thread.close()


def half_way(node: RunningNode) -> int:
    """Its height, once it has some blocks; it has not all of them then."""
    until(lambda: node.wait_for()["height"] > 0, "the first blocks are there")
    height: int = node.wait_for()["height"]
    assert height < TIP, "it is in the middle"
    return height


def links(node: RunningNode) -> dict[str, dict[str, Any]]:
    """The links that it has opened, by session."""
    return {row["session"]: row for row in ask(node.datadir, "peers") if not row["inbound"]}


def circuits_to(client: TorProcess, onion: str) -> set[str]:
    """The circuits of all streams to an onion address."""
    host = onion.partition(".")[0]
    words = [line.split() for line in client.tell("GETINFO stream-status").splitlines() if host in line]
    return {line[line.index("SUCCEEDED") + 1] for line in words if "SUCCEEDED" in line}


def test_a_sync_goes_on_after_its_circuits_were_closed(
    nodes: Nodes, tor: TorNetwork, clients: list[TorProcess]
) -> None:
    imported(nodes, "a")
    a = nodes.start("a", "--network", "bitcoin", *by(clients[0]))
    onion = onion_of(a)
    with tor.slowed(SLOW_KIB):
        b = nodes.start(
            "b", *("--network", "bitcoin", *by(clients[1]), "--onlynet", "onion", "--no-onion", "--connect", onion)
        )
        height = half_way(b)
        before = links(b)
        assert [row["address"] for row in before.values()] == [onion]
        closed = circuits_to(clients[1], onion)
        assert closed, "the link has a circuit"
        clients[1].must(*(f"CLOSECIRCUIT {one}" for one in closed))
        until(lambda: not before.keys() & links(b).keys(), "the link is lost")
        assert height <= b.wait_for()["height"] < TIP, "it was lost in the middle of the sync"
    b.wait_for(PATIENCE_S, height=TIP, tip=TIP_255)
    [after] = links(b).values()
    assert after["address"] == onion
    assert after["blocks_received"] > 0, "a new link brought the rest"
    again = circuits_to(clients[1], onion)
    assert again
    assert not again & closed
    for node in (a, b):
        assert node.stop() == 0


def test_a_sync_goes_on_without_control_ports(
    nodes: Nodes, tor: TorNetwork, clients: list[TorProcess], forwarders: list[Forwarder]
) -> None:
    imported(nodes, "a")
    a, b = (
        nodes.start(name, "--network", "bitcoin", "--onlynet", "onion", "--tor-control", f"127.0.0.1:{forwarder.port}")
        for name, forwarder in zip("ab", forwarders, strict=True)
    )
    onions = [onion_of(node) for node in (a, b)]
    with tor.slowed(SLOW_KIB):
        assert obscura("add", "--datadir", b.datadir, onions[0]).returncode == 0
        half_way(b)
        before = links(b)
        for forwarder in forwarders:
            forwarder.shut()
            assert forwarder.drop() == 1, "the session was there"
        cut_at = time.monotonic()
        until(lambda: not any(node.wait_for()["reached_at"] for node in (a, b)), "nobody is told of them")
        height = half_way(b)
        until(lambda: b.wait_for()["height"] > height, "blocks come while the control ports are away")
        assert links(b).keys() == before.keys(), "and by the same link"
        until(lambda: time.monotonic() > cut_at + AWAY_S, "they are away for a while")
        for node in (a, b):
            assert node.wait_for()["reached_at"] == []
        for forwarder in forwarders:
            forwarder.open()
    b.wait_for(PATIENCE_S, height=TIP, tip=TIP_255)
    assert [onion_of(node) for node in (a, b)] == onions, "they are where they were"
    c = nodes.start(
        "c", *("--network", "bitcoin", *by(clients[1]), "--onlynet", "onion", "--no-onion", "--connect", onions[0])
    )
    c.wait_for(PATIENCE_S, height=TIP, tip=TIP_255)
    for node in (a, b, c):
        assert node.stop() == 0
