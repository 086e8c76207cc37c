"""Whom a running node keeps away."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ..base.errors import ConfigError, LocalError
from ..control.client import ask
from ..peers.bans import parse_subject
from ..wire.address import AddressError
from .columns import columns
from .options import DEFAULT_DATADIR, DatadirOption, JsonOption, peer_text

_HOUR_S = 3_600
_DAY_S = 24 * _HOUR_S
SubjectArgument = Annotated[
    str,
    typer.Argument(
        metavar="SUBJECT",
        help="An IP address, a subnet ADDRESS/BITS, an onion or I2P host (a port is left out); @FILE or - reads it.",
    ),
]


def ban(
    subject: SubjectArgument,
    hours: Annotated[int | None, typer.Option(min=1, help="How long; 24 if nothing is said.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="How long.")] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Until obscura unban.")] = False,
    datadir: DatadirOption = DEFAULT_DATADIR,
    as_json: JsonOption = False,
) -> None:
    """Have a running node keep a host or a subnet away: links with it end at once, and none begin.

    Example: obscura ban --datadir s 203.0.113.0/24 --days 7
    """
    if (hours is not None) + (days is not None) + forever > 1:
        raise ConfigError("say one of --hours, --days and --forever")
    values: dict[str, Any] = {"subject": _canonical(subject)}
    if forever:
        values["seconds"] = None
    elif hours is not None or days is not None:
        values["seconds"] = (hours or 0) * _HOUR_S + (days or 0) * _DAY_S
    row = ask(datadir, "ban", values)
    if as_json:
        typer.echo(json.dumps(row))
    elif row["until"] is None:
        typer.echo(f"{row['subject']} is kept away until: obscura unban {row['subject']}")
    else:
        typer.echo(f"{row['subject']} is kept away until {_moment(row['until'])}")


def unban(
    subject: SubjectArgument,
    datadir: DatadirOption = DEFAULT_DATADIR,
    as_json: JsonOption = False,
) -> None:
    """Take a ban back, or the node's own discouragement. The subject is named as obscura bans shows it.

    Example: obscura unban --datadir s 203.0.113.0/24
    """
    answer = ask(datadir, "unban", {"subject": _canonical(subject)})
    if as_json:
        typer.echo(json.dumps(answer))
    elif answer["unbanned"]:
        typer.echo(f"{answer['subject']} is let in again")
    wider = ", ".join(answer["still_in"])
    if not answer["unbanned"]:
        raise LocalError(f"nothing was said of {answer['subject']} itself" + (f", but of {wider}" if wider else ""))
    if wider and not as_json:
        typer.echo(f"but {wider} is still kept away, or discouraged")


def bans(datadir: DatadirOption = DEFAULT_DATADIR, as_json: JsonOption = False) -> None:
    """List whom a running node keeps away, with their addresses: by your word, or because they broke the rules.

    Example: obscura bans --datadir s
    """
    rows: list[dict[str, Any]] = ask(datadir, "bans")
    if as_json:
        typer.echo(json.dumps(rows))
        return
    if not rows:
        typer.echo("no bans")
        return
    shown = [("subject", "kind", "until", "left")]
    for row in rows:
        ends = row["until"] is not None
        until, left = (_moment(row["until"]), _span(row["left_s"])) if ends else ("obscura unban", "-")
        shown.append((row["subject"], row["kind"], until, left))
    typer.echo(columns(shown))


def _canonical(argument: str) -> str:
    """What an argument names, as the node writes it: a mistake shows before a node is asked."""
    try:
        return parse_subject(peer_text(argument)).reveal()
    except AddressError as error:
        raise ConfigError(str(error)) from error


def _moment(wall: int) -> str:
    return f"{datetime.fromtimestamp(wall, UTC):%Y-%m-%d %H:%M} UTC"


def _span(seconds: int) -> str:
    if seconds >= _DAY_S:
        return f"{seconds // _DAY_S} d {seconds % _DAY_S // _HOUR_S} h"
    if seconds >= _HOUR_S:
        return f"{seconds // _HOUR_S} h {seconds % _HOUR_S // 60} min"
    return f"{-(-seconds // 60)} min"
