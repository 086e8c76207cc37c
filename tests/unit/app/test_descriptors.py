"""File descriptors: what the node keeps for itself."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from obscura.app.descriptors import fitted
from obscura.app.settings import Settings
from obscura.base.errors import ConfigError
from obscura.base.limits import FD_RESERVE

OWN = FD_RESERVE + Settings().outbound + 1
"""Of a node that names one peer."""
SETTINGS = Settings(connect=("1.2.3.4:5",))


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The soft and the hard limit, as if they were the system's."""
    kept = [0, 0]

    def put(_kind: int, both: tuple[int, int]) -> None:
        kept[:] = both

    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(kept))
    monkeypatch.setattr(resource, "setrlimit", put)
    return kept  # type: ignore[return-value]


@pytest.mark.parametrize("hard", [OWN + 114, 100_000, resource.RLIM_INFINITY])
def test_the_limit_is_raised(limits: list[int], hard: int) -> None:
    limits[:] = [OWN, hard]
    assert fitted(SETTINGS) == SETTINGS
    assert limits == [OWN + 114, hard]


def test_a_large_limit_is_left_alone(limits: list[int]) -> None:
    limits[:] = [5_000, 5_000]
    assert fitted(SETTINGS) == SETTINGS
    assert limits == [5_000, 5_000]
    limits[:] = [resource.RLIM_INFINITY, resource.RLIM_INFINITY]
    assert fitted(SETTINGS) == SETTINGS


@pytest.mark.parametrize("left", [0, 1, 113])
def test_a_low_one_costs_inbound_slots(limits: list[int], left: int) -> None:
    limits[:] = [20, OWN + left]
    assert fitted(SETTINGS).inbound == left
    assert limits[0] == OWN + left


def test_too_low_a_one_is_refused(limits: list[int]) -> None:
    limits[:] = [20, OWN - 1]
    with pytest.raises(ConfigError, match=f"{OWN - 1} open files are allowed.*needs {OWN}"):
        fitted(SETTINGS)
