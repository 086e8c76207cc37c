"""File descriptors: what the node keeps for itself."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from obscura.app.descriptors import fitted
from obscura.app.settings import Settings
from obscura.base.errors import ConfigError
from obscura.base.limits import FD_RESERVE, LOBBY_LINKS, LOBBY_PER_GROUP

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


@pytest.mark.parametrize("hard", [OWN + 114 + LOBBY_LINKS, 100_000, resource.RLIM_INFINITY])
def test_the_limit_is_raised(limits: list[int], hard: int) -> None:
    limits[:] = [OWN, hard]
    assert fitted(SETTINGS) == (SETTINGS, LOBBY_LINKS)
    assert limits == [OWN + 114 + LOBBY_LINKS, hard]


@pytest.mark.parametrize(("left", "lobby"), [(0, 16), (16, 16), (17, 17), (LOBBY_LINKS - 1, LOBBY_LINKS - 1)])
def test_a_lower_one_costs_the_lobby(limits: list[int], left: int, lobby: int) -> None:
    limits[:] = [20, OWN + 114 + left]
    assert fitted(SETTINGS) == (SETTINGS, lobby)


def test_a_large_limit_is_left_alone(limits: list[int]) -> None:
    limits[:] = [5_000, 5_000]
    assert fitted(SETTINGS) == (SETTINGS, LOBBY_LINKS)
    assert limits == [5_000, 5_000]
    limits[:] = [resource.RLIM_INFINITY, resource.RLIM_INFINITY]
    assert fitted(SETTINGS) == (SETTINGS, LOBBY_LINKS)


@pytest.mark.parametrize("left", [0, 1, 113])
def test_a_low_one_costs_inbound_slots(limits: list[int], left: int) -> None:
    limits[:] = [20, OWN + left]
    settings, lobby = fitted(SETTINGS)
    assert (settings.inbound, lobby) == (left, LOBBY_PER_GROUP)
    assert limits[0] == OWN + left


@pytest.mark.parametrize(("listen", "classes"), [("0.0.0.0:5", 1), ("[::]:5", 2), ("[fc00::1]:5", 2)])
def test_each_class_that_may_come_has_its_own(limits: list[int], listen: str, classes: int) -> None:
    settings = Settings(connect=("1.2.3.4:5",), listen=listen)
    limits[:] = [20, 100_000]
    assert fitted(settings) == (settings, LOBBY_LINKS)
    assert limits[0] == OWN + classes * (114 + LOBBY_LINKS)
    limits[:] = [20, OWN + classes * (114 + 20)]
    assert fitted(settings) == (settings, 20)
    limits[:] = [20, OWN + classes * 7]
    assert fitted(settings)[0].inbound == 7


def test_too_low_a_one_is_refused(limits: list[int]) -> None:
    limits[:] = [20, OWN - 1]
    with pytest.raises(ConfigError, match=f"{OWN - 1} open files are allowed.*needs {OWN}"):
        fitted(SETTINGS)
