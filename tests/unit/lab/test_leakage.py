"""How much guesses say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from obscura.base.errors import BugError
from obscura.base.randomness import Chance
from obscura.lab.attackers import Predictions
from obscura.lab.intervals import Interval, clopper_pearson
from obscura.lab.leakage import area, blind_guess, chance_level, entropy, information, leak, question, rate
from obscura.lab.resampling import Worlds
from obscura.lab.verdicts import Verdict, either, strongest, verdict

CLASSES = ("a", "b", "c", "d")


def chance(seed: int = 1) -> Chance:
    """The stream of a test."""
    return Chance.from_seed(seed)


def guesses(right: float, *, worlds: int = 50, each: int = 8, classes: int = 4, seed: int = 1) -> Predictions:
    """Guesses that are right with this probability, and random otherwise; each world has windows of all classes."""
    rng = np.random.default_rng(seed)
    truth = np.tile(np.arange(each) % classes, worlds)
    guess = np.where(rng.random(len(truth)) < right, truth, rng.integers(0, classes, len(truth)))
    chances = np.eye(classes)[guess] * 0.5 + 0.5 / classes
    return Predictions("test", CLASSES[:classes], truth, guess, chances, np.repeat(np.arange(worlds), each))


def scores(positive: list[float], negative: list[float]) -> Predictions:
    """Scores of the first of two classes."""
    chances = np.array(positive + negative)
    truth = np.array([0] * len(positive) + [1] * len(negative))
    table = np.stack((chances, 1 - chances), axis=1)
    return Predictions("test", ("a", "b"), truth, np.argmax(table, axis=1), table, np.arange(len(truth)) % 10)


def test_guesses_that_say_nothing() -> None:
    found = leak(guesses(0.0), None, 3, chance())
    assert found.accuracy.low <= 0.25 <= found.accuracy.high
    assert found.information.low == 0
    assert found.information.high < 0.1
    assert found.p > 0.05
    assert found.elsewhere is None


def test_guesses_that_say_a_little() -> None:
    found = leak(guesses(0.3), guesses(0.1, seed=2), 3, chance())
    assert 0.25 < found.accuracy.low < 0.475 < found.accuracy.high < 0.6
    assert found.information.low > 0
    assert found.p == 0.001
    assert found.elsewhere is not None
    assert found.elsewhere.value < found.accuracy.low


def test_guesses_that_say_everything() -> None:
    found = leak(guesses(1.0), None, 1, chance())
    assert found.accuracy == pytest.approx((1.0, 0.025 ** (1 / 50), 1.0))
    assert found.information == pytest.approx((2.0, 2.0, 2.0), abs=0.01)
    assert found.information.high <= 2.0
    assert found.confusion == ((100, 0, 0, 0), (0, 100, 0, 0), (0, 0, 100, 0), (0, 0, 0, 100))


def test_rows_of_a_confusion_are_what_is_true() -> None:
    said = Predictions(
        "test", ("a", "b"), np.array([0, 0, 1]), np.array([1, 1, 1]), np.full((3, 2), 0.5), np.array([1, 2, 3])
    )
    assert leak(said, None, 1, chance()).confusion == ((0, 2), (0, 1))


def test_more_attackers_make_wider_intervals() -> None:
    one, many = (leak(guesses(0.3), None, count, chance()).accuracy for count in (1, 20))
    assert many.low < one.low < one.high < many.high


def test_one_seed_gives_one_leak() -> None:
    assert leak(guesses(0.3), None, 2, chance()) == leak(guesses(0.3), None, 2, chance())
    assert leak(guesses(0.3), None, 2, chance()) != leak(guesses(0.3), None, 2, chance(2))


def test_an_interval_holds_chance_as_often_as_it_says() -> None:
    held = sum(
        found.low <= 0.25 <= found.high
        for seed in range(100)
        for found in [leak(guesses(0.0, worlds=20, each=4, seed=seed), None, 1, chance(seed)).accuracy]
    )
    assert 90 <= held <= 99


def test_permutations_stay_within_worlds() -> None:
    # Each world has one class, and is recognised: that is not what the test asks for.
    truth = np.repeat(np.arange(40) % 2, 10)
    said = Predictions("test", ("a", "b"), truth, truth, np.eye(2)[truth], np.repeat(np.arange(40), 10))
    assert chance_level(said, chance()) == 1.0
    assert chance_level(guesses(0.5), chance()) == 0.001


def test_p_is_uniform_if_guesses_say_nothing() -> None:
    ps = [chance_level(guesses(0.0, worlds=12, seed=seed), chance(seed), 99) for seed in range(100)]
    assert 0.4 < sum(ps) / len(ps) < 0.6
    assert sum(p <= 0.1 for p in ps) <= 20


def test_a_rate_by_hand() -> None:
    # Two of 2,000 may pass: the threshold is the third highest, and who has as much as it does not.
    negative = [0.1] * 1_997 + [0.9, 0.8, 0.7]
    found = rate(scores([0.95, 0.75, 0.71, 0.7, 0.2], negative), 0)
    assert (found.activity, found.positives, found.negatives) == ("a", 5, 2_000)
    assert found.share == clopper_pearson(3, 5)


def test_a_rate_of_equal_scores_is_nothing() -> None:
    found = rate(scores([0.5] * 10, [0.5] * 1_000), 0)
    assert found.share == clopper_pearson(0, 10)


def test_a_rate_needs_a_thousand_others() -> None:
    assert rate(scores([0.9] * 5, [0.1] * 999), 0).share is None
    assert rate(scores([0.9] * 5, [0.1] * 1_000), 0).share is not None
    assert rate(scores([0.9] * 2_000, []), 0).share is None
    assert rate(scores([], [0.1] * 2_000), 0).share is None


def test_area_by_hand() -> None:
    said = scores([0.9, 0.5, 0.3], [0.5, 0.1])
    draws = Worlds(said.worlds, chance())
    # 2 + 1.5 + 1 of six pairs
    assert area(said.chances[:, 0], said.truth == 0, draws, 0.95).value == pytest.approx(4.5 / 6)
    with pytest.raises(BugError):
        area(said.chances[:, 0], said.truth == 5, draws, 0.95)


def test_draws_of_an_area_are_areas_of_draws() -> None:
    rng = np.random.default_rng(4)
    values, positive, worlds = rng.random(30), np.arange(30) % 3 == 0, np.arange(30) % 5
    draws = Worlds(worlds, chance(), 1)
    copies = np.concatenate(
        [np.flatnonzero(worlds == world).repeat(int(draws.weights[0, world])) for world in range(5)]
    )
    high, low = values[copies][positive[copies]], values[copies][~positive[copies]]
    drawn = (high[:, None] > low).mean() + (high[:, None] == low).mean() / 2
    found = area(values, positive, draws, 0.95)
    assert pytest.approx(drawn) in (found.low, found.high)


def test_information_by_hand() -> None:
    correction = 1 / (2 * 200 * math.log(2))
    assert information([[50, 50], [50, 50]]) == pytest.approx(0 - correction)
    assert information([[100, 0], [0, 100]]) == pytest.approx(1 + correction)
    assert information([[100, 0], [100, 0]]) == pytest.approx(0)


def test_corrected_information_of_nothing_is_nothing_on_average() -> None:
    found = [
        information(np.bincount(said.truth * 4 + said.guess, minlength=16).reshape(4, 4).tolist())
        for said in (guesses(0.0, seed=seed) for seed in range(200))
    ]
    # Counts alone give 9/(2 400 ln 2) = .016 bits.
    assert sum(found) / 200 == pytest.approx(0, abs=0.002)


def test_blind_guess_and_entropy() -> None:
    labels = np.array([0, 0, 1, 2])
    assert blind_guess(labels) == 0.5
    assert entropy(labels) == pytest.approx(1.5)
    assert str(entropy(np.array([0, 0]))) == "0.0"


def test_a_question_and_its_verdict() -> None:
    nothing = [guesses(0.0, classes=2, worlds=100, seed=seed) for seed in (1, 2)]
    found = question("q", nothing, chance())
    assert (found.windows, found.blind, found.verdict) == ((400, 400), 0.5, Verdict.NO)
    assert found.accuracy == strongest([one.accuracy for one in found.answers])
    assert question("q", [nothing[0], guesses(0.5, classes=2)], chance()).verdict is Verdict.YES
    assert question("q", [guesses(0.0, classes=2, worlds=6)], chance()).verdict is Verdict.OPEN
    with pytest.raises(BugError):
        question("q", [guesses(0.0)], chance())
    with pytest.raises(BugError):
        question("q", [], chance())


def test_a_rare_class_is_seen_by_the_area() -> None:
    rng = np.random.default_rng(1)
    truth = (np.arange(1_000) % 10 != 0).astype(np.int64)
    likely = np.clip(0.1 + 0.05 * rng.normal(size=1_000) + 0.05 * (truth == 0), 0, 0.45)
    table = np.stack((likely, 1 - likely), axis=1)
    said = Predictions("test", ("a", "b"), truth, np.argmax(table, axis=1), table, np.arange(1_000) // 10)
    found = question("q", [said], chance())
    assert found.accuracy.value == found.blind == 0.9
    assert found.auc.low > 0.5
    assert found.verdict is Verdict.YES


def test_verdicts() -> None:
    assert verdict(Interval(0.3, 0.21, 0.4), 0.2) is Verdict.YES
    assert verdict(Interval(0.2, 0.19, 0.3), 0.2) is Verdict.NO
    assert verdict(Interval(0.1, 0.0, 0.15), 0.2) is Verdict.NO
    assert verdict(Interval(0.3, 0.2, 0.4), 0.2) is Verdict.OPEN
    assert either(Verdict.NO, Verdict.OPEN) is Verdict.OPEN
    assert either(Verdict.OPEN, Verdict.YES) is Verdict.YES
    assert either(Verdict.NO, Verdict.NO) is Verdict.NO


def test_the_strongest_has_the_largest_ends() -> None:
    assert strongest([Interval(0.5, 0.2, 0.6), Interval(0.4, 0.3, 0.7)]) == (0.5, 0.3, 0.7)
    with pytest.raises(BugError):
        strongest([])
