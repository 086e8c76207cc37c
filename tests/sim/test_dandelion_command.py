"""``obscura sim dandelion``: what it prints, its exit codes, clear errors."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from pathlib import Path

import pytest

from obscura.cli import dandelion
from obscura.cli.main import main
from obscura.lab import experiments
from obscura.lab.attacks import DIFFUSION
from obscura.lab.experiments import GRAPHS, ROWS
from obscura.lab.forwarding import RULES
from obscura.lab.topologies import TOPOLOGIES

RUN = ("run", "--nodes", "40", "--graphs", "3", "--jobs", "1")
HOLE = ("blackhole", "--nodes", "40", "--graphs", "3", "--jobs", "1")
REPRODUCE = ("reproduce", "--rows", "8", "--graphs", "4", "--jobs", "1")


def obscura(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["obscura", "sim", "dandelion", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints that succeeds, and says nothing of its progress."""
    assert obscura(monkeypatch, *arguments) == 0
    out, err = capsys.readouterr()
    assert err == "", "no progress unless standard error is a terminal"
    return out


def test_reproduce_for_people(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(monkeypatch, capsys, *REPRODUCE)
    assert "none fires early" in out
    assert "2 of 2 within tolerance; seed 1, 4 graphs" in out


def test_reproduce_writes_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page, table = tmp_path / "report.html", tmp_path / "table.csv"
    arguments = ("--json", "--html", str(page), "--csv", str(table), "--rows", "8,16", "--graphs", "8")
    report = json.loads(printed(monkeypatch, capsys, *REPRODUCE, *arguments))
    assert (report["seed"], report["graphs"], report["failed"]) == (1, 8, 0)
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))
    assert [row["measure"] for row in rows] == [one["measure"] for one in report["findings"]]
    text = page.read_text(encoding="utf-8")
    assert "Row 16" in text
    assert not re.search(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)\s*=\s*[\"']?(?:https?:)?//", text)


def test_what_is_not_reproduced_has_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(experiments, "ends_early", lambda *rest: True)
    assert obscura(monkeypatch, *REPRODUCE) == dandelion.EXIT_OUTSIDE == 13
    out = capsys.readouterr().out
    assert "FAILS" in out
    assert "1 of 2 within tolerance" in out
    assert obscura(monkeypatch, *REPRODUCE, "--json") == 13
    assert json.loads(capsys.readouterr().out)["failed"] == 1


def test_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = printed(monkeypatch, capsys, *RUN, "--spies", "0.2", "--diffusers", "0.1")
    assert "2 of 8 outbound, one-to-one, q=0.1, p=0.2: 40 nodes, 3 graphs, seed 1" in out
    assert all(word in out for word in ("recall", "precision", "hops", "spied", "floors"))
    page = tmp_path / "run.html"
    arguments = (*RUN, "--topology", "regular", "--rule", "diffusion", "--json", "--html", str(page))
    one = json.loads(printed(monkeypatch, capsys, *arguments))
    assert (one["topology"], one["rule"], one["graphs"]) == ("regular", "diffusion", 3)
    assert 0 < one["precision"]["mean"] <= one["recall"]["mean"] < 1
    assert "figure-0" in page.read_text(encoding="utf-8")
    assert one == json.loads(printed(monkeypatch, capsys, *arguments)), "a seed repeats every number"
    assert one != json.loads(printed(monkeypatch, capsys, *arguments, "--seed", "2"))


def test_blackhole(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(monkeypatch, capsys, *HOLE, "--spies", "0.2")
    assert all(word in out for word in ("no re-stemming", "re-stemming once", "exposed", "delay_s"))
    cases = json.loads(printed(monkeypatch, capsys, *HOLE, "--spies", "0.2", "--json"))["cases"]
    assert cases["re-stemming once"]["exposed"]["mean"] < cases["no re-stemming"]["exposed"]["mean"]
    assert all(case["delivered"] == {"mean": 1.0, "error": 0.0} for case in cases.values())
    quiet = json.loads(printed(monkeypatch, capsys, *HOLE, "--spies", "0", "--json"))["cases"]
    assert list(quiet) == ["hops of 0.3 s", "hops of 0.1 s"]
    assert all(list(case) == ["early", "looped"] for case in quiet.values())


def test_help_names_all_that_there_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # The command does not import the laboratory to say what it offers.
    words = {
        "reproduce": [f"{', '.join(map(str, ROWS))}.", f"[default: {GRAPHS};", "13"],
        "run": [*TOPOLOGIES, *RULES, DIFFUSION],
        "blackhole": [*TOPOLOGIES],
    }
    for command, known in words.items():
        out = " ".join(printed(monkeypatch, capsys, command, "--help").split())
        assert f"obscura sim dandelion {command} " in out
        assert "Example" in out
        assert all(word in out for word in known), command


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("reproduce", "--rows", "4"), "no row '4'"),
        (("reproduce", "--rows", ""), "no row ''"),
        (("reproduce", "--rows", "1;2"), "no row '1;2'"),
        (("reproduce", "--graphs", "1"), "--graphs"),
        (("reproduce", "--seed", "-1"), "--seed"),
        (("reproduce", "--jobs", "-1"), "--jobs"),
        ((*RUN, "--spies", "1"), "share of spies"),
        ((*RUN, "--spies", "nan"), "share of spies"),
        ((*RUN, "--spies", "many"), "--spies"),
        ((*RUN, "--spies", "0.001"), "leaves 0 spies"),
        ((*RUN, "--topology", "ring"), "'ring'"),
        ((*RUN, "--rule", "none"), "'none'"),
        ((*RUN, "--rule", "diffusion", "--diffusers", "0.1"), "has no stems"),
        ((*RUN, "--diffusers", "-0.1"), "share of diffusers"),
        (("run", "--nodes", "3"), "--nodes"),
        ((*HOLE, "--spies", "2"), "share of spies"),
        ((*HOLE, "--topology", "star"), "'star'"),
    ],
)
def test_typing_mistakes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], word: str
) -> None:
    assert obscura(monkeypatch, *arguments) == 2
    assert word in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--html", "--csv"])
def test_files_that_cannot_be_written_are_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str
) -> None:
    monkeypatch.setattr(experiments, "ROWS", {8: None})
    assert obscura(monkeypatch, *REPRODUCE, option, str(tmp_path / "no" / "where")) == 5
    assert "cannot write" in capsys.readouterr().err


def test_a_file_whose_disk_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert obscura(monkeypatch, *REPRODUCE, "--csv", "/dev/full") == 5
    out, err = capsys.readouterr()
    assert "2 of 2 within tolerance" in out, "what took so long is printed all the same"
    assert "cannot write /dev/full" in err
