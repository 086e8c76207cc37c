"""One simulated host: a node, its ledger, and a driver that carries its effects out in virtual time.

It does what :mod:`obscura.aio.driver` does on sockets: inputs go in, effects are drained until there are none, one
timer serves the node's deadline, and the ledger's state verbs take time on two threads, one in order and one for reads.

A host is one life of a machine. A crash ends it; the next life is another :class:`Host` with the same number, clock and
disk. A frozen host lives, and is told of everything when it thaws.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..base.instant import Duration, Instant
from ..base.names import BlockHash, ConnId
from ..chain import HEADER_BYTES, BlockReport
from ..ledgers.memory import MemoryLedger, mine
from ..node import Node, NodeConfig
from ..node.effects import (
    AcceptBlocks,
    AcceptHeaders,
    Admit,
    Ask,
    BlockRefused,
    BlocksRead,
    BlockSubmitted,
    Dial,
    DialFailed,
    Drop,
    Effect,
    Event,
    FollowCoins,
    ForgetBroadcast,
    ForgetPin,
    ForgetTransaction,
    JudgeTransactions,
    LedgerAnswer,
    LedgerRequest,
    LinkClosed,
    LinkOpened,
    Mind,
    Notice,
    Pause,
    ReadBlocks,
    Resume,
    SaveAddresses,
    SaveAnchors,
    SaveBans,
    SaveBroadcast,
    SavePin,
    SaveTransaction,
    Send,
    StemTrace,
    Tell,
    TipMoved,
    TransactionsJudged,
    TransactionSubmitted,
)
from ..peers.pins import NamedPin
from ..peers.record import AddressRecord
from ..wire.address import NetAddress
from ..wire.address import Network as AddressNetwork
from ..wire.target import Mode
from .disk import Clock, Disk, Losses
from .journal import Kind
from .keys import make_vault
from .lines import Line
from .network import Network

PORT: Final = 18_444
_TOLD: Final[dict[type, int]] = {
    kind: number
    for number, kind in enumerate(
        (
            LinkOpened,
            LinkClosed,
            DialFailed,
            TipMoved,
            BlockRefused,
            BlockSubmitted,
            Notice,
            TransactionSubmitted,
            StemTrace,
        )
    )
}


def host_address(number: int) -> NetAddress:
    """127.(n÷250+1).(n mod 250+1).1, so that network groups differ (design §10)."""
    return NetAddress(AddressNetwork.IPV4, bytes([127, number // 250 + 1, number % 250 + 1, 1]), PORT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a ledger takes, in microseconds."""

    call: Duration = field(default=Duration(300))
    """For each request, as an fsync takes."""
    header: Duration = field(default=Duration(3))
    """For each header more."""
    block: Duration = field(default=Duration(500))
    """For each block more, to validate; reading one takes a tenth."""
    save: Duration = field(default=Duration(50_000))
    """For the address book, as a database's commit on a slow disk takes."""


