"""Where addresses stand, and how one of a table is drawn."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

import pytest
from books import KEY, PLACING, onion, spread, v4
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.instant import WallTime
from obscura.base.limits import BUCKET_PLACES
from obscura.base.randomness import Chance
from obscura.peers.entry import Entry
from obscura.peers.groups import Grouping
from obscura.peers.placing import Placing
from obscura.peers.table import Table
from obscura.wire.address import NetAddress, Network, parse_address

T = TypeVar("T")
I2P = NetAddress(Network.I2P, bytes(32), 0)


class TestPlacing:
    def test_places_are_the_same_in_every_release(self) -> None:
        """Another hash would leave every node's notes of places wrong: with it the stamp has to change."""
        addresses = [parse_address(text) for text in ("20.1.2.3:8333", "[2a00::1]:18444")] + [onion(1), I2P]
        assert PLACING.stamp.hex() == "6aae63c697ead5a1"
        assert [PLACING.new(address, b"\x01\x14\x01") for address in addresses] == [12749, 30368, 1391, 14074]
        assert [PLACING.tried(address) for address in addresses] == [2733, 5490, 9082, 3046]

    def test_the_stamp_names_key_and_map(self) -> None:
        class Mapped(Grouping):
            def __init__(self) -> None:
                super().__init__()
                self.digest = b"\x01" * 32

        stamps = [PLACING.stamp, Placing(bytes(32), Grouping()).stamp, Placing(KEY, Mapped()).stamp]
        assert len(set(stamps)) == 3
        assert Placing(KEY, Grouping()).stamp == PLACING.stamp

    def test_every_part_matters(self) -> None:
        base = NetAddress(Network.IPV4, bytes([20, 1, 2, 3]), 8333)
        others = [
            NetAddress(Network.IPV4, bytes([20, 1, 2, 4]), 8333),
            NetAddress(Network.IPV4, bytes([20, 1, 2, 3]), 8334),
        ]
        for other in others:
            assert PLACING.new(other, b"s") // BUCKET_PLACES == PLACING.new(base, b"s") // BUCKET_PLACES, "one group"
            assert PLACING.new(other, b"s") != PLACING.new(base, b"s")
        assert PLACING.new(base, b"s") != PLACING.new(base, b"t")

    def test_places_are_spread_evenly(self) -> None:
        slots = Counter(PLACING.tried(spread(number)) % BUCKET_PLACES for number in range(6_400))
        assert len(slots) == BUCKET_PLACES
        assert max(slots.values()) < 150
        # The place in a bucket says nothing about the bucket, nor about the other table.
        same = sum(PLACING.tried(spread(n)) % 64 == PLACING.new(spread(n), b"s") % 64 for n in range(2_000))
        assert same < 60


class Counting(Chance):
    """Knows how often it was asked."""

    drawn = 0

    def below(self, bound: int) -> int:
        self.drawn += 1
        return super().below(bound)


class TestDrawing:
    def table(self, *standing: tuple[int, NetAddress]) -> Table:
        """A table with addresses in buckets."""
        table, taken = Table(64), Counter[int]()
        for bucket, address in standing:
            entry = Entry(address, 0, WallTime(1), b"s")
            place = bucket * BUCKET_PLACES + taken[bucket]
            taken[bucket] += 1
            entry.places = (place,)
            table.put(place, entry)
        table.check()
        return table

    def shares(self, table: Table, networks: tuple[Network, ...], count: int = 3_000) -> dict[NetAddress, float]:
        chance = Chance.from_seed(1)
        drawn = Counter(table.draw(networks, chance).address for _ in range(count))
        return {address: times / count for address, times in drawn.items()}

    def test_buckets_are_as_likely_however_full(self) -> None:
        full = [(1, v4(number)) for number in range(60)]
        table = self.table((0, v4(100)), *full)
        assert abs(self.shares(table, (Network.IPV4,))[v4(100)] - 1 / 2) < 0.05
        assert abs(self.shares(table, tuple(Network))[v4(100)] - 1 / 2) < 0.05

    @pytest.mark.parametrize("others", [0, 1, 60])
    def test_a_bucket_of_two_networks_counts_once(self, others: int) -> None:
        """With many buckets of a third network as with none."""
        crowd = [(4 + number, v4(number)) for number in range(others)]
        table = self.table((0, onion(1)), (0, I2P), (1, onion(2)), (2, onion(3)), *crowd)
        shares = self.shares(table, (Network.TORV3, Network.I2P))
        for address, share in ((onion(1), 1 / 6), (I2P, 1 / 6), (onion(2), 1 / 3), (onion(3), 1 / 3)):
            assert abs(shares[address] - share) < 0.05

    def test_rare_networks_are_drawn_at_once(self) -> None:
        crowd = [(number, v4(number)) for number in range(60)]
        table = self.table((62, onion(1)), (63, I2P), *crowd)
        chance = Counting(bytes(16))
        for _ in range(300):
            table.draw((Network.TORV3, Network.I2P), chance)
        assert chance.drawn <= 900, "three draws each"

    def test_many_networks_in_each_bucket_cost_no_draws(self) -> None:
        each = (v4, onion, lambda number: NetAddress(Network.CJDNS, b"\xfc" + bytes(14) + bytes([number]), 1))
        table = self.table(*((bucket, make(bucket)) for bucket in range(60) for make in each))
        chance = Counting(bytes(16))
        for _ in range(300):
            table.draw((Network.IPV4, Network.TORV3), chance)
        assert chance.drawn <= 600

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=40))
    def test_putting_and_taking(self, steps: list[tuple[int, int]]) -> None:
        names = (v4(1), v4(2), v4(3), onion(1), onion(2), I2P, v4(4))
        table = Table(64)
        standing: dict[int, Entry] = {}
        for bucket, which in steps:
            place = bucket * BUCKET_PLACES + which
            if place in standing:
                entry = standing.pop(place)
                assert table.take(place) is entry
                entry.places = ()
            else:
                entry = standing[place] = Entry(names[which], 0, WallTime(1), b"s")
                entry.places = (place,)
                table.put(place, entry)
            table.check()
            for networks in ((Network.IPV4,), (Network.TORV3, Network.I2P), tuple(Network)):
                here = [one.address for one in standing.values() if one.address.network in networks]
                assert sorted(one.address for one in table.every(networks)) == sorted(here)
                assert table.taken(networks) == len(here)
                if here:
                    assert table.draw(networks, Chance.from_seed(which)).address in here
