"""Long messages, dealt with in portions.

One message may hold 50,000 vectors or 1,000 addresses, and each costs the node some microseconds: together up to half a
second in which no other link has its turn. So a long inventory is dealt with as if it had been several messages, and a
long ``addr``, which means something as a whole, is read bit by bit before it is handed out. Between two portions
others may be served, and the link may be paused.
"""

from __future__ import annotations

from itertools import islice
from typing import Final, TypeAlias

from ..base.cursor import compact_size
from ..base.limits import ADDR_PRICE_BYTES, INV_ITEMS, PORTION_ITEMS
from ..wire.address import AddressEntry
from ..wire.blocks import GetData, Inv, NotFound
from ..wire.gossip import Addr, read_entries
from ..wire.inventory import VECTOR_BYTES, items_start

Inventory: TypeAlias = Inv | GetData | NotFound
_PORTION_BYTES: Final = PORTION_ITEMS * VECTOR_BYTES
LONG_BYTES: Final = _PORTION_BYTES + 3
"""Inventories above it hold more than one portion."""
LONG_ADDR_BYTES: Final = 2 * PORTION_ITEMS * ADDR_PRICE_BYTES
"""So do ``addr`` messages above it, of usual addresses."""


class LongInventory:
    """What is left of one inventory.

    Args:
        whole: as it was read: its form is right.
    """

    __slots__ = ("_at", "_kind", "_payload")

    def __init__(self, whole: Inventory) -> None:
        self._kind: type[Inventory] = type(whole)
        self._payload = whole.to_payload()
        self._at = items_start(self._payload, INV_ITEMS)

    @property
    def size(self) -> int:
        """Bytes that are left."""
        return len(self._payload) - self._at

    def take(self) -> Inventory:
        """The next portion; there is one while :attr:`size` is not 0."""
        vectors = self._payload[self._at : self._at + _PORTION_BYTES]
        self._at += len(vectors)
        return self._kind.from_payload(compact_size(len(vectors) // VECTOR_BYTES) + vectors)


class LongAddr:
    """One ``addr`` that is being read.

    Args:
        payload: any bytes.
    """

    __slots__ = ("_entries", "_left", "size")

    def __init__(self, payload: bytes) -> None:
        self._left = read_entries(payload)
        self._entries: list[AddressEntry] = []
        self.size = len(payload)

    def take(self) -> Addr | None:
        """Read the next portion; the message, when all of it is read.

        Raises:
            PeerFault: as :meth:`Addr.from_payload`.
        """
        portion = list(islice(self._left, PORTION_ITEMS))
        self._entries += [entry for entry in portion if entry is not None]
        return None if len(portion) == PORTION_ITEMS else Addr(tuple(self._entries))
