"""What a devnet's traces say about its stems."""

from __future__ import annotations

import json
from pathlib import Path

from obscura.app.stem_report import Step, read_traces, report_of
from obscura.app.stem_trace import FILE_NAME, StemTraceFile
from obscura.base.names import ConnId, TxId
from obscura.node.effects import Notice, StemStep, StemTrace

OWN, CAME, GIVEN, EXPIRED = StemStep.OWN, StemStep.CAME, StemStep.GIVEN, StemStep.EXPIRED
SPREAD, TOLD, HEARD = StemStep.SPREAD, StemStep.TOLD, StemStep.HEARD


def story(*steps: tuple[int, StemStep], name: str = "tx") -> list[Step]:
    """Steps of one transaction, by node, a second apart."""
    return [Step(float(at), node, step, name) for at, (node, step) in enumerate(steps)]


def test_a_stem_that_a_diffuser_spreads() -> None:
    report = report_of(
        story((0, OWN), (0, GIVEN), (1, CAME), (1, GIVEN), (2, CAME), (2, SPREAD), (2, TOLD), (0, HEARD), (0, TOLD))
    )
    assert (report.transactions, report.lengths, report.mean_length) == (1, {2: 1}, 2.0)
    assert (report.spread_by_diffuser, report.spread_by_embargo, report.told_after_others) == (1, 0, 1)


def test_an_origin_whose_embargo_ends_twice() -> None:
    report = report_of(
        story((0, OWN), (0, GIVEN), (1, CAME), (0, EXPIRED), (0, GIVEN), (0, EXPIRED), (0, SPREAD), (0, TOLD))
    )
    assert (report.spread_by_embargo, report.spread_by_origin, report.restemmed) == (1, 1, 1)
    assert (report.told_by_embargo, report.told_too_soon) == (1, 0)


def test_one_that_comes_back_to_an_origin_that_diffuses() -> None:
    report = report_of(story((0, OWN), (0, GIVEN), (1, CAME), (1, GIVEN), (0, CAME), (0, SPREAD), (0, TOLD)))
    assert (report.told_as_diffuser, report.told_too_soon, report.lengths) == (1, 0, {1: 1})


def test_an_origin_that_tells_without_a_reason_is_a_defect() -> None:
    report = report_of(story((0, OWN), (0, SPREAD), (0, TOLD), (1, HEARD), (1, TOLD)))
    assert report.told_too_soon == 1
    report = report_of(story((0, OWN), (0, GIVEN), (0, TOLD), (1, SPREAD)))
    assert report.told_too_soon == 1


def test_others_are_not_counted_and_stories_do_not_mix() -> None:
    steps = story((0, OWN), (1, CAME), (1, SPREAD)) + story((2, CAME), (2, SPREAD), name="stranger")
    steps += story((3, OWN), (3, GIVEN), name="under way")
    report = report_of(steps)
    assert (report.transactions, report.never_spread) == (2, 1)
    assert report_of([]).mean_length == 0.0


def test_traces_are_written_and_read_back(tmp_path: Path) -> None:
    directories = [tmp_path / "a", tmp_path / "b"]
    name = TxId(bytes(range(32)))
    for directory in directories:
        directory.mkdir()
        with StemTraceFile(directory) as trace:
            trace.write(Notice("no-peers", "is not a step"))
            trace.write(StemTrace(OWN, name, None))
            trace.write(StemTrace(GIVEN, name, ConnId(7)))
    line = json.loads((directories[0] / FILE_NAME).read_text().splitlines()[1])
    assert (line["step"], line["id"], line["conn"]) == ("given", name.reveal(), 7)
    steps = read_traces(directories)
    assert [(step.node, step.step) for step in steps] == [(0, OWN), (0, GIVEN), (1, OWN), (1, GIVEN)]
