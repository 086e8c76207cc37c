"""A network of real nodes on this machine."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ..app.devnet import Devnet, DevNode
from ..app.payments import Spread
from ..app.shapes import show_bytes
from ..app.stem_report import StemReport
from .options import JsonOption


def devnet(
    nodes: Annotated[int, typer.Option(help="How many nodes.")] = 5,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where they live; default: a temporary directory.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, max=86_400, help="How long blocks are mined.")] = 20,
    transactions: Annotated[
        int, typer.Option(min=0, max=20_000, help="How many are sent afterwards, from random nodes, and timed.")
    ] = 50,
    seed: Annotated[int, typer.Option(help="Draws the graph and the miners.")] = 1,
    report: Annotated[
        bool, typer.Option("--report", help="Trace stems, and show how long they were and who told whom first.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a network of real nodes on this machine: they link, mine, relay, and must agree in the end.

    Exit code 0 only if all tips agree, and all transactions have reached all nodes and a block; with --report, only if
    no node told of its own transaction first without a reason.

    Example: obscura devnet --nodes 8 --seconds 30 --transactions 1000 --report
    """
    console = Console(highlight=False)
    # A stop from outside must stop the nodes too: it takes the way of Ctrl-C.
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: signal.raise_signal(signal.SIGINT))
    quiet = as_json or not console.is_terminal
    if not as_json:
        console.print(f"starting {nodes} nodes …")
    with Devnet(nodes, directory, seed, report=report) as net:
        if quiet:
            summary = net.run(seconds, lambda _: None, transactions)
        else:
            with Live(_table(net.nodes), console=console, refresh_per_second=8) as live:
                summary = net.run(seconds, lambda rows: live.update(_table(rows)), transactions)
    if as_json:
        typer.echo(json.dumps(asdict(summary)))
    else:
        if quiet:
            console.print(_table(net.nodes))
        verdict = "all tips agree" if summary.agreed else "the tips DIFFER"
        console.print(f"{verdict}: height {summary.height}, {summary.mined} blocks mined; {summary.seconds} s")
        console.print(f"tip {summary.tip}", soft_wrap=True)
        if summary.spread is not None:
            console.print(_spread_lines(summary.spread), soft_wrap=True)
        if summary.stems is not None:
            console.print(_stem_lines(summary.stems), soft_wrap=True)
    spread = summary.spread
    lost = spread is not None and not spread.sent == spread.reached_all <= spread.confirmed
    told_too_soon = summary.stems is not None and summary.stems.told_too_soon > 0
    if not summary.agreed or lost or told_too_soon or (transactions and spread is None):
        raise typer.Exit(1)


def _spread_lines(spread: Spread) -> str:
    return (
        f"{spread.beside} transactions sent while blocks were mined; {spread.sent} sent afterwards from random nodes: "
        f"{spread.reached_all} reached all mempools, {spread.blocks} block(s) took all that waited\n"
        f"half of the nodes had one after {spread.half_median} s (median; slowest {spread.half_slowest} s), "
        f"all of them after {spread.all_median} s (slowest {spread.all_slowest} s)"
    )


def _stem_lines(stems: StemReport) -> str:
    lengths = ", ".join(f"{length}: {count}" for length, count in sorted(stems.lengths.items())) or "none"
    lines = (
        f"stems of {stems.transactions} transactions: {stems.mean_length:.1f} nodes on average took one before it was "
        f"spread (nodes: transactions = {lengths})",
        f"first spread by a diffuser {stems.spread_by_diffuser}, because an embargo had ended "
        f"{stems.spread_by_embargo}, {stems.spread_by_origin} of these at the origin; "
        f"{stems.restemmed} were given to the origin's other stem peer",
        "the origin told its peers:",
        f"  after somebody else had spread it                                  {stems.told_after_others}",
        f"  because its embargo had ended                                      {stems.told_by_embargo}",
        f"  because it came back by stem while the origin spreads all that does  {stems.told_as_diffuser}",
        f"  too soon, for none of these reasons                                {stems.told_too_soon}",
    )
    return "\n".join(lines)


def _table(nodes: list[DevNode]) -> Table:
    table = Table()
    for column in ("node", "address", "height", "tip", "peers", "in", "out"):
        table.add_column(column)
    for node in nodes:
        state = node.status
        table.add_row(
            str(node.number),
            node.address,
            str(state["height"]),
            state["tip"][-12:],
            str(state["peers"]),
            show_bytes(state["bytes_in"]),
            show_bytes(state["bytes_out"]),
        )
    return table
