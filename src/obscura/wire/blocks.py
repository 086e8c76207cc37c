"""Blocks, headers and transactions as the node carries them: opaque bytes, and requests for them by hash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from ..base.cursor import Reader, compact_size
from ..base.errors import Malformed
from ..base.limits import HEADERS_ITEMS, INV_ITEMS
from ..base.names import HEADER_BYTES, BlockHash
from .inventory import (
    SHORT_LIST,
    VECTOR_BYTES,
    InventoryItem,
    checked_count,
    decode_items,
    decode_locator,
    encode_items,
    encode_locator,
    items_start,
)

_new = object.__new__
# Speed: what peers send by the hundred thousand (Block, Tx, the inventories) is not frozen, and is made without
# ``__init__`` when it is read: freezing costs three times as much as the object. Treat it as frozen all the same.


@dataclass(slots=True, unsafe_hash=True)
class Block:
    """A whole block; the bytes belong to the ledger."""

    type_name: ClassVar[str] = "block"

    data: bytes

    def __repr__(self) -> str:
        return f"Block({len(self.data)} bytes)"

    def to_payload(self) -> bytes:
        """The block itself."""
        return self.data

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Raises ``Malformed`` for bytes that cannot even hold a header."""
        if len(payload) < HEADER_BYTES:
            raise Malformed("payload-truncated", f"a block of {len(payload)} bytes")
        block = _new(cls)
        block.data = payload
        return block


@dataclass(slots=True, unsafe_hash=True)
class _Transaction:
    """A transaction; the bytes belong to the ledger. Its ``repr`` shows nothing of them."""

    type_name: ClassVar[str]

    data: bytes

    def __repr__(self) -> str:
        return f"{type(self).__name__}(redacted)"

    def to_payload(self) -> bytes:
        """The transaction itself."""
        return self.data

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Raises ``Malformed`` for an empty payload."""
        if not payload:
            raise Malformed("payload-truncated", "an empty transaction")
        transaction = _new(cls)
        transaction.data = payload
        return transaction


class Tx(_Transaction):
    """A transaction that is for everybody."""

    __slots__ = ()

    type_name: ClassVar[str] = "tx"


class DandelionTx(_Transaction):
    """A transaction in stem: to be passed on to one other node, and told to nobody (Dandelion++, BIP156)."""

    __slots__ = ()

    type_name: ClassVar[str] = "dandeliontx"


@dataclass(frozen=True, slots=True)
class Headers:
    """Headers, each the child of the one before; fewer than 2,000 say that the last one is the sender's tip."""

    type_name: ClassVar[str] = "headers"

    headers: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"Headers({len(self.headers)})"

    def to_payload(self) -> bytes:
        """Count, then each header and a zero byte (where a block would count its transactions)."""
        if not self.headers:
            return b"\0"
        return compact_size(len(self.headers)) + b"\0".join(self.headers) + b"\0"

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Read a payload.

        Raises:
            Violation: ``list-too-long`` above 2,000 headers.
            Malformed: truncated, leftovers, or a byte after a header that is not zero.
        """
        reader = Reader(payload)
        step = HEADER_BYTES + 1
        count = checked_count(reader, HEADERS_ITEMS, step)
        raw = reader.take(count * step)
        reader.finish()
        if any(raw[HEADER_BYTES::step]):
            raise Malformed("headers-transaction-count", "not zero after a header")
        return cls(tuple(raw[at : at + HEADER_BYTES] for at in range(0, len(raw), step)))


@dataclass(frozen=True, slots=True)
class _Locating:
    """A request that says where our chain is (a locator) and where to stop (all zeros: as far as allowed)."""

    version: int
    locator: tuple[BlockHash, ...]
    stop: BlockHash

    def to_payload(self) -> bytes:
        """Version u32, count, hashes, stop hash."""
        return encode_locator(self.version, self.locator, self.stop)

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Raises ``Violation`` for a locator over 101 hashes, ``Malformed`` for truncated or left-over bytes."""
        return cls(*decode_locator(Reader(payload)))


@dataclass(frozen=True, slots=True)
class GetHeaders(_Locating):
    """Ask for headers after the first hash of the locator that is in the other's active chain."""

    type_name: ClassVar[str] = "getheaders"


@dataclass(frozen=True, slots=True)
class GetBlocks(_Locating):
    """Ask for the hashes of blocks, answered by ``inv``."""

    type_name: ClassVar[str] = "getblocks"


class _Inventory:
    """A list of inventory vectors. A received one keeps its payload, and makes the items when they are first read: its
    form is checked at once, but 50,000 objects are made only for a reader."""

    __slots__ = ("_items", "_payload")
    __match_args__ = ("items",)

    _items: tuple[InventoryItem, ...] | None
    _payload: bytes

    def __init__(self, items: tuple[InventoryItem, ...]) -> None:
        self._items = items
        self._payload = b""

    @property
    def items(self) -> tuple[InventoryItem, ...]:
        """The vectors, in their order."""
        if self._items is None:
            self._items = decode_items(self._payload, items_start(self._payload, INV_ITEMS))
            self._payload = b""
        return self._items

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Inventory) and type(other) is type(self) and self.items == other.items

    def __hash__(self) -> int:
        return hash(self.items)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(items={self.items})"

    def to_payload(self) -> bytes:
        """Count, then 36 bytes each."""
        return encode_items(self.items) if self._items is not None else self._payload

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Raises ``Violation`` above 50,000 items, ``Malformed`` for truncated or left-over bytes."""
        if not payload or payload[0] > SHORT_LIST or len(payload) != 1 + VECTOR_BYTES * payload[0]:
            items_start(payload, INV_ITEMS)
        inventory = _new(cls)
        inventory._items = None
        inventory._payload = payload
        return inventory


class Inv(_Inventory):
    """These exist, and the sender has them."""

    __slots__ = ()

    type_name: ClassVar[str] = "inv"


class GetData(_Inventory):
    """Send these."""

    __slots__ = ()

    type_name: ClassVar[str] = "getdata"


class NotFound(_Inventory):
    """These were asked for and will not come."""

    __slots__ = ()

    type_name: ClassVar[str] = "notfound"
