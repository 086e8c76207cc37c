"""How much an attacker's guesses say, with intervals: accuracy, rates at few false alarms, bits, yes-or-no questions.

All of it is of guesses about windows that were not in training. The *blind guess* always names the commonest class.

*The strongest attacker.* The best of several measured accuracies is too high by the luck of being the best. So each
attacker's interval is made for all of them together (Bonferroni: with m attackers each is of 1 - .05/m). Then the
true accuracy of whichever is truly the strongest lies between the largest lower and the largest upper end, with 95 %:
that is :func:`~obscura.lab.verdicts.strongest`. Its value is the largest measured one, and no more than that.

*Intervals* are of the guesses as they are, of worlds like these. That another training set would have given other
attackers is in them only as far as folds differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.errors import BugError
from ..base.randomness import Chance
from .attackers import Predictions
from .intervals import Interval, Share, clopper_pearson
from .resampling import LEVEL, Floats, Ints, Worlds, around, bounded
from .verdicts import Verdict, either, enough, strongest, verdict

FALSE_ALARMS: Final = 1e-3
PERMUTATIONS: Final = 999


class Rate(NamedTuple):
    """How many windows of a class are recognised at so few false alarms that an alarm means something."""

    activity: str
    positives: int
    negatives: int
    share: Share | None
    """``None``: with less than 1,000 windows of other classes there is no false-alarm rate of .001 to speak of."""


class Leak(NamedTuple):
    """What one attacker learns of all classes at once. Intervals but the rates' are for all attackers together."""

    attacker: str
    accuracy: Interval
    p: float
    """Of guesses that say nothing: see :func:`chance_level`."""
    information: Interval
    """Bits that a guess says of the class."""
    elsewhere: Interval | None
    """Accuracy on topologies that were not in training; ``None`` if there is a single one."""
    rates: tuple[Rate, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Windows by their class (rows) and the guess (columns)."""


class Answer(NamedTuple):
    """What one attacker, trained for it, says to a yes-or-no question. Intervals are for all attackers together."""

    attacker: str
    accuracy: Interval
    auc: Interval
    """How likely a window of the first class looks more like it than one of the second; .5 is a blind guess. It shows
    what accuracy does not where one class is rare."""


class Question(NamedTuple):
    """A yes-or-no question and all attackers' answers."""

    name: str
    windows: tuple[int, int]
    """Of the first class, and of the second."""
    worlds: int
    blind: float
    accuracy: Interval
    """The strongest attacker's."""
    auc: Interval
    """The strongest attacker's."""
    answers: tuple[Answer, ...]

    @property
    def verdict(self) -> Verdict:
        """By both measures: one that says yes is enough."""
        if not enough(sum(self.windows), self.worlds):
            return Verdict.OPEN
        return either(verdict(self.accuracy, self.blind), verdict(self.auc, 0.5))


def blind_guess(labels: Ints) -> float:
    """The share of the commonest class."""
    return float(np.bincount(labels).max() / len(labels))


def entropy(labels: Ints) -> float:
    """Bits that whoever knows the class knows: of the classes as often as they are here."""
    return float(_entropies(np.bincount(labels)[None, :].astype(np.float64))[0])


def leak(said: Predictions, elsewhere: Predictions | None, attackers: int, chance: Chance) -> Leak:
    """All about one attacker's guesses.

    Args:
        said: guesses in folds.
        elsewhere: guesses about topologies that were not in training.
        attackers: how many of them are compared.
        chance: draws worlds and permutations.
    """
    level = 1 - (1 - LEVEL) / attackers
    classes = len(said.classes)
    draws = Worlds(said.worlds, chance.fork("worlds"))
    confusion = _confusion(said.truth, said.guess, classes)
    drawn = draws.weights @ _by_world(said, draws)
    most = entropy(said.truth)
    bits = around(_information(confusion.reshape(1, -1))[0], _information(drawn), draws.count, level)
    other = None
    if elsewhere is not None:
        other = accuracy(elsewhere, Worlds(elsewhere.worlds, chance.fork("elsewhere")), level)
    return Leak(
        said.attacker,
        accuracy(said, draws, level),
        chance_level(said, chance.fork("permutations")),
        # Corrected counts may say less than nothing, or more than there is to say.
        Interval(*(min(most, max(0.0, float(end))) for end in bits)),
        other,
        tuple(rate(said, number) for number in range(classes)),
        tuple(tuple(int(cell) for cell in row) for row in confusion),
    )


def question(name: str, said: Sequence[Predictions], chance: Chance) -> Question:
    """What all attackers say to a yes-or-no question, of which the first class is class 0.

    Each interval is for all attackers and both measures together.

    Raises:
        BugError: nobody answers, or there are not two classes.
    """
    if not said or any(len(one.classes) != 2 for one in said):
        raise BugError("a yes-or-no question has two classes and somebody who answers")
    level = 1 - (1 - LEVEL) / (2 * len(said))
    answers: list[Answer] = []
    for one in said:
        draws = Worlds(one.worlds, chance)
        answers.append(
            Answer(one.attacker, accuracy(one, draws, level), area(one.chances[:, 0], one.truth == 0, draws, level))
        )
    truth = said[0].truth
    first = int(np.count_nonzero(truth == 0))
    return Question(
        name,
        (first, len(truth) - first),
        len(np.unique(said[0].worlds)),
        blind_guess(truth),
        strongest([one.accuracy for one in answers]),
        strongest([one.auc for one in answers]),
        tuple(answers),
    )


def accuracy(said: Predictions, draws: Worlds, level: float = LEVEL) -> Interval:
    """The share of right guesses, from a bootstrap over worlds."""
    right = (said.truth == said.guess).astype(np.float64)
    return bounded(float(right.mean()), draws.sums(right) / draws.sums(np.ones(len(right))), draws.count, level)


def chance_level(said: Predictions, chance: Chance, permutations: int = PERMUTATIONS) -> float:
    """The probability of so many right guesses, or more, if guesses say nothing; one-sided, from 1/1000 upwards.

    Labels are permuted among the windows of each world while the guesses stay (with the true order counted in, as in
    Phipson and Smyth 2010). It assumes that, if traffic says nothing, a world's windows are exchangeable: that
    activities come in no order to which guesses could be tied. What differs between worlds stays as it is, so that
    recognising a world, or the commonest class, is not taken for a success; and a world whose windows are all of one
    class says nothing.
    """
    rng = np.random.default_rng(chance.u64())
    order = np.argsort(said.worlds, kind="stable")
    worlds, truth, guess = said.worlds[order], said.truth[order], said.guess[order]
    observed = np.count_nonzero(truth == guess)
    as_many = 1
    for _ in range(permutations):
        shuffled = truth[np.lexsort((rng.random(len(truth)), worlds))]
        as_many += int(np.count_nonzero(shuffled == guess) >= observed)
    return as_many / (permutations + 1)


def rate(said: Predictions, number: int) -> Rate:
    """The true positive rate of a class, against all others, at a false positive rate of at most :data:`FALSE_ALARMS`.

    The threshold is the highest score that lets no more negatives pass: above it are at most .001 of them. The interval
    is the exact one of a share; it takes the threshold for given, and windows for independent.
    """
    positive = said.truth == number
    scores = said.chances[:, number]
    positives, negatives = int(np.count_nonzero(positive)), int(np.count_nonzero(~positive))
    name = said.classes[number]
    if not positives or negatives * FALSE_ALARMS < 1:
        return Rate(name, positives, negatives, None)
    allowed = int(negatives * FALSE_ALARMS)
    threshold = np.sort(scores[~positive])[::-1][allowed]
    return Rate(
        name, positives, negatives, clopper_pearson(int(np.count_nonzero(scores[positive] > threshold)), positives)
    )


def area(scores: Floats, positive: npt.NDArray[np.bool_], draws: Worlds, level: float) -> Interval:
    """The area under the ROC curve: P(a positive scores above a negative), ties count half; a bootstrap over worlds.

    Raises:
        BugError: there are no positives, or no negatives.
    """
    if positive.all() or not positive.any():
        raise BugError("a curve needs both classes")
    wins = np.zeros((draws.count, draws.count))
    """Of the positives of one world (row) over the negatives of another (column)."""
    below, of_below = scores[~positive], draws.index[~positive]
    for world in range(draws.count):
        own = np.sort(scores[positive & (draws.index == world)])
        if len(own):
            above = len(own) - (np.searchsorted(own, below, "left") + np.searchsorted(own, below, "right")) / 2
            wins[world] = np.bincount(of_below, weights=above, minlength=draws.count)
    high = np.bincount(draws.index[positive], minlength=draws.count).astype(np.float64)
    low = np.bincount(of_below, minlength=draws.count).astype(np.float64)
    pairs = (draws.weights @ high) * (draws.weights @ low)
    won = np.einsum("dw,dw->d", draws.weights @ wins, draws.weights)
    value = float(wins.sum() / (high.sum() * low.sum()))
    return bounded(value, won[pairs > 0] / pairs[pairs > 0], draws.count, level)


def information(confusion: Sequence[Sequence[int]]) -> float:
    """Mutual information of class and guess in bits, with Miller and Madow's correction (1955) of each entropy.

    Counts alone give too much: by chance guesses agree with something. The correction adds (cells that are not empty -
    1)/2N to each of the three entropies. An attacker who kept all his scores might know more than his guess says.
    """
    return float(_information(np.array(confusion, dtype=np.float64).reshape(1, -1))[0])


def _information(cells: Floats) -> Floats:
    """Of each row, a confusion matrix laid out row by row."""
    size = round(cells.shape[1] ** 0.5)
    square = cells.reshape(len(cells), size, size)
    total = cells.sum(axis=1)
    found = np.zeros(len(cells))
    for sign, counts in ((1, square.sum(axis=2)), (1, square.sum(axis=1)), (-1, cells)):
        filled = np.count_nonzero(counts, axis=1)
        found += sign * (_entropies(counts) + (filled - 1) / (2 * total * np.log(2)))
    return found


def _entropies(counts: Floats) -> Floats:
    shares = counts / counts.sum(axis=1, keepdims=True)
    logs = np.log2(shares, where=shares > 0, out=np.zeros_like(shares))
    return np.asarray(-np.sum(shares * logs, axis=1) + 0.0)  # and never -0


def _confusion(truth: Ints, guess: Ints, classes: int) -> Floats:
    cells = np.bincount(truth * classes + guess, minlength=classes * classes).astype(np.float64)
    return cells.reshape(classes, classes)


def _by_world(said: Predictions, draws: Worlds) -> Floats:
    """The confusion matrix of each world, as a row."""
    size = len(said.classes) ** 2
    cells = said.truth * len(said.classes) + said.guess
    flat = np.bincount(draws.index * size + cells, minlength=draws.count * size)
    return flat.reshape(draws.count, size).astype(np.float64)
