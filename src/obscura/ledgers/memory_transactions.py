"""Transactions of the chain in memory: small, real enough to be double-spent, orphaned, priced and refused.

A transaction: inputs u8 and that many outpoints (36 bytes each), outputs u8 and their amounts (u64), lock height u32,
salt 8 bytes, then a witness of u16 length. The txid is the double SHA-256 of all before the witness, the relay id that
of everything. The witness begins with ``SEAL``, in the place of signatures: judging it is said to take SEAL_COST for
each input. A block's body that begins with ``TRANSACTIONS_MARK`` holds transactions; any other body holds none.

Coins come from outputs, and from a *faucet*: each outpoint whose txid begins with 28 zero bytes is an output of
FAUCET_AMOUNT that was there from the beginning, so that a simulated wallet needs no history.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from ..base.digest import double_sha256
from ..base.instant import Duration
from ..base.names import TxId
from ..chain.transactions import (
    OUTPOINT_BYTES,
    Candidate,
    InvalidTransaction,
    OutPoint,
    TxInfo,
    TxOutcome,
    TxVerdict,
)

TRANSACTIONS_MARK: Final = b"TXNS"
SEAL: Final = b"\x01"
FAUCET_AMOUNT: Final = 1_000_000
READ_COST: Final = Duration(20)
"""Said to be taken by all but the seals."""
SEAL_COST: Final = Duration(80)
"""Said to be taken by each input's seal, as a signature's check takes."""
_CACHED_BYTES: Final = 1_000
_FAUCET: Final = bytes(28)
_TAIL: Final = struct.Struct("<I8s")
_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")
_AMOUNT_MOST: Final = 1 << 62


class Parsed(NamedTuple):
    """What was read of a transaction."""

    info: TxInfo
    amounts: tuple[int, ...]
    lock_height: int
    sealed: bool


class BadTransactions(Exception):
    """A body's transactions break a rule; the text is its name."""


def faucet(number: int, index: int = 0) -> OutPoint:
    """A coin that was there from the beginning."""
    return OutPoint(_FAUCET + _U32.pack(number) + _U32.pack(index))


def output(txid: TxId, index: int) -> OutPoint:
    """An output of a transaction."""
    return OutPoint(txid + _U32.pack(index))


def make_transaction(
    spends: Sequence[OutPoint],
    amounts: Sequence[int],
    *,
    salt: int = 0,
    lock_height: int = 0,
    seal: bytes = SEAL,
    pad: int = 0,
) -> bytes:
    """The bytes of a transaction. ``pad`` lengthens the witness; another ``seal`` makes it invalid."""
    witness = seal + bytes(pad)
    return b"".join(
        (
            bytes([len(spends)]),
            *spends,
            bytes([len(amounts)]),
            *(amount.to_bytes(8, "little") for amount in amounts),
            _TAIL.pack(lock_height, salt.to_bytes(8, "little")),
            _U16.pack(len(witness)),
            witness,
        )
    )


def parse(data: bytes) -> Parsed:
    """Read a transaction. Small ones are cached, because a simulated world shows one transaction to every node of it.

    Raises:
        InvalidTransaction: ``tx-truncated``, ``tx-leftover``, or ``tx-empty`` without inputs or outputs.
    """
    return _cached(data) if len(data) <= _CACHED_BYTES else _parse(data)


def _parse(data: bytes) -> Parsed:
    try:
        inputs = data[0]
        at = 1 + inputs * OUTPOINT_BYTES
        spends = tuple(OutPoint(data[start : start + OUTPOINT_BYTES]) for start in range(1, at, OUTPOINT_BYTES))
        amounts: tuple[int, ...] = struct.unpack_from(f"<{data[at]}Q", data, at + 1)
        at += 1 + 8 * len(amounts)
        lock_height, _ = _TAIL.unpack_from(data, at)
        at += _TAIL.size
        end = at + 2 + _U16.unpack_from(data, at)[0]
    except (IndexError, struct.error):
        raise InvalidTransaction("tx-truncated", f"{len(data)} bytes") from None
    if len(data) != end:
        raise InvalidTransaction("tx-truncated" if len(data) < end else "tx-leftover", f"{len(data)} of {end} bytes")
    if not spends or not amounts:
        raise InvalidTransaction("tx-empty")
    info = TxInfo(
        TxId(double_sha256(data[:at])), TxId(double_sha256(data)), 4 * at + len(data) - at, spends, len(amounts)
    )
    return Parsed(info, amounts, lock_height, data.startswith(SEAL, at + 2))


_cached = lru_cache(maxsize=1 << 14)(_parse)


def pack_body(transactions: Sequence[bytes], salt: bytes = b"") -> bytes:
    """A block's body that holds transactions, in an order in which none spends a later one."""
    parts = [TRANSACTIONS_MARK, bytes([len(salt)]), salt, _U32.pack(len(transactions))]
    for transaction in transactions:
        parts += (_U32.pack(len(transaction)), transaction)
    return b"".join(parts)


