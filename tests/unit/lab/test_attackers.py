"""Attackers, and what they are kept from."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from recorded import Traffic, constant, plain, recording

from obscura.base.errors import BugError, ConfigError
from obscura.base.randomness import Chance
from obscura.lab.attackers import (
    Attacker,
    Predictions,
    Split,
    all_classes,
    attack,
    attackers,
    fold_splits,
    material,
    topology_splits,
    two_classes,
)
from obscura.lab.features import features
from obscura.lab.learning import require_learning
from obscura.lab.observed import Activity

CAST = {one.name: one for one in attackers(network=True, trees=10)}


def chance(seed: int = 1) -> Chance:
    """The stream of a test."""
    return Chance.from_seed(seed)


def said(name: str, traffic: Traffic, seed: int = 1, worlds: int = 15) -> Predictions:
    """What an attacker says of all windows, in folds."""
    known = material(recording("test", traffic, worlds=worlds))
    splits = fold_splits(known.worlds, known.topologies, chance(seed))
    return attack(CAST[name], known, all_classes(known), splits, require_learning(), chance(seed))


def test_the_weakest_is_first_and_the_network_is_optional() -> None:
    assert list(CAST) == ["totals", "nearest", "forest", "network"]
    assert [one.name for one in attackers(network=False, trees=10)] == ["totals", "nearest", "forest"]


@pytest.mark.parametrize(
    ("name", "least"),
    # A burst at a random moment is far from one at another moment, for who compares sums over time.
    [("totals", 0.9), ("nearest", 0.5), ("forest", 0.9), ("network", 0.6)],
)
def test_what_is_plain_is_seen(name: str, least: float) -> None:
    found = said(name, plain)
    assert np.mean(found.truth == found.guess) > least
    assert found.chances.shape == (75, 5)
    assert np.allclose(found.chances.sum(axis=1), 1)


@pytest.mark.parametrize("name", CAST)
def test_what_is_constant_is_not(name: str) -> None:
    found = said(name, constant)
    assert np.mean(found.truth == found.guess) == pytest.approx(0.2, abs=0.07)


@pytest.mark.parametrize("name", CAST)
def test_one_seed_gives_one_answer(name: str) -> None:
    first, again = said(name, plain), said(name, plain)
    assert np.array_equal(first.chances, again.chances)
    assert not np.array_equal(first.chances, said(name, plain, seed=2).chances)


def test_no_world_is_in_training_and_test() -> None:
    known = material(recording("test", constant, worlds=23, topologies=3))
    splits = fold_splits(known.worlds, known.topologies, chance())
    assert len(splits) == 5
    asked = np.concatenate([one.test for one in splits])
    assert sorted(asked.tolist()) == list(range(len(known.worlds)))
    for one in splits:
        assert not np.isin(known.worlds[one.train], known.worlds[one.test]).any()
        assert len(one.train) + len(one.test) == len(known.worlds)
        assert np.unique(known.topologies[one.test]).tolist() == [0, 1, 2]


def test_a_world_in_two_topologies_is_in_one_fold() -> None:
    worlds = np.repeat(np.arange(10), 4)
    topologies = np.tile([0, 0, 1, 1], 10)
    for one in fold_splits(worlds, topologies, chance()):
        assert not np.isin(worlds[one.train], worlds[one.test]).any()


def test_few_worlds_make_few_folds() -> None:
    assert len(fold_splits(np.array([1, 1, 2, 3]), np.zeros(4, dtype=np.int64), chance())) == 3
    with pytest.raises(BugError):
        fold_splits(np.array([1, 1]), np.zeros(2, dtype=np.int64), chance())


def test_a_topology_that_is_asked_about_is_new() -> None:
    known = material(recording("test", constant, worlds=9, topologies=3))
    splits = topology_splits(known.worlds, known.topologies, chance())
    assert [np.unique(known.topologies[one.test]).tolist() for one in splits] == [[0], [1], [2]]
    for one in splits:
        assert not np.isin(known.topologies[one.train], known.topologies[one.test]).any()
        assert not np.isin(known.worlds[one.train], known.worlds[one.test]).any()
        assert len(one.train) == 30


def test_so_it_is_where_topologies_share_worlds() -> None:
    worlds = np.repeat(np.arange(10), 4)
    topologies = np.tile([0, 0, 1, 1], 10)
    splits = topology_splits(worlds, topologies, chance())
    asked = np.concatenate([one.test for one in splits])
    assert sorted(asked.tolist()) == list(range(40))
    for one in splits:
        assert len(one.train)
        assert not np.isin(topologies[one.train], topologies[one.test]).any()
        assert not np.isin(worlds[one.train], worlds[one.test]).any()


def test_a_single_topology_leaves_nothing_to_train_on() -> None:
    assert topology_splits(np.array([1, 2]), np.array([0, 0]), chance()) == []


def test_a_question_leaves_other_windows_out() -> None:
    known = material(recording("test", plain, worlds=6))
    task = two_classes(known, Activity.OWN, (Activity.IDLE, Activity.BLOCK))
    assert task is not None
    assert task.classes == ("own", "idle+block")
    assert [np.count_nonzero(task.labels == side) for side in (-1, 0, 1)] == [12, 6, 12]
    splits = fold_splits(known.worlds, known.topologies, chance())
    found = attack(CAST["totals"], known, task, splits, require_learning(), chance())
    assert len(found.truth) == 18
    assert np.array_equal(found.worlds, known.worlds[task.labels >= 0])


def test_a_question_without_a_class_is_not_asked() -> None:
    known = material(recording("test", plain, worlds=6, activities=(Activity.IDLE, Activity.SYNC)))
    assert two_classes(known, Activity.OWN, (Activity.IDLE,)) is None
    assert two_classes(known, Activity.SYNC, (Activity.IDLE,)) is not None


def test_sets_begin_with_the_ones_before() -> None:
    one = recording("test", plain, worlds=3)
    found = material(one).features
    raw = features(one.windows, one.window_s)
    assert np.allclose(found["detailed"], np.sign(raw) * np.log1p(np.abs(raw)))
    assert np.array_equal(found["totals"], found["detailed"][:, :4])
    assert np.array_equal(found["cumulative"], found["detailed"][:, :204])


class Strict:
    """A classifier that notes what it was trained on, and knows that class alone."""

    trained: list[list[int]]

    def __init__(self) -> None:
        self.trained = []

    def fit(self, values: Any, labels: Any) -> None:
        """Note."""
        self.trained.append(labels.tolist())
        self.classes_ = np.unique(labels)

    def predict_proba(self, values: Any) -> Any:
        """Each class alike."""
        return np.full((len(values), len(self.classes_)), 1 / len(self.classes_))


def test_a_class_that_was_not_in_training_has_no_chance() -> None:
    known = material(recording("test", plain, worlds=2, activities=(Activity.IDLE, Activity.SYNC, Activity.OWN)))
    strict = Strict()
    attacker = Attacker("strict", "totals", lambda library, seed: strict)
    split = Split(np.array([0, 1]), np.array([5, 3]))
    found = attack(attacker, known, all_classes(known), [split], require_learning(), chance())
    assert strict.trained == [[0, 1]]
    assert found.truth.tolist() == [0, 2]
    assert found.chances.tolist() == [[0.5, 0.5, 0.0]] * 2


def test_too_little_to_train_on() -> None:
    with pytest.raises(ConfigError, match="two worlds"):
        material(recording("test", plain, worlds=1))
    with pytest.raises(ConfigError, match="two activities"):
        material(recording("test", plain, worlds=3, activities=(Activity.OWN,)))
    known = material(recording("test", plain, worlds=2))
    with pytest.raises(BugError):
        attack(CAST["totals"], known, all_classes(known), [], require_learning(), chance())


def test_without_the_library_an_audit_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("sklearn"):
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match=r"obscura\[lab\]"):
        require_learning()
