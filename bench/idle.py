"""(d) Memory of an idle link: a node with 1,000 of them, handshake done, against bare uvloop connections."""

from __future__ import annotations

import json
import subprocess
import sys

from .report import Row, Table


def _measure(kind: str, count: int) -> float:
    """Bytes of resident memory for each link, read in the process that holds them."""
    command = [sys.executable, "-m", "bench.idle_peer", kind, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return float(json.loads(done.stdout)["bytes_per_link"])


def run(*, quick: bool) -> Table:
    """Bare connections are the baseline; what the system keeps for a socket is in neither."""
    count = 200 if quick else 1_000
    bare, plain, veiled = (_measure(kind, count) for kind in ("bare", "plain", "pad"))
    rows = (
        Row(f"{count} bare uvloop connections", bare / 1_024, "KiB a link", 1.0),
        Row(f"{count} idle links of a node, in clear", plain / 1_024, "KiB a link", plain / bare, "≤ 64 KiB"),
        Row(f"{count} idle links of a node, veiled", veiled / 1_024, "KiB a link", veiled / bare, "≤ 64 KiB"),
    )
    return Table("idle", "(d) Memory of an idle link (ratio: against a bare connection)", rows)
