"""Which way stems take."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscura.base.errors import BugError
from obscura.base.instant import Duration, Instant, seconds
from obscura.base.limits import STEM_EARLY, STEM_EPOCH, STEM_EPOCH_JITTER, STEM_HOP
from obscura.base.names import ConnId
from obscura.base.randomness import Chance
from obscura.relay.dandelion import StemRouter
from obscura.relay.embargo import early_probability, embargo_mean

START = Instant(0)


def router(seed: int = 1, candidates: int = 8, diffusers: float = 0.0, **more: bool) -> StemRouter:
    made = StemRouter(Chance.from_seed(seed), START, diffusers)
    for number in range(1, candidates + 1):
        made.join(ConnId(number), bytes([number]), START, takes=more.get("takes", True))
    return made


def edges(count: int) -> list[ConnId]:
    return [ConnId(100 + number) for number in range(count)]


def test_what_comes_on_one_link_takes_one_way_for_an_epoch() -> None:
    one = router()
    first = {edge: one.route(edge) for edge in edges(20)}
    assert {edge: one.route(edge) for edge in reversed(edges(20))} == first
    assert set(first.values()) == set(one.peers)
    assert len(one.peers) == 2
    one.check()


def test_ways_are_balanced_and_drawn() -> None:
    for count in (2, 3, 20):
        one = router(3)
        used = Counter(one.route(edge) for edge in edges(count))
        assert max(used.values()) - min(used.values(), default=0) <= 1
    first: Counter[ConnId | None] = Counter()
    for seed in range(400):
        one = router(seed)
        one.turn(one.ends_at)
        first[one.route(ConnId(100))] += 1
    assert len(first) == 8, "all candidates are chosen at times"
    assert all(20 < count < 90 for count in first.values()), first


def test_our_operator_s_way_is_one_and_independent_of_the_others() -> None:
    same = 0
    for seed in range(1_000):
        one = router(seed)
        way = one.route(ConnId(100))
        assert one.own_route() == one.own_route()
        same += one.own_route() == way
    assert 430 < same < 570


def test_our_operator_s_way_does_not_count_for_the_balance() -> None:
    """Else the way of the first link would tell which one is his."""
    with_own = without = 0
    for seed in range(600):
        one, other = router(seed), router(seed)
        one.own_route()
        with_own += one.route(ConnId(100)) == one.peers[0]
        without += other.route(ConnId(100)) == other.peers[0]
    assert abs(with_own - without) < 80


def test_a_diffuser_spreads_what_others_stem_and_stems_its_own() -> None:
    one = router(diffusers=1.0)
    assert one.diffuses
    assert one.route(ConnId(100)) is None
    assert one.own_route() in one.peers


def test_roles_come_as_often_as_they_should() -> None:
    one = router(diffusers=0.1)
    roles = []
    now = START
    for _ in range(4_000):
        now = one.ends_at
        assert one.turn(now)
        roles.append(one.diffuses)
    assert 320 < sum(roles) < 480


@settings(max_examples=50)
@given(st.integers(0, 1_000))
def test_epochs_last_as_long_as_they_should(seed: int) -> None:
    one = StemRouter(Chance.from_seed(seed), START, 0.1)
    end = one.ends_at
    assert STEM_EPOCH <= end <= STEM_EPOCH + STEM_EPOCH_JITTER
    assert not one.turn(Instant(end - 1))
    assert one.turn(end)
    assert one.ends_at >= end + STEM_EPOCH


def test_a_node_that_slept_is_in_the_epoch_that_it_would_be_in() -> None:
    """Who makes it work must not decide when its epochs begin."""
    awake, asleep = router(5), router(5)
    late = Instant(seconds(5_000))
    while awake.ends_at <= late:
        awake.turn(awake.ends_at)
    asleep.turn(late)
    assert asleep.ends_at == awake.ends_at
    assert late < asleep.ends_at


def test_peers_are_in_different_network_groups() -> None:
    one = StemRouter(Chance.from_seed(1), START, 0.0)
    for number in range(1, 6):
        one.join(ConnId(number), b"one group", START, takes=True)
    assert len(one.peers) == 1, "one is used where there are no two"
    one.join(ConnId(9), b"another", START, takes=True)
    assert len(one.peers) == 2
    one.check()


def test_who_is_there_first_is_not_chosen_for_that() -> None:
    chosen: Counter[ConnId] = Counter()
    for seed in range(400):
        one = StemRouter(Chance.from_seed(seed), START, 0.0, settle=seconds(15))
        for number in range(1, 9):
            one.join(ConnId(number), bytes([number]), Instant(number * 1_000_000), takes=True)
            one.turn(Instant(number * 1_000_000))
            assert one.route(ConnId(100)) is None
        settles = one.settles_at()
        assert settles == seconds(16)
        one.turn(settles)
        chosen.update(one.peers)
        assert one.settles_at() is None
    assert len(chosen) == 8
    assert all(60 < count < 140 for count in chosen.values()), chosen


def test_without_peers_there_is_no_way() -> None:
    one = StemRouter(Chance.from_seed(1), START, 0.0)
    assert one.route(ConnId(100)) is None
    assert one.own_route() is None
    one.join(ConnId(1), b"a", START, takes=True)
    assert one.route(ConnId(100)) == one.own_route() == ConnId(1)
    assert one.other_than(ConnId(1)) is None


def test_what_peers_claim_does_not_choose_them() -> None:
    """One that takes no stems is as likely as another: what is routed to it spreads, what is ours takes the other."""
    chosen: Counter[ConnId] = Counter()
    for seed in range(800):
        one = StemRouter(Chance.from_seed(seed), START, 0.0)
        for number in range(1, 5):
            one.join(ConnId(number), bytes([number]), START, takes=number != 1)
        one.turn(one.ends_at)
        chosen.update(one.peers)
        if ConnId(1) in one.peers:
            ways = [one.route(edge) for edge in edges(2)]
            assert ways.count(None) == 1
            assert one.own_route() not in (None, ConnId(1))
    assert all(330 < count < 470 for count in chosen.values()), chosen


def test_who_leaves_is_replaced_by_one_that_takes_over_its_ways() -> None:
    one = router()
    before = {edge: one.route(edge) for edge in edges(10)}
    own = one.own_route()
    gone, stays = one.peers
    one.leave(gone)
    [heir] = [peer for peer in one.peers if peer != stays]
    assert {edge: one.route(edge) for edge in edges(10)} == {
        edge: heir if peer == gone else peer for edge, peer in before.items()
    }
    assert one.own_route() == (heir if own == gone else stays)
    one.check()


def test_without_an_heir_the_other_one_takes_all() -> None:
    one = router(candidates=2)
    for edge in edges(10):
        one.route(edge)
    one.own_route()
    gone, stays = one.peers
    one.leave(gone)
    assert {one.route(edge) for edge in edges(10)} == {stays}
    assert one.own_route() == stays
    one.check()
    one.leave(stays)
    assert one.route(ConnId(100)) is None
    assert one.own_route() is None
    one.check()


verbs = st.lists(
    st.tuples(st.sampled_from(["join", "leave", "route", "own", "turn", "other"]), st.integers(1, 12)), max_size=60
)


@given(st.integers(0, 50), verbs)
def test_whatever_happens_the_invariants_hold(seed: int, story: list[tuple[str, int]]) -> None:
    one = StemRouter(Chance.from_seed(seed), START, 0.3)
    joined: set[int] = set()
    now = START
    for verb, number in story:
        match verb:
            case "join" if number not in joined:
                joined.add(number)
                one.join(ConnId(number), bytes([number % 4]), START, takes=number % 3 != 0)
            case "leave":
                joined.discard(number)
                one.leave(ConnId(number))
            case "route":
                way = one.route(ConnId(number))
                assert way is None or way in joined
            case "own":
                way = one.own_route()
                assert way is None or (way in joined and way % 3 != 0)
            case "turn":
                now = Instant(now + seconds(60 * number))
                one.turn(now)
            case "other":
                assert one.other_than(ConnId(number)) != number
        one.check()
        groups = {number % 4 for number in joined}
        one.turn(now)
        assert len(one.peers) == min(2, len(groups)), "all places are filled that can be"


def test_the_embargo_s_mean_is_the_formula_s() -> None:
    mean = embargo_mean(10, STEM_HOP, STEM_EARLY / 100)
    assert round(mean / 1e6, 1) == 128.1
    assert early_probability(10, STEM_HOP, mean) == pytest.approx(0.1, abs=1e-6)
    # Monero's 39 s is what the logarithm to base 10 gives for a fluff probability of .2 and a hop of .175 s.
    assert round(embargo_mean(5, Duration(175_000), 0.1) / 1e6, 1) == 16.6


@pytest.mark.parametrize("values", [(1, STEM_HOP, 0.1), (10, Duration(0), 0.1), (10, STEM_HOP, 0), (10, STEM_HOP, 1)])
def test_no_embargo_follows_of_nonsense(values: tuple[float, Duration, float]) -> None:
    with pytest.raises(BugError):
        embargo_mean(*values)
