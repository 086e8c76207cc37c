"""Pins: what is expected of a named peer, what its key is to us, and what becomes of a gossiped one's."""

from __future__ import annotations

import pytest

from obscura.base.instant import NEVER, WallTime
from obscura.base.randomness import Chance
from obscura.peers.book import AddressBook
from obscura.peers.pins import NamedPin, PinError, Pins, Verdict
from obscura.peers.record import AddressRecord
from obscura.wire.address import AddressEntry, parse_address
from obscura.wire.target import Mode, Target

ADDRESS, OTHER = parse_address("20.1.2.3:8333"), parse_address("20.9.2.3:8333")
OLD, NEW = b"\x01" * 32, b"\x02" * 32
NOW, LATER = WallTime(1_800_000_000), WallTime(1_800_000_500)


class TestNamed:
    def test_the_first_key_is_pinned_and_stays(self) -> None:
        pins, target = Pins(), Target(ADDRESS)
        assert pins.expected(target) is None
        assert pins.meet(target, OLD, NOW) is Verdict.NEW
        assert pins.expected(target) == OLD
        assert pins.meet(target, OLD, LATER) is Verdict.SAME
        assert pins.meet(target, NEW, LATER) is Verdict.CHANGED
        assert pins.get(ADDRESS) == NamedPin(ADDRESS, OLD, NOW), "a refused key leaves no trace"
        assert pins.expected(Target(OTHER)) is None

    def test_a_pin_that_is_forgotten_makes_room(self) -> None:
        pins = Pins([NamedPin(ADDRESS, OLD, NOW)])
        assert not pins.forget(OTHER)
        assert pins.forget(ADDRESS)
        assert not pins.forget(ADDRESS)
        assert pins.meet(Target(ADDRESS), NEW, LATER) is Verdict.NEW
        assert pins.get(ADDRESS) == NamedPin(ADDRESS, NEW, LATER)
        assert len(pins) == 1

    def test_the_operator_s_key_counts_more_than_a_pin(self) -> None:
        pins, target = Pins([NamedPin(ADDRESS, OLD, NOW)]), Target(ADDRESS, Mode.VEILED, NEW)
        assert pins.expected(target) == NEW
        assert pins.meet(target, OLD, LATER) is Verdict.CHANGED
        assert pins.meet(target, NEW, LATER) is Verdict.NEW
        assert pins.meet(target, NEW, LATER) is Verdict.SAME
        assert pins.expected(Target(ADDRESS)) == NEW, "and it is known when the operator names the address alone"

    def test_a_mode_that_would_not_check_a_pin_is_refused(self) -> None:
        pins = Pins([NamedPin(ADDRESS, OLD, NOW)])
        for mode in (Mode.LITERAL, Mode.PLAIN):
            with pytest.raises(PinError, match=r"a key is pinned .* obscura key forget 20\.1\.2\.3:8333"):
                pins.check_mode(Target(ADDRESS, mode), can_veil=True)
            pins.check_mode(Target(OTHER, mode), can_veil=True)
        pins.check_mode(Target(ADDRESS), can_veil=True)
        pins.check_mode(Target(ADDRESS, Mode.VEILED), can_veil=True)

    def test_a_refusal_has_the_way_out(self) -> None:
        pins = Pins()
        assert "obscura key forget 20.1.2.3:8333" in pins.refusal(Target(ADDRESS))
        assert "name the peer by it" in pins.refusal(Target(ADDRESS, Mode.VEILED, OLD))

    def test_nothing_shows_in_a_repr(self) -> None:
        assert repr(OLD) not in repr(NamedPin(ADDRESS, OLD, NOW))
        assert "20." not in repr(NamedPin(ADDRESS, OLD, NOW))
        assert repr(OLD) not in repr(AddressRecord(address=ADDRESS, succeeded=NOW, key=OLD))


class TestGossiped:
    def book(self) -> AddressBook:
        book = AddressBook([], Chance.from_seed(1), key=bytes(32))
        book.learn(AddressEntry(NOW, 5, ADDRESS), b"source", NOW)
        return book

    def test_only_a_reached_address_has_a_pin(self) -> None:
        with pytest.raises(ValueError, match="reached"):
            AddressRecord(address=ADDRESS, key=OLD)
        book = self.book()
        assert book.meet(ADDRESS, OLD) is Verdict.NEW
        assert book.meet(ADDRESS, NEW) is Verdict.NEW, "a key is pinned when the link opens, not before"
        book.succeeded(ADDRESS, NOW, OLD)
        assert book.meet(ADDRESS, OLD) is Verdict.SAME
        book.succeeded(ADDRESS, LATER)
        book.failed(ADDRESS, LATER)
        book.rebase(100)
        assert book.meet(ADDRESS, OLD) is Verdict.SAME, "a clear link leaves the pin"
        assert AddressBook(book.records(), Chance.from_seed(2), key=bytes(32)).meet(ADDRESS, OLD) is Verdict.SAME

    def test_a_changed_key_is_a_new_peer(self) -> None:
        book = self.book()
        book.succeeded(ADDRESS, LATER, OLD)
        book.failed(ADDRESS, LATER)
        book.take_changes()
        assert not book.changed
        assert book.meet(ADDRESS, NEW) is Verdict.CHANGED
        assert book.changed
        record = book.get(ADDRESS)
        assert record is not None
        assert (record.succeeded, record.key, record.tried) == (NEVER, None, False)
        assert (record.features, record.source, record.failures) == (5, b"source", 1), "what gossip told, and back-off"
        book.check()
        assert book.meet(ADDRESS, NEW) is Verdict.NEW
        book.succeeded(ADDRESS, LATER, NEW)
        assert book.meet(ADDRESS, OLD) is Verdict.CHANGED

    def test_an_address_that_nobody_keeps(self) -> None:
        book = self.book()
        assert book.meet(OTHER, OLD) is Verdict.NEW
        book.succeeded(OTHER, NOW, OLD)
        assert book.meet(OTHER, NEW) is Verdict.NEW

    def test_a_clock_that_never_began(self) -> None:
        book = self.book()
        book.succeeded(ADDRESS, NOW, OLD)
        book.succeeded(ADDRESS, NEVER, OLD)
        assert book.meet(ADDRESS, NEW) is Verdict.NEW
