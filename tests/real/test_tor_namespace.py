"""A node behind Tor in a network namespace where nothing answers but two ports of its daemon: it needs nothing
else, and sends nothing to anywhere else. (What else it may ask of the system, test_tor_leaks sees in its calls.)"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_nodes import GENESIS, TIP_255, Nodes, obscura
from hostile import Client
from netns import LOOPBACK, Namespace, Sight, listening
from test_tor_nodes import PATIENCE_S, by, imported, onion_of, until
from tor_network import TorNetwork, TorProcess

from obscura.base.instant import WallTime
from obscura.wire.address import AddressEntry, NetAddress, Network, parse_address
from obscura.wire.gossip import Addr
from obscura.wire.greeting import Ping

FOREIGN = ("1.2.3.4:8333", "[2a01:4f8::1]:8333", "a" * 52 + ".b32.i2p", "[fc12:3456::1]:8333")
"""Addresses of networks that the node does not use."""
NOBODY = NetAddress(Network.TORV3, bytes(range(32)), 8333).reveal()
"""An onion address where nobody is."""
ATTEMPTS = (
    ("udp", "192.0.2.1", 53),
    ("udp", "127.0.0.53", 53),
    ("udp", "224.0.0.251", 5353),
    ("udp", "2001:db8::1", 53),
    ("tcp", "127.0.0.1", 9),
    ("tcp", "192.0.2.1", 8333),
    ("tcp", "2001:db8::1", 8333),
)
SILENT = ("UdpOutDatagrams", "Udp6OutDatagrams", "IcmpOutMsgs", "Icmp6OutMsgs", "TcpAttemptFails")
"""Counters that stay at zero where there are connections to what listens, and nothing else."""
_TRY = """
import socket, sys
kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
sock = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
sock.settimeout(5)
if kind == "tcp":
    print(sock.connect_ex((address, port)))
else:
    sock.sendto(b"?", (address, port))
"""


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    # Not pytest's own directory: paths of sockets are short.
    directory = Path(tempfile.mkdtemp(prefix="netns"))
    try:
        with Namespace(directory) as made:
            yield made
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def clients(tor: TorNetwork) -> list[TorProcess]:
    return [tor.client("outside"), tor.client("beside")]


def attempt(namespace: Namespace, kind: str, address: str, port: int) -> str:
    """Have a process in there connect, or send a datagram; what it says."""
    command = [*namespace.run_in, sys.executable, "-c", _TRY, kind, address, str(port)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def spoken(sight: Sight) -> dict[str, int]:
    """Counters that are not silent."""
    return {name: value for name in SILENT if (value := sight.counters.get(name, 0))}


def tell(client: TorProcess, onion: str, *addresses: str) -> None:
    """Gossip to a node by its onion address, as a peer that tells of anything."""
    host, _, port = onion.rpartition(":")
    sock = client.dial(host, int(port))
    peer = Client(sock, veiled=True, genesis=bytes.fromhex(GENESIS)[::-1])
    try:
        now = WallTime(int(time.time()))
        peer.say(Addr(tuple(AddressEntry(now, 0, parse_address(one)) for one in addresses)), Ping(7))
        while peer.hear_frame()[0] != "pong":
            pass
    finally:
        peer.close()


@pytest.mark.parametrize("tried", ATTEMPTS, ids=lambda tried: "-".join(map(str, tried)))
def test_whatever_is_tried_in_a_namespace_is_seen(namespace: Namespace, tried: tuple[str, str, int]) -> None:
    before = namespace.seen()
    assert not before.destinations
    assert not spoken(before)
    attempt(namespace, *tried)
    after = namespace.seen()
    assert tried in after.destinations
    assert {one for one in after.destinations if one[0] != "icmp"} == {tried}
    assert spoken(after)
    assert after.dials == after.counters["TcpActiveOpens"] == (tried[0] == "tcp")


def test_what_is_let_out_of_a_namespace_answers_there_and_all_else_does_not(namespace: Namespace) -> None:
    with socket.create_server((LOOPBACK, 0)) as out, socket.create_server((LOOPBACK, 0)) as kept:
        ports = [sock.getsockname()[1] for sock in (out, kept)]
        namespace.let_out(ports[0])
        assert attempt(namespace, "tcp", LOOPBACK, ports[0]) == "0"
        out.settimeout(5)
        out.accept()[0].close()
        sight = namespace.seen()
        assert sight.destinations == {("tcp", LOOPBACK, ports[0])}
        assert not spoken(sight)
        assert attempt(namespace, "tcp", LOOPBACK, ports[1]) != "0"
        assert attempt(namespace, "tcp", "192.0.2.1", ports[0]) != "0"


def test_a_node_needs_and_tries_nothing_but_the_two_ports_of_tor(
    nodes: Nodes, namespace: Namespace, clients: list[TorProcess]
) -> None:
    outside, daemon = clients
    given = {daemon.control, daemon.socks}
    imported(nodes, "a")
    onion = onion_of(nodes.start("a", "--network", "bitcoin", *by(outside)))
    for port in given:
        namespace.let_out(port)
    words = ("--network", "bitcoin", *by(daemon), "--onlynet", "onion", "--connect", onion)
    node = nodes.start("b", *words, run_in=namespace.run_in)
    node.wait_for(PATIENCE_S)
    until(lambda: listening(node.process.pid) > given, "it listens for its onion service")
    [service] = listening(node.process.pid) - given
    # The way in, which only Tor takes: what comes by its onion service.
    way_in = namespace.let_in(service)
    node.wait_for(PATIENCE_S, height=255, tip=TIP_255)
    own = onion_of(node)
    c = nodes.start("c", "--network", "bitcoin", *by(outside), "--no-onion", "--connect", own)
    c.wait_for(PATIENCE_S, height=255, tip=TIP_255)
    # Addresses of other networks: from peers, a new one each, as each may tell of one at once; and from the operator.
    known = node.wait_for()["addresses"]
    for address in FOREIGN:
        tell(outside, own, address)
    assert node.wait_for()["addresses"] == known
    tell(outside, own, NOBODY)
    until(lambda: node.wait_for()["addresses"] > known, "what peers tell of onion addresses is learnt")
    for address in (*FOREIGN, "example.com:8333"):
        obscura("add", "--datadir", node.datadir, address)
    daemon.stop()
    until(lambda: node.wait_for()["reached_at"] == [], "Tor is gone")
    for address in FOREIGN:
        obscura("add", "--datadir", node.datadir, address)
    time.sleep(2)
    daemon.start()
    assert onion_of(node) == own
    until(lambda: node.wait_for()["peers"], "it comes back")
    way_in.close()
    assert node.stop() == 0
    sight = namespace.seen()
    assert sight.destinations == {("tcp", LOOPBACK, port) for port in (*given, service)}
    assert not spoken(sight)
    assert not sight.missed
    assert sight.dials == sight.counters["TcpActiveOpens"], "every connection was seen"
