"""The keys that a node is started with: which it makes, keeps and renews."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from obscura.app.settings import Settings
from obscura.app.vault import make_vault
from obscura.node.vault import Vault
from obscura.store import Store
from obscura.wire.address import parse_address
from obscura.wire.identity import KeyClass


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "state.db")
    yield made
    made.close()


def start(directory: Path, store: Store, where: str | None, **settings: object) -> Vault:
    """As a node does, and as it ends."""
    wanted = Settings(network="regtest", **settings)  # type: ignore[arg-type]
    with ExitStack() as stack:
        address = None if where is None else parse_address(where)
        return make_vault(wanted, directory, address, store, stack)[0]


def key(vault: Vault) -> bytes:
    return vault.statics[KeyClass.CLEARNET].public


def test_a_node_that_does_not_listen_has_no_identity(tmp_path: Path, store: Store) -> None:
    assert start(tmp_path, store, None).statics == {}
    assert not (tmp_path / "keys").exists()


def test_the_key_stays_while_the_address_does(tmp_path: Path, store: Store) -> None:
    first = key(start(tmp_path, store, "8.8.8.8:1000"))
    assert key(start(tmp_path, store, "8.8.8.8:1000")) == first
    assert key(start(tmp_path, store, "8.8.8.8:2000")) == first, "the port is not the address"


def test_another_public_address_has_another_key(tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    first = key(start(tmp_path, store, "8.8.8.8:1000"))
    with caplog.at_level(logging.WARNING):
        second = key(start(tmp_path, store, "9.9.9.9:1000"))
    assert second != first
    [record] = caplog.records
    assert record.getMessage() == "key-renewed"
    assert "9.9.9.9" not in str(vars(record))
    third = key(start(tmp_path, store, "8.8.8.8:1000"))
    assert third not in (first, second), "an old key does not come back"


def test_unless_it_is_to_stay(tmp_path: Path, store: Store) -> None:
    first = key(start(tmp_path, store, "8.8.8.8:1000", keep_key=True))
    assert key(start(tmp_path, store, "9.9.9.9:1000", keep_key=True)) == first
    assert key(start(tmp_path, store, "9.9.9.9:1000")) == first, "the address is the one of the last start"


@pytest.mark.parametrize("where", ["0.0.0.0:1000", "10.0.0.7:1000", "192.168.1.9:1000"])
def test_an_address_that_nobody_outside_knows_changes_nothing(tmp_path: Path, store: Store, where: str) -> None:
    first = key(start(tmp_path, store, "8.8.8.8:1000"))
    assert key(start(tmp_path, store, where)) == first
    assert key(start(tmp_path, store, "8.8.8.8:1000")) == first


def test_a_key_from_before_addresses_were_noted_stays(tmp_path: Path, store: Store) -> None:
    first = key(start(tmp_path, store, "0.0.0.0:1000"))
    assert key(start(tmp_path, store, "8.8.8.8:1000")) == first


def test_a_keyed_listener(tmp_path: Path, store: Store) -> None:
    vault = start(tmp_path, store, "8.8.8.8:1000", listen="8.8.8.8:1000", listener="keyed")
    assert vault.access is not None
    assert (tmp_path / "keys" / "replays").exists()
    assert not vault.printable
    assert start(tmp_path, store, None, first_packet="printable").printable
