"""Ranges of IP addresses where no stranger can be reached.

The table is written out, from the IANA special-purpose registries and RFC 4291, and not taken from the interpreter's
``ipaddress``: its answers change between releases of Python and admit multicast, while every node, and every run of a
simulation, must judge alike.
"""

from __future__ import annotations

import ipaddress
from typing import Final

_IPV4: Final = (
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # shared by a carrier's customers
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocol assignments
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # 6to4 relays, withdrawn
    "192.168.0.0/16",  # private
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/3",  # multicast, reserved, broadcast
)
_IPV6_GLOBAL: Final = 0b001  # the first three bits of 2000::/3, all of global unicast
_IPV6: Final = (
    "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
    "2001:db8::/32",  # documentation
    # Security: an IPv4 host owns 2**80 of these addresses, so they would count as many network groups.
    "2002::/16",
    "3fff::/20",  # documentation
)


def _masks(ranges: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    networks = [ipaddress.ip_network(text) for text in ranges]
    return tuple((int(network.netmask), int(network.network_address)) for network in networks)


_IPV4_MASKS: Final = _masks(_IPV4)
_IPV6_MASKS: Final = _masks(_IPV6)


def is_public(raw: bytes) -> bool:
    """Whether 4 bytes of an IPv4 or 16 of an IPv6 address lie where strangers can be reached."""
    value = int.from_bytes(raw, "big")
    if len(raw) == 16 and raw[0] >> 5 != _IPV6_GLOBAL:
        return False
    return all(value & mask != network for mask, network in (_IPV4_MASKS if len(raw) == 4 else _IPV6_MASKS))
