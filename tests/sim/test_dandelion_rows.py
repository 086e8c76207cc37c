"""The published results about stems: each row in a short form that can fail, and all of them as CI runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from obscura.base.instant import Duration, seconds
from obscura.base.randomness import Chance
from obscura.lab import attacks, experiments
from obscura.lab.diffusion import Sighting
from obscura.lab.estimators import Score
from obscura.lab.experiments import ROWS, Scale, parse_rows
from obscura.lab.findings import Finding
from obscura.lab.forwarding import OneToOne, PerTransaction
from obscura.lab.workers import Workers

# Graphs, nodes: errors are larger than in the long form, and tolerances with them.
SHORT = {
    1: Scale(12, 600),
    2: Scale(12, 600),
    3: Scale(12, 600),
    5: Scale(30, 200),
    8: Scale(20),
    9: Scale(20),
    16: Scale(24, 300),
}


def findings(row: int) -> list[Finding]:
    """A row's findings in its short form."""
    with Workers(1) as workers:
        return ROWS[row](workers, SHORT[row])


def failing(row: int) -> list[str]:
    """What of a row is not within its tolerance."""
    return [f"{one.setup}, {one.measure}" for one in findings(row) if not one.holds]


def test_each_row_has_a_short_form() -> None:
    assert list(SHORT) == list(ROWS)


@pytest.mark.parametrize("row", list(ROWS))
def test_a_row_holds(row: int) -> None:
    found = findings(row)
    assert [one for one in found if not one.holds] == []
    assert all(one.row == row for one in found)
    assert sum(bool(one.verdict) for one in found) >= 1
    # A tolerance that everything fits in says nothing.
    assert all(one.tolerance < 0.5 * one.low for one in found if one.low and one.low == one.high and one.given)


def test_lines_that_do_not_mix_fail_row_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attacks, "score", lambda guesses: Score(0.1, 0.05))
    assert "line, stem, precision" in failing(1)
    assert "line, stem, recall" in failing(1)


def test_coins_for_each_transaction_fail_row_2(monkeypatch: pytest.MonkeyPatch) -> None:
    coins = Chance.from_seed(1)
    monkeypatch.setattr(OneToOne, "onward", lambda self, node, edge: PerTransaction(self._routers, coins).own(node))
    assert "4-regular, one-to-one, precision" in failing(2)


def test_swapped_rules_fail_row_3(monkeypatch: pytest.MonkeyPatch) -> None:
    real = attacks.draw_rule
    swap = {"one-to-one": "all-to-one", "all-to-one": "one-to-one", "per-transaction": "per-transaction"}
    monkeypatch.setattr(attacks, "draw_rule", lambda name, *rest: real(swap[name], *rest))
    assert failing(3) == ["4-regular, all-to-one less one-to-one, precision"]


def test_spies_that_see_the_wrong_node_fail_the_floors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attacks, "first_sighting", lambda neighbours, spies, start, chance: Sighting(0, 0))
    assert "4-regular, diffusion, recall" in failing(5)


def test_the_decimal_logarithm_fails_row_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments, "embargo_mean", lambda hops, hop, early: seconds(128.1 / 2.3026))
    assert len(failing(8)) == 2


def test_uniform_times_fail_row_9(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Chance, "exponential", lambda self, mean: self.span(Duration(0), Duration(2 * mean)))
    assert len(failing(9)) == 2


def test_slow_hops_fail_row_16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments, "seconds", lambda value: seconds(2 * value))
    assert failing(16) == ["8 outbound, hops of 0.3 s, 10 hops less 0 (s)"]


def test_no_number_depends_on_how_many_processes_there_are() -> None:
    scale = Scale(4, 60)
    found = []
    for jobs in (1, 2):
        with Workers(3, jobs) as workers:
            found.append([ROWS[row](workers, scale) for row in (2, 3, 9, 16)])
    assert found[0] == found[1]


def test_rows_are_named() -> None:
    assert parse_rows("all") == list(ROWS)
    assert parse_rows("16, 2,2") == [2, 16]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_rows_as_published(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    command = [sys.executable, "-m", "obscura.cli.main", "sim", "dandelion", "reproduce", "--json", "--csv", str(table)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["failed"] == 0
    assert list(dict.fromkeys(one["row"] for one in report["findings"])) == list(ROWS)
    assert len(table.read_text().splitlines()) == len(report["findings"]) + 1
