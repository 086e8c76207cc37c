"""Importing block files."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from ..app.compose import claim, network_of, open_ledger, open_store
from ..base.names import display_hash
from ..ledgers.importer import ImportFailure, ImportProgress, ImportReport, import_files
from ..ledgers.kernel.networks import network_named
from ..store import open_datadir
from .options import DEFAULT_DATADIR, DatadirOption, JsonOption


def import_blocks(
    files: Annotated[list[Path], typer.Argument(help="blk*.dat files, in their order.", exists=True, dir_okay=False)],
    network: Annotated[str | None, typer.Option(help="bitcoin, testnet4, signet or regtest.")] = None,
    datadir: DatadirOption = DEFAULT_DATADIR,
    as_json: JsonOption = False,
) -> None:
    """Validate blocks from Bitcoin Core's files and keep them. Stopped midway, it goes on where it was.

    Example: obscura import --network bitcoin --datadir a blk00000.dat blk00001.dat
    """
    rules = network_named(network or network_of(datadir) or "bitcoin")
    console = Console(stderr=True, highlight=False)
    with contextlib.ExitStack() as stack:
        locked = stack.enter_context(open_datadir(datadir))
        store = open_store(locked, rules.name)
        stack.callback(store.close)
        ledger = open_ledger(rules.name, datadir, relay=False)
        stack.callback(ledger.close)
        ledger.restore()
        claim(store, rules.name)
        columns = (TextColumn("importing"), BarColumn(), DownloadColumn(), TextColumn("{task.fields[blocks]} blocks"))
        bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=as_json, transient=True)
        stack.enter_context(bar)
        task = bar.add_task("import", total=None, blocks=0)

        def show(progress: ImportProgress) -> None:
            known = progress.accepted + progress.skipped
            bar.update(task, completed=progress.done, total=progress.total, blocks=known)

        try:
            report = import_files(ledger, rules, files, progress=show)
        except ImportFailure as failure:
            if as_json:
                where = {"file": str(failure.position.path), "byte": failure.position.offset, "rule": failure.rule}
                typer.echo(json.dumps(_result(failure.report, *ledger.tip) | {"failed": where}))
            raise
        result = _result(report, *ledger.tip)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        typer.echo(f"{report.accepted} blocks imported, {report.skipped} were here; height {result['height']}")
    if report.orphans:
        typer.echo(f"{report.orphans} blocks have no parent here; the first stands at {report.first_orphan}", err=True)
        raise typer.Exit(1)


def _result(report: ImportReport, height: int, tip: bytes) -> dict[str, Any]:
    return {
        "accepted": report.accepted,
        "skipped": report.skipped,
        "orphans": report.orphans,
        "height": height,
        "tip": display_hash(tip),
    }
