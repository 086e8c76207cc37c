"""Simulated worlds: run one, run it again against its journal, compare two journals; what stems hide
(:mod:`.dandelion`); who surrounds a node (:mod:`.eclipse`), or floods it (:mod:`.flooding`).

Exit codes of these commands: 0 all held, 10 something happened that must never happen (safety), 11 honest hosts did not
agree in time (liveness), 12 two journals differ, 13 a published result is not reproduced within its tolerance; 2, 5 and
130 as everywhere.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..base.errors import ConfigError, StoreError
from ..base.instant import seconds
from ..base.randomness import Chance
from ..sim.faults import ADVERSARIES, FAULTS, draw_faults
from ..sim.journal import Journal
from ..sim.trial import JournalStop, Trial, TrialOptions, TrialReport, Verdict
from . import dandelion, eclipse, flooding
from .options import JsonOption

EXIT_UNSAFE: Final = 10
EXIT_STUCK: Final = 11
EXIT_DIFFERENT: Final = 12
_EXITS: Final = {Verdict.HELD.value: 0, Verdict.UNSAFE.value: EXIT_UNSAFE, Verdict.STUCK.value: EXIT_STUCK}
_HEAD: Final = "obscura-sim-journal 1 "
_HEAD_TYPES: Final = tuple(
    {"nodes": int, "seed": int, "hours": hours, "faults": str, "adversaries": str, "interval": interval}
    for hours in (int, float)
    for interval in (int, float, type(None))
)
_CONTEXT: Final = 5  # equal lines shown before the first difference
_HOURS_MAX: Final = 24 * 366
_LAST_RULES: Final = 6  # reasons of ended links that the report names

app = typer.Typer(help="Run many nodes in a simulated world; the seed decides everything.", no_args_is_help=True)
app.add_typer(dandelion.app, name="dandelion")
app.add_typer(eclipse.app, name="eclipse")
app.command()(flooding.flood)


@app.command()
def run(
    context: typer.Context,
    nodes: Annotated[int, typer.Option(min=2, max=62_500, help="Hosts, adversaries included.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Draws everything.")] = 1,
    hours: Annotated[float, typer.Option(min=1 / 60, max=_HOURS_MAX, help="Virtual hours of trouble.")] = 1.0,
    faults: Annotated[
        str, typer.Option(help=f"drawn, all, none, or some, with commas: {', '.join(FAULTS)}.")
    ] = "drawn",
    adversaries: Annotated[
        str, typer.Option(help=f"drawn, all, none, or some, with commas: {', '.join(ADVERSARIES)}.")
    ] = "drawn",
    interval: Annotated[
        float | None, typer.Option(min=1, help="Mean seconds between blocks; default: 144 blocks, 20 s to 10 min.")
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(help="Write every event to this file, a line each.", dir_okay=False)
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(help="Run again what wrote this journal, and compare.", exists=True, dir_okay=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a world with faults and adversaries, then clear the sky: all honest nodes must agree.

    Exit code 0 only if nothing failed: 10 is a safety failure, 11 a liveness failure, 12 a difference.

    Example: obscura sim run --nodes 30 --seed 7 --hours 2 --journal run.txt
    """
    if replay is not None:
        _refuse_beside_replay(context)
        what = _read_head(replay)
    else:
        what = {
            "nodes": nodes,
            "seed": seed,
            "hours": hours,
            "faults": faults,
            "adversaries": adversaries,
            "interval": interval,
        }
    options = trial_options(**what)
    with contextlib.ExitStack() as stack:
        sink: Callable[[str], None] | None = None
        replayed: _Replay | None = None
        if journal is not None:
            file = stack.enter_context(_created(journal))
            file.write(_HEAD + json.dumps(what) + "\n")
            sink = _writer(file)
        elif replay is not None:
            replayed = _Replay(_events(stack.enter_context(replay.open(encoding="utf-8", errors="replace"))))
            sink = replayed.compare
        started = time.monotonic()
        try:
            report = _run(options, Journal(sink=sink), quiet=as_json)
            if replayed is not None:
                replayed.finish()
        except JournalStop:
            assert replayed is not None, "only a comparison stops a run"
            replayed.show(str(replay), "this run", as_json=as_json)
            raise typer.Exit(EXIT_DIFFERENT) from None
        wall_s = time.monotonic() - started
    if as_json:
        result = asdict(report) | {"wall_s": round(wall_s, 3)}
        typer.echo(json.dumps(result | ({"replayed": replayed.lines} if replayed is not None else {})))
    else:
        for line in describe(report, wall_s):
            typer.echo(line)
        if replayed is not None:
            typer.echo(f"replayed   {replayed.lines} events, all as in {replay}")
    if code := _EXITS[report.verdict]:
        raise typer.Exit(code)


