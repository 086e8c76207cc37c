"""Blocks for a coin view: transactions behind a header that nobody looks at."""

from __future__ import annotations

from collections.abc import Sequence

from transaction_bytes import serialised

from obscura.base.cursor import compact_size
from obscura.base.names import BlockHash
from obscura.chain import OutPoint
from obscura.ledgers.kernel.header import block_hash
from obscura.ledgers.kernel.transaction import NULL_OUTPOINT, parse_transaction

ANYONE = b"\x51"


def spend(points: Sequence[OutPoint], outputs: int = 1, *, script: bytes = ANYONE, salt: int = 0) -> bytes:
    """A transaction that anybody could have made."""
    inputs = [(point, b"", 0xFFFF_FFFF) for point in points]
    return serialised(2, inputs, [(1_000 + at, script) for at in range(outputs)], (), salt)


def coinbase(height: int, outputs: int = 2, salt: int = 0) -> bytes:
    """A block's first transaction."""
    mark = b"\x03" + height.to_bytes(3, "little") + b"\x02" + salt.to_bytes(2, "little")
    return serialised(1, [(NULL_OUTPOINT, mark, 0)], [(5_000 + at, ANYONE) for at in range(outputs)], (), 0)


def made_block(previous: bytes, transactions: Sequence[bytes]) -> bytes:
    """A block; its header names the parent and, by a hash, what is in it."""
    body = compact_size(len(transactions)) + b"".join(transactions)
    return bytes(4) + previous + block_hash(body) + bytes(12) + body


def output(transaction: bytes, index: int = 0) -> OutPoint:
    """An output of a transaction."""
    return OutPoint(parse_transaction(transaction).txid + index.to_bytes(4, "little"))


class FakeChain:
    """An active chain that a test sets, and the store of all its blocks."""

    def __init__(self) -> None:
        self.genesis = BlockHash(b"g" * 32)
        self.active: list[BlockHash] = [self.genesis]
        self.blocks: dict[BlockHash, bytes] = {}

    def hash_at(self, height: int) -> BlockHash | None:
        """The active chain's hash at a height."""
        return self.active[height] if height < len(self.active) else None

    def add(self, *transactions: bytes, salt: int = 0) -> bytes:
        """A block on the end, with a coinbase before ``transactions``."""
        block = made_block(self.active[-1], [coinbase(len(self.active), salt=salt), *transactions])
        self.blocks[block_hash(block[:80])] = block
        self.active.append(block_hash(block[:80]))
        return block

    def cut(self, height: int) -> None:
        """Go back to a height."""
        del self.active[height + 1 :]

    def numbered(self, height: int | None = None) -> list[tuple[int, bytes]]:
        """Heights and blocks, up to ``height``."""
        end = len(self.active) if height is None else height + 1
        return [(at, self.blocks[self.active[at]]) for at in range(1, end)]
