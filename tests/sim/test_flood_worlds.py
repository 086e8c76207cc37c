"""Floods by one attacker with many addresses, in small worlds: honest links stay, and the chain is followed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from obscura.base.errors import ConfigError
from obscura.base.instant import minutes, seconds
from obscura.node import NodeConfig
from obscura.sim.botnet import Tactics
from obscura.sim.crowd import CrowdOptions
from obscura.sim.eclipse import attacker_addresses, without
from obscura.sim.flood import CALM_KIND, KINDS, FloodOptions, Newcomer, flood
from obscura.sim.siege import Siege
from obscura.wire.target import Mode

FEW = {"minutes": 4.0, "addresses": 90, "groups": 20, "slots": 60}


@pytest.mark.parametrize("kind", KINDS)
def test_honest_links_stay_and_blocks_come(kind: str) -> None:
    outcome = flood(FloodOptions(kind=kind, **FEW), 1)  # type: ignore[arg-type]
    # One beyond the slots may have been there, and have ended as the least useful.
    assert outcome.outbound_kept >= 0.9
    assert outcome.inbound_kept >= 0.9
    assert outcome.in_time == 1
    assert 0 < outcome.ping_ms < 500


def test_calm_is_calm() -> None:
    outcome = flood(FloodOptions(kind=CALM_KIND, minutes=4), 2)
    assert (outcome.inbound_kept, outcome.outbound_honest, outcome.foreign) == (1, 1, 0)
    assert outcome.lag_s < 5


@pytest.mark.parametrize("kind", [CALM_KIND, "loris"])
def test_a_newcomer_finds_a_slot_that_is_free(kind: str) -> None:
    """Where all are taken one newcomer takes the place of another, the youngest."""
    outcome = flood(replace(FloodOptions(kind=kind, **FEW), slots=60), 1)  # type: ignore[arg-type]
    assert outcome.entered == 1
    assert outcome.entry_s < 30


@pytest.mark.slow
def test_protection_keeps_honest_links_in_a_storm() -> None:
    options = FloodOptions(kind="evict", **FEW)  # type: ignore[arg-type]
    assert flood(options, 1).inbound_kept >= 0.9
    assert flood(replace(options, defences=without(["protection"])), 1).inbound_kept < 0.5


@pytest.mark.parametrize("off", [[], ["eviction"]])
def test_eviction_lets_newcomers_in_where_all_slots_are_held(off: list[str]) -> None:
    config = NodeConfig(
        network="memory", user_agent="/Obscura:sim/", transport=Mode.PLAIN, inbound_slots=20, defences=without(off)
    )
    siege = Siege(1, config, CrowdOptions(citizens=1, visit=minutes(100_000)))
    siege.victim.start()
    botnet = siege.besiege(attacker_addresses(10, 40), Tactics(links=20, press=seconds(0.5)))
    siege.run(minutes(3))
    assert len(siege.inbound) == 20
    # He holds what he has, and does not come again: who dials on is another flood.
    botnet.awake = False
    newcomer = Newcomer(0, siege, siege.world.time)
    newcomer.start()
    siege.run(minutes(3))
    assert (newcomer.entered is None) is bool(off)
    assert len(siege.inbound) == 20


def test_the_rate_of_addresses_bounds_what_a_spammer_leaves() -> None:
    options = replace(FloodOptions(kind="spam", **FEW), minutes=2)  # type: ignore[arg-type]
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
