"""Replay mutated forms of recorded sessions at a node, and watch the honest links beside them.

    python scripts/mutations.py --count 1000 --seed 1

Exit code 1 if a node crashed, hung, logged a defect or passed its memory bound, or if an honest link suffered.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / "tests" / "rig")]

from mutations import run  # noqa: E402


def main() -> int:
    """See the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--veiled", action="store_true", help="inside veiled links; one more kind of mutation")
    options = parser.parse_args()
    begun = time.monotonic()
    report = run(
        options.count,
        options.seed,
        lambda done: print(f"{done} of {options.count}", file=sys.stderr),
        veiled=options.veiled,
    )
    print("| mutation | sessions |\n|---|---|")
    for kind, count in sorted(report.kinds.items()):
        print(f"| {kind} | {count} |")
    print("\n| links ended by | links |\n|---|---|")
    for rule, count in report.rules.most_common():
        print(f"| {rule} | {count} |")
    print(
        f"\nseed {options.seed}, {report.nodes} node processes, {time.monotonic() - begun:.0f} s; "
        f"peak memory {report.peak / 1e6:.0f} MB above the start, bound {report.bound / 1e6:.0f} MB; "
        f"honest links: {report.pings} pings answered, {report.pings_lost} lost, slowest {report.slowest_s:.2f} s; "
        f"{report.blocks} blocks reached both"
    )
    return 0 if report.peak <= report.bound and not report.pings_lost else 1


if __name__ == "__main__":
    sys.exit(main())
