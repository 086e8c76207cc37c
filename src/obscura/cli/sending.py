"""Transactions: handing one in, and looking at what waits for a block."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from ..app.shapes import show_bytes
from ..base.errors import ConfigError
from ..base.limits import TX_BYTES
from ..control.client import RefusedError, ask
from .columns import columns
from .options import DEFAULT_DATADIR, DatadirOption, JsonOption, is_elsewhere, read_elsewhere

_TEXT_BYTES = 2 * TX_BYTES + 2
_LOOK_S = 0.2
_UNDER_WAY = ("private", "handed", "waiting", "stemmed")
_STAGES = {
    "private": "it waits for private broadcast: no recipient has confirmed it yet",
    "handed": "it was handed over privately, and has not been seen since",
    "waiting": "it waits for a stem peer, an outbound, encrypted link that has lasted for a while, with room for it",
    "stemmed": "it was given to a stem peer, and has not been seen since",
    "fluffed": "this node tells everybody itself: it did not come back in time, or there was no stem peer",
    "seen": "it came back from the network: it spreads",
    "confirmed": "a block holds it",
    "expired": "no block has taken it in two weeks, and it waits no longer: send it again",
    "gone": "what it spends is not there any more: a block may hold it, or something that contradicts it",
    "dropped": "it was taken back before it was seen",
    "refused": "it cannot spread any more: something contradicts it, or the least fee has risen",
}


def send(
    transaction: Annotated[
        str, typer.Argument(metavar="HEX", help="A whole signed transaction in hexadecimal; @FILE or - reads it.")
    ],
    datadir: DatadirOption = DEFAULT_DATADIR,
    private: Annotated[
        bool,
        typer.Option(
            "--private",
            help="Broadcast it privately: handed to strangers by Tor or I2P, each over a connection of its own.",
        ),
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, max=86_400, help="Follow it for so many seconds, until it spreads, and show how.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Hand a transaction to a running node: it is checked, kept while it waits, and sent on its way by stem, so that it
    spreads from somewhere else.

    Prints its id, or the rule that it breaks (exit code 1); on standard error, how far it has come as far as the node
    may know. Sent again, the same transaction shows how far it has come since.

    Example: obscura send --datadir a --wait 60 @payment.hex
    """
    text = transaction_text(transaction)
    try:
        answer = ask(datadir, "send", {"hex": text, "private": private})
    except RefusedError as error:
        if as_json:
            typer.echo(json.dumps({"accepted": False, "rule": error.code, "text": str(error)}))
            raise typer.Exit(1) from error
        if error.code == "bad-hex":
            raise ConfigError(str(error)) from error
        raise
    if not as_json:
        typer.echo(answer["txid"])
        if answer["already"]:
            typer.echo("it waits already", err=True)
        if answer["fell_back"]:
            typer.echo("not privately: it goes by stem, as neither Tor nor I2P is in use, or went before", err=True)
        typer.echo(_STAGES.get(answer["stage"], answer["stage"]), err=True)
    began = time.monotonic()
    while answer["stage"] in _UNDER_WAY and (passed := time.monotonic() - began) < wait:
        time.sleep(min(_LOOK_S, wait - passed))
        stage = ask(datadir, "sent", {"txid": answer["txid"]})["stage"]
        if stage != answer["stage"]:
            if answer["stage"] == "private" and stage in ("waiting", "stemmed", "fluffed"):
                answer["fell_back"] = True
                if not as_json:
                    typer.echo("not privately: nobody could be reached by Tor or I2P, so it goes by stem", err=True)
            answer["stage"] = stage
            if not as_json:
                typer.echo(f"after {time.monotonic() - began:.1f} s: {_STAGES.get(stage, stage)}", err=True)
    if as_json:
        typer.echo(json.dumps({"accepted": True, **answer}))
    if answer["stage"] in ("refused", "gone", "expired", "dropped"):
        raise typer.Exit(1)


def broadcasts(
    drop: Annotated[
        str | None, typer.Option(metavar="ID", help="Take a transaction back: it is not handed to anybody from now on.")
    ] = None,
    datadir: DatadirOption = DEFAULT_DATADIR,
    as_json: JsonOption = False,
) -> None:
    """Show which of your transactions wait for private broadcast at a running node, and how far each is. One leaves the
    list when it comes back from the network, or a block holds it.

    Example: obscura broadcasts --datadir a
    """
    if drop is not None:
        try:
            answer = ask(datadir, "drop_broadcast", {"txid": drop})
        except RefusedError as error:
            if error.code == "bad-txid":
                raise ConfigError(str(error)) from error
            raise
        typer.echo(json.dumps(answer) if as_json else "taken back; who has it already may spread it all the same")
        return
    rows = ask(datadir, "broadcasts", {})
    if as_json:
        typer.echo(json.dumps(rows))
        return
    if not rows:
        typer.echo("no transaction waits for private broadcast")
        return
    shown = [("id", "age", "confirmed", "under way", "")]
    for row in rows:
        if row["waits_for_parent"]:
            then = "waits for one that it spends from"
        elif row["nobody"]:
            then = "no way leads to Tor or I2P now, or nobody is known there"
        elif row["next_in_s"] is None:
            then = "before the ledger, or with a recipient"
        else:
            then = f"next step in {row['next_in_s']} s"
        shown.append((row["txid"], f"{row['age_s']} s", str(row["confirmed"]), str(row["under_way"]), then))
    typer.echo(columns(shown))


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
        # Ids are to be copied whole, however narrow the terminal.
        shown = [("id", "vB", "fee", "for 1,000 vB", "age", "")]
        for row in answer["transactions"]:
            figures = (row["size"], row["fee"], row["rate"], f"{row['age_s']} s")
            shown.append((row["txid"], *map(str, figures), "own" if row["own"] else ""))
        typer.echo(columns(shown))


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
