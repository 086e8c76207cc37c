"""What waits for a block, kept over a stop; and our operator's transactions, kept over a kill."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.errors import StoreError
from obscura.base.instant import Duration, seconds
from obscura.base.names import TxId
from obscura.node.effects import KeptTransaction
from obscura.store import Store, load_mempool, save_mempool
from obscura.store.mempool import NAME

HOUR = seconds(3_600)
SOME = (KeptTransaction(b"one", Duration(0)), KeptTransaction(b"another" * 100, Duration(5 * HOUR + 7)))


def test_it_comes_back_in_its_order_with_ages_in_hours(tmp_path: Path) -> None:
    assert load_mempool(tmp_path) == ((), "")
    save_mempool(tmp_path, SOME)
    assert load_mempool(tmp_path) == (
        (KeptTransaction(b"one", Duration(0)), KeptTransaction(b"another" * 100, Duration(5 * HOUR))),
        "",
    )
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    save_mempool(tmp_path, ())
    assert load_mempool(tmp_path) == ((), "")


def test_an_age_beyond_all_bounds(tmp_path: Path) -> None:
    save_mempool(tmp_path, [KeptTransaction(b"old", Duration(100_000 * HOUR))])
    assert load_mempool(tmp_path)[0][0].age == 65_535 * HOUR


def test_every_flipped_byte_and_every_cut_is_noticed(tmp_path: Path) -> None:
    save_mempool(tmp_path, SOME[:1])
    whole = (tmp_path / NAME).read_bytes()
    for at in range(len(whole)):
        (tmp_path / NAME).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        found, warning = load_mempool(tmp_path)
        assert found == ()
        assert "begins empty" in warning
        (tmp_path / NAME).write_bytes(whole[:at])
        assert load_mempool(tmp_path)[0] == ()


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        (Path(name) / NAME).write_bytes(data)
        assert load_mempool(Path(name))[0] == ()


def test_a_place_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    assert "cannot be read" in load_mempool(tmp_path)[1]
    with pytest.raises(StoreError, match="cannot be written"):
        save_mempool(tmp_path / "nowhere", SOME)


def test_our_operator_s_transactions(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    names = [TxId(bytes([number]) * 32) for number in (9, 1, 5)]
    for number, name in enumerate(names):
        for _ in range(2):
            store.keep_transaction(name, b"%d" % number)
    store.forget_transaction(names[1])
    store.forget_transaction(names[1])
    store.close()
    again = Store(tmp_path / "state.db")
    assert again.load_transactions() == (b"0", b"2"), "in the order of sending: parents before children"
    again.close()
