"""The address book: what is learnt, where it stands, who makes room, who is picked and who is told."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from books import (
    KEY,
    PLACING,
    SOURCE,
    WALL,
    bucket_new,
    group,
    make_book,
    new_rivals,
    onion,
    place_new,
    spread,
    told,
    tried_rivals,
    v4,
)

from obscura.base.instant import MICROSECONDS, NEVER, WallTime
from obscura.base.limits import (
    ADDR_AGE,
    ADDR_FUTURE,
    ADDR_HEARSAY,
    ADDR_NEWER,
    BOOK_PER_SOURCE,
    BUCKET_PLACES,
    COLLISION_WAIT,
    COLLISIONS,
    NEW_BUCKETS_PER_SOURCE,
    NEW_COPIES,
    OTHER_NETWORK_WAIT,
    SINCE_LEAST,
    TERRIBLE_TIME,
    TESTED_TIME,
    TRIED_BUCKETS,
    TRIED_BUCKETS_PER_GROUP,
)
from obscura.base.randomness import Chance
from obscura.peers.book import AddressBook
from obscura.peers.defences import Defences
from obscura.peers.pins import Verdict
from obscura.peers.record import AddressRecord
from obscura.wire.address import NetAddress, Network

DAY = 86_400


def yes(_: NetAddress) -> bool:
    return True


def at(seconds: int) -> WallTime:
    return WallTime(WALL + seconds)


@pytest.fixture
def book() -> AddressBook:
    return make_book()


def reach(book: AddressBook, address: NetAddress, now: WallTime = WALL, source: bytes = SOURCE) -> None:
    book.learn(told(address, now), source, now)
    book.attempted(address, now)
    book.succeeded(address, now)


def is_tried(book: AddressBook, address: NetAddress) -> bool:
    record = book.get(address)
    assert record is not None
    return record.tried


class TestLearning:
    def test_what_is_new(self, book: AddressBook) -> None:
        assert book.learn(told(v4(1), features=9), SOURCE, WALL, direct=True)
        assert not book.learn(told(v4(1)), SOURCE, WALL)
        record = book.get(v4(1))
        assert record is not None
        assert (record.seen, record.features, record.source, record.tried) == (WALL, 9, SOURCE, False)
        assert v4(1) in book
        assert v4(2) not in book
        assert len(book) == 1
        book.check()

    def test_hearsay_is_two_hours_older(self, book: AddressBook) -> None:
        book.learn(told(v4(1)), SOURCE, WALL)
        book.learn(told(v4(2), 60), SOURCE, WallTime(60))
        assert [book.get(v4(number)).seen for number in (1, 2)] == [WALL - ADDR_HEARSAY, 0]  # type: ignore[union-attr]

    def test_times_that_cannot_be(self, book: AddressBook) -> None:
        assert book.learn(told(v4(1), WALL + ADDR_FUTURE), SOURCE, WALL, direct=True)
        assert book.learn(told(v4(2), WALL + ADDR_FUTURE + 1), SOURCE, WALL, direct=True)
        assert book.learn(told(v4(3), WALL - ADDR_AGE), SOURCE, WALL)
        assert not book.learn(told(v4(4), WALL - ADDR_AGE - 1), SOURCE, WALL), "too old to be of use"
        seen = [book.get(v4(number)).seen for number in (1, 2)]  # type: ignore[union-attr]
        assert seen == [WALL + ADDR_FUTURE, WALL - 5 * DAY]

    def test_only_a_clearly_newer_sighting_counts(self, book: AddressBook) -> None:
        book.learn(told(v4(1), WALL - DAY, features=1), SOURCE, WALL, direct=True)
        book.learn(told(v4(1), WALL - DAY + ADDR_NEWER, features=2), SOURCE, WALL, direct=True)
        assert book.get(v4(1)).features == 1  # type: ignore[union-attr]
        book.learn(told(v4(1), WALL - DAY + ADDR_NEWER + 1, features=2), SOURCE, WALL, direct=True)
        record = book.get(v4(1))
        assert record is not None
        assert (record.seen, record.features) == (WALL - DAY + ADDR_NEWER + 1, 2)

    def test_a_time_noted_by_a_clock_that_was_ahead_gives_way(self, book: AddressBook) -> None:
        ahead = at(300 * DAY)
        book.learn(told(v4(1), ahead), SOURCE, ahead, direct=True)
        assert book.answer(WALL, yes) == (), "it says nothing now"
        book.learn(told(v4(1)), SOURCE, WALL, direct=True)
        assert book.get(v4(1)).seen == WALL  # type: ignore[union-attr]

    def test_the_end_of_a_link_is_a_sighting(self, book: AddressBook) -> None:
        book.learn(told(v4(1), WALL), SOURCE, WALL, direct=True)
        book.take_changes()
        for moment, seen in ((at(-5), WALL), (WALL, WALL), (at(5), at(5))):
            book.sighted(v4(1), moment)
            assert book.get(v4(1)).seen == seen  # type: ignore[union-attr]
        assert book.changed
        book.sighted(v4(2), WALL)
        assert v4(2) not in book

    def test_hidden_ones_are_passed_over(self, book: AddressBook) -> None:
        book.hide(v4(1))
        assert not book.learn(told(v4(1)), SOURCE, WALL)
        book.learn(told(v4(2)), SOURCE, WALL)
        reach(book, v4(3))
        book.hide(v4(2))
        book.hide(v4(3))
        assert len(book) == 0
        assert book.counts()[Network.IPV4] == (0, 0)
        book.check()

    def test_counts(self, book: AddressBook) -> None:
        for number in range(10):
            book.learn(told(v4(number)), SOURCE, WALL)
        book.learn(told(onion(1)), SOURCE, WALL)
        reach(book, v4(3))
        reach(book, onion(2))
        assert book.counts() == {
            Network.IPV4: (9, 1),
            Network.IPV6: (0, 0),
            Network.TORV3: (1, 1),
            Network.I2P: (0, 0),
            Network.CJDNS: (0, 0),
        }


class TestNew:
    def test_one_source_fills_a_sixteenth(self, book: AddressBook) -> None:
        numbers = range(30_000)
        for number in numbers:
            book.learn(told(spread(number)), SOURCE, WALL)
        assert 0.9 * BOOK_PER_SOURCE < len(book) <= BOOK_PER_SOURCE
        buckets = {bucket_new(record.address) for record in book.records()}
        assert 55 < len(buckets) <= NEW_BUCKETS_PER_SOURCE
        assert book.learn(told(v4(9)), b"another", WALL)
        book.check()

    def test_who_stands_there_keeps_the_place(self, book: AddressBook) -> None:
        first, second = new_rivals()
        assert book.learn(told(first), SOURCE, WALL)
        assert not book.learn(told(second), SOURCE, WALL)
        assert second not in book
        assert book.learn(told(second), b"\x01\x99\x99", WALL), "another source, another place"

    @pytest.mark.parametrize(
        ("failures", "succeeded", "age", "terrible"),
        [
            (0, NEVER, 0, False),
            (2, NEVER, 0, False),
            (3, NEVER, 0, True),
            (3, WALL, 0, False),
            (10, at(-TERRIBLE_TIME), 0, False),
            (10, at(-TERRIBLE_TIME - 1), 0, True),
            (9, at(-TERRIBLE_TIME - 1), 0, False),
            (0, NEVER, ADDR_AGE, False),
            (0, NEVER, ADDR_AGE + 1, True),
            (0, NEVER, -ADDR_FUTURE, False),
            (0, NEVER, -ADDR_FUTURE - 1, True),
        ],
    )
    def test_who_is_of_no_use_makes_room(self, failures: int, succeeded: WallTime, age: int, terrible: bool) -> None:
        first, second = new_rivals()
        book = make_book()
        book.learn(told(first), SOURCE, WALL)
        record = book.get(first)
        assert record is not None
        kept = replace(record, failures=failures, succeeded=succeeded, seen=WallTime(WALL - age))
        book = make_book(1, kept)
        assert book.learn(told(second), SOURCE, WALL) is terrible
        assert (first in book) is not terrible
        book.check()

    def test_who_was_just_dialled_stays_whatever_it_was(self, book: AddressBook) -> None:
        first, second = new_rivals()
        book.learn(told(first), SOURCE, WALL)
        for _ in range(20):
            book.failed(first, WALL)
        book.attempted(first, WALL)
        assert not book.learn(told(second), SOURCE, at(60))
        assert book.learn(told(second), SOURCE, at(61))
        assert first not in book

    def test_who_stands_elsewhere_too_makes_room(self) -> None:
        first, second = new_rivals()
        for seed in range(100):
            book = make_book(seed)
            book.learn(told(first, WALL - DAY), SOURCE, WALL)
            for number in range(8):
                book.learn(told(first), group(number), WALL)
            copies = book.get(first).copies  # type: ignore[union-attr]
            if copies:
                assert book.learn(told(second), SOURCE, WALL)
                assert book.get(first).copies in (copies[1:], ()), "it lost this place alone"  # type: ignore[union-attr]
                assert first in book
                book.check()
                return
        raise AssertionError("half of all books have a second copy")

    def test_copies_are_the_rarer_the_more_there_are(self) -> None:
        seen: Counter[int] = Counter()
        for seed in range(300):
            book = make_book(seed)
            for number in range(3):
                book.learn(told(v4(1), WALL - DAY + number), group(number), WALL, direct=True)
            record = book.get(v4(1))
            assert record is not None
            seen[len(record.copies) or 1] += 1
        # The second is told once more and taken by half; the third by a half of the rest, or a quarter.
        assert abs(seen[1] / 300 - 1 / 4) < 0.1
        assert abs(seen[3] / 300 - 1 / 8) < 0.08

    def test_the_most_copies(self, book: AddressBook) -> None:
        for number in range(3_000):
            book.learn(told(v4(1), WALL + number), group(number), at(number), direct=True)
        record = book.get(v4(1))
        assert record is not None
        assert len(record.copies) == NEW_COPIES
        assert len(book) == 1
        assert book.counts()[Network.IPV4] == (1, 0)
        book.check()

    def test_who_was_reached_needs_no_copies(self, book: AddressBook) -> None:
        reach(book, v4(1))
        for number in range(1, 30):
            book.learn(told(v4(1), WALL + number), group(number), at(number), direct=True)
        assert is_tried(book, v4(1))
        book.check()

    def test_the_first_copy_may_be_the_last(self) -> None:
        for seed in range(100):
            book = make_book(seed)
            book.learn(told(v4(1), WALL - DAY), SOURCE, WALL)
            book.learn(told(v4(1)), group(1), WALL)
            if book.get(v4(1)).copies:  # type: ignore[union-attr]
                break
        number, place = 0, place_new(v4(1), group(1))
        while place_new(spread(number), group(1)) != place:
            number += 1
        assert book.learn(told(spread(number)), group(1), WALL)
        assert book.get(v4(1)).copies == ()  # type: ignore[union-attr]
        book.check()

    def test_nothing_new_is_no_reason_for_a_copy(self, book: AddressBook) -> None:
        book.learn(told(v4(1)), SOURCE, WALL, direct=True)
        for number in range(50):
            book.learn(told(v4(1), WALL - 1), group(number), WALL)
        assert book.get(v4(1)).copies == ()  # type: ignore[union-attr]


class TestTried:
    def test_one_group_reaches_eight_buckets(self, book: AddressBook) -> None:
        addresses = [NetAddress(Network.IPV4, bytes([20, 1, one, two]), 8333) for one in range(60) for two in range(99)]
        assert len({book.tried_bucket(address) for address in addresses}) == TRIED_BUCKETS_PER_GROUP

    def test_a_success_is_what_brings_one_there(self, book: AddressBook) -> None:
        book.learn(told(v4(1)), SOURCE, WALL)
        book.attempted(v4(1), at(1))
        assert book.get(v4(1)).attempted == at(1)  # type: ignore[union-attr]
        assert not is_tried(book, v4(1))
        book.succeeded(v4(1), at(2), bytes(32))
        record = book.get(v4(1))
        assert record is not None
        assert record.tried
        assert (record.succeeded, record.attempted, record.key, record.copies) == (at(2), at(2), bytes(32), ())
        assert record.seen == WALL - ADDR_HEARSAY, "answers to others do not show whom we dial"
        book.succeeded(v4(2), WALL)
        assert v4(2) not in book, "who is not known is not learnt by it"
        book.check()

    def test_who_has_the_place_is_tested_first(self, book: AddressBook) -> None:
        first, second = tried_rivals()
        reach(book, first, at(-DAY))
        assert book.to_test(WALL, yes) is None
        reach(book, second)
        assert is_tried(book, first)
        assert not is_tried(book, second)
        assert book.to_test(WALL, yes) == first
        assert book.to_test(WALL, lambda address: address != first) is None
        book.check()

    def test_who_answers_keeps_the_place(self, book: AddressBook) -> None:
        first, second = tried_rivals()
        reach(book, first, at(-DAY))
        reach(book, second)
        book.attempted(first, at(5))
        book.succeeded(first, at(6))
        book.resolve(at(7))
        assert is_tried(book, first)
        assert not is_tried(book, second)
        assert book.to_test(at(7), yes) is None, "nothing waits any more"
        book.resolve(at(10 * DAY))
        assert not is_tried(book, second)

    def test_an_answer_of_the_last_hours_counts(self, book: AddressBook) -> None:
        first, second = tried_rivals()
        reach(book, first, at(1 - TESTED_TIME))
        reach(book, second)
        book.resolve(WALL)
        assert book.to_test(WALL, yes) is None

    def test_who_does_not_answer_loses_it(self, book: AddressBook) -> None:
        first, second = tried_rivals()
        reach(book, first, at(-DAY))
        reach(book, second)
        book.attempted(first, at(5))
        book.resolve(at(64))
        assert is_tried(book, first), "it may still answer"
        book.failed(first, at(30))
        book.resolve(at(65))
        assert not is_tried(book, first)
        assert is_tried(book, second)
        assert book.counts()[Network.IPV4] == (1, 1)
        book.check()

    def test_a_dial_of_the_last_hours_counts(self, book: AddressBook) -> None:
        first, second = tried_rivals()
        reach(book, first, at(-DAY))
        book.attempted(first, at(61 - TESTED_TIME))
        reach(book, second)
        book.resolve(WALL)
        assert is_tried(book, second)

    def test_without_a_test_the_newcomer_takes_it(self, book: AddressBook) -> None:
        first, second = tried_rivals()
        reach(book, first, at(-DAY))
        reach(book, second)
        book.resolve(at(COLLISION_WAIT - 1))
        assert is_tried(book, first)
        book.resolve(at(COLLISION_WAIT))
        assert is_tried(book, second)
        assert not is_tried(book, first)
        book.check()

    def test_a_place_that_became_free_is_taken(self, book: AddressBook) -> None:
        first, second = tried_rivals()
        reach(book, first, at(-DAY))
        reach(book, second)
        book.hide(first)
        book.resolve(WALL)
        assert is_tried(book, second)

    def test_whoever_has_a_link_of_ours_keeps_the_place(self, book: AddressBook) -> None:
        first, second = tried_rivals()
        reach(book, first, at(-DAY))
        reach(book, second)
        book.resolve(at(COLLISION_WAIT), {first})
        assert is_tried(book, first)
        book.resolve(at(COLLISION_WAIT))
        assert not is_tried(book, second), "nothing waits any more"

    def test_who_waits_may_lose_its_place_in_new_to_whoever_is_sent_back(self, book: AddressBook) -> None:
        """The first of two that wait takes its place; whose that was takes the only place in new of the second."""
        holder, newcomer = tried_rivals()
        here, number = place_new(holder), 9_000_000
        while place_new(spread(number)) != here:
            number += 1
        waiting = spread(number)
        while PLACING.tried(spread(number)) != PLACING.tried(waiting) or spread(number) == waiting:
            number += 1
        reach(book, holder, at(-DAY))
        reach(book, spread(number), at(-DAY), b"other")
        reach(book, newcomer, source=b"other")
        reach(book, waiting)
        assert [is_tried(book, one) for one in (holder, newcomer, waiting)] == [True, False, False]
        book.resolve(at(COLLISION_WAIT))
        book.check()
        assert [is_tried(book, one) for one in (holder, newcomer)] == [False, True]
        assert waiting not in book

    def test_who_waits_may_go(self, book: AddressBook) -> None:
        first, second, third = tried_rivals(3)
        reach(book, first, at(-DAY))
        reach(book, second)
        reach(book, third)
        book.hide(second)
        book.check()
        book.resolve(at(COLLISION_WAIT))
        assert is_tried(book, third)
        assert not is_tried(book, first)
        book.check()

    def test_two_that_wait_for_one_place(self, book: AddressBook) -> None:
        first, second, third = tried_rivals(3)
        reach(book, first, at(-DAY))
        reach(book, second)
        reach(book, third)
        book.resolve(at(COLLISION_WAIT))
        assert [is_tried(book, one) for one in (first, second, third)] == [False, True, False]
        book.check()

    def test_few_wait(self, book: AddressBook) -> None:
        pairs = [tried_rivals(first=number * 10_000) for number in range(COLLISIONS + 3)]
        for number, (first, second) in enumerate(pairs):
            reach(book, first, at(-DAY), group(number))
            reach(book, second, source=group(number))
        book.check()
        book.resolve(at(COLLISION_WAIT))
        assert sum(is_tried(book, second) for _, second in pairs) == COLLISIONS
        reach(book, pairs[-1][1], at(COLLISION_WAIT))
        book.resolve(at(2 * COLLISION_WAIT))
        assert is_tried(book, pairs[-1][1]), "there is room again"

    def test_whoever_is_sent_back_to_new_takes_a_place_there(self, book: AddressBook) -> None:
        first, second = tried_rivals()
        here = place_new(first)
        number, squatter = 0, first
        while squatter == first or place_new(squatter) != here:
            number += 1
            squatter = spread(5_000_000 + number)
        reach(book, first, at(-DAY))
        assert book.learn(told(squatter), SOURCE, WALL)
        reach(book, second, source=b"other")
        book.resolve(at(COLLISION_WAIT))
        assert not is_tried(book, first)
        assert squatter not in book
        book.check()

    def test_experiments_can_do_without_the_test(self) -> None:
        book = make_book(defences=Defences(test_before_evict=False))
        first, second = tried_rivals()
        reach(book, first, at(-DAY))
        reach(book, second)
        assert [is_tried(book, one) for one in (first, second)] == [False, True]
        assert book.to_test(WALL, yes) is None
        book.check()

    def test_another_key_is_a_new_peer(self, book: AddressBook) -> None:
        book.learn(told(v4(1)), SOURCE, WALL)
        book.succeeded(v4(1), WALL, bytes(32))
        book.failed(v4(1), WALL)
        assert book.meet(v4(1), b"\x01" * 32) is Verdict.CHANGED
        record = book.get(v4(1))
        assert record is not None
        assert (record.tried, record.succeeded, record.key) == (False, NEVER, None)
        assert (record.failures, record.attempted) == (1, WALL), "a new key is no way around back-off"
        assert record.retry_at >= WALL
        assert book.counts()[Network.IPV4] == (1, 0)
        book.check()
        book.succeeded(v4(1), at(1), b"\x01" * 32)
        assert is_tried(book, v4(1)), "the link that showed it goes on"

    def test_seniority_is_since_tried_and_goes_with_it(self, book: AddressBook) -> None:
        first, second = tried_rivals()

        def since(address: NetAddress) -> WallTime:
            record = book.get(address)
            assert record is not None
            return record.since

        book.learn(told(first), SOURCE, WALL)
        assert since(first) == NEVER
        book.succeeded(first, at(10), bytes(32))
        book.succeeded(first, at(20))
        book.succeeded(first, at(21), bytes(32))
        assert since(first) == at(10), "it is the first success that counts"
        loaded = make_book(1, *book.records())
        assert loaded.records() == book.records()
        # Another one takes its place: the seniority is gone, and does not come back with the next success.
        book.learn(told(second), group(3), WALL)
        book.succeeded(second, at(30), bytes(32))
        book.attempted(first, at(TESTED_TIME + 30))
        book.resolve(at(TESTED_TIME + 120))
        assert (since(first), since(second)) == (NEVER, at(30))
        # Another key is another peer.
        book.meet(second, b"\x01" * 32)
        assert since(second) == NEVER
        book.succeeded(first, at(2 * TESTED_TIME))
        assert since(first) == at(2 * TESTED_TIME)
        book.name(first)
        assert since(first) == at(2 * TESTED_TIME), "of one that is named it is kept for later"
        book.check()

    @pytest.mark.parametrize("wrong", [WallTime(100), WallTime(SINCE_LEAST - 1), at(ADDR_FUTURE + 60)])
    def test_what_a_wrong_clock_has_noted_is_no_seniority(self, wrong: WallTime) -> None:
        odd = AddressRecord(address=v4(1), source=SOURCE, seen=WALL, succeeded=at(-9), tried=True, since=wrong)
        young = AddressRecord(address=v4(2), source=SOURCE, seen=WALL, succeeded=at(-7), tried=True, since=at(-7))
        book = make_book(1, odd, young)
        assert book.pick(WALL, yes, tried=True, draws=200) == v4(2)
        book.succeeded(v4(1), at(5))
        assert {record.address: record.since for record in book.records()} == {v4(1): at(5), v4(2): at(-7)}

    def test_the_first_key_begins_anew(self, book: AddressBook) -> None:
        book.learn(told(v4(1)), SOURCE, WALL)
        book.succeeded(v4(1), at(1))
        book.succeeded(v4(1), at(2))
        assert [record.since for record in book.records()] == [at(1)]
        book.succeeded(v4(1), at(3), bytes(32))
        book.succeeded(v4(1), at(4), bytes(32))
        assert [record.since for record in book.records()] == [at(3)]

    def test_named_rows_have_none(self) -> None:
        named = AddressRecord(address=v4(1), seen=WALL, succeeded=at(-9), tried=True, since=at(-9))
        book = make_book(1, named)
        book.name(v4(1))
        book.check()

    def test_only_tried_rows_have_seniority(self) -> None:
        claimed = AddressRecord(address=v4(1), source=SOURCE, seen=WALL, succeeded=at(-9), since=at(-9))
        unknown = AddressRecord(address=v4(2), source=SOURCE, seen=WALL, succeeded=at(-7), tried=True)
        book = make_book(1, claimed, unknown)
        assert {record.address: record.since for record in book.records()} == {v4(1): NEVER, v4(2): at(-7)}
        book.check()

    def test_another_key_of_one_that_waits(self, book: AddressBook) -> None:
        first, second = tried_rivals()
        reach(book, first, at(-DAY))
        book.learn(told(second), SOURCE, WALL)
        book.succeeded(second, WALL, bytes(32))
        assert book.meet(second, b"\x01" * 32) is Verdict.CHANGED
        book.resolve(at(COLLISION_WAIT))
        assert not is_tried(book, second)

    def test_at_the_beginning_of_time_nothing_is_a_success(self, book: AddressBook) -> None:
        book.learn(told(v4(1), 0), SOURCE, NEVER)
        book.succeeded(v4(1), NEVER, bytes(32))
        record = book.get(v4(1))
        assert record is not None
        assert not record.tried
        assert record.key is None


def coverage(groups: int, keys: int = 6, addresses: int = 60) -> float:
    """The share of tried buckets in which an attacker with addresses in so many groups can stand."""
    shares = []
    for number in range(keys):
        book = make_book(key=bytes([number]) * 32)
        buckets = {
            book.tried_bucket(NetAddress(Network.IPV4, bytes([66, one, number, at]), 8333))
            for one in range(groups)
            for at in range(addresses)
        }
        shares.append(len(buckets) / TRIED_BUCKETS)
    return sum(shares) / keys


@pytest.mark.parametrize(("groups", "share"), [(8, 0.222), (32, 0.633), (128, 0.982)])
def test_an_attacker_of_few_groups_covers_few_buckets(groups: int, share: float) -> None:
    """1 - (255/256)^(8s), by Heilman et al. 2015."""
    assert abs(1 - (255 / 256) ** (8 * groups) - share) < 0.001
    assert abs(coverage(groups) - share) < 0.03


class TestPicking:
    def test_back_off_is_respected(self, book: AddressBook) -> None:
        book.learn(told(v4(1)), SOURCE, WALL)
        assert book.pick(WALL, yes) == v4(1)
        assert book.pick(WALL, lambda _: False) is None
        book.avoid(v4(1), at(100))
        assert book.pick(WALL, yes) is None
        assert book.pick(at(100), yes) == v4(1)

    def test_of_several_draws_the_one_that_stands_there_longest_is_taken(self, book: AddressBook) -> None:
        for number in range(100):
            reach(book, v4(number), at(-DAY - 60 * number))
        standing = sum(book.counts()[Network.IPV4])
        single, several = (
            [at(-DAY) - book.get(book.pick(WALL, yes, tried=True, draws=draws)).since for _ in range(400)]  # type: ignore[arg-type, union-attr]
            for draws in (1, 8)
        )
        # The mean of one draw of 0 to 1 is a half, of the largest of eight of them eight ninths.
        assert abs(sum(single) / len(single) / (60 * standing) - 1 / 2) < 0.06
        assert abs(sum(several) / len(several) / (60 * standing) - 8 / 9) < 0.06

    def test_where_fewer_are_found_than_drawn_the_eldest_of_these_is_taken(self, book: AddressBook) -> None:
        reach(book, v4(1), at(-DAY))
        reach(book, v4(2), at(-2 * DAY))
        assert book.pick(WALL, lambda one: one == v4(1), tried=True, draws=200) == v4(1)
        assert book.pick(WALL, yes, tried=True, draws=200) == v4(2)
        assert book.pick(WALL, lambda _: False, tried=True, draws=200) is None

    def test_of_several_draws_none_is_of_whom_failed_while_there_are_others(self, book: AddressBook) -> None:
        for number in range(4):
            reach(book, v4(number), at(-DAY * (number + 1)))
        for number in (1, 2, 3):
            book.failed(v4(number), at(-DAY))
        assert all(book.pick(WALL, yes, tried=True, draws=8) == v4(0) for _ in range(20))
        book.failed(v4(0), at(-DAY))
        assert book.pick(WALL, yes, tried=True, draws=8) in {v4(number) for number in range(4)}

    def test_no_wait_lasts_for_years(self, book: AddressBook) -> None:
        book.learn(told(v4(1)), SOURCE, WALL)
        book.avoid(v4(1), at(OTHER_NETWORK_WAIT))
        assert book.pick(WALL, yes) is None
        book.avoid(v4(1), at(OTHER_NETWORK_WAIT + 1))
        assert book.pick(WALL, yes) == v4(1), "noted by a clock that was ahead"

    def test_nobody_is_found_in_an_empty_book(self, book: AddressBook) -> None:
        assert book.pick(WALL, yes) is None
        assert book.pick(WALL, yes, tried=True, networks=(Network.I2P,)) is None
        assert book.to_test(WALL, yes) is None

    def test_a_fair_coin_between_the_tables(self, book: AddressBook) -> None:
        for number in range(400):
            book.learn(told(v4(number)), group(number), WALL)
        reach(book, v4(500), at(-DAY))
        picked = Counter(book.pick(WALL, yes) == v4(500) for _ in range(1_000))
        assert abs(picked[True] / 1_000 - 0.5) < 0.06
        assert all(book.pick(WALL, yes, tried=True) == v4(500) for _ in range(20))
        assert all(book.pick(WALL, yes, tried=False) != v4(500) for _ in range(200))

    def test_where_one_table_has_nobody_it_is_the_other(self, book: AddressBook) -> None:
        reach(book, v4(1))
        assert all(book.pick(at(DAY), yes) == v4(1) for _ in range(20))
        assert book.pick(at(DAY), yes, tried=False) is None
        book.learn(told(v4(2)), SOURCE, WALL)
        assert all(book.pick(at(DAY), lambda one: one == v4(2)) == v4(2) for _ in range(20))

    def test_filling_buckets_buys_no_picks(self, book: AddressBook) -> None:
        """An attacker with a thousand addresses, all of one group told by one source, against fifty of others."""
        for number in range(2_000):
            book.learn(told(NetAddress(Network.IPV4, bytes([66, 1, number // 256, number % 256]), 1)), SOURCE, WALL)
        honest = {v4(number) for number in range(50)}
        for number, address in enumerate(sorted(honest)):
            book.learn(told(address), group(number), WALL)
        attackers = {bucket_new(one.address) for one in book.records() if one.address not in honest}
        assert len(book) > 55
        assert len(attackers) <= 1, "one group told by one source has one bucket"
        picked = sum(book.pick(WALL, yes) in honest for _ in range(1_000))
        assert picked > 950

    def test_buckets_of_several_networks_count_once(self, book: AddressBook) -> None:
        """Both networks' addresses fill the buckets of one source; a single address stands alone in its bucket."""
        for number in range(4_000):
            book.learn(told(spread(number)), SOURCE, WALL)
            book.learn(told(onion(number)), SOURCE, WALL)
        lonely, number = v4(0), 0
        full = {bucket_new(one.address) for one in book.records()}
        while PLACING.new(lonely, b"lonely") // BUCKET_PLACES in full:
            number += 1
            lonely = v4(number)
        assert book.learn(told(lonely), b"lonely", WALL)
        book.learn(told(NetAddress(Network.I2P, bytes(32), 0)), b"elsewhere", WALL)
        buckets = len(full) + 1
        for networks in (tuple(Network), (Network.TORV3, Network.IPV4)):
            count = 6_000
            picked = sum(book.pick(WALL, yes, networks=networks) == lonely for _ in range(count))
            assert abs(picked / count - 1 / buckets) < 0.5 / buckets

    def test_a_rare_network_is_found(self, book: AddressBook) -> None:
        for number in range(3_000):
            book.learn(told(spread(number)), group(number), WALL)
        book.learn(told(onion(1)), SOURCE, WALL)
        asked: list[NetAddress] = []

        def usable(address: NetAddress) -> bool:
            asked.append(address)
            return True

        assert book.pick(WALL, usable, networks={Network.TORV3}) == onion(1)
        assert asked == [onion(1)]
        assert book.pick(WALL, yes, networks=(Network.I2P,)) is None
        rare = (Network.TORV3, Network.I2P)
        assert book.learn(told(NetAddress(Network.I2P, bytes(32), 0)), b"another", WALL)
        assert {book.pick(WALL, usable, networks=rare) for _ in range(30)} == {
            onion(1),
            NetAddress(Network.I2P, bytes(32), 0),
        }

    def test_among_few_whoever_is_wanted_is_found(self, book: AddressBook) -> None:
        for number in range(40):
            book.learn(told(v4(number)), group(number), WALL)
        for number in range(40):
            assert book.pick(WALL, lambda one, number=number: one == v4(number)) == v4(number)  # type: ignore[misc]

    def test_the_work_is_bounded(self, book: AddressBook) -> None:
        for number in range(3_000):
            book.learn(told(spread(number)), group(number), WALL)
        asked = 0

        def usable(_: NetAddress) -> bool:
            nonlocal asked
            asked += 1
            return False

        assert book.pick(WALL, usable) is None
        assert asked <= 64

    def test_whoever_failed_or_was_just_dialled_is_picked_less_often(self, book: AddressBook) -> None:
        for number in range(2):
            book.learn(told(v4(number)), group(number), at(-DAY))
        for _ in range(2):
            book.failed(v4(0), at(-DAY))
        share = sum(book.pick(WALL, yes) == v4(0) for _ in range(2_000)) / 2_000
        # Half of the draws are its own, of which 0.44 are taken; of the rest a part is drawn again.
        assert 0.25 < share < 0.40
        book.lasted(v4(0))
        book.attempted(v4(0), at(-60))
        share = sum(book.pick(WALL, yes) == v4(0) for _ in range(2_000)) / 2_000
        assert share < 0.05
        assert book.pick(WALL, lambda one: one == v4(0)) == v4(0), "with nobody else it is dialled all the same"

    def test_where_everybody_was_just_dialled_it_does_not_take_long(self, book: AddressBook) -> None:
        for number in range(400):
            book.learn(told(v4(number)), group(number), WALL)
            book.attempted(v4(number), WALL)
        asked: list[NetAddress] = []

        def usable(address: NetAddress) -> bool:
            asked.append(address)
            return True

        for _ in range(10):
            asked.clear()
            assert book.pick(WALL, usable, tried=False) == asked[-1]
            assert len(asked) < 35

    def test_after_a_long_sleep_there_is_still_somebody_to_dial(self, book: AddressBook) -> None:
        for number in range(5):
            reach(book, v4(number))
        assert book.answer(at(90 * DAY), yes) == ()
        assert book.pick(at(90 * DAY), yes) is not None

    def test_whoever_is_given_up_gives_way_to_others(self, book: AddressBook) -> None:
        for number in range(20):
            book.learn(told(v4(number)), group(number), WALL)
        for number in range(1, 20):
            for _ in range(3):
                book.failed(v4(number), WALL)
        assert sum(book.pick(at(DAY), yes) == v4(0) for _ in range(200)) > 100, "of 20 it would be ten"

    def test_failures_count_until_a_link_has_lasted(self, book: AddressBook) -> None:
        book.learn(told(v4(1)), SOURCE, WALL)
        for failures in range(1, 6):
            wait = book.failed(v4(1), WALL)
            book.succeeded(v4(1), WALL)
            record = book.get(v4(1))
            assert record is not None
            assert record.failures == failures
            assert wait <= 3_600 * MICROSECONDS
        book.lasted(v4(1))
        assert book.get(v4(1)).failures == 0  # type: ignore[union-attr]
        assert book.failed(v4(9), WALL) <= 2 * MICROSECONDS, "one that nobody keeps waits as after its first failure"

    def test_deadlines_keep_their_distance_when_the_clock_jumps(self, book: AddressBook) -> None:
        first, second = tried_rivals()
        reach(book, first, at(-DAY))
        reach(book, second)
        book.learn(told(v4(1)), SOURCE, WALL)
        book.avoid(v4(1), at(100))
        book.rebase(-1_000_000)
        assert book.get(v4(1)).retry_at == WALL + 100 - 1_000_000  # type: ignore[union-attr]
        book.resolve(at(COLLISION_WAIT - 1 - 1_000_000))
        assert is_tried(book, first)
        book.resolve(at(COLLISION_WAIT - 1_000_000))
        assert is_tried(book, second)


