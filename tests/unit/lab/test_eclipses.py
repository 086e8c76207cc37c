"""Sieges that are counted: row 17, variants, repetition."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscura.base.randomness import Chance
from obscura.lab.eclipses import BUCKETS, TOLERANCE, coverage, coverage_finding, covered, variants
from obscura.peers.defences import ALL, NAMES, Defences
from obscura.sim.eclipse import LiveOptions, RestartOptions
from obscura.sim.flood import KINDS, FloodOptions

PUBLISHED = ((8, 0.222), (32, 0.633), (128, 0.982))


@pytest.mark.parametrize(("groups", "published"), PUBLISHED)
def test_row_17(groups: int, published: float) -> None:
    """Heilman et al. 2015: 1 - (255/256)^(8 groups)."""
    assert covered(groups) == pytest.approx(published, abs=0.0006)
    found = coverage_finding(groups, [coverage(groups, Chance.from_seed(seed)) for seed in range(6)])
    assert found.holds, f"{found.ours} and not {found.published}"
    assert found.given == TOLERANCE


@settings(max_examples=10)
@given(st.integers(1, 40), st.integers(0, 1 << 30))
def test_coverage_is_a_share_that_eight_buckets_a_group_bound(groups: int, seed: int) -> None:
    share = coverage(groups, Chance.from_seed(seed))
    assert 1 / BUCKETS <= share <= min(1, 8 * groups / BUCKETS)
    assert share == coverage(groups, Chance.from_seed(seed))


def test_variants_switch_off_one_each_and_then_all() -> None:
    found = variants(LiveOptions(groups=4, addresses=8))
    assert list(found) == ["all defences", *(f"without {name}" for name in NAMES), "none at all"]
    assert found["all defences"].defences == ALL
    for name in NAMES:
        off = found[f"without {name}"].defences
        assert [one for one in NAMES if not getattr(off, one)] == [name]
    assert not any(getattr(found["none at all"].defences, name) for name in NAMES)


def test_variants_of_what_lacks_some_already() -> None:
    given = RestartOptions(groups=4, addresses=8, defences=Defences(buckets=False))
    found = variants(given, ("buckets", "anchors"))
    assert list(found) == ["as given", "without anchors as well", "none at all"]


def test_what_matters_to_a_flood_are_defences() -> None:
    for name, kind in KINDS.items():
        assert set(kind.matters) <= set(NAMES), name
        assert FloodOptions(kind=name).kind == name
