"""Addresses, keys, transactions that wait and state, in one SQLite file (docs/decisions/0002-store.md says why SQLite).

A damaged file is set aside under another name, never overwritten, and a new one begun: everything in here can be learnt
again, except keys, which is why the text says where the old file is. A file from a newer release is left alone.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from ..base.digest import double_sha256
from ..base.errors import StoreError
from ..base.instant import WallTime, whole_hour
from ..base.names import TxId
from ..peers.pins import NamedPin
from ..peers.record import AddressRecord
from ..wire.address import ADDRESS_LENGTHS, AddressError, NetAddress, Network, parse_address
from ..wire.keytext import KEY_BYTES

SCHEMA: Final = 4
_SPACE_BYTES: Final = 1 << 20
"""With less free space a disk counts as full: the log of one change takes some ten thousand bytes."""
_WAITING: Final = """CREATE TABLE waiting (
    relay_id BLOB PRIMARY KEY, data BLOB NOT NULL, stem INTEGER NOT NULL, hour INTEGER NOT NULL) WITHOUT ROWID"""
_KEEP: Final = "INSERT INTO waiting VALUES (?, ?, ?, ?) ON CONFLICT (relay_id) DO UPDATE SET stem = excluded.stem"
_TABLES: Final = (
    """CREATE TABLE address (
        network INTEGER NOT NULL, raw BLOB NOT NULL, port INTEGER NOT NULL, features INTEGER NOT NULL,
        seen INTEGER NOT NULL, source BLOB NOT NULL, succeeded INTEGER NOT NULL, failures INTEGER NOT NULL,
        retry_at INTEGER NOT NULL, key BLOB, PRIMARY KEY (network, raw, port)) WITHOUT ROWID""",
    "CREATE TABLE pin (address TEXT PRIMARY KEY, key BLOB NOT NULL, first_seen INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    _WAITING,
)
_CHANGES: Final = {
    1: (
        "ALTER TABLE address ADD COLUMN key BLOB",
        "CREATE TABLE pin (address TEXT PRIMARY KEY, key BLOB NOT NULL, first_seen INTEGER NOT NULL) WITHOUT ROWID",
    ),
    2: ("CREATE TABLE sent (serial INTEGER PRIMARY KEY, relay_id BLOB NOT NULL, data BLOB NOT NULL)",),
    3: (
        _WAITING,
        """INSERT OR IGNORE INTO waiting
            SELECT relay_id, data, 0, strftime('%s', 'now') / 3600 * 3600 FROM sent""",
        "DROP TABLE sent",
    ),
}
"""From each older format to the next one."""

Change: TypeAlias = tuple[TxId, bytes | None, bool]
"""A transaction's relay id, its bytes (``None``: it is kept no longer) and whether it is on its stem."""


class NewerStoreError(StoreError):
    """The file was written by a newer release."""


