"""Network groups, with and without a map of autonomous systems."""

from __future__ import annotations

from asmaps import encode, file_of, with_v4

from obscura.peers.asmap import ASMap
from obscura.peers.groups import Grouping
from obscura.wire.address import NetAddress, Network, parse_address

MAP = ASMap(file_of(encode(with_v4({"20.1.0.0/16": 5, "20.9.0.0/16": 5, "20.2.0.0/16": 65_536, "2a00::/20": 5}))))
PLAIN, MAPPED = Grouping(), Grouping(MAP)


def test_without_a_map_it_is_the_prefix() -> None:
    for text in ("20.1.2.3:1", "127.0.0.1:1", "[2a00::1]:1"):
        assert PLAIN.group(parse_address(text)) == parse_address(text).group()


def test_one_system_is_one_group_whatever_its_prefixes() -> None:
    one, other, six = (MAPPED.group(parse_address(text)) for text in ("20.1.2.3:1", "20.9.2.3:2", "[2a00::1]:1"))
    assert one == other == six
    assert MAPPED.group(parse_address("20.2.0.0:1")) != one
    assert len({PLAIN.group(parse_address(text)) for text in ("20.1.2.3:1", "20.9.2.3:2", "[2a00::1]:1")}) == 3


def test_what_the_map_does_not_know_has_its_prefix() -> None:
    for text in ("21.1.2.3:1", "127.0.0.1:1", "[2a10::1]:1"):
        assert MAPPED.group(parse_address(text)) == parse_address(text).group()


def test_overlays_have_no_systems() -> None:
    # Their bytes would be in a mapped range.
    raw = bytes.fromhex("2a00") + bytes(30)
    for network in (Network.TORV3, Network.I2P):
        address = NetAddress(network, raw, 0)
        assert MAPPED.group(address) == address.group()
    cjdns = NetAddress(Network.CJDNS, b"\xfc" + bytes(15), 1)
    assert MAPPED.group(cjdns) == cjdns.group()


def test_a_system_is_no_prefix() -> None:
    groups = {bytes([network]) for network in Network}
    assert MAPPED.group(parse_address("20.1.2.3:1"))[:1] not in groups


def test_a_grouping_is_named_by_its_map() -> None:
    assert PLAIN.digest == bytes(32)
    assert MAPPED.digest == MAP.digest
