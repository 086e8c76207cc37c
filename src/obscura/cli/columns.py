"""Rows in columns as wide as what they hold: a terminal that is too narrow wraps them, but cuts nothing off. An address
that is cut off could not be given to the next command."""

from __future__ import annotations

from collections.abc import Sequence


def columns(rows: Sequence[Sequence[str]]) -> str:
    """``rows``, which have equally many cells, as lines of text; the first row may be a head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)
