"""Addresses: as text, as groups, and who may be told of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from obscura.base.cursor import Reader
from obscura.base.errors import Malformed
from obscura.base.instant import WallTime
from obscura.wire.address import (
    AddressEntry,
    AddressError,
    NetAddress,
    Network,
    address_from_ip,
    decode_entry,
    encode_entry,
    parse_address,
)

RESERVED = """
0.1.2.3 10.0.0.1 100.64.0.1 127.0.0.1 169.254.1.1 172.31.0.1 192.0.0.8 192.0.2.1 192.88.99.1 192.168.1.1
198.19.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255
[::] [::1] [64:ff9b::1] [100::1] [2001::1] [2001:1ff:ffff::1] [2001:db8::1] [2002:1401:203::1] [3fff::1]
[fd00::1] [fe80::1] [fec0::1] [ff0e::1]
"""
NEIGHBOURS = """
1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 172.15.255.255 172.32.0.0
192.0.1.0 192.88.98.255 198.17.255.255 198.20.0.0 223.255.255.255
[2000::1] [2001:200::1] [2001:db9::1] [2003::1] [2a00::1] [3ffe::1]
"""
# Tor's rendezvous specification, version 3, "Encoding onion addresses", shows this one.
ONION = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion:9735"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("example.org:8333", "not resolved"),
        ("1.2.3.4", "HOST:PORT"),
        ("1.2.3.4:99999", "not a port"),
        ("1.2.3:5", "not an IP address"),
        ("2001:db8::1:8333", "brackets"),
        (":8333", "HOST:PORT"),
        ("1.2.3.4:", "HOST:PORT"),
        ("1.2.3.4:\u0663", "HOST:PORT"),
        ("abc.onion:1", "typing mistake"),
        ("a" * 56 + ".onion:1", "checksum"),
        ("abc.b32.i2p", "typing mistake"),
        ("a" * 51 + "b.b32.i2p", "typing mistake"),
        ("\u0131" * 52 + ".b32.i2p", "typing mistake"),
        ("a" * 52 + ".b32.i2p:8333", "no ports"),
        ("1.2.3.4:" + "9" * 5_000, "not a port"),
        ("", "HOST:PORT"),
    ],
)
def test_typing_mistakes(text: str, said: str) -> None:
    with pytest.raises(AddressError, match=said):
        parse_address(text)


def test_groups_and_routability() -> None:
    def at(text: str) -> NetAddress:
        return parse_address(text)

    assert at("20.1.2.3:1").group() == at("20.1.9.9:2").group() != at("20.2.2.3:1").group()
    assert at("127.1.1.1:1").group() != at("127.1.2.1:1").group()
    assert at("[2a00:1::1]:1").group() == at("[2a00:1:ffff::2]:1").group() != at("[2a00:2::1]:1").group()
    assert address_from_ip("::ffff:20.1.2.3", 1) == at("20.1.2.3:1")
    assert at("127.0.0.1:1").is_routable(allow_local=True)
    assert at("[::1]:1").is_routable(allow_local=True)
    assert not at("20.1.2.3:0").is_routable(allow_local=True)
    onion, garlic = NetAddress(Network.TORV3, bytes(32), 1), NetAddress(Network.I2P, bytes(32), 0)
    cjdns = at("[fc00::1]:1")
    assert cjdns.network is Network.CJDNS
    assert all(address.is_routable(allow_local=False) for address in (onion, garlic, cjdns))
    assert not any(
        replace(address, port=port).is_routable(allow_local=True)
        for address, port in ((onion, 0), (cjdns, 0), (garlic, 1))
    )


@pytest.mark.parametrize("host", RESERVED.split())
def test_reserved_ranges_are_not_for_strangers(host: str) -> None:
    assert not parse_address(f"{host}:8333").is_routable(allow_local=False)


@pytest.mark.parametrize("host", NEIGHBOURS.split())
def test_their_neighbours_are(host: str) -> None:
    assert parse_address(f"{host}:8333").is_routable(allow_local=False)


def test_a_real_onion_address() -> None:
    address = parse_address(ONION)
    assert address.network is Network.TORV3
    assert address.reveal() == parse_address(ONION.upper().replace(".ONION", ".onion")).reveal() == ONION
    for at in range(56):
        wrong = ONION[:at] + ("a" if ONION[at] != "a" else "b") + ONION[at + 1 :]
        with pytest.raises(AddressError):
            parse_address(wrong)


def test_text_in_other_forms() -> None:
    assert parse_address(" [2A00:0:0::1]:8333 ").reveal() == "[2a00::1]:8333"
    assert parse_address("[fc00::1]:1").reveal() == "[fc00::1]:1"
    assert parse_address("a" * 52 + ".B32.i2p:0") == parse_address("a" * 52 + ".b32.i2p")
    assert parse_address("[::ffff:20.1.2.3]:1").reveal() == "20.1.2.3:1"


def test_groups_of_the_other_networks() -> None:
    def group(network: Network, *first: int) -> bytes:
        length = 16 if network is Network.CJDNS else 32
        return NetAddress(network, bytes(first).ljust(length, b"\1"), 1).group()

    for network in (Network.TORV3, Network.I2P):
        assert group(network, 0x10) == group(network, 0x1F) != group(network, 0x20)
    assert group(Network.TORV3, 0x10) != group(Network.I2P, 0x10)
    assert group(Network.CJDNS, 0xFC, 0x10) == group(Network.CJDNS, 0xFC, 0x1F) != group(Network.CJDNS, 0xFC, 0x20)


@pytest.mark.parametrize(
    ("network", "raw"),
    [
        (2, bytes(10) + b"\xff\xff\1\2\3\4"),
        (2, bytes.fromhex("fd87d87eeb43") + bytes(10)),
        (6, b"\xfd" + bytes(15)),
        (3, bytes(10)),
        (99, b""),
        (99, bytes(512)),
    ],
)
def test_entries_that_bip155_says_to_ignore(network: int, raw: bytes) -> None:
    length = bytes([len(raw)]) if len(raw) < 0xFD else b"\xfd" + len(raw).to_bytes(2, "little")
    reader = Reader(bytes(5) + bytes([network]) + length + raw + b"\0\1" + b"next")
    assert decode_entry(reader) is None
    assert reader.rest() == b"next", "the entry is passed over as a whole"


@pytest.mark.parametrize("network", Network)
def test_no_network_takes_another_length(network: Network) -> None:
    raw = bytes(16 if network in (Network.TORV3, Network.I2P, Network.IPV4) else 4)
    with pytest.raises(Malformed) as caught:
        decode_entry(Reader(bytes(5) + bytes([network, len(raw)]) + raw + b"\0\1"))
    assert caught.value.rule == "address-length"


def test_addresses_hide_themselves() -> None:
    entry = AddressEntry(WallTime(5), 0, parse_address("20.77.88.99:8333"))
    texts = [repr(entry), str(entry), f"{entry}", f"{entry.address}", repr((entry.address,))]
    assert not any(secret in text for text in texts for secret in ("20.77", "77.88", "8333", "MX", "144d5863"))
    assert encode_entry(entry).hex() == "0500000000010414" + "4d5863" + "208d"
