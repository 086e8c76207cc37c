"""Files that an operator gives about peers: addresses to begin with, and which of them belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..base.errors import ConfigError
from ..base.limits import ASMAP_BYTES, SEEDS_BYTES
from ..peers.asmap import ASMap, ASMapError
from ..wire.address import AddressError, NetAddress, Network, parse_address
from ..wire.target import refuse_secrets
from .settings import Settings

SEEDS_NAME: Final = "seeds.txt"


def read_asmap(settings: Settings, datadir: Path) -> ASMap | None:
    """The map that is set.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    if not settings.asmap:
        return None
    path = datadir / settings.asmap
    try:
        return ASMap(_read(path, "asmap", ASMAP_BYTES))
    except ASMapError as error:
        msg = f"asmap: {path}: {error}"
        raise ConfigError(msg) from error


def read_seeds(settings: Settings, datadir: Path) -> tuple[NetAddress, ...]:
    """The addresses in the file of seeds: one a line, ``#`` begins a comment. Without a setting, and without a file of
    the usual name, there are none: names are never looked up, as DNS would tell others who runs a node.

    Raises:
        ConfigError: it cannot be read, or a line is no address; the text names the line.
    """
    path = datadir / (settings.seeds or SEEDS_NAME)
    if not settings.seeds and not path.exists():
        return ()
    try:
        lines = _read(path, "seeds", SEEDS_BYTES).decode().splitlines()
    except UnicodeDecodeError as error:
        msg = f"seeds: {path} is no text"
        raise ConfigError(msg) from error
    found: dict[NetAddress, None] = {}
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            refuse_secrets(text)
            address = parse_address(text)
            if address.port == 0 and address.network is not Network.I2P:
                raise AddressError(f"{text!r}: port 0 cannot be dialled")
            found[address] = None
        except AddressError as error:
            msg = f"seeds: {path}, line {number}: {error}"
            raise ConfigError(msg) from error
    return tuple(found)


def _read(path: Path, name: str, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        msg = f"{name}: {path} cannot be read: {error.strerror}"
        raise ConfigError(msg) from error
    if len(data) > most:
        msg = f"{name}: {path} has more than {most} bytes"
        raise ConfigError(msg)
    return data
