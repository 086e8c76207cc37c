"""Whether a transaction may wait for the next block (design §6): cheap rules first, coins next, scripts last.

The judge holds nothing. It is given the coin view as of its tip, and whole unconfirmed parents, and judges as if the
transaction were to be in the next block. Rules have the names of Bitcoin Core's (``src/validation.cpp``,
``src/consensus/tx_check.cpp``, ``src/consensus/tx_verify.cpp``).

A broken rule of consensus that no later block can heal is ``INVALID``. What a later block may heal, and policy, is
``REFUSED``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...base.instant import Duration
from ...base.limits import BLOCK_SIGOP_COST, BLOCK_WEIGHT
from ...base.names import TxId
from ...chain.transactions import Candidate, OutPoint, TxOutcome, TxVerdict
from .binding import first_bad_input
from .coin import Coin, Coins
from .scripts import sigop_cost
from .standard import too_many_sigops, unfit, unfit_spends
from .transaction import NULL_OUTPOINT, Transaction, parse_transaction

MONEY_MAX: Final = 21_000_000 * 100_000_000
"""Satoshis: no amount and no sum of amounts is more."""
COINBASE_MATURITY: Final = 100
"""Blocks, counted with its own, before a coinbase's outputs may be spent."""
_RESERVED_WEIGHT: Final = 4_000
"""Of a block, for its header, its count and its coinbase."""
_RESERVED_SIGOPS: Final = 400
_FINAL: Final = 0xFFFF_FFFF
_TIME_FROM: Final = 500_000_000
"""Lock times from here on are Unix seconds, below they are heights."""
_SEQUENCE_DISABLED: Final = 1 << 31
_SEQUENCE_TIME: Final = 1 << 22
_SEQUENCE_MASK: Final = 0xFFFF
_GRANULARITY: Final = 9
"""Relative times are in units of 2^9 seconds (BIP68)."""


class _Broken(Exception):
    """A rule is broken; it ends the judging."""

    def __init__(self, verdict: TxVerdict, rule: str, detail: str = "", missing: tuple[OutPoint, ...] = ()) -> None:
        super().__init__(rule)
        self.outcome = TxOutcome(verdict, rule, detail, missing=missing)


@dataclass(frozen=True, slots=True)
class _Spent:
    """The outputs that a transaction spends, parallel to its inputs, and what follows of them."""

    coins: list[Coin]
    fee: int
    rests_on: int


