"""A few whole nodes in one process: bytes are carried at once, time moves only when a test says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from obscura.base.instant import Duration, Instant, Now, WallTime, seconds
from obscura.base.names import BlockHash, ConnId, TxId
from obscura.base.randomness import Chance
from obscura.ledgers.memory import MemoryLedger, mine
from obscura.node import Node, NodeConfig
from obscura.node.config import NoStem
from obscura.node.effects import (
    AcceptBlocks,
    AcceptHeaders,
    Ask,
    BlocksRead,
    Dial,
    Drop,
    Effect,
    Event,
    FollowCoins,
    ForgetBroadcast,
    ForgetTransaction,
    JudgeTransactions,
    KeptBroadcast,
    KeptTransaction,
    Pause,
    ReadBlocks,
    Resume,
    SaveAddresses,
    SaveAnchors,
    SaveBans,
    SaveBroadcast,
    SaveTransaction,
    Send,
    Tell,
    TransactionsJudged,
)
from obscura.peers.bans import Ban
from obscura.peers.record import AddressRecord
from obscura.wire.address import NetAddress, parse_address
from obscura.wire.target import Mode, Target


def node_address(number: int) -> NetAddress:
    """The address of node ``number``: each in a network group of its own."""
    return parse_address(f"127.{number + 1}.1.1:18444")


class Host:
    """One node and what it has said."""

    def __init__(
        self,
        world: World,
        number: int,
        connect: tuple[int, ...],
        *,
        ledger: MemoryLedger | None = None,
        kept: tuple[KeptTransaction, ...] = (),
        broadcasts: tuple[KeptBroadcast, ...] = (),
        address: NetAddress | None = None,
        hold: type | None = None,
        anchors: tuple[NetAddress, ...] = (),
        **config: object,
    ) -> None:
        self.world = world
        self.address = address or node_address(number)
        self.ledger = ledger or MemoryLedger()
        self.hold = hold
        """Requests of this kind to the ledger are not answered before :meth:`release`."""
        self.held: list[Callable[[], None]] = []
        settings = NodeConfig(
            transport=Mode.PLAIN,
            network="memory",
            user_agent="/Obscura:0.1(python)/",
            connect=tuple(Target(node_address(other)) for other in connect),
            allow_local=True,
            **({"no_stem": NoStem.NOW, "advertise": (self.address,)} | config),  # type: ignore[arg-type]
        )
        chance = Chance.from_seed(1000 + number)
        restored = self.ledger.restore()
        self.node = Node(
            settings, self.ledger, chance, restored, (), world.now, kept=kept, anchors=anchors, broadcasts=broadcasts
        )
        self.links: dict[ConnId, tuple[Host, ConnId]] = {}
        self.events: list[Event] = []
        self.saved: dict[NetAddress, AddressRecord] = {}
        self.anchors: tuple[NetAddress, ...] = ()
        self.bans: dict[str, Ban | None] = {}
        self.waiting: dict[TxId, tuple[SaveTransaction, Instant]] = {}
        """The transactions on its disk, and since when."""
        self.private: dict[TxId, tuple[bytes, Instant]] = {}
        """And those that are to be broadcast privately."""
        self.dialled: list[Dial] = []
        self.paused: dict[ConnId, list[bytes]] = {}
        self.filter: Callable[[Effect], bool] = lambda effect: True
        """A test that plays a liar or a staller swallows effects here."""

    def settle(self) -> bool:
        """Carry out what the node wants; ``True`` if there was anything."""
        effects = self.node.take_effects()
        for effect in effects:
            if self.filter(effect):
                self.world.carry_out(self, effect)
        return bool(effects)

    def kept(self) -> tuple[KeptTransaction, ...]:
        """What its disk holds for the next run, in the order of the ids."""
        return tuple(
            KeptTransaction(one.data, Duration(self.world.now.mono - since), one.stem)
            for _, (one, since) in sorted(self.waiting.items(), key=lambda item: item[0])
        )

    def broadcasts(self) -> tuple[KeptBroadcast, ...]:
        """The same of private broadcasts."""
        return tuple(
            KeptBroadcast(data, Duration(self.world.now.mono - since))
            for _, (data, since) in sorted(self.private.items())
        )

    def release(self) -> None:
        """Have what was held answered, and nothing more held."""
        self.hold = None
        self.world.queue.extend(self.held)
        self.held = []

    def mine(
        self, count: int = 1, body: bytes = b"", on: BlockHash | None = None, time: int | None = None
    ) -> list[bytes]:
        """Mine blocks on the tip (or on ``on``) and submit them."""
        blocks = mine_chain(on or self.ledger.tip, count, body, time or self.world.block_time())
        for block in blocks:
            self.node.submit_block(block, self.world.now)
        self.world.run()
        return blocks


def mine_chain(previous: BlockHash, count: int, body: bytes, time: int) -> list[bytes]:
    """``count`` blocks in a row."""
    ledger = MemoryLedger()
    blocks = []
    for step in range(count):
        block = mine(previous, body + step.to_bytes(4, "little"), time + step)
        previous = ledger.identify_block(block).hash
        blocks.append(block)
    return blocks


class World:
    """Nodes, their links and one clock."""

    def __init__(self) -> None:
        self.now = Now(Instant(0), WallTime(1_800_000_000))
        self.hosts: list[Host] = []
        self.queue: deque[Callable[[], None]] = deque()
        self._time = 1_700_000_000

    def add(self, *connect: int, **config: Any) -> Host:
        """A new node that dials the given ones; see :class:`Host`."""
        host = Host(self, len(self.hosts), connect, **config)
        self.hosts.append(host)
        host.node.start(self.now)
        return host

    def block_time(self) -> int:
        """A time that no earlier block has."""
        self._time += 100_000
        return self._time

    def run(self) -> None:
        """Let everything settle without moving the clock."""
        busy = True
        while busy:
            busy = False
            while self.queue:
                self.queue.popleft()()
                busy = True
            for host in self.hosts:
                busy |= host.settle()

    def advance(self, span: Duration) -> None:
        """Move the clock, stopping at every deadline on the way."""
        end = Instant(self.now.mono + span)
        self.run()
        while True:
            due = [d for host in self.hosts if (d := host.node.next_deadline()) is not None and d <= end]
            if not due:
                break
            self._set(max(self.now.mono, min(due)))
            for host in self.hosts:
                host.node.handle_deadline(self.now)
            self.run()
        self._set(end)

    def _set(self, mono: Instant) -> None:
        wall = self.now.wall + (mono // seconds(1) - self.now.mono // seconds(1))
        self.now = Now(mono, WallTime(wall))

    def carry_out(self, host: Host, effect: Effect) -> None:
        """Do one effect."""
        match effect:
            case Send(conn, data):
                link = host.links.get(conn)
                if link is not None:
                    self._deliver(link, data)
            case Dial(conn, address):
                host.dialled.append(effect)
                target = next((other for other in self.hosts if other.address == address), None)
                theirs = None if target is None else target.node.accepted(host.address, self.now)
                if target is None or theirs is None:
                    host.node.dial_failed(conn, "connect-refused", self.now)
                    return
                host.links[conn] = (target, theirs)
                target.links[theirs] = (host, conn)
                host.node.connected(conn, self.now)
            case Drop(conn):
                link = host.links.pop(conn, None)
                if link is not None:
                    self.queue.append(lambda: self._cut(link))
            case Pause(conn):
                host.paused[conn] = []
            case Resume(conn):
                for data in host.paused.pop(conn, []):
                    self._deliver((host, conn), data)
            case Ask(ticket, request):
                answers = host.held if host.hold is type(request) else self.queue
                answers.append(lambda: self._answer(host, ticket, request))
            case SaveAddresses(changes):
                for where, record in changes:
                    host.saved.pop(where, None)
                    if record is not None:
                        host.saved[where] = record
            case SaveAnchors(addresses):
                host.anchors = addresses
            case SaveBans(changes):
                host.bans.update(changes)
            case SaveTransaction(relay_id):
                host.waiting[relay_id] = effect, host.waiting.get(relay_id, (effect, self.now.mono))[1]
            case ForgetTransaction(relay_id):
                host.waiting.pop(relay_id, None)
            case SaveBroadcast(relay_id, data):
                host.private.setdefault(relay_id, (data, self.now.mono))
            case ForgetBroadcast(relay_id):
                host.private.pop(relay_id, None)
            case Tell(event):
                host.events.append(event)

    def _deliver(self, link: tuple[Host, ConnId], data: bytes) -> None:
        target, conn = link

        def arrive() -> None:
            if conn in target.paused:
                target.paused[conn].append(data)
            else:
                target.node.receive(conn, data, self.now)

        self.queue.append(arrive)

    def _cut(self, link: tuple[Host, ConnId]) -> None:
        target, conn = link
        if target.links.pop(conn, None) is not None:
            target.node.disconnected(conn, self.now)

    def _answer(self, host: Host, ticket: int, request: object) -> None:
        match request:
            case AcceptHeaders(headers):
                host.node.answered(ticket, host.ledger.accept_headers(headers), self.now)
            case AcceptBlocks(blocks):
                host.node.answered(ticket, host.ledger.accept_blocks(blocks), self.now)
            case ReadBlocks(hashes, bytes_max):
                host.node.answered(ticket, BlocksRead(host.ledger.read_blocks(hashes, bytes_max)), self.now)
            case FollowCoins(details):
                host.node.answered(ticket, host.ledger.follow(details=details), self.now)
            case JudgeTransactions(candidates):
                host.node.answered(ticket, TransactionsJudged(host.ledger.admit(candidates)), self.now)

    def check(self) -> None:
        """Every node's invariants hold."""
        for host in self.hosts:
            host.node.check()
