"""The replay window when the clock was wrong for a while."""

from __future__ import annotations

import pytest
from replay_contract import admits

from obscura.base.instant import WallTime
from obscura.base.limits import REPLAY_KEPT, REPLAY_TIME
from obscura.peers.replay import ReplayWindow

NOW = WallTime(1_700_000_000)


def test_an_entry_from_the_future_does_not_keep_the_others() -> None:
    ahead = (bytes(32), WallTime(NOW + 100 * REPLAY_TIME))
    window = ReplayWindow([ahead, *((number.to_bytes(32, "big"), NOW) for number in range(1, REPLAY_KEPT))])
    assert len(window) == REPLAY_KEPT
    assert not admits(window, b"\xff" * 32, NOW), "it is full"
    later = WallTime(NOW + REPLAY_TIME)
    assert admits(window, b"\xff" * 32, later)
    assert not admits(window, bytes(32), later), "the one from the future still counts"
    assert len(window) == 2


def test_a_full_window_is_looked_through_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    window = ReplayWindow((number.to_bytes(32, "big"), NOW) for number in range(REPLAY_KEPT))
    looks: list[WallTime] = []
    monkeypatch.setattr(ReplayWindow, "expire", lambda self, now: looks.append(now))
    knocks = [(bytes([number]) * 32, WallTime(NOW + number // 100)) for number in range(1, 250)]
    assert window.admit(knocks) == [False] * len(knocks)
    assert looks == [NOW, NOW + 1, NOW + 2]
