"""Simulated worlds: many nodes over bad lines agree, and a seed repeats to the bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from obscura.base.instant import seconds
from obscura.sim.journal import first_difference
from obscura.sim.network import LineOptions
from obscura.sim.scenario import run_convergence


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fifty_nodes_converge_over_lossy_lines(seed: int) -> None:
    report, _ = run_convergence(seed)
    assert report.converged, report
    assert len(report.tips) == 1
    assert report.blocks_mined == 30
    assert report.reorganisations > 0, "branches did compete"


def test_two_runs_of_a_seed_are_equal() -> None:
    one, lines = run_convergence(7, hosts=20, blocks=10, keep_lines=True)
    other, again = run_convergence(7, hosts=20, blocks=10, keep_lines=True)
    assert first_difference(lines, again) is None
    assert one == other
    third, _ = run_convergence(8, hosts=20, blocks=10)
    assert third.journal != one.journal


def test_two_hash_seeds_give_one_journal() -> None:
    journals = []
    for hash_seed in ("0", "4242"):
        done = subprocess.run(
            [sys.executable, "-m", "obscura.sim.scenario", "--nodes", "50", "--seed", "11"],
            capture_output=True,
            text=True,
            timeout=100,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            check=True,
        )
        journals.append(json.loads(done.stdout)["journal"])
    assert journals[0] == journals[1]


def test_terrible_lines() -> None:
    options = LineOptions(loss=0.2, reset=0.005, cut=0.8, bandwidth=20_000, latency_max=seconds(1))
    report, _ = run_convergence(5, hosts=12, blocks=12, options=options)
    assert report.converged, report


def test_perfect_lines() -> None:
    options = LineOptions(loss=0.0, reset=0.0, cut=0.0)
    report, _ = run_convergence(5, hosts=12, blocks=12, options=options, interval=seconds(30))
    assert report.converged
    assert report.height == 12
    assert report.reorganisations == 0


def test_first_difference_finds_it() -> None:
    assert first_difference(["a", "b"], ["a", "c"]) == (1, "b", "c")
    assert first_difference(["a"], ["a", "b"]) == (1, "", "b")
    assert first_difference([], []) is None
