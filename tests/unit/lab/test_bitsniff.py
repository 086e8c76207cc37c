"""Volume over time against block times."""

from __future__ import annotations

import dataclasses

import pytest
from recorded import course

from obscura.base.randomness import Chance
from obscura.lab.bitsniff import WAITS_S, around_blocks, sniff, together, try_course
from obscura.lab.observed import Course
from obscura.lab.statistics import exponential_fit


def chance(seed: int = 1) -> Chance:
    """The stream of a test."""
    return Chance.from_seed(seed)


def courses(peaks: int, count: int = 40) -> list[Course]:
    """Courses with peaks at their blocks."""
    return [course(world, 0, peaks, chance(world)) for world in range(count)]


def shuffled(found: list[Course]) -> list[Course]:
    """The same volumes with other block times."""
    return [
        dataclasses.replace(one, blocks=tuple(sorted(chance(one.world + 2_000).sample(range(len(one.volume)), 6))))
        for one in found
    ]


def test_planted_peaks_are_found() -> None:
    found = sniff(courses(9_000), 5, chance())
    assert (found.tested, found.passed_over) == (40, 0)
    assert found.found is not None
    assert found.found.hits == 40
    assert found.p is not None
    assert found.p < 1e-6
    assert found.auc is not None
    assert found.auc.low > 0.8
    assert found.excess is not None
    assert found.excess.value == pytest.approx(9_000, rel=0.1)
    assert found.excess.low < found.excess.value < found.excess.high


def test_shuffled_block_times_show_nothing() -> None:
    ps: list[float] = []
    for wait in WAITS_S:
        found = sniff(shuffled(courses(9_000)), wait, chance())
        assert found.auc is not None
        assert found.auc.low < 0.5 < found.auc.high
        assert found.found is not None
        assert found.found.low < 0.01
        ps += found.ps
    assert 0.4 < sum(ps) / len(ps) < 0.6
    assert sum(p <= 0.1 for p in ps) <= 24


def test_p_values_are_uniform_without_a_tie() -> None:
    ps = [trial.p for one in shuffled(courses(0, 150)) if (trial := try_course(one, 5)) is not None]
    gaps = [abs(p - (at + 0.5) / len(ps)) for at, p in enumerate(sorted(ps))]
    assert max(gaps) < 0.133  # Kolmogorov and Smirnov's at .01
    assert exponential_fit([1 + p for p in ps], 1.5).p < 0.01, "the test can fail"


def test_by_hand() -> None:
    volume = [0] * 100
    volume[10] = volume[11] = 50
    trial = try_course(Course(1, 1, tuple(volume), (10,)), 2)
    assert trial is not None
    assert trial.p == 0.01
    assert trial.above == 1.0
    assert trial.excess == 50 - 1
    late = try_course(Course(1, 1, tuple(volume), (11,)), 2)
    assert late is not None
    # Shifts by -2, -1 and 0 see something; that by -1 sees all.
    assert late.p == 0.03
    assert late.above == pytest.approx((97 + 1 / 2) / 99)


def test_seconds_after_the_end_are_those_of_the_begin() -> None:
    trial = try_course(Course(1, 1, (7, *[0] * 99), (99,)), 2)
    assert trial is not None
    assert trial.excess == pytest.approx(7 / 2 - 7 / 100)


def test_constant_volume_says_nothing() -> None:
    flat = [Course(world, 0, (1_000,) * 300, (50, 200)) for world in range(10)]
    found = sniff(flat, 30, chance())
    assert found.ps == (1.0,) * 10
    assert found.p == 1.0
    assert found.auc == (0.5, 0.5, 0.5)
    assert found.excess == (0.0, 0.0, 0.0)


def test_courses_that_cannot_be_tested_are_passed_over() -> None:
    volume = tuple(range(200))
    assert try_course(Course(1, 1, volume, ()), 5) is None
    assert try_course(Course(1, 1, volume, (-1, 200)), 5) is None
    assert try_course(Course(1, 1, volume[:99], (3,)), 5) is None
    assert try_course(Course(1, 1, volume, (3,)), 120) is None
    assert try_course(Course(1, 1, volume, (3,)), 100) is not None
    found = sniff([Course(1, 1, volume, ()), Course(2, 1, volume, (3,))], 5, chance())
    assert (found.tested, found.passed_over, len(found.ps)) == (1, 1, 1)


def test_nothing_to_test() -> None:
    for none in ([], [Course(1, 1, (5,) * 200, ())]):
        found = sniff(none, 5, chance())
        assert (found.tested, found.passed_over) == (0, len(none))
        assert (found.found, found.p, found.auc, found.excess) == (None, None, None, None)
        assert around_blocks(none, chance()) == ()


def test_one_seed_gives_one_result() -> None:
    assert sniff(courses(900), 5, chance()) == sniff(courses(900), 5, chance())


def test_several_courses_together() -> None:
    assert together([0.05]) == pytest.approx(0.05)
    # x (1 - ln x) for the product x of two
    assert together([0.1, 0.5]) == pytest.approx(0.05 * (1 + 2.995732))
    assert together([1.0, 1.0]) == 1.0


def test_volume_around_blocks() -> None:
    volume = [10] * 200
    volume[100] = 500
    found = around_blocks([Course(1, 1, tuple(volume), (100,)), Course(2, 1, tuple(volume), (100, 150))], chance())
    means = {at.second: at.volume for at in found}
    assert (min(means), max(means)) == (-30, 99)
    assert means[0].value == pytest.approx((500 + 500 + 10) / 3)
    assert means[0].low < means[0].high
    assert means[1].value == 10
    # After 49 s the last block's course has ended, and after 99 s all have.
    assert means[60].value == 10
    assert -50 not in means
