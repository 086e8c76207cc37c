"""Addresses, bans, keys, transactions that wait and state, in one SQLite file.

docs/decisions/0002-store.md says why SQLite.

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
from ..peers.bans import Ban
from ..peers.pins import NamedPin
from ..peers.record import AddressRecord, stored
from ..wire.address import ADDRESS_LENGTHS, AddressError, NetAddress, Network, parse_address
from ..wire.keytext import KEY_BYTES

SCHEMA: Final = 7
_SPACE_BYTES: Final = 1 << 20
"""With less free space a disk counts as full: the log of one change takes some ten thousand bytes."""
_WAITING: Final = """CREATE TABLE waiting (
    relay_id BLOB PRIMARY KEY, data BLOB NOT NULL, stem INTEGER NOT NULL, hour INTEGER NOT NULL) WITHOUT ROWID"""
_BAN: Final = """CREATE TABLE ban (
    subject TEXT PRIMARY KEY, until INTEGER NOT NULL, made INTEGER NOT NULL, kind TEXT NOT NULL) WITHOUT ROWID"""
_ANCHOR: Final = "CREATE TABLE anchor (place INTEGER PRIMARY KEY, address TEXT NOT NULL)"
_BROADCAST: Final = "CREATE TABLE broadcast (name BLOB PRIMARY KEY, sealed BLOB NOT NULL) WITHOUT ROWID"
_KEEP: Final = "INSERT INTO waiting VALUES (?, ?, ?, ?) ON CONFLICT (relay_id) DO UPDATE SET stem = excluded.stem"
_TABLES: Final = (
    """CREATE TABLE address (
        network INTEGER NOT NULL, raw BLOB NOT NULL, port INTEGER NOT NULL, features INTEGER NOT NULL,
        seen INTEGER NOT NULL, source BLOB NOT NULL, succeeded INTEGER NOT NULL, failures INTEGER NOT NULL,
        retry_at INTEGER NOT NULL, key BLOB, tried INTEGER NOT NULL DEFAULT 0, attempted INTEGER NOT NULL DEFAULT 0,
        copies BLOB NOT NULL DEFAULT x'', standing BLOB NOT NULL DEFAULT x'', since INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (network, raw, port)) WITHOUT ROWID""",
    "CREATE TABLE pin (address TEXT PRIMARY KEY, key BLOB NOT NULL, first_seen INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    _WAITING,
    _BAN,
    _ANCHOR,
    _BROADCAST,
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
    4: (
        "ALTER TABLE address ADD COLUMN tried INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE address ADD COLUMN attempted INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE address ADD COLUMN copies BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE address ADD COLUMN standing BLOB NOT NULL DEFAULT x''",
        # Without a source it was named by the operator, and stands in no table.
        "UPDATE address SET tried = 1 WHERE succeeded > 0 AND length(source) > 0",
        _BAN,
        _ANCHOR,
    ),
    5: (
        "ALTER TABLE address ADD COLUMN since INTEGER NOT NULL DEFAULT 0",
        # Nobody has noted the first time. By the last one those would be eldest that have been silent for longest.
        "UPDATE address SET since = strftime('%s', 'now') WHERE tried = 1",
    ),
    6: (_BROADCAST,),
}
"""From each older format to the next one."""

_SAVE: Final = "INSERT OR REPLACE INTO address VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_NETWORKS: Final = {network.value: network for network in Network}

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

    def save_addresses(self, changes: Iterable[tuple[NetAddress, AddressRecord | None]]) -> None:
        """Keep what is known of addresses, or forget it (``None``), in one transaction; durable on return.

        Raises:
            StoreError: the disk refuses; nothing has changed.
        """
        latest = dict(changes)
        gone = [(where.network, where.raw, where.port) for where, one in latest.items() if one is None]
        rows = [
            (one.address.network, one.address.raw, one.address.port, *_signed(one.features), one.seen, one.source,
             one.succeeded, one.failures, one.retry_at, one.key, one.tried, one.attempted, _packed(one.copies),
             one.standing, one.since)
            for one in latest.values() if one is not None
        ]  # fmt: skip
        self._write(
            ("DELETE FROM address WHERE network = ? AND raw = ? AND port = ?", gone),
            (_SAVE, rows),
        )

    def load_addresses(self) -> tuple[AddressRecord, ...]:
        """All addresses. Rows that cannot be addresses are passed over.

        Raises:
            StoreError: the disk refuses.
        """
        records = []
        for row in self._all("address"):
            try:
                record = _record(*row)
            except (TypeError, KeyError):
                continue
            if record is not None:
                records.append(record)
        return tuple(records)

    # -- who is kept away

    def load_bans(self) -> tuple[Ban, ...]:
        """All bans, those that have ended too. Rows that cannot be bans are passed over.

        Raises:
            StoreError: the disk refuses.
        """
        return tuple(
            Ban(subject, WallTime(until), WallTime(made), kind)
            for subject, until, made, kind in self._rows(
                "SELECT subject, until, made, kind FROM ban WHERE typeof(subject) = 'text' AND typeof(kind) = 'text'"
                " AND typeof(until) = 'integer' AND until >= 0 AND typeof(made) = 'integer' AND made >= 0"
            )
        )

    def keep_bans(self, changes: Iterable[tuple[str, Ban | None]]) -> None:
        """Keep who is kept away, by subject, or forget it (``None``), in one transaction; durable on return.

        Raises:
            StoreError: the disk refuses; nothing has changed.
        """
        latest = dict(changes)
        gone = [(subject,) for subject, ban in latest.items() if ban is None]
        rows = [(ban.subject, ban.until, ban.made, ban.kind) for ban in latest.values() if ban is not None]
        self._write(
            ("DELETE FROM ban WHERE subject = ?", gone), ("INSERT OR REPLACE INTO ban VALUES (?, ?, ?, ?)", rows)
        )

    # -- whom to dial first

    def load_anchors(self) -> tuple[NetAddress, ...]:
        """Where there were block-only links, the latest first. Rows that cannot be addresses are passed over.

        Raises:
            StoreError: the disk refuses.
        """
        anchors = []
        for (text,) in self._rows("SELECT address FROM anchor ORDER BY place"):
            if isinstance(text, str):
                with contextlib.suppress(AddressError):
                    anchors.append(parse_address(text))
        return tuple(anchors)

    def keep_anchors(self, addresses: Sequence[NetAddress]) -> None:
        """Keep these anchors in the place of all that were; durable on return.

        Raises:
            StoreError: the disk refuses; nothing has changed.
        """
        rows = [(place, one.reveal()) for place, one in enumerate(addresses)]
        self._write(("DELETE FROM anchor", [()]), ("INSERT INTO anchor VALUES (?, ?)", rows))

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
        self._write(("DELETE FROM waiting WHERE relay_id = ?", gone), (_KEEP, kept))

    # -- transactions that wait for private broadcast, sealed by store/broadcasts.py

    def load_broadcasts(self) -> tuple[tuple[bytes, bytes], ...]:
        """All rows, name and sealed value, in the order of their names. Rows that are not of bytes are passed over.

        Raises:
            StoreError: the disk refuses.
        """
        return tuple((name, sealed) for name, sealed in self._all("broadcast") if type(name) is type(sealed) is bytes)

    def keep_broadcasts(self, changes: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Keep sealed values by name, in the place of older ones, or keep them no longer (``None``), in one
        transaction of the database; durable on return.

        Raises:
            StoreError: the disk refuses; nothing has changed.
        """
        latest = dict(changes)
        gone = [(name,) for name, sealed in latest.items() if sealed is None]
        kept = [(name, sealed) for name, sealed in latest.items() if sealed is not None]
        self._write(
            ("DELETE FROM broadcast WHERE name = ?", gone), ("INSERT OR REPLACE INTO broadcast VALUES (?, ?)", kept)
        )

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

    def _write(self, *statements: tuple[str, Sequence[tuple[str | bytes | int | None, ...]]]) -> None:
        """Statements, each for many values, in one transaction."""
        with self._lock:
            try:
                with self._database:
                    for statement, values in statements:
                        self._database.executemany(statement, values)
            except sqlite3.Error as error:
                raise _trouble(self._path, error) from error

    def _all(self, table: str) -> list[tuple]:  # type: ignore[type-arg]
        return self._rows(f"SELECT * FROM {table}")  # noqa: S608 a name of ours

    def _rows(self, query: str) -> list[tuple]:  # type: ignore[type-arg]
        with self._lock:
            try:
                return self._database.execute(query).fetchall()
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


