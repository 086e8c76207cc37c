"""``obscura sim eclipse`` and ``obscura sim flood``: what they print, exit codes, clear errors."""

from __future__ import annotations

import json
import sys

import pytest

from obscura.cli import eclipse
from obscura.cli.main import main
from obscura.lab import eclipses
from obscura.peers.defences import NAMES
from obscura.sim.flood import KINDS

QUICK = ("--jobs", "1", "--runs", "2")
LIVE = ("eclipse", "live", "--addresses", "60", "--groups", "8", "--honest", "20", "--hours", "0.05", *QUICK)
RESTART = (
    "eclipse", "restart", "--groups", "6", "--addresses", "8", "--honest", "20", "--days", "0.01", *QUICK
)  # fmt: skip
FLOOD = ("flood", "--minutes", "1", "--addresses", "20", "--groups", "10", *QUICK)


def obscura(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["obscura", "sim", *arguments])
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


def test_coverage_for_people_and_programs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("eclipse", "coverage", "--groups", "8,32", "--runs", "3")
    out = printed(monkeypatch, capsys, *arguments)
    assert "2 of 2 within tolerance; 3 books each, seed 1" in out
    report = json.loads(printed(monkeypatch, capsys, *arguments, "--json"))
    assert report["failed"] == 0
    assert [(one["row"], one["at"], one["low"]) for one in report["findings"]] == [(17, 8, 0.222), (17, 32, 0.633)]


def test_coverage_that_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eclipses, "covered", lambda groups: 0.9)
    assert obscura(monkeypatch, "eclipse", "coverage", "--groups", "8", "--runs", "2") == eclipse.EXIT_OUTSIDE


def test_live(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(monkeypatch, capsys, *LIVE)
    assert "60 addresses in 8 groups against 20 honest, 0.05 h; 2 runs, seed 1" in out
    assert "all defences  0 of 2 (0.0 to 84.2 %)" in out
    report = json.loads(printed(monkeypatch, capsys, *LIVE, "--json", "--without", "anchors,feelers"))
    assert not report["options"]["defences"]["anchors"]
    [row] = report["rows"]
    assert row["defences"] == "without anchors,feelers"
    assert (row["surrounded"]["hits"], row["surrounded"]["total"]) == (0, 2)
    assert 0 <= row["his book"]["mean"] <= 1
    assert row["time held"]["mean"] == 0
    assert (row["for a minute"]["hits"], row["for a minute"]["total"]) == (0, 2)


def test_a_node_with_all_defences_that_is_surrounded(monkeypatch: pytest.MonkeyPatch) -> None:
    real = eclipses.live

    def lost(options: eclipses.LiveOptions, seed: int) -> eclipses.LiveOutcome:
        return real(options, seed)._replace(taken=True)

    monkeypatch.setattr(eclipses, "live", lost)
    assert obscura(monkeypatch, *LIVE) == eclipse.EXIT_UNSAFE
    assert obscura(monkeypatch, *LIVE, "--without", "anchors") == 0


def test_restart_with_each(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads(printed(monkeypatch, capsys, *RESTART, "--runs", "1", "--each", "--json"))
    names = [row["defences"] for row in report["rows"]]
    assert names == ["all defences", *(f"without {name}" for name in NAMES), "none at all"]


def test_numbers_do_not_depend_on_the_processes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = printed(monkeypatch, capsys, *RESTART, "--json")
    two = printed(monkeypatch, capsys, *RESTART, "--json", "--jobs", "2")
    assert one == two


def test_diversity(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(monkeypatch, capsys, "eclipse", "diversity", "--honest", "30", *QUICK)
    assert "without diverse_groups" in out


def test_flood(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(monkeypatch, capsys, *FLOOD, "--kind", "calm,loris")
    assert [line.split()[0] for line in out.splitlines()[2:4]] == ["calm", "loris"]
    report = json.loads(printed(monkeypatch, capsys, *FLOOD, "--kind", "headers", "--each", "--json"))
    assert [row["defences"] for row in report["rows"]] == ["all defences", "without discouragement", "none at all"]
    assert set(report["rows"][0]) >= {"flood", "in kept", "out kept", "entry s", "book foreign", "blocks in 30 s"}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("flood", "--kind", "rain"), "no flood is called 'rain'"),
        (("flood", "--kind", "sybil", "--minutes", "0"), "minutes"),
        (("eclipse", "live", "--without", "moat"), "no defence is called 'moat'"),
        (("eclipse", "live", "--groups", "9", "--addresses", "8"), "at least one in each"),
        (("eclipse", "live", "--aged", "1"), "shares"),
        (("eclipse", "restart", "--days", "0"), "days"),
        (("eclipse", "coverage", "--groups", "8,many"), "numbers of groups"),
        (("eclipse", "coverage", "--groups", "0"), "numbers of groups"),
        (("eclipse", "diversity", "--share", "1"), "share"),
    ],
)
def test_clear_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], word: str
) -> None:
    assert obscura(monkeypatch, *arguments) == 2
    assert word in capsys.readouterr().err


def test_help_names_every_flood(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(monkeypatch, capsys, "flood", "--help")
    assert all(name in out for name in KINDS)
