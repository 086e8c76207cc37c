"""A second encoder of every payload, from docs/protocol.md and the standard library alone.

Tests hold it against our own, both ways, so that a mistake that our encoder and decoder share cannot hide. Fields are
those of the document's vectors: hashes, addresses and raw bytes in hexadecimal.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any


def compact(value: int) -> bytes:
    """A CompactSize."""
    for bound, lead, form in ((0xFD, b"", "<B"), (1 << 16, b"\xfd", "<H"), (1 << 32, b"\xfe", "<I")):
        if value < bound:
            return lead + struct.pack(form, value)
    return b"\xff" + struct.pack("<Q", value)


def frame(kind: str, payload: bytes) -> bytes:
    """A whole frame."""
    check = hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    return struct.pack("<I12s4s", len(payload), kind.encode("ascii"), check) + payload


def payload(kind: str, fields: dict[str, Any]) -> bytes:
    """The payload of a message of one kind."""
    match kind:
        case "version":
            agent = fields["user_agent"].encode()
            head = (fields["protocol"], fields["timestamp"], fields["features"], fields["privacy"], len(agent))
            tail = struct.pack("<QQ", fields["best_height"], fields["nonce"])
            return struct.pack("<IQIIH", *head) + agent + bytes.fromhex(fields["best_hash"]) + tail
        case "verack" | "getaddr" | "mempool":
            return b""
        case "ping" | "pong":
            return struct.pack("<Q", fields["nonce"])
        case "addr":
            return compact(len(fields["entries"])) + b"".join(_entry(*entry) for entry in fields["entries"])
        case "inv" | "getdata" | "notfound":
            vectors = (struct.pack("<I", number) + bytes.fromhex(name) for number, name in fields["items"])
            return compact(len(fields["items"])) + b"".join(vectors)
        case "getblocks" | "getheaders":
            locator = b"".join(map(bytes.fromhex, fields["locator"]))
            count = compact(len(fields["locator"]))
            return struct.pack("<I", fields["version"]) + count + locator + bytes.fromhex(fields["stop"])
        case "headers":
            return compact(len(fields["headers"])) + b"".join(bytes.fromhex(raw) + b"\0" for raw in fields["headers"])
        case "block" | "tx" | "dandeliontx":
            return bytes.fromhex(fields["data"])
    raise ValueError(kind)


def _entry(time: int, features: int, network: int, address: str, port: int) -> bytes:
    raw = bytes.fromhex(address)
    head = struct.pack("<I", time) + compact(features) + bytes([network])
    return head + compact(len(raw)) + raw + struct.pack(">H", port)