@app.command()
def diff(
    one: Annotated[Path, typer.Argument(help="A journal.", exists=True, dir_okay=False)],
    other: Annotated[Path, typer.Argument(help="Another one.", exists=True, dir_okay=False)],
    as_json: JsonOption = False,
) -> None:
    """Show where two journals part. Exit code 0 if they are equal, 12 if not.

    Example: obscura sim diff run.txt again.txt
    """
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(path.open(encoding="utf-8", errors="replace")) for path in (one, other)]
        for path in (one, other):
            _read_head(path)
        left, right = files
        comparison = _Replay(_events(left))
        try:
            for line in _events(right):
                comparison.compare(line)
            comparison.finish()
        except JournalStop:
            comparison.show(str(one), str(other), as_json=as_json)
            raise typer.Exit(EXIT_DIFFERENT) from None
    if as_json:
        typer.echo(json.dumps({"equal": True, "events": comparison.lines}))
    else:
        typer.echo(f"equal: {comparison.lines} events")


def trial_options(
    *,
    nodes: int,
    seed: int,
    hours: float,
    faults: str = "drawn",
    adversaries: str = "drawn",
    interval: float | None = None,
) -> TrialOptions:
    """The trial that the command's options name.

    Raises:
        ConfigError: there is no such fault or adversary, or a number is impossible.
    """
    return TrialOptions(
        seed=seed,
        hosts=nodes,
        span=seconds(hours * 3_600),
        faults=draw_faults(
            Chance.from_seed(seed).fork("faults"), _names(faults, FAULTS), _names(adversaries, ADVERSARIES)
        ),
        interval=None if interval is None else seconds(interval),
    )


def _names(text: str, known: tuple[str, ...]) -> tuple[str, ...] | None:
    """What an option names; ``None`` for what the seed draws."""
    words: dict[str, tuple[str, ...] | None] = {"drawn": None, "all": known, "none": ()}
    return words[text] if text in words else tuple(name.strip() for name in text.split(","))


def _refuse_beside_replay(context: typer.Context) -> None:
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if name not in ("replay", "as_json") and source is not None and source.name == "COMMANDLINE":
            msg = f"--{name} {value}: a replay takes all of that from the journal's first line"
            raise ConfigError(msg)


def _read_head(path: Path) -> dict[str, Any]:
    """What a journal's first line says of its run."""
    try:
        with path.open(encoding="utf-8") as file:
            head = file.readline()
        if not head.startswith(_HEAD):
            raise ValueError
        what: dict[str, Any] = json.loads(head[len(_HEAD) :])
        if {name: type(value) for name, value in what.items()} not in _HEAD_TYPES:
            raise ValueError
    except (ValueError, AttributeError):
        msg = f"{path} is no journal of obscura sim run --journal"
        raise ConfigError(msg) from None
    return what


@contextlib.contextmanager
def _created(path: Path) -> Iterator[TextIO]:
    try:
        with path.open("w", encoding="utf-8") as file:
            yield file
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror}"
        raise StoreError(msg) from error


def _writer(file: TextIO) -> Callable[[str], None]:
    def write(line: str) -> None:
        file.write(line + "\n")

    return write


