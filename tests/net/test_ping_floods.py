"""Twenty hostile peers flood a node process with whatever they like: an honest link stays and is answered, the chain is
synced, and memory stays within its bound. How long pings take is a figure, no verdict: ``python -m bench pings``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2]))

from bench.pings import LINKS, Story, memory_bound, story
from bench.pings_flood import KINDS
from bench.pings_veil import BASE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SECONDS = 2.0
BLOCKS = 2_000


def judge(found: Story) -> None:
    """What holds whatever else the machine does. (That the honest link was never closed, :func:`story` has seen.)"""
    assert found.sync_s, f"the chain is synced: {found.state}"
    assert found.state["height"] == BASE + BLOCKS
    assert found.flooded, "the honest link was answered"
    assert found.memory <= memory_bound(LINKS, BLOCKS), f"{found.memory / 1e6:.0f} MB"


def test_without_a_flood() -> None:
    judge(story(None, SECONDS, BLOCKS))


@pytest.mark.parametrize("kind", KINDS)
def test_a_flood(kind: str) -> None:
    found = story(kind, SECONDS, BLOCKS)
    judge(found)
    assert found.opened >= LINKS
    if kind == "handshakes":
        # Some 200 a second are answered on an idle machine; the flooders have what is left of a busy one.
        assert found.opened >= 4 * LINKS
    else:
        assert found.sent > LINKS * 10_000, "it floods"
        honest = BLOCKS * 1_300
        assert found.state["bytes_in"] - honest > LINKS * 5_000, "and the node has read it"
        assert found.state["opened"] >= LINKS + 2
