"""Transactions: handing one in, and looking at what waits for a block."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ..base.errors import ConfigError
from ..base.limits import TX_BYTES
from ..control.client import RefusedError, ask
from .asking import show_bytes
from .options import DEFAULT_DATADIR, DatadirOption, JsonOption, is_elsewhere, read_elsewhere

_TEXT_BYTES = 2 * TX_BYTES + 2


def send(
    transaction: Annotated[
        str, typer.Argument(metavar="HEX", help="A whole signed transaction in hexadecimal; @FILE or - reads it.")
    ],
    datadir: DatadirOption = DEFAULT_DATADIR,
    as_json: JsonOption = False,
) -> None:
    """Hand a transaction to a running node: it is checked, kept until a block holds it, and relayed.

    Prints its id, or the rule that it breaks (exit code 1).

    Example: obscura send --datadir a @payment.hex
    """
    text = transaction_text(transaction)
    try:
        answer = ask(datadir, "send", {"hex": text})
    except RefusedError as error:
        if as_json:
            typer.echo(json.dumps({"accepted": False, "rule": error.code, "text": str(error)}))
            raise typer.Exit(1) from error
        if error.code == "bad-hex":
            raise ConfigError(str(error)) from error
        raise
    if as_json:
        typer.echo(json.dumps({"accepted": True, **answer}))
        return
    typer.echo(answer["txid"])
    if answer["already"]:
        typer.echo("it waits for a block already, and is kept as your own from now on", err=True)


def mempool(
    every: Annotated[bool, typer.Option("--all", help="List the transactions, with their ids.")] = False,
    datadir: DatadirOption = DEFAULT_DATADIR,
    as_json: JsonOption = False,
) -> None:
    """Show what waits for a block at a running node.

    Example: obscura mempool --datadir a --all
    """
    answer = ask(datadir, "mempool", {"all": every})
    if as_json:
        typer.echo(json.dumps(answer))
        return
    if not answer["on"]:
        typer.echo("this node relays no transactions: start it with --relay")
        return
    if not answer["ready"]:
        typer.echo(f"the coin view is being made (height {answer['coins_height']}); nothing is taken before")
        return
    typer.echo(
        f"{answer['waiting']} transaction{'' if answer['waiting'] == 1 else 's'} of {answer['size']:,} vB "
        f"in {show_bytes(answer['memory'])} of memory, "
        f"{answer['own']} of them your own; least fee {answer['floor']} satoshis for 1,000 vB"
    )
    if every and answer["transactions"]:
        table = Table()
        for column in ("id", "vB", "fee", "for 1,000 vB", "age", ""):
            table.add_column(column, no_wrap=True)
        for row in answer["transactions"]:
            mark = "own" if row["own"] else ""
            figures = (row["size"], row["fee"], row["rate"], f"{row['age_s']} s")
            table.add_row(row["txid"], *map(str, figures), mark)
        # Ids are to be copied whole, however narrow the terminal.
        Console(highlight=False, width=max(120, Console().width)).print(table)


def transaction_text(argument: str) -> str:
    """The hexadecimal digits that an argument names: itself, a file (``@FILE``) or standard input (``-``).

    Raises:
        ConfigError: there is no such file, or it is longer than any transaction.
    """
    if not is_elsewhere(argument):
        return argument
    where, data = read_elsewhere(argument, _TEXT_BYTES)
    if len(data) > _TEXT_BYTES:
        raise ConfigError(f"{where} is longer than any transaction that is relayed")
    try:
        return data.decode("ascii").strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{where} must hold a transaction in hexadecimal digits") from None
