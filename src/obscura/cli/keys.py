"""A node's keys, and those of the peers that it knows by name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from ..app.alone import forget_pin_alone
from ..app.compose import network_of
from ..app.settings import load
from ..base.errors import ConfigError, LocalError
from ..control.client import LostNodeError, NoNodeError, RefusedError, ask
from ..store import open_datadir
from ..store.keyfile import KeyFiles
from ..wire.address import AddressError
from ..wire.identity import KeyClass, class_of
from ..wire.keytext import key_text
from ..wire.target import Mode, Target, parse_target, target_text
from .options import DEFAULT_DATADIR, DatadirOption, JsonOption, peer_text

app = typer.Typer(help="A node's keys, and those of its named peers.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def show(datadir: DatadirOption = DEFAULT_DATADIR, as_json: JsonOption = False) -> None:
    """List the public keys by which others know this node, one for each class of networks, and their files.

    Example: obscura key show --datadir s
    """
    files = _files(datadir)
    found = [(of, key) for of in KeyClass if (key := files.load(of)) is not None]
    if as_json:
        rows = [{"class": of.value, "key": key_text(key.public), "file": str(files.path(of))} for of, key in found]
        access = str(files.access_path) if files.load_access() is not None else None
        typer.echo(json.dumps({"keys": rows, "access_secret_file": access}))
        return
    for of, key in found:
        typer.echo(f"{of.value:<9} {key_text(key.public)}  {files.path(of)}")
    if not found:
        typer.echo(f"no keys in {datadir}: a node that does not listen needs none")
    if files.load_access() is not None:
        typer.echo(f"the access secret is in {files.access_path}; obscura key invite shows it")


@app.command()
def rotate(
    of: Annotated[KeyClass, typer.Argument(metavar="CLASS", help="clearnet, onion, i2p or cjdns.")],
    datadir: DatadirOption = DEFAULT_DATADIR,
    as_json: JsonOption = False,
) -> None:
    """Give a key up and make a new one; peers who know the old one will refuse this node until they are told.

    Example: obscura key rotate --datadir s clearnet
    """
    files = _files(datadir)
    if not datadir.is_dir():
        # No directory is made by a typing mistake.
        raise _no_node(datadir)
    with open_datadir(datadir):
        key = files.rotate(of)
    text = key_text(key.public)
    typer.echo(json.dumps({"class": of.value, "key": text}) if as_json else f"the new {of.value} key: {text}")


@app.command()
def forget(
    address: Annotated[str, typer.Argument(help="HOST:PORT of the peer; @FILE or - reads it.")],
    datadir: DatadirOption = DEFAULT_DATADIR,
    as_json: JsonOption = False,
) -> None:
    """Forget the key of a named peer, through the running node, or in the datadir when none runs: the next key that
    answers there is taken.

    Example: obscura key forget --datadir s 203.0.113.7:38333
    """
    try:
        where = parse_target(peer_text(address)).address
    except AddressError as error:
        raise ConfigError(str(error)) from error
    try:
        forgotten = bool(ask(datadir, "forget_pin", {"address": where.reveal()})["forgotten"])
    except LostNodeError:
        # It may have forgotten it, and it may hold the datadir still.
        raise
    except NoNodeError:
        network = network_of(datadir)
        if network is None:
            raise _no_node(datadir) from None
        forgotten = forget_pin_alone(datadir, network, where)
    except RefusedError as error:
        if error.code == "failed":
            raise
        raise ConfigError(str(error)) from error
    if as_json:
        typer.echo(json.dumps({"forgotten": forgotten}))
    elif forgotten:
        typer.echo(f"the key of {where.reveal()} is forgotten: the next one that answers there is taken")
    if not forgotten:
        raise LocalError(f"no key is pinned for {where.reveal()}: nothing was forgotten")


@app.command()
def invite(
    host: Annotated[str, typer.Option("--host", help="HOST:PORT at which others reach this node.")],
    network: Annotated[str | None, typer.Option(help="Of a datadir that no node has used yet.")] = None,
    datadir: DatadirOption = DEFAULT_DATADIR,
    as_json: JsonOption = False,
) -> None:
    """Print the address that lets others in through a keyed listener. Key and access secret are made if there are none.

    Whoever has the address can connect: send it by a private way.

    Example: obscura key invite --datadir s --host 203.0.113.7:38333
    """
    try:
        target = parse_target(host)
    except AddressError as error:
        raise ConfigError(f"--host: {error}") from error
    if target != Target(target.address):
        raise ConfigError("--host: only HOST:PORT, the key and the secret are added here")
    files, of = _files(datadir, network), class_of(target.address.network)
    key, secret = files.obtain(of), files.obtain_access()
    url = target_text(Target(target.address, Mode.VEILED, key.public, secret.raw))
    typer.echo(json.dumps({"url": url, "class": of.value, "key": key_text(key.public)}) if as_json else url)


def _files(datadir: Path, wanted: str | None = None) -> KeyFiles:
    """The key files of the network that the datadir belongs to; of one that no node has used yet, of the settings'."""
    known = network_of(datadir)
    if known is not None and wanted not in (None, known):
        raise ConfigError(f"{datadir} belongs to network {known}, not {wanted}: choose another --datadir")
    return KeyFiles(datadir, known or load(datadir, os.environ, {"network": wanted}).network)


def _no_node(datadir: Path) -> ConfigError:
    return ConfigError(f"{datadir} holds no node: start one with obscura node --datadir {datadir}")
