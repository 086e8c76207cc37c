"""The audit in words: numbers with their intervals, and sentences that are chosen by them and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .intervals import Interval, Share
from .verdicts import Verdict, verdict

if TYPE_CHECKING:
    from .audit import Audit, Examined
    from .costs import Delay
    from .leakage import Question

NOTHING: Final = "-"
"""A cell of which nothing is known."""
_ONE_IN: Final = 40  # a 95 % interval is above the truth so often
_UNITS: Final = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def interval(found: Interval | None, write: Callable[[float], str]) -> str:
    """A number and its interval: ``78.1 (75.0 to 81.2)``."""
    return NOTHING if found is None else f"{write(found.value)} ({write(found.low)} to {write(found.high)})"


def percent(share: float) -> str:
    """Of 100, to a tenth."""
    return f"{100 * share:.1f}"


def whole(share: float) -> str:
    """Of 100, for who does not want to know it to a tenth."""
    return f"{100 * share:.0f}"


def decimal(number: float) -> str:
    """Three digits behind the point, and no minus before a zero."""
    return f"{number + 0.0:.3f}" if abs(number) >= 0.0005 else "0.000"


def volume(count: float) -> str:
    """Bytes with the unit that suits them."""
    for size, unit in _UNITS:
        if abs(count) >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count:.1f} B"


def probability(p: float) -> str:
    """A p-value, and never a zero."""
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def late(seconds: float) -> str:
    """A delay."""
    return f"{seconds + 0.0:.2f} s" if abs(seconds) >= 0.005 else "0.00 s"


def share(found: Share | None) -> str:
    """A counted share with its exact interval."""
    return "needs more windows" if found is None else str(found)


def of_hundred(found: Interval, what: str) -> str:
    """Right guesses: ``78 of 100 windows (75 to 81)``."""
    return f"{whole(found.value)} of 100 {what} ({whole(found.low)} to {whole(found.high)})"


def answer(asked: Question | None) -> str:
    """A cell of the first page: the verdict, right guesses of 100, and a blind guess's."""
    if asked is None:
        return NOTHING
    return f"{asked.verdict.value}, {whole(asked.accuracy.value)} ({whole(asked.blind)})"


def of(examined: Examined, name: str) -> Question | None:
    """What was answered to a question; ``None`` if it was not asked."""
    return next((one for one in examined.questions if one.name == name), None)


def reading(one: Examined) -> list[str]:
    """What the figures of one profile say."""
    return [_guesses(one), *_questions(one), *_elsewhere(one), *_volume(one), *_price(one)]


def _guesses(one: Examined) -> str:
    blind, found = whole(one.blind), of_hundred(one.accuracy, "windows")
    match one.verdict:
        case Verdict.YES:
            return f"The observer names what happens in {found}; a blind guess names {blind}."
        case Verdict.NO:
            return f"No attacker here does better than a blind guess ({blind} of 100): the best names {found}."
        case Verdict.OPEN:
            return (
                f"Whether an attacker does better than a blind guess ({blind} of 100) is not known: the best names "
                f"{found}, which is too wide, or of too few windows, to say."
            )


def _questions(one: Examined) -> list[str]:
    said: list[str] = []
    for wanted, begin in (
        (Verdict.YES, "He can tell"),
        (Verdict.NO, "No sign that he can tell"),
        (Verdict.OPEN, "Not known is whether he can tell"),
    ):
        names = [asked.name for asked in one.questions if asked.verdict is wanted]
        if names:
            said.append(f"{begin}: {', '.join(names)}.")
    return said


def _elsewhere(one: Examined) -> list[str]:
    if one.elsewhere is None:
        return []
    begin, blind = "On a topology that was not in training", f"a blind guess has {whole(one.blind)}"
    found = of_hundred(one.elsewhere, "windows")
    match verdict(one.elsewhere, one.blind):
        case Verdict.YES:
            return [f"{begin} he still names {found}; {blind}."]
        case Verdict.NO:
            return [f"{begin} nobody does better than a blind guess: {found}; {blind}."]
        case Verdict.OPEN:
            return [f"{begin} he names {found}, which is too wide to say anything; {blind}."]


