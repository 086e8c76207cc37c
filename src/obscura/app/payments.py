"""Transactions on a devnet: coins for everybody, payments from random nodes, and how long they take to reach all.

Coins are a demo key's. A coinbase may be spent a hundred blocks later, so a hundred are mined first; then one
transaction makes a coin for each payment.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..base.errors import LocalError
from ..base.names import TxId
from ..base.randomness import Chance
from ..control.client import RefusedError, ask
from ..demo.signer import DemoCoin, DemoKey, DemoPayment

MATURITY: Final = 100
SENT_PER_SECOND: Final = 50
_COIN: Final = 100_000
_FEE: Final = 1_000
_FAN_OUT: Final = 500
"""Coins that one transaction makes: its 16 kB cost a fee of 20,000 satoshis."""
_FAN_OUT_FEE: Final = 20_000
_LOOK_S: Final = 0.2
_REACH_S: Final = 300
_CONFIRM_S: Final = 60


class PaymentError(LocalError):
    """A payment was refused, or did not reach everybody."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How payments spread: seconds from their sending until half of the nodes, and all, had them."""

    sent: int
    reached_all: int
    confirmed: int
    blocks: int
    beside: int
    """Payments that were sent before, while blocks were mined; they are not timed, and some may be in ``confirmed``."""
    half_median: float
    half_slowest: float
    all_median: float
    all_slowest: float


