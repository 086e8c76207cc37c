"""Addresses of nodes: as bytes on the wire (BIP155), as text for people, as network groups for diversity.

Privacy: an address redacts itself in ``repr`` and ``str``; the way out is :meth:`NetAddress.reveal`.
"""

from __future__ import annotations

import hashlib
import ipaddress
from base64 import b32decode, b32encode
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ..base.cursor import Reader, compact_size
from ..base.errors import LocalError, Malformed, Violation
from ..base.instant import WallTime
from ..base.limits import ADDRESS_BYTES
from .reserved import is_public


class Network(IntEnum):
    """BIP155 network ids that Obscura knows."""

    IPV4 = 1
    IPV6 = 2
    TORV3 = 4
    I2P = 5
    CJDNS = 6


ADDRESS_LENGTHS: Final[dict[int, int]] = {
    Network.IPV4: 4,
    Network.IPV6: 16,
    Network.TORV3: 32,
    Network.I2P: 32,
    Network.CJDNS: 16,
}
_MAPPED_V4: Final = bytes(10) + b"\xff\xff"
_ONIONCAT: Final = bytes.fromhex("fd87d87eeb43")
_CJDNS_PREFIX: Final = 0xFC
_I2P_SUFFIX: Final = ".b32.i2p"
_PORT_MAX: Final = 65_535
_PORT_DIGITS: Final = 5
ENTRY_BYTES_MIN: Final = 4 + 1 + 1 + 1 + 0 + 2


class AddressError(LocalError):
    """A text that an operator gave is not an address; it says which form is wanted."""


@dataclass(frozen=True, slots=True, order=True)
class NetAddress:
    """Where a node can be reached: network, raw address bytes of that network's length, port."""

    network: Network
    raw: bytes
    port: int

    def __repr__(self) -> str:
        return f"NetAddress({self.network.name}, redacted)"

    __str__ = __repr__

    def reveal(self) -> str:
        """``host:port`` as people write it. Loud on purpose: for dialling, and where the operator asked."""
        return f"[{self.host()}]:{self.port}" if self.network in _BRACKETED else f"{self.host()}:{self.port}"

    def host(self) -> str:
        """The host alone, revealed."""
        match self.network:
            case Network.IPV4 | Network.IPV6 | Network.CJDNS:
                return str(ipaddress.ip_address(self.raw))
            case Network.TORV3:
                return b32encode(self.raw + _onion_checksum(self.raw) + b"\x03").decode().lower() + ".onion"
            case Network.I2P:
                return b32encode(self.raw).decode().lower().rstrip("=") + ".b32.i2p"

    def group(self) -> bytes:
        """The network group (/16, /24 on loopback, /32, 4 bits for Tor and I2P, 12 bits for CJDNS)."""
        match self.network:
            case Network.IPV4:
                # Loopback stands for many hosts only in devnets and tests, which give each a /24 (design §10).
                part = self.raw[:3] if self.raw[0] == 127 else self.raw[:2]
            case Network.IPV6:
                part = self.raw[:4]
            case Network.TORV3 | Network.I2P:
                part = bytes([self.raw[0] & 0xF0])
            case Network.CJDNS:
                part = bytes([self.raw[0], self.raw[1] & 0xF0])
        return bytes([self.network]) + part

    def is_loopback(self) -> bool:
        """Whether this names the machine itself."""
        return self.network in (Network.IPV4, Network.IPV6) and ipaddress.ip_address(self.raw).is_loopback

    def is_routable(self, *, allow_local: bool) -> bool:
        """Whether strangers could reach it, so that it may be gossiped; ``allow_local`` adds loopback (design §10)."""
        match self.network:
            case Network.I2P:
                # I2P's streams have no ports; any other number is one more name for the same host.
                return self.port == 0
            case Network.TORV3 | Network.CJDNS:
                return self.port != 0
            case Network.IPV4 | Network.IPV6:
                return self.port != 0 and (is_public(self.raw) or (allow_local and self.is_loopback()))


_BRACKETED: Final = (Network.IPV6, Network.CJDNS)


def _onion_checksum(public_key: bytes) -> bytes:
    # Tor rend-spec-v3, "Encoding onion addresses".
    return hashlib.sha3_256(b".onion checksum" + public_key + b"\x03").digest()[:2]


def address_from_ip(host: str, port: int) -> NetAddress:
    """The address of an IP literal; an IPv4-mapped IPv6 literal is the IPv4 address, a ``%scope`` is left out.

    Raises:
        AddressError: ``host`` is not an IP literal, or the port is out of range.
    """
    _check_port(port)
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        msg = f"{host!r} is not an IP address (host names are not resolved: DNS would tell others whom you dial)"
        raise AddressError(msg) from None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if isinstance(parsed, ipaddress.IPv4Address):
        return NetAddress(Network.IPV4, parsed.packed, port)
    network = Network.CJDNS if parsed.packed[0] == _CJDNS_PREFIX else Network.IPV6
    return NetAddress(network, parsed.packed, port)


