"""The whole audit, and what it says to people and programs."""

from __future__ import annotations

import builtins
import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from recorded import constant, noise, plain, recording

from obscura.base.errors import ConfigError
from obscura.lab.audit import QUESTIONS, Audit, Examined, audit
from obscura.lab.audit_html import as_page
from obscura.lab.audit_report import as_lines, as_markdown, as_values, details, first_page
from obscura.lab.audit_words import decimal, doubts, interval, late, percent, probability, reading, unknown, volume
from obscura.lab.intervals import Interval
from obscura.lab.observed import Activity, Recording
from obscura.lab.verdicts import Verdict

COMMAND = "obscura audit --seed 1"
RECORDINGS = (
    recording("off", plain, worlds=30, peaks=9_000),
    recording("steady", constant, worlds=30, late=0.5, flat=True),
    recording("thin", noise, worlds=4, topologies=1, activities=(Activity.IDLE, Activity.SYNC)),
)


@pytest.fixture(scope="module")
def found() -> Audit:
    """An audit of a profile that shows everything, of one that shows nothing, and of one that was hardly recorded."""
    return audit(RECORDINGS, 1, network=False, trees=10)


@pytest.fixture(scope="module")
def markdown(found: Audit) -> str:
    """Its document."""
    return as_markdown(found, COMMAND)


@pytest.fixture(scope="module")
def page(found: Audit) -> str:
    """Its page."""
    return as_page(found, COMMAND)


def test_what_is_plain_is_seen(found: Audit) -> None:
    off = found.examined[0]
    assert off.accuracy.low > 0.85
    assert off.verdict is Verdict.YES
    assert off.elsewhere is not None
    assert off.elsewhere.low > 0.8
    assert off.information.low > 1.5
    assert off.best.attacker in {"totals", "forest"}
    assert [one.verdict for one in off.questions] == [Verdict.YES] * len(QUESTIONS)
    assert off.blocks_verdict is Verdict.YES


def test_what_is_constant_is_not(found: Audit) -> None:
    steady = found.examined[1]
    assert steady.accuracy.low <= steady.blind <= steady.accuracy.high
    assert steady.verdict is Verdict.NO
    assert steady.information.low == 0
    assert [one.verdict for one in steady.questions] == [Verdict.NO] * len(QUESTIONS)
    assert steady.blocks_verdict is Verdict.NO


def test_what_was_hardly_recorded_is_not_known(found: Audit) -> None:
    thin = found.examined[2]
    assert thin.verdict is Verdict.OPEN
    assert thin.elsewhere is None
    assert [one.name for one in thin.questions] == ["catching up"]
    assert len(thin.unasked) == len(QUESTIONS) - 1
    said = "\n".join(unknown(thin))
    for text in (
        "too few windows for a verdict",
        "not asked, as there are no windows of two worlds: a block",
        "needs more windows (idle, sync)",
        "a single one",
        "too few courses",
    ):
        assert text in said


def test_delays_are_compared_with_no_shaping_alone(found: Audit) -> None:
    off, steady, _ = found.examined
    assert all(one.added is None for one in off.delays)
    for one in steady.delays:
        assert one.added is not None
        assert one.added.low > 0.3
    apart = audit(RECORDINGS[2:], 1, network=False, trees=2)
    assert all(one.added is None for one in apart.examined[0].delays)


def test_one_seed_gives_one_audit_in_whatever_company(found: Audit) -> None:
    alone = audit(RECORDINGS[2:], 1, network=False, trees=10).examined[0]
    assert alone.leaks == found.examined[2].leaks
    assert alone.questions == found.examined[2].questions
    other = audit(RECORDINGS[2:], 2, network=False, trees=10).examined[0]
    assert other.leaks != alone.leaks
    renamed = dataclasses.replace(RECORDINGS[2], name="other")
    assert audit([renamed], 1, network=False, trees=10).examined[0].leaks != alone.leaks


def test_the_network_is_one_attacker_more_and_progress_is_told() -> None:
    told: list[tuple[str, float]] = []
    found = audit(RECORDINGS[2:], 1, network=True, trees=2, progress=lambda name, share: told.append((name, share)))
    assert [one.attacker for one in found.examined[0].leaks] == ["totals", "nearest", "forest", "network"]
    assert {name for name, _ in told} == {"thin"}
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_recordings_have_names_of_their_own() -> None:
    for wrong in ((), (RECORDINGS[0], RECORDINGS[0])):
        with pytest.raises(ConfigError, match="its own name"):
            audit(wrong, 1, network=False)


