"""The long form of the kill tests: real ``obscura`` processes, ended by SIGKILL at random moments and system calls.

    python scripts/crash.py --kills 200

It goes on until so many kills have hit a running process, in turns over all scenarios (tests/rig/crash_scenarios.py
says what must hold after each), prints a line for each trial and a table, and exits with 1 if anything did not hold.
A trial is repeated by ``--seed``; what a failed one leaves stays in its directory. It needs strace.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests" / "rig")]

from crash_scenarios import SCENARIOS, Outcome, Stage, run_trial, staged  # noqa: E402


class Campaign:
    """Counts what lands and what fails."""

    def __init__(self, stage: Stage, directory: Path, seed: int, kills: int) -> None:
        self._stage = stage
        self._directory = directory
        self._seed = seed
        self._kills = kills
        self._lock = threading.Lock()
        self._landed = 0
        self.outcomes: list[tuple[Outcome, bool]] = []
        self.failures: list[str] = []

    @property
    def done(self) -> bool:
        """Whether enough kills have landed."""
        return self._landed >= self._kills

    def one(self, number: int, name: str) -> None:
        """One trial; every second one is bound to a system call."""
        if self.done:
            return
        at_call = number // len(SCENARIOS) % 2 == 1
        seed = f"{self._seed}.{number}"
        place = self._directory / f"{name}-{number}"
        try:
            outcome = run_trial(self._stage, name, seed, place, at_call=at_call)
        except Exception as error:  # noqa: BLE001 whatever it is, it is what this looks for
            with self._lock:
                self.failures.append(f"{name}, trial {number}, in {place}: {error!r}")
                print(f"FAILED {self.failures[-1]}", flush=True)
            return
        with self._lock:
            self._landed += outcome.landed
            self.outcomes.append((outcome, at_call))
            text = f"{self._landed:4} {name:15} {outcome.kill:32} landed {outcome.landed}, then height {outcome.height}"
            print(f"{text}, {outcome.seconds:.1f} s", flush=True)

    def table(self) -> str:
        """Kills by scenario and kind."""
        lines = ["| scenario | trials | kills at a moment | kills at a system call |", "|---|---|---|---|"]
        for name in (*SCENARIOS, "all"):
            rows = [(one, at_call) for one, at_call in self.outcomes if name in (one.scenario, "all")]
            timed, bound = (sum(one.landed for one, kind in rows if kind is wanted) for wanted in (False, True))
            lines.append(f"| {name} | {len(rows)} | {timed} | {bound} |")
        return "\n".join(lines)


def main() -> int:
    """Run a campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=list(SCENARIOS), action="append")
    parser.add_argument("--dir", type=Path)
    options = parser.parse_args()
    directory = options.dir or Path(tempfile.mkdtemp(prefix="obscura-crash-"))
    began = time.monotonic()
    print(f"seed {options.seed}, in {directory}", flush=True)
    with staged(directory / "stage") as stage, ThreadPoolExecutor(options.workers) as workers:
        campaign = Campaign(stage, directory, options.seed, options.kills)
        names = options.only or list(SCENARIOS)
        numbers = itertools.count()

        def work() -> None:
            # A trial that cannot land at all must not keep the campaign going for ever.
            while not campaign.done and (number := next(numbers)) < 10 * options.kills:
                campaign.one(number, names[number % len(names)])

        for worker in [workers.submit(work) for _ in range(options.workers)]:
            worker.result()
    print(campaign.table())
    print(f"{len(campaign.failures)} failures, {time.monotonic() - began:.0f} s, seed {options.seed}")
    for failure in campaign.failures:
        print(failure)
    if not campaign.failures and options.dir is None:
        shutil.rmtree(directory)
    return 1 if campaign.failures else 0


if __name__ == "__main__":
    sys.exit(main())
