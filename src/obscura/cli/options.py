"""What several commands share: options, and peers that are named elsewhere than in the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from ..base.errors import ConfigError
from ..base.limits import PEER_TEXT_BYTES

DEFAULT_DATADIR: Final = Path.home() / ".obscura"
DatadirOption = Annotated[
    Path, typer.Option("--datadir", envvar="OBSCURA_DATADIR", help="The data directory of the node.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def peer_text(argument: str) -> str:
    """The peer that an argument names: itself, one line of a file (``@FILE``), or of standard input (``-``).

    Privacy: other users of the machine see arguments, and shells keep them; an access secret belongs in neither.

    Raises:
        ConfigError: there is no such file, or not one line in it; the text quotes nothing of it.
    """
    if not is_elsewhere(argument):
        return argument
    where, data = read_elsewhere(argument, PEER_TEXT_BYTES)
    try:
        lines = data.decode().split()
    except UnicodeDecodeError:
        lines = []
    if len(data) > PEER_TEXT_BYTES or len(lines) != 1:
        raise ConfigError(f"{where} must hold one line with one peer, as obscura key invite prints it")
    return lines[0]


def is_elsewhere(argument: str) -> bool:
    """Whether an argument names a file (``@FILE``) or standard input (``-``)."""
    return argument == "-" or argument.startswith("@")


def read_elsewhere(argument: str, most: int) -> tuple[str, bytes]:
    """What is there, for people, and its content: ``most`` bytes, or one more if it is longer.

    Raises:
        ConfigError: it cannot be read.
    """
    where = "standard input" if argument == "-" else argument[1:]
    try:
        if argument == "-":
            return where, sys.stdin.buffer.read(most + 1)
        with Path(where).open("rb") as file:
            return where, file.read(most + 1)
    except OSError as error:
        raise ConfigError(f"{where} cannot be read: {error.strerror}") from error
