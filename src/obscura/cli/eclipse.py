"""``obscura sim eclipse``: can an attacker with many addresses surround a node?"""

# ruff: noqa: PLC0415 the laboratory is imported where it is needed, see working.py

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ..base.errors import ConfigError
from .options import JsonOption
from .working import JobsOption, SeedOption, working

if TYPE_CHECKING:
    from ..lab.intervals import Share
    from ..peers.defences import Defences

EXIT_UNSAFE: Final = 10
EXIT_OUTSIDE: Final = 13
_MINUTE_S: Final = 60

RunsOption = Annotated[int, typer.Option(min=1, max=100_000, help="Worlds, each with a seed of its own.")]
WithoutOption = Annotated[str, typer.Option(help="Defences to switch off, with commas; see docs/sim.md.")]
EachOption = Annotated[bool, typer.Option("--each", help="Also without each defence in turn, and without any.")]
HonestOption = Annotated[int, typer.Option(min=1, max=2_000, help="Honest strangers that can be dialled.")]

app = typer.Typer(
    help="Surround one node by an attacker with many addresses (docs/sim.md).",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def restart(
    groups: Annotated[int, typer.Option(min=1, help="Network groups (/16) of the attacker.")] = 32,
    addresses: Annotated[int, typer.Option(min=1, help="His addresses in each group.")] = 64,
    honest: HonestOption = 300,
    days: Annotated[float, typer.Option(help="Virtual days in which he fills the address book.")] = 1.0,
    runs: RunsOption = 20,
    without: WithoutOption = "",
    each: EachOption = False,
    seed: SeedOption = 1,
    jobs: JobsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Fill a node's address book, restart the node, and see whether all links that it opens end at the attacker
    (Heilman et al. 2015).

    Example: obscura sim eclipse restart --groups 32 --addresses 64 --runs 20 --each
    """
    from ..lab.eclipses import restarted, variants
    from ..sim.eclipse import RestartOptions

    options = RestartOptions(
        groups=groups, addresses=groups * addresses, honest=honest, days=days, defences=defences(without)
    )
    setups = variants(options) if each else {called(without): options}
    started = time.monotonic()
    with working(seed, jobs, quiet=as_json) as (workers, about):
        about("restarts")
        results = workers.each(restarted, list(setups.values()), runs)
    rows = [
        {"defences": name, "surrounded": counted([one.taken for one in outcomes])} | _means(outcomes, _RESTART)
        for name, outcomes in zip(setups, results, strict=True)
    ]
    what = f"{groups} groups of {addresses} addresses against {honest} honest, {days:g} days; {runs} runs, seed {seed}"
    show(what, rows, started, asdict(options) | {"runs": runs, "seed": seed}, as_json=as_json)


@app.command()
def live(
    addresses: Annotated[int, typer.Option(min=1, help="The attacker's, over all groups.")] = 1_020,
    groups: Annotated[int, typer.Option(min=1, help="Network groups (/16) in which they are.")] = 16,
    hours: Annotated[float, typer.Option(help="Virtual hours of attack.")] = 1.0,
    visit: Annotated[
        float,
        typer.Option(
            help="Mean seconds after which he ends the first link to each of his addresses; 0: he never does."
        ),
    ] = 0.0,
    aged: Annotated[
        float, typer.Option(help="His share of the addresses that the node has reached before: 0 to below 1.")
    ] = 0.0,
    honest: HonestOption = 300,
    runs: RunsOption = 100,
    without: WithoutOption = "",
    each: EachOption = False,
    seed: SeedOption = 1,
    jobs: JobsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Surround a node that goes on running, as Monero's were in 2025: hold its inbound slots, be told of by everybody,
    and wait for the places of its honest links, which end by themselves.

    Surrounded: at some moment all links that it has opened are his; often that is over a second later, when the next
    one opens, so it is also counted who was for a minute.

    Exit code 10 if a node with all defences was surrounded.

    Example: obscura sim eclipse live --addresses 1020 --groups 16 --runs 100
    """
    from ..lab.eclipses import lived, variants
    from ..sim.eclipse import LiveOptions

    options = LiveOptions(
        groups=groups,
        addresses=addresses,
        honest=honest,
        hours=hours,
        visit=visit,
        aged=aged,
        defences=defences(without),
    )
    setups = variants(options) if each else {called(without): options}
    started = time.monotonic()
    with working(seed, jobs, quiet=as_json) as (workers, about):
        about("sieges")
        results = workers.each(lived, list(setups.values()), runs)
    rows = [
        {
            "defences": name,
            "surrounded": counted([one.taken for one in outcomes]),
            "for a minute": counted([one.longest_s >= _MINUTE_S for one in outcomes]),
            "wholly": counted([one.wholly for one in outcomes]),
        }
        | _means(outcomes, _LIVE)
        for name, outcomes in zip(setups, results, strict=True)
    ]
    what = f"{addresses} addresses in {groups} groups against {honest} honest, {hours:g} h; {runs} runs, seed {seed}"
    show(what, rows, started, asdict(options) | {"runs": runs, "seed": seed}, as_json=as_json)
    if not without and any(one.taken for one in results[0]):
        raise typer.Exit(EXIT_UNSAFE)


@app.command()
def coverage(
    groups: Annotated[str, typer.Option(help="Network groups of the attacker, with commas.")] = "8,32,128",
    runs: RunsOption = 20,
    seed: SeedOption = 1,
    jobs: JobsOption = 1,
    as_json: JsonOption = False,
) -> None:
    """How much of the tried table an attacker in so many network groups reaches, beside the formula of Heilman et al.:
    1 - (255/256)^(8 groups).

    Exit code 0 only if all are within tolerance, 13 if not.

    Example: obscura sim eclipse coverage --groups 8,32,128
    """
    from ..lab import report
    from ..lab.eclipses import coverage as one_book
    from ..lab.eclipses import coverage_finding

    numbers = _numbers(groups)
    with working(seed, jobs, quiet=as_json) as (workers, about):
        about("books")
        results = workers.each(one_book, numbers, runs)
    found = [coverage_finding(number, shares) for number, shares in zip(numbers, results, strict=True)]
    failed = sum(not one.holds for one in found)
    if as_json:
        typer.echo(json.dumps({"seed": seed, "runs": runs, "failed": failed, "findings": report.as_values(found)}))
    else:
        for line in report.table(report.FINDING_HEAD, report.finding_cells(found)):
            typer.echo(line)
        typer.echo(f"{len(found) - failed} of {len(found)} within tolerance; {runs} books each, seed {seed}")
    if failed:
        raise typer.Exit(EXIT_OUTSIDE)


@app.command()
def diversity(
    share: Annotated[float, typer.Option(help="The attacker's, of all addresses that can be dialled.")] = 0.8,
    groups: Annotated[int, typer.Option(min=1, help="Network groups (/16) in which they are.")] = 2,
    honest: HonestOption = 200,
    runs: RunsOption = 20,
    seed: SeedOption = 1,
    jobs: JobsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Whose links a node opens where one attacker has most addresses, in a few network groups: with one link for each
    group, and without that rule. (Monero's network, with one for each /16 against none: 33 % and 2.5 % of links.)

    Example: obscura sim eclipse diversity --share 0.8 --groups 2
    """
    from ..lab.eclipses import mixed, variants
    from ..sim.eclipse import DiversityOptions

    options = DiversityOptions(share=share, groups=groups, honest=honest)
    setups = dict(list(variants(options, ("diverse_groups",)).items())[:2])
    started = time.monotonic()
    with working(seed, jobs, quiet=as_json) as (workers, about):
        about("networks")
        results = workers.each(mixed, list(setups.values()), runs)
    rows = [
        {"defences": name} | _means(outcomes, {"share": "his links", "links": "links"})
        for name, outcomes in zip(setups, results, strict=True)
    ]
    what = f"{share:g} of all addresses in {groups} groups, {honest} honest ones in as many; {runs} runs, seed {seed}"
    show(what, rows, started, asdict(options) | {"runs": runs, "seed": seed}, as_json=as_json)


_RESTART: Final = {"share": "his links", "links": "links", "book": "his book", "tried": "his tried"}
_LIVE: Final = {
    "held": "time held", "peak": "his most", "share": "his in the end", "inbound": "his inbound", "book": "his book",
    "tried": "his tried",
}  # fmt: skip


def counted(values: Sequence[bool]) -> Share:
    """How many, and between what the share lies."""
    from ..lab.intervals import clopper_pearson

    return clopper_pearson(sum(values), len(values))


def _means(outcomes: Sequence[Any], names: dict[str, str]) -> dict[str, Any]:
    from ..lab.statistics import estimate

    return {shown: estimate([getattr(one, name) for one in outcomes]) for name, shown in names.items()}


def show(what: str, rows: Sequence[dict[str, Any]], started: float, options: dict[str, Any], *, as_json: bool) -> None:
    """Print a table: shares with their intervals, means with their errors."""
    from ..lab.report import table

    if as_json:
        values = [{name: _plain(value, single=options["runs"] == 1) for name, value in row.items()} for row in rows]
        typer.echo(json.dumps({"options": options, "rows": values}))
        return
    typer.echo(what)
    for line in table(
        list(rows[0]), [[_cell(value, single=options["runs"] == 1) for value in row.values()] for row in rows]
    ):
        typer.echo(f"  {line}")
    typer.echo(f"95 % intervals, standard errors; {time.monotonic() - started:.0f} s")


def _plain(value: Any, *, single: bool) -> Any:
    if not hasattr(value, "_asdict"):
        return value
    found = value._asdict()
    return found | {"error": None} if single and "error" in found else found


def _cell(value: Any, *, single: bool) -> str:
    from ..lab.statistics import Estimate

    if not isinstance(value, Estimate):
        return str(value)
    # Of a single world no error is known.
    return f"{value.mean:.3g}" if single else f"{value.mean:.3g} ± {value.error:.2g}"


def defences(text: str) -> Defences:
    """What an option leaves switched on."""
    from ..sim.eclipse import without

    return without([name.strip() for name in text.split(",")] if text else [])


def called(without: str) -> str:
    """How a table calls that."""
    return f"without {without}" if without else "all defences"


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [0]
    if not all(1 <= number <= 10_000 for number in numbers):
        raise ConfigError(f"{text!r}: numbers of groups from 1 to 10000, with commas")
    return numbers
