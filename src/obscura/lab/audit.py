"""What an observer of an encrypted link learns under each profile, and what the profile costs: all figures as values.

Everything is drawn from a seed. The same recordings, the same seed and the same releases of NumPy and scikit-learn give
the same figures. This module loads neither of them until :func:`audit` is called.
"""

# ruff: noqa: PLC0415 NumPy and scikit-learn are an optional extra, and take a second to load

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from ..base.errors import ConfigError
from ..base.instant import MICROSECONDS
from ..base.randomness import Chance
from .intervals import Interval
from .learning import Learning, require_learning
from .observed import Activity, Recording, Window
from .verdicts import Verdict, enough, strongest, verdict

if TYPE_CHECKING:
    from .attackers import Predictions, Split, Task
    from .bitsniff import Around, Sniff
    from .costs import Bill, Delay
    from .leakage import Leak, Question

TREES: Final = 100
PLAIN: Final = "off"
"""The recording with which delays are compared, unless another one is named."""
_SURE: Final = 0.025  # as sure as an interval of 95 %, on the one side that matters


class Asked(NamedTuple):
    """A yes-or-no question to attackers."""

    name: str
    first: Activity
    second: tuple[Activity, ...]


QUESTIONS: Final = (
    Asked("catching up", Activity.SYNC, tuple(one for one in Activity if one is not Activity.SYNC)),
    Asked("a block", Activity.BLOCK, (Activity.IDLE,)),
    Asked("your own transaction", Activity.OWN, (Activity.IDLE,)),
    Asked("someone else's transaction", Activity.RELAYED, (Activity.IDLE,)),
    Asked("yours from someone else's", Activity.OWN, (Activity.RELAYED,)),
)
"""All but the first and the last are against an idle link, the first against all else."""


class Timeline(NamedTuple):
    """An example: the window of a class whose volume is the median one."""

    activity: str
    volume: tuple[int, ...]
    """Bytes in each second, both ways together."""


@dataclass(frozen=True, slots=True)
class Examined:
    """All about one recording."""

    name: str
    window_s: float
    windows: int
    late: int
    """Windows of which the activity went on after their end."""
    left_out: int
    """Windows that are not there, as their activity did not come to pass in them."""
    worlds: int
    topologies: int
    classes: tuple[tuple[str, int], ...]
    """Activities that occur, and how many windows each has."""
    blind: float
    """The share of the commonest class."""
    entropy: float
    """Bits of the classes."""
    accuracy: Interval
    """The strongest attacker's, see :mod:`~obscura.lab.leakage`."""
    information: Interval
    """The strongest attacker's, in bits."""
    elsewhere: Interval | None
    """The strongest attacker's accuracy on topologies that were not in training."""
    leaks: tuple[Leak, ...]
    """Of each attacker, the weakest first."""
    questions: tuple[Question, ...]
    unasked: tuple[str, ...]
    """Questions for which a class is missing, or is in one world only."""
    sniffs: tuple[Sniff, ...]
    around_blocks: tuple[Around, ...]
    """Mean bytes in each second around blocks."""
    bill: Bill | None
    delays: tuple[Delay, ...]
    timelines: tuple[Timeline, ...]

    @property
    def verdict(self) -> Verdict:
        """Whether anything is seen, of all classes at once."""
        return verdict(self.accuracy, self.blind) if enough(self.windows, self.worlds) else Verdict.OPEN

    @property
    def blocks_verdict(self) -> Verdict | None:
        """Whether volume follows block times; ``None`` if nothing was tested.

        Yes, if the courses say so together for any wait, at .025 for all waits; no, if the areas end near .5.
        """
        ps = [one.p for one in self.sniffs if one.p is not None]
        if not ps:
            return None
        if min(ps) < _SURE / len(ps):
            return Verdict.YES
        areas = strongest([one.auc for one in self.sniffs if one.auc is not None])
        return verdict(areas._replace(low=0.0), 0.5)

    @property
    def best(self) -> Leak:
        """The attacker who was right most often: to look at, not to conclude from."""
        return max(self.leaks, key=lambda one: one.accuracy.value)


@dataclass(frozen=True, slots=True)
class Audit:
    """All about all recordings."""

    seed: int
    network: bool
    """Whether a neural network was among the attackers."""
    trees: int
    """Of each random forest."""
    examined: tuple[Examined, ...]
    libraries: tuple[tuple[str, str], ...]
    """What computed, and its release."""


