"""Attackers on the traffic of a link, the weakest first, and how they are trained without seeing what they are asked.

1. *totals*: a random forest on four numbers, bytes and writes of each direction. What it can tell, anybody can.
2. *nearest*: k-nearest neighbours on cumulative sizes, as in CUMUL (Panchenko et al., NDSS 2016), scaled.
3. *forest*: a random forest (Breiman 2001) on cumulative sizes and more, as k-fingerprinting (Hayes and Danezis 2016).
4. *network*: a small neural network on the same, if it is wanted; it takes longest.

No world is both in training and in test, or an attacker would recognise the world and not the activity: windows come
in folds by world, each of which has worlds of all topologies. The harder test is on a topology of which nothing was in
training. The attackers' own settings are fixed beforehand: nothing is tuned on what is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

from ..base.errors import BugError, ConfigError
from ..base.randomness import Chance
from .features import CUMULATIVE, TOTALS, features
from .learning import Learning
from .observed import Activity, Recording
from .resampling import Floats, Ints

FOLDS: Final = 5
_NEIGHBOURS: Final = 5
_HIDDEN: Final = 64
_ROUNDS: Final = 60  # through all windows; the loss hardly falls any more


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Windows as numbers; all arrays have one row a window."""

    features: dict[str, Floats]
    """By set, as signed logarithms."""
    worlds: Ints
    topologies: Ints
    activities: tuple[Activity, ...]


class Task(NamedTuple):
    """What an attacker is asked: which of some classes a window is of."""

    classes: tuple[str, ...]
    labels: Ints
    """Of each window its class, as an index; -1 for one that is in none and is left out."""


class Split(NamedTuple):
    """Numbers of windows to train on and to be asked about."""

    train: Ints
    test: Ints


@dataclass(frozen=True, slots=True)
class Attacker:
    """A way to guess."""

    name: str
    features: str
    """A key of :attr:`Material.features`."""
    make: Callable[[Learning, int], Any]
    """An untrained classifier, from the library and a seed below 2**32."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What an attacker said of windows that were not in its training; all arrays have one row a window."""

    attacker: str
    classes: tuple[str, ...]
    truth: Ints
    guess: Ints
    """The likeliest class."""
    chances: Floats
    """A column for each class; rows add up to one."""
    worlds: Ints


def material(recording: Recording) -> Material:
    """A recording's windows, in their order, as all attackers' numbers.

    Raises:
        ConfigError: it has windows of less than two worlds, or of a single activity.
    """
    windows = recording.windows
    activities = tuple(one.activity for one in windows)
    worlds = np.array([one.world for one in windows], dtype=np.int64)
    if len(np.unique(worlds)) < 2 or len(dict.fromkeys(activities)) < 2:
        msg = f"{recording.name}: an attacker needs windows of two worlds and of two activities at least"
        raise ConfigError(msg)
    # Each set begins with the ones before it. A sync is a thousand times as large as a ping, hence logarithms.
    raw = features(windows, recording.window_s)
    values = np.sign(raw) * np.log1p(np.abs(raw))
    return Material(
        {"totals": values[:, :TOTALS], "cumulative": values[:, :CUMULATIVE], "detailed": values},
        worlds,
        np.array([one.topology for one in windows], dtype=np.int64),
        activities,
    )


def all_classes(known: Material) -> Task:
    """Which activity it is, of those that occur."""
    occurring = [one for one in Activity if one in known.activities]
    return Task(
        tuple(one.value for one in occurring),
        np.array([occurring.index(one) for one in known.activities], dtype=np.int64),
    )


def two_classes(known: Material, first: Activity, second: Sequence[Activity]) -> Task | None:
    """Whether it is one activity or one of some others; ``None`` if either side has no windows in two worlds."""
    labels = np.array([0 if one is first else 1 if one in second else -1 for one in known.activities], dtype=np.int64)
    if any(len(np.unique(known.worlds[labels == side])) < 2 for side in (0, 1)):
        return None
    return Task((first.value, "+".join(one.value for one in second)), labels)


def attackers(*, network: bool, trees: int) -> tuple[Attacker, ...]:
    """All of them, the weakest first; forests of so many trees, and the neural network only if it is wanted."""
    forest = partial(_forest, trees)
    known = (
        Attacker("totals", "totals", forest),
        Attacker("nearest", "cumulative", _Nearest),
        Attacker("forest", "detailed", forest),
    )
    return (*known, Attacker("network", "detailed", _Network)) if network else known


