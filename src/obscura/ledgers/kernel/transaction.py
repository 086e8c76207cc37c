"""Bitcoin's transactions as bytes, with and without witness (Bitcoin developer reference, BIP144).

One pass over the bytes, without an object for each field: it is for whole blocks, and for what strangers send before
anything was charged for it.

The encoding is exact: what is parsed has one form, so nobody can give a transaction a second relay id by counting in a
longer form or by a witness that holds nothing. Amounts, duplicates and all else that has a meaning are judged later.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from ...base.digest import double_sha256
from ...base.limits import BLOCK_BYTES
from ...base.names import TxId
from ...chain.transactions import InvalidTransaction, OutPoint, TxInfo

HEADER_BYTES: Final = 80
NULL_OUTPOINT: Final = OutPoint(bytes(32) + b"\xff\xff\xff\xff")
"""What a coinbase's only input names."""
_INPUT_MIN: Final = 41
_OUTPUT_MIN: Final = 9
_U32: Final = struct.Struct("<I")
_I32: Final = struct.Struct("<i")
_I64: Final = struct.Struct("<q")
_COUNTS: Final = {
    0xFD: (struct.Struct("<H"), 3, 0xFD),
    0xFE: (_U32, 5, 0x1_0000),
    0xFF: (struct.Struct("<Q"), 9, 1 << 32),
}
"""By its first byte: how a longer count is read, how long it is in all, and from which value on it is the shortest."""


class Transaction:
    """One transaction, whole.

    ``scripts`` and ``sequences`` are parallel to ``spends``; so is ``witnesses``, which is empty where the form has
    none. ``outputs`` are pairs of amount (satoshis, not checked) and script.
    """

    __slots__ = (
        "data", "lock_time", "outputs", "scripts", "sequences", "spends", "stripped", "txid", "version", "witnesses"
    )  # fmt: skip

    def __init__(
        self,
        data: bytes,
        stripped: bytes,
        version: int,
        spends: tuple[OutPoint, ...],
        scripts: tuple[bytes, ...],
        sequences: tuple[int, ...],
        outputs: tuple[tuple[int, bytes], ...],
        witnesses: tuple[tuple[bytes, ...], ...],
        lock_time: int,
    ) -> None:
        self.data = data
        self.stripped = stripped
        """The bytes without marker, flag and witnesses (BIP144)."""
        self.version = version
        """Signed, as the consensus reads it."""
        self.spends = spends
        self.scripts = scripts
        self.sequences = sequences
        self.outputs = outputs
        self.witnesses = witnesses
        self.lock_time = lock_time
        self.txid = TxId(double_sha256(stripped))

    def __repr__(self) -> str:
        return "Transaction(redacted)"

    @property
    def relay_id(self) -> TxId:
        """The double SHA-256 of all bytes."""
        return self.txid if self.data is self.stripped else TxId(double_sha256(self.data))

    @property
    def weight(self) -> int:
        """In weight units (BIP141)."""
        return 3 * len(self.stripped) + len(self.data)

    @property
    def is_coinbase(self) -> bool:
        """It spends nothing but the outpoint that names none."""
        return len(self.spends) == 1 and self.spends[0] == NULL_OUTPOINT

    def info(self) -> TxInfo:
        """What the network is told of it."""
        return TxInfo(self.txid, self.relay_id, self.weight, self.spends, len(self.outputs))


def parse_transaction(data: bytes) -> Transaction:
    """The one transaction that ``data`` is.

    Raises:
        InvalidTransaction: it is cut short, goes on after the end, or is not in the one form that its content has.
    """
    if len(data) > BLOCK_BYTES:
        raise InvalidTransaction("tx-oversize", f"{len(data)} bytes")
    try:
        transaction, end = _parse(data, 0)
    except (struct.error, IndexError):
        raise InvalidTransaction("tx-truncated") from None
    if end != len(data):
        raise InvalidTransaction("tx-leftover", f"{len(data) - end} bytes")
    return transaction


def transactions_in(block: bytes) -> int:
    """How many transactions a whole block says that it holds, its coinbase among them."""
    return _count(block, HEADER_BYTES)[0]


