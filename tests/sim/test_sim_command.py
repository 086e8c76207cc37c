"""``obscura sim``: reports, journals, replays, exit codes, clear errors; and the long form's short form."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from obscura.cli.main import main
from obscura.sim import trial
from obscura.sim.checks import SafetyChecker, SafetyError
from obscura.sim.host import Host

SMALL = ("--nodes", "6", "--hours", "0.1", "--seed", "2")


def obscura(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["obscura", "sim", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_a_report_for_people(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert obscura(monkeypatch, "run", *SMALL) == 0
    out, err = capsys.readouterr()
    assert err == "", "no progress unless standard error is a terminal"
    for word in ("seed 2", "blocks", "reorgs", "events", "journal", "held"):
        assert word in out


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert obscura(monkeypatch, "run", *SMALL, "--json", "--faults", "none", "--adversaries", "none") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "held"
    assert report["honest"] == report["hosts"] == 6
    assert len(report["journal"]) == 64


def test_journals_are_replayed_and_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert obscura(monkeypatch, "run", *SMALL, "--journal", str(one)) == 0
    assert obscura(monkeypatch, "run", "--replay", str(one)) == 0
    assert "all as in" in capsys.readouterr().out
    lines = one.read_text().splitlines(keepends=True)
    lines[700] = lines[700].replace(" host ", " ghost ")
    other.write_text("".join(lines))
    assert obscura(monkeypatch, "diff", str(one), str(one)) == 0
    capsys.readouterr()
    for command in (("diff", str(one), str(other)), ("run", "--replay", str(other))):
        assert obscura(monkeypatch, *command) == 12
        assert "(line 701 of the file)" in capsys.readouterr().out
    assert obscura(monkeypatch, "diff", str(one), str(other), "--json") == 12
    found = json.loads(capsys.readouterr().out)
    assert found["event"] == 699
    assert "ghost" in found[str(other)]
    # A journal that breaks off, and one that goes on.
    other.write_text("".join(lines[:600]))
    assert obscura(monkeypatch, "diff", str(one), str(other)) == 12
    assert obscura(monkeypatch, "diff", str(other), str(one)) == 12
    assert capsys.readouterr().out.count("(it ends here)") == 2


def test_failures_have_exit_codes_of_their_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unsafe(self: SafetyChecker, host: Host) -> None:
        raise SafetyError("made-up", host.number, "for the test")

    with monkeypatch.context() as patch:
        patch.setattr(SafetyChecker, "check", unsafe)
        assert obscura(patch, "run", *SMALL) == 10
    assert "made-up" in capsys.readouterr().out
    with monkeypatch.context() as patch:
        patch.setattr(trial.Trial, "settle", lambda self, limit=0: False)
        assert obscura(patch, "run", *SMALL) == 11
    assert "STUCK" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("run", "--nodes", "1"), "--nodes"),
        (("run", "--nodes", "many"), "--nodes"),
        (("run", "--hours", "0"), "--hours"),
        (("run", "--faults", "los"), "'los'"),
        (("run", "--adversaries", "saint"), "'saint'"),
        (("run", "--replay", "/does/not/exist"), "--replay"),
        (("run", "--replay", __file__), "is no journal"),
        (("diff", __file__, __file__), "is no journal"),
    ],
)
def test_typing_mistakes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], word: str
) -> None:
    assert obscura(monkeypatch, *arguments) == 2
    assert word in capsys.readouterr().err


def test_a_replay_takes_no_other_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    journal.write_text("obscura-sim-journal 1 {}\n")
    assert obscura(monkeypatch, "run", "--replay", str(journal), "--seed", "3") == 2
    assert "--seed" in capsys.readouterr().err


@pytest.mark.parametrize("head", ["{}", '{"nodes": 5}', '{"nodes": "x", "seed": 1, "hours": 1}', "[1]", '{"typo": 1}'])
def test_a_journal_whose_first_line_is_damaged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, head: str
) -> None:
    journal = tmp_path / "journal"
    journal.write_text(f"obscura-sim-journal 1 {head}\n")
    assert obscura(monkeypatch, "run", "--replay", str(journal)) == 2
    assert "is no journal" in capsys.readouterr().err


def test_a_journal_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert obscura(monkeypatch, "run", *SMALL, "--journal", str(tmp_path / "no" / "where")) == 5
    assert "cannot write" in capsys.readouterr().err


def chaos() -> ModuleType:
    """The script of the long form."""
    path = Path(__file__).parents[2] / "scripts" / "chaos.py"
    spec = importlib.util.spec_from_file_location("chaos", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its jobs are sent to other processes, which find it by its name.
    sys.modules["chaos"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_short_form_of_the_long_form(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    reports = tmp_path / "reports.json"
    assert chaos().main(["--short", "--json", str(reports)]) == 0, capsys.readouterr().out
    written = json.loads(reports.read_text())
    assert written["failed"] == 0
    assert len(written["runs"]) == 12
    assert sum(run["toll"]["crashes"] for run in written["runs"]) > 0
    assert sum(sum(run["adversaries"].values()) for run in written["runs"]) > 5


def test_a_failing_seed_is_printed_with_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = chaos()
    jobs = [script.Job(7, 4, 0.05)]
    monkeypatch.setattr(script, "plan", lambda short, first: jobs)
    assert script.main(["--jobs", "1"]) == 0
    # The processes of the pool are forks, so they see what is broken here.
    monkeypatch.setattr(trial.Trial, "settle", lambda self, limit=0: False)
    assert script.main(["--jobs", "1"]) == 1
    assert "FAILED: obscura sim run --nodes 4 --seed 7 --hours 0.05" in capsys.readouterr().out
