"""Tables and figures."""

from __future__ import annotations

import builtins
import csv
import io
import re
from collections.abc import Callable
from typing import Any

import pytest

from obscura.base.errors import ConfigError
from obscura.lab import report
from obscura.lab.findings import Finding, exactly
from obscura.lab.statistics import Estimate

FOUND = [
    exactly(1, "line, <stem>", "precision", 0.1, Estimate(0.0255, 0.0003), 0.0256, 0.005),
    exactly(1, "line, <stem>", "precision", 0.2, Estimate(0.5, 0.0003), 0.0805, 0.005),
    Finding(5, "one", "recall", 0.1, Estimate(0.11, 0.001), low=0.1, given=0.0),
    Finding(5, "other", "recall", 0.1, Estimate(0.12, 0.001), low=0.1, given=0.0),
    Finding(16, "links", "seconds", 0.0, Estimate(2.5, 0.1)),
    Finding(9, "embargo", "p", None, Estimate(0.5, 0.0), low=0.01),
]


def test_columns_are_as_wide_as_they_must_be() -> None:
    assert report.table(("a", "long"), [("xyz", "1"), ("", "22")]) == ["a    long", "xyz  1", "     22"]
    assert report.table(("a",), []) == ["a"]


def test_cells() -> None:
    cells = report.finding_cells(FOUND)
    assert cells[0] == [
        "1", "line, <stem>", "precision at 0.1", "0.0255 ± 0.0003", "0.0256", "0.0050", "holds"
    ]  # fmt: skip
    assert cells[1][-1] == "FAILS"
    assert cells[4] == ["16", "links", "seconds at 0", "2.5000 ± 0.1000", "", "", ""]
    assert cells[5] == ["9", "embargo", "p", "0.5000", "≥ 0.01", "", "holds"]


def test_values_for_programs() -> None:
    values = report.as_values(FOUND)
    assert values[1]["holds"] is False
    assert values[4]["holds"] is None
    assert (values[2]["low"], values[2]["high"]) == (0.1, None)


def test_comma_separated() -> None:
    rows = list(csv.DictReader(io.StringIO(report.as_csv(FOUND))))
    assert rows[0]["setup"] == "line, <stem>"
    assert (rows[0]["low"], rows[2]["high"], rows[5]["at"]) == ("0.0256", "", "")
    assert [row["verdict"] for row in rows] == ["holds", "FAILS", "holds", "holds", "", "holds"]


def test_a_figure_for_what_has_an_axis_and_one_floor_for_all() -> None:
    drawn = {figure.title: [curve.name for curve in figure.curves] for figure in report.figures(FOUND)}
    assert drawn == {
        "Row 1: precision": ["line, <stem>", "line, <stem>, published"],
        "Row 5: recall": ["one", "other", "floor"],
        "Row 16: seconds": ["links"],
    }


def page() -> str:
    """The page of all findings."""
    return report.as_html(
        "A & B", ["note <1>"], report.FINDING_HEAD, report.finding_cells(FOUND), report.figures(FOUND)
    )


def test_a_page_loads_nothing_and_is_the_same_each_time() -> None:
    text = page()
    assert text == page()
    assert len(text) > 1_000_000, "the script is inside"
    assert "<h1>A &amp; B</h1>" in text
    assert "note &lt;1&gt;" in text
    assert text.count('<tr class="fails">') == 1
    outside = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)\s*=\s*[\"']?(?:https?:)?//", re.IGNORECASE)
    assert not outside.search(text)
    assert not re.search(r"<script[^>]*\bsrc\b", text)
    assert all(f'id="figure-{number}"' in text for number in range(3))


def test_without_the_library_a_page_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("plotly"):
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match=r"obscura\[lab\]"):
        page()
