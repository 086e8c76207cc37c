"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

DEFAULT_DATADIR: Final = Path.home() / ".obscura"
DatadirOption = Annotated[
    Path, typer.Option("--datadir", envvar="OBSCURA_DATADIR", help="The data directory of the node.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
