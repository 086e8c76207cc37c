"""An address text is refused by AddressError or read so that it reads back; a BIP155 entry by PeerFault or likewise."""

from __future__ import annotations

from collections.abc import Iterator

import rig
from obscura.base.cursor import Reader
from obscura.base.errors import PeerFault
from obscura.wire.address import (
    ADDRESS_LENGTHS,
    AddressError,
    NetAddress,
    Network,
    address_from_ip,
    decode_entry,
    encode_entry,
    parse_address,
)
from obscura.wire.gossip import Addr
from obscura.wire.keytext import key_text, secret_text
from obscura.wire.target import parse_target, target_text

MAX_LEN = 600
_KEY, _SECRET = key_text(bytes(range(32))), secret_text(bytes(range(32)))
REACHES = (
    "wire.address.NetAddress.group",
    "wire.address.NetAddress.host",
    "wire.address.NetAddress.is_loopback",
    "wire.address.NetAddress.is_routable",
    "wire.address._onion_checksum",
    "wire.address._decode_base32",
    "wire.address.address_from_ip",
    "wire.address.decode_entry",
    "wire.address.encode_entry",
    "wire.keytext._decode",
    "wire.keytext._encode",
    "wire.reserved.is_public",
    "wire.target._dialable",
    "wire.target._parse_url",
    "wire.target.parse_target",
    "wire.target.target_text",
)


def run(data: bytes) -> None:
    """The first byte chooses between a text, an IP literal and an entry."""
    kind, rest = data[:1], data[1:]
    match kind[0] % 3 if kind else 0:
        case 0:
            text(rest.decode("utf-8", "surrogateescape"))
        case 1:
            literal(rest.decode("utf-8", "surrogateescape"))
        case _:
            entry(rest)


def text(given: str) -> None:
    """What an operator types, as a peer and as an address."""
    try:
        peer = parse_target(given)
    except AddressError as error:
        assert str(error), "an operator is told something"
    else:
        assert parse_target(target_text(peer)) == peer, "a target reads back from its own text"
    try:
        address = parse_address(given)
    except AddressError:
        return
    judge(address)
    assert parse_address(address.reveal()) == address, "an address reads back from its own text"


def literal(given: str) -> None:
    """What a socket says about its other end."""
    try:
        address = address_from_ip(given, 8333)
    except AddressError:
        return
    judge(address)
    assert address_from_ip(address.host(), 8333) == address


def entry(data: bytes) -> None:
    """What a peer sends in ``addr``."""
    reader = Reader(data)
    try:
        found = decode_entry(reader)
    except PeerFault:
        return
    if found is None:
        return
    judge(found.address)
    taken = data[: len(data) - reader.remaining]
    assert encode_entry(found) == taken, "an entry that is kept has one form"
    assert Addr.from_payload(b"\x01" + taken).entries == (found,)


def judge(address: NetAddress) -> None:
    """What holds for every address."""
    assert len(address.raw) == ADDRESS_LENGTHS[address.network]
    assert 0 <= address.port <= 65_535
    assert address.group()[0] == address.network
    assert not (address.is_routable(allow_local=False) and address.is_loopback()), "loopback is nobody's address"
    assert address.is_routable(allow_local=True) or not address.is_routable(allow_local=False)
    assert address.host() not in repr(address) + str(address), "it hides itself"
    if address.network is Network.CJDNS:
        assert address.raw[0] == 0xFC


def seeds() -> Iterator[bytes]:
    """Texts of every network, and the entries of the protocol's vectors."""
    raws = [
        NetAddress(Network.IPV4, bytes([8, 8, 4, 4]), 8333),
        NetAddress(Network.IPV4, bytes([127, 0, 0, 1]), 1),
        NetAddress(Network.IPV6, bytes.fromhex("2a00") + bytes(13) + b"\x01", 65_535),
        NetAddress(Network.TORV3, bytes(range(32)), 80),
        NetAddress(Network.I2P, bytes(range(32, 64)), 0),
        NetAddress(Network.CJDNS, b"\xfc" + bytes(15), 7),
    ]
    for address in raws:
        yield b"\0" + address.reveal().encode()
        yield b"\x01" + address.host().encode()
        for head in ("plain://", "literal://", "veiled://", f"obscura://{_KEY}@", f"obscura://{_KEY}.{_SECRET}@"):
            yield b"\0" + head.encode() + address.reveal().encode()
    for wrong in (f"obscura://{_SECRET}@", f"obscura://{_KEY}.{_KEY}@", f"plain://{_KEY}@", "obscura://", f"{_KEY}@"):
        yield b"\0" + wrong.encode() + b"8.8.4.4:8333"
    yield from (
        b"\0[::1]:1",
        b"\0::1:1",
        b"\0[::ffff:1.2.3.4]:5",
        b"\x01fe80::1%eth0",
        b"\x01[fc00::1]",
        b"\0a.onion:1",
    )
    for vector in rig.protocol_blocks("vectors"):
        if vector["type"] == "addr":
            yield b"\x02" + bytes.fromhex(vector["payload"])[1:][:512]
