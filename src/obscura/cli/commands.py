"""All commands, by what they do: running (here), asking, banning, importing, mining, devnets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .. import __version__
from ..app.compose import run_loop, run_node
from ..app.descriptors import fitted
from ..app.logs import configure
from ..app.settings import load
from ..wire.address import NetAddress
from . import asking, auditing, banning, demonstrating, devnet, importing, keys, mining, sending, simulating
from .options import DEFAULT_DATADIR, DatadirOption, peer_text

app = typer.Typer(
    name="obscura",
    help="A privacy-first peer-to-peer node. Start with: obscura devnet",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"obscura {__version__}")
        raise typer.Exit


def _from_here(path: str | None) -> str | None:
    """A file that was named on the command line, where the shell is; settings mean the datadir."""
    return str(Path(path).absolute()) if path else path


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """A privacy-first peer-to-peer node. Start with: obscura devnet"""


@app.command()
def node(
    network: Annotated[str | None, typer.Option(help="bitcoin, testnet4, signet or regtest.")] = None,
    datadir: DatadirOption = DEFAULT_DATADIR,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT; HOST alone draws a port and keeps it.")] = None,
    connect: Annotated[
        list[str] | None, typer.Option(help="A peer: HOST:PORT, obscura://KEY@HOST:PORT, @FILE; again for more.")
    ] = None,
    tor: Annotated[
        bool | None, typer.Option("--tor", help="Dial by Tor, and have an onion service; starts a tor of its own.")
    ] = None,
    tor_socks: Annotated[str | None, typer.Option(help="HOST:PORT of a running Tor's SOCKS port.")] = None,
    tor_control: Annotated[str | None, typer.Option(help="HOST:PORT of a running Tor's control port.")] = None,
    onion: Annotated[
        bool | None, typer.Option(help="Have an onion service. Default: where Tor can be told to.")
    ] = None,
    i2p_sam: Annotated[str | None, typer.Option(help="HOST:PORT of an I2P router's SAM bridge.")] = None,
    i2p_listen: Annotated[bool | None, typer.Option(help="Let others reach us by I2P.")] = None,
    onlynet: Annotated[
        list[str] | None, typer.Option(help="Use this network alone: ipv4, ipv6, onion, i2p, cjdns; again for more.")
    ] = None,
    proxy: Annotated[
        str | None, typer.Option(help="How IP addresses are dialled: direct, tor, or HOST:PORT of a SOCKS5 proxy.")
    ] = None,
    transport: Annotated[
        str | None, typer.Option(help="veiled (encrypted from the first byte), literal, or plain.")
    ] = None,
    shaping: Annotated[
        str | None,
        typer.Option(help="pad (sizes and times are rounded a little), cover (and decoys), steady, or off."),
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS=PROFILE",
            help="Another profile for named, onion, i2p, cjdns, clearnet, inbound or outbound links, as named=steady.",
        ),
    ] = None,
    cover_rate: Annotated[int | None, typer.Option(help="Bytes a second of decoys on each link under cover.")] = None,
    cover_share: Annotated[
        int | None, typer.Option(help="Percent of what a link sends that decoys beyond that may be.")
    ] = None,
    cover_delay_ms: Annotated[int | None, typer.Option(help="How long cover holds a message at most.")] = None,
    steady_lowest: Annotated[
        int | None, typer.Option(help="Bytes a second at which steady begins on each link: 1024, and times 4.")
    ] = None,
    steady_highest: Annotated[int | None, typer.Option(help="And at most.")] = None,
    steady_total: Annotated[
        int | None,
        typer.Option(help="Bytes a second up to which steady's rates may rise, of all inbound links together."),
    ] = None,
    steady_epoch: Annotated[int | None, typer.Option(help="Seconds for which a rate of steady stays at least.")] = None,
    first_packet: Annotated[
        str | None, typer.Option(help="How dials begin: random, or printable, against some censors.")
    ] = None,
    listener: Annotated[
        str | None, typer.Option(help="open, or keyed: only who has an `obscura key invite` is answered.")
    ] = None,
    keep_key: Annotated[
        bool | None, typer.Option(help="Keep the clearnet key when the public address changes.")
    ] = None,
    discover: Annotated[bool | None, typer.Option(help="Learn addresses from peers and dial them.")] = None,
    outbound: Annotated[int | None, typer.Option(help="Outbound links besides named peers.")] = None,
    inbound: Annotated[int | None, typer.Option(help="Links that others may open.")] = None,
    asmap: Annotated[
        str | None, typer.Option(help="A file that maps addresses to autonomous systems, to spread links over them.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="A file of addresses to begin with, one a line.")] = None,
    relay: Annotated[
        bool | None, typer.Option(help="Relay transactions; keeps a view of all coins. Default: not on bitcoin.")
    ] = None,
    no_stem: Annotated[
        str | None,
        typer.Option(help="Own transactions without a stem peer: fluff (told after ten minutes), wait, or now."),
    ] = None,
    private: Annotated[
        bool | None, typer.Option("--private", help="Broadcast own transactions privately, by Tor or I2P.")
    ] = None,
    private_fallback: Annotated[
        str | None, typer.Option(help="Private broadcasts while no Tor or I2P leads anywhere: stem, or never.")
    ] = None,
    stem_hop_ms: Annotated[
        int | None, typer.Option(help="What a step of a stem takes here; lost stems are waited for accordingly.")
    ] = None,
    stem_age: Annotated[int | None, typer.Option(help="Seconds until an outbound link may carry stems.")] = None,
    stem_trace: Annotated[
        bool | None, typer.Option("--stem-trace", help="Regtest: write every step of every stem to stems.jsonl.")
    ] = None,
    allow_local: Annotated[bool | None, typer.Option(help="Gossip loopback addresses too.")] = None,
    minimum_work: Annotated[str | None, typer.Option(help="Hex: least work of a chain to download.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_json: Annotated[bool | None, typer.Option(help="Log lines as JSON.")] = None,
) -> None:
    """Run a node until Ctrl-C, SIGTERM or `obscura stop`.

    Settings come from obscura.toml in the datadir, then OBSCURA_… in the environment, then the options.

    Example: obscura node --network signet --datadir s --connect 203.0.113.7:38333
    """
    given: dict[str, Any] = {
        "network": network,
        "listen": listen,
        "connect": tuple(map(peer_text, connect)) if connect else None,
        "tor": tor,
        "tor_socks": tor_socks,
        "tor_control": tor_control,
        "onion": onion,
        "i2p_sam": i2p_sam,
        "i2p_listen": i2p_listen,
        "onlynet": tuple(onlynet) if onlynet else None,
        "proxy": proxy,
        "transport": transport,
        "shaping": shaping,
        "shape": tuple(shape) if shape else None,
        "cover_rate": cover_rate,
        "cover_share": cover_share,
        "cover_delay_ms": cover_delay_ms,
        "steady_lowest": steady_lowest,
        "steady_highest": steady_highest,
        "steady_total": steady_total,
        "steady_epoch": steady_epoch,
        "first_packet": first_packet,
        "listener": listener,
        "keep_key": keep_key,
        "discover": discover,
        "outbound": outbound,
        "inbound": inbound,
        "asmap": _from_here(asmap),
        "seeds": _from_here(seeds),
        "relay": relay,
        "no_stem": no_stem,
        "private": private,
        "private_fallback": private_fallback,
        "stem_hop_ms": stem_hop_ms,
        "stem_age": stem_age,
        "stem_trace": stem_trace,
        "allow_local": allow_local,
        "minimum_work": minimum_work,
        "log_level": log_level,
        "log_json": log_json,
    }
    settings = load(datadir, os.environ, given)
    configure(settings.log_level, as_json=settings.log_json)
    settings, lobby_links = fitted(settings)
    console = Console(stderr=True, highlight=False)

    def ready(address: NetAddress | None) -> None:
        where = f"listening on {address.reveal()}" if address is not None else "not listening"
        console.print(f"obscura {__version__} on {settings.network}, {where}; Ctrl-C stops it", soft_wrap=True)

    def heard(name: str, text: str) -> None:
        # Trouble is in the log, as all of it.
        if not name.endswith(("-trouble", "-ended")) and (name != "tor-progress" or text.startswith("Tor is at 100")):
            console.print(text, soft_wrap=True, markup=False)

    run_loop(run_node(settings, datadir, ready, lobby_links, heard))


app.command("import")(importing.import_blocks)
app.command()(asking.status)
app.command()(asking.peers)
app.command()(asking.add)
app.command()(asking.stop)
app.command()(banning.ban)
app.command()(banning.unban)
app.command()(banning.bans)
app.command()(mining.mine)
app.command()(sending.send)
app.command()(sending.mempool)
app.command()(sending.broadcasts)
app.command("devnet")(devnet.devnet)
app.command()(auditing.audit)
app.add_typer(demonstrating.app, name="demo")
app.add_typer(keys.app, name="key")
app.add_typer(simulating.app, name="sim")
