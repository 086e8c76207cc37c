"""The coin view: the outputs that the kernel's active chain has made and not spent, in one SQLite file.

The kernel keeps coins of its own and tells nobody (design §6). This view is made of the blocks in our store, step by
step; a step is one transaction of the database, so that a kill leaves it at the end of a block, with what is needed to
take that block back. All of it can be made anew from the blocks: a file that is damaged, of another format or chain, or
that does not fit the chain, is removed. For the same reason nothing waits for the disk (``synchronous = NORMAL``): a
power cut may lose the last steps, never their order.

Outputs that nobody can ever spend are not kept (``OP_RETURN``, scripts over 10,000 bytes), nor is genesis's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from struct import Struct
from typing import Final

from ...base.errors import BugError, StoreError
from ...base.limits import COIN_STEP_BLOCKS, COIN_STEP_BYTES, COIN_UNDO_BLOCKS
from ...base.names import BlockHash
from ...chain.transactions import CoinReport, OutPoint
from .admission import coins_of
from .coin import Coin
from .transaction import Transaction, parse_block

NAME: Final = "coins.sqlite"
_FORMAT: Final = 1
_SCRIPT_BYTES: Final = 10_000
_CODE: Final = Struct("<36sIqI")
"""Of a coin in an undo: outpoint, twice the height and one for a coinbase's, amount, length of the script."""
_LOG: Final = logging.getLogger(__name__)
_TABLES: Final = (
    "CREATE TABLE coin (point BLOB PRIMARY KEY, code INTEGER NOT NULL, amount INTEGER NOT NULL, script BLOB NOT NULL) "
    "WITHOUT ROWID",
    "CREATE TABLE block (height INTEGER PRIMARY KEY, hash BLOB NOT NULL, undo BLOB NOT NULL)",
    "CREATE TABLE state (genesis BLOB NOT NULL)",
)

ActiveHash = Callable[[int], BlockHash | None]
"""The active chain's hash at a height, ``None`` above its end."""
ReadBlock = Callable[[BlockHash], bytes | None]


class _Unfit(Exception):
    """The view does not fit the chain's blocks: it is broken, or older than what is kept for going back."""


