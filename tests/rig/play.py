"""One node, and a driver that does whatever a driver may do: the stage on which random stories are played.

:class:`Play` carries out the node's effects as strictly as the contract of ``obscura.node.effects`` is written, and
fails where the node breaks it: bytes for a link that is gone, two pauses in a row, a second batch before the first is
answered, a deadline that is named for ever. ``verbs`` in :mod:`stories` are what may happen to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from nodes import mine_chain
from pair import make_version

from obscura.base.digest import double_sha256
from obscura.base.instant import MICROSECONDS, Instant, Now, WallTime, seconds
from obscura.base.limits import (
    BLOCK_BYTES,
    BOOK_ENTRIES,
    BROADCAST_LINKS,
    DIALS_AT_ONCE,
    FAULT_BUDGET,
    HEADERS_ITEMS,
    LEDGER_BATCH_BLOCKS,
    LEDGER_BATCH_BYTES,
    SEND_BUFFER_BYTES,
    SERVE_BATCH_BLOCKS,
    SERVE_BATCH_BYTES,
    SMALL_IN_FLIGHT,
)
from obscura.base.names import BlockHash, ConnId
from obscura.base.randomness import Chance
from obscura.ledgers.memory import INVALID_MARK, MemoryLedger
from obscura.node import Node, NodeConfig
from obscura.node.effects import (
    AcceptBlocks,
    AcceptHeaders,
    Ask,
    BlocksRead,
    Dial,
    Drop,
    Effect,
    FollowCoins,
    JudgeTransactions,
    LedgerAnswer,
    LedgerRequest,
    LinkClosed,
    LinkOpened,
    Pause,
    ReadBlocks,
    Resume,
    SaveAddresses,
    Send,
    Tell,
    TransactionsJudged,
)
from obscura.wire.address import AddressEntry, NetAddress, Network
from obscura.wire.blocks import Block, GetData, GetHeaders, Headers, Inv, NotFound, Tx
from obscura.wire.features import Feature, FeatureSet
from obscura.wire.frame import HEADER_SIZE, checksum, parse_header
from obscura.wire.greeting import Ping, Pong, Verack, Version
from obscura.wire.inventory import KIND_BLOCK, KIND_TX, InventoryItem
from obscura.wire.registry import BY_TYPE_FIELD, Message, encode_message
from obscura.wire.target import Mode, Target

WALL = WallTime(1_800_000_000)
_TIME = 1_700_000_100
_AHEAD = WALL + 3 * 3_600
SPINS = 8
"""Calls of ``handle_deadline`` at one moment after which the next deadline must lie ahead."""
PATIENCE_S = 3 * 3_600
"""Virtual time within which an honest peer gets its chain through, whatever was done before."""
UNREAD_S = 3_600
"""More than the tokens of the largest flood of :mod:`stories` take to come back: 2,041 of ``mempool`` at 100 each."""


def name_of(block: bytes) -> BlockHash:
    """A block's or header's hash."""
    return BlockHash(double_sha256(block[:80]))


GENESIS = MemoryLedger().tip
A = mine_chain(GENESIS, 40, b"a", _TIME)
B = mine_chain(name_of(A[9]), 36, b"b", _TIME + 1_000)
_C = mine_chain(name_of(A[11]), 5, b"c", _TIME + 2_000)
_D = mine_chain(name_of(_C[-1]), 1, INVALID_MARK, _TIME + 3_000)
C = _C + _D + mine_chain(name_of(_D[-1]), 40, b"d", _TIME + 4_000)
FUTURE = mine_chain(name_of(A[19]), 30, b"future", _AHEAD)
LOW = mine_chain(GENESIS, 12, b"low", _TIME)
FOREIGN = mine_chain(BlockHash(b"\x07" * 32), 4, b"foreign", _TIME)
FAT = mine_chain(name_of(A[4]), 20, b"fat" * 50_000, _TIME + 500)
CHAINS = (A, B, C, FUTURE, LOW, FOREIGN, FAT)
BLOCKS = {name_of(block): block for chain in CHAINS for block in chain}
HONEST = A[:10] + B
"""The longest chain of all these that is valid on the first day."""


@dataclass
class Link:
    """The other end of one connection, as the stage sees it."""

    conn: ConnId
    inbound: bool
    live: bool = True
    opened: bool = False
    paused: bool = False
    congested: bool = False
    greeted: bool = False
    busy: bool = False
    """The node has more to do for it than one turn takes."""
    held: list[bytes] = field(default_factory=list)
    """What lies in the socket while the node does not read."""
    rest: bytes = b""
    """The half of a message that has not been sent yet."""
    stream: bytes = b""
    heard: deque[Message] = field(default_factory=lambda: deque(maxlen=200))
    """The latest messages of the node."""
    wanted: list[BlockHash] = field(default_factory=list)
    tx_wanted: list[bytes] = field(default_factory=list)
    tx_told: list[bytes] = field(default_factory=list)
    locators: list[tuple[BlockHash, ...]] = field(default_factory=list)
    pings: list[int] = field(default_factory=list)


class Play:
    """A node with its chain in memory, its links and one clock. Each verb is one input to the node, or time."""

    def __init__(
        self, *, named: int = 1, slots: int = 6, seed: int = 0, chain: Sequence[bytes] = (), turns: bool = False
    ) -> None:
        self.now = Now(Instant(5_000_000), WALL)
        self.ledger = MemoryLedger(wall=lambda: self.now.wall)
        self.ledger.accept_blocks(chain)
        self.slots = slots
        self.outbound_slots = 3
        self.named = [address(230 + number, 1) for number in range(named)]
        config = NodeConfig(
            transport=Mode.PLAIN,
            network="memory",
            user_agent="/Obscura:0.1(python)/",
            connect=tuple(Target(where) for where in self.named),
            advertise=(address(9, 1),),
            outbound_slots=self.outbound_slots,
            inbound_slots=slots,
            reach=(Network.IPV4, Network.IPV6, Network.TORV3),
        )
        self.node = Node(config, self.ledger, Chance.from_seed(seed), self.ledger.restore(), (), self.now)
        self.turns = turns
        """Links take turns, as with a driver that serves them by processor time."""
        self.links: list[Link] = []
        self.by_conn: dict[ConnId, Link] = {}
        self.dials: dict[ConnId, NetAddress] = {}
        self.asks: deque[tuple[int, LedgerRequest]] = deque()
        """State verbs that wait for their turn."""
        self.done: deque[tuple[int, LedgerAnswer]] = deque()
        """State verbs that ran and whose answer is on its way, in order."""
        self.reads: list[tuple[int, ReadBlocks]] = []
        self.tickets: set[int] = set()
        self.stopped = False
        self.saved = 0
        self.private: dict[ConnId, list[type[Message]]] = {}
        """Of dials that are to be apart: all that the node has said there."""
        self._may_drop_again: ConnId | None = None
        self._written: dict[ConnId, int] = {}
        self.node.start(self.now)
        self.settle()
        # The coin view's first step.
        self.work()
        self.deliver()

    # -- what a driver and its peers do

    def accept(self, where: NetAddress) -> Link | None:
        """Somebody connects."""
        conn = self.node.accepted(where, self.now)
        if conn is None:
            self.settle()
            assert self.stopped, "everybody may come as far as the lobby"
            return None
        assert conn not in self.by_conn, "a name is never used twice"
        link = self._add(conn, inbound=True)
        self.settle()
        return link

    def _add(self, conn: ConnId, *, inbound: bool) -> Link:
        link = Link(conn, inbound)
        self.links.append(link)
        self.by_conn[conn] = link
        return link

    def connected(self, conn: ConnId) -> None:
        """A dial succeeds; it may have been given up meanwhile."""
        if conn in self.dials:
            del self.dials[conn]
            self._add(conn, inbound=False)
        else:
            self._may_drop_again = conn
        self.node.connected(conn, self.now)
        self.settle()

    def dial_failed(self, conn: ConnId) -> None:
        """A dial fails."""
        self.dials.pop(conn, None)
        self.node.dial_failed(conn, "connect-refused", self.now)
        self.settle()

    def feed(self, link: Link, data: bytes) -> None:
        """Bytes of a peer; they wait in the socket while the node does not read."""
        if link.paused or link.busy:
            link.held.append(data)
            return
        self._receive(link, data)
        self.settle()

    def _receive(self, link: Link, data: bytes) -> None:
        if self.turns:
            link.busy = self.node.receive(link.conn, data, self.now, in_turns=True)
        else:
            self.node.receive(link.conn, data, self.now)

    def take_turn(self, which: int = 0) -> bool:
        """A link for which there is more to do has its turn."""
        busy = [link for link in self.links if link.busy and not link.paused]
        if not busy:
            return False
        self._go_on(busy[which % len(busy)])
        self.settle()
        return True

    def _go_on(self, link: Link) -> None:
        if self.turns:
            self._receive(link, b"")
        while link.held and link.live and not (link.paused or link.busy):
            self._receive(link, link.held.pop(0))

    def say(self, link: Link, *messages: Message) -> None:
        """Whole messages of a peer, after what it has begun."""
        rest, link.rest = link.rest, b""
        self.feed(link, rest + b"".join(encode_message(message) for message in messages))

    def greet(self, link: Link) -> None:
        """A peer's side of the handshake."""
        if not link.greeted:
            link.greeted = True
            # Every other one relays transactions.
            features = FeatureSet(Feature.BASIC_TRANSACTIONS if link.conn % 2 else Feature.NONE)
            self.say(link, make_version(4_000 + link.conn, features), Verack())

    def lost(self, link: Link) -> None:
        """The connection is gone; a driver may say so twice."""
        link.paused, link.busy, link.held = False, False, []
        self.node.disconnected(link.conn, self.now)
        self.settle()
        assert not link.live or link.conn not in {one.conn for one in self.node.snapshot(self.now).peers}

    def congest(self, link: Link) -> None:
        """The peer does not take what is sent."""
        link.congested = True
        self.node.congested(link.conn, self.now)
        self.settle()

    def drain(self, link: Link) -> None:
        """It has taken it."""
        link.congested = False
        self.node.drained(link.conn, self.now)
        self.settle()

    def work(self) -> bool:
        """The ledger's thread does what it was asked first; the answer is not delivered yet."""
        if not self.asks:
            return False
        ticket, request = self.asks.popleft()
        match request:
            case AcceptHeaders(headers):
                self.done.append((ticket, self.ledger.accept_headers(headers)))
            case AcceptBlocks(blocks):
                self.done.append((ticket, self.ledger.accept_blocks(blocks)))
            case FollowCoins(details):
                self.done.append((ticket, self.ledger.follow(details=details)))
            case JudgeTransactions(candidates):
                self.done.append((ticket, TransactionsJudged(self.ledger.admit(candidates))))
        return True

    def deliver(self) -> bool:
        """An answer of the ledger arrives."""
        if not self.done:
            return False
        self.node.answered(*self.done.popleft(), self.now)
        self.settle()
        return True

    def read(self, which: int) -> bool:
        """Blocks have been read; reads may overtake each other and everything else."""
        if not self.reads:
            return False
        ticket, request = self.reads.pop(which % len(self.reads))
        self.node.answered(ticket, BlocksRead(self.ledger.read_blocks(request.hashes, request.bytes_max)), self.now)
        self.settle()
        return True

    def answer_all(self) -> None:
        """The ledger catches up."""
        while self.work() or self.deliver() or self.read(0) or self.take_turn():
            pass

    def submit(self, block: bytes) -> None:
        """The operator hands in a block."""
        self.node.submit_block(block, self.now)
        self.settle()

    def add_peer(self, where: NetAddress) -> None:
        """The operator names a peer."""
        if where not in self.named:
            self.named.append(where)
        self.node.add_peer(Target(where), self.now)
        self.settle()

    def know_onions(self) -> None:
        """Some recipients of private broadcasts are known."""
        for number in range(6):
            entry = AddressEntry(self.now.wall, 0, NetAddress(Network.TORV3, bytes([number]) * 32, 8333))
            self.node._state.book.learn(entry, b"onions", self.now.wall)

    def stop(self) -> None:
        """The operator ends the node."""
        self.node.stop(self.now)
        self.stopped = True
        self.dials.clear()
        self.settle()
        assert self.node.snapshot(self.now).peers == ()
        assert not self.live(), "every link was dropped"

    def deadline(self) -> None:
        """The driver's timer fires, maybe for nothing."""
        self.node.handle_deadline(self.now)
        self.settle()

    def jump(self, wall_s: int) -> None:
        """The wall clock is set."""
        self.now = Now(self.now.mono, WallTime(max(1, self.now.wall + wall_s)))

    def advance(self, span_s: float, *, late: bool = False) -> int:
        """Time passes, with a call at each deadline, or with one call at the end where the driver was ``late``.
        Returns the number of calls."""
        end = self.now.mono + seconds(span_s)
        calls = 0
        while not late and (at := self.node.next_deadline()) is not None and at <= end:
            self._set(max(self.now.mono, at))
            calls += self.catch_up()
        self._set(Instant(end))
        return calls + self.catch_up()

    def catch_up(self) -> int:
        """Call for what is due. A deadline that is named again and again would spin the driver."""
        for spin in range(SPINS):
            at = self.node.next_deadline()
            if at is None or at > self.now.mono:
                return spin
            self.deadline()
        raise AssertionError(f"after {SPINS} calls at one moment the next deadline still lies {self.now.mono - at} ago")

    def _set(self, mono: Instant) -> None:
        passed = mono // MICROSECONDS - self.now.mono // MICROSECONDS
        self.now = Now(mono, WallTime(self.now.wall + passed))

    # -- what the node wants

    def live(self) -> list[Link]:
        """Links that stand."""
        return [link for link in self.links if link.live]

    def settle(self) -> None:
        """Carry out effects until there are none, then look at everything."""
        while effects := self.node.take_effects():
            self._written.clear()
            resumed: list[Link] = []
            for effect in effects:
                self._carry_out(effect, resumed)
            assert not any(link.stream for link in self.links), "frames leave whole"
            for link in resumed:
                if link.live and not link.paused:
                    self._go_on(link)
        self._may_drop_again = None
        self.check()

    def _carry_out(self, effect: Effect, resumed: list[Link]) -> None:
        match effect:
            case Send(conn, data):
                link = self.by_conn[conn]
                assert link.live, "nothing is sent on a link that was dropped"
                assert data, "an empty write means nothing"
                self._hear(link, data)
            case Dial(conn, where, timeout, apart):
                assert not self.stopped, "a node that stops dials nobody"
                assert conn not in self.by_conn
                assert conn not in self.dials
                assert timeout > 0
                assert not apart or where.network is Network.TORV3, "only overlays hide who dials"
                if apart:
                    self.private[conn] = []
                else:
                    ordinary = [one for other, one in self.dials.items() if other not in self.private]
                    assert where not in ordinary, "an address is dialled once at a time"
                    assert len(ordinary) < DIALS_AT_ONCE + len(self.named)
                self.dials[conn] = where
            case Drop(conn):
                if conn == self._may_drop_again or conn not in self.by_conn:
                    return
                link = self.by_conn[conn]
                assert link.live, "a link is dropped once"
                link.live = link.paused = link.busy = False
                link.held.clear()
            case Pause(conn):
                link = self.by_conn[conn]
                assert link.live
                assert not link.paused, "a link that is paused is not paused again"
                link.paused = True
            case Resume(conn):
                link = self.by_conn[conn]
                assert link.live
                assert link.paused, "only a paused link is resumed"
                link.paused = False
                resumed.append(link)
            case Ask(ticket, request):
                self._ask(ticket, request)
            case SaveAddresses(records):
                assert len(records) <= BOOK_ENTRIES
                self.saved += 1
            case Tell(LinkOpened(conn=conn)):
                assert not self.by_conn[conn].opened, "a link opens once"
                self.by_conn[conn].opened = True
            case Tell(LinkClosed(conn=conn, reason=reason)):
                assert not self.by_conn[conn].live, "a link is dropped before its end is told"
                assert reason

    def _ask(self, ticket: int, request: LedgerRequest) -> None:
        assert ticket not in self.tickets, "a ticket is used once"
        self.tickets.add(ticket)
        match request:
            case ReadBlocks(hashes):
                assert 0 < len(hashes) <= SERVE_BATCH_BLOCKS
                self.reads.append((ticket, request))
                return
            case AcceptBlocks(blocks):
                busy = [one for _, one in self.asks if isinstance(one, AcceptBlocks)]
                assert not busy, "one batch at a time"
                assert 0 < len(blocks) <= LEDGER_BATCH_BLOCKS
                assert sum(map(len, blocks[:-1])) < LEDGER_BATCH_BYTES
            case AcceptHeaders(headers):
                assert headers
            case FollowCoins() | JudgeTransactions():
                busy = [one for _, one in self.asks if isinstance(one, FollowCoins | JudgeTransactions)]
                assert len(busy) < 2, "a batch before the ledger, and a step of the view"
        self.asks.append((ticket, request))

    def _hear(self, link: Link, data: bytes) -> None:
        """Read what the node wrote: whole, legal frames."""
        self._written[link.conn] = self._written.get(link.conn, 0) + len(data)
        largest = SEND_BUFFER_BYTES + max(BLOCK_BYTES, SERVE_BATCH_BYTES)
        assert self._written[link.conn] <= largest, "what one input puts into a link is bounded"
        stream = link.stream + data
        at = 0
        while len(stream) - at >= HEADER_SIZE:
            size, kind, check = parse_header(stream, at)
            payload = stream[at + HEADER_SIZE : at + HEADER_SIZE + size]
            if len(payload) < size:
                break
            assert size <= BY_TYPE_FIELD[kind].size_max
            assert checksum(payload) == check
            at += HEADER_SIZE + size
            message = BY_TYPE_FIELD[kind].message.from_payload(payload)
            link.heard.append(message)
            if link.conn in self.private:
                self.private[link.conn].append(type(message))
            match message:
                case GetData(items) if items[0].kind == KIND_TX:
                    assert all(item.kind == KIND_TX for item in items)
                    link.tx_wanted.extend(item.hash for item in items)
                case Inv(items) if items and items[0].kind == KIND_TX:
                    link.tx_told.extend(item.hash for item in items)
                case GetData(items):
                    assert len(items) <= SMALL_IN_FLIGHT
                    link.wanted.extend(BlockHash(item.hash) for item in items)
                case GetHeaders(_, locator, _):
                    assert locator[-1] == GENESIS, "a locator ends in our genesis"
                    link.locators.append(locator)
                case Ping(nonce) if type(message) is Ping:
                    link.pings.append(nonce)
        link.stream = stream[at:]

    def check(self) -> None:
        """The node's own invariants, and the bounds that a stranger must not break."""
        self.node.check()
        picture = self.node.snapshot(self.now)
        live = {link.conn for link in self.live() if link.conn not in self.private}
        assert {peer.conn for peer in picture.peers} == live, "the node and its driver know the same links"
        assert sum(peer.inbound and peer.state == "open" for peer in picture.peers) <= self.slots
        automatic = sum(not peer.inbound and not peer.named for peer in picture.peers)
        assert automatic <= self.outbound_slots + len(self.named)
        for peer in picture.peers:
            assert peer.blocks_in_flight <= SMALL_IN_FLIGHT
            assert 0 <= peer.faults < FAULT_BUDGET, "a spent budget ends the link"
            assert (peer.state == "open") == self.by_conn[peer.conn].opened
        assert sum(link.conn in self.private for link in self.live()) <= BROADCAST_LINKS
        for said in self.private.values():
            assert said == [Version, Verack, Inv, Tx, Ping][: len(said)], "nothing else is said there"
        assert picture.addresses <= BOOK_ENTRIES
        assert picture.headers >= 0
        if not self.asks and not self.done:
            assert picture.tip == self.ledger.tip, "the node and its ledger have one tip"

    # -- the end of a story

    def finish(self, *, cut: bool) -> None:
        """Whatever happened: nothing is lost, nothing spins, and an honest peer brings the node to its chain."""
        self.answer_all()
        for link in self.live():
            if cut:
                self.lost(link)
            elif link.congested:
                self.drain(link)
        self.answer_all()
        if not self.stopped:
            self._quiet()
            self._catch_up_from_honest()
            self.stop()
        self.answer_all()
        self.advance(3_600, late=True)
        assert self.node.accepted(address(1, 1), self.now) is None
        assert not self.live()
        assert not self.dials
        self.check()

    def _fail_dials(self) -> None:
        while self.dials:
            self.dial_failed(next(iter(self.dials)))

    def _quiet(self) -> None:
        """Nobody says anything: the node wakes now and then, not all the time."""
        for _ in range(UNREAD_S):
            # What a flooder has left unread is worked off at the pace of its tokens, one call for each message.
            if not any(link.paused for link in self.live()):
                break
            self._pass(1)
        else:
            raise AssertionError("a link is paused and nothing will resume it")
        calls = sum(self._pass(1) for _ in range(60))
        assert calls < 300, f"{calls} calls in a minute in which nothing happened"

    def _pass(self, span_s: float) -> int:
        self._fail_dials()
        calls = self.advance(span_s)
        self.answer_all()
        return calls

    def _catch_up_from_honest(self) -> None:
        """One honest peer, however many silent or stalling links there are."""
        inbound = [link for link in self.live() if link.inbound and link.opened]
        if len(inbound) == self.slots:
            self.lost(inbound[0])
        honest = self.accept(address(222, 1))
        assert honest is not None
        self.greet(honest)
        begun = self.now.mono
        while not self._arrived() and self.now.mono - begun < seconds(PATIENCE_S):
            self._fail_dials()
            self.answer_all()
            self.serve(honest, HONEST)
            self.answer_all()
            assert honest.live, "an honest peer is not sent away"
            if self._arrived():
                break
            at = self.node.next_deadline()
            assert at is not None, "something is awaited"
            self.advance(max(0.001, (at - self.now.mono) / MICROSECONDS))
        assert self._arrived(), f"height {self.ledger.height} of {len(HONEST)} after {PATIENCE_S} s with an honest peer"

    def _arrived(self) -> bool:
        return self.ledger.height >= len(HONEST)

    def serve(self, link: Link, chain: list[bytes]) -> None:
        """Answer all that the node has asked a link for, as an honest peer with ``chain`` does."""
        room = 100 + 4 * len(chain)
        while link.live and (link.wanted or link.locators or link.pings):
            wanted, link.wanted = link.wanted, []
            locators, link.locators = link.locators, []
            pings, link.pings = link.pings, []
            mine = {name_of(block): block for block in chain}
            answers: list[Message] = [Pong(nonce) for nonce in pings]
            answers += [Headers(headers_after(chain, locator)) for locator in locators]
            for name in wanted:
                answers.append(Block(mine[name]) if name in mine else NotFound((item(name),)))
            room -= len(answers)
            assert room > 0, "one peer is asked for the same again and again"
            for answer in answers:
                self.say(link, answer)
                self.answer_all()


def headers_after(chain: list[bytes], locator: tuple[BlockHash, ...]) -> tuple[bytes, ...]:
    """What a peer with ``chain`` answers to ``getheaders``."""
    names = [name_of(block) for block in chain]
    start = next((names.index(one) + 1 for one in locator if one in names), 0)
    return tuple(block[:80] for block in chain[start : start + HEADERS_ITEMS])


def item(name: bytes) -> InventoryItem:
    """A block's inventory vector."""
    return InventoryItem(KIND_BLOCK, name)


def address(group: int, number: int) -> NetAddress:
    """A public address; numbers of one group are of one network group."""
    return NetAddress(Network.IPV4, bytes([44, group % 256, 0, number % 256]), 8333)
