"""Bytes and delays."""

from __future__ import annotations

import pytest
from recorded import plain, recording

from obscura.base.randomness import Chance
from obscura.lab.costs import MONTH_S, bill, delays
from obscura.lab.observed import Cost


def chance(seed: int = 1) -> Chance:
    """The stream of a test."""
    return Chance.from_seed(seed)


def cost(world: int, wire: int, **more: tuple[float, ...] | float | int) -> Cost:
    """A world's cost, of which half is real, a quarter padding, a fifth decoys."""
    known = {"seconds": 10.0, "real": wire // 2, "padding": wire // 4, "decoy": wire // 5}
    late = {"block_delays": (), "relayed_delays": (), "own_delays": ()}
    return Cost(world=world, topology=0, wire=wire, **{**known, **late, **more})  # type: ignore[arg-type]


def test_a_bill_by_hand() -> None:
    found = bill([cost(1, 1_000), cost(2, 2_000), cost(3, 6_000, seconds=20.0)], chance())
    assert found is not None
    assert (found.worlds, found.seconds) == (3, 40.0)
    assert found.rate.value == 225.0
    assert found.rate.low < 225.0 < found.rate.high
    assert found.month == pytest.approx([MONTH_S * end for end in found.rate])
    assert found.per_real == pytest.approx((2.0, 2.0, 2.0))
    assert found.decoys == pytest.approx((0.2, 0.2, 0.2))
    assert found.padding == pytest.approx((0.25, 0.25, 0.25))


def test_more_worlds_are_surer() -> None:
    few, many = (bill(recording("x", plain, worlds=worlds).costs, chance()) for worlds in (5, 50))
    assert few is not None
    assert many is not None
    assert many.rate.high - many.rate.low < (few.rate.high - few.rate.low) / 2


def test_nothing_to_divide_by() -> None:
    assert bill([], chance()) is None
    silent = bill([cost(1, 0)], chance())
    assert silent is not None
    assert silent.rate == (0.0, 0.0, 0.0)
    assert (silent.per_real, silent.decoys, silent.padding) == (None, None, None)


def test_delays_by_hand() -> None:
    costs = [cost(world, 10, block_delays=tuple(float(at + world) for at in range(100))) for world in range(2)]
    (found,) = delays(costs, None, chance())
    assert (found.what, found.arrived) == ("block", 200)
    assert found.median == (50.0, 49.0, 50.0)
    assert found.high == (95.0, 94.0, 95.0)
    assert found.added is None


def test_what_is_added_is_found() -> None:
    slow, fast = (recording("x", plain, worlds=40, late=late, seed=seed).costs for late, seed in ((0.5, 1), (0.0, 2)))
    found = {one.what: one for one in delays(slow, fast, chance())}
    assert list(found) == ["block", "relayed", "own"]
    for one in found.values():
        assert one.added is not None
        assert one.added.low < 0.5 < one.added.high
        assert one.added.low > 0.3
        assert one.median.low < one.median.value < one.median.high
        assert one.median.value == pytest.approx(1.0, abs=0.08)
        assert one.high.value == pytest.approx(1.45, abs=0.03)


def test_what_is_not_added_is_not() -> None:
    one, other = (recording("x", plain, worlds=40, seed=seed).costs for seed in (1, 2))
    for found in delays(one, other, chance()):
        assert found.added is not None
        assert found.added.low < 0 < found.added.high


def test_what_never_arrived_is_not_there() -> None:
    assert delays([cost(1, 10)], None, chance()) == ()
    (found,) = delays([cost(1, 10, own_delays=(3.0,))], [cost(1, 10)], chance())
    assert (found.what, found.median, found.added) == ("own", (3.0, 3.0, 3.0), None)


def test_one_seed_gives_one_result() -> None:
    costs = recording("x", plain).costs
    assert bill(costs, chance()) == bill(costs, chance())
    assert delays(costs, costs, chance()) == delays(costs, costs, chance())
