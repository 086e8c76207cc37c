"""What stems hide: published results reproduced, experiments of one's own, stems that are swallowed.

The laboratory is imported where it is needed: it takes a tenth of a second, and no other command needs it.
"""

# ruff: noqa: PLC0415 see above

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ..base.instant import MICROSECONDS, seconds
from ..base.limits import STEM_DIFFUSERS
from .options import JsonOption
from .working import JobsOption, SeedOption, check_files, working, write_text

if TYPE_CHECKING:
    from ..lab.findings import Finding
    from ..lab.statistics import Estimate

EXIT_OUTSIDE: Final = 13
_NODES: Final = 1_000
_NODES_MOST: Final = 100_000
_HOPS: Final = (0.3, 0.1)  # seconds: what embargoes are made for, and a fast network
_ESTIMATE_HEAD: Final = ("measure", "mean", "SE")

NodesOption = Annotated[int, typer.Option(min=10, max=_NODES_MOST, help="Honest ones and spies.")]
SpiesOption = Annotated[float, typer.Option(help="Share of spies among all nodes, from 0 to below 1.")]
DiffusersOption = Annotated[float, typer.Option(help="Share of nodes that spread what others stem, from 0 to 1.")]
GraphsOption = Annotated[int, typer.Option(min=2, max=1_000_000, help="Graphs; errors are over them.")]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write figures to this file.", dir_okay=False)]
CsvOption = Annotated[Path | None, typer.Option("--csv", help="Write the table to this file.", dir_okay=False)]
TopologyOption = Annotated[str, typer.Option(help="line, regular (2 out, 2 in), or outbound (2 chosen of 8).")]

