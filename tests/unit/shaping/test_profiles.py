"""When a profile emits how much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.instant import Duration, Instant
from obscura.base.limits import FIRST_PADDING, SEND_JITTER
from obscura.base.randomness import Chance
from obscura.shaping import Ghost, OffShaper, PadShaper, Profile, make_shaper
from obscura.shaping.sizes import DATA_BYTES, FULL_RECORD, LADDER, carried, sealed_size

NOW = Instant(7_000_000)


def pad(seed: int = 1) -> PadShaper:
    return PadShaper(Chance.from_seed(seed))


def later(span: int) -> Instant:
    return Instant(NOW + span)


def test_the_profiles_have_shapers() -> None:
    assert isinstance(make_shaper(Profile.OFF, Chance.from_seed(1), dialled=True), OffShaper)
    assert isinstance(make_shaper(Profile.PAD, Chance.from_seed(1), dialled=True), PadShaper)


def test_off_emits_at_once_what_it_must() -> None:
    shaper = OffShaper()
    shaper.put(1, NOW, urgent=False)
    assert shaper.take(0, NOW) == 0
    assert shaper.take(100, NOW) == 137
    assert shaper.take(DATA_BYTES + 1, NOW) == FULL_RECORD + 38
    assert shaper.next_deadline() is None


class TestPad:
    def test_nothing_comes_of_nothing(self) -> None:
        assert pad().take(0, NOW) == 0
        assert pad().next_deadline() is None

    def test_what_waits_goes_once_at_a_time_that_it_names(self) -> None:
        shaper = pad()
        shaper.put(1, NOW, urgent=False)
        due = shaper.next_deadline()
        assert due is not None
        assert NOW <= due <= later(SEND_JITTER)
        assert shaper.take(100, Instant(due - 1)) == 0
        shaper.put(1, Instant(due - 1), urgent=False)
        assert shaper.next_deadline() == due, "what comes later does not put it off"
        assert shaper.take(300, due) == 512
        assert shaper.next_deadline() is None
        assert shaper.take(0, later(SEND_JITTER)) == 0

    def test_the_delays_fill_their_span(self) -> None:
        delays = []
        for seed in range(400):
            shaper = pad(seed)
            shaper.put(1, NOW, urgent=False)
            delays.append((shaper.next_deadline() or NOW) - NOW)
        assert min(delays) < SEND_JITTER // 50
        assert max(delays) > SEND_JITTER - SEND_JITTER // 50
        assert sum(delays) / len(delays) == pytest.approx(SEND_JITTER / 2, rel=0.1)

    def test_the_first_bursts_have_any_length(self) -> None:
        sizes = []
        for seed in range(200):
            shaper = PadShaper(Chance.from_seed(seed), 1)
            for size in (300, 300):
                shaper.put(1, NOW, urgent=True)
                sizes.append(shaper.take(size, NOW))
        first, later = sizes[::2], sizes[1::2]
        assert set(later) == {512}
        assert 512 <= min(first) < 512 + FIRST_PADDING // 20
        assert 512 + FIRST_PADDING - FIRST_PADDING // 20 < max(first) <= 512 + FIRST_PADDING

    def test_the_urgent_takes_with_it_what_waits(self) -> None:
        shaper = pad()
        shaper.put(1, NOW, urgent=False)
        shaper.put(1, NOW, urgent=True)
        assert shaper.next_deadline() == NOW
        assert shaper.take(60, NOW) == 256
        assert shaper.next_deadline() is None

    def test_full_records_do_not_wait(self) -> None:
        shaper = pad()
        shaper.put(1, NOW, urgent=False)
        assert shaper.take(3 * DATA_BYTES + 5, NOW) == 3 * FULL_RECORD
        due = shaper.next_deadline()
        assert due is not None
        assert shaper.take(5, due) == 256
        shaper.put(1, NOW, urgent=False)
        assert shaper.take(2 * DATA_BYTES, NOW) == 2 * FULL_RECORD
        assert shaper.next_deadline() is None, "nothing is left"

    @given(st.lists(st.tuples(st.integers(1, 200_000), st.integers(0, 30_000), st.booleans()), min_size=1, max_size=30))
    def test_nothing_waits_longer_and_every_burst_is_on_the_ladder(self, puts: list[tuple[int, int, bool]]) -> None:
        shaper, waiting, now = pad(), 0, NOW
        since: Instant | None = None
        for size, gap, urgent in puts:
            end = Instant(now + gap)
            while (due := shaper.next_deadline()) is not None and due <= end:
                waiting, since = self.emit(shaper, waiting, due, since)
            now = end
            waiting += size
            since = now if since is None else since
            shaper.put(1, now, urgent=urgent)
            waiting, since = self.emit(shaper, waiting, now, since)
            assert not (urgent and waiting)
        assert (shaper.next_deadline() is None) == (waiting == 0)

    @staticmethod
    def emit(shaper: PadShaper, waiting: int, now: Instant, since: Instant | None) -> tuple[int, Instant | None]:
        assert since is None or now - since <= SEND_JITTER
        amount = shaper.take(waiting, now)
        assert amount % FULL_RECORD in (0, *LADDER)
        left = max(0, waiting - carried(amount))
        return left, None if left == 0 else (now if amount else since)


def test_the_padding_of_a_burst_is_less_than_itself_but_for_the_smallest() -> None:
    shaper = pad()
    for waiting in range(1, DATA_BYTES, 7):
        shaper.put(1, NOW, urgent=True)
        # The last step of the ladder is a full record, 17 bytes above the power of two.
        assert shaper.take(waiting, NOW) <= max(256, 2 * sealed_size(waiting) + 17)


class TestGhost:
    def test_it_goes_on_as_the_link_would_have(self) -> None:
        for seed in range(50):
            live, dead = pad(seed), pad(seed)
            for shaper in (live, dead):
                shaper.put(1, NOW, urgent=False)
            waiting = seed * 3_000
            ghost = Ghost(dead, waiting)
            for now in (NOW, later(SEND_JITTER), later(2 * SEND_JITTER)):
                amount = live.take(waiting, now)
                assert ghost.take(now) == amount
                assert ghost.next_deadline() == live.next_deadline()
                waiting = max(0, waiting - carried(amount))

    def test_it_has_nothing_to_say_when_nothing_waited(self) -> None:
        ghost = Ghost(pad(), 0)
        assert ghost.take(later(Duration(1_000_000))) == 0
        assert ghost.next_deadline() is None
