"""The keys that a node is started with: which it makes, keeps and renews."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path

import pytest

from obscura.app.settings import Settings
from obscura.app.vault import make_vault
from obscura.node.vault import Vault
from obscura.wire.address import NetAddress, Network, parse_address
from obscura.wire.identity import KeyClass, class_of


def start(directory: Path, where: str | None, **settings: object) -> Vault:
    """As a node does, and as it ends."""
    wanted = Settings(network="regtest", **settings)  # type: ignore[arg-type]
    with ExitStack() as stack:
        address = None if where is None else parse_address(where)
        return make_vault(wanted, directory, address, None if wanted.keyed else address, stack)[0]


def key(vault: Vault) -> bytes:
    return vault.statics[KeyClass.CLEARNET].public


def test_a_node_that_does_not_listen_has_no_identity(tmp_path: Path) -> None:
    assert start(tmp_path, None).statics == {}
    assert not (tmp_path / "keys").exists()


def test_the_key_stays_while_the_address_does(tmp_path: Path) -> None:
    first = key(start(tmp_path, "8.8.8.8:1000"))
    assert key(start(tmp_path, "8.8.8.8:1000")) == first
    assert key(start(tmp_path, "8.8.8.8:2000")) == first, "the port is not the address"


def test_another_public_address_has_another_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = key(start(tmp_path, "8.8.8.8:1000"))
    with caplog.at_level(logging.WARNING):
        second = key(start(tmp_path, "9.9.9.9:1000"))
    assert second != first
    [record] = caplog.records
    assert record.getMessage() == "key-renewed"
    assert "9.9.9.9" not in str(vars(record))
    third = key(start(tmp_path, "8.8.8.8:1000"))
    assert third not in (first, second), "an old key does not come back"


def test_unless_it_is_to_stay(tmp_path: Path) -> None:
    first = key(start(tmp_path, "8.8.8.8:1000", keep_key=True))
    assert key(start(tmp_path, "9.9.9.9:1000", keep_key=True)) == first
    assert key(start(tmp_path, "9.9.9.9:1000")) == first, "the address is the one of the last start"


@pytest.mark.parametrize("where", ["0.0.0.0:1000", "10.0.0.7:1000", "192.168.1.9:1000"])
def test_an_address_that_nobody_outside_knows_changes_nothing(tmp_path: Path, where: str) -> None:
    first = key(start(tmp_path, "8.8.8.8:1000"))
    assert key(start(tmp_path, where)) == first
    assert key(start(tmp_path, "8.8.8.8:1000")) == first


def test_a_key_from_before_addresses_were_noted_stays(tmp_path: Path) -> None:
    first = key(start(tmp_path, "0.0.0.0:1000"))
    assert key(start(tmp_path, "8.8.8.8:1000")) == first


def test_a_keyed_listener_tells_nobody_where_it_is_and_keeps_its_key(tmp_path: Path) -> None:
    first = key(start(tmp_path, "8.8.8.8:1000"))
    assert key(start(tmp_path, "9.9.9.9:1000", listen="9.9.9.9:1000", listener="keyed")) == first
    assert key(start(tmp_path, "8.8.8.8:1000")) == first


def test_the_address_moves_with_the_key_s_file(tmp_path: Path) -> None:
    """A key that is carried to another machine, without the rest of the data directory."""
    first = key(start(tmp_path / "a", "8.8.8.8:1000"))
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "keys").rename(tmp_path / "b" / "keys")
    assert key(start(tmp_path / "b", "9.9.9.9:1000")) != first


@pytest.mark.parametrize("network", [Network.TORV3, Network.I2P, Network.CJDNS])
def test_no_other_class_is_renewed(tmp_path: Path, network: Network) -> None:
    keys = set()
    for number in (1, 2):
        raw = b"\xfc" + bytes([number]) * (15 if network is Network.CJDNS else 31)
        address = NetAddress(network, raw, 0 if network is Network.I2P else 1_000)
        with ExitStack() as stack:
            vault = make_vault(Settings(network="regtest"), tmp_path, address, address, stack)[0]
        keys.add(vault.statics[class_of(network)].public)
    assert len(keys) == 1


def test_a_keyed_listener(tmp_path: Path) -> None:
    vault = start(tmp_path, "8.8.8.8:1000", listen="8.8.8.8:1000", listener="keyed")
    assert vault.access is not None
    assert (tmp_path / "keys" / "replays").exists()
    assert not vault.printable
    assert start(tmp_path, None, first_packet="printable").printable
