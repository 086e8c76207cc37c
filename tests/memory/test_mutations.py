"""Mutated forms of recorded sessions at a node process; short form. The long one is ``python scripts/mutations.py``."""

from __future__ import annotations

import asyncio

import pytest
from mutations import KINDS, SEALED, VEILED_KINDS, draw_mutations, run
from recording import record


def test_a_recorded_session_has_what_sessions_are_made_of() -> None:
    session = asyncio.run(record(2, 1, 300))
    wanted = "version verack getheaders headers getdata block inv getaddr addr ping pong"
    assert session.kinds() >= set(wanted.split())
    for side in (session.initiator, session.responder):
        assert len(side) > 8
    again = draw_mutations([session], 40, 5)
    assert draw_mutations([session], 40, 5) == again, "a seed repeats"
    assert draw_mutations([session], 40, 6) != again
    assert {one.dials for one in again} == {True, False}


@pytest.mark.slow
@pytest.mark.parametrize("veiled", [False, True], ids=["in clear", "veiled"])
def test_mutated_sessions_do_no_harm(veiled: bool) -> None:
    report = run(4 * len(VEILED_KINDS if veiled else KINDS), seed=7, veiled=veiled)
    assert report.peak <= report.bound
    assert report.pings_lost == 0
    assert report.blocks > 0
    assert len(report.rules) > 4, "they reach different rules"
    assert report.rules["tag-wrong"] == report.kinds[SEALED], "for each of them, and for nothing else"
