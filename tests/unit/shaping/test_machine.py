"""Machines, the distributions that they draw from, and what they may spend."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.errors import BugError
from obscura.base.instant import MICROSECONDS, Instant, seconds
from obscura.base.limits import COVER_BURST, COVER_GAP_MOST
from obscura.base.randomness import Chance
from obscura.shaping import CoverOptions
from obscura.shaping.allowance import Allowance
from obscura.shaping.distributions import Exponential, Geometric, Mix, Uniform
from obscura.shaping.machine import Act, Machine, Running, State, Trigger
from obscura.shaping.machines import draw_machines

NOW = Instant(5_000_000)


def mean(values: list[int]) -> float:
    return math.fsum(values) / len(values)


class TestDistributions:
    def draws(self, distribution: Uniform | Exponential | Geometric | Mix, count: int = 4_000) -> list[int]:
        chance = Chance.from_seed(1)
        return [distribution.draw(chance) for _ in range(count)]

    def test_uniform(self) -> None:
        values = self.draws(Uniform(3, 6))
        assert set(values) == {3, 4, 5, 6}
        assert all(900 < values.count(value) < 1_100 for value in (3, 4, 5, 6))
        assert self.draws(Uniform(7, 7), 3) == [7, 7, 7]

    def test_exponential(self) -> None:
        values = self.draws(Exponential(1_000, 3_000))
        assert max(values) == 3_000
        # E[min(X, 3)] = 1 - exp(-3).
        assert mean(values) == pytest.approx(1_000 * (1 - math.exp(-3)), rel=0.05)

    def test_geometric(self) -> None:
        values = self.draws(Geometric(3.0))
        assert min(values) == 1
        assert mean(values) == pytest.approx(3.0, rel=0.05)
        assert values.count(1) / len(values) == pytest.approx(1 / 3, rel=0.1)
        assert self.draws(Geometric(1.0), 3) == [1, 1, 1]

    def test_mix(self) -> None:
        mix = Mix((10, 20), (3, 1))
        values = self.draws(mix)
        assert set(values) == {10, 20}
        assert mean(values) == pytest.approx(mix.mean, rel=0.05)
        assert mix.mean == 12.5

    @pytest.mark.parametrize(
        "make",
        [
            lambda: Uniform(2, 1),
            lambda: Uniform(-1, 1),
            lambda: Exponential(0, 5),
            lambda: Exponential(6, 5),
            lambda: Geometric(0.9),
            lambda: Mix((1, 2), (1,)),
            lambda: Mix((1, 2), (1, 0)),
            lambda: Mix((), ()),
        ],
    )
    def test_what_cannot_be_drawn_is_refused(self, make: object) -> None:
        with pytest.raises(BugError):
            make()  # type: ignore[operator]


class TestRunning:
    """One machine: a wait of 10 and a decoy of 100 bytes, up to three times; then a hold of 7."""

    machine = Machine(
        State(moves={Trigger.QUEUED: ((1.0, 1),)}),
        State(
            act=Act.DECOY,
            wait=Uniform(10, 10),
            size=Uniform(100, 100),
            actions=Uniform(3, 3),
            moves={Trigger.ACTED: ((1.0, 1),), Trigger.REFUSED: ((1.0, 1),), Trigger.SPENT: ((1.0, 2),)},
        ),
        State(act=Act.HOLD, size=Uniform(7, 7), moves={Trigger.ACTED: ((1.0, 0),)}),
    )

    def make(self) -> Running:
        running = Running(self.machine, Chance.from_seed(1))
        running.begin(NOW)
        return running

    def test_it_rests_until_something_happens(self) -> None:
        running = self.make()
        assert running.due is None
        running.on(Trigger.HEARD, NOW)
        assert running.due is None
        running.on(Trigger.QUEUED, NOW)
        assert running.due == NOW + 10

    def test_it_acts_as_often_as_it_was_to(self) -> None:
        running = self.make()
        running.on(Trigger.QUEUED, NOW)
        now, done = NOW, []
        # A decoy that is refused counts as one that was sent.
        for answer in (Trigger.ACTED, Trigger.REFUSED, Trigger.ACTED, Trigger.ACTED):
            assert running.due is not None
            now = running.due
            done.append(running.act(now))
            running.on(answer, now)
        assert done == [(Act.DECOY, 100)] * 3 + [(Act.HOLD, 7)]
        assert running.due is None
        running.on(Trigger.QUEUED, now)
        assert running.due == now + 10, "it begins anew, with all its actions"

    def test_nothing_is_done_early_or_twice(self) -> None:
        running = self.make()
        running.on(Trigger.QUEUED, NOW)
        with pytest.raises(BugError):
            running.act(Instant(NOW + 9))
        running.act(Instant(NOW + 10))
        with pytest.raises(BugError):
            running.act(Instant(NOW + 10))

    def test_moves_have_their_probabilities(self) -> None:
        coin = Machine(
            State(moves={Trigger.HEARD: ((0.25, 1), (0.25, 2))}),
            State(act=Act.DECOY, wait=Uniform(1, 1), moves={Trigger.HEARD: ((1.0, 0),)}),
            State(act=Act.DECOY, wait=Uniform(2, 2), moves={Trigger.HEARD: ((1.0, 0),)}),
        )
        running = Running(coin, Chance.from_seed(2))
        running.begin(NOW)
        seen = []
        for _ in range(2_000):
            running.on(Trigger.HEARD, NOW)
            seen.append(None if running.due is None else running.due - NOW)
            if running.due is not None:
                running.on(Trigger.HEARD, NOW)
        assert seen.count(1) / len(seen) == pytest.approx(0.25, abs=0.04)
        assert seen.count(2) / len(seen) == pytest.approx(0.25, abs=0.04)

    def test_moves_that_lead_nowhere_are_refused(self) -> None:
        with pytest.raises(BugError):
            Machine(State(moves={Trigger.HEARD: ((1.0, 1),)}))
        with pytest.raises(BugError):
            Machine(State(moves={Trigger.HEARD: ((0.6, 0), (0.6, 0))}))


class TestAllowance:
    @given(
        st.integers(0, 5_000),
        st.integers(0, 90),
        st.lists(st.tuples(st.integers(0, 4_000_000), st.integers(0, 70_000), st.integers(0, 9_000)), max_size=60),
    )
    def test_the_bound_holds_at_any_time(self, rate: int, share: int, steps: list[tuple[int, int, int]]) -> None:
        allowance = Allowance(CoverOptions(rate=rate, share=share), NOW)
        now, real, decoys = NOW, 0, 0
        for gap, sent, wanted in steps:
            now = Instant(now + gap)
            allowance.earn(sent)
            real += sent
            if allowance.spend(wanted, now):
                decoys += wanted
            most = COVER_BURST + rate * (now - NOW) / MICROSECONDS + share / (100 - share) * real
            assert decoys <= most

    def test_two_parts_are_no_more_than_the_whole(self) -> None:
        parts = [Allowance(CoverOptions(rate=100, share=50), NOW, part) for part in (40, 60)]
        later = Instant(NOW + seconds(1_000))
        for part in parts:
            part.earn(1_000)
        spent = sum(one for part in parts for one in [1] * 200_000 if part.spend(one, later))
        assert spent == pytest.approx(COVER_BURST, abs=2)

    def test_time_and_real_traffic_earn(self) -> None:
        allowance = Allowance(CoverOptions(rate=100, share=50), NOW)
        assert allowance.spend(COVER_BURST, NOW)
        assert not allowance.spend(1, NOW)
        later = Instant(NOW + seconds(10))
        assert not allowance.spend(1_001, later)
        assert allowance.spend(1_000, later)
        allowance.earn(300)
        assert not allowance.spend(301, later)
        assert allowance.spend(300, later)

    def test_what_was_not_used_is_not_saved_up(self) -> None:
        allowance = Allowance(CoverOptions(rate=1_000, share=90), NOW)
        allowance.earn(10_000_000)
        later = Instant(NOW + seconds(86_400))
        assert allowance.spend(COVER_BURST, later)
        assert not allowance.spend(1, later)


class TestTheMachinesOfCover:
    def test_each_link_has_its_own(self) -> None:
        drawn = [draw_machines(CoverOptions(), Chance.from_seed(seed)) for seed in range(20)]
        waits = [machines[1].states[0].wait for machines in drawn]
        assert len({(wait.mean if isinstance(wait, Exponential) else 0) for wait in waits}) == 20

    @pytest.mark.parametrize(("rate", "delay", "count"), [(128, 200, 3), (0, 200, 2), (128, 0, 2), (0, 0, 1)])
    def test_what_is_not_wanted_has_no_machine(self, rate: int, delay: int, count: int) -> None:
        options = CoverOptions(rate=rate, delay=seconds(delay / 1_000))
        assert len(draw_machines(options, Chance.from_seed(1))) == count

    @pytest.mark.parametrize("rate", [1, 16, 128, 4_096, 65_536])
    def test_their_beat_aims_at_half_of_the_rate(self, rate: int) -> None:
        per_second = []
        for seed in range(30):
            chance = Chance.from_seed(seed)
            running = Running(draw_machines(CoverOptions(rate=rate), chance)[1], chance)
            running.begin(NOW)
            now, sent = NOW, 0
            for _ in range(400):
                assert running.due is not None
                assert running.due - now <= COVER_GAP_MOST
                now = running.due
                sent += running.act(now).size
                running.on(Trigger.ACTED, now)
            per_second.append(sent * MICROSECONDS // (now - NOW))
        # The least rates are above what is wanted: no link is without a decoy for ten minutes.
        assert mean(per_second) == pytest.approx(rate / 2, rel=0.1) or rate == 1
