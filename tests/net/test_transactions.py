"""Transactions between real node processes: sent, relayed, mined, kept over stops and kills."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_nodes import COMMAND, Nodes, RunningNode, environment, free_port, obscura

from obscura.app.stem_report import read_traces, report_of
from obscura.control.client import RefusedError, ask
from obscura.demo.signer import DemoCoin, DemoKey, DemoPayment
from obscura.ledgers.kernel.blockstore import BlockStore
from obscura.ledgers.kernel.header import block_hash
from obscura.ledgers.kernel.networks import REGTEST
from obscura.ledgers.kernel.transaction import parse_block

KEY = DemoKey("tests")
AMOUNT = 10_000
FEE = 500
OPEN = ("--network", "regtest", "--no-stem", "now")
"""Without a stem peer what is sent is told at once: these tests are about what is in the open."""


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


def pair(nodes: Nodes) -> tuple[RunningNode, RunningNode]:
    """Two nodes with a link on which transactions are relayed."""
    where = f"127.81.1.1:{free_port('127.81.1.1')}"
    a = nodes.start("a", *OPEN, "--listen", where)
    a.wait_for(peers=0)
    b = nodes.start("b", *OPEN, "--connect", where)
    for node in (a, b):
        until(lambda node=node: ask(node.datadir, "status")["relay"]["links"] == 1)
    return a, b


def until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come to that"
        time.sleep(0.05)


def mined_to_key(node: RunningNode) -> DemoCoin:
    """A coin of the demo key, ripe, in the node's chain of 101 blocks."""
    mined = ask(node.datadir, "mine", {"count": 1, "to": KEY.script.hex()})
    ask(node.datadir, "mine", {"count": 100})
    return DemoCoin(bytes.fromhex(mined["coinbase"])[::-1], 0, mined["reward"])


