"""Commands that ask a running node."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ..app.shapes import show_bytes
from ..control.client import NoNodeError, ask
from ..wire.address import NetAddress, Network
from .columns import columns
from .options import DEFAULT_DATADIR, DatadirOption, JsonOption, peer_text

_STOP_S = 10
_WAYS = {"blocks": "out, blocks", "feeler": "out, feeler", "named": "out, named"}


def status(datadir: DatadirOption = DEFAULT_DATADIR, as_json: JsonOption = False) -> None:
    """Show where a running node stands.

    Example: obscura status --datadir s --json
    """
    answer = ask(datadir, "status")
    if as_json:
        typer.echo(json.dumps(answer))
        return
    table = Table.grid(padding=(0, 2))
    for name, value in answer.items():
        shown = _relay_line(value) if name == "relay" else _shaping_line(value) if name == "shaping" else str(value)
        if name == "reached_at":
            shown = "\n".join(value) or "nowhere: nothing listens, or nobody is told"
        table.add_row("transactions" if name == "relay" else name.replace("_", " "), shown)
    Console(highlight=False).print(table)


def _relay_line(relay: dict[str, Any]) -> str:
    """The transactions' part of the picture, in a line."""
    if not relay["on"]:
        return "not relayed (see --relay)"
    if not relay["ready"]:
        return f"the coin view is being made: height {relay['coins_height']}"
    return f"{relay['waiting']} wait for a block, {relay['own']} of them your own; links that relay: {relay['links']}"


def _shaping_line(shaping: dict[str, Any]) -> str:
    """What shaping has cost, in a line."""
    links = ", ".join(f"{count} {name}" for name, count in shaping["links"].items()) or "none"
    ways = []
    for way in ("out", "in"):
        real, padding, decoy = (show_bytes(shaping[way][kind]) for kind in ("real", "padding", "decoy"))
        ways.append(f"{way}: {real} of messages, {padding} of padding, {decoy} of decoys")
    return f"links: {links}; {'; '.join(ways)}"


def peers(
    datadir: DatadirOption = DEFAULT_DATADIR,
    as_json: JsonOption = False,
    sessions: Annotated[bool, typer.Option("--sessions", help="Only addresses and the sessions' whole names.")] = False,
) -> None:
    """List the links of a running node, with their addresses.

    Example: obscura peers --datadir s
    """
    rows: list[dict[str, Any]] = ask(datadir, "peers")
    if as_json:
        typer.echo(json.dumps(rows))
        return
    if not rows:
        typer.echo("no peers")
        return
    if sessions:
        # Security: whole names. Who sits between can choose the beginning of one of his two.
        for row in rows:
            typer.echo(f"{row['address']}  {_session(row)}")
        return
    shown = [("address", "way", "link", "shape", "state", "height", "ping", "in", "out", "agent")]
    for row in rows:
        shown.append(
            (
                "(somebody, by Tor)" if row["address"] == _SOMEBODY else row["address"],
                "in" if row["inbound"] else _WAYS.get(row["purpose"], "out"),
                _link(row),
                _shape(row),
                row["state"],
                "-" if row["state"] != "open" else str(max(row["known_height"], row["claimed_height"])),
                "-" if row["ping_ms"] is None else f"{row['ping_ms']:.1f} ms",
                show_bytes(row["bytes_in"]),
                show_bytes(row["bytes_out"]),
                # A peer chose this text: only what can be shown safely is shown.
                "".join(char if char.isprintable() else "?" for char in row["user_agent"])[:40],
            )
        )
    typer.echo(columns(shown))


_SOMEBODY = NetAddress(Network.TORV3, bytes(32), 0).reveal()
"""Who has come by our onion service."""


def _link(row: dict[str, Any]) -> str:
    """How a link is protected, once that is known."""
    if row["encrypted"]:
        return str(row["transport"])
    return "clear" if row["state"] == "open" else "-"


def _shape(row: dict[str, Any]) -> str:
    """The profile of our side, and its rate where it has one."""
    if row["rate"] is None:
        return row["shaping"] or "-"
    return f"{row['shaping']}, {row['rate'] // 1_024} KiB/s"


def _session(row: dict[str, Any]) -> str:
    if row["encrypted"]:
        return str(row["session"])
    return "in clear" if row["state"] == "open" else "no handshake yet"


def add(
    address: Annotated[
        str,
        typer.Argument(
            metavar="PEER", help="HOST:PORT or obscura://KEY@HOST:PORT; @FILE or - reads it, for one with a secret."
        ),
    ],
    datadir: DatadirOption = DEFAULT_DATADIR,
    as_json: JsonOption = False,
) -> None:
    """Have a running node connect to a peer, and keep it connected until the node stops.

    Example: obscura add --datadir s 203.0.113.7:38333
    """
    answer = ask(datadir, "add", {"address": peer_text(address)})
    typer.echo(json.dumps(answer) if as_json else f"the peer is named; see: obscura peers --datadir {datadir}")


def stop(datadir: DatadirOption = DEFAULT_DATADIR, as_json: JsonOption = False) -> None:
    """Stop a running node and wait until it has ended.

    Example: obscura stop --datadir s
    """
    ask(datadir, "stop")
    deadline = time.monotonic() + _STOP_S
    while time.monotonic() < deadline:
        try:
            ask(datadir, "status", timeout_s=1)
        except NoNodeError:
            break
        time.sleep(0.05)
    else:
        typer.echo(f"the node on {datadir} is still stopping", err=True)
        raise typer.Exit(1)
    typer.echo(json.dumps({"stopped": True}) if as_json else "stopped")
