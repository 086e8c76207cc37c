"""The profile ``steady``: what is emitted, and when, does not depend on what waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.errors import BugError
from obscura.base.instant import MICROSECONDS, Instant, after, seconds
from obscura.base.limits import STEADY_TICK, STEADY_YOUNG
from obscura.base.randomness import Chance
from obscura.shaping import LADDER_OF_RATES, Ghost, SteadyOptions, SteadyShaper
from obscura.shaping.sizes import carried

NOW = Instant(9_000_000)
EPOCH = seconds(100)
YOUNG = seconds(10)
KIB = 1_024


def make(seed: int = 1, lowest: int = 4 * KIB, highest: int = 1_024 * KIB) -> SteadyShaper:
    return SteadyShaper(Chance.from_seed(seed), SteadyOptions(lowest=lowest, highest=highest, epoch=EPOCH))


class Line:
    """A steady link; a test says what is put when."""

    def __init__(self, shaper: SteadyShaper) -> None:
        self.shaper = shaper
        self.waiting = 0
        self.now = NOW
        self.seen: list[tuple[int, int]] = []
        shaper.opened(NOW)
        self.take()

    def take(self) -> None:
        amount = self.shaper.take(self.waiting, self.now)
        if amount:
            self.seen.append((self.now - NOW, amount))
            self.waiting = max(0, self.waiting - carried(amount))

    def put(self, amount: int, *, urgent: bool = False) -> None:
        self.waiting += amount
        self.shaper.put(amount, self.now, urgent=urgent)
        self.take()

    def run(self, span: int) -> None:
        end = Instant(self.now + span)
        while (due := self.shaper.next_deadline()) is not None and due <= end:
            self.now = due
            self.shaper.wake(due)
            self.take()
        self.now = end


class TestWithinAnEpoch:
    def test_every_tick_has_its_bytes_at_its_time(self) -> None:
        line = Line(make())
        line.run(YOUNG - STEADY_TICK // 2)
        assert [amount for _, amount in line.seen] == [KIB] * 40
        for tick, (at, _) in enumerate(line.seen):
            assert tick * STEADY_TICK <= at < tick * STEADY_TICK + STEADY_TICK // 4

    def test_the_first_tick_is_that_of_the_keys(self) -> None:
        shaper = make()
        shaper.put(167, NOW, urgent=True)
        later = after(NOW, seconds(3))
        assert shaper.take(167, later) == KIB // 4, "at the rate of strangers"
        assert shaper.next_deadline() is not None
        assert shaper.next_deadline() >= after(later, STEADY_TICK)  # type: ignore[operator]

    @given(
        st.integers(0, 10**6),
        st.lists(st.tuples(st.integers(0, 2_000_000), st.integers(1, 3_000_000), st.booleans()), max_size=20),
    )
    def test_what_is_put_changes_nothing(self, seed: int, puts: list[tuple[int, int, bool]]) -> None:
        idle, busy = Line(make(seed)), Line(make(seed))
        for gap, amount, urgent in puts:
            busy.run(gap)
            if busy.now < NOW + YOUNG:
                busy.put(amount, urgent=urgent)
        idle.run(YOUNG - STEADY_TICK // 2)
        busy.run(max(0, idle.now - busy.now))
        assert [one for one in busy.seen if one[0] < YOUNG - STEADY_TICK // 2] == idle.seen

    def test_what_is_heard_changes_nothing(self) -> None:
        idle, busy = Line(make(5)), Line(make(5))
        for _ in range(50):
            busy.shaper.heard(busy.now)
            busy.run(50_000)
        idle.run(50 * 50_000)
        assert busy.seen == idle.seen

    def test_ticks_fall_anywhere_in_their_quarter(self) -> None:
        line = Line(SteadyShaper(Chance.from_seed(3), SteadyOptions()))
        line.run(seconds(100))
        offsets = [at % STEADY_TICK for at, _ in line.seen[1:]]
        assert min(offsets) < STEADY_TICK // 80
        assert max(offsets) > STEADY_TICK // 4 - STEADY_TICK // 80
        assert sum(offsets) / len(offsets) == pytest.approx(STEADY_TICK / 8, rel=0.1)

    def test_ticks_that_were_slept_through_are_not_made_up_for(self) -> None:
        line = Line(make())
        line.now = Instant(NOW + 10 * STEADY_TICK + STEADY_TICK // 2)
        line.take()
        assert len(line.seen) == 1, "it goes by its timer, not with whatever else happens then"
        line.shaper.wake(line.now)
        line.take()
        assert line.seen == [(0, KIB), (10 * STEADY_TICK + STEADY_TICK // 2, KIB)]
        due = line.shaper.next_deadline()
        assert due is not None
        assert 11 * STEADY_TICK <= due - NOW < 11 * STEADY_TICK + STEADY_TICK // 4

    def test_a_tick_that_the_peer_does_not_take_is_left_out(self) -> None:
        line = Line(make())
        line.shaper.clogged = True
        line.run(seconds(1))
        assert len(line.seen) == 1
        line.shaper.clogged = False
        line.run(seconds(1))
        assert [amount for _, amount in line.seen] == [KIB] * 5


class TestEpochs:
    def rates(self, line: Line, epochs: int, demand: int = 0, at: float = 0.1) -> list[int]:
        """Rates of epochs, in each of which ``demand`` bytes are put at a share ``at`` of it."""
        found = []
        for number in range(epochs):
            length = YOUNG if number < STEADY_YOUNG else EPOCH
            early = int(length * at)
            line.run(early)
            if demand:
                line.put(demand)
            found.append(line.shaper.rate or 0)
            line.run(length - early)
        return found

    def test_who_has_much_to_say_climbs_to_the_top_in_the_young_epochs(self) -> None:
        assert self.rates(Line(make(lowest=KIB)), 7, 40_000_000) == [KIB * 4**at for at in (0, 1, 2, 3, 4, 5, 5)]

    def test_the_operator_bounds_it(self) -> None:
        line = Line(make(lowest=4 * KIB, highest=16 * KIB))
        assert self.rates(line, 4, 40_000_000) == [4 * KIB, 16 * KIB, 16 * KIB, 16 * KIB]

    def test_the_moment_of_what_is_put_has_no_say(self) -> None:
        for demand in (1_000, 30_600, 31_000, 100_000, 5_000_000):
            early, late = (self.rates(Line(make(4)), 3, demand, at) for at in (0.01, 0.98))
            assert early == late

    def test_nor_has_it_for_a_fall(self) -> None:
        """Of 4 percent of an epoch, put early or in its last tick."""
        falls = []
        for at in (0.01, 0.999):
            fell = 0
            for seed in range(400):
                line = Line(make(seed, lowest=KIB, highest=4 * KIB))
                self.rates(line, STEADY_YOUNG, 400_000)
                line.waiting = 0
                line.run(int(EPOCH * at))
                line.put(4 * KIB * 100 * 4 // 100)
                line.run(EPOCH - int(EPOCH * at) + STEADY_TICK)
                fell += line.shaper.rate == KIB
            falls.append(fell)
        assert falls[0] == falls[1]
        assert 150 < falls[0] < 250, "with probability one half"

    def test_a_grown_link_rises_after_a_while(self) -> None:
        rises = []
        for seed in range(300):
            line = Line(make(seed, lowest=4 * KIB, highest=16 * KIB))
            line.run(STEADY_YOUNG * YOUNG + STEADY_TICK)
            assert line.shaper.rate == 4 * KIB
            count = 0
            while line.shaper.rate == 4 * KIB:
                line.put(1_000_000)
                line.run(EPOCH)
                count += 1
            rises.append(count)
        assert set(rises[:50]) >= {1, 2, 3}
        assert 1.7 < sum(rises) / len(rises) < 2.3

    def test_a_rate_falls_after_a_while_of_nothing(self) -> None:
        falls = []
        for seed in range(300):
            line = Line(make(seed, lowest=KIB, highest=1_024 * KIB))
            self.rates(line, STEADY_YOUNG, 40_000_000)
            assert line.shaper.rate == 256 * KIB or line.shaper.rate == 1_024 * KIB
            line.waiting = 0
            line.run(EPOCH)
            quiet = 0
            while line.shaper.rate != KIB:
                line.run(EPOCH)
                quiet += 1
            falls.append(quiet)
        assert min(falls) <= 1
        assert 1 < sum(falls) / len(falls) < 3, "at once, after two epochs on average"
        assert max(falls) > 4

    def test_where_the_line_does_not_carry_it_the_rate_falls(self) -> None:
        line = Line(make(lowest=KIB, highest=1_024 * KIB))
        self.rates(line, 3, 40_000_000)
        line.run(STEADY_TICK)
        assert line.shaper.rate == 64 * KIB
        line.shaper.clogged = True
        line.run(YOUNG // 2)
        line.shaper.clogged = False
        line.put(40_000_000)
        line.run(YOUNG // 2 + STEADY_TICK)
        assert line.shaper.rate == 16 * KIB

    def test_strangers_have_the_least_rate(self) -> None:
        shaper = make(lowest=1_024 * KIB)
        assert shaper.rate == KIB
        assert shaper.take(0, NOW) == KIB // 4
        due = shaper.next_deadline()
        assert due is not None
        shaper.wake(due)
        assert shaper.take(0, due) == KIB // 4
        shaper.opened(due)
        assert shaper.rate == 1_024 * KIB

    def test_rates_rise_while_there_is_room_for_all(self) -> None:
        for room, rate in ((3 * KIB, 4 * KIB), (3 * KIB - 1, KIB)):
            shaper = SteadyShaper(Chance.from_seed(1), SteadyOptions(lowest=KIB, epoch=EPOCH), lambda room=room: room)
            line = Line(shaper)
            self.rates(line, 2, 400_000)
            assert shaper.rate == rate

    def test_it_does_not_fall_while_something_waits(self) -> None:
        line = Line(make(lowest=KIB, highest=4 * KIB))
        self.rates(line, 5, 400_000)
        line.waiting = 50_000_000
        line.run(20 * EPOCH)
        assert line.shaper.rate == 4 * KIB

    def test_some_traffic_keeps_a_rate(self) -> None:
        line = Line(make(lowest=4 * KIB, highest=16 * KIB))
        rate = 16 * KIB
        self.rates(line, STEADY_YOUNG, 400_000)
        for _ in range(30):
            line.run(EPOCH // 2)
            line.put(rate * EPOCH // MICROSECONDS // 4)
            line.run(EPOCH // 2)
            assert line.shaper.rate == rate

    def test_rates_are_of_the_ladder(self) -> None:
        assert LADDER_OF_RATES == (KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 1_024 * KIB)
        assert all(rate * STEADY_TICK % MICROSECONDS == 0 for rate in LADDER_OF_RATES)
        for wrong in ({"lowest": 1_000}, {"highest": 3}, {"lowest": 4 * KIB, "highest": KIB}, {"epoch": seconds(1)}):
            with pytest.raises(BugError):
                SteadyOptions(**wrong)  # type: ignore[arg-type]


def test_a_link_that_has_lost_its_keys_goes_on_at_its_rate() -> None:
    live = Line(make(8))
    dead = make(8)
    dead.opened(NOW)
    dead.take(0, NOW)
    ghost = Ghost(dead, 1_000_000)
    live.run(YOUNG - STEADY_TICK)
    seen = [(0, KIB)]
    while (due := ghost.next_deadline()) is not None and due < NOW + YOUNG - STEADY_TICK:
        seen.append((due - NOW, ghost.take(due)))
    assert seen == live.seen
    assert ghost.hurry(Instant(NOW + YOUNG - STEADY_TICK)) == 0, "its end takes nothing along"
