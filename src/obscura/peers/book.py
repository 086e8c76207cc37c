"""The address book: what gossip told, whom we have reached, whom to dial next, what to answer to ``getaddr``.

It behaves as Bitcoin Core's: two tables of buckets, *new* for what was told and *tried* for what a link of our own has
reached. It answers these attacks:

- Filling the book: where an address may stand is a keyed hash of its network group, and in new of the group of who told
  it (:mod:`obscura.peers.placing`). One group reaches a sixteenth of new and eight buckets of tried; a place that is
  taken is given up only by an address of no use, or by a copy of one that stands elsewhere too.
- Being told often: an address that many groups tell stands in up to NEW_COPIES places of new, each twice as hard to get
  as the one before.
- Pushing out what works: an address that was reached and finds its place in tried taken waits in new until whoever has
  the place was dialled again (*test before evict*): who answers, stays.
- Filling buckets to be picked: each bucket that is not empty is as likely as another.
- Coming late: one of the links for blocks goes to an address that has stood in tried for long (*seniority*); it loses
  that with its key, and when another takes its place.
- Poisoning tried: only :meth:`AddressBook.succeeded` puts an address there; it is for links that we opened.

Addresses that our operator named stand in no table: nobody pushes them out, they are dialled on a schedule of their
own, and they are told to others only once gossip has told them too.

Everything is bounded by the tables (limits: BOOK_ENTRIES) and by what the operator names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sized
from itertools import islice
from typing import Final, TypeVar

from ..base.instant import MICROSECONDS, NEVER, Duration, WallTime, whole_hour
from ..base.limits import (
    ADDR_AGE,
    ADDR_FUTURE,
    ADDR_HEARSAY,
    ADDR_IMPOSSIBLE,
    ADDR_ITEMS,
    ADDR_NEWER,
    BACKOFF_CAP,
    BOOK_ENTRIES,
    BUCKET_PLACES,
    COLLISION_WAIT,
    COLLISIONS,
    GETADDR_BLUR,
    GETADDR_LOOKS,
    GETADDR_SHARE,
    JUST_TRIED,
    NEW_COPIES,
    PICK_TRIES,
    SINCE_LEAST,
    TESTED_TIME,
    UNCOUNTED_WAIT,
)
from ..base.randomness import Chance
from ..wire.address import AddressEntry, NetAddress, Network
from .backoff import backoff
from .defences import ALL, Defences
from .entry import Entry
from .groups import Grouping
from .pins import Verdict
from .placing import Placing
from .record import AddressRecord
from .table import Table

K = TypeVar("K")
_NETWORKS: Final = tuple(Network)
_STAMP_BYTES: Final = 8
_LESS_PICKY: Final = 1.2
"""With each address that was drawn and not taken, the next one is taken that much more easily (Core)."""


class AddressBook:
    """Addresses and their history.

    Args:
        records: what the store has kept. Who finds its place taken, because the key or the map of autonomous systems
            is another one, loses it or takes it, by chance; without any place an address is forgotten.
        chance: draws everything that is left to it.
        key: 32 bytes that decide on places. Kept in secret, and the same in each run.
        grouping: network groups.
        defences: what experiments have switched off.
        share: the tables have one ``share``-th of the usual buckets.
    """

    def __init__(
        self,
        records: Iterable[AddressRecord],
        chance: Chance,
        *,
        key: bytes,
        grouping: Grouping | None = None,
        defences: Defences = ALL,
        share: int = 1,
    ) -> None:
        self._chance = chance
        self._defences = defences
        self._placing = Placing(key, grouping or Grouping(), share)
        self._stamp = self._placing.stamp if defences.buckets else bytes(_STAMP_BYTES)
        """What notes of places begin with that hold in this book."""
        self._entries: dict[NetAddress, Entry] = {}
        self._new = Table(self._placing.new_buckets, filling=True)
        self._tried = Table(self._placing.tried_buckets, filling=True)
        self._told: dict[Network, list[Entry]] = {network: [] for network in Network}
        """All that may be told to others."""
        self._counts = {network: [0, 0] for network in Network}
        """How many addresses stand in new, and in tried."""
        self._collisions: dict[Entry, tuple[int, WallTime]] = {}
        """Who was reached and finds its place taken: the place in tried, and since when."""
        self._hidden: dict[NetAddress, None] = {}
        """Addresses that this book must not know; as many as the operator has named."""
        self._unnamed: dict[NetAddress, Entry] = {}
        """Named in an earlier run, and not told by anybody: if they are not named again they are forgotten."""
        self._dirty: dict[Entry, None] = {}
        self._forgotten: dict[NetAddress, None] = {}
        """Of which the store still has a row."""
        self._load(records)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, address: NetAddress) -> bool:
        return address in self._entries

    def get(self, address: NetAddress) -> AddressRecord | None:
        """What is known about an address."""
        entry = self._entries.get(address)
        return None if entry is None else entry.record(self._stamp)

    def records(self) -> tuple[AddressRecord, ...]:
        """Everything, as the store would have it."""
        return tuple(entry.record(self._stamp) for entry in self._entries.values())

    def counts(self) -> dict[Network, tuple[int, int]]:
        """How many addresses of each network stand in new, and in tried."""
        return {network: (new, tried) for network, (new, tried) in self._counts.items()}

    def tried_bucket(self, address: NetAddress) -> int:
        """The bucket of the tried table in which an address stands if it stands there."""
        return self._placing.tried(address) // BUCKET_PLACES

    # -- what gossip and our operator say

    def learn(self, entry: AddressEntry, source: bytes, now: WallTime, *, direct: bool = False) -> bool:
        """Take an address from gossip.

        A time that cannot be counts as five days ago. A hidden address, and one that is too old, is passed over.

        Args:
            entry: what was told.
            source: the network group of who told it; never empty.
            now: the time.
            direct: it was told by the address itself; what others tell counts as two hours older.

        Returns:
            Whether it is new, and found a place.
        """
        address = entry.address
        seen = _believable(entry.time, now)
        if seen < now - ADDR_AGE or address in self._hidden:
            return False
        heard = seen if direct else WallTime(max(0, seen - ADDR_HEARSAY))
        known = self._entries.get(address)
        if known is not None:
            self._learn_again(known, entry.features, seen, heard, source, now)
            return False
        place = self._new_place(address, source)
        holder = self._new.places[place]
        if holder is not None:
            if len(holder.places) == 1 and not holder.is_terrible(now):
                return False
            self._vacate(place)
        newcomer = Entry(address, entry.features, heard, source)
        self._enter(newcomer)
        self._stand(newcomer, place, source)
        return True

    def name(self, address: NetAddress) -> None:
        """Keep an address that our operator named, outside the tables. One that gossip has told as well comes back into
        them with the next start, unless it is named again."""
        known = self._entries.get(address)
        if known is None:
            known = self._unnamed.pop(address, None) or Entry(address, 0, NEVER, b"")
            self._enter(known)
        elif known.places:
            known.was_tried, since = known.tried, known.since
            self._leave(known)
            known.since = since
            self._dirty[known] = None

    def hide(self, address: NetAddress) -> None:
        """Neither keep nor tell an address: a keyed listener, which only those know who were invited."""
        self._hidden[address] = None
        unnamed = self._unnamed.pop(address, None)
        if unnamed is not None:
            self._forgotten[address] = None
        known = self._entries.get(address)
        if known is not None:
            self._leave(known)
            self._forget(known)

    # -- whom to dial

    def pick(
        self,
        now: WallTime,
        usable: Callable[[NetAddress], bool],
        *,
        tried: bool | None = None,
        networks: Collection[Network] | None = None,
        draws: int = 1,
    ) -> NetAddress | None:
        """A random address that may be dialled now.

        Each bucket is as likely as another. An address that failed, was dialled lately or is given up is taken less
        often than it is drawn; it still is if nothing better comes up.

        Args:
            now: the time.
            usable: whether an address is wanted.
            tried: from which table; ``None``: from either, by a fair coin, and then from the other.
            networks: only addresses of these; ``None``: of all.
            draws: so many are drawn, and the one that has stood in tried for longest is taken; of those of whom that is
                the same, or not known, the first. With more than one, whoever failed last time only if there is nobody
                else.

        Returns:
            ``None`` if a bounded number of draws has found none; with few addresses, only if there is none.
        """
        wanted = _NETWORKS if networks is None else tuple(one for one in _NETWORKS if one in networks)
        tables = [self._tried, self._new]
        if tried is not None:
            tables = [tables[0] if tried else tables[1]]
        elif self._chance.below(2):
            tables.reverse()
        tables = [table for table in tables if table.taken(wanted)]
        for table in tables:
            found = self._pick_from(table, wanted, now, usable, PICK_TRIES // len(tables), draws)
            if found is not None:
                return found
        return None

    def to_test(self, now: WallTime, usable: Callable[[NetAddress], bool]) -> NetAddress | None:
        """An address of tried that stands in the way of one that was reached: a feeler is to look whether it still
        answers. ``None`` if there is none that may be dialled and that ``usable`` admits.

        Whoever has a link to such an address says so by :meth:`succeeded` instead of dialling it; let ``usable`` admit
        it for that.
        """
        holders = [self._tried.places[place] for place, _ in self._collisions.values()]
        ready = [one.address for one in holders if one is not None and one.may_retry(now) and usable(one.address)]
        return self._chance.choice(ready) if ready else None

    # -- what became of it

    def attempted(self, address: NetAddress, now: WallTime) -> None:
        """A dial begins."""
        entry = self._entries.get(address)
        if entry is not None:
            entry.attempted = now
            self._dirty[entry] = None

    def succeeded(self, address: NetAddress, now: WallTime, key: bytes | None = None) -> None:
        """A link that we opened completed its handshake: the address goes to tried, if its place is free; if not, it
        waits for the test of who has it (:meth:`to_test`, :meth:`resolve`).

        Failures stand until the link has lasted (:meth:`lasted`): a peer whose slots are all taken completes every
        handshake and ends every link, and must be asked less and less often.

        ``key`` is what it has shown, where :meth:`meet` has passed it: its pin from now on. ``None`` leaves the pin.
        """
        entry = self._entries.get(address)
        if entry is None:
            return
        # Privacy: not when it was seen, or answers to ``getaddr`` would show whom we dial.
        entry.succeeded = entry.attempted = now
        entry.retry_at = NEVER
        if entry.tried and (_since(entry, now) == NEVER or (key is not None and entry.key is None)):
            # Security: who shows a key for the first time need not be who was there before.
            entry.since = now
        # At the very beginning of time (a broken clock) there is no success to hang a pin on.
        entry.key = (key or entry.key) if now != NEVER else None
        self._dirty[entry] = None
        if not entry.places and entry.source and now != NEVER:
            entry.was_tried, entry.since = True, entry.since or now
        if entry.tried or not entry.places or now == NEVER or entry in self._collisions:
            return
        place = self._tried_place(address)
        if self._tried.places[place] is None or not self._defences.test_before_evict:
            self._promote(entry, place)
        elif len(self._collisions) < COLLISIONS:
            self._collisions[entry] = (place, now)

    def meet(self, address: NetAddress, key: bytes) -> Verdict:
        """Judge the key that an address from gossip has shown. It is pinned by :meth:`succeeded`, not here.

        After ``CHANGED`` the history and the pin are gone, and the address stands in new: who answers now is a new
        peer, of whom we know what gossip told and no more. The link may go on, as one to a new peer.
        """
        entry = self._entries.get(address)
        if entry is None or entry.key is None:
            return Verdict.NEW
        if entry.key == key:
            return Verdict.SAME
        self._collisions.pop(entry, None)
        if entry.tried:
            self._demote(entry)
        entry.forget_history()
        self._dirty[entry] = None
        return Verdict.CHANGED

    def lasted(self, address: NetAddress) -> None:
        """A link that we opened stood long enough to count as a success: the next back-off starts afresh."""
        entry = self._entries.get(address)
        if entry is not None and entry.failures:
            entry.failures = 0
            self._dirty[entry] = None

    def sighted(self, address: NetAddress, now: WallTime) -> None:
        """A link that told addresses has ended: until now its peer was there."""
        entry = self._entries.get(address)
        if entry is not None and now > entry.seen:
            entry.seen = now
            self._dirty[entry] = None

    def failed(self, address: NetAddress, now: WallTime, cap: Duration = BACKOFF_CAP) -> Duration:
        """A dial, or the link soon after it, came to nothing. Returns how long to wait before the next try."""
        entry = self._entries.get(address)
        wait = backoff(1 if entry is None else entry.failures + 1, cap, self._chance)
        if entry is not None:
            entry.failures += 1
            entry.retry_at = WallTime(now + -(-wait // MICROSECONDS))
            self._dirty[entry] = None
        return wait

    def unanswered(self, address: NetAddress, now: WallTime) -> Duration:
        """A dial came to nothing, and we may have had no network at all: a wait, but no failure."""
        wait = self._chance.span(Duration(0), UNCOUNTED_WAIT)
        entry = self._entries.get(address)
        if entry is not None:
            entry.retry_at = WallTime(now + -(-wait // MICROSECONDS))
            self._dirty[entry] = None
        return wait

    def avoid(self, address: NetAddress, until: WallTime) -> None:
        """Do not dial an address before ``until``: it is another network's, or our own."""
        entry = self._entries.get(address)
        if entry is not None:
            entry.failures += 1
            entry.retry_at = until
            self._dirty[entry] = None

    def resolve(self, now: WallTime, reached: Collection[NetAddress] = ()) -> None:
        """Settle what waits for a place in tried, as far as tests and time allow: who has a link of ours now
        (``reached``) keeps his. Cheap; to be called often."""
        for entry, (place, since) in list(self._collisions.items()):
            if entry not in self._collisions:
                # An earlier one has pushed its holder back to new, in the place of this one.
                continue
            holder = self._tried.places[place]
            if holder is None:
                self._promote(entry, place)
            elif _within(holder.succeeded, TESTED_TIME, now) or holder.address in reached:
                del self._collisions[entry]
            elif _within(holder.attempted, TESTED_TIME, now):
                if not _within(holder.attempted, JUST_TRIED, now):
                    self._promote(entry, place)
            elif now - since >= COLLISION_WAIT:
                # Nobody could look: whoever was reached last is the better guess.
                self._promote(entry, place)

    # -- what others are told

    def answer(
        self, now: WallTime, routable: Callable[[NetAddress], bool], networks: Collection[Network] = _NETWORKS
    ) -> tuple[AddressEntry, ...]:
        """What ``getaddr`` gets: at random, at most ADDR_ITEMS and at most 23 % of the addresses of ``networks``;
        without those that are given up, and those that nobody but our operator knows.

        Privacy: exact times are a fingerprint. Whoever asked a node at two of its addresses, and got the same address
        with the same second in both answers, would know that the two are one. So times are rounded down to whole hours,
        and for each address of each answer up to a day is taken off, drawn anew; nothing is told as fresher than it is.
        This hides single times; that two answers draw on one book shows where they have many addresses in common, which
        is why the caller asks for one class of networks at a time.
        """
        told = [self._told[network] for network in _NETWORKS if network in networks]
        total = sum(map(len, told))
        bound = min(ADDR_ITEMS, -(-total * GETADDR_SHARE // 100))
        chosen: list[AddressEntry] = []
        moved: dict[int, int] = {}
        for looks in range(min(total, GETADDR_LOOKS)):
            if len(chosen) >= bound:
                break
            # A shuffle of all of them, of which only the beginning is carried out.
            other = looks + self._chance.below(total - looks)
            at = moved.get(other, other)
            moved[other] = moved.get(looks, looks)
            for entries in told:
                if at < len(entries):
                    break
                at -= len(entries)
            entry = entries[at]
            if entry.is_terrible(now) or not routable(entry.address):
                continue
            seen = WallTime(whole_hour(entry.seen) - 3_600 * self._chance.below(GETADDR_BLUR))
            if seen >= now - ADDR_AGE:
                chosen.append(AddressEntry(seen, entry.features, entry.address))
        return tuple(chosen)

    # -- what the store is told

    @property
    def changed(self) -> bool:
        """Whether there is something to save."""
        return bool(self._dirty or self._forgotten or self._unnamed)

    def take_changes(self, most: int | None = None) -> tuple[tuple[NetAddress, AddressRecord | None], ...]:
        """What has changed since the last call, each address once; ``None``: it is forgotten. With ``most``, so many
        at most, and the others by later calls."""
        changes: list[tuple[NetAddress, AddressRecord | None]] = []
        for gone in (self._forgotten, self._unnamed):
            for address in _first(gone, most, changes):
                del gone[address]
                if (again := self._entries.get(address)) is not None:
                    # Told since it was loaded: its row is this entry's now.
                    again.saved = True
                else:
                    changes.append((address, None))
        for entry in _first(self._dirty, most, changes):
            del self._dirty[entry]
            entry.saved = True
            changes.append((entry.address, entry.record(self._stamp)))
        return tuple(changes)

    def rebase(self, shift: int) -> None:
        """The wall clock jumped by ``shift`` seconds: deadlines keep their distance (design §10)."""
        for entry in self._entries.values():
            if entry.retry_at:
                entry.retry_at = WallTime(max(0, entry.retry_at + shift))
                self._dirty[entry] = None
        for entry, (place, since) in self._collisions.items():
            self._collisions[entry] = (place, WallTime(max(0, since + shift)))

    def check(self) -> None:
        """Walk the invariants; for tests and fuzzers."""
        self._new.check()
        self._tried.check()
        counts = {network: [0, 0] for network in Network}
        places: dict[bool, int] = {False: 0, True: 0}
        told = 0
        for address, entry in self._entries.items():
            assert entry.address == address, "entries stand under their address"
            table = self._tried if entry.tried else self._new
            assert all(table.places[place] is entry for place in entry.places), "it stands where it says"
            assert len(set(entry.places)) == len(entry.places) <= (1 if entry.tried else NEW_COPIES), "few copies"
            assert not (entry.tried and entry.copies), "who was tried stands in no other table"
            assert entry.tried or entry.was_tried or entry.since == NEVER, "seniority is of those in tried"
            assert not (entry.was_tried and entry.places), "who will stand in tried again stands nowhere"
            assert not entry.places or entry.tried or len(entry.sources()) == len(entry.places), (
                "each copy has a source"
            )
            assert entry.copies != (entry.source,), "a copy by the first source alone is not written down"
            places[entry.tried] += len(entry.places)
            if entry.places:
                counts[address.network][entry.tried] += 1
            assert bool(entry.source) or not entry.places, "who stands in a table was told by somebody"
            assert (entry.at >= 0) == bool(entry.source), "what gossip has told may be told"
            if entry.at >= 0:
                told += 1
                assert self._told[address.network][entry.at] is entry, "it knows its index"
            if self._defences.buckets and entry.tried:
                assert entry.places == (self._placing.tried(address),), "places follow from the key"
            elif self._defences.buckets and entry.places:
                expected = tuple(self._placing.new(address, source) for source in entry.sources())
                assert entry.places == expected, "places follow from the key"
        assert places[False] == self._new.taken(_NETWORKS), "nobody stands in new who is not in the book"
        assert places[True] == self._tried.taken(_NETWORKS), "nobody stands in tried who is not in the book"
        assert told == sum(map(len, self._told.values())), "nobody is told of who is not in the book"
        assert counts == self._counts, "the counts are exact"
        assert sum(map(sum, counts.values())) <= BOOK_ENTRIES, "the tables are bounded"
        assert len(self._collisions) <= COLLISIONS, "few wait for a place"
        for entry in self._collisions:
            assert self._entries.get(entry.address) is entry, "who waits is in the book"
            assert entry.places, "and stands in a table"
            assert not entry.tried, "which is new"
        assert all(self._entries.get(entry.address) is entry for entry in self._dirty), "what changed is in the book"
        assert not any(address in self._entries for address in self._forgotten), "what is forgotten is not"
        assert not any(address in self._entries for address in self._hidden), "hidden addresses are unknown"

    # -- within: the tables

    def _new_place(self, address: NetAddress, source: bytes) -> int:
        return (
            self._placing.new(address, source) if self._defences.buckets else self._chance.below(len(self._new.places))
        )

    def _tried_place(self, address: NetAddress) -> int:
        return self._placing.tried(address) if self._defences.buckets else self._chance.below(len(self._tried.places))

    def _learn_again(
        self, known: Entry, features: int, seen: WallTime, heard: WallTime, source: bytes, now: WallTime
    ) -> None:
        """Somebody tells an address that we have."""
        # Only a clearly newer sighting is worth a change.
        if heard > _believable(known.seen, now) + ADDR_NEWER:
            known.seen, known.features = heard, features
            self._dirty[known] = None
        if not known.places:
            self._tell_others(known, source)
            return
        copies = len(known.places)
        if known.tried or seen <= known.seen or copies >= NEW_COPIES or self._chance.below(1 << copies):
            return
        place = self._new_place(known.address, source)
        holder = self._new.places[place]
        if holder is known or (holder is not None and not holder.is_terrible(now)):
            return
        if holder is not None:
            self._vacate(place)
        known.add_copy(place, source)
        self._new.put(place, known)
        self._dirty[known] = None

    def _tell_others(self, named: Entry, source: bytes) -> None:
        """Gossip has told an address that our operator named: it is no secret."""
        if not named.source:
            named.source = source
            self._list(named)
            self._dirty[named] = None

    def _enter(self, entry: Entry) -> None:
        """Have an entry in the book; it stands nowhere yet."""
        address = entry.address
        self._entries[address] = entry
        if self._forgotten and address in self._forgotten:
            del self._forgotten[address]
            entry.saved = True
        self._dirty[entry] = None
        if entry.source:
            self._list(entry)

    def _list(self, entry: Entry) -> None:
        told = self._told[entry.address.network]
        entry.at = len(told)
        told.append(entry)

    def _stand(self, entry: Entry, place: int, source: bytes) -> None:
        """An entry that stands nowhere takes a place in new."""
        entry.add_copy(place, source)
        self._new.put(place, entry)
        self._counts[entry.address.network][0] += 1

    def _vacate(self, place: int) -> None:
        """Who has a place in new loses it; whose last one that was is forgotten."""
        entry = self._new.take(place)
        entry.drop_copy(place)
        if entry.places:
            self._dirty[entry] = None
        else:
            self._counts[entry.address.network][0] -= 1
            self._forget(entry)

    def _leave(self, entry: Entry) -> None:
        """An entry leaves its table; it is still in the book."""
        if entry.places:
            table = self._tried if entry.tried else self._new
            for place in entry.places:
                table.take(place)
            self._counts[entry.address.network][entry.tried] -= 1
            entry.places = entry.copies = ()
            entry.tried = False
            entry.since = NEVER
        self._collisions.pop(entry, None)

    def _forget(self, entry: Entry) -> None:
        """An entry that stands nowhere leaves the book."""
        address = entry.address
        del self._entries[address]
        self._collisions.pop(entry, None)
        self._dirty.pop(entry, None)
        if entry.saved:
            self._forgotten[address] = None
        if entry.at >= 0:
            told = self._told[address.network]
            last = told.pop()
            if last is not entry:
                told[entry.at] = last
                last.at = entry.at

    def _promote(self, entry: Entry, place: int) -> None:
        """Move an entry from new to its place in tried; who has that goes back to new."""
        self._leave(entry)
        holder = self._tried.places[place]
        if holder is not None:
            self._demote(holder)
        self._stand_tried(entry, place)
        self._dirty[entry] = None

    def _stand_tried(self, entry: Entry, place: int) -> None:
        entry.tried = True
        entry.since = entry.since or entry.succeeded
        entry.places = (place,)
        self._tried.put(place, entry)
        self._counts[entry.address.network][1] += 1

    def _demote(self, entry: Entry) -> None:
        """Move an entry from tried to new, in the place of whoever stands there: it has worked once."""
        self._leave(entry)
        place = self._new_place(entry.address, entry.source)
        if self._new.places[place] is not None:
            self._vacate(place)
        self._stand(entry, place, entry.source)
        self._dirty[entry] = None

    # -- within: picking

    def _pick_from(
        self,
        table: Table,
        networks: tuple[Network, ...],
        now: WallTime,
        usable: Callable[[NetAddress], bool],
        tries: int,
        draws: int,
    ) -> NetAddress | None:
        second_best: NetAddress | None = None
        found: list[Entry] = []
        ease = 1.0
        taken = table.taken(networks)
        for _ in range(min(tries, 4 * taken)):
            entry = table.draw(networks, self._chance)
            if not entry.may_retry(now) or not usable(entry.address):
                continue
            if draws > 1 and entry.failures:
                # The eldest are gone more often than others, and each would be drawn again and again.
                second_best = second_best or entry.address
                continue
            odds = ease * entry.odds(now)
            if odds >= 1 or self._chance.uniform() < odds:
                found.append(entry)
                if len(found) == draws:
                    break
                ease = 1.0
                continue
            ease *= _LESS_PICKY
            second_best = second_best or entry.address
        if found:
            return min(found, key=lambda entry: _since(entry, now) or math.inf).address
        if second_best is None and taken <= tries:
            ready = [one for one in table.every(networks) if one.may_retry(now) and usable(one.address)]
            return self._chance.choice(ready).address if ready else None
        return second_best

    # -- within: loading

    def _load(self, records: Iterable[AddressRecord]) -> None:
        losers: list[Entry] = []
        for record in records:
            entry = Entry.of(record)
            if not record.source:
                entry.since = NEVER
                self._unnamed[record.address] = entry
            elif self._entries.setdefault(record.address, entry) is not entry:
                continue
            elif record.tried:
                self._load_tried(entry, self._noted(record), losers)
            else:
                self._load_new(entry, record.copies or (record.source,), self._noted(record))
        for entry in losers:
            self._load_new(entry, (entry.source,), ())
            if entry.places:
                self._dirty[entry] = None
        self._tried.filled()
        self._new.filled()
        for entry in self._entries.values():
            self._list(entry)

    def _noted(self, record: AddressRecord) -> tuple[int, ...]:
        """The places of a record, if it was noted under our key and map."""
        note = record.standing
        if not note.startswith(self._stamp) or len(note) % 2:
            return ()
        if len(note) == _STAMP_BYTES + 2:
            return (note[-2] << 8 | note[-1],)
        return tuple(int.from_bytes(note[at : at + 2], "big") for at in range(_STAMP_BYTES, len(note), 2))

    def _load_tried(self, entry: Entry, noted: tuple[int, ...], losers: list[Entry]) -> None:
        place = noted[0] if len(noted) == 1 and noted[0] < len(self._tried.places) else self._tried_place(entry.address)
        holder = self._tried.places[place]
        if holder is not None:
            if not self._yields():
                entry.since = NEVER
                losers.append(entry)
                return
            self._leave(holder)
            losers.append(holder)
        self._stand_tried(entry, place)

    def _load_new(self, entry: Entry, sources: tuple[bytes, ...], noted: tuple[int, ...]) -> None:
        sources = sources[:NEW_COPIES]
        fit = len(noted) == len(sources) and max(noted) < len(self._new.places)
        if fit and len(noted) == 1 and self._new.places[noted[0]] is None:
            # Nearly all of tens of thousands are like this.
            self._stand(entry, noted[0], sources[0])
            return
        places = noted if fit else [self._new_place(entry.address, one) for one in sources]
        for place, source in zip(places, sources, strict=True):
            holder = self._new.places[place]
            if holder is entry or (holder is not None and not self._yields()):
                continue
            if holder is not None:
                self._vacate(place)
            if entry.places:
                entry.add_copy(place, source)
                self._new.put(place, entry)
            else:
                self._stand(entry, place, source)
        if not entry.places:
            self._forget(entry)
        elif len(entry.places) != len(sources) or places is not noted:
            self._dirty[entry] = None

    def _yields(self) -> bool:
        """Whether who has a place gives it up. Security: rows come in the order of addresses, so that neither the
        first nor the last may win."""
        return self._chance.below(2) == 1


def _first(keys: Iterable[K], most: int | None, taken: Sized) -> list[K]:
    """The first of ``keys``, as many as there is room for beside what was taken."""
    return list(islice(keys, None if most is None else max(0, most - len(taken))))


def _since(entry: Entry, now: WallTime) -> WallTime:
    """Since when it stands in tried; NEVER if that is not known, or was noted by a clock that was wrong."""
    return entry.since if SINCE_LEAST <= entry.since <= now + ADDR_FUTURE else NEVER


def _believable(seen: WallTime, now: WallTime) -> WallTime:
    """A time of last sight. One ahead of our clock is a lie, or our clock was wrong when we noted it."""
    return seen if seen <= now + ADDR_FUTURE else WallTime(max(0, now - ADDR_IMPOSSIBLE))


def _within(moment: WallTime, span: int, now: WallTime) -> bool:
    """Whether it was less than ``span`` seconds ago. Clocks are set back by a little now and then, which is no harm."""
    return moment != NEVER and now - span < moment <= now + ADDR_FUTURE
