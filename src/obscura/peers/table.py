"""One table of the book: places in buckets, and how one of its addresses is drawn.

Security: every bucket that is not empty is as likely as another, and so is every place in it that is taken. Who fills
his few buckets to the brim is drawn no more often than with one address in each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from ..base.limits import BUCKET_PLACES
from ..base.randomness import Chance
from ..wire.address import NetAddress, Network
from .entry import Entry

T = TypeVar("T")


class _Rows:
    """Entries by bucket."""

    __slots__ = ("buckets", "entries", "index")

    def __init__(self) -> None:
        self.entries: dict[int, list[Entry]] = {}
        self.buckets: list[int] = []
        """Those with an entry, in no order that means anything."""
        self.index: dict[int, int] = {}

    def add(self, bucket: int, entry: Entry) -> None:
        row = self.entries.get(bucket)
        if row is not None:
            row.append(entry)
        else:
            self.fill(bucket, [entry])

    def fill(self, bucket: int, row: list[Entry]) -> None:
        """The entries of a bucket that has none yet."""
        self.entries[bucket] = row
        self.index[bucket] = len(self.buckets)
        self.buckets.append(bucket)

    def remove(self, bucket: int, entry: Entry) -> None:
        row = self.entries[bucket]
        row.remove(entry)
        if not row:
            del self.entries[bucket]
            at, last = self.index.pop(bucket), self.buckets.pop()
            if last != bucket:
                self.buckets[at] = last
                self.index[last] = at

    def check(self) -> None:
        assert sorted(self.entries) == sorted(self.buckets), "no bucket without an entry, and none twice"
        assert self.index == {bucket: at for at, bucket in enumerate(self.buckets)}, "buckets know their index"
        assert all(self.entries.values()), "no row is empty"


class Table:
    """Places, each with one entry or none. One for new, one for tried.

    Args:
        buckets: how many; each has BUCKET_PLACES places, which are numbered through.
        filling: only places are noted until :meth:`filled`, which sorts all of them at once; nobody can be drawn or
            counted before. A start puts tens of thousands.
    """

    __slots__ = ("_all", "_filling", "_rows", "_taken", "places")

    def __init__(self, buckets: int, *, filling: bool = False) -> None:
        self.places: list[Entry | None] = [None] * (buckets * BUCKET_PLACES)
        self._filling = filling
        self._all = _Rows()
        self._rows = {network: _Rows() for network in Network}
        """Those of one network, so that a rare one is found at once."""
        self._taken = dict.fromkeys(Network, 0)

    def put(self, place: int, entry: Entry) -> None:
        """An entry takes an empty place."""
        assert self.places[place] is None, "who stood there was taken away"
        self.places[place] = entry
        if self._filling:
            return
        bucket, network = place // BUCKET_PLACES, entry.address.network
        self._all.add(bucket, entry)
        self._rows[network].add(bucket, entry)
        self._taken[network] += 1

    def take(self, place: int) -> Entry:
        """Empty a place; who stood there."""
        entry = self.places[place]
        assert entry is not None, "somebody stands there"
        self.places[place] = None
        if self._filling:
            return entry
        network = entry.address.network
        for rows in (self._all, self._rows[network]):
            rows.remove(place // BUCKET_PLACES, entry)
        self._taken[network] -= 1
        return entry

    def filled(self) -> None:
        """All that were known at the start have their places."""
        self._filling = False
        for bucket in range(len(self.places) // BUCKET_PLACES):
            places = self.places[bucket * BUCKET_PLACES : (bucket + 1) * BUCKET_PLACES]
            here = [entry for entry in places if entry is not None]
            if not here:
                continue
            self._all.fill(bucket, here)
            of: dict[Network, list[Entry]] = {}
            for entry in here:
                of.setdefault(entry.address.network, []).append(entry)
            for network, row in of.items():
                self._rows[network].fill(bucket, row)
                self._taken[network] += len(row)

    def taken(self, networks: Sequence[Network]) -> int:
        """How many places the addresses of these networks take."""
        return sum(self._taken[network] for network in networks)

    def draw(self, networks: Sequence[Network], chance: Chance) -> Entry:
        """One of the entries of these networks, of which there must be some: each bucket that has any is as likely as
        another, and so is each of them in it."""
        rows = [self._rows[network] for network in networks if self._taken[network]]
        if len(rows) == 1 or sum(self._taken.values()) == self.taken(networks):
            [whole] = rows if len(rows) == 1 else [self._all]
            return chance.choice(whole.entries[chance.choice(whole.buckets)])
        buckets = [one.buckets for one in rows]
        total = sum(map(len, buckets))
        while True:
            # Of a bucket that several of the networks share, each has an index: it must not count more often for that.
            # Where that is common, one of all buckets is drawn; where most buckets have none of them, one of theirs is.
            common = total >= len(self._all.buckets)
            bucket = chance.choice(self._all.buckets) if common else _nth(buckets, chance.below(total))
            shares = [one.entries[bucket] for one in rows if bucket in one.entries]
            if shares and (common or chance.below(len(shares)) == 0):
                return _nth(shares, chance.below(sum(map(len, shares))))

    def every(self, networks: Sequence[Network]) -> Iterator[Entry]:
        """All entries of these networks, once for each place."""
        for network in networks:
            for row in self._rows[network].entries.values():
                yield from row

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        assert not self._filling, "the start is over"
        if not self._all.entries:
            # Most tables of most tests: those of classes that nobody uses.
            assert not any(rows.entries or rows.buckets for rows in self._rows.values()), "all are all networks'"
            assert not any(self._taken.values()), "and nobody is counted"
            return
        joined: dict[int, list[NetAddress]] = {}
        for network, rows in self._rows.items():
            rows.check()
            assert self._taken[network] == sum(map(len, rows.entries.values())), "the count per network is exact"
            for bucket, row in rows.entries.items():
                joined.setdefault(bucket, []).extend(entry.address for entry in row)
                for entry in row:
                    assert entry.address.network is network, "each network has its own rows"
                    here = [place for place in entry.places if place // BUCKET_PLACES == bucket]
                    assert len(here) == row.count(entry), "it stands in the bucket"
                    assert all(self.places[place] is entry for place in here), "in its places"
        self._all.check()
        whole = {bucket: sorted(entry.address for entry in row) for bucket, row in self._all.entries.items()}
        assert whole == {bucket: sorted(here) for bucket, here in joined.items()}, "all of them are all networks'"
        for bucket, standing in whole.items():
            # Only these are looked at: there are tens of thousands, and tests do this often.
            places = self.places[bucket * BUCKET_PLACES : (bucket + 1) * BUCKET_PLACES]
            assert len(places) - places.count(None) == len(standing), "whoever has a place is in a row"


def _nth(rows: Sequence[Sequence[T]], at: int) -> T:
    for row in rows:
        if at < len(row):
            return row[at]
        at -= len(row)
    raise AssertionError("the index is below the sum of the lengths")
