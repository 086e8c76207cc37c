"""The long form of the simulated worlds: many seeds, on all cores; exit code 1 if any of them fails.

    python scripts/chaos.py --json chaos.json

runs 24 hours of trouble with 100 nodes for 3 seeds, and 1 hour with 20 to 40 nodes for 50 seeds. ``--short`` is the
form for CI: half an hour, 12 seeds, 8 to 20 nodes. A failing seed is printed with the command that runs it again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from obscura.base.instant import seconds
from obscura.base.randomness import Chance
from obscura.sim.trial import Trial, TrialOptions, Verdict


@dataclass(frozen=True, slots=True)
class Job:
    """One seed of one size."""

    seed: int
    nodes: int
    hours: float

    @property
    def command(self) -> str:
        """What runs it again."""
        return f"obscura sim run --nodes {self.nodes} --seed {self.seed} --hours {self.hours:g}"


def plan(*, short: bool, first: int) -> list[Job]:
    """All jobs, the longest first.

    Args:
        short: the form for CI.
        first: seeds are counted from here.
    """
    if short:
        return [Job(seed, _nodes(seed, 8, 20), 0.5) for seed in range(first, first + 12)]
    days = [Job(seed, 100, 24.0) for seed in range(first, first + 3)]
    return days + [Job(seed, _nodes(seed, 20, 40), 1.0) for seed in range(first, first + 50)]


def _nodes(seed: int, least: int, most: int) -> int:
    return least + Chance.from_seed(seed).fork("chaos").below(most - least + 1)


def run(job: Job) -> dict[str, Any]:
    """Run one job; the report and what it took."""
    started = time.monotonic()
    report = Trial(TrialOptions(seed=job.seed, hosts=job.nodes, span=seconds(job.hours * 3_600))).finish()
    return asdict(report) | {"wall_s": round(time.monotonic() - started, 1), "command": job.command}


_COLUMNS = "{:>5} {:>5} {:>5} {:>7} {:>6} {:>6} {:>7} {:>7} {:>7} {:>9} {:>7}  {}"
_HEADS = ("seed", "nodes", "hours", "verdict", "height", "reorgs", "deepest", "crashes", "settled", "events", "wall s")


def row(result: dict[str, Any]) -> str:
    """A line of the table."""
    numbers = (
        result["seed"],
        result["hosts"],
        f"{result['hours']:g}",
        result["verdict"],
        result["height"],
        result["reorganisations"],
        result["deepest_reorganisation"],
        result["toll"]["crashes"],
        f"{result['settled_s']:.0f}",
        result["events"],
        result["wall_s"],
    )
    return _COLUMNS.format(*numbers, result["journal"][:16])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the plan; 1 if a seed failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="the form for CI: under a minute on two cores")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (all cores)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all reports to this file")
    given = parser.parse_args(arguments)
    if given.jobs < 1 or given.seed < 0:
        parser.error("at least one process, and seeds from 0")
    started = time.monotonic()
    results: list[dict[str, Any]] = []
    broken: list[str] = []
    print(_COLUMNS.format(*_HEADS, "journal"), flush=True)
    with ProcessPoolExecutor(given.jobs) as pool:
        futures = {pool.submit(run, job): job for job in plan(short=given.short, first=given.seed)}
        for future in as_completed(futures):
            job = futures[future]
            try:
                result = future.result()
            except Exception as error:  # noqa: BLE001 a worker that dies is a failure like any other
                broken.append(f"{job.command}\n    {type(error).__name__}: {error}")
                continue
            results.append(result)
            print(row(result), flush=True)
            if result["verdict"] != Verdict.HELD.value:
                broken.append(f"{job.command}\n    {result['verdict']}: {result['why']}")
    total_s = round(time.monotonic() - started, 1)
    if given.json is not None:
        results.sort(key=lambda result: (-result["hours"], result["seed"]))
        given.json.write_text(json.dumps({"wall_s": total_s, "failed": len(broken), "runs": results}, indent=1) + "\n")
    hours = sum(result["hours"] * result["hosts"] for result in results)
    print(f"{len(results)} runs, {hours:.0f} node hours, {total_s} s; {len(broken)} failed")
    for text in broken:
        print(f"FAILED: {text}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