class Host:
    """Implements :class:`~obscura.sim.lines.Station` around one node.

    Args:
        number: from 0; names the host in the journal, and decides its address and its stream of chance.
        network: where it lives.
        config: of its node.
        ledger: its chain, as an earlier run left it; else what the disk holds.
        pace: how long that takes.
        addresses: what an earlier run saved; else what the disk holds.
        listener: called with every event that the node tells.
        answered: called with every answer of the ledger to blocks, before the node gets it.
        clock: of the machine.
        disk: of the machine.
        life: from 0; how often the machine has crashed.
    """

    def __init__(
        self,
        number: int,
        network: Network,
        config: NodeConfig,
        *,
        ledger: MemoryLedger | None = None,
        pace: Pace | None = None,
        addresses: Sequence[AddressRecord] = (),
        listener: Callable[[Host, Event], None] | None = None,
        answered: Callable[[Host, BlockReport], None] | None = None,
        clock: Clock | None = None,
        disk: Disk | None = None,
        life: int = 0,
    ) -> None:
        self.number = number
        self.address = host_address(number)
        self.clock = clock or Clock(network.world)
        self.disk = disk or Disk()
        self.life = life
        self.alive = True
        self.frozen = False
        if ledger is not None:
            self.ledger = ledger
        else:
            self.ledger = MemoryLedger() if disk is None else disk.load(self.clock)
        self._network = network
        self._world = network.world
        self._journal = network.journal
        self._pace = pace or Pace()
        self._listener = listener
        self._answered = answered
        self._under_way: dict[int, LedgerRequest] = {}
        self._later: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._lines: dict[ConnId, Line] = {}
        self._dials: dict[ConnId, None] = {}
        self._settling = False
        self._wake_at: Instant | None = None
        self._ordered_free = 0
        self._reader_free = 0
        chance = self._world.chance.fork(f"host {number}" if not life else f"host {number} life {life}")
        addresses = addresses or self.disk.addresses
        pins = self.disk.pins.values()
        if config.transport is not Mode.PLAIN and self.disk.vault is None:
            self.disk.vault = make_vault(chance.fork("keys"))
        vault = self.disk.vault
        if self.disk.book_key is None:
            self.disk.book_key = chance.fork("book key").take_bytes(32)
        self.node = Node(
            config,
            self.ledger,
            chance,
            self.ledger.restore(),
            addresses,
            self.clock.now,
            book_key=self.disk.book_key,
            bans=self.disk.bans.values(),
            anchors=self.disk.anchors,
            pins=pins,
            vault=vault,
            kept=self.disk.kept(self.clock.now.wall),
            broadcasts=self.disk.broadcasts(self.clock.now.wall),
        )
        network.join(self)

    def start(self) -> None:
        """Have the node begin, unless the host has crashed or was frozen meanwhile (then when it thaws)."""
        if self._absent(self.start):
            return
        self.node.start(self.clock.now)
        self._settle()

    def stop(self) -> None:
        """Have the node end its links; nobody listens here any more."""
        self._network.leave(self)
        self.node.stop(self.clock.now)
        self._settle()
        self.disk.all_saved()

    @property
    def saved(self) -> tuple[AddressRecord, ...]:
        """The addresses on its disk."""
        return self.disk.addresses

    def mine(self, body: bytes) -> BlockHash:
        """Mine a block on the ledger's tip and submit it. Its nonces start at the host's number, so that two miners of
        one body find different blocks."""
        block = self.template(body)
        self.submit(block)
        return self.ledger.identify_block(block).hash

    def template(self, body: bytes) -> bytes:
        """A mined block on the ledger's tip; see :meth:`mine`. Miners know what time it is, whatever the host's clock
        says: blocks from the future are a matter of consensus, not of the network."""
        tip = self.ledger.tip
        [parent] = self.ledger.read_blocks([tip])
        assert parent is not None, "the active chain has every body"
        time = max(self.ledger.identify_header(parent[:HEADER_BYTES]).time + 1, self._world.now.wall)
        return mine(tip, body, time, self.number << 32)

    def submit(self, block: bytes) -> None:
        """Hand a block to the node, as its operator."""
        ticket = self.node.submit_block(block, self.clock.now)
        self._journal.note(self._world.time, self.number, Kind.MINED, ticket, len(block))
        self._settle()

    def send(self, transaction: bytes, *, apart: bool = False) -> None:
        """Hand a transaction to the node, as its operator; ``apart``: for private broadcast."""
        ticket = self.node.submit_transaction(transaction, self.clock.now, apart=apart)
        self._journal.note(self._world.time, self.number, Kind.SENT, ticket, len(transaction))
        self._settle()

    # -- trouble

    def crash(self, *, power: bool) -> Losses:
        """End this life at once: the process dies and its kernel resets its links or, if ``power`` is cut, nobody
        hears of it. What the disk has kept is for the next life."""
        chance = self._world.chance.fork(f"crash {self.number} {self.life}")
        losses = self.disk.crash(self.ledger, list(self._under_way.values()), chance)
        self.alive = False
        self.frozen = False
        lines = list(self._lines.values())
        (self._network.power_off if power else self._network.kill)(self, lines)
        self._journal.note(self._world.time, self.number, Kind.CRASHED, power, losses.total)
        return losses

    def freeze(self) -> None:
        """Stop, as a process does on SIGSTOP: its kernel goes on taking connections and bytes."""
        if self.alive and not self.frozen:
            self.frozen = True
            self._journal.note(self._world.time, self.number, Kind.FROZEN, 1)

    def thaw(self) -> None:
        """Go on: first with what was to be told, in its order, then with what waits on the lines."""
        if not (self.alive and self.frozen):
            return
        self.frozen = False
        self._journal.note(self._world.time, self.number, Kind.FROZEN)
        later, self._later = self._later, deque()
        for call, arguments in later:
            call(*arguments)
        self._network.thaw(self, list(self._lines.values()))

    def set_skew(self, skew: int) -> None:
        """Set the wall clock ``skew`` seconds ahead of the world's, or behind it. The node notices by itself."""
        self.clock.skew = skew
        self._journal.note(self._world.time, self.number, Kind.CLOCK, skew % (1 << 64))

    def _absent(self, call: Callable[..., Any], *arguments: Any) -> bool:
        """Whether nobody is there to be told: a dead host for ever, a frozen one when it thaws."""
        if self.frozen:
            self._later.append((call, arguments))
        return self.frozen or not self.alive

    # -- what the network reports

    def on_accept(self, line: Line, address: NetAddress) -> ConnId | None:
        """See :class:`Station`."""
        if not self.alive:
            return None
        conn = self.node.accepted(address, self.clock.now)
        if conn is not None:
            line.conn = conn
            self._lines[conn] = line
        self._settle()
        return conn

    def on_connected(self, conn: ConnId, line: Line) -> None:
        """See :class:`Station`. A dial that was dropped meanwhile is closed."""
        if self.frozen:
            self._later.append((self.on_connected, (conn, line)))
            return
        if conn not in self._dials or not self.alive:
            self._network.close(line)
            return
        del self._dials[conn]
        self._lines[conn] = line
        self._journal.note(self._world.time, self.number, Kind.CONNECTED, conn)
        self.node.connected(conn, self.clock.now)
        self._settle()

    def on_dial_failed(self, conn: ConnId, reason: str) -> None:
        """See :class:`Station`."""
        if self._absent(self.on_dial_failed, conn, reason):
            return
        if conn in self._dials:
            del self._dials[conn]
            self._journal.note(self._world.time, self.number, Kind.DIAL_FAILED, conn)
            self.node.dial_failed(conn, reason, self.clock.now)
            self._settle()

    def on_data(self, conn: ConnId, data: bytes) -> None:
        """See :class:`Station`."""
        if not self.alive:
            return
        self._journal.note(self._world.time, self.number, Kind.RECEIVE, conn, len(data))
        self.node.receive(conn, data, self.clock.now)
        self._settle()

    def on_gone(self, conn: ConnId) -> None:
        """See :class:`Station`."""
        if self._absent(self.on_gone, conn):
            return
        self._lines.pop(conn, None)
        self._journal.note(self._world.time, self.number, Kind.GONE, conn)
        self.node.disconnected(conn, self.clock.now)
        self._settle()

    def on_congestion(self, conn: ConnId, *, congested: bool) -> None:
        """See :class:`Station`."""
        if self.frozen:
            self._later.append((self._congestion, (conn, congested)))
            return
        self._congestion(conn, congested)

    def _congestion(self, conn: ConnId, congested: bool) -> None:
        if not self.alive:
            return
        self._journal.note(self._world.time, self.number, Kind.CONGESTED, conn, congested)
        if congested:
            self.node.congested(conn, self.clock.now)
        else:
            self.node.drained(conn, self.clock.now)
        self._settle()

    # -- time

    def _set_timer(self) -> None:
        deadline = self.node.next_deadline()
        if deadline is not None and (self._wake_at is None or deadline < self._wake_at):
            self._wake_at = Instant(max(deadline, self._world.time))
            self._world.at(self._wake_at, self._wake, self._wake_at)

    def _wake(self, instant: Instant) -> None:
        if self._absent(self._wake, instant) or instant != self._wake_at:
            return
        self._wake_at = None
        deadline = self.node.next_deadline()
        if deadline is None or deadline > instant:
            # It was put off since.
            self._set_timer()
            return
        self._journal.note(self._world.time, self.number, Kind.TIMER)
        self.node.handle_deadline(self.clock.now)
        self._settle()

    # -- effects

    def _settle(self) -> None:
        """Carry out what the node wants, until it wants nothing."""
        if self._settling:
            # An effect has led to an input (congestion): the outer call carries its effects out.
            return
        self._settling = True
        while effects := self.node.take_effects():
            for effect in effects:
                self._carry_out(effect)
        self._settling = False
        self._set_timer()

    def _carry_out(self, effect: Effect) -> None:
        time = self._world.time
        match effect:
            case Send(conn, data):
                if (line := self._lines.get(conn)) is not None:
                    self._journal.note(time, self.number, Kind.SEND, conn, len(data))
                    self._network.send(line, data)
            case Mind(conn, most):
                if (line := self._lines.get(conn)) is not None:
                    line.limit = most
            case Ask(ticket, request):
                self._ask(ticket, request)
            case Pause(conn) | Resume(conn):
                if (line := self._lines.get(conn)) is not None:
                    pause = isinstance(effect, Pause)
                    self._journal.note(time, self.number, Kind.PAUSE, conn, pause)
                    self._network.pause(line) if pause else self._network.resume(line)
            case Dial(conn=conn, address=address, timeout=timeout):
                self._journal.note(time, self.number, Kind.DIAL, conn)
                self._dials[conn] = None
                self._network.dial(self, conn, address, timeout)
            case Drop(conn):
                self._dials.pop(conn, None)
                if (line := self._lines.pop(conn, None)) is not None:
                    self._journal.note(time, self.number, Kind.DROP, conn)
                    self._network.close(line)
            case SaveAddresses(changes):
                self.disk.saving(changes)
                self._world.after(self._pace.save, self._saved, len(changes))
            case SaveBans(changes):
                self.disk.keep_bans(changes)
            case SaveAnchors(addresses):
                self.disk.anchors = addresses
            case SavePin(address, key, first_seen):
                self.disk.save_pin(address, NamedPin(address, key, first_seen))
            case ForgetPin(address):
                self.disk.save_pin(address, None)
            case SaveTransaction(relay_id, data, stem):
                self.disk.keep_transaction(relay_id, data, self.clock.now.wall, stem=stem)
            case ForgetTransaction(relay_id):
                self.disk.forget_transaction(relay_id)
            case SaveBroadcast(relay_id, data):
                self.disk.keep_broadcast(relay_id, data, self.clock.now.wall)
            case ForgetBroadcast(relay_id):
                self.disk.forget_broadcast(relay_id)
            case Admit(conn, shown, at):
                [new] = self.disk.replays.admit([(shown, at)])
                self.node.admitted(conn, new, self.clock.now)
            case Tell(event):
                self._tell(event)

    def _saved(self, count: int) -> None:
        if not self._absent(self._saved, count):
            self._journal.note(self._world.time, self.number, Kind.SAVED, count)
            self.disk.saved()

    def _tell(self, event: Event) -> None:
        if isinstance(event, TipMoved):
            self._journal.note(self._world.time, self.number, Kind.TIP, event.height, event.disconnected, tip=event.tip)
        else:
            self._journal.note(self._world.time, self.number, Kind.TOLD, _TOLD[type(event)])
        if self._listener is not None:
            self._listener(self, event)

    # -- the ledger

    def _ask(self, ticket: int, request: LedgerRequest) -> None:
        pace, now = self._pace, self._world.time
        match request:
            case AcceptHeaders(headers):
                size = len(headers)
                work = size * pace.header
            case AcceptBlocks(blocks):
                size = len(blocks)
                work = size * pace.block
            case ReadBlocks(hashes):
                size = len(hashes)
                work = size * pace.block // 10
            case FollowCoins():
                size = work = 0
            case JudgeTransactions(candidates):
                size = len(candidates)
                # What each verdict is said to take: who is refused early costs little, and that may show.
                work = sum(outcome.cost for outcome in self.ledger.admit(candidates))
        if isinstance(request, ReadBlocks):
            done = self._reader_free = max(now, self._reader_free) + pace.call + work
        else:
            done = self._ordered_free = max(now, self._ordered_free) + pace.call + work
        self._journal.note(now, self.number, Kind.ASK, ticket, size)
        self._under_way[ticket] = request
        self._world.at(done, self._answer, ticket, request)

    def _answer(self, ticket: int, request: LedgerRequest) -> None:
        if self._absent(self._answer, ticket, request):
            return
        del self._under_way[ticket]
        answer: LedgerAnswer
        match request:
            case AcceptHeaders(headers):
                answer = self.ledger.accept_headers(headers)
                self.disk.headers_accepted(self.ledger, headers[: answer.accepted])
            case AcceptBlocks(blocks):
                answer = self.ledger.accept_blocks(blocks)
                self.disk.accepted(blocks, answer)
                if self._answered is not None:
                    self._answered(self, answer)
            case ReadBlocks(hashes, bytes_max):
                answer = BlocksRead(self.ledger.read_blocks(hashes, bytes_max))
            case FollowCoins(details):
                answer = self.ledger.follow(details=details)
            case JudgeTransactions(candidates):
                answer = TransactionsJudged(self.ledger.admit(candidates))
        self._journal.note(self._world.time, self.number, Kind.ANSWER, ticket)
        self.node.answered(ticket, answer, self.clock.now)
        self._settle()