def _record(
    network: int, raw: bytes, port: int, features: int, seen: WallTime, source: bytes, succeeded: WallTime,
    failures: int, retry_at: WallTime, key: bytes | None, tried: int, attempted: WallTime, copies: bytes,
    standing: bytes, since: WallTime,
) -> AddressRecord | None:  # fmt: skip
    """A row of the table of addresses; ``None`` if it cannot be one.

    SQLite keeps anything in any column, and there are 81,920 rows to be read at each start: so all numbers are judged
    at once. Their union is negative if one of them is.

    Raises:
        TypeError: something that is to be a number is none.
        KeyError: there is no such network.
    """
    if (
        type(raw) is not bytes or type(source) is not bytes or type(copies) is not bytes or type(standing) is not bytes
        or len(source) > 255
        or len(raw) != ADDRESS_LENGTHS[network] or port >> 16
        or seen | succeeded | failures | retry_at | attempted | since < 0
    ):  # fmt: skip
        return None
    return stored(
        NetAddress(_NETWORKS[network], raw, port),
        features & (1 << 64) - 1,
        seen,
        source,
        succeeded,
        failures,
        retry_at,
        key if _is_key(key) else None,
        tried == 1,
        attempted,
        _unpacked(copies) if copies else (),
        standing,
        since,
    )


def _signed(features: int) -> tuple[int]:
    """SQLite's integers are signed; the bits stay the same."""
    return (features - (1 << 64) if features >= 1 << 63 else features,)


def _packed(groups: Sequence[bytes]) -> bytes:
    """Network groups, each behind its length."""
    return b"".join(bytes([len(group)]) + group for group in groups)


def _unpacked(packed: bytes) -> tuple[bytes, ...]:
    """What :func:`_packed` was given; what cannot be read is left out."""
    groups = []
    while packed and len(packed) > packed[0]:
        groups.append(packed[1 : 1 + packed[0]])
        packed = packed[1 + packed[0] :]
    return tuple(groups)


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
