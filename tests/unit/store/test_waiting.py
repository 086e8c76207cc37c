"""Transactions that wait for a block, kept from one run to the next."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.digest import double_sha256
from obscura.base.errors import StoreError
from obscura.base.names import TxId
from obscura.store import Store
from obscura.store.database import Change

HOUR = 3_600


def name(data: bytes) -> TxId:
    return TxId(double_sha256(data))


def kept(data: bytes, *, stem: bool = False) -> Change:
    return name(data), data, stem


def gone(data: bytes) -> Change:
    return name(data), None, False


def rows(path: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as database:
        found = database.execute("SELECT * FROM waiting").fetchall()
    database.close()
    return found


def test_they_come_back_in_an_order_that_says_nothing_and_since_their_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    assert store.load_transactions() == ()
    monkeypatch.setattr(time, "time", lambda: 10 * HOUR + 3_599.9)
    store.keep_transactions([kept(b"one"), kept(b"two", stem=True)])
    monkeypatch.setattr(time, "time", lambda: 12 * HOUR + 1.0)
    store.keep_transactions([kept(b"three"), kept(b"two")])
    wanted = [(b"one", False, 10 * HOUR), (b"two", False, 10 * HOUR), (b"three", False, 12 * HOUR)]
    store.close()
    again = Store(path)
    assert list(again.load_transactions()) == sorted(wanted, key=lambda row: name(row[0]))
    again.keep_transactions([gone(b"one"), gone(b"never"), kept(b"two", stem=True)])
    assert set(again.load_transactions()) == {(b"two", True, 10 * HOUR), (b"three", False, 12 * HOUR)}
    again.keep_transactions([])
    again.close()


changes = st.tuples(st.integers(0, 5), st.sampled_from([None, False, True]))


@given(st.lists(st.lists(changes, max_size=6, unique_by=lambda change: change[0]), max_size=6))
def test_batches_do_what_single_changes_do(tmp_path_factory: pytest.TempPathFactory, story: list[list[tuple]]) -> None:
    store = Store(tmp_path_factory.mktemp("store") / "state.db")
    model: dict[bytes, bool] = {}
    for batch in story:
        store.keep_transactions([gone(b"%d" % n) if s is None else kept(b"%d" % n, stem=s) for n, s in batch])
        for number, stem in batch:
            if stem is None:
                model.pop(b"%d" % number, None)
            else:
                model[b"%d" % number] = stem
        assert {data: stem for data, stem, _ in store.load_transactions()} == model
    store.close()


def test_a_kill_leaves_what_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    script = f"""
from pathlib import Path
import os
from obscura.base.digest import double_sha256
from obscura.base.names import TxId
from obscura.store import Store
store = Store(Path({str(path)!r}))
store.keep_transactions([(TxId(double_sha256(b"%d" % one)), b"%d" % one, False) for one in range(500)])
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    store = Store(path)
    assert {data for data, _, _ in store.load_transactions()} == {b"%d" % one for one in range(500)}
    store.close()


def test_a_batch_is_kept_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    store.keep_transactions([kept(b"one")])
    with pytest.raises(StoreError):
        store.keep_transactions([gone(b"one"), kept(b"two"), (name(b"three"), object(), False)])  # type: ignore[list-item]
    assert [data for data, _, _ in store.load_transactions()] == [b"one"]
    store.close()


def test_rows_that_are_not_what_they_are_called_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    store.keep_transactions([kept(b"good")])
    store.close()
    with sqlite3.connect(path) as database:
        for row in ((b"name", b"data", 0, 5), ("text", "text", 0, 5), (double_sha256(b"late"), b"late", 0, "soon")):
            database.execute("INSERT INTO waiting VALUES (?, ?, ?, ?)", row)
    database.close()
    again = Store(path)
    assert [data for data, _, _ in again.load_transactions()] == [b"good"]
    again.close()
    assert len(rows(path)) == 1


def test_what_is_forgotten_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    secrets = [os.urandom(40) * 5 for _ in range(200)]
    store.keep_transactions([kept(data) for data in secrets])
    store.keep_transactions([gone(data) for data in secrets])
    store.close()
    content = path.read_bytes()
    assert not any(data[:40] in content or name(data) in content for data in secrets)
    assert [one.name for one in tmp_path.iterdir()] == ["state.db"], "the log of changes is gone with the last user"


def test_two_stores_that_kept_the_same_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the order in which they came, and with whom."""
    monkeypatch.setattr(time, "time", lambda: 10 * HOUR + 5.0)
    ones = [kept(b"%d" % number) for number in range(50)]
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    store = Store(first)
    store.keep_transactions(ones)
    store.close()
    store = Store(second)
    for one in reversed(ones):
        store.keep_transactions([one])
    store.close()
    assert rows(first) == rows(second) != []