def admit(candidate: Candidate, coins: Coins, *, policy: bool = True) -> TxOutcome:
    """Judge one transaction.

    Args:
        candidate: see :class:`Candidate`; its bytes have been identified before.
        coins: the coin view.
        policy: whether the rules of relay are asked as well, or consensus alone.
    """
    start = time.thread_time_ns()
    try:
        transaction = parse_transaction(candidate.data)
        outcome = _judge(transaction, candidate, coins, policy=policy)
    except _Broken as broken:
        outcome = broken.outcome
    cost = Duration((time.thread_time_ns() - start) // 1_000 + 1)
    verdict, rule, detail = outcome.verdict, outcome.rule, outcome.detail
    return TxOutcome(verdict, rule, detail, outcome.fee, outcome.rests_on, outcome.missing, cost)


def select_valid(transactions: Sequence[bytes], coins: Coins) -> list[tuple[bytes, int]]:
    """Those of ``transactions``, in their order, that can be in the next block together, each with its fee.

    They keep the rules of consensus but for scripts, which were judged when each was admitted: the ledger judges the
    whole block again. A later one may spend what an earlier one makes.

    Raises:
        InvalidTransaction: one of them is not a whole transaction.
    """
    chosen: list[tuple[bytes, int]] = []
    made: dict[OutPoint, Coin] = {}
    gone: set[OutPoint] = set()
    weight, cost = _RESERVED_WEIGHT, _RESERVED_SIGOPS
    for data in transactions:
        transaction = parse_transaction(data)
        try:
            _check_content(transaction)
            _check_final(transaction, coins)
            spent = _spend(transaction, coins, made, gone)
        except _Broken:
            continue
        sigops = sigop_cost(transaction, [coin.script for coin in spent.coins])
        if weight + transaction.weight > BLOCK_WEIGHT or cost + sigops > BLOCK_SIGOP_COST:
            continue
        weight, cost = weight + transaction.weight, cost + sigops
        gone.update(transaction.spends)
        made.update(coins_of(transaction, coins.height + 1))
        chosen.append((data, spent.fee))
    return chosen


def coins_of(transaction: Transaction, height: int) -> dict[OutPoint, Coin]:
    """The outputs that a transaction makes in a block of this height."""
    coinbase = transaction.is_coinbase
    return {
        point_of(transaction.txid, index): Coin(height, coinbase, amount, script)
        for index, (amount, script) in enumerate(transaction.outputs)
    }


def point_of(txid: TxId, index: int) -> OutPoint:
    """The name of one output."""
    return OutPoint(txid + index.to_bytes(4, "little"))


def _judge(transaction: Transaction, candidate: Candidate, coins: Coins, *, policy: bool) -> TxOutcome:
    _check_content(transaction)
    if policy:
        _policy(unfit(transaction))
    final_at = _check_final(transaction, coins)
    parents: dict[OutPoint, Coin] = {}
    for data in candidate.parents:
        parents.update(coins_of(parse_transaction(data), coins.height + 1))
    spent = _spend(transaction, coins, parents, frozenset())
    scripts = [coin.script for coin in spent.coins]
    cost = sigop_cost(transaction, scripts)
    if policy:
        _policy(unfit_spends(transaction, scripts))
        _policy(too_many_sigops(cost))
        needed = -(-candidate.fee_floor * ((transaction.weight + 3) // 4) // 1_000)
        if spent.fee < needed:
            raise _Broken(TxVerdict.REFUSED, "min relay fee not met", f"{spent.fee} of {needed} satoshis")
    elif cost > BLOCK_SIGOP_COST:
        raise _Broken(TxVerdict.INVALID, "bad-blk-sigops", f"{cost}: {BLOCK_SIGOP_COST} at most")
    bad = first_bad_input(transaction.data, [(coin.amount, coin.script) for coin in spent.coins])
    if bad is not None:
        raise _Broken(TxVerdict.INVALID, "mandatory-script-verify-flag-failed", f"input {bad}")
    return TxOutcome(TxVerdict.ADMITTED, fee=spent.fee, rests_on=max(final_at, spent.rests_on))


def _policy(found: tuple[str, str]) -> None:
    rule, detail = found
    if rule:
        raise _Broken(TxVerdict.REFUSED, rule, detail)


def _check_content(transaction: Transaction) -> None:
    """What the bytes alone break."""
    rule = ""
    total = 0
    if not transaction.outputs:
        rule = "bad-txns-vout-empty"
    elif 4 * len(transaction.stripped) > BLOCK_WEIGHT:
        rule = "bad-txns-oversize"
    elif transaction.is_coinbase:
        rule = "coinbase"
    elif NULL_OUTPOINT in transaction.spends:
        rule = "bad-txns-prevout-null"
    elif len(dict.fromkeys(transaction.spends)) != len(transaction.spends):
        rule = "bad-txns-inputs-duplicate"
    for amount, _ in transaction.outputs:
        total += amount
        if amount < 0:
            rule = rule or "bad-txns-vout-negative"
        elif amount > MONEY_MAX:
            rule = rule or "bad-txns-vout-toolarge"
        elif total > MONEY_MAX:
            rule = rule or "bad-txns-txouttotal-toolarge"
    if rule:
        raise _Broken(TxVerdict.INVALID, rule)


def _check_final(transaction: Transaction, coins: Coins) -> int:
    """The height of the block that makes it final (BIP113), 0 if it always was."""
    lock = transaction.lock_time
    if lock == 0 or all(sequence == _FINAL for sequence in transaction.sequences):
        return 0
    if lock < _TIME_FROM:
        if lock <= coins.height:
            return lock
        raise _Broken(TxVerdict.REFUSED, "non-final", f"until height {lock}, and the tip's is {coins.height}")
    now = coins.median_time(coins.height)
    if lock < now:
        return coins.height
    raise _Broken(TxVerdict.REFUSED, "non-final", f"until time {lock}, and the chain's is {now}")


def _spend(
    transaction: Transaction, coins: Coins, others: dict[OutPoint, Coin], gone: frozenset[OutPoint] | set[OutPoint]
) -> _Spent:
    """Look its coins up, in the view and among ``others``, but those ``gone``, and check what depends on them."""
    found: list[Coin] = []
    missing: list[OutPoint] = []
    for point in transaction.spends:
        coin = None if point in gone else others.get(point) or coins.coin(point)
        if coin is None:
            missing.append(point)
        else:
            found.append(coin)
    if missing:
        raise _Broken(TxVerdict.MISSING, "bad-txns-inputs-missingorspent", missing=tuple(missing))
    total, rests_on = 0, 0
    for coin in found:
        total += coin.amount
        if coin.coinbase and coins.height + 1 - coin.height < COINBASE_MATURITY:
            detail = f"from height {coin.height + COINBASE_MATURITY} on"
            raise _Broken(TxVerdict.REFUSED, "bad-txns-premature-spend-of-coinbase", detail)
        if coin.height <= coins.height:
            ripe = coin.height + COINBASE_MATURITY - 1 if coin.coinbase else coin.height
            rests_on = max(rests_on, ripe)
    if total > MONEY_MAX:
        raise _Broken(TxVerdict.INVALID, "bad-txns-inputvalues-outofrange")
    fee = total - sum(amount for amount, _ in transaction.outputs)
    if fee < 0:
        raise _Broken(TxVerdict.INVALID, "bad-txns-in-belowout", f"{-fee} satoshis more come out than go in")
    return _Spent(found, fee, max(rests_on, _check_sequences(transaction, found, coins)))


def _check_sequences(transaction: Transaction, found: list[Coin], coins: Coins) -> int:
    """The height of the block that makes its relative locks final (BIP68), 0 if it has none."""
    if transaction.version & 0xFFFF_FFFF < 2:
        return 0
    rests_on = 0
    for sequence, coin in zip(transaction.sequences, found, strict=True):
        if sequence & _SEQUENCE_DISABLED:
            continue
        value = sequence & _SEQUENCE_MASK
        if not value:
            continue  # whatever its unit, it holds as soon as there is a coin
        if sequence & _SEQUENCE_TIME:
            # An unconfirmed parent counts as if it were in the next block, whose time before is the tip's.
            then = coins.median_time(max(0, coin.height - 1)) + (value << _GRANULARITY)
            if then > coins.median_time(coins.height):
                raise _Broken(TxVerdict.REFUSED, "non-BIP68-final", f"until time {then}")
            rests_on = coins.height
        else:
            height = coin.height + value - 1
            if height > coins.height:
                raise _Broken(TxVerdict.REFUSED, "non-BIP68-final", f"until height {height}")
            rests_on = max(rests_on, height)
    return rests_on