class Store:
    """The open database. Verbs may be called from any thread, one at a time.

    Args:
        path: the file; made if missing, mode 0600.

    Raises:
        NewerStoreError: a newer release wrote it; it is left as it is.
        StoreError: the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self.warnings: list[str] = []
        """What was found damaged at opening, for the operator."""
        self._path = path
        self._lock = threading.Lock()
        try:
            self._database = self._open()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise _trouble(path, error) from error
            self._set_aside(str(error))
            try:
                self._database = self._open()
            except sqlite3.Error as again:
                raise _trouble(path, again) from again

    def close(self) -> None:
        """Write everything out and close."""
        with self._lock:
            self._database.close()

    # -- addresses

    def save_addresses(self, records: Iterable[AddressRecord]) -> None:
        """Replace all addresses, in one transaction.

        Raises:
            StoreError: the disk refuses; the old ones stay.
        """
        rows = [
            (one.address.network, one.address.raw, one.address.port, *_signed(one.features), one.seen, one.source,
             one.succeeded, one.failures, one.retry_at, one.key)
            for one in records
        ]  # fmt: skip
        with self._lock:
            try:
                with self._database:
                    self._database.execute("DELETE FROM address")
                    self._database.executemany("INSERT INTO address VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            except sqlite3.Error as error:
                raise _trouble(self._path, error) from error

    def load_addresses(self) -> tuple[AddressRecord, ...]:
        """All addresses. Rows that cannot be addresses are passed over.

        Raises:
            StoreError: the disk refuses.
        """
        records = []
        for network, raw, port, features, seen, source, succeeded, failures, retry_at, key in self._all("address"):
            if ADDRESS_LENGTHS.get(network) == len(raw):
                records.append(
                    AddressRecord(
                        address=NetAddress(Network(network), raw, port),
                        features=features & (1 << 64) - 1,
                        seen=WallTime(seen),
                        source=source,
                        succeeded=WallTime(succeeded),
                        failures=failures,
                        retry_at=WallTime(retry_at),
                        key=key if succeeded and _is_key(key) else None,
                    )
                )
        return tuple(records)

    # -- pins of named peers

    def load_pins(self) -> tuple[NamedPin, ...]:
        """All pins. Rows that cannot be pins are passed over.

        Raises:
            StoreError: the disk refuses.
        """
        pins = []
        for text, key, first_seen in self._all("pin"):
            if _is_key(key):
                with contextlib.suppress(AddressError):
                    pins.append(NamedPin(parse_address(text), key, WallTime(first_seen)))
        return tuple(pins)

    def put_pin(self, pin: NamedPin) -> None:
        """Keep a pin in the place of an older one; durable on return.

        Raises:
            StoreError: the disk refuses.
        """
        self._change("INSERT OR REPLACE INTO pin VALUES (?, ?, ?)", (pin.address.reveal(), pin.key, pin.first_seen))

    def forget_pin(self, address: NetAddress) -> bool:
        """Keep a pin no longer; durable on return. ``False`` if there was none.

        Raises:
            StoreError: the disk refuses.
        """
        return self._change("DELETE FROM pin WHERE address = ?", (address.reveal(),)) > 0

    # -- transactions that wait

    def load_transactions(self) -> tuple[tuple[bytes, bool, WallTime], ...]:
        """All that are kept, in the order of their ids, which says nothing: the bytes, whether it is on its stem, and
        the hour in which it was first kept. Rows whose bytes are not what their id names are dropped.

        Raises:
            StoreError: the disk refuses.
        """
        found = []
        broken: list[Change] = []
        for relay_id, data, stem, hour in self._all("waiting"):
            if isinstance(data, bytes) and double_sha256(data) == relay_id and isinstance(hour, int):
                found.append((data, bool(stem), WallTime(hour)))
            else:
                broken.append((relay_id, None, False))
        if broken:
            self.keep_transactions(broken)
        return tuple(found)

    def keep_transactions(self, changes: Sequence[Change]) -> None:
        """Keep transactions for the next run, or keep them no longer, in one transaction of the database; durable on
        return. One that is kept already keeps its hour.

        Raises:
            StoreError: the disk refuses; nothing has changed.
        """
        hour = whole_hour(WallTime(int(time.time())))
        gone = [(relay_id,) for relay_id, data, _ in changes if data is None]
        kept = [(relay_id, data, stem, hour) for relay_id, data, stem in changes if data is not None]
        with self._lock:
            try:
                with self._database:
                    self._database.executemany("DELETE FROM waiting WHERE relay_id = ?", gone)
                    self._database.executemany(_KEEP, kept)
            except sqlite3.Error as error:
                raise _trouble(self._path, error) from error

    # -- state

    def get(self, name: str) -> str | None:
        """A value of the node's state.

        Raises:
            StoreError: the disk refuses.
        """
        return dict(self._all("state")).get(name)

    def put(self, name: str, value: str) -> None:
        """Keep a value of the node's state; durable on return.

        Raises:
            StoreError: the disk refuses.
        """
        self._change("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))

    # -- keys

    def secret(self, name: str) -> bytes | None:
        """A secret key that was kept under a name.

        Raises:
            StoreError: the disk refuses.
        """
        return dict(self._all("secret")).get(name)

    def keep_secret(self, name: str, value: bytes) -> None:
        """Keep a secret key; durable on return. The file is readable by its owner alone.

        Raises:
            StoreError: the disk refuses.
        """
        self._change("INSERT OR REPLACE INTO secret VALUES (?, ?)", (name, value))

    # -- within

    def _change(self, statement: str, values: tuple[str | bytes | int, ...]) -> int:
        """One statement in a transaction of its own; how many rows it has changed."""
        with self._lock:
            try:
                with self._database:
                    return self._database.execute(statement, values).rowcount
            except sqlite3.Error as error:
                raise _trouble(self._path, error) from error

    def _all(self, table: str) -> list[tuple]:  # type: ignore[type-arg]
        with self._lock:
            try:
                return self._database.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 a name of ours
            except sqlite3.Error as error:
                raise _trouble(self._path, error) from error

    def _open(self) -> sqlite3.Connection:
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            msg = f"{self._path} cannot be opened: {error.strerror}"
            raise StoreError(msg) from error
        database = sqlite3.connect(self._path, timeout=10, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            # Privacy: what is kept no longer is overwritten, not only unlinked.
            database.execute("PRAGMA secure_delete = ON")
            version = int(database.execute("PRAGMA user_version").fetchone()[0])
            if version > SCHEMA:
                msg = (
                    f"{self._path} has format {version}, this release knows up to {SCHEMA}: start the newer release "
                    "that wrote it, or choose another data directory"
                )
                raise NewerStoreError(msg)
            found = database.execute("PRAGMA quick_check").fetchone()[0]
            if found != "ok":
                raise sqlite3.DatabaseError(f"malformed: {found}")
            if version == 0:
                with database:
                    database.execute("BEGIN")
                    for table in _TABLES:
                        database.execute(table)
                    database.execute(f"PRAGMA user_version = {SCHEMA}")
            elif version < SCHEMA:
                with database:
                    database.execute("BEGIN")
                    for step in range(version, SCHEMA):
                        for statement in _CHANGES[step]:
                            database.execute(statement)
                    database.execute(f"PRAGMA user_version = {SCHEMA}")
                # What the older format told is overwritten in the file itself now, not at some later checkpoint.
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except BaseException:
            database.close()
            raise
        return database

    def _set_aside(self, why: str) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        for suffix in ("", "-wal", "-shm"):
            source = Path(f"{self._path}{suffix}")
            if source.exists():
                source.rename(f"{self._path}.corrupt-{stamp}{suffix}")
        self.warnings.append(
            f"{self._path} was unreadable ({why}): set aside as {self._path.name}.corrupt-{stamp} and a new one begun"
        )


def peek(path: Path, name: str) -> str | None:
    """A value of the node's state in a store that may be another process's: no row is changed, nothing is set aside.

    ``None`` if there is no store, no such value, or nothing can be read.
    """
    # On a read-only disk SQLite cannot make the file in which readers meet; nobody writes there either.
    for options in ("mode=ro", "mode=ro&immutable=1"):
        try:
            with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True)) as database:
                row = database.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        except sqlite3.Error:
            continue
        return None if row is None else str(row[0])
    return None


def _is_key(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == KEY_BYTES


def _signed(features: int) -> tuple[int]:
    """SQLite's integers are signed; the bits stay the same."""
    return (features - (1 << 64) if features >= 1 << 63 else features,)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file's content is at fault, rather than the disk or another process."""
    text = str(error)
    return not isinstance(error, sqlite3.OperationalError) or "malformed" in text or "not a database" in text


def _trouble(path: Path, error: sqlite3.Error) -> StoreError:
    # SQLite calls a full disk a full one in some places and an I/O error in others.
    advice = "check the disk's space and health, and ulimit -n"
    with contextlib.suppress(OSError):
        disk = os.statvfs(path.parent)
        if disk.f_bavail * disk.f_frsize < _SPACE_BYTES:
            advice = "make space on its disk, then start again"
    return StoreError(f"{path} cannot be used: {error}: {advice}")
