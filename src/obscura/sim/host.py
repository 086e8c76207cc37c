"""One simulated host: the driver of a node in virtual time, with a ledger in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..base.errors import BugError
from ..base.instant import Instant
from ..base.names import ConnId, display_hash
from ..base.randomness import Chance
from ..ledgers.memory import MemoryLedger, mine
from ..node import Node, NodeConfig
from ..node.effects import (
    AcceptBlocks,
    AcceptHeaders,
    Ask,
    BlocksRead,
    Dial,
    Drop,
    Effect,
    LedgerAnswer,
    LedgerRequest,
    Pause,
    ReadBlocks,
    Resume,
    SaveAddresses,
    Send,
    Tell,
    TipMoved,
)
from ..wire.address import NetAddress
from .network import Line, LineOptions
from .world import World

_ASK_COST: Final = 300  # µs for a request to the ledger, and the same for each block or 20 headers in it


class Fabric:
    """All hosts, by address, and the lines between them."""

    def __init__(self, world: World, options: LineOptions) -> None:
        self.world = world
        self.options = options
        self.hosts: dict[NetAddress, Host] = {}
        self._lines = world.chance.fork("lines")
        self._serial = 0

    def connect(self, dialler: Host, conn: ConnId, address: NetAddress) -> None:
        """Answer a dial, one round trip later."""
        delay = 2 * self._lines.span(self.options.latency_min, self.options.latency_max)

        def arrive() -> None:
            target = self.hosts.get(address)
            theirs = None if target is None else target.accept(dialler.address)
            if target is None or theirs is None:
                dialler.input(lambda: dialler.node.dial_failed(conn, "connect-refused", dialler.world.now))
                return
            self._join(dialler, conn, target, theirs)
            dialler.input(lambda: dialler.node.connected(conn, dialler.world.now))
            target.settle()

        self.world.plan(delay, arrive)

    def _join(self, one: Host, one_conn: ConnId, other: Host, other_conn: ConnId) -> None:
        self._serial += 1

        def reset() -> None:
            one.lost(one_conn)
            other.lost(other_conn)

        def line(target: Host, conn: ConnId, name: str) -> Line:
            chance = self._lines.fork(f"{self._serial} {name}")
            return Line(self.world, self.options, chance, lambda data: target.receive(conn, data), reset)

        there, back = line(other, other_conn, "there"), line(one, one_conn, "back")
        one.lines[one_conn] = (there, back)
        other.lines[other_conn] = (back, there)
        one.ends[one_conn] = lambda: other.lost(other_conn)
        other.ends[other_conn] = lambda: one.lost(one_conn)


class Host:
    """A node, its ledger and its connections: ``lines`` holds (outgoing, incoming) for each."""

    def __init__(self, fabric: Fabric, number: int, address: NetAddress, config: NodeConfig, chance: Chance) -> None:
        self.fabric = fabric
        self.world = fabric.world
        self.number = number
        self.address = address
        self.ledger = MemoryLedger()
        self.node = Node(config, self.ledger, chance.fork("node"), self.ledger.restore(), (), self.world.now)
        self.lines: dict[ConnId, tuple[Line, Line]] = {}
        self.ends: dict[ConnId, Callable[[], None]] = {}
        self.reorganisations = 0
        self._chance = chance.fork("host")
        self._timer: Instant | None = None
        self._ledger_free_at = 0
        self._mined = 0
        fabric.hosts[address] = self

    def start(self) -> None:
        """Let the node begin."""
        self.input(lambda: self.node.start(self.world.now))

    def mine(self) -> None:
        """Mine one block on our tip and hand it in."""
        [tip] = self.ledger.read_blocks([self.ledger.tip])
        assert tip is not None, "the tip is stored"
        time = max(self.ledger.identify_block(tip).time + 1, self.world.now.wall)
        self._mined += 1
        body = f"{self.number} {self._mined}".encode()
        block = mine(self.ledger.tip, body, time, self._chance.below(1 << 32))
        self.world.journal.note(self.world.now.mono, self.number, "mine")
        self.input(lambda: self.node.submit_block(block, self.world.now))

    def accept(self, source: NetAddress) -> ConnId | None:
        """Somebody connects."""
        return self.node.accepted(source, self.world.now)

    def receive(self, conn: ConnId, data: bytes) -> None:
        """Bytes arrive."""
        self.world.journal.note(self.world.now.mono, self.number, "receive", len(data))
        self.input(lambda: self.node.receive(conn, data, self.world.now))

    def lost(self, conn: ConnId) -> None:
        """A connection is gone."""
        if self._forget(conn):
            self.world.journal.note(self.world.now.mono, self.number, "lost")
            self.input(lambda: self.node.disconnected(conn, self.world.now))

    def input(self, call: Callable[[], object]) -> None:
        """Give the node an input and do what it wants."""
        call()
        self.settle()

    def settle(self) -> None:
        """Carry out effects until there are none, and plan the node's deadline."""
        while effects := self.node.take_effects():
            for effect in effects:
                self._carry_out(effect)
        deadline = self.node.next_deadline()
        if deadline is not None and deadline != self._timer:
            self._timer = deadline
            self.world.plan(deadline - self.world.now.mono, lambda: self._on_timer(deadline))

    def _on_timer(self, deadline: Instant) -> None:
        if self._timer == deadline:
            self._timer = None
            self.input(lambda: self.node.handle_deadline(self.world.now))

    def _forget(self, conn: ConnId) -> bool:
        lines = self.lines.pop(conn, None)
        self.ends.pop(conn, None)
        if lines is None:
            return False
        lines[1].is_up = False
        return True

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send(conn, data):
                if conn in self.lines:
                    self.lines[conn][0].write(data)
            case Dial(conn, address, _):
                self.fabric.connect(self, conn, address)
            case Drop(conn):
                if conn in self.lines:
                    self.lines[conn][0].finish(self.ends[conn])
                    self._forget(conn)
            case Pause(conn):
                if conn in self.lines:
                    self.lines[conn][1].pause()
            case Resume(conn):
                if conn in self.lines:
                    self.lines[conn][1].resume()
            case Ask(ticket, request):
                self._ask(ticket, request)
            case Tell(event):
                self.world.journal.note(self.world.now.mono, self.number, type(event).__name__)
                if isinstance(event, TipMoved):
                    self.world.journal.note(self.world.now.mono, self.number, "tip", display_hash(event.tip))
                    self.reorganisations += event.disconnected > 0
            case SaveAddresses(records):
                self.world.journal.note(self.world.now.mono, self.number, "save", len(records))

    def _ask(self, ticket: int, request: LedgerRequest) -> None:
        """The ledger works one request after the other, as its worker thread does."""
        now = self.world.now.mono
        self._ledger_free_at = max(self._ledger_free_at, now) + _ASK_COST * (1 + _weight(request))

        def answer() -> None:
            result = _answer(self.ledger, request)
            self.input(lambda: self.node.answered(ticket, result, self.world.now))

        self.world.plan(self._ledger_free_at - now, answer)


def _weight(request: LedgerRequest) -> int:
    match request:
        case AcceptHeaders(headers):
            return len(headers) // 20
        case AcceptBlocks(blocks):
            return len(blocks)
        case ReadBlocks(hashes):
            return len(hashes) // 4


def _answer(ledger: MemoryLedger, request: LedgerRequest) -> LedgerAnswer:
    match request:
        case AcceptHeaders(headers):
            return ledger.accept_headers(headers)
        case AcceptBlocks(blocks):
            return ledger.accept_blocks(blocks)
        case ReadBlocks(hashes):
            return BlocksRead(ledger.read_blocks(hashes))
    raise BugError("the ledger is asked for something unknown")
