"""What the stems of a devnet did, read from its nodes' traces after they have stopped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..node.effects import StemStep
from .stem_trace import FILE_NAME


class Step(NamedTuple):
    """One line of one node's trace."""

    at: float
    node: int
    step: StemStep
    relay_id: str


@dataclass(slots=True)
class StemReport:
    """Counts of transactions. ``lengths``: how many of them were taken by so many nodes in stem, the origin aside,
    before anybody spread them."""

    transactions: int = 0
    never_spread: int = 0
    lengths: dict[int, int] = field(default_factory=dict)
    spread_by_diffuser: int = 0
    """First spread by a node that spreads what comes by stem."""
    spread_by_embargo: int = 0
    """First spread because an embargo had ended."""
    spread_by_origin: int = 0
    """Of these, by the origin, whose other way had been tried before if it had one."""
    restemmed: int = 0
    """Whose origin has tried its other way."""
    told_after_others: int = 0
    """The origin told its peers after somebody else had spread it."""
    told_by_embargo: int = 0
    """It told them first, because its embargo, or its wait for a stem peer, had ended."""
    told_as_diffuser: int = 0
    """It told them first, because the transaction had come back to it by stem while it spreads all that does."""
    told_too_soon: int = 0
    """It told them first, for no such reason: a defect."""

    @property
    def mean_length(self) -> float:
        """Nodes that took a transaction in stem before it was spread, on average."""
        total = sum(self.lengths.values())
        return sum(length * count for length, count in self.lengths.items()) / total if total else 0.0


def read_traces(datadirs: Sequence[Path]) -> list[Step]:
    """All steps of all nodes, in the order of their times."""
    steps: list[Step] = []
    for node, datadir in enumerate(datadirs):
        with (datadir / FILE_NAME).open(encoding="utf-8") as file:
            for line in file:
                one = json.loads(line)
                steps.append(Step(one["at"], node, StemStep(one["step"]), one["id"]))
    steps.sort(key=lambda step: step.at)
    return steps


def report_of(steps: Iterable[Step]) -> StemReport:
    """What they say together."""
    report = StemReport()
    stories: dict[str, list[Step]] = {}
    for step in steps:
        stories.setdefault(step.relay_id, []).append(step)
    for story in stories.values():
        if any(step.step is StemStep.OWN for step in story):
            _add(report, story)
    return report


def _add(report: StemReport, story: list[Step]) -> None:
    report.transactions += 1
    origin = next(step.node for step in story if step.step is StemStep.OWN)
    first = next((at for at, step in enumerate(story) if step.step is StemStep.SPREAD), None)
    if first is None:
        report.never_spread += 1
        return
    came = {step.node: None for step in story[:first] if step.step is StemStep.CAME and step.node != origin}
    report.lengths[len(came)] = report.lengths.get(len(came), 0) + 1
    expired = [step for step in story if step.step is StemStep.EXPIRED]
    by = story[first].node
    if any(step.node == by and step.at <= story[first].at for step in expired):
        report.spread_by_embargo += 1
        report.spread_by_origin += by == origin
    else:
        report.spread_by_diffuser += 1
    at_origin = [step.step for step in story if step.node == origin]
    given_again = StemStep.EXPIRED in at_origin and StemStep.GIVEN in at_origin[at_origin.index(StemStep.EXPIRED) :]
    report.restemmed += given_again
    _judge_origin(report, story, origin)


def _judge_origin(report: StemReport, story: list[Step], origin: int) -> None:
    """Whether the origin told its peers before somebody else spread the transaction, and why."""
    before: dict[tuple[bool, StemStep], None] = {}
    for step in story:
        mine = step.node == origin
        if mine and step.step is StemStep.TOLD:
            break
        before[mine, step.step] = None
    if (False, StemStep.SPREAD) in before:
        report.told_after_others += 1
    elif (True, StemStep.EXPIRED) in before:
        report.told_by_embargo += 1
    elif (True, StemStep.CAME) in before and (True, StemStep.SPREAD) in before:
        report.told_as_diffuser += 1
    else:
        report.told_too_soon += 1
