"""In which place of the book an address belongs: a keyed hash of who it is and of who told it.

Security: without the key nobody can say which addresses share a bucket, and whoever controls few network groups reaches
few buckets, however many addresses he has (Heilman et al. 2015, "Eclipse Attacks on Bitcoin's Peer-to-Peer Network").
The rules are Bitcoin Core's; the hash is BLAKE2b under a key of 32 bytes.
"""

from __future__ import annotations

import hashlib
from typing import Final

from ..base.limits import (
    BUCKET_PLACES,
    NEW_BUCKETS,
    NEW_BUCKETS_PER_SOURCE,
    TRIED_BUCKETS,
    TRIED_BUCKETS_PER_GROUP,
)
from ..wire.address import NetAddress
from .groups import Grouping

KEY_BYTES: Final = 32
_FROM, _NEW, _FIRST, _TRIED, _NEW_PLACE, _TRIED_PLACE, _STAMP = (bytes([which]) for which in range(7))


class Placing:
    """Knows the place of every address. One for each book.

    Args:
        key: 32 bytes that nobody else knows. Another key is another book.
        grouping: network groups.
        share: the tables have one ``share``-th of the usual buckets.

    Raises:
        ValueError: the key has another length.
    """

    __slots__ = ("_begin", "_group", "new_buckets", "stamp", "tried_buckets")

    def __init__(self, key: bytes, grouping: Grouping, share: int = 1) -> None:
        if len(key) != KEY_BYTES:
            msg = f"the key of an address book has {KEY_BYTES} bytes, not {len(key)}"
            raise ValueError(msg)
        # A copy takes two thirds of the time of a new one; there are three to a place, and 81,920 places at a start.
        self._begin = hashlib.blake2b(key=key, digest_size=8, person=b"obscura.book").copy
        self._group = grouping.group
        self.new_buckets, self.tried_buckets = NEW_BUCKETS // share, TRIED_BUCKETS // share
        self.stamp = self._below(1 << 64, _STAMP + (b"" if share == 1 else bytes([share])) + grouping.digest).to_bytes(
            8, "big"
        )
        """Stands for the key and the map: places hold under the same stamp."""

    def new(self, address: NetAddress, source: bytes) -> int:
        """The place in new of an address that ``source``, a network group, has told."""
        share = self._below(NEW_BUCKETS_PER_SOURCE, _FROM + bytes([len(source)]) + source + self._group(address))
        bucket = self._below(self.new_buckets, _NEW + bytes([share]) + source)
        whole = bytes([address.network]) + address.port.to_bytes(2, "big") + address.raw
        return bucket * BUCKET_PLACES + self._below(BUCKET_PLACES, _NEW_PLACE + bucket.to_bytes(2, "big") + whole)

    def tried(self, address: NetAddress) -> int:
        """The place in tried."""
        whole = bytes([address.network]) + address.port.to_bytes(2, "big") + address.raw
        share = self._below(TRIED_BUCKETS_PER_GROUP, _FIRST + whole)
        bucket = self._below(self.tried_buckets, _TRIED + bytes([share]) + self._group(address))
        return bucket * BUCKET_PLACES + self._below(BUCKET_PLACES, _TRIED_PLACE + bucket.to_bytes(2, "big") + whole)

    def _below(self, bound: int, data: bytes) -> int:
        state = self._begin()
        state.update(data)
        return int.from_bytes(state.digest(), "little") % bound
