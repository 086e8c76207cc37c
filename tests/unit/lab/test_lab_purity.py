"""The laboratory draws from its seed alone, asks nobody for the time, and depends on no order that Python does not
keep."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import obscura.lab

SOURCES = sorted(Path(obscura.lab.__file__).parent.rglob("*.py"))
OUTSIDE = {"asyncio", "datetime", "os", "random", "secrets", "socket", "statistics", "time", "uuid"}

ARRAYS = {"attackers", "bitsniff", "features", "leakage", "resampling"}
"""Modules that may load NumPy: the rest works without the extra."""
LEARNERS = {"learning"}
"""Modules that may load scikit-learn and what it brings along."""

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


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_arrays_are_where_they_are_needed_and_their_chance_is_seeded(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not faults(tree, arrays=path.stem in ARRAYS, learners=path.stem in LEARNERS), path


@pytest.mark.parametrize(
    "text",
    [
        "import numpy.random",
        "from numpy import random",
        "from numpy.random import default_rng",
        "import numpy as np\nnp.random.default_rng()",
        "import numpy as np\nnp.random.default_rng(None)",
        "import numpy as np\nnp.random.default_rng(seed=None)",
        "import numpy as np\nnp.random.shuffle([])",
        "import numpy as np\nmake = np.random.default_rng",
        "from numpy import *",
        "import numpy",
    ],
)
def test_chance_of_arrays_without_a_seed_is_found(text: str) -> None:
    assert faults(ast.parse(text), arrays=True, learners=False)


def test_arrays_and_learners_are_found_elsewhere() -> None:
    seeded = ast.parse("import numpy as np\nnp.random.default_rng(seed)")
    assert not faults(seeded, arrays=True, learners=False)
    assert faults(seeded, arrays=False, learners=False)
    assert faults(ast.parse("from scipy import stats"), arrays=True, learners=False)


def faults(tree: ast.AST, *, arrays: bool, learners: bool) -> list[str]:
    """What a module has of NumPy and scikit-learn that it may not have; a name for NumPy is always ``np``."""
    allowed: list[ast.AST] = []
    found: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                found += [one.name for one in names if not _may(one.name, one.asname, arrays=arrays, learners=learners)]
            case ast.ImportFrom(module=str(module), level=0) if module.partition(".")[0] in {"numpy", *LEARNING}:
                if module.startswith("numpy") or not learners:
                    found.append(module)
            case ast.Call(func=ast.Attribute(attr="default_rng") as made, args=[seed], keywords=[]):
                if not (isinstance(seed, ast.Constant) and seed.value is None):
                    allowed += [made.value]
            case ast.Attribute(value=ast.Name(id="np"), attr="random"):
                if node not in allowed:
                    found.append(ast.unparse(node))
            case _:
                pass
    return found


LEARNING = ("joblib", "scipy", "sklearn", "threadpoolctl")


def _may(name: str, known_as: str | None, *, arrays: bool, learners: bool) -> bool:
    top = name.partition(".")[0]
    if top == "numpy":
        return arrays and (name, known_as) in {("numpy", "np"), ("numpy.typing", "npt")}
    return learners or top not in LEARNING


def test_there_are_sources() -> None:
    assert len(SOURCES) >= 12
    assert {path.stem for path in SOURCES} >= ON_SOCKETS
