"""(k) The address book with full tables: its verbs, a start with it, a save of what has changed.

The baseline of the verbs is one keyed BLAKE2b hash of 32 bytes; an address that is new costs three.
"""

from __future__ import annotations

import gc
import hashlib
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from obscura.aio.interpreter import uncollected
from obscura.base.instant import WallTime
from obscura.base.limits import BOOK_ENTRIES, BUCKET_PLACES, NEW_BUCKETS, TRIED_BUCKETS
from obscura.base.randomness import Chance
from obscura.peers.book import AddressBook
from obscura.peers.record import AddressRecord
from obscura.store import Store
from obscura.wire.address import AddressEntry, NetAddress, Network

from .measure import interleaved
from .report import Row, Table

NOW = WallTime(1_800_000_000)
YESTERDAY = WallTime(NOW - 86_400)
KEY = bytes(range(32))
BATCH = 500
CHANGES = 1_000
FULL = 0.98
"""A table counts as full when so many of its places are taken: chance meets the last ones late."""
AIM = "≥ 50,000/s"


def address(number: int) -> NetAddress:
    """One of many addresses in many groups: three of four are IPv4, one of eight IPv6, one of eight Tor's."""
    raw = hashlib.blake2b(number.to_bytes(8, "little"), digest_size=32).digest()
    if number % 4:
        return NetAddress(Network.IPV4, raw[:4], 8333)
    return NetAddress(Network.IPV6, b"\x20" + raw[:15], 8333) if number % 8 else NetAddress(Network.TORV3, raw, 8333)


def source(number: int) -> bytes:
    """One of many network groups."""
    return b"\x01" + (number * 2_654_435_761 % 65_536).to_bytes(2, "big")


def full_book(*, quick: bool) -> tuple[AddressBook, int]:
    """A book whose tables are full, and the first number that it has not met."""
    book, number = AddressBook((), Chance.from_seed(1), key=KEY), 0
    share = 0.1 if quick else FULL
    for table, places in ((1, TRIED_BUCKETS * BUCKET_PLACES), (0, NEW_BUCKETS * BUCKET_PLACES)):
        while sum(counts[table] for counts in book.counts().values()) < share * places:
            for _ in range(BATCH):
                number += 1
                where = address(number)
                book.learn(AddressEntry(YESTERDAY, 1, where), source(number), YESTERDAY)
                if table:
                    book.succeeded(where, YESTERDAY)
    book.take_changes()
    return book, number + 1


def bytes_per_entry(records: tuple[AddressRecord, ...]) -> float:
    """What a book takes for each of its addresses, all that it keeps of the records included."""
    empty = AddressBook((), Chance.from_seed(1), key=KEY)
    tracemalloc.start()
    fixed, _ = tracemalloc.get_traced_memory()
    empty = AddressBook((), Chance.from_seed(1), key=KEY)
    fixed = tracemalloc.get_traced_memory()[0] - fixed
    del empty
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory) / "state.db")
        store.save_addresses((one.address, one) for one in records)
        book = AddressBook(store.load_addresses(), Chance.from_seed(1), key=KEY)
        store.close()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before - fixed) / len(book)


def run(*, quick: bool) -> Table:
    """Verbs in batches at full tables, then the store."""
    book, number = full_book(quick=quick)
    records = book.records()
    chance = Chance.from_seed(2)
    rounds = 5 if quick else 31
    names = [one.address for one in records]
    chance.shuffle(names)
    used = 0

    def some() -> list[NetAddress]:
        nonlocal used
        used = (used + BATCH) % (len(names) - BATCH)
        return names[used : used + BATCH]

    fresh = [
        [(AddressEntry(NOW, 1, address(at)), source(at)) for at in range(begin, begin + BATCH)]
        for begin in range(number, number + (rounds + 1) * BATCH, BATCH)
    ]
    again = [[AddressEntry(NOW, 1, where) for where in some()] for _ in range(rounds + 1)]

    def hashing() -> None:
        for at in range(BATCH):
            hashlib.blake2b(at.to_bytes(32, "little"), key=KEY).digest()

    def learn_new() -> None:
        for entry, group in fresh.pop():
            book.learn(entry, group, NOW)

    def learn_again() -> None:
        for entry in again.pop():
            book.learn(entry, b"\x01\x01\x01", NOW)

    def pick() -> None:
        for _ in range(BATCH):
            assert book.pick(NOW, lambda _: True) is not None

    def pick_rare() -> None:
        for _ in range(BATCH):
            assert book.pick(NOW, lambda _: True, networks=(Network.TORV3,)) is not None

    def succeeded() -> None:
        for where in some():
            book.succeeded(where, YESTERDAY)

    def failed() -> None:
        for where in some():
            book.failed(where, YESTERDAY)

    verbs: dict[str, Callable[[], None]] = {
        "learn, an address that is new": learn_new,
        "learn, one that is known": learn_again,
        "pick": pick,
        "pick, of a network that few are of": pick_rare,
        "succeeded": succeeded,
        "failed": failed,
    }
    times = interleaved({"hash": (hashing, BATCH), **{name: (verb, BATCH) for name, verb in verbs.items()}}, rounds)
    base = times["hash"]
    rows = [Row("a keyed hash (baseline)", 1 / base.median, "/s", 1.0)]
    rows += [Row(name, 1 / times[name].median, "/s", times[name].ratio(base), AIM) for name in verbs]
    rows += _store(records, rounds=2 if quick else 9)
    rows.append(Row("memory of the book", bytes_per_entry(records), "bytes an address", None))
    title = (
        f"(k) Address book: {len(records):,} of {BOOK_ENTRIES:,} addresses (ratio: time against the baseline before)"
    )
    return Table("book", title, tuple(rows))


def _store(records: tuple[AddressRecord, ...], rounds: int) -> list[Row]:
    chance = Chance.from_seed(3)
    changes = [(one.address, one) for one in chance.sample(records, min(len(records), CHANGES * (rounds + 1)))]
    batches = [changes[at : at + CHANGES] for at in range(0, len(changes), CHANGES)]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "state.db"
        store = Store(path)
        store.save_addresses((one.address, one) for one in records)

        def read() -> None:
            store._all("address")

        def start() -> None:
            opened = Store(path)
            with uncollected():
                book = AddressBook(opened.load_addresses(), chance, key=KEY)
            opened.close()
            assert len(book) == len(records), "everybody finds his place"

        def save_one() -> None:
            store.save_addresses(changes[:1])

        def save_many() -> None:
            store.save_addresses(batches.pop())

        times = interleaved(
            {"read": (read, 1), "start": (start, 1), "one": (save_one, 1), "many": (save_many, 1)}, rounds
        )
        store.close()
    read_all, one_change = times["read"], times["one"]
    begun, saved = times["start"], times["many"]
    return [
        Row("reading all rows (baseline)", read_all.median * 1e3, "ms", 1.0),
        Row("opening the store, building the book", begun.median * 1e3, "ms", begun.ratio(read_all), "≤ 1,000 ms"),
        Row("saving one change (baseline)", one_change.median * 1e3, "ms", 1.0),
        Row(f"saving {CHANGES:,} changes", saved.median * 1e3, "ms", saved.ratio(one_change)),
    ]
