"""A simulated world asks nobody for the time, draws no entropy, and depends on no order that Python does not keep."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import obscura.sim

SOURCES = sorted(Path(obscura.sim.__file__).parent.rglob("*.py"))
OUTSIDE = {
    "asyncio",
    "datetime",
    "os",
    "pathlib",
    "random",
    "secrets",
    "select",
    "selectors",
    "socket",
    "ssl",
    "threading",
    "time",
    "uuid",
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_world_but_the_simulated_one(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names):
                imported = {name.name.partition(".")[0] for name in names}
            case ast.ImportFrom(module=str(module), level=0):
                imported = {module.partition(".")[0]}
            case ast.ImportFrom(module=str(module)):
                assert module != "aio", path
                continue
            case ast.Call(func=ast.Name(id="hash" | "id" | "set" | "frozenset")) | ast.Set() | ast.SetComp():
                pytest.fail(f"{path.name}:{node.lineno} depends on memory addresses or hash order")
            case _:
                continue
        assert not imported & OUTSIDE, path


def test_there_are_sources() -> None:
    assert len(SOURCES) >= 6
