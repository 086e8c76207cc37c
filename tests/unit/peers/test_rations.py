"""How many handshakes are answered."""

from __future__ import annotations

from obscura.base.instant import MICROSECONDS, Instant
from obscura.base.limits import HANDSHAKES_BURST, HANDSHAKES_PER_SECOND, RATIONS_RESERVED
from obscura.peers.rations import Rations

START = Instant(5_000_000)


def taken(rations: Rations, now: Instant) -> int:
    count = 0
    while rations.take(now, fresh=True):
        count += 1
    return count


def test_a_burst_and_then_so_many_a_second() -> None:
    rations = Rations(START)
    assert taken(rations, START) == HANDSHAKES_BURST
    assert not rations.take(START, fresh=True)
    assert rations.next_at() == START + MICROSECONDS // HANDSHAKES_PER_SECOND
    assert not rations.take(Instant(rations.next_at() - 1), fresh=True)
    assert rations.take(rations.next_at(), fresh=True)
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
    got = sum(rations.take(Instant(START + at * step), fresh=True) for at in range(3 * HANDSHAKES_PER_SECOND + 1))
    assert got == 3 * HANDSHAKES_PER_SECOND * step // (MICROSECONDS // HANDSHAKES_PER_SECOND)


def test_some_are_for_groups_that_had_none() -> None:
    rations, taken_by_a_flood = Rations(START), 0
    while rations.take(START, fresh=False):
        taken_by_a_flood += 1
    assert taken_by_a_flood == HANDSHAKES_BURST - RATIONS_RESERVED
    assert taken(rations, START) == RATIONS_RESERVED
