"""The laboratory draws from its seed alone, asks nobody for the time, and depends on no order that Python does not
keep."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import obscura.lab

SOURCES = sorted(Path(obscura.lab.__file__).parent.rglob("*.py"))
OUTSIDE = {"asyncio", "datetime", "numpy", "os", "random", "secrets", "socket", "statistics", "time", "uuid"}

ON_SOCKETS = {"socket_nodes", "socket_observer", "watched_sockets"}
"""They run real nodes: they alone may use an event loop and its sockets. For the time they ask the drivers' clock."""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_chance_comes_from_the_seed(path: Path) -> None:
    outside = OUTSIDE - {"asyncio", "socket"} if path.stem in ON_SOCKETS else OUTSIDE
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names):
                assert not {name.name.partition(".")[0] for name in names} & outside, path
            case ast.ImportFrom(module=str(module), level=0):
                assert module.partition(".")[0] not in outside, path
            case ast.ImportFrom(module=str(module), level=2) if module.partition(".")[0] == "aio":
                assert path.stem in ON_SOCKETS, path
            case ast.ImportFrom(module=str(module), level=1) if module in ON_SOCKETS:
                assert path.stem in ON_SOCKETS, path
            case ast.Call(func=ast.Name(id="hash" | "id" | "set" | "frozenset")) | ast.Set() | ast.SetComp():
                pytest.fail(f"{path.name}:{node.lineno} depends on memory addresses or hash order")
            case _:
                pass


def test_there_are_sources() -> None:
    assert len(SOURCES) >= 12
    assert {path.stem for path in SOURCES} >= ON_SOCKETS