def parse_address(text: str) -> NetAddress:
    """Read ``1.2.3.4:8333``, ``[2001:db8::1]:8333``, ``….onion:8333`` or ``….b32.i2p``.

    Raises:
        AddressError: anything else; the text names the form that is wanted.
    """
    text = text.strip()
    if text.lower().removesuffix(":0").endswith(_I2P_SUFFIX):
        return NetAddress(Network.I2P, _decode_base32(text.lower().removesuffix(":0")[:-8], 32, text), 0)
    host, colon, port_text = text.rpartition(":")
    if not colon or not port_text.isascii() or not port_text.isdigit() or not host:
        msg = f"{text!r} is not HOST:PORT, for example 203.0.113.7:8333 or [2001:db8::1]:8333"
        raise AddressError(msg)
    # Python refuses to read numbers of thousands of digits by another exception.
    port = int(port_text) if len(port_text) <= _PORT_DIGITS else _PORT_MAX + 1
    _check_port(port)
    if host.lower().endswith(_I2P_SUFFIX):
        msg = f"{text!r}: I2P has no ports, leave {':' + port_text!r} away"
        raise AddressError(msg)
    if host.lower().endswith(".onion"):
        decoded = _decode_base32(host[:-6].lower(), 35, text)
        if decoded[34] != 3 or _onion_checksum(decoded[:32]) != decoded[32:34]:
            msg = f"{text!r} is not a version 3 onion address: its checksum is wrong, look for a typing mistake"
            raise AddressError(msg)
        return NetAddress(Network.TORV3, decoded[:32], port)
    if host.startswith("[") and host.endswith("]"):
        return address_from_ip(host[1:-1], port)
    if ":" in host:
        msg = f"{text!r}: write an IPv6 address in brackets, for example [2001:db8::1]:8333"
        raise AddressError(msg)
    return address_from_ip(host, port)


def _check_port(port: int) -> None:
    if not 0 <= port <= _PORT_MAX:
        msg = f"not a port: ports go from 0 to {_PORT_MAX}"
        raise AddressError(msg)


def _decode_base32(text: str, length: int, whole: str) -> bytes:
    try:
        decoded = b32decode(text.upper() + "=" * (-len(text) % 8))
    except ValueError:
        decoded = b""
    # Compared with what it should read: a decoder passes over the last character's spare bits, where a mistake hides.
    if len(decoded) != length or b32encode(decoded).decode().lower().rstrip("=") != text:
        msg = f"{whole!r} is not an address: its base32 part is wrong, look for a typing mistake"
        raise AddressError(msg)
    return decoded


@dataclass(frozen=True, slots=True)
class AddressEntry:
    """One entry of ``addr``: when the node was last seen, its feature bits, where it is."""

    time: WallTime
    features: int
    address: NetAddress


def encode_entry(entry: AddressEntry) -> bytes:
    """time u32, features CompactSize, network u8, length + address, port u16 BE (BIP155)."""
    address = entry.address
    return b"".join(
        (
            (entry.time & 0xFFFF_FFFF).to_bytes(4, "little"),
            compact_size(entry.features),
            bytes([address.network]),
            compact_size(len(address.raw)),
            address.raw,
            address.port.to_bytes(2, "big"),
        )
    )


def decode_entry(reader: Reader) -> AddressEntry | None:
    """Read one entry; ``None`` for one of an unknown network, or of a form that BIP155 says to ignore.

    Raises:
        Violation: ``address-too-long``: over 512 bytes.
        Malformed: truncated, or a length that its network does not have (``address-length``).
    """
    time = WallTime(reader.u32())
    features = reader.compact_size()
    network_id = reader.u8()
    length = reader.compact_size()
    if length > ADDRESS_BYTES:
        raise Violation("address-too-long", f"{length} bytes, {ADDRESS_BYTES} allowed")
    raw = reader.take(length)
    port = reader.u16_be()
    expected = ADDRESS_LENGTHS.get(network_id)
    if expected is None:
        return None
    if length != expected:
        raise Malformed("address-length", f"{length} bytes for network {network_id}, {expected} expected")
    network = Network(network_id)
    if network is Network.IPV6 and raw.startswith((_MAPPED_V4, _ONIONCAT)):
        return None
    if network is Network.CJDNS and raw[0] != _CJDNS_PREFIX:
        return None
    return AddressEntry(time, features, NetAddress(network, raw, port))
