"""Properties of the wire: round trips, truncation, leftovers, bounds, arbitrary bytes, addresses as text."""

from __future__ import annotations

import other_wire
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vector_fields import fields_of

from obscura.base import limits
from obscura.base.errors import PeerFault, Violation
from obscura.base.instant import WallTime
from obscura.base.names import NULL_HASH, BlockHash
from obscura.wire.address import (
    ADDRESS_LENGTHS,
    AddressEntry,
    NetAddress,
    Network,
    encode_entry,
    parse_address,
)
from obscura.wire.blocks import Block, DandelionTx, GetBlocks, GetData, GetHeaders, Headers, Inv, NotFound, Tx
from obscura.wire.features import FeatureSet
from obscura.wire.gossip import Addr
from obscura.wire.greeting import GetAddr, Mempool, Ping, Pong, Verack, Version
from obscura.wire.inventory import InventoryItem
from obscura.wire.registry import BY_MESSAGE, REGISTRY, Message, encode_message

u32, u64 = st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1)
hashes = st.binary(min_size=32, max_size=32).map(BlockHash)
# First bytes that make an address of 16 bytes one of the network in question, and not an IPv4 address in disguise.
PREFIXES = {Network.IPV6: b"\x20", Network.CJDNS: b"\xfc"}


def of_network(network: Network) -> st.SearchStrategy[NetAddress]:
    prefix = PREFIXES.get(network, b"")
    length = ADDRESS_LENGTHS[network] - len(prefix)
    ports = st.just(0) if network is Network.I2P else st.integers(1, 65_535)
    raw = st.binary(min_size=length, max_size=length).map(lambda tail: prefix + tail)
    return st.builds(NetAddress, st.just(network), raw, ports)


addresses = st.sampled_from(Network).flatmap(of_network)
entries = st.builds(AddressEntry, u32.map(WallTime), u64, addresses)
items = st.lists(st.builds(InventoryItem, u32, hashes), max_size=5).map(tuple)
locators = st.lists(hashes, max_size=5).map(tuple)
versions = st.builds(
    Version,
    u32,
    u64.map(WallTime),
    st.builds(FeatureSet, u32, u32),
    st.text(st.characters(codec="utf-8"), max_size=60),
    hashes,
    u64,
    u64,
)
messages = st.one_of(
    versions,
    st.builds(Ping, u64),
    st.builds(Pong, u64),
    st.sampled_from([Verack(), GetAddr(), Mempool()]),
    st.builds(Addr, st.lists(entries, max_size=4).map(tuple)),
    *(st.builds(kind, items) for kind in (Inv, GetData, NotFound)),
    *(st.builds(kind, u32, locators, hashes) for kind in (GetBlocks, GetHeaders)),
    st.builds(Headers, st.lists(st.binary(min_size=80, max_size=80), max_size=4).map(tuple)),
    st.builds(Block, st.binary(min_size=80, max_size=200)),
    *(st.builds(kind, st.binary(min_size=1, max_size=100)) for kind in (Tx, DandelionTx)),
)
OPEN_ENDED = (Block, Tx, DandelionTx)


@given(messages)
def test_round_trip(message: Message) -> None:
    payload = message.to_payload()
    assert type(message).from_payload(payload) == message
    assert len(payload) <= BY_MESSAGE[type(message)].size_max


@given(messages)
def test_another_encoder_writes_the_same_bytes(message: Message) -> None:
    expected = other_wire.frame(message.type_name, other_wire.payload(message.type_name, fields_of(message)))
    assert encode_message(message) == expected


@given(messages)
def test_truncation_and_leftovers(message: Message) -> None:
    payload = message.to_payload()
    if isinstance(message, OPEN_ENDED):
        return
    for cut in range(len(payload)):
        with pytest.raises(PeerFault):
            type(message).from_payload(payload[:cut])
    with pytest.raises(PeerFault):
        type(message).from_payload(payload + b"\0")


@given(st.sampled_from(REGISTRY), st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_else(row: object, data: bytes) -> None:
    try:
        message = row.message.from_payload(data)  # type: ignore[attr-defined]
    except PeerFault:
        return
    if not isinstance(message, Addr):
        assert message.to_payload() == data, "what is accepted has one form"


ITEM = InventoryItem(2, bytes(32))
ENTRY = AddressEntry(WallTime(0xFFFF_FFFF), (1 << 64) - 1, NetAddress(Network.TORV3, bytes(32), 65_535))


@pytest.mark.parametrize(
    ("largest", "too_large"),
    [
        (Inv((ITEM,) * limits.INV_ITEMS), Inv((ITEM,) * (limits.INV_ITEMS + 1))),
        (GetData((ITEM,) * limits.INV_ITEMS), GetData((ITEM,) * (limits.INV_ITEMS + 1))),
        (NotFound((ITEM,) * limits.INV_ITEMS), NotFound((ITEM,) * (limits.INV_ITEMS + 1))),
        (Headers((bytes(80),) * limits.HEADERS_ITEMS), Headers((bytes(80),) * (limits.HEADERS_ITEMS + 1))),
        (
            GetHeaders(1, (NULL_HASH,) * limits.LOCATOR_ITEMS, NULL_HASH),
            GetHeaders(1, (NULL_HASH,) * (limits.LOCATOR_ITEMS + 1), NULL_HASH),
        ),
        (Addr((ENTRY,) * limits.ADDR_ITEMS), Addr((ENTRY,) * (limits.ADDR_ITEMS + 1))),
    ],
    ids=lambda message: message.type_name,
)
def test_the_largest_list_fits_and_the_next_does_not(largest: Message, too_large: Message) -> None:
    payload = largest.to_payload()
    assert len(payload) <= BY_MESSAGE[type(largest)].size_max
    assert type(largest).from_payload(payload) == largest
    with pytest.raises(Violation, match="list-too-long"):
        type(too_large).from_payload(too_large.to_payload())


def test_sending_over_a_limit_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="over its limit"):
        encode_message(Block(bytes(limits.BLOCK_BYTES + 1)))
    with pytest.raises(ValueError, match="256"):
        Version(1, WallTime(0), FeatureSet(), "a" * 257, NULL_HASH, 0, 0).to_payload()


@given(addresses)
def test_addresses_as_text(address: NetAddress) -> None:
    assert parse_address(address.reveal()) == address
    assert address.host() not in repr(address) + str(address) + f"{address}"
    assert len(encode_entry(AddressEntry(WallTime(0), 0, address))) >= 10


def test_what_is_private_hides_itself() -> None:
    assert "01" * 8 not in repr(InventoryItem(1, b"\x01" * 32))
    assert "01" * 8 in repr(InventoryItem(2, b"\x01" * 32))
    assert "secret" not in repr(Tx(b"secret"))
