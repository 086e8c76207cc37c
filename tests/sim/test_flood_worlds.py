"""Floods by one attacker with many addresses, in small worlds: honest links stay, and the chain is followed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from obscura.base.errors import ConfigError
from obscura.sim.eclipse import without
from obscura.sim.flood import CALM_KIND, KINDS, FloodOptions, flood

FEW = {"minutes": 4.0, "addresses": 60, "groups": 20, "slots": 40}


@pytest.mark.parametrize("kind", KINDS)
def test_honest_links_stay_and_blocks_come(kind: str) -> None:
    outcome = flood(FloodOptions(kind=kind, **FEW), 1)  # type: ignore[arg-type]
    assert outcome.outbound_kept == 1
    assert outcome.inbound_kept >= 0.9
    assert outcome.in_time == 1
    assert 0 < outcome.ping_ms < 500
    if kind in (CALM_KIND, "loris"):
        assert outcome.entered == 1
        assert outcome.entry_s < 30


def test_calm_is_calm() -> None:
    outcome = flood(FloodOptions(kind=CALM_KIND, minutes=4), 2)
    assert (outcome.inbound_kept, outcome.outbound_kept, outcome.outbound_honest, outcome.foreign) == (1, 1, 1, 0)
    assert outcome.lag_s < 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name", "measure"),
    [
        ("evict", "protection", "inbound_kept"),
        ("churn", "eviction", "entered"),
    ],
)
def test_what_a_defence_is_worth(kind: str, name: str, measure: str) -> None:
    options = FloodOptions(kind=kind, **FEW)  # type: ignore[arg-type]
    strong = sum(getattr(flood(options, seed), measure) for seed in (1, 2))
    weak = sum(getattr(flood(replace(options, defences=without([name])), seed), measure) for seed in (1, 2))
    assert strong > weak


def test_the_rate_of_addresses_bounds_what_a_spammer_leaves() -> None:
    options = replace(FloodOptions(kind="spam", **FEW), minutes=1)  # type: ignore[arg-type]
    strong = flood(options, 1).foreign
    weak = flood(replace(options, defences=without(["addr_rate"])), 1).foreign
    assert 0 < strong < weak


def test_a_seed_repeats() -> None:
    options = replace(FloodOptions(kind="sybil", **FEW), minutes=1)  # type: ignore[arg-type]
    assert flood(options, 3) == flood(options, 3) != flood(options, 4)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"kind": "rain"}, "no flood is called 'rain': calm, sybil"),
        ({"kind": "sybil", "minutes": 0.5}, "minutes"),
        ({"kind": "sybil", "groups": 9, "addresses": 8}, "at least one in each"),
    ],
)
def test_what_is_impossible(given: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        FloodOptions(**given)  # type: ignore[arg-type]
