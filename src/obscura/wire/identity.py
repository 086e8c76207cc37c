"""Who a node is to others: one static key for each class of networks (docs/protocol.md, "Identity and pins").

Privacy: classes never share a key, or the same key seen at an onion and at an IP address would say that both are one
node. IPv4 and IPv6 are one class: they are announced together anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .address import Network


class KeyClass(Enum):
    """Networks that share an identity. The value names the key's file and is what an operator types."""

    CLEARNET = "clearnet"
    ONION = "onion"
    I2P = "i2p"
    CJDNS = "cjdns"


def class_of(network: Network) -> KeyClass:
    """The identity that is shown to peers of a network."""
    match network:
        case Network.IPV4 | Network.IPV6:
            return KeyClass.CLEARNET
        case Network.TORV3:
            return KeyClass.ONION
        case Network.I2P:
            return KeyClass.I2P
        case Network.CJDNS:
            return KeyClass.CJDNS


def is_overlay(network: Network) -> bool:
    """Whether its links go through many hosts, which hide either end from the other."""
    return network in (Network.TORV3, Network.I2P)


@dataclass(frozen=True, slots=True, repr=False)
class AccessSecret:
    """The 32 bytes that a keyed listener and those whom it invited share. They redact themselves."""

    raw: bytes

    def __repr__(self) -> str:
        return "AccessSecret(redacted)"
