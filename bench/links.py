"""(c) Messages a second: the codec alone, a pair of channels in memory, and two processes over loopback."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

from obscura.wire.blocks import Tx
from obscura.wire.registry import encode_message

from .codec import NOW, open_pair, read_all
from .report import Row, Table

BATCH = 200  # messages that are written at once: about 60 KB
PAYLOAD = 280  # with its header a frame of 300 bytes


def _codec(count: int) -> float:
    """Reading alone, from memory; messages a second."""
    channel = open_pair()[1]
    stream = encode_message(Tx(bytes(PAYLOAD))) * count
    start = time.perf_counter()
    read_all(channel, stream, count)
    return count / (time.perf_counter() - start)


def _pair(count: int) -> float:
    """Writing and reading in turn, on one core."""
    near, far = open_pair()
    message = Tx(bytes(PAYLOAD))
    got = 0
    start = time.perf_counter()
    for _ in range(count // BATCH):
        for _ in range(BATCH):
            near.send(message)
        far.receive_data(near.take_data(NOW), NOW)
        while far.next_event(NOW) is not None:
            got += 1
    seconds = time.perf_counter() - start
    assert got == count // BATCH * BATCH, "every message is read"
    return got / seconds


def between_processes(kind: str, count: int, size: int, batch: int, *, kept: bool = False) -> float:
    """Messages a second from a process that writes to one that reads: stream, channel, messages counted; no node, so no
    rate limit.

    Args:
        kind: see ``secured.KINDS``.
        count: how many messages.
        size: bytes of each payload.
        batch: how many are written at once.
        kept: their frame is made once.
    """
    command = [sys.executable, "-m", "bench.link_peer"]
    with subprocess.Popen(
        [*command, "read", kind, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        port = json.loads(reader.stdout.readline())["port"]
        subprocess.run(
            [*command, "write", kind, *map(str, (count, port, size, batch, int(kept)))], check=True, timeout=300
        )
        seconds = float(json.loads(reader.stdout.readline())["seconds"])
    return count / seconds


def run(*, quick: bool) -> Table:
    """Reading alone is the baseline."""
    count = 20_000 if quick else 400_000
    rounds = [
        (_codec(count), _pair(count), between_processes("plain", count, PAYLOAD, BATCH))
        for _ in range(1 if quick else 7)
    ]
    rows = [
        Row(
            what,
            statistics.median(one[index] for one in rounds),
            "msg/s",
            statistics.median(one[index] / one[0] for one in rounds),
            aim,
        )
        for index, (what, aim) in enumerate(
            (("codec alone, reading 300 B", ""), ("a pair of channels, one core", ""), ("two processes", "≥ 0.50"))
        )
    ]
    return Table("links", "(c) 300 B messages (ratio: speed against the codec alone)", tuple(rows))