def test_timelines_are_of_median_windows(found: Audit) -> None:
    lines = {one.activity: one.volume for one in found.examined[0].timelines}
    assert list(lines) == [one.value for one in Activity]
    assert all(len(one) == 20 for one in lines.values())
    for activity, line in lines.items():
        volumes = [
            sum(abs(at.size) for at in one.seen) for one in RECORDINGS[0].windows if one.activity.value == activity
        ]
        assert sum(line) == sorted(volumes)[15]
    assert {sum(one.volume) for one in found.examined[1].timelines} == {20 * 1_024}


def numbers(examined: Examined) -> list[str]:
    """Every measured number of a recording with its interval, as details write it."""
    said = [interval(examined.accuracy, percent), interval(examined.information, decimal)]
    for leak in examined.leaks:
        said += [interval(leak.accuracy, percent), interval(leak.information, decimal), probability(leak.p)]
        said += [interval(leak.elsewhere, percent)]
        said += ["needs more windows" if rate.share is None else str(rate.share) for rate in leak.rates]
    for question in examined.questions:
        for answer in question.answers:
            said += [interval(answer.accuracy, percent), interval(answer.auc, decimal)]
    for sniff in examined.sniffs:
        assert sniff.found is not None
        assert sniff.p is not None
        said += [str(sniff.found), probability(sniff.p), interval(sniff.auc, decimal), interval(sniff.excess, volume)]
    assert examined.bill is not None
    said += [interval(examined.bill.rate, volume), interval(examined.bill.month, volume)]
    said += [interval(examined.bill.per_real, decimal)]
    said += [interval(share, percent) for share in (examined.bill.decoys, examined.bill.padding)]
    for delay in examined.delays:
        said += [interval(one, late) for one in (delay.median, delay.high, delay.added)]
    return said


def test_documents_have_every_number_with_its_interval(found: Audit, markdown: str, page: str) -> None:
    for one in found.examined:
        assert len(numbers(one)) > 40
        for number in numbers(one):
            assert number in markdown
            assert number.replace("<", "&lt;") in page


def test_the_first_page_comes_first_and_needs_no_statistics(markdown: str) -> None:
    first, _, rest = markdown.partition("\n# Details\n")
    assert rest
    heads = re.findall(r"^#+ (.*)$", first, re.MULTILINE)
    assert heads == [
        "What an observer of a link learns",
        "What an observer of the link can tell",
        "What it costs",
        "What the figures say",
        "What is not known",
        "Repeat it",
    ]
    assert f"```sh\n{COMMAND}\n```" in first
    assert re.search(r"Seed 1; numpy [\d.]+, scikit-learn [\d.]+", first)
    assert "yes, 100 (50)" in first
    assert "no, 50 (50)" in first


def test_tables_are_tables(markdown: str) -> None:
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) > 100
    for row, under in pairwise(rows):
        if set(under) <= set("| -"):
            assert row.count("|") == under.count("|")
    prose = [line for line in markdown.splitlines() if not line.startswith("|")]
    assert max(map(len, prose)) <= 120


def test_words_follow_the_numbers(found: Audit) -> None:
    off, steady, thin = ("\n".join(reading(one)) for one in found.examined)
    assert "The observer names what happens" in off
    assert "He can tell: catching up, a block" in off
    assert "Volume over time follows the times of blocks" in off
    assert "he still names" in off
    assert "No attacker here does better" in steady
    assert "No sign that he can tell: catching up" in steady
    assert "He can tell" not in steady.replace("No sign that he can tell", "")
    assert "A block arrives later than without shaping" in steady
    assert "is not known: the best" in thin
    assert "no difference from no shaping could be told" in thin


def test_other_numbers_make_other_words(found: Audit) -> None:
    steady = found.examined[1]
    seen = dataclasses.replace(steady, accuracy=Interval(0.5, 0.4, 0.6), elsewhere=Interval(0.5, 0.4, 0.6))
    assert "The observer names what happens in 50 of 100 windows (40 to 60)" in reading(seen)[0]
    assert any("he still names 50 of 100" in text for text in reading(seen))
    wide = dataclasses.replace(steady, accuracy=Interval(0.3, 0.1, 0.5), elsewhere=Interval(0.3, 0.1, 0.5))
    assert "not known" in reading(wide)[0]
    assert any("too wide to say anything" in text for text in reading(wide))
    assert "steady: activities" not in unknown(steady)
    assert "activities: too few windows for a verdict" in unknown(wide)
    unclear = [one._replace(added=Interval(0.1, -0.1, 0.3)) for one in steady.delays]
    said = reading(dataclasses.replace(steady, delays=tuple(unclear)))
    assert sum("no difference from no shaping could be told" in text for text in said) == 3
    sooner = [one._replace(added=Interval(-2.0, -3.0, -1.0)) for one in steady.delays]
    assert any("arrives sooner" in text for text in reading(dataclasses.replace(steady, delays=tuple(sooner))))


