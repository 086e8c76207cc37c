"""Inventory vectors and block locators: the lists of hashes that several messages share."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from ..base.cursor import Reader, compact_size
from ..base.errors import Malformed, Violation
from ..base.limits import LOCATOR_ITEMS
from ..base.names import BlockHash

KIND_TX: Final = 1
"""The id is the double SHA-256 of the transaction's full bytes (design §6)."""
KIND_BLOCK: Final = 2
"""A block, with witness where the chain has one."""
VECTOR_BYTES: Final = 36
_VECTOR: Final = struct.Struct("<I32s")
SHORT_LIST: Final = 0xFC
"""A first byte up to it is the whole count."""


class InventoryItem(NamedTuple):
    """One inventory vector: u32 kind, 32-byte hash. Its ``repr`` hides the hash of anything but a block."""

    kind: int
    hash: bytes

    def __repr__(self) -> str:
        shown = self.hash[::-1].hex() if self.kind == KIND_BLOCK else "redacted"
        return f"InventoryItem(kind={self.kind}, hash={shown})"


def encode_items(items: Sequence[InventoryItem]) -> bytes:
    """Count, then 36 bytes each."""
    parts = [compact_size(len(items))]
    for item in items:
        parts.append(item.kind.to_bytes(4, "little"))
        parts.append(item.hash)
    return b"".join(parts)


def items_start(payload: bytes, items_max: int) -> int:
    """Check a whole payload that is a count and that many vectors, without reading them.

    Returns:
        Where the first vector stands.

    Raises:
        Violation: ``list-too-long``.
        Malformed: truncated, leftovers, or the count is not minimal.
    """
    reader = Reader(payload)
    count = checked_count(reader, items_max, VECTOR_BYTES)
    start = len(payload) - reader.remaining
    reader.take(count * VECTOR_BYTES)
    reader.finish()
    return start


def decode_items(payload: bytes, start: int) -> tuple[InventoryItem, ...]:
    """The vectors from ``start`` to the payload's end, which :func:`items_start` has checked."""
    vectors = _VECTOR.iter_unpack(memoryview(payload)[start:])
    return tuple([InventoryItem(kind, name) for kind, name in vectors])


def encode_locator(version: int, locator: Sequence[BlockHash], stop: BlockHash) -> bytes:
    """Protocol version u32, count, hashes from the tip downwards, stop hash."""
    return version.to_bytes(4, "little") + compact_size(len(locator)) + b"".join(locator) + stop


def decode_locator(reader: Reader) -> tuple[int, tuple[BlockHash, ...], BlockHash]:
    """``(version, locator, stop)`` of ``getblocks`` and ``getheaders``.

    Raises:
        Violation: ``list-too-long`` above 101 hashes.
        Malformed: truncated, leftovers, or a count that is not minimal.
    """
    version = reader.u32()
    count = checked_count(reader, LOCATOR_ITEMS, 32)
    locator = tuple(BlockHash(reader.take(32)) for _ in range(count))
    stop = BlockHash(reader.take(32))
    reader.finish()
    return version, locator, stop


def checked_count(reader: Reader, items_max: int, item_bytes_min: int) -> int:
    """A count that is neither over the list's limit nor over what the payload can hold.

    Raises:
        Violation: ``list-too-long``: judged first, so that the limit holds however short the payload is.
        Malformed: ``count-exceeds-payload``, or not minimal.
    """
    count = reader.compact_size()
    if count > items_max:
        raise Violation("list-too-long", f"{count} items, {items_max} allowed")
    if count * item_bytes_min > reader.remaining:
        raise Malformed("count-exceeds-payload", f"{count} items in {reader.remaining} bytes")
    return count
