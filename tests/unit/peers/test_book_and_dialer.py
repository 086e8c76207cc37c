"""The bounded address book, back-off, and the schedule of dials."""

from __future__ import annotations

import pytest

from obscura.base.instant import MICROSECONDS, Duration, Instant, Now, WallTime, seconds
from obscura.base.limits import (
    ADDR_AGE,
    ADDR_ITEMS,
    BACKOFF_BASE,
    BACKOFF_CAP,
    BACKOFF_CAP_NAMED,
    BOOK_ENTRIES,
    BOOK_PER_SOURCE,
    DIAL_INTERVAL,
    OTHER_NETWORK_WAIT,
    STEADY_LINK,
)
from obscura.base.randomness import Chance
from obscura.peers.backoff import backoff
from obscura.peers.book import AddressBook
from obscura.peers.dialing import Dialer
from obscura.peers.record import AddressRecord
from obscura.wire.address import AddressEntry, NetAddress, Network
from obscura.wire.target import Target

WALL = WallTime(1_800_000_000)
NOW = Now(Instant(0), WALL)


def address(number: int, port: int = 8333) -> NetAddress:
    """Each in a group of its own; numbers up to 10,000 are public."""
    return NetAddress(Network.IPV4, bytes([20 + number // 256, number % 256, 0, 1]), port)


def entry(number: int, seen: int = WALL) -> AddressEntry:
    return AddressEntry(WallTime(seen), 0, address(number))


def later(now: Now, span_s: float) -> Now:
    return Now(Instant(now.mono + seconds(span_s)), WallTime(now.wall + int(span_s)))


@pytest.fixture
def chance() -> Chance:
    return Chance.from_seed(5)


@pytest.fixture
def book(chance: Chance) -> AddressBook:
    return AddressBook((), chance)


class TestBook:
    def test_learning(self, book: AddressBook) -> None:
        assert book.learn(entry(1), b"s", WALL)
        assert not book.learn(entry(1), b"s", WALL)
        assert address(1) in book
        assert not book.learn(entry(2, WALL - ADDR_AGE - 1), b"s", WALL), "too old to be of use"
        assert book.learn(entry(3, WALL + 100_000), b"s", WALL)
        record = book.get(address(3))
        assert record is not None
        assert record.seen < WALL, "a time in the future is a lie and earns staleness"
        book.check()

    def test_one_source_has_a_share(self, book: AddressBook) -> None:
        learnt = sum(book.learn(entry(number), b"attacker", WALL) for number in range(BOOK_PER_SOURCE * 2))
        assert learnt == BOOK_PER_SOURCE
        assert book.learn(entry(9_000), b"other", WALL)
        book.check()

    def test_it_is_bounded_and_keeps_what_worked(self, book: AddressBook) -> None:
        book.learn(entry(0), b"first", WALL)
        book.succeeded(address(0), WALL)
        for number in range(1, BOOK_ENTRIES + 3_000):
            book.learn(entry(number), number.to_bytes(4, "big"), WALL)
        assert len(book) == BOOK_ENTRIES
        assert address(0) in book
        book.check()

    def test_records_come_back(self, book: AddressBook, chance: Chance) -> None:
        book.learn(entry(1), b"s", WALL)
        book.failed(address(1), WALL)
        again = AddressBook(book.records(), chance)
        assert again.records() == book.records()
        assert again.get(address(1)).failures == 1  # type: ignore[union-attr]
        again.check()

    def test_picking_respects_back_off(self, book: AddressBook) -> None:
        book.learn(entry(1), b"s", WALL)
        assert book.pick(WALL, lambda _: True) == address(1)
        assert book.pick(WALL, lambda _: False) is None
        book.avoid(address(1), WallTime(WALL + 100))
        assert book.pick(WALL, lambda _: True) is None
        assert book.pick(WallTime(WALL + 100), lambda _: True) == address(1)

    def test_answers_are_a_share(self, book: AddressBook) -> None:
        for number in range(100):
            book.learn(entry(number), number.to_bytes(4, "big"), WALL)
        answer = book.answer(WALL, lambda _: True)
        assert len(answer) == 23
        assert len({one.address for one in answer}) == 23
        assert book.answer(WALL, lambda _: False) == ()
        assert len(book.answer(WALL, lambda _: True)) <= ADDR_ITEMS

    def test_clock_jump_keeps_distances(self, book: AddressBook) -> None:
        book.learn(entry(1), b"s", WALL)
        book.avoid(address(1), WallTime(WALL + 100))
        book.rebase(-1_000_000)
        assert book.get(address(1)).retry_at == WALL + 100 - 1_000_000  # type: ignore[union-attr]

    def test_repr_of_a_record_hides_the_address(self) -> None:
        assert "20." not in repr(AddressRecord(address=address(1)))

    def test_times_of_a_clock_that_was_wrong(self, chance: Chance) -> None:
        # The last run ended while the clock was years ahead; it is right now.
        ahead = WallTime(WALL + 10 * 365 * 86_400)
        kept = AddressRecord(address=address(1), seen=ahead, succeeded=ahead, failures=3, retry_at=ahead, source=b"s")
        book = AddressBook([kept], chance)
        assert book.pick(WALL, lambda _: True) == address(1), "no wait lasts for years"
        [told] = book.answer(WALL, lambda _: True)
        assert told.time == WALL - 5 * 86_400
        book.learn(entry(1, WALL - 60), b"s", WALL)
        record = book.get(address(1))
        assert record is not None
        assert record.seen == WALL - 60, "what is heard now counts more"

    def test_the_longest_wait_is_kept(self, chance: Chance) -> None:
        until = WallTime(WALL + OTHER_NETWORK_WAIT)
        book = AddressBook([AddressRecord(address=address(1), retry_at=until)], chance)
        assert book.pick(WALL, lambda _: True) is None
        assert book.pick(until, lambda _: True) == address(1)


class TestBackoff:
    def test_full_jitter_grows_and_is_capped(self, chance: Chance) -> None:
        for failures in range(1, 40):
            bound = min(BACKOFF_CAP, BACKOFF_BASE * 2**failures)
            draws = [backoff(failures, BACKOFF_CAP, chance) for _ in range(200)]
            assert all(0 <= draw <= bound for draw in draws)
            assert max(draws) > bound * 0.9
            assert min(draws) < bound * 0.1


class TestDialer:
    def make(self, book: AddressBook, *named: NetAddress, slots: int = 8) -> Dialer:
        return Dialer(book, [Target(one) for one in named], slots, False, Chance.from_seed(9), NOW.mono)

    def test_named_peers_come_back_for_ever(self, book: AddressBook) -> None:
        dialer = self.make(book, address(1), slots=0)
        now = NOW
        waits = []
        for _ in range(40):
            assert dialer.due(now, (), 0, 0) == [address(1)]
            assert dialer.due(now, (), 0, 0) == [], "it is being dialled"
            wait = dialer.ended(address(1), Duration(0), now)
            waits.append(wait)
            deadline = dialer.next_deadline(0, 0)
            assert deadline == now.mono + wait
            assert wait == 0 or dialer.due(now, (), 0, 0) == []
            now = Now(Instant(now.mono + wait), now.wall)
        assert max(waits) <= BACKOFF_CAP_NAMED
        assert max(waits[:2]) <= 4 * MICROSECONDS

    def test_a_link_that_lived_starts_afresh(self, book: AddressBook) -> None:
        dialer = self.make(book, address(1))
        for _ in range(20):
            dialer.ended(address(1), Duration(0), NOW)
        assert dialer.ended(address(1), seconds(3600), NOW) <= 2 * BACKOFF_BASE

    def test_slots_groups_and_pace(self, book: AddressBook) -> None:
        for number in range(50):
            book.learn(AddressEntry(WALL, 0, address(number)), number.to_bytes(4, "big"), WALL)
            twin = NetAddress(Network.IPV4, address(number).raw[:3] + b"\x02", 8333)
            book.learn(AddressEntry(WALL, 0, twin), number.to_bytes(4, "big"), WALL)
        dialer = self.make(book)
        in_use: list[NetAddress] = []
        now = NOW
        while len(in_use) < 8:
            chosen = dialer.due(now, in_use, len(in_use), 0)
            assert len(chosen) == 1
            assert dialer.due(now, in_use, len(in_use), 0) == [], "one at a time, at a pace"
            in_use += chosen
            now = later(now, 10 * DIAL_INTERVAL / MICROSECONDS)
        assert dialer.due(now, in_use, 8, 0) == []
        assert len({one.group() for one in in_use}) == 8

    def test_no_deadline_is_named_at_which_nothing_would_be_done(self, book: AddressBook) -> None:
        for number in range(50):
            book.learn(AddressEntry(WALL, 0, address(number)), number.to_bytes(4, "big"), WALL)
        dialer = self.make(book)
        for automatic in range(10):
            for dialling in range(10):
                deadline = dialer.next_deadline(automatic, dialling)
                assert (deadline is None) == (automatic >= 8 or dialling >= 8)
        named = self.make(book, *(address(number) for number in range(60, 68)))
        assert len(named.due(NOW, (), 0, 0)) == 8, "named peers leave no room for others"
        assert named.next_deadline(0, 8) is None

    def test_unroutable_addresses_are_not_dialled(self, book: AddressBook) -> None:
        book.learn(AddressEntry(WALL, 0, NetAddress(Network.IPV4, bytes([127, 0, 0, 1]), 1)), b"s", WALL)
        book.learn(AddressEntry(WALL, 0, NetAddress(Network.IPV4, bytes([10, 0, 0, 1]), 1)), b"s", WALL)
        assert self.make(book).due(NOW, (), 0, 0) == []

    def test_other_network_rests_for_a_day(self, book: AddressBook) -> None:
        dialer = self.make(book, address(1))
        assert dialer.due(NOW, (), 0, 0) == [address(1)]
        dialer.other_network(address(1), NOW)
        assert dialer.due(later(NOW, OTHER_NETWORK_WAIT - 1), (), 0, 0) == []
        assert dialer.due(later(NOW, OTHER_NETWORK_WAIT), (), 0, 0) == [address(1)]

    def test_a_named_peer_that_is_linked_already_does_not_spin(self, book: AddressBook) -> None:
        dialer = self.make(book, address(1))
        assert dialer.due(NOW, [address(1)], 0, 0) == []
        deadline = dialer.next_deadline(8, 0)
        assert deadline is not None
        assert deadline > NOW.mono


def test_a_full_peer_is_asked_less_and_less_often(book: AddressBook, chance: Chance) -> None:
    """A peer without a free slot completes every handshake and ends every link: its back-off grows all the same."""
    dialer = Dialer(book, (), 8, True, chance, Instant(0))
    book.learn(entry(1), b"s", WALL)
    for attempt in range(1, 6):
        dialer.opened(address(1), NOW)
        dialer.ended(address(1), Duration(1), NOW)
        record = book.get(address(1))
        assert record is not None
        assert record.failures == attempt
    dialer.opened(address(1), NOW)
    dialer.ended(address(1), STEADY_LINK, NOW)
    record = book.get(address(1))
    assert record is not None
    assert record.failures == 0, "a link that lasted clears them"
