"""The parts of the node against simple models, step by step: what took cleverness must equal what is obvious."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pair import START, Pair, drain, make_channel
from play import WALL, address

from obscura.base.instant import MICROSECONDS, Duration, Instant, Now, WallTime, after
from obscura.base.limits import (
    BLOCK_HOLDERS,
    DIALS_AT_ONCE,
    FAULT_BUDGET,
    FAULT_DECAY,
    OTHER_NETWORK_WAIT,
    PING_INTERVAL,
    PING_SPREAD,
    PING_TIMEOUT,
    SMALL_IN_FLIGHT,
    TOKENS_BURST,
    TOKENS_PER_SECOND,
    TOKENS_REST,
)
from obscura.base.names import NULL_HASH, BlockHash, ConnId
from obscura.base.randomness import Chance
from obscura.chain import HeaderInfo
from obscura.channel import ChannelEvent, Role
from obscura.channel.budget import FaultBudget, TokenBucket
from obscura.channel.keepalive import Keepalive
from obscura.node.timers import Timers
from obscura.peers.book import AddressBook
from obscura.peers.dialing import Dialer, Policy, Purpose, Situation, Wanted
from obscura.peers.groups import Grouping
from obscura.sync.download import Downloader
from obscura.sync.view import Entry, HeaderTree
from obscura.wire.address import AddressEntry, NetAddress, Network
from obscura.wire.blocks import GetHeaders, Headers, Inv
from obscura.wire.greeting import GetAddr, Ping
from obscura.wire.registry import Message
from obscura.wire.target import Target

small = st.integers(0, 7)
STEPS = settings(max_examples=60, stateful_step_count=40)


class TimersMachine(RuleBasedStateMachine):
    """Against a list that is sorted at each question; ties fire in the order in which they were set."""

    def __init__(self) -> None:
        super().__init__()
        self.timers: Timers[int] = Timers()
        self.model: list[tuple[int, int]] = []

    @rule(key=small, at=st.none() | st.integers(0, 9))
    def set(self, key: int, at: int | None) -> None:
        self.timers.set(key, None if at is None else Instant(at))
        if (at, key) in self.model:
            return
        self.model = [one for one in self.model if one[1] != key]
        if at is not None:
            self.model.append((at, key))

    @rule(now=st.integers(0, 9))
    def pop(self, now: int) -> None:
        due = sorted((one for one in self.model if one[0] <= now), key=lambda one: one[0])
        assert self.timers.pop_due(Instant(now)) == (due[0][1] if due else None)
        if due:
            self.model.remove(due[0])

    @invariant()
    def earliest(self) -> None:
        assert self.timers.next_deadline() == min((at for at, _ in self.model), default=None)


class TreeMachine(RuleBasedStateMachine):
    """Against lists of parents, walked one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = HeaderTree(bytes(80), HeaderInfo(self.name(0), NULL_HASH, 1, 0))
        self.parent: dict[int, int] = {}
        self.work: dict[int, int] = {0: 1}
        self.entries: dict[int, Entry] = {0: self.tree.genesis}
        self.serial = 0

    @staticmethod
    def name(number: int) -> BlockHash:
        return BlockHash(number.to_bytes(32, "little"))

    def path(self, number: int) -> list[int]:
        """From genesis to a header."""
        found = [number]
        while number:
            number = self.parent[number]
            found.append(number)
        return found[::-1]

    def pick(self, which: int) -> int:
        return list(self.entries)[-1 - which % len(self.entries)]

    @rule(which=small, count=st.integers(1, 5), work=st.integers(1, 3), checked=st.booleans())
    def grow(self, which: int, count: int, work: int, checked: bool) -> None:
        at = self.pick(which)
        for _ in range(count):
            self.serial += 1
            info = HeaderInfo(self.name(self.serial), self.name(at), work, 0)
            entry = self.tree.add(b"", info)
            assert entry.invalid == self.entries[at].invalid
            assert self.tree.add(b"", info) is entry, "twice is once"
            self.parent[self.serial], self.work[self.serial] = at, self.work[at] + work
            self.entries[self.serial] = entry
            if checked:
                self.tree.mark_checked(entry)
            at = self.serial

    @rule(which=st.integers(0, 30))
    def activate(self, which: int) -> None:
        number = self.pick(which)
        entry = self.entries[number]
        if entry.invalid:
            return
        before = self.path(self.number_of(self.tree.tip))
        for one in self.path(number):
            self.tree.mark_body(self.entries[one])
        left, joined = self.tree.set_tip(entry)
        now = self.path(number)
        common = len([1 for old, new in zip(before, now, strict=False) if old == new])
        assert left == len(before) - common
        assert [self.number_of(one) for one in joined] == now[common:]

    def number_of(self, entry: Entry) -> int:
        return int.from_bytes(entry.hash, "little")

    @rule(which=small)
    def invalidate(self, which: int) -> None:
        number = self.pick(which)
        if self.tree.is_active(self.entries[number]):
            return
        self.tree.invalidate(self.entries[number])
        for one, entry in self.entries.items():
            assert entry.invalid or number not in self.path(one)

    @rule(which=small, count=st.integers(1, 6))
    def forget(self, which: int, count: int) -> None:
        doomed = [one for one in list(self.entries)[1:][-count:] if not self.entries[one].checked]
        kept = {self.number_of(one) for one in self.tree.forget([self.entries[one] for one in doomed])}
        for one in doomed:
            if one not in kept:
                assert self.tree.get(self.name(one)) is None
                del self.entries[one]
        assert all(self.parent[one] in self.entries for one in self.entries if one), "nobody lost a parent"

    @rule(one=st.integers(0, 40), other=st.integers(0, 40))
    def relations(self, one: int, other: int) -> None:
        a, b = self.pick(one), self.pick(other)
        first, second = self.entries[a], self.entries[b]
        path = self.path(a)
        assert first.height == len(path) - 1
        assert first.work == self.work[a]
        assert self.tree.is_ancestor(second, first) == (b in path)
        assert [self.number_of(first.ancestor(height)) for height in range(len(path))] == path
        active = self.path(self.number_of(self.tree.tip))
        assert self.tree.is_active(first) == (a in active)
        assert self.number_of(self.tree.fork(first)) == [step for step in path if step in active][-1]
        locator = [int.from_bytes(step, "little") for step in self.tree.locator(first)]
        assert locator[:10] == path[::-1][:10]
        assert locator[-1] == 0
        assert locator == sorted(set(locator) & set(path), key=path.index, reverse=True)
        found = next((step for step in locator if step in active), 0)
        assert self.number_of(self.tree.locate(self.tree.locator(first))) == found
        following = [self.number_of(step) for step in self.tree.after(self.entries[found], self.name(b), 3)]
        expected = active[active.index(found) + 1 :][:3]
        assert following == (expected[: expected.index(b) + 1] if b in expected else expected)

    @invariant()
    def sound(self) -> None:
        self.tree.check()
        assert len(self.tree) == len(self.entries)
        candidates = [entry for entry in self.entries.values() if entry.checked and not entry.invalid]
        assert self.tree.best.work == max(entry.work for entry in candidates), "best is the best"