def audit(
    recordings: Sequence[Recording],
    seed: int,
    *,
    network: bool,
    trees: int = TREES,
    progress: Callable[[str, float], None] | None = None,
) -> Audit:
    """Attack all recordings.

    Args:
        recordings: of different names; each says with which one its delays are compared.
        seed: draws folds, attackers' own choices, worlds and permutations.
        network: also try a neural network.
        trees: of each random forest; less is faster, and a little weaker.
        progress: told which recording is attacked, and how much of it is done, from 0 to 1.

    Raises:
        ConfigError: a library is missing; there is no recording, or two have one name; one has too little to train on.
    """
    library = require_learning()
    names = [one.name for one in recordings]
    if not names or len(dict.fromkeys(names)) != len(names):
        raise ConfigError("an audit needs recordings, each of its own name")
    plain = {one.name: one for one in recordings}
    return Audit(
        seed,
        network,
        trees,
        tuple(
            _examine(
                one, plain.get(one.beside), library, Chance.from_seed(seed).fork(one.name), network, trees, progress
            )
            for one in recordings
        ),
        library.releases,
    )


def _examine(
    recording: Recording,
    plain: Recording | None,
    library: Learning,
    chance: Chance,
    network: bool,
    trees: int,
    progress: Callable[[str, float], None] | None,
) -> Examined:
    from .attackers import all_classes, attack, attackers, fold_splits, material, topology_splits, two_classes
    from .bitsniff import WAITS_S, around_blocks, sniff
    from .costs import bill, delays
    from .leakage import blind_guess, entropy, leak, question

    known = material(recording)
    cast = attackers(network=network, trees=trees)
    task = all_classes(known)
    asked = {one.name: two_classes(known, one.first, one.second) for one in QUESTIONS}
    folds = fold_splits(known.worlds, known.topologies, chance)
    others = topology_splits(known.worlds, known.topologies, chance)
    steps = len(cast) * (1 + bool(others) + sum(one is not None for one in asked.values()))
    done = 0

    def ask(task: Task, splits: Sequence[Split], name: str) -> list[Predictions]:
        nonlocal done
        said: list[Predictions] = []
        for one in cast:
            said.append(attack(one, known, task, splits, library, chance.fork(name)))
            done += 1
            if progress is not None:
                progress(recording.name, done / steps)
        return said

    said = ask(task, folds, "all")
    elsewhere = ask(task, others, "elsewhere") if others else [None] * len(cast)
    leaks = tuple(
        leak(one, other, len(cast), chance.fork(f"leak {one.attacker}"))
        for one, other in zip(said, elsewhere, strict=True)
    )
    questions = tuple(
        question(name, ask(one, folds, name), chance.fork(f"question {name}"))
        for name, one in asked.items()
        if one is not None
    )
    compared = None if plain is None or plain is recording else plain.costs
    return Examined(
        name=recording.name,
        window_s=recording.window_s,
        windows=len(recording.windows),
        late=len(recording.late),
        left_out=len(recording.left_out),
        worlds=len(dict.fromkeys(one.world for one in recording.windows)),
        topologies=len(dict.fromkeys(one.topology for one in recording.windows)),
        classes=tuple((name, known.activities.count(Activity(name))) for name in task.classes),
        blind=blind_guess(task.labels),
        entropy=entropy(task.labels),
        accuracy=strongest([one.accuracy for one in leaks]),
        information=strongest([one.information for one in leaks]),
        elsewhere=strongest([one.elsewhere for one in leaks if one.elsewhere is not None]) if others else None,
        leaks=leaks,
        questions=questions,
        unasked=tuple(name for name, one in asked.items() if one is None),
        sniffs=tuple(sniff(recording.courses, wait, chance.fork(f"sniff {wait}")) for wait in WAITS_S),
        around_blocks=around_blocks(recording.courses, chance.fork("around")),
        bill=bill(recording.costs, chance.fork("bill")),
        delays=delays(recording.costs, compared, chance.fork("late")),
        timelines=tuple(_timeline(recording, Activity(name)) for name in task.classes),
    )


def _timeline(recording: Recording, activity: Activity) -> Timeline:
    seconds = max(1, round(recording.window_s + 0.499))
    windows = [one for one in recording.windows if one.activity is activity]
    windows.sort(key=_volume)
    volume = [0] * seconds
    for at, size in windows[len(windows) // 2].seen:
        volume[min(at // MICROSECONDS, seconds - 1)] += abs(size)
    return Timeline(activity.value, tuple(volume))


def _volume(window: Window) -> int:
    return sum(abs(one.size) for one in window.seen)
