"""Fuzz Obscura: every target of tests/fuzz, for a while, with coverage to guide it (docs/reliability.md).

    scripts/fuzz.py --seconds 600                 the long form: all targets, ten minutes each
    scripts/fuzz.py --target channel --seconds 60
    scripts/fuzz.py --seconds 600 --keep          what reached something new goes into the kept inputs, minimised

Needs the extra ``fuzz`` (atheris). A line for each target: executions, executions a second, coverage and features as
libFuzzer counts them, inputs found, faults. Ends with 1 if any target crashed, hung or grew too large; the input is
saved, and the command that replays it is shown.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("src", "tests/rig", "tests/fuzz")]

import rig  # noqa: E402

RSS_LIMIT_MB = 1_024
"""Many times what a target needs (50 to 150 MB): an input that makes the product hold this much has found a defect."""
TIMEOUT_S = 20
"""For one input. The slowest honest ones take a tenth of a second."""
KEPT_BYTES = 80_000
"""For one target: all of them keep within a megabyte."""
GRACE_S = 120
"""For starting, and for the last input."""
_STATUS = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)")
_DONE = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_PEAK = re.compile(r"stat::peak_rss_mb:\s+(\d+)")


@dataclass
class Result:
    """What became of one target. ``faults`` are inputs that broke it."""

    name: str
    executions: int
    seconds: float
    coverage: int
    features: int
    peak_mb: int
    found: list[bytes]
    faults: list[Path]
    tail: str

    def line(self) -> str:
        """One row of the table."""
        rate = self.executions / max(self.seconds, 0.001)
        return (
            f"{self.name:<11}{self.executions:>12,}{rate:>10,.0f}/s{self.coverage:>9}{self.features:>9}"
            f"{len(self.found):>8}{self.peak_mb:>7} MB{len(self.faults):>7}"
        )


def fuzz(name: str, seconds: int, saved: Path, seed: int) -> Result:
    """Run one target in a process of its own."""
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    try:
        target = rig.load(name)
        work = folder / "work"
        work.mkdir()
        for number, data in enumerate((*rig.kept(name), *target.seeds())):
            (work / f"seed{number}").write_bytes(data)
        saved.mkdir(parents=True, exist_ok=True)
        before = set(saved.iterdir())
        command = [
            sys.executable,
            str(ROOT / "tests/fuzz/rig.py"),
            name,
            str(work),
            f"-max_total_time={seconds}",
            f"-max_len={target.MAX_LEN}",
            f"-timeout={TIMEOUT_S}",
            f"-rss_limit_mb={RSS_LIMIT_MB}",
            f"-artifact_prefix={saved}/{name}-",
            "-print_final_stats=1",
            f"-seed={seed}",
        ]
        begun = time.monotonic()
        try:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=seconds + GRACE_S,
                check=False,
                env={**os.environ, "TMPDIR": str(folder), "PYTHONHASHSEED": "0"},
            )
            text, code = done.stdout.decode(errors="replace"), done.returncode
        except subprocess.TimeoutExpired as error:
            text, code = (error.stdout or b"").decode(errors="replace") + "\nthe target did not end\n", 1
        spent = time.monotonic() - begun
        # Targets run side by side and save into one place.
        faults = sorted(path for path in set(saved.iterdir()) - before if path.name.startswith(f"{name}-"))
        if code and not faults:
            # It broke without an input to show for it: before the first one, or by not ending.
            faults = [saved / f"{name}-output.txt"]
            faults[0].write_text(text)
        status = _STATUS.findall(text)
        coverage, features = (int(status[-1][0]), int(status[-1][1])) if status else (0, 0)
        return Result(
            name,
            _last(_DONE, text),
            spent,
            coverage,
            features,
            _last(_PEAK, text),
            [path.read_bytes() for path in sorted(work.iterdir())],
            faults,
            text[-3_000:],
        )
    finally:
        shutil.rmtree(folder)


def _last(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.findall(text)
    return int(found[-1]) if found else 0


def keep(result: Result) -> tuple[int, int]:
    """Put what a run found into the kept inputs. Returns their number and size."""
    target = rig.load(result.name)
    chosen = rig.minimised(target.run, [*rig.kept(result.name), *target.seeds(), *result.found], KEPT_BYTES)
    rig.replace_kept(result.name, chosen)
    return len(chosen), sum(map(len, chosen))


def replay(name: str, paths: list[Path]) -> None:
    """Run single inputs without atheris: what breaks shows its traceback."""
    target = rig.load(name)
    for path in paths:
        target.run(path.read_bytes())
        print(f"{path}: holds")


def main() -> int:
    """See the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--target", action="append", choices=rig.NAMES, help="only this one; may be repeated")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at once (default: all cores)")
    parser.add_argument("--keep", action="store_true", help="put what reached something new into tests/fuzz/corpus")
    parser.add_argument("--seed", type=int, default=0, help="of libFuzzer; 0 draws one")
    parser.add_argument("--faults", type=Path, default=ROOT / "build/fuzz", help="where inputs that break are saved")
    parser.add_argument("--replay", nargs="+", type=Path, help="run these inputs of one --target, without atheris")
    given = parser.parse_args()
    names = given.target or list(rig.NAMES)
    if given.replay:
        if len(names) != 1:
            parser.error("--replay needs one --target")
        replay(names[0], given.replay)
        return 0
    try:
        import atheris  # noqa: F401
    except ImportError:
        parser.error("atheris is missing: pip install --require-hashes -r requirements/fuzz.txt")
    print(
        f"{'target':<11}{'executions':>12}{'speed':>12}{'cov':>9}{'features':>9}{'inputs':>8}{'peak':>10}{'faults':>7}"
    )
    broken: list[Result] = []
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        runs = [pool.submit(fuzz, name, given.seconds, given.faults.resolve(), given.seed) for name in names]
        for run in concurrent.futures.as_completed(runs):
            result = run.result()
            print(result.line(), flush=True)
            if result.faults:
                broken.append(result)
            elif given.keep:
                number, size = keep(result)
                print(f"{'':<11}{number} inputs of {size:,} bytes kept", flush=True)
    for result in broken:
        print(f"\n== {result.name}\n{result.tail}")
        for path in result.faults:
            print(f"replay: {sys.executable} scripts/fuzz.py --target {result.name} --replay {path}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
