"""Address books for tests: addresses, sources, and addresses that want the same place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from obscura.base.instant import WallTime
from obscura.base.limits import BUCKET_PLACES
from obscura.base.randomness import Chance
from obscura.peers.book import AddressBook
from obscura.peers.defences import ALL, Defences
from obscura.peers.groups import Grouping
from obscura.peers.placing import Placing
from obscura.peers.record import AddressRecord
from obscura.wire.address import AddressEntry, NetAddress, Network

WALL = WallTime(1_800_000_000)
KEY = bytes(range(32))
PLACING = Placing(KEY, Grouping())
SOURCE = b"\x01\x14\x01"
Changes = tuple[tuple[NetAddress, AddressRecord | None], ...]


def v4(number: int) -> NetAddress:
    """One of many addresses, each in a group of its own as far as there are groups."""
    return NetAddress(Network.IPV4, bytes([20 + number // 65_536, number // 256 % 256, number % 256, 1]), 8333)


def spread(number: int) -> NetAddress:
    """One of many addresses all over the groups."""
    return NetAddress(Network.IPV4, hashlib.blake2b(number.to_bytes(4, "big"), digest_size=4).digest(), 8333)


def onion(number: int) -> NetAddress:
    """One of many addresses of Tor."""
    return NetAddress(Network.TORV3, hashlib.blake2b(number.to_bytes(4, "big"), digest_size=32).digest(), 8333)


def group(number: int) -> bytes:
    """One of many network groups."""
    return b"\x01" + number.to_bytes(2, "big")


def make_book(seed: int = 1, *records: AddressRecord, defences: Defences = ALL, key: bytes = KEY) -> AddressBook:
    """A book with the key of :data:`PLACING`."""
    return AddressBook(records, Chance.from_seed(seed), key=key, defences=defences)


def told(address: NetAddress, seen: int = WALL, features: int = 0) -> AddressEntry:
    """What gossip says."""
    return AddressEntry(WallTime(seen), features, address)


def place_new(address: NetAddress, source: bytes = SOURCE) -> int:
    """The place in new."""
    return PLACING.new(address, source)


def bucket_new(address: NetAddress, source: bytes = SOURCE) -> int:
    """The bucket in new."""
    return PLACING.new(address, source) // BUCKET_PLACES


def rivals(place: Callable[[NetAddress], int], *, count: int = 2, first: int = 0) -> list[NetAddress]:
    """Addresses that want one place."""
    by_place: dict[int, list[NetAddress]] = {}
    for number in range(first, first + 1 << 20):
        address = spread(number)
        here = by_place.setdefault(place(address), [])
        here.append(address)
        if len(here) == count:
            return here
    raise AssertionError("a million addresses must collide")


def tried_rivals(count: int = 2, first: int = 0) -> list[NetAddress]:
    """Addresses that want one place in tried."""
    return rivals(PLACING.tried, count=count, first=first)


def new_rivals(count: int = 2, source: bytes = SOURCE) -> list[NetAddress]:
    """Addresses that want one place in new when ``source`` tells them."""
    return rivals(lambda address: PLACING.new(address, source), count=count)


def apply(changes: Changes, rows: dict[NetAddress, AddressRecord]) -> None:
    """What the store does."""
    for address, record in changes:
        if record is None:
            rows.pop(address, None)
        else:
            rows[address] = record


def fill(book: AddressBook, numbers: Iterator[int], count: int) -> None:
    """Tell so many addresses, each by another group."""
    for _ in range(count):
        number = next(numbers)
        book.learn(told(spread(number)), group(number % 65_536), WALL)