class Payments:
    """Payments on one devnet.

    Args:
        datadirs: the nodes'.
        chance: draws who sends.
        refresh: called while something is waited for.
    """

    def __init__(self, datadirs: Sequence[Path], chance: Chance, refresh: Callable[[], None]) -> None:
        self._datadirs = datadirs
        self._chance = chance
        self._refresh = refresh
        self._key = DemoKey(f"devnet {chance.u64()}")
        self._coins: list[DemoCoin] = []
        self._beside = 0
        self.mined = 0
        """Blocks that were mined for it."""

    def run(self, count: int) -> Spread:
        """Send ``count`` payments of coins that :meth:`fund` has made, wait until all nodes have them all, and mine
        until blocks hold them.

        Raises:
            PaymentError: one was refused, or not all came through.
        """
        coins = [self._coins.pop() for _ in range(count)]
        began = time.monotonic()
        sent: dict[str, float] = {}
        seen: dict[str, list[float]] = {}
        looked = began
        for number in range(count):
            payment = self._key.pay([coins[number]], [(_COIN - _FEE, self._key.script)])
            sent[TxId(payment.txid).reveal()] = time.monotonic()
            self._send(self._chance.choice(self._datadirs), payment)
            if time.monotonic() - looked > _LOOK_S:
                self._look(sent, seen)
                looked = time.monotonic()
            time.sleep(max(0.0, began + (number + 1) / SENT_PER_SECOND - time.monotonic()))
        deadline = time.monotonic() + _REACH_S
        while self._look(sent, seen) < count and time.monotonic() < deadline:
            self._refresh()
            time.sleep(_LOOK_S)
        half = len(self._datadirs) // 2 + len(self._datadirs) % 2
        halves = sorted(at[half - 1] - sent[txid] for txid, at in seen.items() if len(at) >= half)
        alls = sorted(at[-1] - sent[txid] for txid, at in seen.items() if len(at) == len(self._datadirs))
        blocks, confirmed = self._confirm(count)
        if not alls or not halves:
            raise PaymentError(f"of {count} payments none has reached all nodes within {_REACH_S} s")
        return Spread(
            sent=count,
            reached_all=len(alls),
            confirmed=confirmed,
            blocks=blocks,
            beside=self._beside,
            half_median=round(halves[len(halves) // 2], 2),
            half_slowest=round(halves[-1], 2),
            all_median=round(alls[len(alls) // 2], 2),
            all_slowest=round(alls[-1], 2),
        )

    def send_one(self) -> None:
        """Send a payment from a random node, among blocks and branches; one that it cannot take now is no loss."""
        if not self._coins:
            return
        coin = self._coins.pop(0)
        with contextlib.suppress(RefusedError):
            payment = self._key.pay([coin], [(_COIN - _FEE, self._key.script)])
            self._send(self._chance.choice(self._datadirs), payment)
            self._beside += 1

    def fund(self, count: int) -> None:
        """A coin for each of ``count`` payments, in blocks that all nodes have.

        Raises:
            PaymentError: the nodes do not come to agree.
        """
        needed = -(-count // _FAN_OUT)
        subsidies = [self._mine(self._datadirs[0], 1, self._key.script) for _ in range(needed)]
        self._mine(self._datadirs[0], MATURITY)
        self._agree()
        for subsidy in subsidies:
            change = subsidy.amount - _FAN_OUT * _COIN - _FAN_OUT_FEE
            outputs = [(_COIN, self._key.script)] * _FAN_OUT + [(change, self._key.script)]
            payment = self._key.pay([subsidy], outputs)
            self._send(self._datadirs[0], payment)
            self._coins += payment.coins()[:_FAN_OUT]
        self._await_waiting(self._datadirs[0], needed)
        self._mine(self._datadirs[0], 1)
        self._agree()

    def _mine(self, datadir: Path, count: int, script: bytes = b"") -> DemoCoin:
        """Mine blocks; the last one's coinbase."""
        answer = ask(datadir, "mine", {"count": count, "to": script.hex()}, timeout_s=600)
        self.mined += count
        return DemoCoin(bytes.fromhex(answer["coinbase"])[::-1], 0, answer["reward"])

    def _send(self, datadir: Path, payment: DemoPayment) -> None:
        ask(datadir, "send", {"hex": payment.data.hex()})

    def _look(self, sent: dict[str, float], seen: dict[str, list[float]]) -> int:
        """Note which payments have come where; how many are everywhere."""
        found: dict[str, int] = {}
        for datadir in self._datadirs:
            for row in ask(datadir, "mempool", {"all": True})["transactions"]:
                found[row["txid"]] = found.get(row["txid"], 0) + 1
        now = time.monotonic()
        for txid, holders in found.items():
            if txid in sent:
                at = seen.setdefault(txid, [])
                at += [now] * (holders - len(at))
        return sum(len(at) == len(self._datadirs) for at in seen.values())

    def _await_waiting(self, datadir: Path, count: int) -> None:
        """Wait until what a node was sent is in its mempool: it is in stem first, where nobody sees it."""
        deadline = time.monotonic() + _REACH_S
        while ask(datadir, "mempool")["waiting"] < count:
            if time.monotonic() > deadline:
                raise PaymentError(f"what was sent has not spread within {_REACH_S} s")
            self._refresh()
            time.sleep(_LOOK_S)

    def _agree(self) -> None:
        """Wait until all nodes have the same chain, and their coin views stand at its end."""
        deadline = time.monotonic() + _CONFIRM_S
        while time.monotonic() < deadline:
            states: list[dict[str, Any]] = [ask(datadir, "status") for datadir in self._datadirs]
            self._refresh()
            ready = all(one["relay"]["ready"] and one["relay"]["coins_height"] == one["height"] for one in states)
            if ready and len({one["tip"] for one in states}) == 1:
                return
            time.sleep(0.05)
        raise PaymentError("the nodes do not agree about the chain")

    def _confirm(self, count: int) -> tuple[int, int]:
        """Mine at random nodes until no mempool holds anything; how many blocks, and transactions in them."""
        held = blocks = 0
        deadline = time.monotonic() + _CONFIRM_S
        while time.monotonic() < deadline:
            answer = ask(self._chance.choice(self._datadirs), "mine", {"count": 1}, timeout_s=600)
            self.mined += 1
            blocks += 1
            held += int(answer["transactions"])
            self._agree()
            if all(ask(datadir, "mempool")["waiting"] == 0 for datadir in self._datadirs):
                return blocks, held
        raise PaymentError(f"of {count} payments {held} are in blocks, and mempools hold others still")
