"""What the book hands to the store, and what comes of it at the next start."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from asmaps import encode, file_of, with_v4
from books import (
    KEY,
    SOURCE,
    WALL,
    apply,
    fill,
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

from obscura.base.instant import WallTime
from obscura.base.limits import COLLISION_WAIT, NEW_COPIES
from obscura.base.randomness import Chance
from obscura.peers.asmap import ASMap
from obscura.peers.book import AddressBook
from obscura.peers.defences import Defences
from obscura.peers.groups import Grouping
from obscura.peers.record import AddressRecord
from obscura.wire.address import NetAddress, Network

DAY = 86_400
MAP = ASMap(file_of(encode(with_v4({"0.0.0.0/1": 5, "128.0.0.0/1": 6}))))


def lived(seed: int = 1) -> tuple[AddressBook, dict[NetAddress, AddressRecord]]:
    """A book with some past, and what the store has of it."""
    book, rows, numbers = make_book(seed), {}, itertools.count()
    fill(book, numbers, 3_000)
    apply(book.take_changes(), rows)
    for number in range(0, 3_000, 5):
        book.succeeded(spread(number), WALL, bytes(32) if number % 2 else None)
    for number in range(0, 3_000, 3):
        book.failed(spread(number), WALL)
        book.learn(told(spread(number), WALL + 10), group(60_000 + number), WallTime(WALL + 10), direct=True)
    for number in range(40):
        book.learn(told(onion(number)), group(number), WALL)
        book.attempted(onion(number), WALL)
    fill(book, numbers, 500)
    book.resolve(WallTime(WALL + 10))
    apply(book.take_changes(), rows)
    return book, rows


def test_changes_are_all_that_has_changed() -> None:
    book, rows = lived()
    assert rows == {record.address: record for record in book.records()}
    assert not book.changed
    assert book.take_changes() == ()


def test_changes_come_in_portions_and_are_the_same() -> None:
    book, rows = lived()
    for number in range(0, 3_000, 7):
        book.hide(spread(number))
    book.rebase(100)
    before = len(book)
    portions = []
    while book.changed:
        portions.append(book.take_changes(10))
        book.check()
    assert {len(one) for one in portions[:-1]} == {10}
    assert 0 < len(portions[-1]) <= 10
    assert len({address for one in portions for address, _ in one}) == sum(map(len, portions)), "each of them once"
    for one in portions:
        apply(one, rows)
    assert len(rows) == before
    assert rows == {record.address: record for record in book.records()}
    assert book.take_changes(10) == ()


def test_each_address_is_handed_out_once() -> None:
    book = make_book()
    book.learn(told(v4(1)), SOURCE, WALL)
    book.attempted(v4(1), WALL)
    book.failed(v4(1), WALL)
    assert book.changed
    changes = book.take_changes()
    assert changes == ((v4(1), book.get(v4(1))),)


def test_only_what_the_store_has_is_taken_back() -> None:
    first, second = new_rivals()
    book = make_book()
    book.learn(told(first, WALL - 29 * DAY), SOURCE, WALL)
    assert book.learn(told(second, WALL + 2 * DAY), SOURCE, WallTime(WALL + 2 * DAY))
    assert book.take_changes() == ((second, book.get(second)),), "the first one never reached the store"
    book = make_book()
    book.learn(told(first, WALL - 29 * DAY), SOURCE, WALL)
    book.take_changes()
    book.learn(told(second, WALL + 2 * DAY), SOURCE, WallTime(WALL + 2 * DAY))
    assert dict(book.take_changes()) == {first: None, second: book.get(second)}
    book.hide(second)
    assert book.take_changes() == ((second, None),)


def test_what_was_forgotten_and_comes_back_is_there() -> None:
    first, second = new_rivals()
    late = WallTime(WALL + 2 * DAY)
    book = make_book()
    book.learn(told(first, WALL - 29 * DAY), SOURCE, WALL)
    book.take_changes()
    book.learn(told(second, late), SOURCE, late)
    book.learn(told(first, late), b"another", late)
    book.check()
    assert dict(book.take_changes()) == {first: book.get(first), second: book.get(second)}
    book.check()


def test_what_comes_back_and_is_forgotten_again_is_gone() -> None:
    book = make_book()
    book.learn(told(v4(1)), SOURCE, WALL)
    rows: dict[NetAddress, AddressRecord] = {}
    apply(book.take_changes(), rows)
    rival, source = v4(1), SOURCE
    late = WALL
    for _ in range(2):
        # Old as it is, somebody takes its place; then it is told again by another group.
        late = WallTime(late + 40 * DAY)
        number = 0
        while place_new(spread(number), source) != place_new(rival, source) or spread(number) == rival:
            number += 1
        assert book.learn(told(spread(number), late), source, late)
        assert v4(1) not in book
        if source == SOURCE:
            source = b"another"
            assert book.learn(told(v4(1), late), source, late)
    apply(book.take_changes(), rows)
    assert rows == {record.address: record for record in book.records()}


def test_a_restart_changes_nothing() -> None:
    book, rows = lived()
    again = make_book(2, *rows.values())
    again.check()
    assert not again.changed
    assert {record.address: record for record in again.records()} == rows
    assert again.counts() == book.counts()


def test_places_are_those_of_the_key_whatever_the_store_says() -> None:
    book, rows = lived()
    for standing in (b"", bytes(10), b"\xff" * 300):
        again = make_book(2, *(replace(record, standing=standing) for record in rows.values()))
        again.check()
        assert {record.address: record for record in again.records()} == rows
        assert again.changed, "so that the next start is quick"
        assert make_book(2, *again.records()).take_changes() == ()
        assert len(again) == len(book)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 17, 600])
def test_a_note_of_another_length_is_no_note(size: int) -> None:
    book = make_book()
    book.learn(told(v4(1)), SOURCE, WALL)
    book.learn(told(v4(2)), SOURCE, WALL)
    book.succeeded(v4(2), WALL)
    records = [replace(record, standing=record.standing[:8] + bytes(size)) for record in book.records()]
    again = make_book(1, *records)
    assert len(again) == 2
    # Two bytes are a place, the first one: whoever writes into our store could as well leave the address out.
    if size != 2:
        again.check()


@pytest.mark.parametrize("change", ["key", "map"])
def test_with_another_key_or_map_places_are_found_anew(change: str) -> None:
    book, rows = lived()
    key = bytes(32) if change == "key" else KEY
    grouping = Grouping(MAP) if change == "map" else Grouping()
    again = AddressBook(rows.values(), Chance.from_seed(3), key=key, grouping=grouping)
    again.check()
    assert again.changed
    # A map of two systems leaves sixteen buckets for all that was tried.
    kept = len(again) / len(book)
    assert kept > 0.9
    for record in again.records():
        before = rows[record.address]
        assert (record.seen, record.failures, record.key) == (before.seen, before.failures, before.key)
    apply(again.take_changes(), rows)
    assert rows == {record.address: record for record in again.records()}, "who lost all places is forgotten"
    once_more = AddressBook(rows.values(), Chance.from_seed(4), key=key, grouping=grouping)
    assert not once_more.changed


def test_a_place_that_two_want_is_not_the_firsts() -> None:
    """Rows come in the order of addresses: an attacker with low ones must not win for that."""
    first, second = tried_rivals()
    records = [
        AddressRecord(address=one, source=SOURCE, seen=WALL, succeeded=WALL, tried=True) for one in (first, second)
    ]
    winners = [0, 0]
    for seed in range(200):
        book = make_book(seed, *records)
        book.check()
        assert len(book) == 2, "the other one goes back to new"
        winners[bool(book.get(second).tried)] += 1  # type: ignore[union-attr]
    assert min(winners) > 60
    low, high = new_rivals()
    told_ones = [AddressRecord(address=one, source=SOURCE, seen=WALL) for one in (low, high)]
    kept = [0, 0]
    for seed in range(200):
        book = make_book(seed, *told_ones)
        [one] = book.records()
        assert dict(book.take_changes()).get(high if one.address == low else low, one) is None
        kept[one.address == high] += 1
    assert min(kept) > 60


def test_copies_that_find_no_place_are_lost() -> None:
    first, second = new_rivals()
    holder = AddressRecord(address=first, source=SOURCE, seen=WALL)
    guest = AddressRecord(address=second, source=b"gone", seen=WALL, copies=(SOURCE, b"other"))
    seen = set()
    for seed in range(30):
        book = make_book(seed, holder, guest)
        book.check()
        seen.add((first in book, book.get(second).copies))  # type: ignore[union-attr]
        changes = dict(book.take_changes())
        assert (changes[first] is None) is (first not in book)
        assert changes[second] == book.get(second)
    assert seen == {(True, (b"other",)), (False, (SOURCE, b"other"))}


def test_more_copies_than_there_may_be() -> None:
    copies = tuple(group(number) for number in range(20))
    book = make_book(1, AddressRecord(address=v4(1), source=SOURCE, seen=WALL, copies=copies))
    book.check()
    assert book.get(v4(1)).copies == copies[:NEW_COPIES]  # type: ignore[union-attr]


def test_a_row_that_comes_twice_counts_once() -> None:
    record = AddressRecord(address=v4(1), source=SOURCE, seen=WALL)
    book = make_book(1, record, replace(record, source=b"other"))
    assert book.records() == (record,)
    book.check()


def test_who_waits_for_a_place_waits_in_new_after_a_restart() -> None:
    first, second = tried_rivals()
    book = make_book()
    for one in (first, second):
        book.learn(told(one, WALL - DAY), SOURCE, WALL)
        book.succeeded(one, WallTime(WALL - DAY))
    again = make_book(1, *book.records())
    assert [again.get(one).tried for one in (first, second)] == [True, False]  # type: ignore[union-attr]
    again.resolve(WallTime(WALL + COLLISION_WAIT))
    assert again.get(first).tried  # type: ignore[union-attr]


class TestNamed:
    def test_their_history_is_kept(self) -> None:
        book = make_book()
        book.name(v4(1))
        book.failed(v4(1), WALL)
        again = make_book(1, *book.records())
        assert v4(1) not in again
        again.name(v4(1))
        assert again.get(v4(1)) == book.get(v4(1))
        again.check()

    def test_who_is_not_named_again_is_forgotten(self) -> None:
        book = make_book()
        book.name(v4(1))
        book.name(v4(2))
        rows: dict[NetAddress, AddressRecord] = {}
        apply(book.take_changes(), rows)
        again = make_book(1, *rows.values())
        again.name(v4(2))
        assert again.changed
        apply(again.take_changes(), rows)
        assert list(rows) == [v4(2)]
        assert not again.changed

    def test_who_is_not_named_again_may_be_told(self) -> None:
        book = make_book(1, AddressRecord(address=v4(1), seen=WALL, failures=3))
        assert book.learn(told(v4(1)), SOURCE, WALL)
        assert book.take_changes(0) == ()
        assert book.take_changes() == ((v4(1), book.get(v4(1))),)
        book.check()
        # Told, and forgotten again before anything was saved: the store has a row of it all the same.
        book = make_book(1, AddressRecord(address=v4(1), seen=WALL, failures=3))
        book.learn(told(v4(1)), SOURCE, WALL)
        book.hide(v4(1))
        assert book.take_changes() == ((v4(1), None),)

    def test_those_that_gossip_has_told_are_back_when_they_are_not_named(self) -> None:
        book = make_book()
        for number in (1, 2, 3):
            book.learn(told(v4(number)), SOURCE, WALL)
        book.succeeded(v4(1), WALL, bytes(32))
        for number in (1, 2, 3):
            book.name(v4(number))
        book.succeeded(v4(2), WALL)
        book.check()
        assert book.counts()[Network.IPV4] == (0, 0)
        again = make_book(1, *book.records())
        assert again.counts()[Network.IPV4] == (1, 2), "those that were reached in tried"
        first = again.get(v4(1))
        assert first is not None
        assert (first.key, first.since) == (bytes(32), WALL)
        again.check()
        again.name(v4(1))
        again.check()

    def test_one_that_gossip_tells_while_it_is_named_is_kept_too(self) -> None:
        book = make_book()
        book.name(v4(1))
        book.learn(told(v4(1)), SOURCE, WALL)
        book.succeeded(v4(1), WALL)
        again = make_book(1, *book.records())
        assert again.counts()[Network.IPV4] == (0, 1)

    def test_a_hidden_one_leaves_the_store(self) -> None:
        book = make_book(1, AddressRecord(address=v4(1), seen=WALL))
        book.hide(v4(1))
        assert book.take_changes() == ((v4(1), None),)


def test_without_buckets_places_are_kept_too() -> None:
    off = Defences(buckets=False)
    book = make_book(defences=off)
    numbers = itertools.count()
    fill(book, numbers, 2_000)
    for number in range(500):
        book.succeeded(spread(number), WALL)
    again = make_book(9, *book.records(), defences=off)
    assert not again.changed
    assert len(again) == len(book)
    again.check()
    back = make_book(9, *book.records())
    back.check()
    assert back.changed, "and with them it is another book"
    assert place_new(v4(1)) < 65_536