class CoinView:
    """The view of one chain. For one thread at a time; the first step opens the file.

    Args:
        directory: where the file is.
        genesis: the chain's first block.
    """

    def __init__(self, directory: Path, genesis: BlockHash) -> None:
        self._path = directory / NAME
        self._genesis = genesis
        self._fresh: dict[OutPoint, Coin | None] = {}
        """What this step has changed and not written: coins made, ``None`` for those spent."""
        self._lost = False
        self.height = 0
        """Of the last block whose coins are in it."""
        self.tip = genesis
        """Its hash."""
        self._database = self._open()

    def close(self) -> None:
        """Write everything out.

        Raises:
            StoreError: the disk refuses.
        """
        with self._explained():
            self._database.close()

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """The unspent output, or ``None``.

        Raises:
            StoreError: the disk refuses.
        """
        with self._explained():
            return self._look(outpoint)

    def _look(self, outpoint: OutPoint) -> Coin | None:
        if outpoint in self._fresh:
            return self._fresh[outpoint]
        found = self._database.execute("SELECT code, amount, script FROM coin WHERE point = ?", (outpoint,))
        row = found.fetchone()
        return None if row is None else Coin(row[0] >> 1, bool(row[0] & 1), row[1], row[2])

    def __len__(self) -> int:
        """How many coins there are."""
        with self._explained():
            return int(self._database.execute("SELECT COUNT(*) FROM coin").fetchone()[0])

    def all(self) -> Iterator[tuple[OutPoint, Coin]]:
        """Every coin, for checks."""
        with self._explained():
            for point, code, amount, script in self._database.execute("SELECT * FROM coin ORDER BY point"):
                yield OutPoint(point), Coin(code >> 1, bool(code & 1), amount, script)

    def step(self, active: ActiveHash, read: ReadBlock, *, details: bool) -> CoinReport:
        """Come some blocks nearer to the end of the active chain. See ``TransactionLedger.follow``.

        Raises:
            StoreError: the disk refuses, or a block of the active chain cannot be read.
        """
        try:
            report = self._step(active, read, details=details)
        except (_Unfit, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.OperationalError) and not _is_damage(error):
                raise _trouble(self._path, error) from error
            _LOG.warning("the coin view is begun anew: %s", error)
            report = self._anew(active, read)
        if self._lost:
            self._lost = False
            return CoinReport(report.tip, report.height, report.ready, report.fork, lost=True)
        return report

    # -- within

    def _step(self, active: ActiveHash, read: ReadBlock, *, details: bool) -> CoinReport:
        left: list[list[Transaction]] = []
        joined: list[Transaction] = []
        height, tip = self.height, self.tip
        size = 0
        self._database.execute("BEGIN")
        try:
            while len(left) < COIN_STEP_BLOCKS and size < COIN_STEP_BYTES and active(self.height) != self.tip:
                block = self._disconnect(read)
                size += sum(len(one.data) for one in block)
                left.append(block)
            fork = self.height
            while len(left) + self.height - fork < COIN_STEP_BLOCKS and size < COIN_STEP_BYTES:
                following = active(self.height + 1)
                if following is None or active(self.height) != self.tip:
                    break
                transactions = self._connect(following, read)
                size += sum(len(one.data) for one in transactions)
                joined += transactions
            self._write()
            self._database.execute("COMMIT")
        except BaseException:
            self._fresh.clear()
            self.height, self.tip = height, tip
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise
        ready = active(self.height) == self.tip and active(self.height + 1) is None
        report = CoinReport(self.tip, self.height, ready, fork)
        if not details:
            return report
        return CoinReport(
            self.tip,
            self.height,
            ready,
            fork,
            returned=tuple(one.data for block in reversed(left) for one in block[1:]),
            confirmed=tuple(one.txid for one in joined),
            spent=tuple(point for one in joined if not one.is_coinbase for point in one.spends),
        )

    def _connect(self, name: BlockHash, read: ReadBlock) -> Sequence[Transaction]:
        transactions = self._block(name, read)
        undo: list[bytes] = []
        for transaction in transactions:
            if not transaction.is_coinbase:
                for point in transaction.spends:
                    coin = self._look(point)
                    if coin is None:
                        msg = f"a block at height {self.height + 1} spends what is not there"
                        raise _Unfit(msg)
                    undo.append(_CODE.pack(point, _code(coin), coin.amount, len(coin.script)) + coin.script)
                    self._fresh[point] = None
            self._fresh.update(
                (point, coin) for point, coin in coins_of(transaction, self.height + 1).items() if _can_be_spent(coin)
            )
        self.height, self.tip = self.height + 1, name
        self._database.execute("INSERT INTO block VALUES (?, ?, ?)", (self.height, name, b"".join(undo)))
        self._database.execute("DELETE FROM block WHERE height <= ?", (self.height - COIN_UNDO_BLOCKS,))
        return transactions

    def _disconnect(self, read: ReadBlock) -> list[Transaction]:
        row = self._database.execute("SELECT undo FROM block WHERE height = ?", (self.height,)).fetchone()
        before = self._database.execute("SELECT hash FROM block WHERE height = ?", (self.height - 1,)).fetchone()
        if row is None or (before is None and self.height > 1):
            msg = f"the chain has changed more than {COIN_UNDO_BLOCKS} blocks below its end"
            raise _Unfit(msg)
        transactions = self._block(self.tip, read)
        for transaction in transactions:
            self._fresh.update(dict.fromkeys(coins_of(transaction, self.height)))
        undo: bytes = row[0]
        restored: dict[OutPoint, Coin] = {}
        at = 0
        while at < len(undo):
            point, code, amount, length = _CODE.unpack_from(undo, at)
            at += _CODE.size
            restored[OutPoint(point)] = Coin(code >> 1, bool(code & 1), amount, undo[at : at + length])
            at += length
        # What the block made itself and spent itself is in the undo as well, at its own height: it does not come back.
        self._fresh.update((point, coin) for point, coin in restored.items() if coin.height < self.height)
        self._database.execute("DELETE FROM block WHERE height = ?", (self.height,))
        self.height -= 1
        self.tip = self._genesis if before is None else BlockHash(before[0])
        return list(transactions)

    def _block(self, name: BlockHash, read: ReadBlock) -> Sequence[Transaction]:
        block = read(name)
        if block is None:
            msg = "a block of the active chain cannot be read: start again, it is repaired from the kernel's files"
            raise StoreError(msg)
        return parse_block(block)

    def _write(self) -> None:
        gone = [(point,) for point, coin in self._fresh.items() if coin is None]
        made = [
            (point, _code(coin), coin.amount, coin.script) for point, coin in self._fresh.items() if coin is not None
        ]
        self._database.executemany("DELETE FROM coin WHERE point = ?", gone)
        self._database.executemany("INSERT OR REPLACE INTO coin VALUES (?, ?, ?, ?)", made)
        self._fresh.clear()

    def _open(self) -> sqlite3.Connection:
        try:
            return self._opened()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise _trouble(self._path, error) from error
            _LOG.warning("the coin view's file is unusable (%s): it is made anew from the blocks", error)
            self._remove()
        try:
            return self._opened()
        except sqlite3.Error as error:
            raise _trouble(self._path, error) from error

    def _opened(self) -> sqlite3.Connection:
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            msg = f"{self._path} cannot be opened: {error.strerror}"
            raise StoreError(msg) from error
        # No thread but the ledger's uses it, and that one is not always the one that made it.
        database = sqlite3.connect(self._path, timeout=10, check_same_thread=False, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            version = int(database.execute("PRAGMA user_version").fetchone()[0])
            if version == 0:
                database.execute("BEGIN")
                for table in _TABLES:
                    database.execute(table)
                database.execute("INSERT INTO state VALUES (?)", (self._genesis,))
                database.execute(f"PRAGMA user_version = {_FORMAT}")
                database.execute("COMMIT")
            elif version != _FORMAT:
                raise sqlite3.DatabaseError(f"malformed: format {version}")
            elif database.execute("SELECT genesis FROM state").fetchone() != (self._genesis,):
                raise sqlite3.DatabaseError("malformed: another chain's")
            last = database.execute("SELECT height, hash FROM block ORDER BY height DESC LIMIT 1").fetchone()
        except BaseException:
            database.close()
            raise
        self.height, self.tip = (0, self._genesis) if last is None else (last[0], BlockHash(last[1]))
        return database

    def _anew(self, active: ActiveHash, read: ReadBlock) -> CoinReport:
        self._begin_anew()
        with self._explained():
            try:
                return self._step(active, read, details=False)
            except _Unfit as error:
                raise BugError(f"the active chain's own blocks do not fit together: {error}") from error

    def _begin_anew(self) -> None:
        self._lost = True
        self._fresh.clear()
        with contextlib.suppress(sqlite3.Error):
            self._database.close()
        self._remove()
        self._database = self._open()

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _trouble(self._path, error) from error


def coins_in(blocks: Iterator[tuple[int, bytes]]) -> dict[OutPoint, Coin]:
    """The coins that blocks leave, from height 1 on, counted in the plainest way: what a view is compared with."""
    found: dict[OutPoint, Coin] = {}
    for height, block in blocks:
        for transaction in parse_block(block):
            for point in transaction.spends:
                found.pop(point, None)
            made = coins_of(transaction, height)
            found.update((point, coin) for point, coin in made.items() if _can_be_spent(coin))
    return found


def _can_be_spent(coin: Coin) -> bool:
    return not coin.script.startswith(b"\x6a") and len(coin.script) <= _SCRIPT_BYTES


def _code(coin: Coin) -> int:
    return coin.height << 1 | coin.coinbase


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file's content is at fault, rather than the disk."""
    text = str(error)
    return not isinstance(error, sqlite3.OperationalError) or "malformed" in text or "no such" in text


def _trouble(path: Path, error: sqlite3.Error) -> StoreError:
    return StoreError(f"{path} cannot be used: {error}: check the disk's space and health, and ulimit -n")
