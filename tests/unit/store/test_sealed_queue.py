"""Transactions that wait for private broadcast, kept sealed from one run to the next."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscura.base.digest import double_sha256
from obscura.base.errors import StoreError
from obscura.base.instant import WALL_MOST
from obscura.base.limits import TX_BYTES
from obscura.base.names import TxId
from obscura.store import Store, database, files
from obscura.store.broadcasts import BroadcastQueue
from obscura.store.keyfile import DamagedKeyError, KeyFileError, KeyFiles

HOUR = 3_600
STEP = 4_096
AROUND = 12 + 16
"""Nonce and tag."""


def name(data: bytes) -> TxId:
    return TxId(double_sha256(data))


def kept(*data: bytes) -> list[tuple[TxId, bytes | None]]:
    return [(name(one), one) for one in data]


def gone(*data: bytes) -> list[tuple[TxId, bytes | None]]:
    return [(name(one), None) for one in data]


class Run:
    """One run of a node: new objects on a data directory."""

    def __init__(self, datadir: Path, network: str = "regtest") -> None:
        datadir.mkdir(exist_ok=True)
        self.store = Store(datadir / "state.db")
        self.files = KeyFiles(datadir, network)
        self.queue = BroadcastQueue(self.store, self.files)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def waiting(self) -> set[bytes]:
        return {data for data, _ in self.queue.load()}


@pytest.fixture
def datadir(tmp_path: Path) -> Path:
    return tmp_path / "d"


@pytest.fixture
def key(datadir: Path) -> Path:
    return datadir / "keys" / "broadcast.key"


def rows(datadir: Path) -> list[tuple[bytes, bytes]]:
    with sqlite3.connect(datadir / "state.db") as opened:
        found = opened.execute("SELECT name, sealed FROM broadcast").fetchall()
    opened.close()
    return found


def change(datadir: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(datadir / "state.db") as opened:
        opened.execute(statement, values)
    opened.close()


def everything(datadir: Path) -> bytes:
    return b"".join(one.read_bytes() for one in sorted(datadir.rglob("*")) if one.is_file())


# -- what comes back


def test_they_come_back_since_their_hour(datadir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = os.urandom(TX_BYTES)
    with Run(datadir) as run:
        assert run.queue.load() == ()
        monkeypatch.setattr(time, "time", lambda: 10 * HOUR + 3_599.9)
        run.queue.save(kept(b"one", largest))
        monkeypatch.setattr(time, "time", lambda: 12 * HOUR + 1.0)
        run.queue.save(kept(b"two", b"one"))
        wanted = {(b"one", 10 * HOUR), (largest, 10 * HOUR), (b"two", 12 * HOUR)}
        assert set(run.queue.load()) == wanted
    with Run(datadir) as run:
        run.queue.save(kept(largest))
        assert set(run.queue.load()) == wanted, "in another run it keeps its hour too"
        run.queue.save([*gone(b"one", b"never"), *kept(b"three")])
    with Run(datadir) as run:
        assert set(run.queue.load()) == {(largest, 10 * HOUR), (b"two", 12 * HOUR), (b"three", 12 * HOUR)}
        assert run.queue.warnings == []


@pytest.mark.parametrize(("clock", "hour"), [(-5.0, 0), (2.0**40, WALL_MOST // HOUR * HOUR)])
def test_a_clock_that_is_nowhere(datadir: Path, monkeypatch: pytest.MonkeyPatch, clock: float, hour: int) -> None:
    monkeypatch.setattr(time, "time", lambda: clock)
    with Run(datadir) as run:
        run.queue.save(kept(b"one"))
        assert run.queue.load() == ((b"one", hour),)


def test_of_two_changes_the_later_one_counts(datadir: Path) -> None:
    with Run(datadir) as run:
        run.queue.save([*kept(b"one"), *gone(b"one", b"two"), *kept(b"two")])
        assert run.waiting() == {b"two"}


story = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=4, unique_by=lambda one: one[0]),
        st.booleans(),
    ),
    max_size=8,
)


@settings(max_examples=30)
@given(story)
def test_batches_do_what_they_say(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[list[tuple[int, bool]], bool]]
) -> None:
    """And there is a key while there is a row, one for all of them, and no other time."""
    datadir = tmp_path_factory.mktemp("queue") / "d"
    path = datadir / "keys" / "broadcast.key"
    model: set[bytes] = set()
    keys: list[bytes] = []
    run = Run(datadir)
    for batch, reopened in story:
        before = set(model)
        changes = [(b"%d" % number * 3_000, keep) for number, keep in batch]
        run.queue.save([(name(data), data if keep else None) for data, keep in changes])
        model = (model | {data for data, keep in changes if keep}) - {data for data, keep in changes if not keep}
        if reopened:
            run.store.close()
            run = Run(datadir)
        assert run.waiting() == model
        assert run.queue.warnings == []
        assert path.exists() == bool(model)
        if model:
            held = path.read_bytes()
            assert held in keys[-1:] if before else held not in keys
            keys.append(held)
    run.store.close()


# -- what others can see


def test_nothing_shows_what_waits(datadir: Path) -> None:
    ones = [os.urandom(size) for size in (61, 250, 20_000, TX_BYTES)]
    with Run(datadir) as run:
        for one in ones:
            run.queue.save(kept(one))
        while_open = everything(datadir)
        assert (datadir / "state.db-wal").stat().st_size > TX_BYTES, "the log is among what was searched"
    for content in (while_open, everything(datadir)):
        for one in ones:
            for part in (one[:32], one[-32:], name(one), name(one)[::-1], double_sha256(name(one))):
                assert part not in content
                assert part.hex().encode() not in content
    assert b"one" not in repr(run.queue).encode()


def test_a_datadir_names_a_transaction_in_its_own_way(tmp_path: Path) -> None:
    names = []
    for at in range(3):
        with Run(tmp_path / f"{at}") as run:
            run.queue.save(kept(b"one"))
        names += [row[0] for row in rows(tmp_path / f"{at}")]
    assert len(set(names)) == len(names) == 3
    assert {len(one) for one in names} == {32}


def test_the_next_key_names_it_in_another_way(datadir: Path, key: Path) -> None:
    seen = set()
    for _ in range(3):
        with Run(datadir) as run:
            run.queue.save(kept(b"one"))
            seen.add((key.read_bytes(), rows(datadir)[0]))
            run.queue.save(gone(b"one"))
    assert len({held for held, _ in seen}) == len({row[0] for _, row in seen}) == 3


@pytest.mark.parametrize(
    ("size", "steps"), [(1, 1), (250, 1), (STEP - 12, 1), (STEP - 11, 2), (2 * STEP - 12, 2), (TX_BYTES, 98)]
)
def test_sizes_are_padded(datadir: Path, size: int, steps: int) -> None:
    with Run(datadir) as run:
        run.queue.save(kept(bytes(size)))
        assert run.waiting() == {bytes(size)}
    assert [len(sealed) for _, sealed in rows(datadir)] == [steps * STEP + AROUND]


def test_no_nonce_comes_twice(datadir: Path) -> None:
    nonces = set()
    with Run(datadir) as run:
        run.queue.save(kept(b"stays"))
        for _ in range(20):
            run.queue.save(kept(b"one", b"two"))
            nonces |= {sealed[:12] for _, sealed in run.store.load_broadcasts()}
            run.queue.save(gone(b"one", b"two"))
    assert len(nonces) == 41


# -- the key


def test_a_key_lives_as_long_as_rows(datadir: Path, key: Path) -> None:
    with Run(datadir) as run:
        assert run.queue.load() == ()
        run.queue.save([])
        run.queue.save(gone(b"never"))
        assert not key.parent.exists(), "who never broadcasts privately has none"
        run.queue.save(kept(b"one", b"two"))
        assert key.stat().st_mode & 0o777 == 0o600
        assert key.parent.stat().st_mode & 0o777 == 0o700
        secret = run.files.obtain_broadcast().raw
        run.queue.save(gone(b"one"))
        assert key.exists()
        run.queue.save(gone(b"two"))
        assert list(key.parent.iterdir()) == []
        assert secret not in everything(datadir)
        run.queue.save(kept(b"three"))
        assert run.files.obtain_broadcast().raw != secret
    assert secret.hex() not in repr(run.files.obtain_broadcast()) + repr(vars(run.queue))


def test_a_copy_from_before_cannot_be_opened_any_more(datadir: Path, key: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with Run(datadir) as run:
        run.queue.save(kept(b"one", b"two"))
        shutil.copytree(datadir, copy)
        with Run(copy) as thief:
            assert thief.waiting() == {b"one", b"two"}, "with its key it is all there"
        run.queue.save(gone(b"one", b"two"))
        run.queue.save(kept(b"three"))
    shutil.copy(key, copy / "keys" / "broadcast.key")
    with Run(copy) as thief:
        assert thief.queue.load() == ()
        [warning] = thief.queue.warnings
        assert warning.startswith("2 of 2 transactions that wait for private broadcast cannot be read (damaged, or ")


def test_a_key_that_cannot_be_removed(datadir: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system")

    with Run(datadir) as run:
        run.queue.save(kept(b"one"))
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", fail)
            with pytest.raises(KeyFileError, match=r"broadcast\.key cannot be removed: Read-only"):
                run.queue.save(gone(b"one"))
        assert run.store.load_broadcasts() == (), "the row is gone, as was asked"
        assert key.exists()
        run.queue.save(gone(b"never"))
        assert not key.exists(), "the next call has tried again"
        run.queue.save(kept(b"two"))
        with monkeypatch.context() as patched:
            patched.setattr(files, "sync_directory", fail)
            with pytest.raises(KeyFileError, match="cannot be removed"):
                run.queue.save(gone(b"two"))
        run.queue.save(kept(b"three"))
    with Run(datadir) as run:
        assert run.waiting() == {b"three"}, "not sealed with the key of which nobody knows whether it is there"
        assert run.queue.warnings == []


def test_a_key_that_cannot_be_made(datadir: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    with Run(datadir) as run:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fail)
            with pytest.raises(StoreError, match=r"broadcast\.key cannot be written: No space left"):
                run.queue.save(kept(b"one"))
        assert run.store.load_broadcasts() == (), "no row before its key"
        assert not key.exists()
        run.queue.save(kept(b"one"))
        assert run.waiting() == {b"one"}


# -- what cannot be read


def test_rows_cannot_be_swapped(datadir: Path) -> None:
    with Run(datadir) as run:
        run.queue.save(kept(b"one", b"two", b"three"))
    (first, at_first), (second, at_second), _ = rows(datadir)
    change(datadir, "UPDATE broadcast SET sealed = ? WHERE name = ?", at_second, first)
    change(datadir, "UPDATE broadcast SET sealed = ? WHERE name = ?", at_first, second)
    with Run(datadir) as run:
        assert len(run.queue.load()) == 1
        assert "2 of 3" in run.queue.warnings[0]


@pytest.mark.parametrize("damage", ["bit", "cut", "empty", "name", "text"])
def test_a_row_that_is_damaged_is_passed_over_and_told(datadir: Path, key: Path, damage: str) -> None:
    with Run(datadir) as run:
        run.queue.save(kept(b"one", b"two"))
    at, sealed = rows(datadir)[0]
    with Run(datadir) as run:
        (hurt, _), (fine, _) = run.queue.load()
    replacement: dict[str, object] = {
        "bit": sealed[:-1] + bytes([sealed[-1] ^ 1]),
        "cut": sealed[:-1],
        "empty": b"",
        "text": "text",
    }
    if damage == "name":
        change(datadir, "UPDATE broadcast SET name = x'00' WHERE name = ?", at)
    else:
        change(datadir, "UPDATE broadcast SET sealed = ? WHERE name = ?", replacement[damage], at)
    before = rows(datadir)
    with Run(datadir) as run:
        assert run.waiting() == {fine}
        assert len(run.queue.warnings) == (damage != "text")
        for warning in run.queue.warnings:
            assert "1 of 2 transactions" in warning
            assert "send the transactions anew" in warning
            assert at.hex() not in warning
            assert name(hurt).reveal() not in warning
        assert rows(datadir) == before, "it is left where it is"
        run.queue.save(kept(b"three"))
        assert len(rows(datadir)) == 3
        run.queue.save(gone(fine))
        assert key.exists()
        assert len(rows(datadir)) == 2
        run.queue.save(gone(b"three"))
        assert not key.exists()
        if damage != "text":
            assert rows(datadir) == [], "with its key nobody could read it any more"
            assert (
                run.queue.warnings[1] == "1 transactions that waited for private broadcast could not be read: dropped"
            )


def test_sent_anew_it_takes_the_place_of_its_damaged_row(datadir: Path) -> None:
    with Run(datadir) as run:
        run.queue.save(kept(b"one", b"two"))
    change(datadir, "UPDATE broadcast SET sealed = x'00'")
    with Run(datadir) as run:
        run.queue.save(kept(b"one"))
        run.queue.save(gone(b"two"))
    with Run(datadir) as run:
        assert run.waiting() == {b"one"}
        assert run.queue.warnings == []


def test_the_last_damaged_row_leaves_with_its_key(datadir: Path, key: Path) -> None:
    with Run(datadir) as run:
        run.queue.save(kept(b"one"))
    change(datadir, "UPDATE broadcast SET sealed = x'00'")
    with Run(datadir) as run:
        run.queue.save(gone(b"other"))
        assert len(rows(datadir)) == 1
        assert key.exists(), "nothing that was readable has left"
        run.queue.save(gone(b"one"))
        assert rows(datadir) == []
        assert not key.exists()


def test_a_missing_key(datadir: Path, key: Path, tmp_path: Path) -> None:
    with Run(datadir) as run:
        run.queue.save(kept(b"one", b"two"))
    before = rows(datadir)
    key.rename(tmp_path / "away")
    with Run(datadir) as run:
        assert run.queue.load() == ()
        [warning] = run.queue.warnings
        assert "2 of 2 transactions" in warning
        assert f"({key} is missing)" in warning
        run.queue.save(gone(b"one"))
        assert rows(datadir) == before
        assert not key.exists()
    (tmp_path / "away").rename(key)
    with Run(datadir) as run:
        assert run.waiting() == {b"one", b"two"}, "put back, it opens them"
        assert run.queue.warnings == []


def test_a_new_key_beside_rows_of_a_missing_one(datadir: Path, key: Path, tmp_path: Path) -> None:
    with Run(datadir) as run:
        run.queue.save(kept(b"one", b"two"))
    key.rename(tmp_path / "away")
    with Run(datadir) as run:
        run.queue.save(kept(b"one", b"three"))
        assert len(run.queue.warnings) == 1
    assert len(rows(datadir)) == 4, "the old ones stay"
    with Run(datadir) as run:
        assert run.waiting() == {b"one", b"three"}
        assert "2 of 4 transactions" in run.queue.warnings[0]
        run.queue.save(gone(b"three"))
        assert len(rows(datadir)) == 3
    (tmp_path / "new").write_bytes(key.read_bytes())
    (tmp_path / "away").replace(key)
    with Run(datadir) as run:
        assert run.waiting() == {b"one", b"two"}, "the old key opens the old ones even now"
    (tmp_path / "new").chmod(0o600)
    (tmp_path / "new").replace(key)
    with Run(datadir) as run:
        run.queue.save(gone(b"one"))
        assert run.queue.warnings[1:] == ["2 transactions that waited for private broadcast could not be read: dropped"]
        assert not key.exists()
    assert rows(datadir) == []


Hurt = Callable[[Path], Any]


@pytest.mark.parametrize(
    ("hurt", "words"),
    [
        (
            lambda path: path.write_bytes(path.read_bytes()[:-1]),
            r"is damaged: put a copy of it back, or give up .*: rm ",
        ),
        (lambda path: path.chmod(0o640), r"mode 0640.*chmod 600"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read"),
        (lambda path: (path.unlink(), KeyFiles(path.parent.parent, "signet").obtain_broadcast()), "not regtest.* rm "),
    ],
    ids=["damaged", "readable", "directory", "foreign"],
)
def test_a_key_that_cannot_be_used(datadir: Path, key: Path, hurt: Hurt, words: str) -> None:
    with Run(datadir) as run:
        run.queue.save(kept(b"one"))
    hurt(key)
    before = rows(datadir), key.is_dir() or key.read_bytes()
    with Run(datadir) as run:
        for call in (run.queue.load, lambda: run.queue.save(kept(b"two")), lambda: run.queue.save(gone(b"one"))):
            with pytest.raises(KeyFileError, match=words):
                call()
    assert (rows(datadir), key.is_dir() or key.read_bytes()) == before


def test_a_damaged_key_that_nothing_waits_for_is_in_nobody_s_way(datadir: Path, key: Path) -> None:
    with Run(datadir) as run:
        run.files.obtain_broadcast()
        key.write_bytes(b"?")
        with pytest.raises(DamagedKeyError):
            run.files.load_broadcast()
        assert run.queue.load() == ()
        assert not key.exists()


def test_the_key_of_another_network_is_not_removed(datadir: Path, key: Path) -> None:
    KeyFiles(datadir, "signet").obtain_broadcast()
    with Run(datadir) as run, pytest.raises(KeyFileError, match="belongs to network signet"):
        run.queue.load()
    assert key.exists()


def test_a_store_that_was_set_aside(datadir: Path, key: Path) -> None:
    with Run(datadir) as run:
        run.queue.save(kept(b"one"))
    (datadir / "state.db").write_bytes(b"?" * 5_000)
    with Run(datadir) as run:
        assert run.queue.load() == ()
        assert "set aside: its key is removed, send it anew" in run.queue.warnings[0]
        assert not key.exists()


# -- kills, and disks that refuse


def test_a_full_disk_changes_nothing(datadir: Path, key: Path) -> None:
    with Run(datadir) as run:
        run.queue.save(kept(b"one"))
        before = rows(datadir), key.read_bytes()
        pages = run.store._database.execute("PRAGMA page_count").fetchone()[0]
        run.store._database.execute(f"PRAGMA max_page_count = {pages}")
        big = os.urandom(TX_BYTES)
        with pytest.raises(StoreError, match="full"):
            run.queue.save([*gone(b"one"), *kept(big, b"two")])
        assert (rows(datadir), key.read_bytes()) == before
        assert run.waiting() == {b"one"}
        run.store._database.execute("PRAGMA max_page_count = 1000000")
        run.queue.save([*gone(b"one"), *kept(big, b"two")])
        assert run.waiting() == {big, b"two"}


def test_a_full_disk_at_the_first_row(datadir: Path, key: Path) -> None:
    with Run(datadir) as run:
        pages = run.store._database.execute("PRAGMA page_count").fetchone()[0]
        run.store._database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="full"):
            run.queue.save(kept(os.urandom(TX_BYTES)))
        assert rows(datadir) == []
        assert key.exists()
        run.queue.save(gone(b"never"))
        assert not key.exists()


def test_a_delete_that_the_disk_refuses_leaves_the_key(
    datadir: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the disk refuses")

    with Run(datadir) as run:
        run.queue.save(kept(b"one"))
        with monkeypatch.context() as patched:
            patched.setattr(Store, "keep_broadcasts", fail)
            with pytest.raises(StoreError, match="refuses"):
                run.queue.save(gone(b"one"))
        assert key.exists()
        assert run.waiting() == {b"one"}
        run.queue.save(gone(b"one"))
        assert not key.exists()


class Moments:
    """Copies of a data directory at every moment at which a kill could leave it so: before and after each call that
    changes the disk. What SQLite does within one is its own affair, and tested by its makers."""

    def __init__(self, datadir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._datadir = datadir
        self._copies = datadir.with_name("copies")
        self.allowed: tuple[set[bytes], ...] = (set(),)
        self.taken: list[tuple[Path, tuple[set[bytes], ...]]] = []
        for owner, verb in (
            (os, "fsync"),
            (Path, "unlink"),
            (Path, "hardlink_to"),
            (Path, "chmod"),
            (Path, "mkdir"),
            (database.Store, "_write"),
        ):
            monkeypatch.setattr(owner, verb, self._around(getattr(owner, verb)))

    def _around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **values: Any) -> Any:
            self._take()
            try:
                return call(*args, **values)
            finally:
                self._take()

        return watched

    def _take(self) -> None:
        copy = self._copies / str(len(self.taken))
        # By another process: this one's calls are watched.
        subprocess.run(["cp", "-a", self._datadir, copy], check=True)
        self.taken.append((copy, self.allowed))


def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(
    datadir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datadir.with_name("copies").mkdir()
    saved: set[bytes] = set()
    with Run(datadir) as run, monkeypatch.context() as patched:
        run.queue.load()
        moments = Moments(datadir, patched)
        for changes, after in (
            (kept(b"one"), {b"one"}),
            ([*gone(b"one"), *kept(b"two", b"three")], {b"two", b"three"}),
            (gone(b"two"), {b"three"}),
            (gone(b"three"), set()),
            (kept(b"four"), {b"four"}),
        ):
            moments.allowed = (saved, after)
            run.queue.save(changes)
            saved = after
            moments.allowed = (saved,)
            moments._take()
    seen = set()
    for copy, allowed in moments.taken:
        with Run(copy) as run:
            found = run.waiting()
            assert found in allowed
            assert run.queue.warnings == []
            names = [one.name for one in copy.glob("keys/*")]
            assert "broadcast.key" in names if found else names == []
            run.queue.save(kept(b"next"))
            run.queue.save([*gone(*found), *gone(b"next")])
            assert list(copy.glob("keys/*")) == [], "nothing that a kill has left outlives the last row"
        seen.add((frozenset(found), len(allowed)))
    assert len(moments.taken) > 40
    assert {state for state, _ in seen} >= {frozenset(), frozenset({b"one"}), frozenset({b"two", b"three"})}


WRITER = """
import os, sys
from pathlib import Path
from obscura.base.digest import double_sha256
from obscura.base.names import TxId
from obscura.store import Store
from obscura.store.broadcasts import BroadcastQueue
from obscura.store.keyfile import KeyFiles
datadir = Path(sys.argv[1])
queue = BroadcastQueue(Store(datadir / "state.db"), KeyFiles(datadir, "regtest"))
for number in range(10_000):
    one = b"%d" % number
    queue.save([(TxId(double_sha256(one)), one)])
    os.write(1, b"+%d\\n" % number)
    if number % 3 == 2:
        # The last one goes too: each third time there is a new key.
        queue.save([(TxId(double_sha256(b"%d" % old)), None) for old in range(number - 2, number + 1)])
        os.write(1, b"-%d\\n" % number)
"""


def acknowledged(lines: Iterator[bytes]) -> tuple[set[bytes], set[bytes]]:
    """What must be there, and what may be: a call whose return was not reported may have done its work."""
    there: set[bytes] = set()
    last = -1
    for line in lines:
        last = int(line[1:])
        there = there | {line[1:].strip()} if line[:1] == b"+" else set()
    return there, there | {b"%d" % (last + 1)}


@pytest.mark.parametrize("after", [1, 2, 3, 4, 7, 12, 25, 40])
def test_a_killed_process_has_kept_what_it_reported(datadir: Path, key: Path, after: int) -> None:
    datadir.mkdir()
    with subprocess.Popen([sys.executable, "-c", WRITER, datadir], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(after)]
        time.sleep(after % 5 * 0.001)
        writer.kill()
        lines += writer.stdout.readlines()
    must, may = acknowledged(iter(lines))
    with Run(datadir) as run:
        found = run.waiting()
        assert must <= found <= may or (len(must) == 3 and found == set())
        assert run.queue.warnings == []
        assert key.exists() == bool(found)