def fund(node: RunningNode, count: int) -> list[DemoCoin]:
    """Coins of the demo key, in the node's chain."""
    subsidy = mined_to_key(node)
    coins: list[DemoCoin] = []
    while len(coins) < count:
        outputs = [(AMOUNT, KEY.script)] * min(1_000, count - len(coins))
        left = subsidy.amount - sum(amount for amount, _ in outputs) - 100 * len(outputs)
        payment = KEY.pay([subsidy], [*outputs, (left, KEY.script)])
        ask(node.datadir, "send", {"hex": payment.data.hex()})
        *made, subsidy = payment.coins()
        coins += made
    until(lambda: len(waiting(node)) == -(-count // 1_000))
    assert ask(node.datadir, "mine", {"count": 1})["transactions"] == -(-count // 1_000)
    return coins


def payment(coin: DemoCoin, fee: int = FEE) -> DemoPayment:
    return KEY.pay([coin], [(coin.amount - fee, KEY.script)])


def shown(payment: DemoPayment) -> str:
    return payment.txid[::-1].hex()


def waiting(node: RunningNode) -> set[str]:
    return {row["txid"] for row in ask(node.datadir, "mempool", {"all": True})["transactions"]}


def test_sent_relayed_mined(nodes: Nodes, tmp_path: Path) -> None:
    a, b = pair(nodes)
    coins = fund(a, 6)
    b.wait_for(height=102)
    until(lambda: ask(b.datadir, "status")["relay"]["coins_height"] == 102)
    payments = [payment(coin) for coin in coins]
    first, second, third, *_ = payments
    done = obscura("send", "--datadir", a.datadir, first.data.hex())
    assert (done.returncode, done.stdout.strip()) == (0, shown(first)), done.stderr
    (tmp_path / "second").write_text(second.data.hex() + "\n")
    done = obscura("send", "--datadir", a.datadir, f"@{tmp_path / 'second'}", "--json")
    accepted = {
        "accepted": True,
        "txid": shown(second),
        "fee": FEE,
        "already": False,
        "stage": "fluffed",
        "fell_back": False,
    }
    assert json.loads(done.stdout) == accepted
    command = [*COMMAND, "send", "--datadir", str(b.datadir), "-"]
    done = subprocess.run(
        command, input=third.data.hex(), capture_output=True, text=True, check=True, env=environment()
    )
    assert done.stdout.strip() == shown(third)
    again = obscura("send", "--datadir", a.datadir, first.data.hex())
    assert (again.returncode, "it waits already" in again.stderr) == (0, True)
    for node in (a, b):
        until(lambda node=node: waiting(node) == {shown(one) for one in (first, second, third)})
    listed = obscura("mempool", "--datadir", b.datadir, "--all")
    assert shown(first) in listed.stdout
    assert "3 transactions" in listed.stdout
    assert "3 wait for a block, 1 of them your own" in obscura("status", "--datadir", b.datadir).stdout
    mined = obscura("mine", "--datadir", b.datadir)
    assert "with 3 transactions" in mined.stdout
    a.wait_for(height=103)
    for node in (a, b):
        until(lambda node=node: waiting(node) == set())
        assert ask(node.datadir, "check")["coins"] > 100


def test_a_stem_goes_out_and_comes_back(nodes: Nodes) -> None:
    """Three nodes in a ring, as they are in life but for their patience: nothing shows until it comes back."""
    hosts = [f"127.83.{number}.1" for number in range(1, 4)]
    where = [f"{host}:{free_port(host)}" for host in hosts]
    quick = ("--network", "regtest", "--no-discover", "--stem-age", "1", "--stem-hop-ms", "20", "--stem-trace")
    ring = [
        nodes.start(f"r{at}", *quick, "--listen", address, "--connect", where[(at + 1) % 3])
        for at, address in enumerate(where)
    ]
    for node in ring:
        node.wait_for(peers=2)
    subsidy = mined_to_key(ring[0])
    for node in ring:
        node.wait_for(height=101)
        until(lambda node=node: ask(node.datadir, "status")["relay"]["coins_height"] == 101)
    one = KEY.pay([subsidy], [(subsidy.amount - FEE, KEY.script)])
    done = obscura("send", "--datadir", ring[0].datadir, one.data.hex(), "--wait", "100", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stage"] in ("seen", "fluffed")
    for node in ring:
        until(lambda node=node: waiting(node) == {shown(one)})
    report = report_of(read_traces([node.datadir for node in ring]))
    assert (report.transactions, report.told_too_soon, report.never_spread) == (1, 0, 0)
    assert report.mean_length >= 1
    asked = ask(ring[0].datadir, "sent", {"txid": shown(one)})
    assert asked["stage"] in ("seen", "fluffed")
    for values, code in (({"txid": "x"}, "bad-txid"), ({"txid": "00" * 32}, "not-sent"), ({}, "bad-txid")):
        with pytest.raises(RefusedError) as caught:
            ask(ring[0].datadir, "sent", values)
        assert caught.value.code == code
    again = obscura("send", "--datadir", ring[1].datadir, one.data.hex())
    assert "it waits already" in again.stderr


def test_wrong_use_is_told_in_one_line(nodes: Nodes, tmp_path: Path) -> None:
    a, _ = pair(nodes)
    [coin] = fund(a, 1)
    good = payment(coin).data.hex()
    (tmp_path / "long").write_bytes(b"0" * 900_000)
    cases = [
        ("xyz", 2, "hexadecimal"),
        ("", 2, "1 to 400000"),
        (good[:-2], 1, "tx-truncated"),
        (good + "00", 1, "tx-leftover"),
        (payment(DemoCoin(bytes(32), 0, AMOUNT)).data.hex(), 1, "bad-txns-inputs-missingorspent"),
        (KEY.pay([coin], [(AMOUNT + 1, KEY.script)]).data.hex(), 1, "bad-txns-in-belowout"),
        (payment(coin, fee=1).data.hex(), 1, "min relay fee not met: 1 of "),
        (KEY.pay([coin], [(100, KEY.script)]).data.hex(), 1, "dust"),
        (DemoKey("another").pay([coin], [(AMOUNT - FEE, KEY.script)]).data.hex(), 1, "mandatory-script-verify"),
        (f"@{tmp_path / 'none'}", 2, "cannot be read"),
        (f"@{tmp_path / 'long'}", 2, "longer than any transaction"),
    ]
    for text, code, words in cases:
        done = obscura("send", "--datadir", a.datadir, text)
        assert done.returncode == code, (text[:20], done.stderr)
        assert words in done.stderr
        assert done.stderr.count("\n") == 1, "one line"
        assert done.stdout == ""
    rule = json.loads(obscura("send", "--datadir", a.datadir, good[:-2], "--json").stdout)
    assert (rule["accepted"], rule["rule"]) == (False, "tx-truncated")
    assert obscura("send", "--datadir", tmp_path / "nowhere", good).returncode == 3
    off = nodes.start("off", *OPEN, "--no-relay")
    off.wait_for(height=0)
    assert "relay-off" in obscura("send", "--datadir", off.datadir, good).stderr
    assert "relays no transactions" in obscura("mempool", "--datadir", off.datadir).stdout
    assert not (off.datadir / "coins.sqlite").exists()


def test_the_demo_command(nodes: Nodes) -> None:
    a = nodes.start("a", *OPEN)
    a.wait_for(height=0)
    script = obscura("demo", "script").stdout.strip()
    mined = obscura("mine", "--datadir", a.datadir, "--to", script)
    assert mined.returncode == 0, mined.stderr
    coin = mined.stdout.split()[-1]
    obscura("mine", "--datadir", a.datadir, "-n", "100")
    pay = obscura("demo", "pay", coin, "5000000000", "--to", "somebody")
    sent = obscura("send", "--datadir", a.datadir, pay.stdout.strip())
    assert sent.returncode == 0, sent.stderr
    for wrong in (("demo", "pay", "abc:0", "5"), ("demo", "pay", coin, "5", "--fee", "5")):
        done = obscura(*wrong)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


def test_a_stop_and_a_kill_keep_all_and_not_whose_it_was(nodes: Nodes) -> None:
    a, b = pair(nodes)
    coins = fund(a, 20)
    until(lambda: ask(b.datadir, "status")["relay"]["coins_height"] == 102)
    for number, coin in enumerate(coins):
        ask((a if number % 2 else b).datadir, "send", {"hex": payment(coin).data.hex()})
    until(lambda: len(waiting(a)) == len(waiting(b)) == 20)
    assert ask(a.datadir, "status")["relay"]["own"] == 10
    assert a.stop() == 0
    # What a peer sent is on disk a moment after it is here; what was sent at the node itself when it is answered.
    time.sleep(1)
    b.process.kill()
    b.process.wait()
    (a.datadir / "mempool.dat").write_bytes(b"of an earlier release")
    alone = nodes.start("a", *OPEN)
    other = nodes.start("b", *OPEN)
    for node in (alone, other):
        until(lambda node=node: node.wait_for()["relay"]["waiting"] == 20)
        assert node.wait_for()["relay"]["own"] == 0
        assert ask(node.datadir, "check")["fine"]
        assert not (node.datadir / "mempool.dat").exists()
        assert (node.datadir / "state.db").stat().st_mode & 0o777 == 0o600
    ask(other.datadir, "mine", {"count": 1})
    until(lambda: other.wait_for(height=103)["relay"]["waiting"] == 0)
    assert other.stop() == 0
    third = nodes.start("b", *OPEN)
    until(lambda: third.wait_for()["relay"]["ready"])
    assert third.wait_for()["relay"]["waiting"] == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_with_thousands_in_flight(nodes: Nodes) -> None:
    """Both nodes are killed again and again while thousands are sent, relayed and mined; what comes back is whole."""
    draw = random.Random(11)
    where = f"127.82.1.1:{free_port('127.82.1.1')}"

    def start() -> tuple[RunningNode, RunningNode]:
        a = nodes.start("a", *OPEN, "--listen", where)
        a.wait_for(timeout=60)
        b = nodes.start("b", *OPEN, "--connect", where)
        b.wait_for(timeout=60)
        return a, b

    a, b = start()
    coins = fund(a, 9_000)
    b.wait_for(height=102)
    own: set[str] = set()
    for round_number in range(4):
        both = (a, b)
        sent, wanted = 0, draw.randint(1_200, 2_200)
        while sent < wanted:
            one = payment(coins.pop())
            ask(draw.choice(both).datadir, "send", {"hex": one.data.hex()})
            own.add(shown(one))
            sent += 1
            if draw.random() < 0.002:
                ask(draw.choice(both).datadir, "mine", {"count": 1})
        for node in draw.sample(both, 2) if round_number % 2 else [draw.choice(both)]:
            node.process.kill()
            node.process.wait()
        for node in both:
            if node.process.poll() is None:
                node.process.kill()
                node.process.wait()
        a, b = start()
        for node in (a, b):
            until(lambda node=node: ask(node.datadir, "status")["relay"]["ready"])
            until(lambda node=node: ask(node.datadir, "status")["relay"]["in_line"] == 0)
            assert ask(node.datadir, "check", timeout_s=120)["fine"]
    # What was accepted is not lost: it is mined, once both have told each other.
    until(lambda: ask(a.datadir, "status")["tip"] == ask(b.datadir, "status")["tip"])
    for _ in range(10):
        for node in (a, b):
            ask(node.datadir, "mine", {"count": 1}, timeout_s=120)
            until(lambda: ask(a.datadir, "status")["tip"] == ask(b.datadir, "status")["tip"])
        if not waiting(a) and not waiting(b):
            break
    for node in (a, b):
        assert ask(node.datadir, "check", timeout_s=120)["fine"]
    assert own <= confirmed(a)


def confirmed(node: RunningNode) -> set[str]:
    """All transactions in the blocks that a node keeps."""
    root = block_hash(REGTEST.genesis)
    assert node.stop() == 0
    store = BlockStore(node.datadir / "blocks", root)
    blocks = [store.read([name])[0] for name in store.names()]
    return {one.txid.reveal() for block in blocks if block is not None for one in parse_block(block)[1:]}
