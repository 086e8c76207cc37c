"""Every kept input of every fuzz target still holds, and still reaches what the target is for."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import rig

CORPUS_BYTES = 1_000_000
"""What the repository carries at most, over all targets."""


LONG = "node"
"""Each of its inputs is a whole life of a node."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == LONG else name for name in rig.NAMES]
)
def test_replay(name: str) -> None:
    target = rig.load(name)
    inputs = rig.kept(name)
    assert inputs, f"no kept inputs: scripts/fuzz.py --target {name} --keep"
    missed = rig.missed(target.run, inputs, target.REACHES)
    assert not missed, f"the kept inputs of {name} no longer get into {sorted(missed)}"


def test_replay_of_some_long_ones() -> None:
    target, inputs = rig.load(LONG), rig.kept(LONG)[::5]
    assert len(inputs) > 10
    for data in inputs:
        target.run(data)


@pytest.mark.parametrize("name", rig.NAMES)
def test_seeds_and_the_empty_input(name: str) -> None:
    target = rig.load(name)
    for data in (b"", *target.seeds()):
        assert len(data) <= target.MAX_LEN
        target.run(data)


def test_the_corpus_is_small_and_named_by_content() -> None:
    files = [path for path in rig.CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == set(rig.NAMES)
    assert sum(path.stat().st_size for path in files) < CORPUS_BYTES
    for path in files:
        assert path.name == hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_every_target_states_its_invariant_on_its_first_line() -> None:
    for name in rig.NAMES:
        first = (rig.HERE / f"fuzz_{name}.py").read_text().splitlines()[0]
        assert re.fullmatch(r'"""\S.{40,}\."""', first), f"fuzz_{name}.py"