def unpack_body(body: bytes) -> tuple[bytes, ...]:
    """A body's transactions; none for one that is not marked.

    Raises:
        BadTransactions: ``bad-txns-body``: it is marked, and cannot be read.
    """
    if not body.startswith(TRANSACTIONS_MARK):
        return ()
    found: list[bytes] = []
    try:
        at = len(TRANSACTIONS_MARK) + 1 + body[len(TRANSACTIONS_MARK)]
        [count] = _U32.unpack_from(body, at)
        at += 4
        while len(found) < count:
            [size] = _U32.unpack_from(body, at)
            if at + 4 + size > len(body):
                raise BadTransactions("bad-txns-body")
            found.append(body[at + 4 : at + 4 + size])
            at += 4 + size
    except (IndexError, struct.error):
        raise BadTransactions("bad-txns-body") from None
    if at != len(body):
        raise BadTransactions("bad-txns-body")
    return tuple(found)


@dataclass(slots=True)
class Undo:
    """How to take a block out of the coins again."""

    spent: list[tuple[OutPoint, tuple[int, int]]] = field(default_factory=list)
    made: list[OutPoint] = field(default_factory=list)


class MemoryCoins:
    """The unspent outputs of one chain: (height, amount) by outpoint."""

    def __init__(self) -> None:
        self._coins: dict[OutPoint, tuple[int, int]] = {}
        self._drawn: dict[OutPoint, None] = {}
        """Faucet's outputs that are spent."""

    def get(self, point: OutPoint) -> tuple[int, int] | None:
        """Height and amount of an unspent output."""
        if point.startswith(_FAUCET):
            return None if point in self._drawn else (0, FAUCET_AMOUNT)
        return self._coins.get(point)

    def connect(self, height: int, transactions: Sequence[bytes]) -> Undo:
        """Apply a block's transactions, in their order.

        Raises:
            BadTransactions: the rule that one of them breaks; nothing has changed then.
        """
        undo = Undo()
        try:
            for data in transactions:
                self._apply(height, data, undo)
        except BadTransactions:
            self.disconnect(undo)
            raise
        return undo

    def disconnect(self, undo: Undo) -> None:
        """Take a block back: the last one that was connected."""
        made = dict.fromkeys(undo.made)
        for point in made:
            # Those that the block itself has spent are gone already, and do not come back.
            self._coins.pop(point, None)
        for point, coin in undo.spent:
            if point.startswith(_FAUCET):
                self._drawn.pop(point, None)
            elif point not in made:
                self._coins[point] = coin

    def _apply(self, height: int, data: bytes, undo: Undo) -> None:
        try:
            parsed = parse(data)
        except InvalidTransaction as fault:
            raise BadTransactions(fault.rule) from None
        if rule := _broken(parsed) or ("bad-txns-nonfinal" if parsed.lock_height >= height else ""):
            raise BadTransactions(rule)
        total = 0
        for point in parsed.info.spends:
            coin = self.get(point)
            if coin is None:
                raise BadTransactions("bad-txns-inputs-missingorspent")
            total += coin[1]
        if total < sum(parsed.amounts):
            raise BadTransactions("bad-txns-in-belowout")
        if not parsed.sealed:
            raise BadTransactions("bad-seal")
        for point in parsed.info.spends:
            if point.startswith(_FAUCET):
                self._drawn[point] = None
                undo.spent.append((point, (0, FAUCET_AMOUNT)))
            else:
                undo.spent.append((point, self._coins.pop(point)))
        for index, amount in enumerate(parsed.amounts):
            point = output(parsed.info.txid, index)
            self._coins[point] = (height, amount)
            undo.made.append(point)

    def judge(self, candidate: Candidate, height: int) -> TxOutcome:
        """What :meth:`TransactionLedger.admit` says of a candidate, where ``height`` is the tip's."""
        parsed = parse(candidate.data)
        if rule := _broken(parsed):
            return TxOutcome(TxVerdict.INVALID, rule, cost=READ_COST)
        if parsed.lock_height > height:
            return TxOutcome(TxVerdict.REFUSED, "non-final", f"until height {parsed.lock_height}", cost=READ_COST)
        offered = {
            output(parent.info.txid, index): (0, amount)
            for parent in map(parse, candidate.parents)
            for index, amount in enumerate(parent.amounts)
        }
        coins = [self.get(point) or offered.get(point) for point in parsed.info.spends]
        missing = tuple(point for point, coin in zip(parsed.info.spends, coins, strict=True) if coin is None)
        if missing:
            return TxOutcome(TxVerdict.MISSING, "bad-txns-inputs-missingorspent", missing=missing, cost=READ_COST)
        known = [coin for coin in coins if coin is not None]
        fee = sum(amount for _, amount in known) - sum(parsed.amounts)
        if fee < 0:
            return TxOutcome(TxVerdict.INVALID, "bad-txns-in-belowout", cost=READ_COST)
        needed = -(-candidate.fee_floor * parsed.info.size // 1_000)
        if fee < needed:
            return TxOutcome(TxVerdict.REFUSED, "min relay fee not met", f"{fee} of {needed} needed", cost=READ_COST)
        cost = Duration(READ_COST + SEAL_COST * len(known))
        if not parsed.sealed:
            return TxOutcome(TxVerdict.INVALID, "bad-seal", cost=cost)
        rests_on = max(parsed.lock_height, *(made for made, _ in known))
        return TxOutcome(TxVerdict.ADMITTED, fee=fee, rests_on=rests_on, cost=cost)


def _broken(parsed: Parsed) -> str:
    """The rule that a transaction breaks without looking at any coin."""
    if len(dict.fromkeys(parsed.info.spends)) != len(parsed.info.spends):
        return "bad-txns-inputs-duplicate"
    return "bad-txns-txouttotal-toolarge" if sum(parsed.amounts) >= _AMOUNT_MOST else ""
