"""What the store keeps of peers: rows of addresses that cannot be, bans, anchors, and saves that are cut short."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from obscura.base.errors import StoreError
from obscura.base.instant import WallTime
from obscura.base.randomness import Chance
from obscura.peers.bans import DISCOURAGED, FOREVER, OPERATOR, Ban
from obscura.peers.book import AddressBook
from obscura.peers.record import AddressRecord
from obscura.store import Store
from obscura.wire.address import ADDRESS_LENGTHS, AddressEntry, NetAddress, Network

NAMES = (
    "network", "raw", "port", "features", "seen", "source", "succeeded", "failures", "retry_at", "key", "tried",
    "attempted", "copies", "standing", "since",
)  # fmt: skip


def name(number: int) -> NetAddress:
    return NetAddress(Network.IPV4, number.to_bytes(4, "big"), 8333)


def rewrite(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement, values)


@pytest.mark.parametrize("column", NAMES)
@pytest.mark.parametrize("value", ["text", -1, 1.5, b"", b"x" * 300, 1 << 62])
def test_rows_that_cannot_be_addresses_are_passed_over(tmp_path: Path, column: str, value: object) -> None:
    path = tmp_path / "state.db"
    good = AddressRecord(address=name(1), source=b"aa", seen=WallTime(5), succeeded=WallTime(4), key=bytes(32))
    odd = AddressRecord(address=name(2), source=b"aa", seen=WallTime(5), succeeded=WallTime(4), key=bytes(32))
    store = Store(path)
    store.save_addresses([(one.address, one) for one in (good, odd)])
    store.close()
    rewrite(path, f"UPDATE address SET {column} = ? WHERE raw = ?", value, name(2).raw)
    store = Store(path)
    assert store.warnings == []
    found = store.load_addresses()
    assert good in found
    for record in found:
        assert len(record.address.raw) == ADDRESS_LENGTHS[record.address.network]
        assert 0 <= record.address.port <= 65_535
        assert min(record.seen, record.succeeded, record.failures, record.retry_at, record.attempted, record.since) >= 0
        assert 0 <= record.features < 1 << 64
        assert record.key is None or len(record.key) == 32
        assert record.tried in (True, False)
        assert all(isinstance(part, bytes) for part in (record.source, record.standing, *record.copies))
    # Whatever is loaded is good enough to begin with, and to be saved again.
    book = AddressBook(found, Chance.from_seed(1), key=bytes(32))
    book.check()
    now = WallTime(1_800_000_000)
    book.learn(AddressEntry(now, 0, name(3)), b"aa", now)
    book.answer(now, lambda _: True)
    book.pick(now, lambda _: True)
    store.save_addresses(book.take_changes())
    store.close()


def test_a_network_that_nobody_knows(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    store.save_addresses([(name(1), AddressRecord(address=name(1)))])
    store.close()
    rewrite(path, "UPDATE address SET network = 9")
    store = Store(path)
    assert store.load_addresses() == ()
    store.close()


def test_copies_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    store.save_addresses([(name(1), AddressRecord(address=name(1), source=b"a", copies=(b"a", b"bc", b"")))])
    store.close()
    for packed, copies in ((b"\x01a\x02bc\x00", (b"a", b"bc", b"")), (b"\x01a\x02b", (b"a",)), (b"\x09", ())):
        rewrite(path, "UPDATE address SET copies = ?", packed)
        store = Store(path)
        assert [record.copies for record in store.load_addresses()] == [copies]
        store.close()


def test_a_save_is_done_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    kept = AddressRecord(address=name(1), source=b"aa")
    store.save_addresses([(name(1), kept)])
    rewrite(
        path, "CREATE TRIGGER full BEFORE INSERT ON address WHEN NEW.port = 9 BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    other = NetAddress(Network.IPV4, bytes(4), 9)
    with pytest.raises(StoreError, match="full"):
        store.save_addresses(
            [(name(1), None), (name(2), AddressRecord(address=name(2))), (other, AddressRecord(address=other))]
        )
    assert store.load_addresses() == (kept,)
    store.close()


def test_a_kill_at_any_moment_leaves_whole_saves(tmp_path: Path) -> None:
    """A process saves the numbers 0, 1, 2 … in a hundred rows at once, and is killed."""
    path = tmp_path / "state.db"
    script = f"""
