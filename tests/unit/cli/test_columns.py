"""Rows in columns."""

from __future__ import annotations

from obscura.cli.columns import columns


def test_each_column_is_as_wide_as_its_widest_cell() -> None:
    rows = [("a", "way", "x"), ("203.0.113.7:8333", "in", ""), ("b", "out, blocks", "y")]
    assert columns(rows).splitlines() == [
        "a                 way          x",
        "203.0.113.7:8333  in",
        "b                 out, blocks  y",
    ]
