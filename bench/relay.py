"""Relay: what a transaction costs a node beside its validation, and three nodes in a row against scripts alone.

Three whole nodes over real ledgers (the kernel's verifier, a coin view in SQLite) in one thread: bytes are carried at
once, time moves from deadline to deadline, so nothing waits and all that is measured is work. Validation is what the
ledger's verbs take; relay is everything else: frames, announcements, requests, the mempool.
"""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from obscura.base.instant import Duration, Instant, Now, WallTime
from obscura.base.names import ConnId
from obscura.base.randomness import Chance
from obscura.demo.signer import DemoCoin, DemoKey
from obscura.ledgers.kernel.binding import first_bad_input
from obscura.ledgers.kernel.build import build_block
from obscura.ledgers.kernel.header import block_hash
from obscura.ledgers.kernel.ledger import KernelLedger
from obscura.ledgers.kernel.networks import REGTEST
from obscura.ledgers.kernel.transaction import parse_block, parse_transaction
from obscura.node import Node, NodeConfig
from obscura.node.config import NoStem
from obscura.node.effects import (
    AcceptHeaders,
    Ask,
    BlocksRead,
    Dial,
    Effect,
    FollowCoins,
    JudgeTransactions,
    ReadBlocks,
    Send,
    TransactionsJudged,
)
from obscura.wire.address import NetAddress, parse_address
from obscura.wire.target import Mode, Target

from .measure import interleaved
from .report import Row, Table

_KEY = DemoKey("bench")
_AMOUNT = 100_000
_NODES = 3
_INPUTS = 2


class _Host:
    """One node, its ledger, and what its ledger has taken."""

    def __init__(self, row: _InARow, number: int, ledger: KernelLedger) -> None:
        self.row = row
        self.address: NetAddress = parse_address(f"127.{number + 1}.1.1:18444")
        self.ledger = ledger
        self.validating = 0.0
        self.links: dict[ConnId, tuple[_Host, ConnId]] = {}
        connect = () if number == 0 else (Target(row.hosts[-1].address),)
        config = NodeConfig(
            transport=Mode.PLAIN,
            network="regtest",
            user_agent="/Obscura:bench/",
            connect=connect,
            allow_local=True,
            discover=False,
            relay_inbound_mean=Duration(1_000),
            relay_outbound_mean=Duration(1_000),
            relay_tenths=0,
            no_stem=NoStem.NOW,
        )
        self.node = Node(config, ledger, Chance.from_seed(number), ledger.restore(), (), row.now)

    def answer(self, ask: Ask) -> None:
        """What the ledger's worker does, here and now."""
        began = time.perf_counter()
        match ask.request:
            case FollowCoins(details):
                answer: object = self.ledger.follow(details=details)
            case JudgeTransactions(candidates):
                answer = TransactionsJudged(self.ledger.admit(candidates))
            case AcceptHeaders(headers):
                answer = self.ledger.accept_headers(headers)
            case ReadBlocks(hashes, bytes_max):
                answer = BlocksRead(self.ledger.read_blocks(hashes, bytes_max))
            case _:
                answer = self.ledger.accept_blocks(ask.request.blocks)
        self.validating += time.perf_counter() - began
        self.node.answered(ask.ticket, answer, self.row.now)  # type: ignore[arg-type]