def _events(file: TextIO) -> Iterator[str]:
    """A journal's lines after its first."""
    lines = iter(file)
    first = next(lines, "")
    if not first.startswith(_HEAD):
        yield first.rstrip("\n")
    for line in lines:
        yield line.rstrip("\n")


class _Replay:
    """Compares events, one at a time, with those that are expected; raises ``JournalStop`` at the first difference."""

    def __init__(self, expected: Iterator[str]) -> None:
        self.lines = 0
        self._expected = expected
        self._before: deque[str] = deque(maxlen=_CONTEXT)
        self._found = ("", "")

    def compare(self, line: str) -> None:
        """The next event."""
        wanted = next(self._expected, "")
        if wanted != line:
            self._found = (wanted, line)
            raise JournalStop
        self.lines += 1
        self._before.append(line)

    def finish(self) -> None:
        """There are no more events."""
        wanted = next(self._expected, None)
        if wanted is not None:
            self._found = (wanted, "")
            raise JournalStop

    def show(self, one: str, other: str, *, as_json: bool) -> None:
        """Print the first difference."""
        left, right = self._found
        if as_json:
            found = {"equal": False, "event": self.lines, one: left, other: right, "before": list(self._before)}
            typer.echo(json.dumps(found))
            return
        typer.echo(f"the first difference is event {self.lines} (line {self.lines + 2} of the file)")
        for line in self._before:
            typer.echo(f"    {line}")
        for name, line in ((one, left), (other, right)):
            typer.echo(f"  > {line or '(it ends here)'}    <- {name}")


def _run(options: TrialOptions, journal: Journal, *, quiet: bool) -> TrialReport:
    """Run a trial, with a bar on standard error if that is a terminal."""
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("simulating"), BarColumn(), TextColumn("{task.fields[now]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("sim", total=1.0, now="")
        hours = options.span / seconds(3_600)

        def show(share: float) -> None:
            bar.update(task, completed=share, now=f"{share * hours:.1f} of {hours:g} h")

        return Trial(options, journal).finish(show)


def describe(report: TrialReport, wall_s: float) -> list[str]:
    """A report for people, line by line."""
    verdicts = {
        "held": "held: nothing unsafe happened, and all honest nodes agree",
        "unsafe": "UNSAFE",
        "stuck": "STUCK: honest nodes do not agree",
    }
    kinds = ", ".join(f"{count} {name}" for name, count in report.adversaries.items()) or "none"
    toll = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in report.toll.items() if count) or "none"
    mischief = ", ".join(f"{count} {name}" for name, count in report.mischief.items()) or "none"
    closed = sorted(report.closed.items(), key=lambda row: (-row[1], row[0]))
    rules = ", ".join(f"{count} {name}" for name, count in closed[:_LAST_RULES]) or "none"
    rate = report.events / wall_s if wall_s else 0.0
    ended = "no agreement" if report.settled_s < 0 else f"agreed after {report.settled_s:.0f} s"
    last = "" if report.last_block_s < 0 else f", the last block reached all in {report.last_block_s:.0f} s"
    lines = [
        f"seed {report.seed}: {report.hosts} nodes, {report.honest} of them honest, {report.hours:g} h of trouble",
        *(f"  {line}" for line in report.faults),
        f"adversaries {kinds}",
        f"mischief    {mischief}",
        f"troubles    {toll}",
        f"blocks      {report.blocks_mined} mined by honest nodes, height {report.height}",
        f"reorgs      {report.reorganisations}, the deepest of {report.deepest_reorganisation} blocks",
        f"links ended {rules}",
        f"clear sky   {ended}, {report.tie_breakers} tie-breakers{last}",
        f"checks      {report.tips_judged} tips judged, {report.checks} walks through a node",
        f"events      {report.events} in {wall_s:.1f} s ({rate:.0f}/s), {report.virtual_s:.0f} s of virtual time",
        f"journal     {report.journal}",
        verdicts[report.verdict],
    ]
    if report.why:
        lines.append(f"  {report.why}")
    return lines
