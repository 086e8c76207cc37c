"""Write docs/limits.md from the table in obscura.base.limits."""

from __future__ import annotations

from pathlib import Path

from obscura.base.limits import LIMITS

HEAD = """# Limits

Every number that bounds something, with its reason. Made from `src/obscura/base/limits.py` by `scripts/limits_doc.py`;
a test keeps both equal.

| limit | value | unit | reason |
|---|---|---|---|
"""


def render() -> str:
    """The document's text."""
    return HEAD + "".join(f"| {one.name} | {one.value:,} | {one.unit} | {one.reason} |\n" for one in LIMITS)


if __name__ == "__main__":
    Path(__file__).resolve().parent.parent.joinpath("docs", "limits.md").write_text(render())