class _InARow:
    """Nodes in a row: each has dialled the one before it."""

    def __init__(self, ledgers: list[KernelLedger]) -> None:
        self.now = Now(Instant(0), WallTime(1_800_000_000))
        self.hosts: list[_Host] = []
        self._queue: deque[Callable[[], None]] = deque()
        for number, ledger in enumerate(ledgers):
            self.hosts.append(_Host(self, number, ledger))
            self.hosts[-1].node.start(self.now)
            self.settle()

    def settle(self) -> None:
        """Carry everything until nothing moves."""
        busy = True
        while busy:
            busy = False
            while self._queue:
                self._queue.popleft()()
                busy = True
            for host in self.hosts:
                for effect in host.node.take_effects():
                    self._carry_out(host, effect)
                    busy = True

    def _carry_out(self, host: _Host, effect: Effect) -> None:
        match effect:
            case Send(conn, data):
                link = host.links.get(conn)
                if link is not None:
                    self._queue.append(lambda: link[0].node.receive(link[1], data, self.now))
            case Ask():
                self._queue.append(lambda: host.answer(effect))
            case Dial(conn, address, _):
                target = next(other for other in self.hosts if other.address == address)
                theirs = target.node.accepted(host.address, self.now)
                assert theirs is not None, "there is a slot"
                host.links[conn], target.links[theirs] = (target, theirs), (host, conn)
                host.node.connected(conn, self.now)

    def step(self) -> None:
        """Go to the next deadline."""
        due = [at for host in self.hosts if (at := host.node.next_deadline()) is not None]
        mono = max(min(due), self.now.mono)
        self.now = Now(mono, WallTime(1_800_000_000 + mono // 1_000_000))
        for host in self.hosts:
            host.node.handle_deadline(self.now)
        self.settle()


def _chain(count: int) -> tuple[list[bytes], list[bytes]]:
    """Blocks that make coins, and payments of _INPUTS coins each."""
    previous, height, start = block_hash(REGTEST.genesis), 1, int.from_bytes(REGTEST.genesis[68:72], "little")
    blocks: list[bytes] = []

    def add(script: bytes, extra: list[bytes]) -> None:
        nonlocal previous, height
        blocks.append(build_block(previous, height, start + 600 * height, script, extra))
        previous, height = block_hash(blocks[-1][:80]), height + 1

    needed = -(-count * _INPUTS // 1_000)
    for _ in range(needed):
        add(_KEY.script, [])
    for _ in range(100):
        add(b"\x51", [])
    coins: list[DemoCoin] = []
    for block in blocks[:needed]:
        first = parse_block(block)[0]
        spent = DemoCoin(first.txid, 0, first.outputs[0][0])
        payment = _KEY.pay([spent], [(_AMOUNT, _KEY.script)] * 1_000)
        add(b"\x51", [payment.data])
        coins += payment.coins()
    pairs = zip(coins[0::2], coins[1::2], strict=True)
    payments = [_KEY.pay(pair, [(_AMOUNT, _KEY.script), (_AMOUNT - 1_000, _KEY.script)]).data for pair in pairs]
    return blocks, payments[:count]


def run(*, quick: bool) -> Table:
    """Measure."""
    count, rounds = (200, 1) if quick else (2_000, 3)
    blocks, payments = _chain(count)
    spent = [(_AMOUNT, _KEY.script)] * _INPUTS
    relayed: list[tuple[float, float]] = []

    def pass_through() -> None:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            ledgers = [KernelLedger(REGTEST, directory / str(number)) for number in range(_NODES)]
            for ledger in ledgers:
                stack.callback(ledger.close)
                ledger.restore()
                ledger.accept_blocks(blocks)
                while not ledger.follow(details=False).ready:
                    pass
                ledger.close()
            row = _InARow(ledgers)
            first, last = row.hosts[0], row.hosts[-1]
            for host in row.hosts:
                host.validating = 0.0
            began = time.perf_counter()
            for start in range(0, count, 100):
                for data in payments[start : start + 100]:
                    first.node.submit_transaction(data, row.now)
                row.settle()
                while last.node.snapshot(row.now).relay.waiting < min(count, start + 100):
                    row.step()
            took = time.perf_counter() - began
            relayed.append((took, sum(host.validating for host in row.hosts)))

    def scripts() -> None:
        for data in payments:
            assert first_bad_input(data, spent) is None, "it is signed"

    def reading() -> None:
        for data in payments:
            parse_transaction(data).info()

    times = interleaved(
        {"scripts": (scripts, count), "reading": (reading, count), "row": (pass_through, count)}, rounds
    )
    # The first round is thrown away by ``interleaved``; so it is here.
    took = sorted(relayed[1:])[len(relayed[1:]) // 2]
    per_node = took[0] / count / _NODES * 1e6
    validation = took[1] / count / _NODES * 1e6
    alone, reading_us = times["scripts"].median * 1e6, times["reading"].median * 1e6
    return Table(
        "relay",
        f"(h) Relay of transactions with {_INPUTS} inputs through {_NODES} nodes in a row (ratio: to scripts alone)",
        (
            Row("scripts alone (baseline)", alone, "µs", 1.0),
            Row("reading and naming one", reading_us, "µs", reading_us / alone),
            Row("a node, all in all", per_node, "µs", per_node / alone),
            Row("of it validation by the ledger", validation, "µs", validation / alone),
            Row("of it relay", per_node - validation, "µs", (per_node - validation) / alone, "≤ 100 µs"),
            Row("transactions through a node in a second", 1e6 / per_node, "tx/s", alone / per_node, "≥ 0.70"),
        ),
    )
