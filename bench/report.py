"""Tables of results, as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``ratio`` is against the table's baseline, measured in the same run; ``aim`` is what it should be."""

    what: str
    value: float
    unit: str
    ratio: float | None
    aim: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """The results of one benchmark."""

    name: str
    title: str
    rows: tuple[Row, ...]

    def text(self) -> str:
        """For people, as a Markdown table."""
        lines = [f"### {self.title}", "", "| | value | unit | ratio | aim |", "|---|---:|---|---:|---|"]
        for row in self.rows:
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
            lines.append(f"| {row.what} | {_number(row.value)} | {row.unit} | {ratio} | {row.aim} |")
        return "\n".join(lines) + "\n"

    def json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