def _volume(one: Examined) -> list[str]:
    if one.blocks_verdict is None:
        return []
    best = min((sniff for sniff in one.sniffs if sniff.p is not None), key=lambda sniff: (sniff.p, sniff.wait_s))
    assert best.p is not None, "it was chosen so"
    assert best.auc is not None, "whoever has the one has the other"
    figures = (
        f"in the {best.wait_s} s from a block on, true block times show more volume than false ones in "
        f"{of_hundred(best.auc, 'cases')}, by chance in 50 (p {probability(best.p)})"
    )
    match one.blocks_verdict:
        case Verdict.YES:
            return [f"Volume over time follows the times of blocks: {figures}."]
        case Verdict.NO:
            return [f"No sign that volume over time follows the times of blocks: {figures}."]
        case Verdict.OPEN:
            return [f"Whether volume over time follows the times of blocks is not known: {figures}."]


def _price(one: Examined) -> list[str]:
    said: list[str] = []
    if one.bill is not None:
        said.append(f"A link carries {interval(one.bill.month, volume)} in 30 days, both ways together.")
    for delay in one.delays:
        if delay.added is None:
            continue
        what = arrival(delay)
        if delay.added.low > 0:
            said.append(f"{what} arrives later than without shaping by {interval(delay.added, late)}, by the medians.")
        elif delay.added.high < 0:
            said.append(f"{what} arrives sooner than without shaping: {interval(delay.added, late)}, by the medians.")
        else:
            said.append(
                f"{what}: no difference from no shaping could be told; later by {interval(delay.added, late)}, by the "
                "medians."
            )
    return said


def arrival(delay: Delay) -> str:
    """What arrives, at the begin of a sentence."""
    return {
        "block": "A block",
        "relayed": "Someone else's transaction",
        "own": "Your own transaction",
    }[delay.what]


def unknown(one: Examined) -> list[str]:
    """What the recording of one profile does not tell, and why."""
    said = [f"{asked.name}: too few windows for a verdict" for asked in one.questions if asked.verdict is Verdict.OPEN]
    if one.verdict is Verdict.OPEN:
        said.append("activities: too few windows for a verdict")
    if one.unasked:
        said.append(f"not asked, as there are no windows of two worlds: {', '.join(one.unasked)}")
    short = [rate.activity for rate in one.best.rates if rate.share is None]
    if short:
        said.append(f"rates at one false alarm in 1,000: needs more windows ({', '.join(short)})")
    if one.elsewhere is None:
        said.append("other topologies: all windows are of a single one")
    passed = [f"{sniff.passed_over} at {sniff.wait_s} s" for sniff in one.sniffs if sniff.passed_over]
    if passed:
        said.append(f"volume against block times: courses without a block, or too short, {', '.join(passed)}")
    if one.blocks_verdict is None:
        said.append("volume against block times: there was nothing to test")
    elif one.blocks_verdict is Verdict.OPEN:
        said.append("volume against block times: too few courses for a verdict")
    if one.bill is None:
        said.append("bytes: nothing was measured")
    arrived = [delay.what for delay in one.delays]
    said += [f"delays: nothing arrived ({what})" for what in ("block", "relayed", "own") if what not in arrived]
    return said


def doubts(audit: Audit) -> str:
    """How many of all verdicts may be wrong."""
    verdicts = sum(
        1 + len(one.questions) + (one.elsewhere is not None) + bool(one.blocks_verdict) for one in audit.examined
    )
    return (
        f"Intervals hold the truth in 95 of 100 cases. So a yes is wrong in one of {_ONE_IN} cases at most, and of "
        f"the {verdicts} verdicts here {verdicts / _ONE_IN:.1f} may be, by chance alone. A no is said of these "
        "attackers, with so much training as they had; it is no proof that nobody can do better."
    )
