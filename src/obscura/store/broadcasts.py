"""Transactions that wait for private broadcast, sealed: they are our operator's own, which nobody else may know.

``DATADIR/keys/broadcast.key`` gives two keys by HKDF. A row's name is HMAC-SHA256 of the transaction's relay id by the
first one: who has the database alone cannot try whether a transaction that he knows is in it. Its value is a nonce (12
random bytes) and, by ChaCha20-Poly1305 with the second key: length u32 LE · hour u64 LE in which it was first kept, in
Unix seconds · the transaction · zeros up to a multiple of 4,096 bytes, so that the size does not name it. The name is
the associated data: rows cannot be swapped. How many wait, and about how long each is, shows.

The key is made for the first row and removed with the last one. What the disk, or a copy of the database, still holds
of rows that have left cannot be opened any more: it need not be found and overwritten. A key is durable before its
first row, and its rows are gone before it is, so that no kill parts a row from its key.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence, Set
from struct import Struct
from typing import Final

from ..base.instant import WALL_MOST, WallTime, whole_hour
from ..base.limits import BROADCAST_ROW
from ..base.names import TxId
from ..crypto.kdf import hkdf_pair, hmac_sha256
from ..crypto.sealing import NONCE_BYTES, Sealer
from .database import Store
from .keyfile import BroadcastSecret, DamagedKeyError, KeyFiles

_PURPOSE: Final = b"obscura broadcast queue 1"
_HEAD: Final = Struct("<IQ")


class BroadcastQueue:
    """What waits for private broadcast, from one run to the next. Verbs may be called from any thread, one at a time.

    Args:
        store: the open database.
        keyfiles: of the same data directory, which is locked.

    What cannot be read (rows that are damaged, or whose key is missing) is left where it is, and told. It is dropped
    when the last row that can be read has left: then a key goes, and its table is empty.

    A row is sealed once and never again, under a random nonce: one key would have to seal more than 2^32 rows before
    nonces are likely to meet. Rows are our operator's own transactions, and the key goes with the last of them.
    """

    def __init__(self, store: Store, keyfiles: KeyFiles) -> None:
        self.warnings: list[str] = []
        """What cannot be read, and what was dropped, for the operator; :meth:`save` may add to it too."""
        self._store = store
        self._files = keyfiles
        self._lock = threading.Lock()
        self._loaded = False
        self._keys: _Keys | None = None
        self._readable: set[bytes] = set()
        """Names of the rows that the key opens."""
        self._unreadable: set[bytes] = set()
        """Names of all others."""

    def load(self) -> tuple[tuple[bytes, WallTime], ...]:
        """All that are kept, in an order that says nothing: the transaction, and the hour when it was first kept.

        Raises:
            KeyFileError: the key cannot be read, is readable by others or another network's, or is damaged while
                something is kept. The text says how to go on. Nothing has changed.
            StoreError: the disk refuses.
        """
        with self._lock:
            return self._load()

    def save(self, changes: Sequence[tuple[TxId, bytes | None]]) -> None:
        """Keep transactions for the next run, by relay id, or keep them no longer (``None``), all of these at once;
        durable on return. One that is kept already keeps its hour.

        Raises:
            KeyFileError: as :meth:`load`; or the key of what has left cannot be removed. All is forgotten then that was
                to be, and the next call, or the next start, tries again.
            StoreError: the disk refuses; nothing has changed, but that a key may have been made.
        """
        with self._lock:
            if not self._loaded:
                self._load()
            latest = dict(changes)
            if self._keys is None and any(data is not None for data in latest.values()):
                self._keys = _Keys(self._files.obtain_broadcast())
            rows = {} if self._keys is None else self._keys.rows(latest, self._readable)
            kept = {name for name, sealed in rows.items() if sealed is not None}
            readable = (self._readable | kept).difference(rows.keys() - kept)
            unreadable = self._unreadable - rows.keys()
            dropped = unreadable if self._readable and not readable else set()
            rows |= dict.fromkeys(dropped)
            self._store.keep_broadcasts(list(rows.items()))
            self._readable, self._unreadable = readable, unreadable - dropped
            if dropped:
                self.warnings.append(
                    f"{len(dropped)} transactions that waited for private broadcast could not be read: dropped"
                )
            if not self._readable and not self._unreadable:
                # First: nothing is sealed any more with a key of which nobody knows whether the disk still has it.
                self._keys = None
                self._files.remove_broadcast()

    # -- within

    def _load(self) -> tuple[tuple[bytes, WallTime], ...]:
        rows = self._store.load_broadcasts()
        try:
            secret = self._files.load_broadcast()
        except DamagedKeyError:
            if rows:
                raise
            secret = None
        if not rows:
            # A kill came between the last row and its key, or between a key and its first row.
            secret = None
            if self._files.remove_broadcast() and self._store.warnings:
                self.warnings.append(
                    "what waited for private broadcast was in the store that was set aside: its key is removed, "
                    "send it anew"
                )
        self._keys = None if secret is None else _Keys(secret)
        found = {}
        for name, sealed in rows:
            one = None if self._keys is None else self._keys.open(name, sealed)
            if one is not None:
                found[name] = one
        self._readable = set(found)
        self._unreadable = {name for name, _ in rows} - self._readable
        self._loaded = True
        if self._unreadable:
            path = self._files.broadcast_path
            why = f"{path} is missing" if secret is None else f"damaged, or sealed with another key than {path}"
            self.warnings.append(
                f"{len(self._unreadable)} of {len(rows)} transactions that wait for private broadcast cannot be read "
                f"({why}): put back a copy of the store and of this key that belong together and start again, or send "
                "the transactions anew. They stay until the last one that can be read has left"
            )
        return tuple(found.values())


class _Keys:
    """What one secret gives: the key of the names, and that of the values."""

    def __init__(self, secret: BroadcastSecret) -> None:
        self._naming, sealing = hkdf_pair(_PURPOSE, secret.raw)
        self._sealer = Sealer(sealing)

    def __repr__(self) -> str:
        return "_Keys(redacted)"

    def rows(self, changes: dict[TxId, bytes | None], names: Set[bytes]) -> dict[bytes, bytes | None]:
        """What changes in the database, where rows of these ``names`` are."""
        hour = whole_hour(WallTime(min(max(0, int(time.time())), WALL_MOST)))
        rows: dict[bytes, bytes | None] = {}
        for relay_id, data in changes.items():
            name = hmac_sha256(self._naming, relay_id)
            if data is None:
                rows[name] = None
            elif name not in names:
                rows[name] = self._seal(name, data, hour)
        return rows

    def open(self, name: bytes, sealed: bytes) -> tuple[bytes, WallTime] | None:
        """A row's transaction and hour; ``None`` if these keys have not made it."""
        plain = self._sealer.open(sealed, name)
        if plain is None:
            return None
        length, hour = _HEAD.unpack_from(plain)
        return plain[_HEAD.size : _HEAD.size + length], WallTime(hour)

    def _seal(self, name: bytes, data: bytes, hour: WallTime) -> bytes:
        plain = _HEAD.pack(len(data), hour) + data
        return self._sealer.seal(plain + bytes(-len(plain) % BROADCAST_ROW), name, secrets.token_bytes(NONCE_BYTES))
