"""Attacks that surround a node, in small worlds: with all defences they fail, without any they do not."""

from __future__ import annotations

from typing import Any

import pytest

from obscura.base.errors import ConfigError
from obscura.base.instant import MICROSECONDS, Instant, WallTime
from obscura.base.names import ConnId
from obscura.base.randomness import Chance
from obscura.node import NodeConfig
from obscura.peers.defences import NAMES
from obscura.sim.crowd import CrowdOptions
from obscura.sim.eclipse import (
    DiversityOptions,
    LiveOptions,
    RestartOptions,
    attacker_addresses,
    diversity,
    honest_records,
    live,
    restart,
    without,
)
from obscura.sim.siege import VICTIM, Siege, Tie, Watch

FEW: dict[str, Any] = {"groups": 16, "addresses": 200, "honest": 40, "slots": 20}
"""Small worlds, in which the attacker has five of six addresses."""
NONE = without(NAMES)


def test_live_with_all_defences() -> None:
    outcomes = [live(LiveOptions(hours=0.25, **FEW), seed) for seed in range(3)]
    assert not any(one.taken for one in outcomes)
    # He is there: he holds most of what others may open, and of the book.
    assert all(one.inbound > 0.5 and one.book > 0.5 for one in outcomes)


@pytest.mark.slow
def test_live_without_any_defence_he_wins() -> None:
    outcomes = [live(LiveOptions(session=10, defences=NONE, **FEW), seed) for seed in range(2)]
    assert any(one.taken for one in outcomes)
    assert all(0 <= one.after_s <= 3_600 for one in outcomes if one.taken)
    assert all((one.held > 0) == one.taken and one.held <= 1 for one in outcomes)


class TestWatch:
    """What is noted of a victim whose links come and go; moments are in seconds."""

    @staticmethod
    def watch(honest: list[tuple[float, float]], end: float) -> Watch:
        """One link of the attacker's all the time, and these of the honest."""
        siege = Siege(1, NodeConfig(network="memory", user_agent="/t/"), CrowdOptions(citizens=1))
        siege.ties[ConnId(1)] = Tie(VICTIM, inbound=False, evil=True, since=Instant(0))
        seen = siege.watch()
        moments = sorted({moment for spell in honest for moment in spell if moment < end} | {end})
        for moment in moments:
            siege.world.time = Instant(round(moment * MICROSECONDS))
            siege._look()
            for number, (begin, over) in enumerate(honest, start=2):
                if moment == begin:
                    siege.ties[ConnId(number)] = Tie(VICTIM, inbound=False, evil=False, since=siege.world.time)
                elif moment == over:
                    del siege.ties[ConnId(number)]
            siege._look()
        return seen

    def test_without_a_break(self) -> None:
        seen = self.watch([], 90)
        assert (seen.taken_for, seen.longest) == (90, 90)

    def test_a_link_that_lasts_is_a_break(self) -> None:
        seen = self.watch([(50, 200)], 230)
        assert (seen.taken_for, seen.longest) == (80, 50)

    def test_a_link_that_ends_at_once_is_none(self) -> None:
        seen = self.watch([(at, at + 0.05) for at in range(5, 600, 5)], 600)
        assert 590 < seen.taken_for < 600
        assert seen.longest == 600

    def test_a_link_that_is_still_young_leaves_it_open(self) -> None:
        seen = self.watch([(40, 500)], 80)
        assert (seen.taken_for, seen.longest) == (40, 40)


def test_an_attacker_who_was_there_early() -> None:
    late, early = (live(LiveOptions(hours=0.05, aged=aged, **FEW), 1) for aged in (0.0, 0.5))
    assert late.tried < 0.2 < 0.4 < early.tried < 0.6


@pytest.mark.slow
def test_restart_with_all_defences_and_without() -> None:
    seeds = range(2)
    strong = [restart(RestartOptions(days=0.05, **FEW), seed) for seed in seeds]
    weak = [restart(RestartOptions(days=0.05, defences=NONE, **FEW), seed) for seed in seeds]
    assert not any(one.taken for one in strong)
    assert sum(one.share for one in strong) < sum(one.share for one in weak)
    assert all(one.links > 0 and 0 <= one.tried <= 1 for one in (*strong, *weak))


def test_diversity_bounds_the_share_by_the_groups() -> None:
    options = {"share": 0.8, "groups": 2, "honest": 60, "minutes": 10}
    bounded = [diversity(DiversityOptions(**options), seed) for seed in range(3)]
    free = [diversity(DiversityOptions(defences=without(["diverse_groups"]), **options), seed) for seed in range(3)]
    assert all(one.share * one.links <= 2 for one in bounded)
    assert sum(one.share for one in free) / 3 > 0.5


def test_a_seed_repeats_and_another_one_differs() -> None:
    options = LiveOptions(hours=0.1, **FEW)
    assert live(options, 5) == live(options, 5)
    assert live(options, 5) != live(options, 6)


def test_addresses_are_spread_evenly() -> None:
    addresses = attacker_addresses(3, 10)
    assert len(set(addresses)) == 10
    sizes = [sum(one.group() == first.group() for one in addresses) for first in addresses[:3]]
    assert sorted(sizes) == [3, 3, 4]


def test_what_a_book_begins_with() -> None:
    now = WallTime(1_800_000_000)
    records = honest_records(50, now, Chance.from_seed(1))
    assert len({record.address for record in records}) == 100
    assert sum(record.tried for record in records) == 50
    assert all(record.seen < now and record.tried == (record.succeeded > 0) for record in records)
    assert len({record.address.group() for record in records}) == 100


@pytest.mark.parametrize(
    ("make", "given", "word"),
    [
        (LiveOptions, {"groups": 5, "addresses": 4}, "at least one in each"),
        (LiveOptions, {"groups": 0, "addresses": 4}, "at least one in each"),
        (LiveOptions, {"groups": 1, "addresses": 4, "hours": 0}, "hours"),
        (LiveOptions, {"groups": 1, "addresses": 4, "taint": 1.0}, "shares"),
        (LiveOptions, {"groups": 1, "addresses": 4, "session": 0.0}, "links of"),
        (LiveOptions, {"groups": 1, "addresses": 4, "visit": -1.0}, "links of"),
        (RestartOptions, {"groups": 1, "addresses": 4, "days": 61}, "days"),
        (RestartOptions, {"groups": 1, "addresses": 4, "honest": 0}, "strangers"),
        (DiversityOptions, {"share": 1.0}, "share"),
        (DiversityOptions, {"groups": 0}, "groups"),
    ],
)
def test_what_is_impossible(make: Any, given: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        make(**given)


def test_no_such_defence() -> None:
    with pytest.raises(ConfigError, match="no defence is called 'moat': buckets, "):
        without(["moat"])
