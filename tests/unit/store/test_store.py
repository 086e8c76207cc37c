"""The store: what it keeps, and what it does with damaged, newer and unwritable files; the datadir's lock."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscura.base.digest import double_sha256
from obscura.base.errors import StoreError
from obscura.base.instant import WallTime, whole_hour
from obscura.base.names import TxId
from obscura.peers.pins import NamedPin
from obscura.peers.record import AddressRecord
from obscura.store import Store, open_datadir
from obscura.store.database import SCHEMA, NewerStoreError, peek
from obscura.store.datadir import DatadirLockedError
from obscura.wire.address import ADDRESS_LENGTHS, NetAddress, Network

times = st.integers(0, 1 << 40).map(WallTime)
addresses = st.sampled_from(list(Network)).flatmap(
    lambda network: st.builds(
        NetAddress,
        st.just(network),
        st.binary(min_size=ADDRESS_LENGTHS[network], max_size=ADDRESS_LENGTHS[network]),
        st.integers(0, 65_535),
    )
)
records = st.builds(
    AddressRecord,
    address=addresses,
    features=st.integers(0, (1 << 64) - 1),
    seen=times,
    source=st.binary(max_size=5),
    succeeded=times,
    failures=st.integers(0, 1_000),
    retry_at=times,
    key=st.none(),
    tried=st.booleans(),
    attempted=times,
    copies=st.lists(st.binary(max_size=5), max_size=8).map(tuple),
    standing=st.binary(max_size=24),
) | st.builds(
    AddressRecord,
    address=addresses,
    succeeded=st.integers(1, 1 << 40).map(WallTime),
    key=st.binary(min_size=32, max_size=32),
)


lists = st.lists(records, max_size=20, unique_by=lambda record: record.address)


def changes_of(*kept: AddressRecord) -> list[tuple[NetAddress, AddressRecord | None]]:
    return [(one.address, one) for one in kept]


def whole(record: AddressRecord) -> tuple[object, ...]:
    """All of a record, what is not compared as well."""
    return (record, record.standing)


@settings(max_examples=40)
@given(lists, lists, st.data())
def test_changes_of_addresses_come_back(
    tmp_path_factory: pytest.TempPathFactory,
    before: list[AddressRecord],
    after: list[AddressRecord],
    data: st.DataObject,
) -> None:
    path = tmp_path_factory.mktemp("store") / "state.db"
    gone = data.draw(st.lists(st.sampled_from(before), unique=True)) if before else []
    store = Store(path)
    store.save_addresses([])
    store.save_addresses(changes_of(*before))
    store.save_addresses([(one.address, None) for one in gone] + changes_of(*after))
    store.close()
    again = Store(path)
    wanted = {one.address: one for one in before}
    for one in gone:
        del wanted[one.address]
    wanted |= {one.address: one for one in after}
    found = again.load_addresses()
    assert [whole(one) for one in found] == [whole(one) for _, one in sorted(wanted.items())]
    assert all(type(one) is AddressRecord for one in found)
    again.close()


def test_of_two_changes_the_later_one_counts(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    one = AddressRecord(address=NetAddress(Network.IPV4, bytes(4), 1))
    store.save_addresses([(one.address, None), (one.address, one)])
    assert store.load_addresses() == (one,)
    store.save_addresses([(one.address, replace(one, failures=1)), (one.address, None)])
    assert store.load_addresses() == ()
    store.close()


def test_state_is_durable(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    script = f"from pathlib import Path; from obscura.store import Store; import os; s = Store(Path({str(path)!r})); "
    script += "s.put('network', 'regtest'); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", script], check=False)
    store = Store(path)
    assert store.get("network") == "regtest"
    assert store.get("nothing") is None
    assert path.stat().st_mode & 0o777 == 0o600
    store.close()


def test_secrets_come_back_and_are_private(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    assert store.secret("clearnet") is None
    store.keep_secret("clearnet", bytes(32))
    store.keep_secret("clearnet", b"\xff" * 32)
    store.close()
    again = Store(tmp_path / "state.db")
    assert again.secret("clearnet") == b"\xff" * 32
    again.close()
    assert all(one.stat().st_mode & 0o077 == 0 for one in tmp_path.iterdir())


def test_pins_come_back(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    assert store.load_pins() == ()
    one = NamedPin(NetAddress(Network.IPV4, bytes([20, 1, 2, 3]), 8333), b"\x01" * 32, WallTime(5))
    other = NamedPin(NetAddress(Network.IPV6, bytes([0x20, *range(15)]), 1), b"\x02" * 32, WallTime(7))
    store.put_pin(one)
    store.put_pin(other)
    store.put_pin(replace(one, key=b"\x03" * 32))
    store.close()
    again = Store(path)
    assert set(again.load_pins()) == {replace(one, key=b"\x03" * 32), other}
    assert again.forget_pin(one.address)
    assert not again.forget_pin(one.address)
    assert again.load_pins() == (other,)
    again.close()


def test_rows_that_cannot_be_pins_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    store.save_addresses(
        changes_of(AddressRecord(address=NetAddress(Network.IPV4, bytes(4), 1), succeeded=WallTime(3)))
    )
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO pin VALUES ('nowhere', zeroblob(32), 5), ('1.2.3.4:5', zeroblob(31), 5)")
        database.execute("UPDATE address SET key = 'text'")
    database.close()
    store = Store(path)
    assert store.load_pins() == ()
    assert [record.key for record in store.load_addresses()] == [None]
    store.close()


FORMAT_1 = """
CREATE TABLE address (
    network INTEGER NOT NULL, raw BLOB NOT NULL, port INTEGER NOT NULL, features INTEGER NOT NULL,
    seen INTEGER NOT NULL, source BLOB NOT NULL, succeeded INTEGER NOT NULL, failures INTEGER NOT NULL,
    retry_at INTEGER NOT NULL, PRIMARY KEY (network, raw, port)) WITHOUT ROWID;
CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO address VALUES (1, x'14010203', 8333, 5, 100, x'aa', 90, 2, 80);
INSERT INTO address VALUES (1, x'14010204', 8334, 0, 100, x'aa', 0, 0, 0);
INSERT INTO address VALUES (1, x'14010205', 8335, 0, 100, x'', 90, 0, 0);
INSERT INTO state VALUES ('network', 'signet');
PRAGMA user_version = 1;
"""
"""What the release before keys and pins has written."""
FORMAT_2 = """
ALTER TABLE address ADD COLUMN key BLOB;
CREATE TABLE pin (address TEXT PRIMARY KEY, key BLOB NOT NULL, first_seen INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 2;
"""
FORMAT_3 = """
CREATE TABLE sent (serial INTEGER PRIMARY KEY, relay_id BLOB NOT NULL, data BLOB NOT NULL);
PRAGMA user_version = 3;
"""
"""That one kept its operator's transactions, and no others, in the order in which they were sent."""
FORMAT_4 = """
DROP TABLE sent;
CREATE TABLE waiting (
    relay_id BLOB PRIMARY KEY, data BLOB NOT NULL, stem INTEGER NOT NULL, hour INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 4;
"""
"""Before the tables of the address book, bans and anchors."""
FORMAT_5 = """
ALTER TABLE address ADD COLUMN tried INTEGER NOT NULL DEFAULT 0;
ALTER TABLE address ADD COLUMN attempted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE address ADD COLUMN copies BLOB NOT NULL DEFAULT x'';
ALTER TABLE address ADD COLUMN standing BLOB NOT NULL DEFAULT x'';
UPDATE address SET tried = 1 WHERE port = 8333;
CREATE TABLE ban (subject TEXT PRIMARY KEY, until INTEGER NOT NULL, made INTEGER NOT NULL, kind TEXT NOT NULL)
    WITHOUT ROWID;
CREATE TABLE anchor (place INTEGER PRIMARY KEY, address TEXT NOT NULL);
PRAGMA user_version = 5;
"""
"""Before seniority."""
FORMAT_6 = """
ALTER TABLE address ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
UPDATE address SET since = strftime('%s', 'now') WHERE tried = 1;
PRAGMA user_version = 6;
"""
"""Before the queue of private broadcast."""


def test_a_file_of_the_first_format_opens(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as database:
        database.executescript(FORMAT_1)
    database.close()
    kept = AddressRecord(
        address=NetAddress(Network.IPV4, bytes([20, 1, 2, 3]), 8333),
        features=5,
        seen=WallTime(100),
        source=b"\xaa",
        succeeded=WallTime(90),
        failures=2,
        retry_at=WallTime(80),
        tried=True,
    )
    told = AddressRecord(
        address=NetAddress(Network.IPV4, bytes([20, 1, 2, 4]), 8334), seen=WallTime(100), source=b"\xaa"
    )
    named = AddressRecord(
        address=NetAddress(Network.IPV4, bytes([20, 1, 2, 5]), 8335), seen=WallTime(100), succeeded=WallTime(90)
    )
    for _ in range(2):
        store = Store(path)
        assert store.warnings == []
        assert store.get("network") == "signet"
        kept = replace(kept, since=store.load_addresses()[0].since)
        assert store.load_addresses() == (kept, told, named), "who was reached is tried, and nobody whom we named"
        assert store.load_pins() == ()
        assert store.load_bans() == ()
        assert store.load_anchors() == ()
        assert store.load_broadcasts() == ()
        kept = replace(kept, key=b"\x05" * 32)
        store.save_addresses(changes_of(kept))
        store.close()
    with sqlite3.connect(path) as database:
        tables = {row[0] for row in database.execute("SELECT sql FROM sqlite_master")}
    database.close()
    store = Store(tmp_path / "new.db")
    store.close()
    with sqlite3.connect(tmp_path / "new.db") as database:
        fresh = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    database.close()
    assert {name for name in fresh if any(f"TABLE {name} " in table for table in tables)} == fresh
    assert len(tables) == len(fresh)


@pytest.mark.parametrize(
    "before",
    [
        FORMAT_1,
        FORMAT_1 + FORMAT_2,
        FORMAT_1 + FORMAT_2 + FORMAT_3,
        FORMAT_1 + FORMAT_2 + FORMAT_3 + FORMAT_4,
        FORMAT_1 + FORMAT_2 + FORMAT_3 + FORMAT_4 + FORMAT_5,
        FORMAT_1 + FORMAT_2 + FORMAT_3 + FORMAT_4 + FORMAT_5 + FORMAT_6,
    ],
)
def test_every_older_format_keeps_what_it_had(tmp_path: Path, before: str) -> None:
    path = tmp_path / "state.db"
    sent = [b"b" * 300, b"a" * 70_000, b"c" * 20]
    kept = before.endswith(FORMAT_3)
    with sqlite3.connect(path) as database:
        database.executescript(before)
        if kept:
            rows = [(double_sha256(data), data) for data in sent]
            database.executemany("INSERT INTO sent (relay_id, data) VALUES (?, ?)", [*rows, rows[0]])
    database.close()
    hour = whole_hour(WallTime(int(time.time())))
    store = Store(path)
    rows_now = store.load_transactions()
    assert store.load_broadcasts() == ()
    content = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    assert store.get("network") == "signet"
    assert [record.address.port for record in store.load_addresses()] == [8333, 8334, 8335]
    assert [record.tried for record in store.load_addresses()] == [True, False, False]
    since, *others = [record.since for record in store.load_addresses()]
    assert abs(since - time.time()) < 3_600, "of nobody it is known since when he is there: all are as old"
    assert others == [0, 0]
    store.keep_transactions([(TxId(double_sha256(data)), None, False) for data in sent])
    store.close()
    assert [data for data, _, _ in rows_now] == (sorted(sent, key=double_sha256) if kept else [])
    assert all(not stem and when in (hour, hour + 3_600) for _, stem, when in rows_now)
    assert content.count(b"c" * 20) == kept, "the old table is overwritten, and the log with it"
    again = Store(path)
    assert again.load_transactions() == ()
    again.close()
    assert not any(b"c" * 20 in one.read_bytes() for one in tmp_path.iterdir())
    with sqlite3.connect(path) as database:
        names = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    database.close()
    assert "sent" not in names


@pytest.mark.parametrize("damage", ["garbage", "zeros", "middle", "truncated"])
def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    store.put("network", "regtest")
    source = [AddressRecord(address=NetAddress(Network.IPV4, os.urandom(4), port)) for port in range(2_000)]
    store.save_addresses(changes_of(*source))
    store.close()
    data = bytearray(path.read_bytes())
    match damage:
        case "garbage":
            data = bytearray(os.urandom(len(data)))
        case "zeros":
            data[:100] = bytes(100)
        case "middle":
            for at in range(4_096, len(data), 4_096):
                data[at : at + 64] = os.urandom(64)
        case "truncated":
            del data[len(data) // 2 :]
    path.write_bytes(data)
    store = Store(path)
    assert "set aside" in store.warnings[0]
    assert store.load_addresses() == ()
    [aside] = [one for one in tmp_path.iterdir() if ".corrupt-" in one.name]
    assert aside.read_bytes() == data
    store.close()


def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    Store(path).close()
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    database.close()
    before = path.read_bytes()
    with pytest.raises(NewerStoreError, match="newer release"):
        Store(path)
    assert path.read_bytes() == before
    assert [one for one in tmp_path.iterdir() if "corrupt" in one.name] == []


def test_an_unusable_place_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    with pytest.raises(StoreError, match=r"state\.db cannot be opened"):
        Store(tmp_path / "state.db")


def test_the_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    datadir = tmp_path / "d"
    with open_datadir(datadir):
        assert datadir.stat().st_mode & 0o777 == 0o700
        with pytest.raises(DatadirLockedError, match=f"process {os.getpid()}"):
            open_datadir(datadir)
    script = "from pathlib import Path; from obscura.store import open_datadir; import os; "
    script += f"d = open_datadir(Path({str(datadir)!r})); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", script], check=False)
    open_datadir(datadir).close()
    with open_datadir(datadir) as locked:
        (datadir / "old").write_text("")
        locked.remove("old", "older")
        assert not (datadir / "old").exists()
        (datadir / "old").mkdir()
        with pytest.raises(StoreError, match="old, of an earlier release, cannot be deleted"):
            locked.remove("old")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        open_datadir(tmp_path / "file")


def test_a_look_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    assert peek(path, "network") is None
    assert not path.exists()
    store = Store(path)
    assert peek(path, "network") is None
    store.put("network", "regtest")
    assert peek(path, "network") == "regtest", "beside the process that has it open"
    store.close()
    assert peek(path, "network") == "regtest"
    path.write_bytes(b"not a database at all" * 100)
    assert peek(path, "network") is None
    assert not any("corrupt" in one.name for one in tmp_path.iterdir()), "only its owner sets a damaged store aside"