def fold_splits(worlds: Ints, topologies: Ints, chance: Chance) -> list[Split]:
    """:data:`FOLDS` splits, or as many as there are worlds; each window is asked about once.

    Worlds are shuffled and dealt out topology by topology, so that a fold has of all.

    Raises:
        BugError: there are less than two worlds.
    """
    fold_of = _folds(worlds, topologies, chance)
    return [Split(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in np.unique(fold_of)]


def topology_splits(worlds: Ints, topologies: Ints, chance: Chance) -> list[Split]:
    """For each topology a split whose training has nothing of it, nor of its worlds; none if there is a single one.

    Where a world's number is in several topologies, training on the others alone would know its seed: then a topology
    is asked about fold by fold, and training is on other topologies in other folds.
    """
    names = np.unique(topologies)
    if len(names) < 2:
        return []
    fold_of = _folds(worlds, topologies, chance)
    splits: list[Split] = []
    for name in names:
        inside = topologies == name
        if not np.isin(worlds[~inside], worlds[inside]).any():
            splits.append(Split(np.flatnonzero(~inside), np.flatnonzero(inside)))
            continue
        for fold in np.unique(fold_of):
            test = np.flatnonzero(inside & (fold_of == fold))
            if len(test):
                splits.append(Split(np.flatnonzero(~inside & (fold_of != fold)), test))
    return [one for one in splits if len(one.train)]


def attack(
    attacker: Attacker, known: Material, task: Task, splits: Sequence[Split], library: Learning, chance: Chance
) -> Predictions:
    """Train on one side of each split, and guess the other.

    Args:
        attacker: who guesses.
        known: windows; those that are not of the task are left out of both sides.
        task: what is asked.
        splits: no window is in two tests.
        library: from :func:`~obscura.lab.learning.require_learning`.
        chance: seeds classifiers; each split has one of its own.

    Raises:
        BugError: nothing of the task is in any test.
    """
    values = known.features[attacker.features]
    asked: list[Ints] = []
    said: list[Floats] = []
    for number, (train, test) in enumerate(splits):
        train, test = (side[task.labels[side] >= 0] for side in (train, test))  # noqa: PLW2901 the task's part
        if not len(train) or not len(test):
            continue
        classifier = attacker.make(library, chance.fork(f"{attacker.name} {number}").below(1 << 32))
        # More threads add the same numbers in another order, and some ties would fall differently.
        with library.one_thread(limits=1):
            classifier.fit(values[train], task.labels[train])
            likely = classifier.predict_proba(values[test])
        chances = np.zeros((len(test), len(task.classes)))
        chances[:, classifier.classes_] = likely  # a class that was not in training has no chance
        asked.append(test)
        said.append(chances)
    if not asked:
        raise BugError("nobody was asked anything")
    places, chances = np.concatenate(asked), np.concatenate(said)
    order = np.argsort(places, kind="stable")
    places, chances = places[order], chances[order]
    return Predictions(
        attacker.name,
        task.classes,
        task.labels[places],
        np.argmax(chances, axis=1),
        chances,
        known.worlds[places],
    )


def _folds(worlds: Ints, topologies: Ints, chance: Chance) -> Ints:
    """Of each window the number of its fold."""
    first: dict[int, int] = {}
    for world, topology in zip(worlds.tolist(), topologies.tolist(), strict=True):
        first.setdefault(world, topology)
    if len(first) < 2:
        raise BugError("one world is no two folds")
    order = sorted(first)
    chance.fork("folds").shuffle(order)
    order.sort(key=first.__getitem__)
    folds = min(FOLDS, len(order))
    fold_of = {world: place % folds for place, world in enumerate(order)}
    return np.array([fold_of[world] for world in worlds.tolist()], dtype=np.int64)


def _forest(trees: int, library: Learning, seed: int) -> Any:
    return library.forest(n_estimators=trees, min_samples_leaf=2, n_jobs=1, random_state=seed)


class _Nearest:
    """Distances in which each feature has the same weight; fewer neighbours if there are not so many windows."""

    def __init__(self, library: Learning, seed: int) -> None:
        del seed  # it draws nothing
        self._scaler = library.scaler()
        self._nearest = library.neighbours(weights="distance", algorithm="brute", n_jobs=1)

    def fit(self, values: Floats, labels: Ints) -> None:
        """Train."""
        self._nearest.set_params(n_neighbors=min(_NEIGHBOURS, len(values)))
        self._nearest.fit(self._scaler.fit_transform(values), labels)

    def predict_proba(self, values: Floats) -> Any:
        """A row for each window."""
        return self._nearest.predict_proba(self._scaler.transform(values))

    @property
    def classes_(self) -> Any:
        """What columns mean."""
        return self._nearest.classes_


class _Network:
    """One hidden layer, trained for a fixed number of rounds: whether it has converged is not asked."""

    def __init__(self, library: Learning, seed: int) -> None:
        self._scaler = library.scaler()
        self._layers = library.network(
            hidden_layer_sizes=(_HIDDEN,), alpha=1e-3, max_iter=_ROUNDS + 1, random_state=seed
        )

    def fit(self, values: Floats, labels: Ints) -> None:
        """Train."""
        scaled = self._scaler.fit_transform(values)
        classes = np.unique(labels)
        for _ in range(_ROUNDS):
            self._layers.partial_fit(scaled, labels, classes=classes)

    def predict_proba(self, values: Floats) -> Any:
        """A row for each window."""
        return self._layers.predict_proba(self._scaler.transform(values))

    @property
    def classes_(self) -> Any:
        """What columns mean."""
        return self._layers.classes_
