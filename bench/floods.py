"""(i) An honest transaction's way through a node that twenty links flood as fast as it reads.

Three processes: the victim; a source and a sink, between which it stands; the flooders. All are on this machine, so the
flooders take processor time from the others too. Links are in clear, the chain is in memory. Each flood is measured
with announcements as late as usual, and again with a mean of 20 ms, where what is left is the node's own delay.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from .report import Row, Table

LINKS = 20
KINDS = ("conflicts", "low fee", "orphans", "giants", "announcements")


def _start(mean: float, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.floods_peer", str(mean), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def _story(kind: str | None, count: int, mean: float) -> tuple[list[float], dict[str, Any]]:
    honest = _start(mean, "honest", count)
    victim = _start(mean, "victim", _line(honest)["port"])
    port = _line(victim)["port"]
    flood = None if kind is None else _start(mean, "flood", kind, port, LINKS)
    assert honest.stdin is not None
    try:
        time.sleep(2)
        honest.stdin.write(f"{port}\n")
        honest.stdin.flush()
        delays = _line(honest)["delays"]
        if len(delays) < count:
            raise RuntimeError(f"{kind}: {len(delays)} of {count} came through")
        assert victim.stdin is not None
        victim.stdin.close()
        return delays, _line(victim)
    finally:
        for process in (flood, victim, honest):
            if process is not None:
                process.kill()
                process.wait()


def run(*, quick: bool) -> Table:
    """Measure."""
    count = 20 if quick else 100
    rows: list[Row] = []
    for mean, name, aim in ((0.02, "announced after 20 ms", ""), (0.0, "announced as usual", "≤ 3"))[
        : 1 if quick else 2
    ]:
        calm, state = _story(None, count, mean)
        base = calm[len(calm) * 99 // 100]
        rows.append(Row(f"no flood (baseline), {name}: 99 of 100 within", base * 1e3, "ms", 1.0))
        rows.append(Row("no flood: memory of the victim", state["memory"] / 1e6, "MB", None))
        for kind in KINDS[:2] if quick else KINDS:
            delays, state = _story(kind, count, mean)
            worst = delays[len(delays) * 99 // 100]
            rows.append(Row(f"{kind}, {name}: 99 of 100 within", worst * 1e3, "ms", worst / base, aim))
            rows.append(Row(f"{kind}: memory of the victim", state["memory"] / 1e6, "MB", None))
            rows.append(Row(f"{kind}: bytes that it has read", state["bytes_in"] / 1e6, "MB", None))
    title = f"(i) An honest transaction while {LINKS} links flood (ratio: to its delay without a flood)"
    return Table("floods", title, tuple(rows))