class TestAnswering:
    def test_a_share(self, book: AddressBook) -> None:
        for number in range(100):
            book.learn(told(v4(number)), group(number), WALL)
        answer = book.answer(WALL, yes)
        assert len(answer) == 23
        assert len({entry.address for entry in answer}) == 23
        assert book.answer(WALL, lambda _: False) == ()
        assert {entry.address for entry in book.answer(WALL, yes)} != {entry.address for entry in answer}

    def test_everybody_is_as_likely(self, book: AddressBook) -> None:
        for number in range(30):
            book.learn(told(v4(number)), SOURCE if number else b"other", WALL)
        seen = Counter(entry.address for _ in range(1_500) for entry in book.answer(WALL, yes))
        assert len(seen) == len(book)
        share = -(-len(book) * 23 // 100) / len(book)
        assert all(abs(count / 1_500 - share) < 0.06 for count in seen.values())

    def test_one_view_says_nothing_about_another(self, book: AddressBook) -> None:
        for number in range(100):
            book.learn(told(v4(number)), group(number), WALL)
        for number in range(10):
            book.learn(told(onion(number)), group(number), WALL)
        onions = book.counts()[Network.TORV3][0]
        answer = book.answer(WALL, yes, [Network.TORV3, Network.I2P])
        assert len(answer) == -(-onions * 23 // 100)
        assert {entry.address.network for entry in answer} == {Network.TORV3}
        assert book.answer(WALL, yes, [Network.I2P]) == ()

    def test_times_are_coarse_never_fresher_and_differ_between_answers(self, book: AddressBook) -> None:
        seen = WallTime(WALL - 3 * DAY + 1_234)
        for number in range(4):
            book.learn(told(v4(number), seen), group(number), WALL, direct=True)
        times = {}
        for _ in range(300):
            [entry] = book.answer(WALL, yes)
            times.setdefault(entry.address, []).append(entry.time)
        for told_times in times.values():
            assert all(time % 3_600 == 0 for time in told_times)
            assert seen - DAY <= min(told_times) < max(told_times) <= seen
            assert len(set(told_times)) > 12

    def test_nothing_is_told_that_is_too_old_to_be_taken(self, book: AddressBook) -> None:
        for number in range(400):
            book.learn(told(v4(number), WALL - ADDR_AGE + 12 * 3_600), group(number), WALL, direct=True)
        answer = book.answer(WALL, yes)
        assert answer
        assert all(entry.time >= WALL - ADDR_AGE for entry in answer)

    def test_the_work_is_bounded(self, book: AddressBook) -> None:
        for number in range(6_000):
            book.learn(told(spread(number)), group(number), WALL)
        asked = 0

        def routable(_: NetAddress) -> bool:
            nonlocal asked
            asked += 1
            return False

        assert book.answer(WALL, routable) == ()
        assert asked == 5_000


class TestNamed:
    def test_they_stand_in_no_table(self, book: AddressBook) -> None:
        book.name(v4(1))
        book.succeeded(v4(1), WALL)
        assert v4(1) in book
        assert book.pick(WALL, yes) is None
        assert book.counts()[Network.IPV4] == (0, 0)
        assert not is_tried(book, v4(1))
        book.check()

    def test_they_are_told_only_if_gossip_has_told_them(self, book: AddressBook) -> None:
        book.name(v4(1))
        book.succeeded(v4(1), WALL)
        book.sighted(v4(1), WALL)
        assert book.answer(WALL, yes) == ()
        assert not book.learn(told(v4(1)), SOURCE, WALL)
        assert [entry.address for entry in book.answer(WALL, yes)] == [v4(1)]
        book.check()

    def test_one_that_is_known_leaves_its_table(self, book: AddressBook) -> None:
        first, second = tried_rivals()
        reach(book, first, at(-DAY))
        reach(book, second)
        book.failed(second, WALL)
        book.name(second)
        book.name(first)
        book.name(first)
        assert book.counts()[Network.IPV4] == (0, 0)
        assert book.get(second).failures == 1  # type: ignore[union-attr]
        book.check()

    def test_they_are_not_pushed_out(self, book: AddressBook) -> None:
        first, second = new_rivals()
        book.learn(told(first), SOURCE, WALL)
        book.name(first)
        assert book.learn(told(second), SOURCE, WALL)
        assert first in book
        book.hide(first)
        assert first not in book
        book.check()


class TestExperiments:
    def test_without_buckets_a_group_gets_everywhere(self) -> None:
        book = make_book(defences=Defences(buckets=False))
        for number in range(30_000):
            book.learn(told(spread(number)), SOURCE, WALL)
        assert len(book) > 20_000 > BOOK_PER_SOURCE
        for number in range(0, 30_000, 10):
            book.succeeded(spread(number), WALL)
        book.check()
        again = AddressBook(book.records(), Chance.from_seed(5), key=KEY, defences=Defences(buckets=False))
        assert len(again) == len(book)
        again.check()

    def test_keys_have_a_length(self) -> None:
        with pytest.raises(ValueError, match="32 bytes, not 31"):
            make_book(key=bytes(31))
