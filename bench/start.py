"""(e) From the start of a process to its listening socket."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

from .report import Row, Table


def _bare() -> float:
    """An interpreter that listens and ends."""
    code = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()"
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def _node() -> float:
    """``obscura node`` on a new datadir, until it says that it listens."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "obscura.cli.main", "node", "--network", "regtest", "--datadir", directory]
        start = time.perf_counter()
        with subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if "listening on" in line:
                    break
            seconds = time.perf_counter() - start
            process.terminate()
            process.communicate()
    return seconds


def run(*, quick: bool) -> Table:
    """An interpreter that only listens is the baseline."""
    rounds = 2 if quick else 9
    pairs = [(_bare(), _node()) for _ in range(rounds)]
    bare, node = (statistics.median(one[which] for one in pairs) for which in (0, 1))
    ratio = statistics.median(mine / other for other, mine in pairs)
    rows = (
        Row("a bare interpreter that listens", bare * 1_000, "ms", 1.0),
        Row("obscura node, new datadir, kernel opened", node * 1_000, "ms", ratio),
    )
    return Table("start", "(e) Process start to listening (ratio: time against a bare interpreter)", rows)
