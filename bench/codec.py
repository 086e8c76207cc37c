"""(a) The codec alone: making and reading frames, against the double SHA-256 that their checksum needs anyway."""

from __future__ import annotations

import hashlib

from obscura.base.instant import Instant, WallTime
from obscura.base.names import BlockHash
from obscura.base.randomness import Chance
from obscura.channel import Channel, Role
from obscura.wire.blocks import Block, Inv, Tx
from obscura.wire.features import NO_FEATURES
from obscura.wire.greeting import Version
from obscura.wire.inventory import KIND_BLOCK, InventoryItem
from obscura.wire.registry import Message, encode_message

from .measure import interleaved
from .report import Row, Table

NOW = Instant(0)
READ_BYTES = 262_144  # as the driver reads

CASES: tuple[tuple[str, Message, int], ...] = (
    ("inv, 1 vector, 57 B", Inv((InventoryItem(KIND_BLOCK, bytes(range(32))),)), 2_000),
    ("tx, 300 B", Tx(bytes(280)), 2_000),
    ("block, 1 MB", Block(bytes(1_000_000)), 8),
)


def version(nonce: int) -> Version:
    """What a side of a benchmark says of itself."""
    return Version(1, WallTime(0), NO_FEATURES, "/Obscura:bench/", BlockHash(bytes(32)), 0, nonce)


def open_pair() -> tuple[Channel, Channel]:
    """Two channels whose handshake is done."""
    chance = Chance.from_seed(1)
    near = Channel(Role.INITIATOR, version(1), lambda _: False, chance.fork("near"), NOW)
    far = Channel(Role.RESPONDER, version(2), lambda _: False, chance.fork("far"), NOW)
    for _ in range(3):
        for one, other in ((near, far), (far, near)):
            other.receive_data(one.take_data(NOW), NOW)
            while other.next_event(NOW) is not None:
                pass
    return near, far


def read_all(channel: Channel, stream: bytes, count: int) -> None:
    """Feed a stream in the pieces in which a driver reads it, and pull every event."""
    got = 0
    for start in range(0, len(stream), READ_BYTES):
        channel.receive_data(stream[start : start + READ_BYTES], NOW)
        while channel.next_event(NOW) is not None:
            got += 1
    assert got == count, "every message is read"


def _hash_all(payloads: list[bytes]) -> None:
    """Each payload lies in memory of its own, as those of a stream do."""
    sha256 = hashlib.sha256
    for payload in payloads:
        sha256(sha256(payload).digest()).digest()


def _write_all(message: Message, count: int) -> None:
    for _ in range(count):
        encode_message(message)


def run(*, quick: bool) -> Table:
    """Read and write each case."""
    rows: list[Row] = []
    for name, message, count in CASES:
        payload = message.to_payload()
        payloads = [bytes(bytearray(payload)) for _ in range(count)]
        stream = encode_message(message) * count
        channel = open_pair()[1]
        times = interleaved(
            {
                "hash": (lambda payloads=payloads: _hash_all(payloads), count),
                "read": (lambda channel=channel, s=stream, count=count: read_all(channel, s, count), count),
                "write": (lambda message=message, count=count: _write_all(message, count), count),
            },
            15 if quick else 101,
        )
        read, write = times["read"].ratio(times["hash"]), times["write"].ratio(times["hash"])
        rows += [
            Row(f"{name}: double SHA-256", times["hash"].median * 1e6, "µs", None),
            Row(f"{name}: read, less the checksum", (read - 1) * times["hash"].median * 1e6, "µs", read - 1, "≤ 1"),
            Row(f"{name}: write, less the checksum", (write - 1) * times["hash"].median * 1e6, "µs", write - 1),
        ]
    return Table("codec", "(a) Codec: cost beside the checksum's double SHA-256 (ratio 1 = as much again)", tuple(rows))
