"""Results for people, for programs, for spreadsheets, and as figures in one file that opens offline."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..base.errors import ConfigError
from .findings import Finding

FINDING_HEAD: Final = ("row", "setup", "measure", "ours ± SE", "published", "tolerance", "verdict")
_CSV_HEAD: Final = ("row", "setup", "measure", "at", "ours", "error", "low", "high", "tolerance", "verdict")
_STYLE: Final = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "td,th{padding:.15em .7em;border-bottom:1px solid #ddd;text-align:left}"
    ".fails{background:#fdd}"
)


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of a figure, with bars for the standard errors."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    error: tuple[float, ...] | None = None
    """``None``: it is published, or a bound, and drawn without marks."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its axes."""

    title: str
    x_title: str
    y_title: str
    curves: tuple[Curve, ...]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of text with columns as wide as they must be."""
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]


def finding_cells(findings: Sequence[Finding]) -> list[list[str]]:
    """Findings as cells, in the order of :data:`FINDING_HEAD`."""
    return [
        [
            str(one.row),
            one.setup,
            one.measure if one.at is None else f"{one.measure} at {one.at:g}",
            with_error(one.ours.mean, one.ours.error),
            one.published,
            f"{one.tolerance:.4f}" if one.given is not None else "",
            one.verdict,
        ]
        for one in findings
    ]


def with_error(mean: float, error: float) -> str:
    """A number and its standard error, if it has one."""
    return f"{mean:.4f} ± {error:.4f}" if error else f"{mean:.4f}"


def as_values(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings for JSON: full precision, ``None`` where there is nothing."""
    return [
        {
            "row": one.row,
            "setup": one.setup,
            "measure": one.measure,
            "at": one.at,
            "ours": one.ours.mean,
            "error": one.ours.error,
            "low": one.low,
            "high": one.high,
            "tolerance": one.tolerance,
            "holds": one.holds if one.verdict else None,
        }
        for one in findings
    ]


def as_csv(findings: Sequence[Finding]) -> str:
    """Findings as comma-separated values, with a head."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_HEAD)
    for one in findings:
        ends = (one.low, one.high, one.tolerance, one.verdict)
        writer.writerow((one.row, one.setup, one.measure, one.at, *one.ours, *ends))
    return text.getvalue()


def figures(findings: Sequence[Finding]) -> list[Figure]:
    """A figure for each row and measure that has an axis, with what is published beside it."""
    groups: dict[tuple[int, str], dict[str, list[Finding]]] = {}
    for one in findings:
        if one.at is not None:
            groups.setdefault((one.row, one.measure), {}).setdefault(one.setup, []).append(one)
    drawn: list[Figure] = []
    for (row, measure), setups in groups.items():
        curves: list[Curve] = []
        bounds: dict[tuple[float, ...], Curve] = {}
        for setup, points in setups.items():
            x = tuple(one.at or 0.0 for one in points)
            curves.append(
                Curve(setup, x, tuple(one.ours.mean for one in points), tuple(one.ours.error for one in points))
            )
            published = tuple(one.low for one in points if one.low is not None)
            if len(published) == len(points):
                # A floor is one for all setups, and drawn once.
                floor = all(one.high is None for one in points)
                bounds.setdefault(published, Curve("floor" if floor else f"{setup}, published", x, published))
        axis = "hops in stem" if row == 16 else "share of spies p"
        drawn.append(Figure(f"Row {row}: {measure}", axis, measure, (*curves, *bounds.values())))
    return drawn


def require_figures() -> Any:
    """The library that draws, an optional extra.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import plotly.graph_objects  # noqa: PLC0415 an optional extra
    except ModuleNotFoundError as error:
        raise ConfigError("figures need an extra: pip install 'obscura[lab]'") from error
    return plotly.graph_objects


def as_html(
    title: str, notes: Sequence[str], head: Sequence[str], rows: Sequence[Sequence[str]], shown: Sequence[Figure]
) -> str:
    """One page with a table and figures, which loads nothing from elsewhere.

    Args:
        title: of the page.
        notes: paragraphs under it.
        head: of the table.
        rows: of the table.
        shown: figures.

    Raises:
        ConfigError: the library that draws is not installed.
    """
    graph = require_figures()
    parts = [f"<p>{html.escape(note)}</p>" for note in notes]
    for number, figure in enumerate(shown):
        drawn = graph.Figure()
        for curve in figure.curves:
            error = None if curve.error is None else {"type": "data", "array": list(curve.error)}
            mode, dash = ("lines", "dot") if curve.error is None else ("lines+markers", "solid")
            drawn.add_scatter(
                x=list(curve.x), y=list(curve.y), error_y=error, name=curve.name, mode=mode, line={"dash": dash}
            )
        drawn.update_layout(
            title=figure.title, xaxis_title=figure.x_title, yaxis_title=figure.y_title, template="plotly_white"
        )
        parts.append(drawn_part(drawn, number))
    return page(title, [*parts, table_part(head, rows)])


def page(title: str, parts: Sequence[str]) -> str:
    """A page of parts that are HTML already, under a title that is not."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>',
            f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>",
            *parts,
            "</body></html>\n",
        ]
    )


def drawn_part(drawn: Any, number: int) -> str:
    """A figure of the library that draws, as a part of a page; figures of a page are numbered from 0."""
    # The script is in the file once; a name of our own keeps one result one file.
    part: str = drawn.to_html(
        full_html=False,
        include_plotlyjs=number == 0,
        div_id=f"figure-{number}",
        config={"displaylogo": False},
        default_height="32em",
    )
    return part


def table_part(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as a part of a page."""
    return "\n".join(
        [
            f"<table><tr>{''.join(f'<th>{html.escape(name)}</th>' for name in head)}</tr>",
            *(_line(row) for row in rows),
            "</table>",
        ]
    )


def _line(row: Sequence[str]) -> str:
    marked = ' class="fails"' if "FAILS" in row else ""
    return f"<tr{marked}>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>"