from pathlib import Path
from obscura.peers.record import AddressRecord
from obscura.store import Store
from obscura.wire.address import NetAddress, Network
store, number = Store(Path({str(path)!r})), 0
names = [NetAddress(Network.IPV4, at.to_bytes(4, "big"), 1) for at in range(100)]
while True:
    number += 1
    store.save_addresses([(name, AddressRecord(address=name, failures=number)) for name in names])
    print(number, flush=True)
"""
    for saves in (3, 17):
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(saves):
                last = int(process.stdout.readline())
            os.kill(process.pid, 9)
        store = Store(path)
        records = store.load_addresses()
        store.close()
        assert len(records) == 100
        [failures] = {record.failures for record in records}
        assert failures >= last, "what was acknowledged is there"


BAN = Ban("203.0.113.7/32", WallTime(200), WallTime(100), OPERATOR)


def test_bans_come_back(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    assert store.load_bans() == ()
    other = Ban("2001:db8::/64", FOREVER, WallTime(7), DISCOURAGED)
    longer = Ban(BAN.subject, WallTime(300), WallTime(100), OPERATOR)
    store.keep_bans([(BAN.subject, BAN), (other.subject, other)])
    store.keep_bans([(BAN.subject, longer)])
    store.close()
    store = Store(path)
    assert set(store.load_bans()) == {longer, other}
    store.keep_bans([(BAN.subject, None), ("nobody", None)])
    assert store.load_bans() == (other,)
    store.close()


@pytest.mark.parametrize(
    ("column", "value"), [("until", "soon"), ("until", -1), ("made", b""), ("kind", 5.5), ("subject", b"x")]
)
def test_rows_that_cannot_be_bans_are_passed_over(tmp_path: Path, column: str, value: object) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    other = Ban("198.51.100.0/24", WallTime(200), WallTime(100), OPERATOR)
    store.keep_bans([(BAN.subject, BAN), (other.subject, other)])
    store.close()
    rewrite(path, f"UPDATE ban SET {column} = ? WHERE subject = ?", value, BAN.subject)
    store = Store(path)
    found = store.load_bans()
    assert other in found
    # A number as a kind becomes its text in a column of texts.
    assert [ban.kind for ban in found if ban != other] == (["5.5"] if column == "kind" else [])
    store.close()


def test_anchors_come_back_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    anchors = (
        NetAddress(Network.IPV4, bytes([20, 1, 1, 1]), 8333),
        NetAddress(Network.TORV3, bytes(range(32)), 8333),
        NetAddress(Network.I2P, bytes(32), 0),
    )
    store = Store(path)
    assert store.load_anchors() == ()
    store.keep_anchors(anchors)
    store.keep_anchors(anchors[::-1])
    store.close()
    store = Store(path)
    assert store.load_anchors() == anchors[::-1]
    store.keep_anchors(anchors[:1])
    assert store.load_anchors() == anchors[:1]
    store.keep_anchors(())
    assert store.load_anchors() == ()
    store.close()


def test_rows_that_cannot_be_anchors_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    store.keep_anchors([name(1), name(2)])
    store.close()
    rewrite(path, "UPDATE anchor SET address = 'nowhere' WHERE place = 0")
    rewrite(path, "INSERT INTO anchor VALUES (7, x'00')")
    store = Store(path)
    assert store.load_anchors() == (name(2),)
    store.close()


def test_a_disk_that_refuses_is_a_store_error(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    store.close()
    for verb in (
        lambda: store.save_addresses([(name(1), None)]),
        lambda: store.keep_bans([(BAN.subject, BAN)]),
        lambda: store.keep_anchors([name(1)]),
        store.load_addresses,
        store.load_bans,
        store.load_anchors,
    ):
        with pytest.raises(StoreError, match="cannot be used"):
            verb()
