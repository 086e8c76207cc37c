"""How many handshakes are answered."""

from __future__ import annotations

from obscura.base.instant import MICROSECONDS, Instant
from obscura.base.limits import HANDSHAKES_BURST, HANDSHAKES_PER_SECOND
from obscura.peers.rations import Rations

START = Instant(5_000_000)


def taken(rations: Rations, now: Instant) -> int:
    count = 0
    while rations.take(now):
        count += 1
    return count


def test_a_burst_and_then_so_many_a_second() -> None:
    rations = Rations(START)
    assert taken(rations, START) == HANDSHAKES_BURST
    assert not rations.take(START)
    assert rations.next_at() == START + MICROSECONDS // HANDSHAKES_PER_SECOND
    assert not rations.take(Instant(rations.next_at() - 1))
    assert rations.take(rations.next_at())
    later = Instant(START + 2 * MICROSECONDS)
    assert taken(rations, later) == 2 * HANDSHAKES_PER_SECOND - 1


def test_a_pause_fills_it_to_the_brim_and_no_further() -> None:
    rations = Rations(START)
    taken(rations, START)
    assert taken(rations, Instant(START + 3_600 * MICROSECONDS)) == HANDSHAKES_BURST


def test_nothing_is_gained_twice() -> None:
    rations = Rations(START)
    taken(rations, START)
    step = MICROSECONDS // HANDSHAKES_PER_SECOND // 3
    got = sum(rations.take(Instant(START + at * step)) for at in range(3 * HANDSHAKES_PER_SECOND + 1))
    assert got == 3 * HANDSHAKES_PER_SECOND * step // (MICROSECONDS // HANDSHAKES_PER_SECOND)
