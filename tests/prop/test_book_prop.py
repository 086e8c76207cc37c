"""The address book under any sequence of its verbs, with addresses that want each other's places: its invariants, a
dictionary, and the rows that a store would have."""

from __future__ import annotations

from books import KEY, PLACING, WALL, apply, group, make_book, onion, spread, told, tried_rivals
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from obscura.base.instant import NEVER, WallTime
from obscura.base.limits import ADDR_AGE, ADDR_ITEMS, COLLISION_WAIT, OTHER_NETWORK_WAIT, TESTED_TIME
from obscura.base.randomness import Chance
from obscura.peers.book import AddressBook
from obscura.peers.defences import Defences
from obscura.peers.groups import Grouping
from obscura.peers.pins import Verdict
from obscura.peers.record import AddressRecord
from obscura.wire.address import NetAddress, Network

SOURCES = tuple(group(number) for number in range(3))


def _crowd() -> tuple[NetAddress, ...]:
    """Addresses of which many want the same place: in tried, and in new if one of the sources tells them."""
    chosen: dict[NetAddress, None] = dict.fromkeys(tried_rivals(3) + tried_rivals(2, first=5_000))
    taken: dict[tuple[bytes, int], NetAddress] = {}
    for number in range(6_000):
        address = spread(number)
        for source in SOURCES:
            other = taken.setdefault((source, PLACING.new(address, source)), address)
            if other != address and len(chosen) < 22:
                chosen[other] = chosen[address] = None
    return (*chosen, onion(1), onion(2), NetAddress(Network.I2P, bytes(32), 0))


CROWD = _crowd()
KEYS = (bytes(32), b"\x01" * 32)
some = st.sampled_from(CROWD)
spans = st.sampled_from([1, 59, 61, 600, 3_601, COLLISION_WAIT, TESTED_TIME, 86_400, 8 * 86_400, ADDR_AGE + 1])


