"""Nodes behind real I2P routers of a private network, and one that is at home in Tor and in I2P."""

from __future__ import annotations

import json
import stat

from cli_nodes import DATA, TIP_255, Nodes, RunningNode, obscura
from i2p_network import I2PNetwork
from test_tor_nodes import OPEN, by, onion_of, until
from tor_network import TorNetwork

from obscura.control.client import ask
from obscura.demo.signer import DemoCoin, DemoKey
from obscura.wire.address import Network, parse_address

PATIENCE_S = 400
"""A session takes half a minute, now and then two of them; so does the first stream."""


def sam(i2p: I2PNetwork, router: int) -> tuple[str, str]:
    return "--i2p-sam", f"127.0.0.1:{i2p.sam(router)}"


def i2p_of(node: RunningNode) -> str:
    """Its I2P address, once it has one."""
    found: list[str] = []

    def reachable() -> bool:
        found[:] = [one for one in node.wait_for()["reached_at"] if ".b32.i2p" in one]
        return bool(found)

    until(reachable, "there is a destination", PATIENCE_S)
    return found[0]


def test_the_real_chain_is_synced_over_i2p(nodes: Nodes, i2p: I2PNetwork) -> None:
    done = obscura("import", "--network", "bitcoin", "--datadir", nodes.directory / "a", DATA)
    assert done.returncode == 0, done.stderr
    a = nodes.start("a", "--network", "bitcoin", *sam(i2p, 0))
    address = i2p_of(a)
    b = nodes.start("b", "--network", "bitcoin", *sam(i2p, 1), "--onlynet", "i2p", "--connect", address)
    b.wait_for(PATIENCE_S, height=255, tip=TIP_255)
    [to_a] = [peer for peer in b.ask("peers") if not peer["inbound"]]
    assert (to_a["transport"], to_a["address"]) == ("veiled", address)
    [from_b] = [peer for peer in a.ask("peers") if peer["inbound"]]
    assert parse_address(from_b["address"]).network is Network.I2P
    assert from_b["address"] != i2p_of(b), "dials do not show where a node listens"
    i2p.drop_connections(0)
    until(lambda: a.wait_for()["reached_at"] == [], "the session is lost", PATIENCE_S)
    assert i2p_of(a) == address, "it is the same destination again"
    # (The other end of a stream that was lost so notices nothing until its pings fail.)
    until(lambda: a.wait_for()["peers"] >= 1, "they have found each other again", PATIENCE_S)
    key = nodes.directory / "a" / "keys" / "i2p.destination"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    for node in (a, b):
        assert node.stop() == 0


def test_one_node_is_at_home_in_both_and_shows_each_its_own(nodes: Nodes, i2p: I2PNetwork, tor: TorNetwork) -> None:
    clients = [tor.client("athome"), tor.client("visitor")]
    both = nodes.start("both", *OPEN, *by(clients[0]), *sam(i2p, 0))
    onion, address = onion_of(both), i2p_of(both)
    by_tor = nodes.start("by-tor", *OPEN, *by(clients[1]), "--no-onion", "--connect", onion)
    by_i2p = nodes.start("by-i2p", *OPEN, *sam(i2p, 1), "--no-i2p-listen", "--connect", address)
    for node in (by_tor, by_i2p):
        until(lambda node=node: node.wait_for()["relay"]["links"] == 1, "the link relays", PATIENCE_S)
    key = DemoKey("tests")
    mined = ask(by_tor.datadir, "mine", {"count": 1, "to": key.script.hex()})
    tip = ask(by_tor.datadir, "mine", {"count": 100})["tip"]
    by_i2p.wait_for(PATIENCE_S, tip=tip)
    coin = DemoCoin(bytes.fromhex(mined["coinbase"])[::-1], 0, mined["reward"])
    payment = key.pay([coin], [(coin.amount - 500, key.script)])
    until(lambda: by_i2p.wait_for()["relay"]["ready"], "its coin view stands", PATIENCE_S)
    ask(by_i2p.datadir, "send", {"hex": payment.data.hex()})
    until(lambda: by_tor.wait_for()["relay"]["waiting"] == 1, "it comes through to the other network", PATIENCE_S)
    shown = json.loads(obscura("key", "show", "--datadir", both.datadir, "--json").stdout)["keys"]
    assert len({json.dumps(row) for row in shown}) == len({row["key"] for row in shown}) == 2, "an identity for each"
    for node in (both, by_tor, by_i2p):
        assert node.stop() == 0
    for node, own, foreign in ((by_tor, onion, address), (by_i2p, address, onion)):
        kept = b"".join(path.read_bytes() for path in node.datadir.glob("state.db*"))
        assert parse_address(own).raw in kept
        assert parse_address(foreign).raw not in kept, "nothing of the other"
