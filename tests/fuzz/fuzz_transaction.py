"""Bytes are refused by InvalidTransaction, or read as a transaction whose fields, written again, are these bytes."""

from __future__ import annotations

from collections.abc import Iterator

from transaction_bytes import serialised

import rig
from obscura.base.cursor import compact_size
from obscura.chain import Candidate, InvalidTransaction, OutPoint, TxVerdict
from obscura.ledgers.blockfile import BlockFile
from obscura.ledgers.kernel.admission import admit
from obscura.ledgers.kernel.coin import Coin
from obscura.ledgers.kernel.networks import BITCOIN
from obscura.ledgers.kernel.transaction import Transaction, parse_block, parse_transaction

MAX_LEN = 4_000
REACHES = (
    "ledgers.kernel.admission._check_content",
    "ledgers.kernel.admission._check_sequences",
    "ledgers.kernel.admission._judge",
    "ledgers.kernel.binding.first_bad_input",
    "ledgers.kernel.scripts.sigop_cost",
    "ledgers.kernel.standard.unfit",
    "ledgers.kernel.transaction.Transaction.info",
    "ledgers.kernel.transaction.Transaction.is_coinbase",
    "ledgers.kernel.transaction.Transaction.weight",
    "ledgers.kernel.transaction._count",
    "ledgers.kernel.transaction._parse",
    "ledgers.kernel.transaction._witnesses",
    "ledgers.kernel.transaction.parse_block",
    "ledgers.kernel.transaction.parse_transaction",
)


def run(data: bytes) -> None:
    """The first byte chooses between one transaction and a whole block."""
    kind, rest = data[:1], data[1:]
    try:
        if kind and kind[0] % 2:
            transactions = parse_block(rest)
            counted = rest[:80] + compact_size(len(transactions))
            assert counted + b"".join(map(written, transactions)) == rest, "a block has one form"
        else:
            judge(parse_transaction(rest), rest)
    except InvalidTransaction as fault:
        assert fault.rule, "what is refused has a rule"


def judge(transaction: Transaction, data: bytes) -> None:
    """What holds for every transaction that is read."""
    assert written(transaction) == data, "a transaction has one form"
    info = transaction.info()
    assert (info.txid == info.relay_id) == (not transaction.witnesses), "two ids where there is a witness"
    assert info.weight == transaction.weight <= 4 * len(data)
    assert len(info.spends) == len(transaction.scripts) == len(transaction.sequences) >= 1
    assert not transaction.is_coinbase or len(info.spends) == 1
    bare = parse_transaction(transaction.stripped) if transaction.witnesses else transaction
    assert bare.txid == transaction.txid, "the witness is no part of the txid"
    for policy in (True, False):
        outcome = admit(Candidate(data, info, fee_floor=1), Anything(), policy=policy)
        assert outcome.cost > 0
        assert (outcome.rule == "") == (outcome.verdict is TxVerdict.ADMITTED), "what is refused has a rule"
        assert bool(outcome.missing) == (outcome.verdict is TxVerdict.MISSING)


class Anything:
    """A view that has a coin for nearly every outpoint; the outpoint's index says of what kind."""

    height = 1_000

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """See :class:`Coins`."""
        kind = outpoint[32]
        if kind == 0xEE:
            return None
        return Coin(kind * 4, coinbase=kind % 5 == 0, amount=kind << 20, script=SCRIPTS[kind % len(SCRIPTS)])

    def median_time(self, height: int) -> int:
        """See :class:`Coins`."""
        return 1_600_000_000 + height


SCRIPTS = (
    b"\x51",
    b"\x00\x14" + bytes(20),
    b"\x76\xa9\x14" + bytes(20) + b"\x88\xac",
    b"\x51\x20" + bytes(32),
    b"\xa9\x14" + bytes(20) + b"\x87",
    b"\x00\x20" + bytes(32),
)


def written(transaction: Transaction) -> bytes:
    """The fields, as BIP144 writes them down."""
    inputs = [*zip(transaction.spends, transaction.scripts, transaction.sequences, strict=True)]
    parts = (transaction.outputs, transaction.witnesses, transaction.lock_time)
    return serialised(transaction.version, inputs, *parts)


def seeds() -> Iterator[bytes]:
    """Real blocks and their transactions, and one with a witness."""
    for entry in list(BlockFile(rig.ROOT / "tests/data/bitcoin_mainnet_1_255.dat", BITCOIN.magic).blocks())[168:182]:
        yield b"\1" + entry.block
        for transaction in parse_block(entry.block):
            yield b"\0" + transaction.data
    spend = bytes(32) + b"\0\0\0\0" + b"\0" + b"\xff" * 4
    output = bytes(8) + b"\x02\x51\x52"
    yield b"\0\2\0\0\0\0\1\1" + spend + b"\1" + output + b"\2\1\xaa\0" + bytes(4)
    form = b"\x00\x14" + bytes(20)
    for kind in range(len(SCRIPTS)):
        known = bytes(32) + bytes([kind + 1, 0, 0, 0])
        for number in (0, 1 << 22, 0xFFFF_FFFF):
            stack = (b"\x30\x06\x02\x01\x01\x02\x01\x01\x01", b"\x02" + bytes(32))
            yield b"\0" + serialised(2, [(known, b"", number)], [(1_000, form)], [stack], 5)
    yield b"\0\2\0\0\0\2" + spend * 2 + b"\xfd\xfd\0" + output * 0xFD + bytes(4)