class BookMachine(RuleBasedStateMachine):
    """Times, failures and successes against a dictionary; who is in the book at all is the book's to say."""

    def __init__(self) -> None:
        super().__init__()
        self.defences = Defences()
        self.book = make_book()
        self.now = WALL
        self.rows: dict[NetAddress, AddressRecord] = {}
        self.facts: dict[NetAddress, dict[str, int]] = {}
        self.named: dict[NetAddress, None] = {}
        self.hidden: dict[NetAddress, None] = {}
        self.lives = 0

    def fact(self, address: NetAddress, **changed: int) -> None:
        if address in self.book:
            self.facts[address].update(changed)

    def know(self, address: NetAddress) -> None:
        if address in self.book:
            self.facts.setdefault(address, {"failures": 0, "succeeded": NEVER, "attempted": NEVER})

    @rule(address=some, source=st.sampled_from(SOURCES), age=st.sampled_from([-9_999, 0, 5, 9_000, ADDR_AGE + 1]))
    def learn(self, address: NetAddress, source: bytes, age: int) -> None:
        before = address in self.book
        new = self.book.learn(told(address, self.now - age), source, self.now, direct=bool(age % 2))
        assert new is (not before and address in self.book)
        if address in self.hidden or age > ADDR_AGE:
            assert not new
        self.forget_lost()
        self.know(address)

    def forget_lost(self) -> None:
        """Whoever made room has no facts any more."""
        self.facts = {address: known for address, known in self.facts.items() if address in self.book}

    @rule(address=some)
    def name(self, address: NetAddress) -> None:
        if address not in self.hidden:
            self.book.name(address)
            self.named[address] = None
            self.know(address)

    @rule(address=st.sampled_from(CROWD[:4]))
    def hide(self, address: NetAddress) -> None:
        if address not in self.named:
            self.book.hide(address)
            self.hidden[address] = None
            self.forget_lost()

    @rule(address=some)
    def attempt(self, address: NetAddress) -> None:
        self.book.attempted(address, self.now)
        self.fact(address, attempted=self.now)

    @rule(address=some, key=st.none() | st.sampled_from(KEYS))
    def succeed(self, address: NetAddress, key: bytes | None) -> None:
        if key is not None and self.book.meet(address, key) is Verdict.CHANGED:
            self.fact(address, succeeded=NEVER)
            assert not self.book.get(address).tried  # type: ignore[union-attr]
        self.book.succeeded(address, self.now, key)
        self.forget_lost()
        self.fact(address, succeeded=self.now, attempted=self.now)

    @rule(address=some)
    def fail(self, address: NetAddress) -> None:
        assert self.book.failed(address, self.now) >= 0
        if address in self.book:
            self.facts[address]["failures"] += 1

    @rule(address=some)
    def last(self, address: NetAddress) -> None:
        self.book.lasted(address)
        self.fact(address, failures=0)

    @rule(address=some)
    def avoid(self, address: NetAddress) -> None:
        self.book.avoid(address, WallTime(self.now + OTHER_NETWORK_WAIT))
        if address in self.book:
            self.facts[address]["failures"] += 1

    @rule(address=some)
    def sight(self, address: NetAddress) -> None:
        self.book.sighted(address, self.now)
        record = self.book.get(address)
        assert record is None or record.seen >= self.now

    @rule(reached=st.lists(some, max_size=3))
    def resolve(self, reached: list[NetAddress]) -> None:
        tried = [record.address for record in self.book.records() if record.tried and record.address in reached]
        self.book.resolve(self.now, reached)
        self.forget_lost()
        assert all(self.book.get(address).tried for address in tried), "who has a link of ours stays"  # type: ignore[union-attr]

    @rule(span=spans, jump=st.sampled_from([0, 0, 0, -100_000, 100_000, -300]))
    def wait(self, span: int, jump: int) -> None:
        self.now = WallTime(self.now + span + jump)
        if abs(jump) > 600:
            self.book.rebase(jump)

    @rule(
        tried=st.sampled_from([None, True, False]),
        networks=st.sampled_from([None, (Network.IPV4,), (Network.TORV3, Network.I2P), ()]),
        unwanted=st.lists(some, max_size=5),
    )
    def pick(self, tried: bool | None, networks: tuple[Network, ...] | None, unwanted: list[NetAddress]) -> None:
        picked = self.book.pick(self.now, lambda one: one not in unwanted, tried=tried, networks=networks)
        ready = [
            record.address
            for record in self.book.records()
            if record.address not in self.named
            and record.address not in unwanted
            and (tried is None or record.tried is tried)
            and (networks is None or record.address.network in networks)
            and not self.now < record.retry_at <= self.now + OTHER_NETWORK_WAIT
        ]
        assert picked in ready or (picked is None and not ready)
        test = self.book.to_test(self.now, lambda one: one not in unwanted)
        if test is not None:
            record = self.book.get(test)
            assert record is not None
            assert record.tried
            assert test not in unwanted

    @rule(networks=st.sampled_from([tuple(Network), (Network.IPV4,), (Network.TORV3, Network.I2P)]))
    def answer(self, networks: tuple[Network, ...]) -> None:
        answer = self.book.answer(self.now, lambda _: True, networks)
        held = sum(1 for record in self.book.records() if record.address.network in networks)
        assert len(answer) <= min(ADDR_ITEMS, -(-held * 23 // 100))
        assert len({entry.address for entry in answer}) == len(answer)
        for entry in answer:
            record = self.book.get(entry.address)
            assert record is not None
            assert entry.address.network in networks
            assert self.now - ADDR_AGE <= entry.time <= record.seen
            assert entry.time % 3_600 == 0

    @rule()
    def save(self) -> None:
        apply(self.book.take_changes(), self.rows)
        assert self.rows == {record.address: record for record in self.book.records()}

    @precondition(lambda self: self.book.changed)
    @rule()
    def crash(self) -> None:
        """What was not saved is gone; the rest is there, whatever it was in the midst of."""
        before = dict(self.rows)
        self.begin(KEY, Grouping())
        assert {record.address: record for record in self.book.records()} == {
            address: record for address, record in before.items() if record.source or address in self.named
        }
        for address, known in list(self.facts.items()):
            record = self.book.get(address)
            if record is None:
                del self.facts[address]
            else:
                known.update(failures=record.failures, succeeded=record.succeeded, attempted=record.attempted)
        for record in self.book.records():
            self.know(record.address)
            self.facts[record.address].update(
                failures=record.failures, succeeded=record.succeeded, attempted=record.attempted
            )

    def begin(self, key: bytes, grouping: Grouping) -> None:
        self.lives += 1
        self.book = AddressBook(
            self.rows.values(), Chance.from_seed(self.lives), key=key, grouping=grouping, defences=self.defences
        )
        # The operator names the same peers at each start; one that had not reached the store begins afresh.
        self.named = {address: None for address in self.named if address in self.rows}
        for address in self.named:
            self.book.name(address)
        self.hidden = {}

    @invariant()
    def sound(self) -> None:
        self.book.check()
        assert len(self.book) == len(self.facts)
        for address, known in self.facts.items():
            record = self.book.get(address)
            assert record is not None
            assert known == {"failures": record.failures, "succeeded": record.succeeded, "attempted": record.attempted}
        for address in self.named:
            assert address in self.book, "nobody pushes them out"
        counts = self.book.counts()
        outside = sum(1 for address in self.named if address in self.book)
        assert sum(map(sum, counts.values())) + outside == len(self.book)
        tried = sum(1 for record in self.book.records() if record.tried)
        assert tried == sum(tried for _, tried in counts.values())


TestBook = BookMachine.TestCase
TestBook.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)


class LooseMachine(BookMachine):
    """Without test before evict, as experiments have it: the same invariants."""

    def __init__(self) -> None:
        super().__init__()
        self.defences = Defences(test_before_evict=False)
        self.book = make_book(defences=self.defences)


TestLoose = LooseMachine.TestCase
TestLoose.settings = settings(max_examples=15, stateful_step_count=40, deadline=None)