def parse_block(block: bytes) -> Sequence[Transaction]:
    """The transactions of a whole block, the coinbase first.

    Raises:
        InvalidTransaction: as :func:`parse_transaction`.
    """
    try:
        count, at = _count(block, HEADER_BYTES)
        if count * (10 + _INPUT_MIN + _OUTPUT_MIN) > len(block):
            raise InvalidTransaction("tx-truncated")
        transactions = []
        for _ in range(count):
            transaction, at = _parse(block, at)
            transactions.append(transaction)
    except (struct.error, IndexError):
        raise InvalidTransaction("tx-truncated") from None
    if at != len(block):
        raise InvalidTransaction("tx-leftover", f"{len(block) - at} bytes")
    return transactions


def _count(data: bytes, at: int) -> tuple[int, int]:
    """A count and where it ends."""
    first = data[at]
    if first < 0xFD:
        return first, at + 1
    form, size, least = _COUNTS[first]
    value: int = form.unpack_from(data, at + 1)[0]
    if value < least:
        raise InvalidTransaction("tx-count-form", "a count is in a longer form than it needs")
    if value > len(data):
        raise InvalidTransaction("tx-truncated")  # every counted thing takes a byte; beyond 2^63 no offset is one
    return value, at + size


def _parse(data: bytes, start: int) -> tuple[Transaction, int]:
    """The transaction at ``start`` and where it ends. A slice beyond the end is short without an error, so every end is
    compared with the whole's at the next fixed field: ``unpack_from`` and indexing raise there."""
    total = len(data)
    (version,) = _I32.unpack_from(data, start)
    at = start + 4
    witness = data[at] == 0
    if witness:
        if data[at + 1] != 1:
            raise InvalidTransaction("tx-no-inputs" if data[at + 1] == 0 else "tx-flag")
        at += 2
    body = at
    count, at = _count(data, at)
    if count == 0:
        raise InvalidTransaction("tx-no-inputs")
    if count * _INPUT_MIN > total - at:
        raise InvalidTransaction("tx-truncated")
    spends, scripts, sequences = [], [], []
    for _ in range(count):
        spends.append(OutPoint(data[at : at + 36]))
        size = data[at + 36]
        if size < 0xFD:
            at += 37
        else:
            size, at = _count(data, at + 36)
        scripts.append(data[at : at + size])
        at += size
        sequences.append(_U32.unpack_from(data, at)[0])
        at += 4
    count, at = _count(data, at)
    if count * _OUTPUT_MIN > total - at:
        raise InvalidTransaction("tx-truncated")
    outputs = []
    for _ in range(count):
        (amount,) = _I64.unpack_from(data, at)
        size = data[at + 8]
        if size < 0xFD:
            at += 9
        else:
            size, at = _count(data, at + 8)
        outputs.append((amount, data[at : at + size]))
        at += size
    body_end = at
    witnesses: tuple[tuple[bytes, ...], ...] = ()
    if witness:
        witnesses, at = _witnesses(data, at, len(spends))
    (lock_time,) = _U32.unpack_from(data, at)
    at += 4
    whole = data if start == 0 and at == total else data[start:at]
    stripped = whole
    if witness:
        stripped = b"".join((data[start : start + 4], data[body:body_end], data[at - 4 : at]))
    halves = (tuple(spends), tuple(scripts), tuple(sequences), tuple(outputs), witnesses)
    return Transaction(whole, stripped, version, *halves, lock_time), at


def _witnesses(data: bytes, at: int, inputs: int) -> tuple[tuple[tuple[bytes, ...], ...], int]:
    """One stack for each input, and where they end."""
    stacks = []
    some = False
    for _ in range(inputs):
        count, at = _count(data, at)
        if count > len(data) - at:
            raise InvalidTransaction("tx-truncated")
        items = []
        for _ in range(count):
            size, at = _count(data, at)
            items.append(data[at : at + size])
            at += size
        some = some or count > 0
        stacks.append(tuple(items))
    if not some:
        raise InvalidTransaction("tx-superfluous-witness")
    return tuple(stacks), at
