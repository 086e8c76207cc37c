"""Everything bad that a stranger can send to a node, as bytes, with what must come of it.

Made with the standard library alone, so that a mistake of our own encoder cannot hide. The chain is the one of
``obscura.ledgers.memory``; ``tip`` and ``blocks`` are given by the test.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass


def sha(data: bytes) -> bytes:
    """Double SHA-256."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def frame(kind: str, payload: bytes = b"") -> bytes:
    """A frame with a right checksum."""
    return struct.pack("<I12s", len(payload), kind.encode()) + sha(payload)[:4] + payload


def version(*, protocol: int = 1, agent: bytes = b"/stranger/", nonce: int = 77, tail: bytes = b"") -> bytes:
    """A ``version`` payload."""
    head = struct.pack("<IQIIH", protocol, 1_800_000_000, 0, 0, len(agent)) + agent
    return head + bytes(32) + struct.pack("<QQ", 0, nonce) + tail


GREETING = frame("version", version()) + frame("verack")


@dataclass(frozen=True)
class Case:
    """``rule`` is why the node closes, or "" where the link stays, then charged with ``points``: 20 for a message that
    is dropped, 0 for one that is ignored. ``greet`` sends a good handshake first."""

    name: str
    data: bytes
    rule: str = ""
    greet: bool = True
    points: int = 0


def bad_header(kind: bytes, size: int = 0) -> bytes:
    """A frame's header alone."""
    return struct.pack("<I12s4s", size, kind, sha(b"")[:4])


def cases(headers: list[bytes], good_block: bytes) -> list[Case]:
    """All cases. ``headers``: three that extend the node's tip; ``good_block``: the block of the first."""
    inv = frame("inv", b"\x01" + struct.pack("<I", 2) + bytes(32))
    wrong = bytearray(inv)
    wrong[16] ^= 1
    broken_work = bytearray(headers[0])
    while sha(bytes(broken_work))[31] < 16:
        broken_work[79] ^= 0x80
        broken_work[76] = (broken_work[76] + 1) % 256
    listed = lambda *raws: bytes([len(raws)]) + b"".join(raw + b"\0" for raw in raws)  # noqa: E731
    locator = lambda count: struct.pack("<I", 1) + bytes([count]) + bytes(32) * (count + 1)  # noqa: E731
    return [
        # -- in the handshake
        Case("version: too old", frame("version", version(protocol=0)), "version-obsolete", greet=False),
        Case(
            "version: user agent of 257",
            frame("version", version(agent=b"a" * 257)),
            "user-agent-too-long",
            greet=False,
        ),
        Case("version: user agent not UTF-8", frame("version", version(agent=b"\xff")), greet=False, points=20),
        Case("version: left over", frame("version", version(tail=b"x")), greet=False, points=20),
        Case("version: truncated", frame("version", version()[:-1]), greet=False, points=20),
        Case(
            "version: wrong checksum", frame("version", version())[:16] + bytes(4) + version(), greet=False, points=20
        ),
        Case("unknown type first", frame("news", b"x"), greet=False),
        Case("version: oversized, header only", bad_header(b"version", 1_025), "frame-oversized", greet=False),
        Case("verack first", frame("verack"), "wrong-phase", greet=False),
        Case("inv first", inv, "wrong-phase", greet=False),
        Case("block first, header only", bad_header(b"block", 100), "wrong-phase", greet=False),
        Case("second version before verack", frame("version", version()) * 2, "second-version", greet=False),
        Case("inv before verack", frame("version", version()) + inv, "wrong-phase", greet=False),
        Case("unknown, too large for a stranger", bad_header(b"news", 1_025), "frame-oversized", greet=False),
        Case("not our protocol at all", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "type-unprintable", greet=False),
        Case("zeros", bytes(40), "type-unprintable", greet=False),
        # -- frames
        Case("second version", frame("version", version()), "second-version"),
        Case("second verack", frame("verack"), "wrong-phase"),
        Case("type not printable", bad_header(b"in\x01v"), "type-unprintable"),
        Case("type empty", bad_header(b""), "type-unprintable"),
        Case("bytes after the zeros", bad_header(b"inv\0x"), "type-after-nul"),
        Case("inv oversized, header only", bad_header(b"inv", 1_800_004), "frame-oversized"),
        Case("block oversized, header only", bad_header(b"block", 4_000_001), "frame-oversized"),
        Case("size of 4 GB", bad_header(b"addr", 0xFFFF_FFFF), "frame-oversized"),
        Case("unknown type", frame("news", b"x" * 5_000)),
        Case("wrong checksum", bytes(wrong), points=20),
        Case("wrong checksum, five times", bytes(wrong) * 5, "fault-budget"),
        # -- payloads
        Case("ping truncated", frame("ping", bytes(7)), points=20),
        Case("ping left over", bad_header(b"ping", 9), "frame-oversized"),
        Case("inv left over", frame("inv", b"\0\0"), points=20),
        Case("inv truncated", frame("inv", b"\x01" + bytes(35)), points=20),
        Case("inv count not minimal", frame("inv", b"\xfd\x01\x00" + bytes(36)), points=20),
        Case("inv count larger than the payload", frame("inv", b"\x05" + bytes(36)), points=20),
        Case("inv of 50,001, count only", frame("inv", b"\xfd\x51\xc3"), "list-too-long"),
        Case("inv of 50,001, whole", bad_header(b"inv", 3 + 50_001 * 36), "frame-oversized"),
        Case("getdata of 50,001", frame("getdata", b"\xfd\x51\xc3"), "list-too-long"),
        Case("headers of 2,001", frame("headers", b"\xfd\xd1\x07"), "list-too-long"),
        Case("locator of 102", bad_header(b"getheaders", len(locator(102))), "frame-oversized"),
        Case("locator of 102, count only", frame("getblocks", struct.pack("<I", 1) + b"\x66"), "list-too-long"),
        Case("addr of 1,001", frame("addr", b"\xfd\xe9\x03"), "list-too-long"),
        Case("headers with a transaction count", frame("headers", b"\x01" + headers[0] + b"\x01"), points=20),
        # -- what the chain refuses
        Case("headers with a gap", frame("headers", listed(headers[0], headers[2])), "headers-gap"),
        Case("headers with bad work", frame("headers", listed(headers[0], bytes(broken_work))), "high-hash"),
        Case("block with bad work", frame("block", bytes(broken_work)), "high-hash"),
        Case("block nobody asked for", frame("block", good_block), points=20),
        Case("block too short for a header", frame("block", bytes(79)), points=20),
        Case("block of bytes without meaning", frame("block", bytes(80) + b"\xff" * 80), "high-hash"),
        Case("nine unasked headers", frame("headers", listed(*([headers[0]] * 9))), points=20),
        Case("headers on nothing known", frame("headers", listed(headers[2])), points=10),
        Case("tx", frame("tx", b"anything")),
        Case("pong nobody awaits", frame("pong", bytes(8))),
        Case("kinds without meaning", frame("inv", b"\x01" + b"\xff" * 36)),
        Case("notfound of nothing asked", frame("notfound", b"\x01" + struct.pack("<I", 2) + bytes(32))),
    ]