def test_what_was_not_measured_is_said() -> None:
    bare = Recording("bare", 20.0, RECORDINGS[2].windows, (), ())
    found = audit([bare], 1, network=False, trees=2)
    text = as_markdown(found, COMMAND)
    assert "volume against block times: there was nothing to test" in text
    assert "bytes: nothing was measured" in text
    assert "delays: nothing arrived (own)" in text
    assert "### Delays\n\nAdded is the median less that of no shaping.\n\nNothing." in text
    assert as_values(found)["examined"][0]["bill"] is None
    assert as_lines(found, COMMAND)
    assert "Nothing." in as_page(found, COMMAND)


def test_a_terminal_gets_the_first_page(found: Audit) -> None:
    lines = as_lines(found, COMMAND)
    assert lines[0] == "What an observer of the link can tell"
    text = "\n".join(lines)
    assert all(f"\n{one.name}:\n" in text for one in found.examined)
    assert "Not known:" in text
    assert lines[-1].startswith(COMMAND)
    # Of all classes 3, elsewhere 2, of questions 11, of blocks 3.
    assert "19 verdicts here 0.5 may be" in doubts(found)


def test_values_are_for_any_program(found: Audit) -> None:
    values = json.loads(json.dumps(as_values(found), allow_nan=False))
    off, steady, thin = values["examined"]
    assert (values["seed"], values["network"], values["trees"]) == (1, False, 10)
    assert (off["verdict"], steady["verdict"], thin["verdict"]) == ("yes", "no", "not known")
    assert off["blocks_verdict"] == "yes"
    assert off["accuracy"] == dict(zip(("value", "low", "high"), found.examined[0].accuracy, strict=True))
    assert off["questions"][0]["verdict"] == "yes"
    assert off["sniffs"][0]["found"]["value"] == 1.0
    assert thin["elsewhere"] is None
    assert thin["leaks"][0]["rates"][0]["share"] is None
    assert off["classes"] == [[one.value, 30] for one in Activity]


def test_a_page_loads_nothing_and_is_the_same_each_time(found: Audit, page: str) -> None:
    assert page == as_page(found, COMMAND)
    assert len(page) > 1_000_000, "the script is inside"
    outside = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)\s*=\s*[\"']?(?:https?:)?//", re.IGNORECASE)
    assert not outside.search(page)
    assert not re.search(r"<script[^>]*\bsrc\b", page)
    # Two of all profiles, three of each.
    assert all(f'id="figure-{number}"' in page for number in range(2 + 3 * len(found.examined)))
    assert f'id="figure-{2 + 3 * len(found.examined)}"' not in page
    for title in ("Right guesses by profile and attacker", "against cost", "volume around blocks", "of each activity"):
        assert title in page


def test_what_is_not_ours_is_escaped(found: Audit) -> None:
    wild = dataclasses.replace(found, examined=(dataclasses.replace(found.examined[2], name="<b>|"),))
    text = as_page(wild, "a <command>")
    body = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "<b>" not in body
    assert "a &lt;command&gt;" in body
    assert "| <b>\\| |" in as_markdown(wild, COMMAND)


def test_sections_are_even(found: Audit) -> None:
    for section in (*first_page(found), *(one for examined in found.examined for one in details(examined))):
        assert {len(row) for row in section.rows} <= {len(section.head)}, section.title


def test_numbers_as_text() -> None:
    assert interval(Interval(0.5, 0.25, 0.75), percent) == "50.0 (25.0 to 75.0)"
    assert interval(None, percent) == "-"
    assert [decimal(one) for one in (-0.0001, -0.0, 1.23456)] == ["0.000", "0.000", "1.235"]
    assert [volume(one) for one in (2.5e9, 3e6, 4_000, 12.34, -5e6)] == [
        "2.50 GB", "3.00 MB", "4.00 kB", "12.3 B", "-5.00 MB"
    ]  # fmt: skip
    assert [late(one) for one in (-0.001, 1.5, -2.0)] == ["0.00 s", "1.50 s", "-2.00 s"]
    assert [probability(one) for one in (0.0, 0.001, 0.5)] == ["below 0.001", "0.001", "0.500"]


def test_reports_need_no_extra_until_an_audit_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; import obscura.lab.audit, obscura.lab.audit_report, obscura.lab.audit_html;"
        "print([one for one in ('numpy', 'sklearn', 'plotly') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    real: Callable[..., Any] = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("sklearn"):
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match=r"obscura\[lab\]"):
        audit(RECORDINGS, 1, network=False)
