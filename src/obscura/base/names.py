"""Names for values that would otherwise be bare ints and bytes."""

from __future__ import annotations

from typing import Final, NewType

ConnId = NewType("ConnId", int)
"""Names one connection for the life of a node; never used twice."""

BlockHash = NewType("BlockHash", bytes)
"""32 bytes in wire order (display reverses them). Blocks are public, so their names need no redaction."""

HEADER_BYTES: Final = 80
"""Size of every header on the wire (``headers`` carries header + 0x00); a ledger of one's own pads to it."""

NULL_HASH = BlockHash(bytes(32))
"""The hash that stands for "none" in locators and stop fields."""


class TxId(bytes):
    """32 bytes that name a transaction, in wire order. Its ``repr`` is redacted: who held which id is private."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "TxId(redacted)"

    __str__ = __repr__

    def reveal(self) -> str:
        """The id as display hex. Loud on purpose: call it only where the operator asked for it."""
        return self[::-1].hex()


def display_hash(block_hash: bytes) -> str:
    """A block hash as people write it: hexadecimal, most significant byte first."""
    return block_hash[::-1].hex()


def parse_display_hash(text: str) -> BlockHash:
    """The wire form of a block hash in display hex.

    Raises:
        ValueError: the text is not 64 hexadecimal digits.
    """
    raw = bytes.fromhex(text)
    if len(raw) != 32:
        msg = f"a block hash has 64 hexadecimal digits, this text has {len(text)}"
        raise ValueError(msg)
    return BlockHash(raw[::-1])
