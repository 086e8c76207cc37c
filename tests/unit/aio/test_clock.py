"""Clocks that are wrong."""

from __future__ import annotations

import time

import pytest

from obscura.aio.clock import read_clock
from obscura.base.instant import WALL_MOST


@pytest.mark.parametrize(
    ("shown", "wall"),
    [(-1e18, 0), (-1, 0), (-0.5, 0), (0, 0), (1.8e9, 1_800_000_000), (2**32 - 0.5, WALL_MOST), (2**32, WALL_MOST),
     (2**40, WALL_MOST)],
)  # fmt: skip
def test_a_wall_clock_beyond_what_messages_carry(monkeypatch: pytest.MonkeyPatch, shown: float, wall: int) -> None:
    monkeypatch.setattr(time, "time", lambda: shown)
    assert read_clock().wall == wall
    wall.to_bytes(4, "little")
