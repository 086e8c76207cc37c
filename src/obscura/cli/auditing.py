"""What an observer of links learns: record links under each profile of shaping, attack the recordings, report.

The laboratory is imported where it is needed: NumPy and scikit-learn take a second to load, and are an optional extra.
"""

# ruff: noqa: PLC0415 see above

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ..app.settings import Settings
from ..base.errors import ConfigError, StoreError
from ..base.limits import COVER_DELAY, COVER_RATE, COVER_SHARE, STEADY_EPOCH, STEADY_HIGHEST, STEADY_LOWEST
from .options import JsonOption
from .working import JobsOption, SeedOption, check_files, cores, telling, write_text

if TYPE_CHECKING:
    from ..lab.observed import Recording

_KIB: Final = 1_024
_SOCKET_CLASSES: Final = 4  # activities that are recorded over sockets
_SOCKET_WINDOW_S: Final = 2.0
_NOT_OF_THE_RESULT: Final = ("jobs", "markdown", "html", "as_json")


def audit(
    context: typer.Context,
    profiles: Annotated[str, typer.Option(help="all, or some of off, pad, cover, steady, with commas.")] = "all",
    worlds: Annotated[
        int, typer.Option(min=6, max=10_000, help="Seeds to record of each profile; over sockets, links (at most 40).")
    ] = 12,
    windows: Annotated[int, typer.Option(min=1, max=1_000, help="Of each activity on each link.")] = 8,
    window_s: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds of a window; 0: 60, or 2 over sockets, where they are real.")
    ] = 0.0,
    seed: SeedOption = 1,
    jobs: JobsOption = 0,
    neural: Annotated[bool, typer.Option("--neural", help="Let a small neural network attack as well.")] = False,
    bottleneck: Annotated[
        int | None,
        typer.Option(min=8, max=1_000_000, help="KiB a second: record all once more on lines as slow as that."),
    ] = None,
    sockets: Annotated[
        bool, typer.Option("--sockets", help="Record links over sockets of this machine, instead of simulated ones.")
    ] = False,
    cover_rate: Annotated[int, typer.Option(help="As of obscura node; so are the next ones.")] = COVER_RATE,
    cover_share: Annotated[int, typer.Option()] = COVER_SHARE,
    cover_delay_ms: Annotated[int, typer.Option()] = COVER_DELAY // 1_000,
    steady_lowest: Annotated[int, typer.Option()] = STEADY_LOWEST,
    steady_highest: Annotated[int, typer.Option()] = STEADY_HIGHEST,
    steady_epoch: Annotated[int, typer.Option()] = STEADY_EPOCH // 1_000_000,
    markdown: Annotated[Path | None, typer.Option(help="Write the whole report to this file.", dir_okay=False)] = None,
    html: Annotated[Path | None, typer.Option(help="Write it with plots to this file.", dir_okay=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Find out what an observer of an encrypted link learns, under each profile of shaping, and what each costs.

    Nodes idle, catch up, hear of blocks, send and relay transactions; sizes and times of what they write are recorded,
    and attackers learn to tell from these what was going on (docs/lab.md). Takes some minutes.

    Example: obscura audit --worlds 30 --windows 10 --markdown report.md --html report.html
    """
    from ..lab import arms, script
    from ..lab.audit import audit as examine
    from ..lab.audit_html import as_page
    from ..lab.audit_report import as_lines, as_markdown, as_values
    from ..lab.learning import require_learning
    from ..lab.watched_sockets import record_over_sockets

    chosen = arms.parse_profiles(profiles)
    settings = Settings(
        cover_rate=cover_rate,
        cover_share=cover_share,
        cover_delay_ms=cover_delay_ms,
        steady_lowest=steady_lowest,
        steady_highest=steady_highest,
        steady_epoch=steady_epoch,
    )
    settings.check()
    if sockets and bottleneck is not None:
        raise ConfigError("--bottleneck is for simulated lines: leave it away, or --sockets")
    check_files(html, markdown)
    # Before minutes of recording.
    require_learning()
    recordings: list[Recording]
    with telling(quiet=as_json) as tell:
        if sockets:
            each = windows * _SOCKET_CLASSES
            tell("links over sockets", 0.0)
            recordings = record_over_sockets(chosen, settings.shapes, worlds, each, window_s or _SOCKET_WINDOW_S, seed)
        else:
            options = script.WatchOptions(each=windows, window_s=window_s or script.WatchOptions().window_s)
            lines = None if bottleneck is None else bottleneck * _KIB
            wanted = arms.arms(chosen, settings.shapes, options, lines)
            recordings = arms.record_arms(wanted, worlds, seed, jobs or cores(), tell)
        found = examine(recordings, seed, network=neural, progress=lambda name, share: tell(f"attack: {name}", share))
    command = _command(context)
    if as_json:
        typer.echo(json.dumps(as_values(found)))
    else:
        for line in as_lines(found, command):
            typer.echo(line)
    failed: list[StoreError] = []
    for path, text in ((markdown, as_markdown), (html, as_page)):
        if path is not None:
            try:
                write_text(path, text(found, command))
            except StoreError as error:
                # What can be written is: an hour of work is in it.
                failed.append(error)
    if failed:
        raise failed[0]


def _command(context: typer.Context) -> str:
    """The command that repeats the report, without what has no part in it: paths among others."""
    parts = ["obscura audit"]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name in _NOT_OF_THE_RESULT or value == parameter.get_default(context):
            continue
        parts.append(parameter.opts[0] if value is True else f"{parameter.opts[0]} {value}")
    return " ".join(parts)
