"""The audit for a terminal, for programs, and as a document whose first page needs no statistics.

All three show the same sections, which are made once, as cells.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .audit_words import (
    NOTHING,
    answer,
    decimal,
    doubts,
    interval,
    late,
    of,
    percent,
    probability,
    reading,
    share,
    unknown,
    volume,
    whole,
)
from .report import table

if TYPE_CHECKING:
    from .audit import Audit, Examined

TITLE: Final = "What an observer of a link learns"
_WIDTH: Final = 120
_MORE: Final = ("value", "verdict", "blocks_verdict")
"""What values compute of themselves, and programs get as well."""


class Section(NamedTuple):
    """A table under a title, with a note."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def first_page(audit: Audit) -> list[Section]:
    """Two tables, one row a profile."""
    questions = tuple(dict.fromkeys(name for one in audit.examined for name in _names(one)))
    seen = tuple(
        (
            one.name,
            interval(one.accuracy, whole),
            whole(one.blind),
            *(answer(of(one, name)) for name in questions),
            NOTHING if one.blocks_verdict is None else one.blocks_verdict.value,
        )
        for one in audit.examined
    )
    priced = tuple(
        (
            one.name,
            NOTHING if one.bill is None else interval(one.bill.month, volume),
            NOTHING if one.bill is None else interval(one.bill.per_real, decimal),
            *(
                next((interval(delay.added, late) for delay in one.delays if delay.what == what), NOTHING)
                for what in ("block", "relayed", "own")
            ),
        )
        for one in audit.examined
    )
    return [
        Section(
            "What an observer of the link can tell",
            "Right guesses are of 100; in parentheses the interval in which the true number lies in 95 of 100 such "
            "audits. A question has a verdict, the best attacker's right guesses of 100, and those of a blind guess in "
            "parentheses: yes is said if the interval (of these, or of how well windows are ranked: see the details) "
            'is above the blind guess, no if it is not and ends near it, "not known" if it is too wide, or of too few '
            "windows. The last column is about volume over whole courses, all else about single windows.",
            ("profile", "right guesses", "blind guess", *questions, "times of blocks"),
            seen,
        ),
        Section(
            "What it costs",
            "Bytes of one link, both ways, in 30 days as busy as the recorded hours were: far busier than real ones, "
            "as something happens every other minute. Beside it, how many bytes are sent for one byte of a message. "
            f"Delays are the median's, against no shaping; {NOTHING} where there is nothing to compare with.",
            (
                "profile",
                "bytes a month",
                "bytes sent for each byte of a message",
                "a block is later by",
                "someone else's transaction is later by",
                "your own is later by",
            ),
            priced,
        ),
    ]