class DownloadMachine(RuleBasedStateMachine):
    """Against what any downloader must keep: a share for each peer, holders for each block, nothing asked in vain."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = HeaderTree(bytes(80), HeaderInfo(TreeMachine.name(0), NULL_HASH, 1, 0))
        self.chains: list[list[Entry]] = []
        for start, count in ((1, 40), (100, 30)):
            at, chain = self.tree.genesis, []
            for number in range(start, start + count):
                at = self.tree.add(b"", HeaderInfo(TreeMachine.name(number), at.hash, 1, 0))
                self.tree.mark_checked(at)
                chain.append(at)
            self.chains.append(chain)
        self.download = Downloader(self.tree)
        self.asked: dict[int, list[Entry]] = {}
        self.here: dict[BlockHash, Entry] = {}
        self.now = START

    @rule(conn=st.integers(1, 5), chain=st.integers(0, 1), height=st.integers(0, 39))
    def show(self, conn: int, chain: int, height: int) -> None:
        entries = self.chains[chain]
        self.download.peer_has(ConnId(conn), entries[min(height, len(entries) - 1)])
        self.asked.setdefault(conn, [])

    @rule()
    def plan(self) -> None:
        for conn, entry in self.download.plan(self.now):
            assert not entry.body, "what is stored is not asked for"
            assert entry.hash not in self.here, "what has come is not asked for"
            assert not entry.invalid
            assert entry not in self.asked[conn], "one peer is asked once"
            self.asked[conn].append(entry)

    @rule(conn=st.integers(1, 5), which=small, size=st.sampled_from([100, 4_000_000]))
    def arrive(self, conn: int, which: int, size: int) -> None:
        asked = self.asked.get(conn)
        if asked:
            entry = asked.pop(which % len(asked))
            taken = self.download.arrived(ConnId(conn), entry, size, self.now)
            assert not (taken and (entry.body or entry.hash in self.here)), "a second copy is dropped"
            if taken:
                self.here[entry.hash] = entry

    @rule(which=small, good=st.booleans())
    def settle(self, which: int, good: bool) -> None:
        if self.here:
            entry = self.here.pop(list(self.here)[which % len(self.here)])
            self.download.settled(entry)
            if good:
                self.tree.mark_body(entry)
                while (child := self.next_of(self.tree.tip)) is not None:
                    self.tree.set_tip(child)
            else:
                self.download.again(entry)

    def next_of(self, tip: Entry) -> Entry | None:
        return next((one for chain in self.chains for one in chain if one.previous is tip and one.body), None)

    @rule(conn=st.integers(1, 5), which=small)
    def not_found(self, conn: int, which: int) -> None:
        asked = self.asked.get(conn) or []
        owed = bool(asked)
        name = asked.pop(which % len(asked)).hash if owed else TreeMachine.name(7)
        assert self.download.not_found(ConnId(conn), name) == owed

    @rule(conn=st.integers(1, 5))
    def unreadable(self, conn: int) -> None:
        self.download.unreadable(ConnId(conn), self.now)
        if self.asked.get(conn):
            failed = [one for one in self.asked[conn] if not self.download.requested_from(ConnId(conn), one.hash)]
            assert failed == self.asked[conn][:1], "answers come in order, so it is the oldest"
            del self.asked[conn][0]

    @rule(conn=st.integers(1, 5))
    def leave(self, conn: int) -> None:
        self.download.peer_gone(ConnId(conn))
        self.asked.pop(conn, None)

    @rule(conn=st.integers(1, 5), pause=st.booleans())
    def pause(self, conn: int, pause: bool) -> None:
        if pause:
            self.download.pause(ConnId(conn))
        else:
            self.download.resume(ConnId(conn), Duration(1_000))

    @rule(span_s=st.sampled_from([1, 3, 70, 2_000]))
    def wait(self, span_s: int) -> None:
        self.now = after(self.now, Duration(span_s * MICROSECONDS))
        staller = self.download.overdue(self.now)
        if staller is not None:
            assert self.asked[staller], "only who owes something is blamed"
            self.leave(staller)

    @invariant()
    def sound(self) -> None:
        self.download.check()
        self.tree.check()
        holders: dict[BlockHash, int] = {}
        for conn, asked in self.asked.items():
            assert self.download.in_flight(ConnId(conn)) == len(asked) <= SMALL_IN_FLIGHT
            for entry in asked:
                assert self.download.requested_from(ConnId(conn), entry.hash)
                holders[entry.hash] = holders.get(entry.hash, 0) + 1
        assert all(count <= BLOCK_HOLDERS for count in holders.values())
        deadline = self.download.next_deadline(self.now)
        assert deadline is None or deadline > self.now
        assert self.download.missing == (self.tree.best.work > self.tree.tip.work)


class DialerMachine(RuleBasedStateMachine):
    """A schedule with links that open, fail and end at any time, over clocks that jump."""

    def __init__(self) -> None:
        super().__init__()
        self.book = AddressBook((), Chance.from_seed(4), key=bytes(32))
        policy = Policy(full=3, blocks=1, allow_local=True, reach=(Network.IPV4,), grouping=Grouping())
        self.dialer = Dialer(self.book, (), policy, Chance.from_seed(5), START)
        self.named: set[NetAddress] = set()
        self.dials: list[Wanted] = []
        self.links: list[Wanted] = []
        self.inbound: list[NetAddress] = []
        self.now = Now(START, WALL)

    @property
    def situation(self) -> Situation:
        outbound = self.links + self.dials
        in_use = [one.address for one in outbound] + self.inbound
        reached = [one.address for one in self.links]
        return Situation(in_use=in_use, outbound=outbound, reached=reached, dialling=len(self.dials))

    @rule(number=st.integers(0, 20), host=st.integers(1, 3), source=small)
    def learn(self, number: int, host: int, source: int) -> None:
        self.book.learn(AddressEntry(self.now.wall, 0, address(number, host)), bytes([source]), self.now.wall)

    @rule(number=st.integers(0, 5))
    def name(self, number: int) -> None:
        where = address(number, 1)
        self.dialer.name(Target(where), self.now.mono)
        self.named.add(where)
        # As a node does: who is there of gossip makes room.
        for line in (self.dials, self.links):
            line[:] = [one for one in line if one.address != where or one.purpose is Purpose.NAMED]

    @rule(number=st.integers(0, 20))
    def come_in(self, number: int) -> None:
        self.inbound = [*self.inbound[-3:], address(number, 9)]

    @rule(which=small, lived_s=st.sampled_from([0, 59, 60, 10_000]))
    def end(self, which: int, lived_s: int) -> None:
        if self.links:
            one = self.links.pop(which % len(self.links))
            assert self.dialer.ended(one.address, Duration(lived_s * MICROSECONDS), self.now) >= 0

    @rule(which=small, well=st.booleans())
    def answer(self, which: int, well: bool) -> None:
        if not self.dials:
            return
        one = self.dials.pop(which % len(self.dials))
        if not well:
            self.dialer.ended(one.address, Duration(0), self.now)
            return
        self.dialer.opened(one.address, self.now)
        if one.purpose is Purpose.FEELER:
            self.dialer.ended(one.address, Duration(0), self.now, felt=True)
        else:
            self.links.append(one)

    @rule()
    def dial(self) -> None:
        before = self.situation
        chosen = self.dialer.due(self.now, before)
        addresses = [one.address for one in chosen]
        assert len(set(addresses)) == len(addresses)
        assert not set(addresses) & set(before.in_use), "nobody is dialled twice"
        automatic = [one for one in chosen if one.purpose is not Purpose.NAMED]
        assert {one.address for one in chosen if one.purpose is Purpose.NAMED} <= self.named
        assert len(automatic) <= 1
        assert not automatic or len(self.dials) + len(chosen) <= DIALS_AT_ONCE
        for one in automatic:
            assert one.address not in self.named
            record = self.book.get(one.address)
            assert record is not None
            assert not self.now.wall < record.retry_at <= self.now.wall + OTHER_NETWORK_WAIT
        self.dials += chosen
        counts = dict.fromkeys(Purpose, 0)
        for one in self.links + self.dials:
            counts[one.purpose] += 1
        assert counts[Purpose.FULL] <= 4, "the slots, and one beyond"
        assert counts[Purpose.BLOCKS] <= 2
        assert counts[Purpose.FEELER] <= 1
        groups = [
            one.address.group() for one in self.links + self.dials if one.purpose in (Purpose.FULL, Purpose.BLOCKS)
        ]
        assert len(set(groups)) == len(groups), "one link for a network group"
        deadline = self.dialer.next_deadline(self.situation)
        assert deadline is None or deadline > self.now.mono or len(chosen) > 0, "what was due has been done"

    @rule(span_s=st.integers(1, 5_000), jump=st.sampled_from([0, 0, 0, -100_000, 100_000]))
    def wait(self, span_s: int, jump: int) -> None:
        self.now = Now(after(self.now.mono, Duration(span_s * MICROSECONDS)), WallTime(self.now.wall + span_s + jump))
        self.dialer.rebase(jump)

    @invariant()
    def sound(self) -> None:
        self.book.check()


SPANS = (
    1,
    FAULT_DECAY - 1,
    FAULT_DECAY - 1,
    FAULT_DECAY,
    FAULT_DECAY + 1,
    2 * FAULT_DECAY,
    PING_INTERVAL,
    PING_TIMEOUT,
)


class AccountsMachine(RuleBasedStateMachine):
    """The two budgets and the keepalive against exact sums, over one clock."""

    @initialize()
    def begin(self) -> None:
        self.now = START
        self.budget, self.bucket, self.alive = (
            FaultBudget(START),
            TokenBucket(START),
            Keepalive(START, Chance.from_seed(1)),
        )
        self.points, self.forgiven_at = 0, START
        self.level, self.resting = TOKENS_BURST * MICROSECONDS, False
        self.sent: tuple[int, Instant] | None = None
        self.due = START

    @rule(span=st.sampled_from(SPANS))
    def wait(self, span: int) -> None:
        self.now = Instant(self.now + span)
        self.level = min(TOKENS_BURST * MICROSECONDS, self.level + span * TOKENS_PER_SECOND)

    @rule(points=st.integers(0, 40))
    def fault(self, points: int) -> None:
        passed = (self.now - self.forgiven_at) // FAULT_DECAY
        self.forgiven_at = self.now if passed >= self.points else Instant(self.forgiven_at + passed * FAULT_DECAY)
        self.points = max(0, self.points - passed) + points
        assert self.budget.charge(points, self.now) == (self.points >= FAULT_BUDGET)
        assert self.budget.points(self.now) == self.points
        if self.points >= FAULT_BUDGET:
            self.budget, self.points, self.forgiven_at = FaultBudget(self.now), 0, self.now

    @rule(tokens=st.integers(0, TOKENS_BURST))
    def pay(self, tokens: int) -> None:
        self.bucket.take(tokens, self.now)
        self.level -= tokens * MICROSECONDS
        self.look()

    @rule()
    def look(self) -> None:
        # Who has gone below zero rests until the bucket holds what comes in TOKENS_REST.
        enough = TOKENS_PER_SECOND * TOKENS_REST
        self.resting = self.level < enough if self.resting else self.level < 0
        assert self.bucket.wait(self.now) == (-((self.level - enough) // TOKENS_PER_SECOND) if self.resting else 0)

    @rule(right=st.booleans())
    def pong(self, right: bool) -> None:
        nonce = self.sent[0] if self.sent else 5
        self.alive.pong(nonce if right else nonce + 1, self.now)
        if self.sent and right:
            assert self.alive.round_trip == self.now - self.sent[1]
            due = self.alive.next_deadline(START)
            assert due is not None
            assert abs(due - self.sent[1] - PING_INTERVAL) <= PING_SPREAD
            self.due, self.sent = due, None

    @rule(nonce=st.integers(0, 3))
    def tick(self, nonce: int) -> None:
        assert self.alive.ping_due(self.now) == (self.sent is None and self.now >= self.due)
        assert self.alive.timed_out(self.now, START) == (
            self.sent is not None and self.now >= self.sent[1] + PING_TIMEOUT
        )
        assert self.alive.next_deadline(START) == (self.due if self.sent is None else after(self.sent[1], PING_TIMEOUT))
        if self.alive.ping_due(self.now):
            self.alive.sent(nonce, self.now)
            self.sent = (nonce, self.now)


TestTimers = TimersMachine.TestCase
TestTimers.settings = STEPS
TestTree = TreeMachine.TestCase
TestTree.settings = STEPS
TestDownload = DownloadMachine.TestCase
TestDownload.settings = STEPS
TestBook = DialerMachine.TestCase
TestBook.settings = STEPS
TestAccounts = AccountsMachine.TestCase
TestAccounts.settings = STEPS


# -- two-sided sessions


SPOKEN: tuple[Message, ...] = (
    Inv(()),
    Ping(7),
    GetAddr(),
    Headers((bytes(80),)),
    GetHeaders(1, (NULL_HASH,), NULL_HASH),
)


def pieces(data: bytes, cuts: Iterator[int]) -> Iterator[bytes]:
    while data:
        cut = next(cuts)
        yield data[:cut]
        data = data[cut:]


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(SPOKEN)), max_size=12),
    st.lists(st.integers(1, 120), min_size=1, max_size=30),
    st.booleans(),
)
def test_a_recorded_session_cut_anywhere_gives_the_same(
    spoken: list[tuple[bool, Message]], cuts: list[int], broken: bool
) -> None:
    """Both streams of a session are recorded, and played again in other pieces to channels that start afresh."""
    told: dict[Role, bytes] = dict.fromkeys(Role, b"")
    record = Pair()
    events: dict[Role, list[ChannelEvent]] = {role: [] for role in Role}
    script = [None, *spoken]
    for line in script:
        if line is not None:
            (record.initiator if line[0] else record.responder).send(line[1])
        moved = True
        while moved:
            moved = False
            for source, target in ((record.initiator, record.responder), (record.responder, record.initiator)):
                data = source.take_data(START)
                moved = moved or bool(data)
                told[source.role] += data
                target.receive_data(data, START)
                drain(target, events[target.role], START)
    if broken:
        told[Role.INITIATOR] += b"\xff" * 40
        record.responder.receive_data(b"\xff" * 40, START)
        drain(record.responder, events[Role.RESPONDER], START)
    for role in Role:
        other = Role.RESPONDER if role is Role.INITIATOR else Role.INITIATOR
        channel = make_channel(role)
        again: list[ChannelEvent] = []
        out = channel.take_data(START)
        for piece in pieces(told[other], itertools.cycle(cuts)):
            channel.receive_data(piece, START)
            drain(channel, again, START)
            out += channel.take_data(START)
        assert again == events[role], "the same events"
        if not any(by_initiator == (role is Role.INITIATOR) for by_initiator, _ in spoken):
            assert out == told[role][: len(out)], "and the same bytes, as far as they are answers"
            assert len(out) == len(told[role]) - (40 if broken and role is Role.INITIATOR else 0)
