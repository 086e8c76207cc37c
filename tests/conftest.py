"""Settings that every test shares."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import HealthCheck, settings

# Examples are drawn from a fixed seed so that a failure repeats; CI machines are slow, so no single example is timed.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")

_SLOW_HANG_S: Final = 600
"""A slow test is taken to hang after this; what takes one minute here takes three on a busy machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The limit of time in pyproject.toml is for fast tests."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_SLOW_HANG_S))