def details(one: Examined) -> list[Section]:
    """Every figure of one profile, with its interval."""
    classes = tuple(name for name, _ in one.classes)
    return [
        Section(
            "Windows",
            f"{one.windows} windows of {one.window_s:g} s, of {one.worlds} worlds with {one.topologies} topologies; "
            f"the blind guess names {percent(one.blind)} of 100, and the classes hold {decimal(one.entropy)} bits. "
            f"In {one.late} of them the activity went on after the end; {one.left_out} more were left out, as it did "
            "not come to pass.",
            ("activity", "windows"),
            tuple((name, str(count)) for name, count in one.classes),
        ),
        Section(
            "Attackers",
            "Right guesses of 100; p of guesses that say nothing (labels permuted within worlds); bits that a guess "
            "says of the activity; right guesses of 100 on topologies that were not in training. Intervals hold for "
            "all attackers together. The last line is the truly strongest one's, whichever it is. An interval without "
            "width is of who names one class everywhere.",
            ("attacker", "right guesses", "p", "bits", "on other topologies"),
            (
                *(
                    (
                        leak.attacker,
                        interval(leak.accuracy, percent),
                        probability(leak.p),
                        interval(leak.information, decimal),
                        interval(leak.elsewhere, percent),
                    )
                    for leak in one.leaks
                ),
                (
                    "strongest",
                    interval(one.accuracy, percent),
                    NOTHING,
                    interval(one.information, decimal),
                    interval(one.elsewhere, percent),
                ),
            ),
        ),
        Section(
            "Questions",
            "Attackers trained for one question: right guesses of 100, and the area under the ROC curve (.5 by "
            "chance). Intervals hold for all attackers and both measures together.",
            ("question", "windows", "attacker", "right guesses", "blind guess", "area", "verdict"),
            tuple(
                (
                    asked.name,
                    " / ".join(map(str, asked.windows)),
                    name,
                    interval(accuracy, percent),
                    percent(asked.blind),
                    interval(auc, decimal),
                    said,
                )
                for asked in one.questions
                for name, accuracy, auc, said in (
                    *((*found, "") for found in asked.answers),
                    ("strongest", asked.accuracy, asked.auc, asked.verdict.value),
                )
            ),
        ),
        Section(
            "Alarms",
            "Of a class's windows those that are recognised while at most one in 1,000 of all others is taken for one.",
            ("activity", "windows", "others", *(leak.attacker for leak in one.leaks)),
            tuple(
                (
                    rate.activity,
                    str(rate.positives),
                    str(rate.negatives),
                    *(share(leak.rates[at].share) for leak in one.leaks),
                )
                for at, rate in enumerate(one.leaks[0].rates)
            ),
        ),
        Section(
            "Confusion",
            f"Windows by activity (rows) and guess (columns) of {one.best.attacker}, which was right most often.",
            ("activity", *classes),
            tuple((name, *map(str, row)) for name, row in zip(classes, one.best.confusion, strict=True)),
        ),
        Section(
            "Volume against block times",
            "Courses with p below .01 by circular shifts, and p of all together by Fisher's method; how likely true "
            "block times show more volume than false ones (.5 by chance; intervals hold for all waits together); "
            "bytes a second above the mean.",
            ("seconds from a block", "courses", "passed over", "p < .01", "p of all", "area", "excess"),
            tuple(
                (
                    str(sniff.wait_s),
                    str(sniff.tested),
                    str(sniff.passed_over),
                    NOTHING if sniff.found is None else str(sniff.found),
                    NOTHING if sniff.p is None else probability(sniff.p),
                    interval(sniff.auc, decimal),
                    interval(sniff.excess, volume),
                )
                for sniff in one.sniffs
            ),
        ),
        Section(
            "Bytes",
            "" if one.bill is None else f"Of {one.bill.worlds} worlds, {one.bill.seconds:.0f} s together.",
            ("of one link, both ways", "measured"),
            ()
            if one.bill is None
            else (
                ("bytes a second", interval(one.bill.rate, volume)),
                ("bytes in 30 days", interval(one.bill.month, volume)),
                ("bytes of the wire for one of a message", interval(one.bill.per_real, decimal)),
                ("decoys, of 100 bytes", interval(one.bill.decoys, percent)),
                ("padding, of 100 bytes", interval(one.bill.padding, percent)),
            ),
        ),
        Section(
            "Delays",
            "Added is the median less that of no shaping.",
            ("what", "arrived", "median", "95 of 100 within", "added"),
            tuple(
                (
                    delay.what,
                    str(delay.arrived),
                    interval(delay.median, late),
                    interval(delay.high, late),
                    interval(delay.added, late),
                )
                for delay in one.delays
            ),
        ),
    ]


def setting(audit: Audit) -> list[str]:
    """What was measured, and who the observer is; a paragraph each."""
    windows = sum(one.windows for one in audit.examined)
    lengths = ", ".join(f"{length:g}" for length in sorted(dict.fromkeys(one.window_s for one in audit.examined)))
    names = ", ".join(leak.attacker for leak in audit.examined[0].leaks)
    return [
        "A node keeps encrypted links to other nodes. Who carries their bytes, an internet provider for example, "
        "cannot read them, but sees when bytes go by, how many, and which way. This report says what he learns from "
        "that about what the node does, under each profile of shaping, and what each profile costs.",
        "The observer watches one link. He knows which profile it has, and has trained on links of the same kind of "
        "which he knew everything; he is then asked about links that he has never seen. Links are those of small "
        "networks of whole nodes, each with a seed of its own (a world), whose traffic is recorded. A window is a "
        "stretch of "
        f"{lengths} s of one link, in which one thing happens or nothing; here are {windows} of them, in "
        f"{len(audit.examined)} recordings. A blind guess always names the commonest activity.",
        f"Attackers, the weakest first: {names}. Totals is a random forest on bytes and writes of each direction; "
        "nearest compares cumulative sizes with those of known windows; forest has pauses, lengths and busy seconds "
        "as well, and so has network, where it is there.",
    ]


