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
from .asking import show_bytes
from .options import JsonOption


def devnet(
    nodes: Annotated[int, typer.Option(help="How many nodes.")] = 5,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where they live; default: a temporary directory.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, max=86_400, help="How long blocks are mined.")] = 20,
    seed: Annotated[int, typer.Option(help="Draws the graph and the miners.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Run a network of real nodes on this machine: they link, mine, relay, and must agree in the end.

    Exit code 0 only if all tips agree.

    Example: obscura devnet --nodes 8 --seconds 30
    """
    console = Console(highlight=False)
    # A stop from outside must stop the nodes too: it takes the way of Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    quiet = as_json or not console.is_terminal
    if not as_json:
        console.print(f"starting {nodes} nodes …")
    with Devnet(nodes, directory, seed) as net:
        if quiet:
            summary = net.run(seconds, lambda _: None)
        else:
            with Live(_table(net.nodes), console=console, refresh_per_second=8) as live:
                summary = net.run(seconds, lambda rows: live.update(_table(rows)))
    if as_json:
        typer.echo(json.dumps(asdict(summary)))
    else:
        if quiet:
            console.print(_table(net.nodes))
        verdict = "all tips agree" if summary.agreed else "the tips DIFFER"
        console.print(f"{verdict}: height {summary.height}, {summary.mined} blocks mined in {summary.seconds} s")
        console.print(f"tip {summary.tip}", soft_wrap=True)
    if not summary.agreed:
        raise typer.Exit(1)


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
