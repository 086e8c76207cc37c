"""The bounds on what peers make a node hold, driven to their maximum against a node process; short form.

The long form is ``python scripts/memory.py``.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memory_scenarios import SCENARIOS
from memory_stage import Result

QUICK = ("half_blocks", "low_work")
"""Run with every suite; the others when slow tests run."""


@pytest.mark.parametrize(
    "scenario",
    [pytest.param(one, id=one.__name__, marks=() if one.__name__ in QUICK else pytest.mark.slow) for one in SCENARIOS],
)
def test_a_node_stays_within_its_bound(scenario: Callable[..., Result]) -> None:
    result = scenario(full=False)
    assert result.peak <= result.bound, result
    assert result.pings > 0
