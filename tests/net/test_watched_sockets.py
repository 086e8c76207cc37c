"""Recordings of real nodes on real sockets: the observer in the middle and the writing ends see the same."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from obscura.aio.dial import DirectWay
from obscura.aio.listen import open_listener
from obscura.base.errors import ConfigError
from obscura.lab.observed import Activity, Recording, Window
from obscura.lab.socket_observer import LineObserver
from obscura.lab.watched_sockets import ACTIVITIES, SocketRecordings, record_sockets
from obscura.shaping import Profile, Shaping
from obscura.wire.address import NetAddress, Network

PAIRS = 3
WINDOW_S = 1.0


@pytest.fixture(scope="module")
def recordings() -> SocketRecordings:
    """Three groups, one window of each activity; run once for all tests."""
    return record_sockets("off", Shaping(profile=Profile.OFF), PAIRS, len(ACTIVITIES), WINDOW_S, 1)


def of(recording: Recording, activity: Activity) -> list[Window]:
    """The windows of one label."""
    return [window for window in recording.windows if window.activity is activity]


def moved(window: Window) -> tuple[int, int]:
    """Bytes from the watched node and to it."""
    sizes = [seen.size for seen in window.seen]
    return sum(size for size in sizes if size > 0), -sum(size for size in sizes if size < 0)


def test_every_group_does_each_thing_once(recordings: SocketRecordings) -> None:
    for recording in recordings:
        assert (recording.name, recording.window_s) == ("off", WINDOW_S)
        done = Counter(window.activity for window in recording.windows) + Counter(recording.left_out)
        assert done == dict.fromkeys(ACTIVITIES, PAIRS)
        assert len(recording.left_out) <= 2  # on a machine that is busy with other things
        assert [cost.world for cost in recording.costs] == [course.world for course in recording.courses] == [0, 1, 2]
        for window in recording.windows:
            assert all(0 <= seen.at < WINDOW_S * 1_000_000 for seen in window.seen)


def test_who_is_in_the_middle_sees_what_the_ends_write(recordings: SocketRecordings) -> None:
    for line, calls in zip(recordings.line.windows, recordings.calls.windows, strict=True):
        assert line.activity is calls.activity
        assert moved(line) == moved(calls)
        if calls.seen:
            # On the line a little later, and perhaps in several pieces.
            assert len(line.seen) >= len(calls.seen)
            assert 0 <= line.seen[0].at - calls.seen[0].at < 500_000


def test_labels_are_what_happened(recordings: SocketRecordings) -> None:
    line = recordings.line
    assert all(sum(moved(window)) == 0 for window in of(line, Activity.IDLE))
    assert all(moved(window)[1] >= 20_000 for window in of(line, Activity.BLOCK))
    assert all(window.seen[0].size >= 200 for window in of(line, Activity.OWN))
    assert all(window.seen[0].size < 0 and moved(window)[1] >= 200 for window in of(line, Activity.RELAYED))


def test_courses_and_costs(recordings: SocketRecordings) -> None:
    for recording in recordings:
        for course, cost in zip(recording.courses, recording.costs, strict=True):
            assert sum(course.volume) == cost.wire > 20_000
            assert len(course.blocks) == 1
            assert (cost.wire - cost.real - cost.padding - cost.decoy) % 37 == 0
            assert cost.padding == 0
            delays = (*cost.block_delays, *cost.relayed_delays, *cost.own_delays)
            assert 1 <= len(delays) <= 3
            assert all(0 < delay < 10 for delay in delays)


def test_the_profile_is_the_nodes() -> None:
    padded = record_sockets("pad", Shaping(profile=Profile.PAD), 1, len(ACTIVITIES), 0.5, 1).line
    assert padded.costs[0].padding > 0
    sizes = [abs(seen.size) for window in padded.windows if window.activity is Activity.RELAYED for seen in window.seen]
    assert all(size & (size - 1) == 0 for size in sizes)


@pytest.mark.parametrize(
    ("pairs", "windows", "window_s"), [(0, 4, 1.0), (41, 4, 1.0), (1, 3, 1.0), (1, 0, 1.0), (1, 4, 0.1)]
)
def test_numbers_that_cannot_be(pairs: int, windows: int, window_s: float) -> None:
    with pytest.raises(ConfigError):
        record_sockets("off", Shaping(profile=Profile.OFF), pairs, windows, window_s, 1)


def test_the_observer_carries_bytes_and_ends_both_ways() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        raw = bytes([127, 9, 9, 1])
        with open_listener(NetAddress(Network.IPV4, raw, 0)) as listener:
            observer = LineObserver(NetAddress(Network.IPV4, bytes([127, 9, 8, 1]), 0), "127.9.7.1")
            observer.open(NetAddress(Network.IPV4, raw, listener.getsockname()[1]))
            near = (await DirectWay().open(observer.address)).sock
            far, peer = await loop.sock_accept(listener)
            with near, far:
                assert peer[0] == "127.9.7.1"
                await loop.sock_sendall(near, b"there")
                assert await loop.sock_recv(far, 100) == b"there"
                await loop.sock_sendall(far, b"back again")
                assert await loop.sock_recv(near, 100) == b"back again"
                near.shutdown(1)
                assert await loop.sock_recv(far, 100) == b""
                await loop.sock_sendall(far, b"late")
                assert await loop.sock_recv(near, 100) == b"late"
            sizes = [seen.size for seen in observer.tap.window(0, 1 << 62)]
            assert sizes == [5, -10, -4]
            await observer.close()
            with pytest.raises(OSError):
                await DirectWay().open(observer.address)

    asyncio.run(main())
