"""(j) An honest peer's ping while twenty links flood, and the chain that a node syncs meanwhile.

Real processes: the victim; a pinger with a veiled link to it; a source of blocks, from which the victim syncs while it
is flooded; and one with all the flooders, which has a core when nobody else wants it, as they would not share the
victim's machine. The machine has two cores for all of them. The idle ping is measured at each victim before its flood,
and pooled. ``away`` is the same for a peer in another town: 20 ms are added to both.
"""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obscura.base.limits import (
    BLOCK_BYTES,
    GARBAGE_BYTES,
    KNOWN_IDS_GENERATION,
    LOBBY_LINKS,
    ORPHAN_BYTES_PER_PEER,
    READ_BYTES,
    SEND_BUFFER_BYTES,
    SERVE_BATCH_BYTES,
    TRACKED_PER_PEER,
    VALIDATION_LINK_BYTES,
)

from .pings_flood import KINDS
from .pings_veil import BASE, BODY_BYTES
from .report import Row, Table

LINKS = 20
AWAY_S = 0.02
BLOCKS = 4_000
ROUNDS = 3
"""Of all floods, whose pings are pooled: of one round's pings four are the slowest hundredth, which one busy moment of
the machine decides."""
WAIT_S = 60
"""For the chain, behind the pings."""
LINK_BYTES = (
    READ_BYTES
    + BLOCK_BYTES
    + SEND_BUFFER_BYTES
    + 2 * SERVE_BATCH_BYTES
    + 4 * 8 * 2 * KNOWN_IDS_GENERATION
    + ORPHAN_BYTES_PER_PEER
    + VALIDATION_LINK_BYTES
    + 440 * TRACKED_PER_PEER
)
"""What a link can make a node hold (docs/limits.md, "Memory in all")."""
STRANGERS_BYTES = LOBBY_LINKS * (2 * GARBAGE_BYTES + 1_120 + 60_000)
"""Handshakes: both garbages, the ciphertext, objects."""
ALLOWANCE_BYTES = 24_000_000
"""For the interpreter and the allocator, as in tests/rig/memory_stage.py."""


def memory_bound(links: int, blocks: int) -> int:
    """What a victim may hold above what it had at rest: for its links, for strangers, and the chain that it syncs (in
    memory here: bodies, headers, the ledger's own objects)."""
    return links * LINK_BYTES + STRANGERS_BYTES + blocks * (BODY_BYTES + 3_000) + ALLOWANCE_BYTES


