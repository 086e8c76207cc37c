"""The profile ``cover``: decoys within their budget, real traffic within its delay."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.instant import MICROSECONDS, Instant, seconds
from obscura.base.limits import COVER_ANSWERS, COVER_BURST, COVER_DELAY, COVER_GAP_MOST
from obscura.base.randomness import Chance
from obscura.shaping import CoverOptions, CoverShaper, Ghost
from obscura.shaping.sizes import DATA_BYTES, FULL_RECORD, LADDER, carried, rung, sealed_size

NOW = Instant(7_000_000)
HOUR = seconds(3_600)


def begun(seed: int = 1, options: CoverOptions | None = None, firsts: int = 0) -> CoverShaper:
    shaper = CoverShaper(Chance.from_seed(seed), options or CoverOptions(), firsts)
    shaper.opened(NOW)
    assert shaper.take(0, NOW) == 0
    return shaper


def run_idle(shaper: CoverShaper, until: int, waiting: int = 0) -> list[tuple[int, int]]:
    """What a link emits on which nothing happens: moments and amounts."""
    seen = []
    while (due := shaper.next_deadline()) is not None and due <= until:
        if amount := shaper.take(waiting, due):
            seen.append((int(due), amount))
    return seen


class TestDecoys:
    def test_they_flow_on_an_idle_link(self) -> None:
        for seed in range(20):
            seen = run_idle(begun(seed), NOW + HOUR)
            rate = sum(amount for _, amount in seen) / 3_600
            assert 60 < rate <= 256 + COVER_BURST / 3_600
            assert {amount for _, amount in seen} <= set(LADDER)
            moments = [NOW, *(at for at, _ in seen), NOW + HOUR]
            gaps = [later - at for at, later in pairwise(moments)]
            assert max(gaps) <= COVER_GAP_MOST

    def test_no_two_links_have_one_rhythm(self) -> None:
        assert run_idle(begun(1), NOW + HOUR) != run_idle(begun(2), NOW + HOUR)
        assert run_idle(begun(1), NOW + HOUR) == run_idle(begun(1), NOW + HOUR)

    def test_they_are_answered_now_and_then(self) -> None:
        answers = 0
        for seed in range(200):
            shaper = begun(seed, CoverOptions(rate=0))
            assert shaper.next_deadline() is None
            shaper.heard(NOW)
            if (due := shaper.next_deadline()) is not None:
                answers += 1
                assert shaper.take(0, due) in LADDER
                assert shaper.next_deadline() is None
        assert 60 < answers < 130

    def test_strangers_are_sent_none(self) -> None:
        shaper = CoverShaper(Chance.from_seed(1), CoverOptions())
        shaper.heard(NOW)
        assert shaper.take(0, NOW) == 0
        assert shaper.next_deadline() is None
        shaper.put(100, NOW, urgent=False)
        assert shaper.take(100, NOW) == 256, "what is real is not held for them"

    def test_two_at_once_are_two_bursts(self) -> None:
        """Machines that are due together because the loop is late."""
        for seed in range(100):
            shaper = begun(seed, CoverOptions(rate=20_000))
            late = Instant(NOW + 30_000_000)
            shaper.heard(NOW)
            emitted = [shaper.take(0, late) for _ in range(4)]
            assert set(emitted) <= {0, *LADDER}
            assert sum(map(bool, emitted)) >= 1

    def test_the_other_side_does_not_decide_all_of_them(self) -> None:
        """Who makes us answer all the time gets answers, and the beat goes on beside them."""
        for seed in range(5):
            alone, asked = begun(seed), begun(seed)
            usual = sum(amount for _, amount in run_idle(alone, NOW + HOUR))
            now, sent = NOW, 0
            while now < NOW + HOUR:
                now = Instant(now + 100_000)
                asked.heard(now)
                sent += sum(amount for _, amount in run_idle(asked, now))
            answers = COVER_ANSWERS / 100 * (256 * 3_600 + COVER_BURST)
            assert sent - usual == pytest.approx(answers, rel=0.1)

    def test_a_share_of_what_is_sent_allows_more(self) -> None:
        """With no rate at all, each real byte allows one of a decoy."""
        options = CoverOptions(rate=0, share=50)
        shaper = begun(2, options)
        now, decoys = NOW, 0
        for _ in range(2_000):
            now = Instant(now + 300_000)
            shaper.put(20_000, now, urgent=True)
            assert shaper.take(20_000, now) == 32_768
            shaper.heard(now)
            decoys += sum(amount for _, amount in run_idle(shaper, now + 290_000))
        assert decoys > 4 * COVER_BURST

    def test_who_asks_all_the_time_gets_no_more_than_the_budget(self) -> None:
        shaper = begun(3, CoverOptions(rate=50))
        now, sent = NOW, 0
        while now < NOW + HOUR:
            now = Instant(now + 100_000)
            shaper.heard(now)
            sent += shaper.take(0, now)
        assert 30 * 3_600 < sent <= 50 * 3_600 + COVER_BURST

    def test_none_is_sent_to_who_takes_nothing(self) -> None:
        shaper = begun()
        shaper.clogged = True
        assert run_idle(shaper, NOW + HOUR) == []
        shaper.put(300, Instant(NOW + HOUR), urgent=True)
        assert shaper.take(300, Instant(NOW + HOUR)) == 512, "what is real is for others to hold back"
        shaper.clogged = False
        assert run_idle(shaper, NOW + 2 * HOUR)


class TestRealTraffic:
    def test_it_is_held_for_the_delay_at_most(self) -> None:
        delays = []
        for seed in range(300):
            shaper = begun(seed, CoverOptions(rate=0))
            shaper.put(100, NOW, urgent=False)
            seen = run_idle_once(shaper, 100)
            delays.append(seen[0] - NOW)
            assert seen[1] == 256
        assert max(delays) <= COVER_DELAY
        assert min(delays) < COVER_DELAY // 20
        assert sum(delays) / len(delays) == pytest.approx(COVER_DELAY / 2, rel=0.15)

    def test_the_urgent_is_not_held(self) -> None:
        shaper = begun()
        shaper.put(60, NOW, urgent=False)
        shaper.put(28, NOW, urgent=True)
        assert shaper.take(88, NOW) == 256

    def test_without_a_delay_nothing_is_held(self) -> None:
        shaper = begun(1, CoverOptions(delay=seconds(0)))
        shaper.put(60, NOW, urgent=False)
        assert shaper.take(60, NOW) == 256

    def test_full_records_are_not_held(self) -> None:
        shaper = begun()
        shaper.put(3 * DATA_BYTES + 5, NOW, urgent=False)
        assert shaper.take(3 * DATA_BYTES + 5, NOW) in {3 * FULL_RECORD, 3 * FULL_RECORD + 256}

    def test_it_goes_along_with_a_decoy_that_is_due(self) -> None:
        """Then there is one burst, and it stands where the decoy would have stood."""
        together = 0
        for seed in range(400):
            options = CoverOptions(rate=4_096)
            shaper, other = begun(seed, options), begun(seed, options)
            [(due, size), *_] = run_idle(other, NOW + HOUR)
            before = Instant(due - 1_000)
            shaper.put(300, before, urgent=False)
            if shaper.take(300, before):
                continue
            emitted = [(at, amount) for at, amount in run_idle(shaper, due, 300) if amount]
            if emitted and emitted[0][0] == due:
                together += 1
                assert emitted == [(due, max(size, 512))]
        assert together > 300

    def test_the_first_bursts_have_any_length(self) -> None:
        sizes = []
        for seed in range(50):
            shaper = begun(seed, CoverOptions(rate=0), firsts=1)
            for _ in range(2):
                shaper.put(300, NOW, urgent=True)
                sizes.append(shaper.take(300, NOW))
        assert set(sizes[1::2]) == {512}
        assert len(set(sizes[::2])) > 40

    def test_what_waited_before_there_were_keys_goes_first(self) -> None:
        shaper = CoverShaper(Chance.from_seed(1), CoverOptions())
        shaper.put(167, NOW, urgent=True)
        assert shaper.take(167, NOW) == 256


def run_idle_once(shaper: CoverShaper, waiting: int) -> tuple[int, int]:
    """The first burst that is emitted."""
    now = NOW
    while (amount := shaper.take(waiting, now)) == 0:
        due = shaper.next_deadline()
        assert due is not None
        now = due
    return int(now), amount


class TestBounds:
    @given(
        st.integers(0, 10**6),
        st.sampled_from([0, 20, 128, 2_000]),
        st.sampled_from([0, 50, 90]),
        st.sampled_from([0, 50_000, 200_000, 2_000_000]),
        st.lists(
            st.tuples(st.integers(0, 3_000_000), st.integers(1, 150_000), st.sampled_from(["put", "urgent", "heard"])),
            max_size=40,
        ),
    )
    def test_budget_and_delay_hold_whatever_happens(
        self, seed: int, rate: int, share: int, delay: int, events: list[tuple[int, int, str]]
    ) -> None:
        shaper = begun(seed, CoverOptions(rate=rate, share=share, delay=seconds(delay / MICROSECONDS)))
        now, waiting = NOW, 0
        real = decoys = 0
        since: int | None = None

        def take() -> None:
            nonlocal waiting, real, decoys, since
            needed = waiting // DATA_BYTES * FULL_RECORD
            amount = shaper.take(waiting, now)
            left = max(0, waiting - carried(amount))
            if left % DATA_BYTES == 0 and waiting % DATA_BYTES:
                needed += rung(sealed_size(waiting % DATA_BYTES))
            assert amount >= needed
            real += needed
            decoys += amount - needed
            assert decoys <= COVER_BURST + rate * (now - NOW) / MICROSECONDS + share / (100 - share) * real
            assert since is None or now - since <= delay
            since = None if not left else (now if waiting - left and since is None else since)
            waiting = left

        for gap, size, kind in events:
            end = Instant(now + gap)
            while (due := shaper.next_deadline()) is not None and due <= end:
                now = due
                take()
            now = end
            if kind in ("put", "urgent"):
                waiting += size
                since = int(now) if since is None else since
                shaper.put(size, now, urgent=kind == "urgent")
            else:
                shaper.heard(now)
            take()
            assert not (kind == "urgent" and waiting)


def test_a_link_that_has_lost_its_keys_goes_on_with_its_decoys() -> None:
    for seed in range(30):
        live, dead = begun(seed), begun(seed)
        for shaper in (live, dead):
            shaper.put(300, NOW, urgent=False)
        ghost = Ghost(dead, 300)
        waiting, now = 300, NOW
        for _ in range(60):
            amount = live.take(waiting, now)
            assert ghost.take(now) == amount
            waiting = max(0, waiting - carried(amount))
            assert ghost.next_deadline() == live.next_deadline()
            due = live.next_deadline()
            assert due is not None
            now = due
        assert waiting == 0
