"""SIGKILL at a random moment or system call. The long form is ``python scripts/crash.py --kills 200``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from crash_scenarios import SCENARIOS, Stage, run_trial, staged

pytestmark = pytest.mark.slow
SEED = 20


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("stage"), "127.73.1.1", length=2_200, source=700) as made:
        yield made


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_kill_costs_nothing_that_was_reported(stage: Stage, tmp_path: Path, name: str) -> None:
    at_call = list(SCENARIOS).index(name) % 2 == 1
    outcome = run_trial(stage, name, str(SEED), tmp_path / "trial", at_call=at_call)
    print(outcome)