class Process:
    """A process of the benchmark: lines in, lines of JSON out. Use it in a ``with``."""

    def __init__(self, module: str, *arguments: object) -> None:
        command = [sys.executable, "-m", f"bench.{module}", *map(str, arguments)]
        place = Path(__file__).resolve().parents[1]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=place)

    def hear(self) -> dict[str, Any]:
        """Its next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} has ended")
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, line: str) -> dict[str, Any]:
        """Its answer to a line."""
        self.tell(line)
        return self.hear()

    def newest(self) -> dict[str, Any]:
        """The last of the lines that it has written by now, and the next one."""
        found = self.hear()
        while select.select([self._process.stdout], [], [], 0)[0]:
            found = self.hear()
        return found

    def tell(self, line: str) -> None:
        """Give it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What one flood did. Times in seconds, sorted."""

    idle: list[float]
    """Round trips before."""
    flooded: list[float]
    """And meanwhile."""
    sync_s: float
    """From the open link to the last block; 0 if the chain was not there WAIT_S after the measurement."""
    memory: int
    """At most, above what the victim had before."""
    cpu: float
    """Cores that the victim used."""
    state: dict[str, Any]
    """What the victim says of itself at the end."""
    sent: int
    """Bytes that the flooders have sent."""
    opened: int
    """Links that they have opened, or handshakes that were answered."""

    @property
    def speed(self) -> float:
        """Blocks synced in a second."""
        return BLOCKS / self.sync_s if self.sync_s else 0.0


def story(kind: str | None, seconds: float, blocks: int = BLOCKS, links: int = LINKS) -> Story:
    """One flood, or none.

    Raises:
        RuntimeError: a process has ended before its time; the pinger does when its link is closed.
    """
    with (
        Process("pings_peer", "source", blocks) as source,
        Process("pings_peer", "victim") as victim,
        contextlib.ExitStack() as stack,
    ):
        far, port = source.hear()["port"], victim.hear()["port"]
        pinger = stack.enter_context(Process("pings_peer", "pinger", port))
        pinger.hear()
        time.sleep(0.5)
        idle = pinger.ask(f"measure {seconds / 2}")["times"]
        before = victim.ask("state")
        said = {"sent": 0, "opened": 0}
        flood = None
        if kind is not None:
            flood = stack.enter_context(Process("pings_flood", kind, "127.0.0.1", port, links))
            while not said["opened"]:
                said = flood.hear()
        pinger.tell(f"measure {seconds}")
        victim.ask(f"dial {far} {BASE + blocks}")
        flooded = pinger.hear()["times"]
        state = victim.ask("state")
        cpu = state["cpu"] - before["cpu"]
        deadline = time.monotonic() + WAIT_S
        while not state["sync_s"] and time.monotonic() < deadline:
            time.sleep(0.1)
            state = victim.ask("state")
        pinger.ask("measure 0.1")
        if flood is not None:
            said = flood.newest()
        memory = state["peak"] - before["memory"]
        return Story(
            idle=sorted(idle),
            flooded=sorted(flooded),
            sync_s=state["sync_s"],
            memory=memory,
            cpu=cpu / seconds,
            state=state,
            sent=said["sent"],
            opened=said["opened"],
        )


def _together(stories: list[Story]) -> Story:
    """Several of one kind: all pings; of what is one number the worst, of the victim's own words the last."""
    return Story(
        idle=sorted(trip for one in stories for trip in one.idle),
        flooded=sorted(trip for one in stories for trip in one.flooded),
        sync_s=max(one.sync_s for one in stories) if all(one.sync_s for one in stories) else 0.0,
        memory=max(one.memory for one in stories),
        cpu=max(one.cpu for one in stories),
        state=stories[-1].state,
        sent=min(one.sent for one in stories),
        opened=min(one.opened for one in stories),
    )


def at(times: list[float], share: int) -> float:
    """The time that ``share`` of a hundred keep."""
    return times[len(times) * share // 100]


def run(*, quick: bool) -> Table:
    """Measure."""
    seconds = 2.0 if quick else 8.0
    kinds: list[str | None] = [None, *(list(KINDS)[:2] if quick else KINDS)]
    told: dict[str | None, list[Story]] = {kind: [] for kind in kinds}
    for _ in range(1 if quick else ROUNDS):
        for kind in kinds:
            told[kind].append(story(kind, seconds))
    stories = {kind: _together(found) for kind, found in told.items()}
    idle = sorted(one for found in stories.values() for one in found.idle)
    base, bound = at(idle, 99), memory_bound(LINKS, BLOCKS)
    rows = [
        Row("idle link (baseline): 50 of 100 pings within", at(idle, 50) * 1e3, "ms", None),
        Row("idle link (baseline): 99 of 100 pings within", base * 1e3, "ms", 1.0),
    ]
    for kind, found in stories.items():
        name = "no flood, syncing" if kind is None else kind
        worst = at(found.flooded, 99)
        away = (worst + AWAY_S) / (base + AWAY_S)
        rows += [
            Row(f"{name}: 99 of 100 pings within", worst * 1e3, "ms", worst / base, "≤ 3"),
            Row(f"{name}: the same, 20 ms away", (worst + AWAY_S) * 1e3, "ms", away, "≤ 3"),
            Row(f"{name}: blocks synced", found.speed, "blocks/s", found.speed / stories[None].speed),
            Row(f"{name}: memory above the victim at rest", found.memory / 1e6, "MB", found.memory / bound, "≤ 1"),
            Row(f"{name}: bytes that it has read", found.state["bytes_in"] / 1e6, "MB", None),
            Row(f"{name}: its processor time", found.cpu, "cores", None),
        ]
    title = f"(j) An honest peer's ping while {LINKS} links flood (ratios: idle, no flood, bound)"
    return Table("pings", title, tuple(rows))
