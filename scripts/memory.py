"""Drive every memory bound of a node to its maximum by hostile clients, and print what it took.

    python scripts/memory.py            # the long form, some minutes
    python scripts/memory.py --short
    python scripts/memory.py --only churn

Each scenario runs a node in a process of its own on loopback. Exit code 1 if a bound was passed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / "tests" / "rig")]

from memory_scenarios import SCENARIOS  # noqa: E402
from memory_stage import MB  # noqa: E402


def main() -> int:
    """See the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="fewer links")
    parser.add_argument("--only", choices=[scenario.__name__ for scenario in SCENARIOS])
    options = parser.parse_args()
    passed = True
    print("| scenario | bound, MB | peak, MB | pongs | slowest, s | |\n|---|---|---|---|---|---|", flush=True)
    for scenario in SCENARIOS:
        if options.only not in (None, scenario.__name__):
            continue
        begun = time.monotonic()
        result = scenario(full=not options.short)
        within = result.peak <= result.bound
        passed &= within
        print(
            f"| {result.name} | {result.bound / MB:.0f} | {result.peak / MB:.0f}{'' if within else ' OVER'} "
            f"| {result.pings} | {result.slowest_s:.2f} | {result.detail} |",
            flush=True,
        )
        print(f"{scenario.__name__}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
