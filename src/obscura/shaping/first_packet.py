"""Which first packets a censor lets pass that blocks what looks like nothing.

The rules are those that the Great Firewall of China was found to apply in 2021 to 2023 (Wu et al., "How the Great
Firewall of China Detects and Blocks Fully Encrypted Traffic", USENIX Security 2023): the first packet of a connection
is let pass if any of them holds, and the connection may be blocked if none does. They say how a first packet fared
there and then, and nothing about any other censor or year.
"""

from __future__ import annotations

import re
from typing import Final

POPCOUNT_LOW: Final = 3.4
POPCOUNT_HIGH: Final = 4.6
PREFIX_BYTES: Final = 6
RUN_BYTES: Final = 20

_PRINTABLE: Final = bytes(range(0x20, 0x7F))
_PREFIX: Final = re.compile(rb"[\x20-\x7e]{%d}" % PREFIX_BYTES)
_RUN: Final = re.compile(rb"[\x20-\x7e]{%d}" % (RUN_BYTES + 1))
_TLS: Final = re.compile(rb"[\x16\x17]\x03[\x00-\x09]")
_HTTP: Final = re.compile(rb"(?:GET|PUT|POST|HEAD) ")


def exemption(packet: bytes) -> str | None:
    """The first rule by which a first packet is let pass, ``None`` if it may be blocked.

    Args:
        packet: what a connection's opener writes first, at least one byte.

    Returns:
        ``popcount``, ``prefix``, ``half``, ``run``, ``tls``, ``http`` or ``None``.
    """
    share = int.from_bytes(packet, "big").bit_count() / len(packet)
    if share <= POPCOUNT_LOW or share >= POPCOUNT_HIGH:
        return "popcount"
    if _PREFIX.match(packet):
        return "prefix"
    if 2 * (len(packet) - len(packet.translate(None, _PRINTABLE))) > len(packet):
        return "half"
    if _RUN.search(packet):
        return "run"
    if _TLS.match(packet):
        return "tls"
    if _HTTP.match(packet):
        return "http"
    return None
