"""The trickle: one timer a network for inbound links, one each for outbound links, both exponential."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.errors import BugError
from obscura.base.instant import MICROSECONDS, Duration, Instant, seconds
from obscura.base.names import ConnId
from obscura.base.randomness import Chance
from obscura.relay.trickle import Trickle
from obscura.wire.address import Network

START = Instant(0)


def run(trickle: Trickle, until: Instant) -> list[tuple[Instant, list[ConnId]]]:
    """All moments up to ``until``; something new waits for each link as soon as it was told."""
    found = []
    while (at := trickle.next_deadline()) is not None and at <= until:
        told = trickle.due(at)
        found.append((at, told))
        for conn in told:
            trickle.wake(conn, at)
        trickle.check()
    return found


def join(trickle: Trickle, conn: int, network: Network, *, inbound: bool, now: Instant = START) -> None:
    """A link, and something that waits for it."""
    trickle.join(ConnId(conn), network, inbound=inbound)
    trickle.wake(ConnId(conn), now)


def test_inbound_links_of_a_network_share_each_moment() -> None:
    trickle = Trickle(Chance.from_seed(1))
    for number in range(1, 4):
        join(trickle, number, Network.IPV4, inbound=True)
    join(trickle, 9, Network.TORV3, inbound=True)
    told = [links for _, links in run(trickle, Instant(10**9))]
    assert [1, 2, 3] in told
    assert [9] in told
    assert all(links in ([1, 2, 3], [9]) for links in told)


def test_outbound_links_have_moments_of_their_own() -> None:
    trickle = Trickle(Chance.from_seed(1))
    for number in range(1, 9):
        join(trickle, number, Network.IPV4, inbound=False)
    assert all(len(links) == 1 for _, links in run(trickle, Instant(10**8)))


def test_joining_and_leaving_does_not_move_a_network_s_moment() -> None:
    quiet, busy = Trickle(Chance.from_seed(5)), Trickle(Chance.from_seed(5))
    for trickle in (quiet, busy):
        join(trickle, 1, Network.IPV4, inbound=True)
    for number in range(2, 500):
        join(busy, number, Network.IPV4, inbound=True, now=Instant(number))
        busy.leave(ConnId(number))
    assert [at for at, _ in run(quiet, Instant(10**9))] == [at for at, _ in run(busy, Instant(10**9))]


def test_a_link_that_has_ended_is_not_named_and_nothing_is_left_of_it() -> None:
    trickle = Trickle(Chance.from_seed(2))
    join(trickle, 1, Network.IPV4, inbound=True)
    join(trickle, 2, Network.IPV4, inbound=False)
    trickle.leave(ConnId(1))
    trickle.leave(ConnId(2))
    trickle.leave(ConnId(3))
    assert all(links == [] for _, links in run(trickle, Instant(10**10)))
    assert trickle.next_deadline() is None
    assert len(trickle) == 0


@pytest.mark.parametrize(("inbound", "mean"), [(True, 5), (False, 2)])
def test_delays_are_exponential(inbound: bool, mean: int) -> None:
    trickle = Trickle(Chance.from_seed(7))
    join(trickle, 1, Network.IPV4, inbound=inbound)
    moments = [0, *(at for at, _ in run(trickle, Instant(20_000 * MICROSECONDS)))]
    gaps = sorted((b - a) / MICROSECONDS / mean for a, b in itertools.pairwise(moments))
    # Kolmogorov-Smirnov against 1 - exp(-x), at one in a thousand.
    distance = max(abs((rank + 0.5) / len(gaps) - (1 - math.exp(-gap))) for rank, gap in enumerate(gaps))
    assert distance < 1.95 / math.sqrt(len(gaps))


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("join"), st.integers(1, 9), st.booleans()),
            st.tuples(st.just("leave"), st.integers(1, 9), st.booleans()),
            st.tuples(st.just("wait"), st.integers(0, 9_000_000), st.booleans()),
        ),
        max_size=40,
    )
)
def test_each_link_that_is_there_is_told_in_the_end(steps: list[tuple[str, int, bool]]) -> None:
    trickle, now = Trickle(Chance.from_seed(3), seconds(5), Duration(2_000_000)), START
    there: dict[ConnId, None] = {}
    gone: dict[ConnId, None] = {}
    for what, value, flag in steps:
        if what == "wait":
            now = Instant(now + value)
            assert all(conn in there for conn in trickle.due(now))
        elif what == "leave":
            trickle.leave(ConnId(value))
            there.pop(ConnId(value), None)
            gone[ConnId(value)] = None
        elif ConnId(value) not in there and ConnId(value) not in gone:
            join(trickle, value, Network.IPV4 if value % 2 else Network.I2P, inbound=flag, now=now)
            there[ConnId(value)] = None
        trickle.check()
    for conn in there:
        trickle.wake(conn, now)
    told = {conn for _, links in run(trickle, Instant(now + 200 * MICROSECONDS)) for conn in links}
    assert told == set(there)


def test_a_timer_rests_while_nothing_waits() -> None:
    trickle = Trickle(Chance.from_seed(8))
    for number, inbound in ((1, True), (2, False), (3, True)):
        trickle.join(ConnId(number), Network.IPV4, inbound=inbound)
    assert trickle.next_deadline() is None
    trickle.wake(ConnId(3), START)
    at = trickle.next_deadline()
    assert at is not None
    trickle.wake(ConnId(1), START)
    assert trickle.next_deadline() == at, "it runs already, and is not drawn anew"
    assert trickle.due(at) == [1, 3]
    assert trickle.next_deadline() is None
    with pytest.raises(BugError):
        trickle.wake(ConnId(4), START)
