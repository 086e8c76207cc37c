"""The mix of faults that a seed draws."""

from __future__ import annotations

from dataclasses import replace

import pytest

from obscura.base.errors import ConfigError
from obscura.base.randomness import Chance
from obscura.sim.faults import ADVERSARIES, FAULTS, NO_FAULTS, FaultOptions, draw_faults

SEEDS = range(60)


def draw(seed: int, faults: tuple[str, ...] | None = None, kinds: tuple[str, ...] | None = None) -> FaultOptions:
    return draw_faults(Chance.from_seed(seed), faults, kinds)


def test_every_fault_and_kind_is_sometimes_on_and_sometimes_off() -> None:
    drawn = [draw(seed) for seed in SEEDS]
    for name in FAULTS:
        on = sum(name in options.on for options in drawn)
        assert 0 < on < len(drawn), name
    for name in ADVERSARIES:
        assert 0 < sum(name in options.adversaries for options in drawn) < len(drawn), name
    assert len({options.on for options in drawn}) > len(drawn) // 2, "most seeds have a mix of their own"


def test_naming_faults_changes_no_strength() -> None:
    for seed in SEEDS:
        everything, drawn = draw(seed, FAULTS, ADVERSARIES), draw(seed)
        assert everything.on == FAULTS
        assert everything.adversaries == ADVERSARIES
        assert drawn == draw(seed, drawn.on, drawn.adversaries) or "one-sided" not in drawn.on
        only = draw(seed, ("crashes",), ())
        assert only.on == ("crashes",)
        assert only.crash_every == everything.crash_every
        assert only.share == only.power == 0


def test_each_fault_is_described() -> None:
    lines = draw(1, FAULTS, ADVERSARIES).describe()
    for name in FAULTS:
        assert any(line.startswith(f"{name}:") for line in lines), name
    assert NO_FAULTS.describe() == []
    assert draw(1, (), ()).on == ()


@pytest.mark.parametrize("wrong", [{"share": 0.6}, {"power": -0.1}, {"one_sided": 2.0}, {"adversaries": ("saint",)}])
def test_impossible_mixes(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        replace(NO_FAULTS, **wrong)


def test_names_that_do_not_exist() -> None:
    with pytest.raises(ConfigError, match="los"):
        draw(1, ("los",))
    with pytest.raises(ConfigError, match="saint"):
        draw(1, None, ("saint",))