def as_lines(audit: Audit, command: str) -> list[str]:
    """For a terminal: the first page's tables, what they say, and what is not known."""
    lines: list[str] = []
    for section in first_page(audit):
        lines += [section.title, "", *table(section.head, section.rows), "", *textwrap.wrap(section.note, _WIDTH), ""]
    for one in audit.examined:
        lines += [f"{one.name}:", *_wrapped(reading(one)), ""]
    missing = _missing(audit)
    if missing:
        lines += ["Not known:", *_wrapped(missing), ""]
    return [*lines, *textwrap.wrap(doubts(audit), _WIDTH), "", f"{command}   (seed {audit.seed}; {_releases(audit)})"]


def as_values(audit: Audit) -> dict[str, Any]:
    """For JSON: everything with full precision, ``None`` where there is nothing, verdicts by their words."""
    values: dict[str, Any] = _values(audit)
    return values


def as_markdown(audit: Audit, command: str) -> str:
    """A document: the first page, then every figure.

    Args:
        audit: what was found.
        command: repeats it.
    """
    parts = [f"# {TITLE}", *(_paragraph(text) for text in setting(audit))]
    for section in first_page(audit):
        parts += [f"## {section.title}", _table(section), _paragraph(section.note)]
    parts.append("## What the figures say")
    for one in audit.examined:
        parts += [f"**{one.name}**", _bullets(reading(one))]
    parts += [
        "## What is not known",
        _bullets(_missing(audit) or ["Nothing that was asked."]),
        _paragraph(doubts(audit)),
    ]
    parts += [
        "## Repeat it",
        f"```sh\n{command}\n```",
        _paragraph(f"Seed {audit.seed}; {_releases(audit)}."),
        "# Details",
    ]
    for one in audit.examined:
        parts.append(f"## {one.name}")
        for section in details(one):
            parts += [f"### {section.title}", *([_paragraph(section.note)] if section.note else [])]
            parts.append(_table(section) if section.rows else "Nothing.")
    return "\n\n".join(parts) + "\n"


def _names(one: Examined) -> tuple[str, ...]:
    return (*(asked.name for asked in one.questions), *one.unasked)


def _missing(audit: Audit) -> list[str]:
    return [f"{one.name}: {text}." for one in audit.examined for text in unknown(one)]


def _releases(audit: Audit) -> str:
    return ", ".join(f"{name} {release}" for name, release in audit.libraries)


def _wrapped(texts: Sequence[str]) -> list[str]:
    return [line for text in texts for line in textwrap.wrap(text, _WIDTH, initial_indent="- ", subsequent_indent="  ")]


def _bullets(texts: Sequence[str]) -> str:
    return "\n".join(_wrapped(texts))


def _paragraph(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _WIDTH, break_on_hyphens=False))


def _table(section: Section) -> str:
    lines = (section.head, ("---",) * len(section.head), *section.rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _values(one: Any) -> Any:
    if isinstance(one, Enum):
        return one.value
    if is_dataclass(one):
        return _named(one, [field.name for field in fields(one)])
    if isinstance(one, tuple):
        names = getattr(one, "_fields", None)
        return [_values(part) for part in one] if names is None else _named(one, list(names))
    return one


def _named(one: Any, names: list[str]) -> dict[str, Any]:
    more = [name for name in _MORE if name not in names and hasattr(type(one), name)]
    return {name: _values(getattr(one, name)) for name in (*names, *more)}
