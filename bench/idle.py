"""(d) Idle links: what memory and processor time a node needs for 1,000 of them, against bare uvloop connections.

Time is measured over one whole interval of pings, so that each link pings once, and is pinged; of profiles that send
without being asked over a minute.
"""

from __future__ import annotations

import json
import subprocess
import sys

from obscura.base.instant import MICROSECONDS
from obscura.base.limits import PING_INTERVAL

from .report import Row, Table


def _measure(kind: str, count: int, seconds: float = 0) -> tuple[float, float]:
    """Bytes of resident memory for each link, and the share of a core for all of them, read in the process that holds
    them."""
    command = [sys.executable, "-m", "bench.idle_peer", kind, str(count), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = json.loads(done.stdout)
    return float(found["bytes_per_link"]), float(found["share"])


def run(*, quick: bool) -> Table:
    """Bare connections are the baseline, and as many padded links of the time of other profiles. What the system keeps
    for a socket is in neither."""
    count = 200 if quick else 1_000
    (bare, _), (plain, _) = _measure("bare", count), _measure("plain", count)
    veiled, share = _measure("pad", count, 5 if quick else PING_INTERVAL / MICROSECONDS)
    few, most = (20, 5.0) if quick else (100, 60.0)
    shares = {profile: _measure(profile, few, most)[1] for profile in ("cover", "steady")}
    padded = share * few / count
    rows = (
        Row(f"{count} bare uvloop connections", bare / 1_024, "KiB a link", 1.0),
        Row(f"{count} idle links of a node, in clear", plain / 1_024, "KiB a link", plain / bare, "≤ 64 KiB"),
        Row(f"{count} idle links of a node, veiled", veiled / 1_024, "KiB a link", veiled / bare, "≤ 64 KiB"),
        Row(f"{count} idle links of a node, veiled: processor time", 100 * share, "% of a core", None, "≤ 5 %"),
        *(
            Row(f"{few} idle links, {profile}: processor time", 100 * one, "% of a core", one / padded)
            for profile, one in shares.items()
        ),
    )
    return Table("idle", "(d) Memory and time of idle links (ratio: against a bare connection)", rows)
