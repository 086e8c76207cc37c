"""``obscura sim flood``: what honest strangers notice of a flood."""

# ruff: noqa: PLC0415 the laboratory is imported where it is needed, see working.py

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from .eclipse import RunsOption, WithoutOption, called, defences, show
from .options import JsonOption
from .working import JobsOption, SeedOption, working

_MEASURES: Final = {
    "inbound_kept": "in kept",
    "outbound_kept": "out kept",
    "outbound_honest": "out honest",
    "entered": "entered",
    "entry_s": "entry s",
    "foreign": "book foreign",
    "ping_ms": "ping ms",
    "in_time": "blocks in 30 s",
    "lag_s": "lag s",
}


def flood(
    kind: Annotated[
        str, typer.Option(help="calm, sybil, evict, churn, spam, loris, headers, holes; all, or some with commas.")
    ] = "all",
    minutes: Annotated[float, typer.Option(help="Virtual minutes of flood.")] = 10.0,
    addresses: Annotated[int, typer.Option(min=1, help="The attacker's, over all groups.")] = 600,
    groups: Annotated[int, typer.Option(min=1, help="Network groups (/16) in which they are.")] = 64,
    runs: RunsOption = 10,
    without: WithoutOption = "",
    each: Annotated[
        bool, typer.Option("--each", help="Also without each defence that matters against a flood, and without any.")
    ] = False,
    seed: SeedOption = 1,
    jobs: JobsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Flood a node in the ways of one attacker with many addresses, and see what becomes of honest links and newcomers.

    Prints the shares of honest links kept, inbound and outbound, and of honest ones among the latter in the end; the
    share of honest newcomers who had a link that stays, and after how long; the share of addresses in the book that are
    nobody's; the median ping of honest links; which share of blocks came within 30 s, and how late on average.

    Example: obscura sim flood --kind sybil,evict --runs 10 --each
    """
    from ..lab.eclipses import flooded, variants
    from ..lab.statistics import estimate
    from ..sim.flood import KINDS, FloodOptions

    names = list(KINDS) if kind == "all" else [name.strip() for name in kind.split(",")]
    setups: dict[tuple[str, str], FloodOptions] = {}
    for name in names:
        options = FloodOptions(
            kind=name, minutes=minutes, addresses=addresses, groups=groups, defences=defences(without)
        )
        matters = KINDS[name].matters
        given = variants(options, matters) if each and matters else {called(without): options}
        setups |= {(name, variant): one for variant, one in given.items()}
    started = time.monotonic()
    with working(seed, jobs, quiet=as_json) as (workers, about):
        about("floods")
        results = workers.each(flooded, list(setups.values()), runs)
    rows: list[dict[str, Any]] = [
        {"flood": name, "defences": variant}
        | {shown: estimate([getattr(one, measure) for one in outcomes]) for measure, shown in _MEASURES.items()}
        for (name, variant), outcomes in zip(setups, results, strict=True)
    ]
    what = f"{addresses} addresses in {groups} groups, {minutes:g} min; {runs} runs, seed {seed}"
    shown = asdict(next(iter(setups.values()))) | {"kind": kind, "runs": runs, "seed": seed}
    show(what, rows, started, shown, as_json=as_json)
