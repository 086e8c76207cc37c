"""(b) Sync over loopback between two processes, against the kernel alone and against the same bytes through sockets."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from obscura.ledgers.kernel.binding import Kernel
from obscura.ledgers.kernel.header import block_hash
from obscura.ledgers.kernel.ledger import KernelLedger
from obscura.ledgers.kernel.networks import REGTEST

from .chains import make_chain
from .report import Row, Table

BATCH = 256  # blocks that are judged and stored at once, as the node does


def _kernel_alone(blocks: list[bytes]) -> float:
    """The kernel's calls for headers and blocks, nothing else."""
    with tempfile.TemporaryDirectory() as directory:
        kernel = Kernel(REGTEST.chain_type, Path(directory) / "kernel")
        start = time.perf_counter()
        for block in blocks:
            assert kernel.submit_header(block_hash(block[:80]), block[:80]) is None
        for block in blocks:
            assert kernel.submit_block(block_hash(block[:80]), block).refused is None
        seconds = time.perf_counter() - start
        kernel.close()
    return seconds


def _ledger_alone(blocks: list[bytes]) -> float:
    """The same through the ledger: with our store, and an fsync for each batch."""
    with tempfile.TemporaryDirectory() as directory:
        ledger = KernelLedger(REGTEST, Path(directory))
        ledger.restore()
        start = time.perf_counter()
        ledger.accept_headers([block[:80] for block in blocks])
        for at in range(0, len(blocks), BATCH):
            ledger.accept_blocks(blocks[at : at + BATCH])
        seconds = time.perf_counter() - start
        ledger.close()
    return seconds


def _sockets_alone(total: int) -> float:
    """``total`` bytes through a pair of sockets between two processes, uvloop on both sides."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.pipe_peer", str(total)], stdout=subprocess.PIPE, text=True
    ) as sender:
        assert sender.stdout is not None
        port = int(sender.stdout.readline())

        async def read() -> float:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
            start = time.perf_counter()
            while await reader.read(1 << 18):
                pass
            seconds = time.perf_counter() - start
            writer.close()
            await writer.wait_closed()
            return seconds

        return uvloop.run(read())


@contextmanager
def _server(datadir: Path) -> Iterator[int]:
    command = [sys.executable, "-m", "bench.sync_peer", "serve", str(datadir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        yield json.loads(process.stdout.readline())["port"]
        process.stdin.close()
        process.wait(30)


def _sync(port: int, height: int) -> float:
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "bench.sync_peer", "fetch", directory, str(port), str(height)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return float(json.loads(done.stdout)["seconds"])


def run(*, quick: bool) -> Table:
    """Both sizes."""
    rows: list[Row] = []
    rounds = 1 if quick else 5
    for name, whole, size in (("small", 5_000, 0), ("1 MB", 200, 1_000_000)):
        count = whole // 10 if quick else whole
        blocks = make_chain(count, size)
        total = sum(map(len, blocks))
        seconds: dict[str, list[float]] = {"kernel": [], "ledger": [], "sync": [], "sockets": []}
        with tempfile.TemporaryDirectory() as directory:
            full = KernelLedger(REGTEST, Path(directory))
            full.restore()
            for at in range(0, count, BATCH):
                full.accept_blocks(blocks[at : at + BATCH])
            full.close()
            with _server(Path(directory)) as port:
                for _ in range(rounds):
                    seconds["kernel"].append(_kernel_alone(blocks))
                    seconds["sync"].append(_sync(port, count))
                    seconds["ledger"].append(_ledger_alone(blocks))
                    seconds["sockets"].append(_sockets_alone(total))

        def speed(what: str, taken: dict[str, list[float]] = seconds) -> float:
            return statistics.median(base / mine for base, mine in zip(taken["kernel"], taken[what], strict=True))

        for what, text, aim in (
            ("kernel", "kernel alone (baseline)", ""),
            ("ledger", "kernel and store, no network", ""),
            ("sync", "sync between two processes", "≥ 0.80"),
            ("sockets", "bytes through bare sockets", ""),
        ):
            rate = count / statistics.median(seconds[what])
            rows.append(Row(f"{count} {name} blocks: {text}", rate, "blocks/s", speed(what), aim))
    return Table("sync", "(b) Sync (ratio: speed against the kernel alone)", tuple(rows))
