"""What a node behind Tor contacts, by its own system calls: Tor's two ports, and nothing else, from start to end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_nodes import COMMAND, DATA, Nodes, environment, obscura
from test_tor_nodes import PATIENCE_S, by, onion_of, until
from tor_network import TorNetwork, TorProcess

from obscura.control.client import NoNodeError, ask
from obscura.wire.address import NetAddress, Network

_INET = re.compile(
    r'sin6?_port=htons\((\d+)\), (?:sin6_flowinfo=[^,]*, )?(?:sin_addr=inet_addr\("([^"]+)"\)|.*?"([^"]+)")'
)
_UNIX = re.compile(r'sa_family=AF_UNIX, sun_path=@?"([^"]*)"')
_FAMILY = re.compile(r"^\d+ +socket\((AF_\w+), (\w+)")
_OPENED = re.compile(r'openat\(AT_FDCWD, "([^"]+)"')
_RESOLVING = ("/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf")
"""What the system reads when it looks a name up. (hosts and resolv.conf are read by the consensus engine, for its
randomness.)"""


class Trace:
    """A node under strace."""

    def __init__(self, datadir: Path, *arguments: object) -> None:
        self.datadir = datadir
        self.file = datadir.parent / f"{datadir.name}.strace"
        datadir.mkdir(exist_ok=True)
        strace = ["strace", "-f", "-qq", "-s", "300", "-e", "trace=network,openat", "-o", str(self.file)]
        command = [*strace, *COMMAND, "node", "--datadir", str(datadir), *map(str, arguments)]
        with (datadir.parent / f"{datadir.name}.log").open("wb") as log:
            self.process = subprocess.Popen(command, env=environment(), stdout=log, stderr=log, start_new_session=True)

    def status(self, key: str) -> object:
        try:
            return ask(self.datadir, "status", timeout_s=10)[key]
        except NoNodeError:
            return None

    def stop(self) -> list[str]:
        """End it; the calls of its life."""
        done = obscura("stop", "--datadir", self.datadir)
        assert done.returncode == 0, done.stderr
        assert self.process.wait(30) == 0
        return self.file.read_text().splitlines()


@pytest.fixture(scope="module")
def clients(tor: TorNetwork) -> list[TorProcess]:
    return [tor.client("first"), tor.client("second")]


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[list[Trace]]:
    assert shutil.which("strace"), "this test needs strace"
    made: list[Trace] = []
    yield made
    for one in made:
        if one.process.poll() is None:
            # With strace alone the node would go on.
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()


def contacted(calls: list[str]) -> tuple[set[tuple[str, int]], set[str]]:
    """Where a process has connected, sent to or bound: Internet addresses with ports, and names of Unix sockets."""
    internet: set[tuple[str, int]] = set()
    local: set[str] = set()
    for call in calls:
        if not re.match(r"^\d+ +(connect|sendto|sendmsg|sendmmsg|bind)\(", call):
            continue
        if found := _UNIX.search(call):
            local.add(found[1])
        elif found := _INET.search(call):
            internet.add((found[2] or found[3], int(found[1])))
        elif "sa_family=" in call and "AF_NETLINK" not in call:
            # The consensus engine asks the kernel for the interfaces, for its randomness; nobody else hears of it.
            local.add(call)
    return internet, local


def test_nothing_but_tor_is_contacted(nodes: Nodes, traced: list[Trace], clients: list[TorProcess]) -> None:
    done = obscura("import", "--network", "bitcoin", "--datadir", nodes.directory / "a", DATA)
    assert done.returncode == 0, done.stderr
    a = nodes.start("a", "--network", "bitcoin", *by(clients[0]))
    onion = onion_of(a)
    nowhere = NetAddress(Network.TORV3, bytes(range(32)), 8333).reveal()
    node = Trace(
        nodes.directory / "b",
        *("--network", "bitcoin", *by(clients[1]), "--onlynet", "onion", "--connect", onion),
    )
    traced.append(node)
    until(lambda: node.status("height") == 255, "it syncs", PATIENCE_S)
    until(lambda: node.status("reached_at"), "others reach it", PATIENCE_S)
    # Mistakes, and addresses of other networks, on the way.
    for name in ("1.2.3.4:8333", "[2001:db8::1]:8333", nowhere, "example.com:8333", "a" * 52 + ".b32.i2p"):
        added = obscura("add", "--datadir", node.datadir, name)
        assert (added.returncode == 0) is (name == nowhere), f"{name}: {added.stderr}"
    clients[1].tell("SIGNAL NEWNYM")
    clients[1].stop()
    time.sleep(3)
    clients[1].start()
    until(lambda: node.status("peers"), "it comes back", PATIENCE_S)
    calls = node.stop()
    internet, local = contacted(calls)
    daemon = {("127.0.0.1", clients[1].control), ("127.0.0.1", clients[1].socks)}
    assert daemon <= internet, "it did contact Tor"
    assert internet - daemon == {("127.0.0.1", 0)}, "and bound one port for its onion service"
    assert all(name.endswith("control.sock") for name in local), local
    families = {(found[1], found[2]) for call in calls if (found := _FAMILY.match(call))}
    assert {family for family, _ in families} <= {"AF_INET", "AF_UNIX", "AF_NETLINK"}, families
    assert not any("SOCK_DGRAM" in kind and family == "AF_INET" for family, kind in families), "no datagram, no DNS"
    opened = {found[1] for call in calls if (found := _OPENED.search(call))}
    assert not opened & set(_RESOLVING), "nothing is resolved"
