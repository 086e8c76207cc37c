"""The replay window when the clock was wrong for a while."""

from __future__ import annotations

from obscura.base.instant import WallTime
from obscura.base.limits import REPLAY_KEPT, REPLAY_TIME
from obscura.peers.replay import ReplayWindow

NOW = WallTime(1_700_000_000)


def test_an_entry_from_the_future_does_not_keep_the_others() -> None:
    ahead = (bytes(32), WallTime(NOW + 100 * REPLAY_TIME))
    window = ReplayWindow([ahead, *((number.to_bytes(32, "big"), NOW) for number in range(1, REPLAY_KEPT))])
    assert len(window) == REPLAY_KEPT
    assert not window.admit(b"\xff" * 32, NOW), "it is full"
    later = WallTime(NOW + REPLAY_TIME)
    assert window.admit(b"\xff" * 32, later)
    assert not window.admit(bytes(32), later), "the one from the future still counts"
    assert len(window) == 2
