"""Work in many processes, with a bar on standard error if that is a terminal.

The laboratory is imported where it is needed: it takes a tenth of a second, and few commands need it.
"""

# ruff: noqa: PLC0415 see above

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from ..lab.workers import Workers

SeedOption = Annotated[int, typer.Option(min=0, help="Draws everything.")]
JobsOption = Annotated[
    int, typer.Option(min=0, max=1_024, help="Processes; 0: one a core. No number depends on it.", show_default=False)
]


@contextlib.contextmanager
def working(seed: int, jobs: int, *, quiet: bool) -> Iterator[tuple[Workers, Callable[[str], None]]]:
    """Workers, and how to say what they are about."""
    from ..lab.workers import Workers

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=1.0)

        def about(text: str) -> None:
            bar.update(task, description=text, completed=0.0)

        with Workers(seed, jobs or os.cpu_count() or 1, lambda share: bar.update(task, completed=share)) as workers:
            yield workers, about