app = typer.Typer(
    help="What Dandelion++ stems hide, measured with the node's own rules (docs/lab.md).",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def reproduce(
    seed: SeedOption = 1,
    graphs: GraphsOption = 100,
    jobs: JobsOption = 0,
    rows: Annotated[str, typer.Option(help="all, or some, with commas: 1, 2, 3, 5, 8, 9, 16.")] = "all",
    html: HtmlOption = None,
    csv: CsvOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reproduce the published results, in graphs of 1,000 nodes; docs/lab.md says what each row is.

    Exit code 0 only if all are within tolerance, 13 if not.

    Example: obscura sim dandelion reproduce --jobs 2 --html report.html
    """
    from ..lab import experiments, report

    numbers = experiments.parse_rows(rows)
    check_files(html, csv)
    started = time.monotonic()
    found: list[Finding] = []
    with working(seed, jobs, quiet=as_json) as (workers, about):
        for number in numbers:
            row = experiments.ROWS[number]
            about(f"row {number}: {(row.__doc__ or '').partition(':')[0]}")
            found += row(workers, experiments.Scale(graphs, _NODES))
    wall_s = time.monotonic() - started
    failed = sum(not one.holds for one in found)
    cells = report.finding_cells(found)
    if as_json:
        typer.echo(json.dumps({"seed": seed, "graphs": graphs, "failed": failed, "findings": report.as_values(found)}))
    else:
        for line in report.table(report.FINDING_HEAD, cells):
            typer.echo(line)
        compared = sum(bool(one.verdict) for one in found)
        typer.echo(f"{compared - failed} of {compared} within tolerance; seed {seed}, {graphs} graphs, {wall_s:.0f} s")
    if csv is not None:
        write_text(csv, report.as_csv(found))
    if html is not None:
        notes = [f"Seed {seed}, {graphs} graphs of {_NODES} nodes. Errors are standard errors over graphs."]
        title = "Dandelion++: published results reproduced"
        write_text(html, report.as_html(title, notes, report.FINDING_HEAD, cells, report.figures(found)))
    if failed:
        raise typer.Exit(EXIT_OUTSIDE)


@app.command()
def run(
    topology: TopologyOption = "outbound",
    rule: Annotated[
        str, typer.Option(help="one-to-one (the node's), all-to-one, per-transaction, or diffusion (no stems).")
    ] = "one-to-one",
    spies: SpiesOption = 0.1,
    nodes: NodesOption = _NODES,
    diffusers: DiffusersOption = 0.0,
    graphs: GraphsOption = 20,
    seed: SeedOption = 1,
    jobs: JobsOption = 0,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Attack one setup: each honest node sends, and the spies name as origin whoever gave it to the first of them.

    Prints recall and precision, the mean number of hops in stem, and the shares of stems that ended at a spy, at a
    diffuser, or in a loop.

    Example: obscura sim dandelion run --topology outbound --rule one-to-one --spies 0.2 --diffusers 0.1
    """
    from ..lab import attacks, report

    setup = attacks.Setup(topology, rule, spies, nodes, diffusers)
    check_files(html)
    with working(seed, jobs, quiet=as_json) as (workers, about):
        about(str(setup))
        (outcomes,) = workers.each(attacks.attack, [setup], graphs)
    values = _estimates(attacks.Outcome._fields, outcomes)
    what = f"{setup}, p={spies:g}: {nodes} nodes, {graphs} graphs, seed {seed}"
    if as_json:
        typer.echo(json.dumps(asdict(setup) | {"graphs": graphs, "seed": seed} | _json(values)))
    else:
        _print(what, values, f"floors: recall {spies:g}, precision {spies**2:.4g}")
    if html is not None:
        x = tuple(float(at) for at in range(graphs))
        curves = tuple(
            report.Curve(name, x, tuple(getattr(one, name) for one in outcomes), (0.0,) * graphs)
            for name in ("recall", "precision")
        )
        shown = [report.Figure("Recall and precision of each graph", "graph", "share", curves)]
        write_text(html, report.as_html("An attack on stems", [what], _ESTIMATE_HEAD, _cells(values), shown))


@app.command()
def blackhole(
    spies: SpiesOption = 0.1,
    topology: TopologyOption = "outbound",
    nodes: NodesOption = _NODES,
    diffusers: DiffusersOption = STEM_DIFFUSERS / 100,
    graphs: GraphsOption = 20,
    seed: SeedOption = 1,
    jobs: JobsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Have spies swallow every stem, and see who spreads it first: with re-stemming once, and without.

    Prints the share that was swallowed; of these, the shares whose origin was the first to spread it (exposed) and that
    spread at all (delivered), and mean seconds until then. With no spies: the share on which an embargo was over before
    the stem's end (early), loops included, and the share of loops.

    Examples: obscura sim dandelion blackhole --spies 0.2, obscura sim dandelion blackhole --spies 0
    """
    from ..lab.attacks import Setup
    from ..lab.embargoes import NODE_EMBARGO, Hole, swallow

    setup = Setup(topology, "one-to-one", spies, nodes, diffusers)
    if spies:
        measures: Sequence[str] = ("swallowed", "exposed", "delivered", "delay_s")
        holes = {
            name: Hole(setup, seconds(_HOPS[0]), restems)
            for name, restems in (("no re-stemming", False), ("re-stemming once", True))
        }
    else:
        measures = ("early", "looped")
        holes = {f"hops of {hop:g} s": Hole(setup, seconds(hop), restems=True) for hop in _HOPS}
    with working(seed, jobs, quiet=as_json) as (workers, about):
        about("swallowing" if spies else "nobody swallows")
        results = workers.each(swallow, list(holes.values()), graphs)
    found = {name: _estimates(measures, one) for name, one in zip(holes, results, strict=True)}
    if as_json:
        cases = {name: _json(one) for name, one in found.items()}
        typer.echo(json.dumps(asdict(setup) | {"graphs": graphs, "seed": seed, "cases": cases}))
        return
    mean_s = NODE_EMBARGO / MICROSECONDS
    typer.echo(
        f"{setup}, p={spies:g}: {nodes} nodes, {graphs} graphs, seed {seed}; embargoes of {mean_s:.1f} s on average"
    )
    for name, one in found.items():
        _print(name, one)


@app.command()
def whole(
    spies: SpiesOption = 0.1,
    nodes: Annotated[int, typer.Option(min=10, max=1_000, help="Whole nodes, honest ones and spies.")] = 40,
    diffusers: DiffusersOption = 0.0,
    swallow: Annotated[bool, typer.Option("--swallow", help="Spies keep the stems that they get.")] = False,
    worlds: Annotated[int, typer.Option(min=2, max=10_000, help="Worlds; errors are over them.")] = 10,
    seed: SeedOption = 1,
    jobs: JobsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Whole simulated nodes on exactly 4-regular graphs, with encryption, verdicts and lines; the same attack.

    Prints recall and precision, how often a transaction was passed on by stem on average, what a step took, and the
    shares on which an embargo ended early, whose origin was the first to spread them, and that came to all honest
    nodes (without diffusers and swallowers a world ends when spies have seen all, before anything has spread).

    Examples: obscura sim dandelion whole --spies 0.1, obscura sim dandelion whole --spies 0 --diffusers 0.1
    """
    from ..lab.whole import WholeOutcome, WholeSetup, play

    setup = WholeSetup(nodes, spies, diffusers, swallow)
    with working(seed, jobs, quiet=as_json) as (workers, about):
        about("whole nodes")
        (outcomes,) = workers.each(play, [setup], worlds)
    values = _estimates(WholeOutcome._fields, outcomes)
    if as_json:
        what = {"nodes": nodes, "spies": spies, "diffusers": diffusers, "swallow": swallow}
        typer.echo(json.dumps(what | {"worlds": worlds, "seed": seed} | _json(values)))
        return
    how = "spies that swallow stems" if swallow else "spies that do as all do"
    _print(f"4-regular, q={diffusers:g}, p={spies:g}, {how}: {nodes} whole nodes, {worlds} worlds, seed {seed}", values)


def _estimates(measures: Sequence[str], results: Sequence[Any]) -> dict[str, Estimate]:
    from ..lab.statistics import estimate

    return {name: estimate([getattr(one, name) for one in results]) for name in measures}


def _json(values: dict[str, Estimate]) -> dict[str, dict[str, float]]:
    return {name: {"mean": value.mean, "error": value.error} for name, value in values.items()}


def _cells(values: dict[str, Estimate]) -> list[list[str]]:
    return [[name, f"{value.mean:.4f}", f"{value.error:.4f}"] for name, value in values.items()]


def _print(what: str, values: dict[str, Estimate], *more: str) -> None:
    from ..lab.report import table

    typer.echo(what)
    for line in (*table(_ESTIMATE_HEAD, _cells(values)), *more):
        typer.echo(f"  {line}")
