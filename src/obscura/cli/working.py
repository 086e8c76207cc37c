"""Work in many processes, with a bar on standard error if that is a terminal.

The laboratory is imported where it is needed: it takes a tenth of a second, and few commands need it.
"""

# ruff: noqa: PLC0415 see above

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ..base.errors import StoreError

if TYPE_CHECKING:
    from ..lab.workers import Workers

SeedOption = Annotated[int, typer.Option(min=0, help="Draws everything.")]
JobsOption = Annotated[
    int, typer.Option(min=0, max=1_024, help="Processes; 0: one a core. No number depends on it.", show_default=False)
]


def check_files(html: Path | None, *others: Path | None) -> None:
    """Refuse what could not be written, before minutes of work.

    Raises:
        ConfigError: figures are wanted, and the library that draws is missing.
        StoreError: a directory does not exist.
    """
    if html is not None:
        from ..lab.report import require_figures

        require_figures()
    for path in (html, *others):
        if path is not None and not path.absolute().parent.is_dir():
            raise StoreError(f"cannot write {path}: there is no such directory")


def write_text(path: Path, text: str) -> None:
    """Write a report.

    Raises:
        StoreError: the disk refuses.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


@contextlib.contextmanager
def working(seed: int, jobs: int, *, quiet: bool) -> Iterator[tuple[Workers, Callable[[str], None]]]:
    """Workers, and how to say what they are about."""
    from ..lab.workers import Workers

    with telling(quiet=quiet) as tell:
        now = ""

        def about(text: str) -> None:
            nonlocal now
            now = text
            tell(now, 0.0)

        with Workers(seed, jobs or cores(), lambda share: tell(now, share)) as workers:
            yield workers, about


@contextlib.contextmanager
def telling(*, quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """Says what is being done, and how much of it is, from 0 to 1."""
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda text, share: bar.update(task, description=text, completed=share)


def cores() -> int:
    """How many processes work at once without waiting for each other."""
    return os.cpu_count() or 1
