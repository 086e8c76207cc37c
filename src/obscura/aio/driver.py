"""The node on an event loop: sockets, one timer, the ledger's worker.

Every input is followed by one flush at the end of the loop's turn: it drains the node's effects until there are none,
gathers what is sent to each link into one write, and sets the timer. So a burst of messages costs one write a link, and
a lone message goes out in the same turn.

An exception out of the node is a defect of ours. It is logged with its trace; if the input was a link's, that link is
dropped, and the node goes on: a peer that finds a defect must not be able to stop nodes. Only when the timer's input
fails again and again does the driver give up, because nothing else would move the node then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any, Final

from ..base.errors import BugError, LocalError
from ..base.instant import Now, WallTime
from ..base.limits import ADDRESSES_UNSAVED, READS_AT_ONCE, TIMER_FAILURES
from ..base.names import ConnId, TxId
from ..node import BroadcastItem, MempoolItem, Node, Snapshot
from ..node.effects import (
    Admit,
    Ask,
    BlockSubmitted,
    Dial,
    Drop,
    Effect,
    Event,
    ForgetBroadcast,
    ForgetPin,
    ForgetTransaction,
    LinkOpened,
    Mind,
    Pause,
    Resume,
    SaveAddresses,
    SaveAnchors,
    SaveBans,
    SaveBroadcast,
    SavePin,
    SaveTransaction,
    Send,
    Tell,
    TransactionSubmitted,
)
from ..peers.bans import Ban, Subject
from ..peers.pins import NamedPin
from ..peers.replay import ReplayGuard
from ..relay.sent import Stage
from ..wire.address import NetAddress, Network, address_from_ip
from ..wire.target import Target
from .admission import Admission
from .alarm import Alarm
from .clock import read_clock
from .dial import DirectWay
from .interpreter import uncollected, undisturbed
from .links import Links
from .listen import Listener
from .saver import (
    ChangeSaver,
    KeepAnchors,
    KeepBans,
    SaveAddressChanges,
    SaveBroadcasts,
    SavePins,
    SaveTransactions,
)
from .ways import Ways
from .worker import LedgerWorker, WorkerClosed

log = logging.getLogger("obscura.driver")

MakeNode = Callable[[Now], Node]
_STOPPING: Final = "the node is stopping"


class Driver:
    """Runs one node.

    Args:
        make_node: builds the node; called once, here. The ledger was restored before.
        worker: the ledger's threads; closed when the driver ends.
        listener: a bound socket for IP addresses, or ``None``; closed when the driver ends.
        ways: how other nodes are dialled; ``None``: IP addresses, from this machine.
        save: makes changes of the address book durable; runs on a thread, one call at a time, in order.
        save_pins: makes changes of named peers' pins durable; on a thread as well, beside ``save``.
        save_bans: makes durable who is kept away; on a thread as well.
        save_anchors: makes durable whom to dial first after a restart; on a thread as well.
        save_transactions: makes durable which transactions wait, and which no longer; on a thread as well.
        save_broadcasts: makes durable which transactions are to be broadcast privately; on a thread as well.
        replays: remembers who has knocked; a node with a keyed listener needs it. It is asked on a thread.
        listeners: called on the loop with every event that the node tells. What they raise is logged.
        tap: told of each write to a stream, before it: the link and how many bytes. For experiments; it sees what
            somebody on the line sees.
    """

    def __init__(
        self,
        make_node: MakeNode,
        worker: LedgerWorker,
        *,
        listener: socket.socket | None = None,
        ways: Ways | None = None,
        save: SaveAddressChanges | None = None,
        save_pins: SavePins | None = None,
        save_bans: KeepBans | None = None,
        save_anchors: KeepAnchors | None = None,
        save_transactions: SaveTransactions | None = None,
        save_broadcasts: SaveBroadcasts | None = None,
        replays: ReplayGuard | None = None,
        listeners: tuple[Callable[[Event], None], ...] = (),
        tap: Callable[[ConnId, int], None] | None = None,
    ) -> None:
        with uncollected():
            self._node = make_node(read_clock())
        self._worker = worker
        self._listening = listener
        self._ways = ways or Ways({one: DirectWay() for one in (Network.IPV4, Network.IPV6)})
        self._links = Links(self._node, self._give, self._flush, self._ways, tap=tap)
        self._saver = None if save is None else ChangeSaver(save, "address", most=ADDRESSES_UNSAVED)
        self._pin_saver = None if save_pins is None else ChangeSaver(save_pins, "pin")
        self._ban_saver = None if save_bans is None else ChangeSaver(save_bans, "ban")
        self._anchor_saver: ChangeSaver[str, tuple[NetAddress, ...]] | None = None
        if save_anchors is not None:
            keep = save_anchors
            self._anchor_saver = ChangeSaver(lambda changes: keep(changes[-1][1] or ()), "anchor")
        self._transaction_saver = None if save_transactions is None else ChangeSaver(save_transactions, "transaction")
        self._broadcast_saver = None if save_broadcasts is None else ChangeSaver(save_broadcasts, "transaction")
        self._admission = None if replays is None else Admission(replays, self._admitted)
        self._listeners = listeners
        self._alarm = Alarm(self._on_time)
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._asks: dict[asyncio.Task[None], None] = {}
        self._submitted: dict[int, asyncio.Future[Any]] = {}
        self._flush_due: asyncio.Handle | None = None
        self._timer_failures = 0
        self._stop = asyncio.Event()
        self._finished = asyncio.Event()
        self._stopping = False
        self._error: BaseException | None = None

    # -- the program's side

    async def run(self) -> None:
        """Run until :meth:`request_stop`. Everything that was opened is closed when this returns. Call it once.

        Raises:
            LocalError: the ledger's disk failed.
            BugError: the node, or the ledger, failed in a way that nothing can go on from.
        """
        acceptor = None
        try:
            if self._listening is not None:
                acceptor = Listener(self._listening, self._accept_ip)
            self._ways.changed = self._on_ways
            self._on_ways()
            self._timer_input(self._node.start)
            with undisturbed():
                await self._stop.wait()
        finally:
            self._ways.close()
            if acceptor is not None:
                acceptor.close()
            try:
                await self._shut_down()
            except LocalError as error:
                # A disk that failed fails again at the end: what stopped us is what the operator must hear of.
                if self._error is None:
                    raise
                log.warning("not-ended-well", extra={"values": {"text": str(error)}})
            finally:
                self._finished.set()
        if self._error is not None:
            raise self._error

    def request_stop(self) -> None:
        """Have :meth:`run` end."""
        self._stop.set()

    async def stop(self) -> None:
        """Have :meth:`run` end, and wait for it: a second for the links, and as long as one ledger batch takes."""
        self.request_stop()
        await self._finished.wait()

    # -- services of other networks

    def accept(self, sock: socket.socket, address: NetAddress, first: bytes = b"") -> None:
        """Take a connection that somebody has opened to us, by whichever network ``address`` is of; ``first`` was read
        of it. The socket is non-blocking, and ours from here on."""
        self._links.accept(sock, address, first)

    def advertise(self, address: NetAddress) -> None:
        """Others reach us there from now on: see :meth:`Node.advertise`."""
        self._give(lambda now: self._node.advertise(address, now))

    def withdraw(self, address: NetAddress) -> None:
        """Others do not any more: see :meth:`Node.withdraw`."""
        self._give(lambda now: self._node.withdraw(address, now))

    def _accept_ip(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        self._links.accept(sock, address_from_ip(*peer))

    def _on_ways(self) -> None:
        networks = self._ways.open
        self._give(lambda now: self._node.open_ways(networks, now))

    # -- the operator's side

    def snapshot(self) -> Snapshot:
        """A picture of the node."""
        return self._node.snapshot(read_clock())

    def check(self) -> None:
        """Walk the node's invariants.

        Raises:
            AssertionError: one does not hold: a defect.
        """
        self._node.check()

    def mempool(self) -> list[MempoolItem]:
        """What waits for a block, parents before children."""
        return self._node.mempool(read_clock())

    def sent_stage(self, txid: TxId) -> Stage | None:
        """See :meth:`Node.sent_stage`."""
        return self._node.sent_stage(txid)

    def block_candidates(self, weight_max: int) -> list[bytes]:
        """See :meth:`Node.block_candidates`."""
        return self._node.block_candidates(weight_max)

    @property
    def unsent(self) -> int:
        """Bytes that wait for sockets to take them, over all links."""
        return self._links.unsent

    def add_peer(self, target: Target) -> None:
        """Name a peer while running.

        Raises:
            LocalError: it cannot be named so; the text says why.
        """
        refused: list[LocalError] = []

        def name(now: Now) -> None:
            try:
                self._node.add_peer(target, now)
            except LocalError as error:
                # The operator's mistake, not a defect of the node's.
                refused.append(error)

        self._give(name)
        if refused:
            raise refused[0]

    async def forget_pin(self, address: NetAddress) -> bool:
        """Forget the key of a named peer, durably; ``False`` if none was pinned.

        Raises:
            LocalError: the disk refuses; the key is forgotten until the next start only.
        """
        found: list[bool] = []
        self._give(lambda now: found.append(self._node.forget_pin(address, now)))
        self._flush()
        if self._pin_saver is not None:
            await self._pin_saver.finish()
        return any(found)

    async def ban(self, subject: Subject, until: WallTime | None) -> Ban:
        """Keep hosts away until a time, ``None`` for ever, durably; their links end now.

        Raises:
            LocalError: too many are banned, or the disk refuses: then they are until the next start only.
        """
        made: list[Ban] = []
        refused: list[LocalError] = []

        def keep_away(now: Now) -> None:
            try:
                made.append(self._node.ban(subject, until, now))
            except LocalError as error:
                # The operator's mistake, not a defect of the node's.
                refused.append(error)

        self._give(keep_away)
        await self._bans_saved()
        if refused:
            raise refused[0]
        return made[0]

    async def unban(self, subject: Subject) -> bool:
        """Keep hosts away no longer, durably; ``False`` if they were not.

        Raises:
            LocalError: the disk refuses; they may come until the next start.
        """
        found: list[bool] = []
        self._give(lambda now: found.append(self._node.unban(subject, now)))
        await self._bans_saved()
        return any(found)

    def bans(self) -> tuple[Ban, ...]:
        """Who is kept away."""
        return self._node.bans(read_clock())

    async def _bans_saved(self) -> None:
        self._flush()
        if self._ban_saver is not None:
            await self._ban_saver.finish()

    async def submit_block(self, block: bytes) -> BlockSubmitted:
        """Hand in a block of our own and wait for the verdict.

        Raises:
            LocalError: the node stops before there is one.
        """
        if self._stopping:
            raise LocalError(_STOPPING)
        future: asyncio.Future[BlockSubmitted] = asyncio.get_running_loop().create_future()
        self._submitted[self._node.submit_block(block, read_clock())] = future
        self._schedule_flush()
        return await future

    async def submit_transaction(self, data: bytes, *, apart: bool = False) -> TransactionSubmitted:
        """Hand in a transaction of our own and wait for the verdict. One that is accepted is on disk on return.
        ``apart``: see :meth:`Node.submit_transaction`.

        Raises:
            LocalError: the node stops before there is a verdict, or the disk refuses to keep it: it is relayed, but a
                restart forgets it.
        """
        if self._stopping:
            raise LocalError(_STOPPING)
        future: asyncio.Future[TransactionSubmitted] = asyncio.get_running_loop().create_future()
        self._submitted[self._node.submit_transaction(data, read_clock(), apart=apart)] = future
        self._schedule_flush()
        done = await future
        for saver in (self._transaction_saver, self._broadcast_saver) if done.accepted else ():
            if saver is not None:
                await saver.finish()
        return done

    def broadcasts(self) -> list[BroadcastItem]:
        """See :meth:`Node.broadcasts`."""
        return self._node.broadcasts(read_clock())

    @property
    def private(self) -> bool:
        """See :attr:`Node.private`."""
        return self._node.private

    async def drop_broadcast(self, txid: TxId) -> bool:
        """Take a transaction back that is to be broadcast privately, durably; ``False`` if there is none of this id.

        Raises:
            LocalError: the disk refuses: the next start takes it up again.
        """
        found: list[bool] = []
        self._give(lambda now: found.append(self._node.drop_broadcast(txid, now)))
        self._flush()
        if self._broadcast_saver is not None:
            await self._broadcast_saver.finish()
        return any(found)

    # -- inputs

    def _give(self, call: Callable[[Now], object], conn: ConnId | None = None) -> bool:
        """Give the node an input, and flush soon; ``False`` if it failed. See the head of this file."""
        try:
            call(read_clock())
        except Exception as error:  # pragma: border
            text = "a defect of Obscura: please report it with this trace"
            log.error("defect", exc_info=error, extra={"values": {"conn": conn or "none", "text": text}})
            if conn is not None:
                self._links.drop(conn)
                self._give(lambda now: self._node.disconnected(conn, now))
            return False
        finally:
            self._schedule_flush()
        return True

    def _timer_input(self, call: Callable[[Now], object]) -> None:
        if self._give(call):
            self._timer_failures = 0
            return
        self._timer_failures += 1
        if self._timer_failures >= TIMER_FAILURES:
            self._fail(BugError(f"the node failed {self._timer_failures} times in a row; the log has the traces"))

    def _on_time(self) -> None:
        self._timer_input(self._node.handle_deadline)

    # -- effects

    def _schedule_flush(self) -> None:
        if self._flush_due is None:
            self._flush_due = asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        if self._flush_due is not None:
            self._flush_due.cancel()
            self._flush_due = None
        writes: dict[ConnId, list[bytes]] = {}
        while effects := self._node.take_effects():
            for effect in effects:
                if isinstance(effect, Send):
                    writes.setdefault(effect.conn, []).append(effect.data)
                    continue
                if isinstance(effect, Drop):
                    self._links.write(effect.conn, writes.pop(effect.conn, []))
                self._carry_out(effect)
        for conn, parts in writes.items():
            self._links.write(conn, parts)
        self._alarm.set(None if self._stopping else self._node.next_deadline())

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Dial():
                self._links.dial(effect)
            case Drop(conn):
                self._links.drop(conn)
            case Mind(conn, most):
                self._links.mind(conn, most)
            case Pause(conn):
                self._links.pause(conn)
            case Resume(conn):
                self._links.resume(conn)
            case Ask():
                task = asyncio.get_running_loop().create_task(self._ask(effect))
                self._asks[task] = None
                task.add_done_callback(self._asks.pop)
            case SaveAddresses(changes):
                for where, record in changes:
                    if self._saver is not None:
                        self._saver.put(where, record)
            case SaveBans(changes):
                for subject, ban in changes:
                    if self._ban_saver is not None:
                        self._ban_saver.put(subject, ban)
            case SaveAnchors(addresses):
                if self._anchor_saver is not None:
                    self._anchor_saver.put("anchors", addresses)
            case SavePin(address, key, first_seen):
                if self._pin_saver is not None:
                    self._pin_saver.put(address, NamedPin(address, key, first_seen))
            case ForgetPin(address):
                if self._pin_saver is not None:
                    self._pin_saver.put(address, None)
            case SaveTransaction(relay_id):
                if self._transaction_saver is not None:
                    self._transaction_saver.put(relay_id, effect)
            case ForgetTransaction(relay_id):
                if self._transaction_saver is not None:
                    self._transaction_saver.put(relay_id, None)
            case SaveBroadcast(relay_id, data):
                if self._broadcast_saver is not None:
                    self._broadcast_saver.put(relay_id, data)
            case ForgetBroadcast(relay_id):
                if self._broadcast_saver is not None:
                    self._broadcast_saver.put(relay_id, None)
            case Admit():
                if self._admission is None:
                    raise BugError("a keyed listener needs a guard against replays")
                self._admission.put(effect)
            case Tell(event):
                self._tell(event)
            case Send():
                raise BugError("sends are gathered before")

    def _admitted(self, conn: ConnId, new: bool, trouble: str) -> None:
        self._give(lambda now: self._node.admitted(conn, new, now, trouble=trouble), conn)

    def _tell(self, event: Event) -> None:
        if isinstance(event, LinkOpened):
            self._links.know(event.conn)
        if isinstance(event, BlockSubmitted | TransactionSubmitted):
            future = self._submitted.pop(event.ticket, None)
            if future is not None and not future.done():
                future.set_result(event)
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as error:  # pragma: border
                log.error("listener-failed", exc_info=error, extra={"values": {"event": type(event).__name__}})

    async def _ask(self, effect: Ask) -> None:
        if effect.conn is None:
            await self._work(effect)
            return
        # What is read for links and waits for their turns is in memory.
        async with self._reads:
            await self._work(effect)

    async def _work(self, effect: Ask) -> None:
        try:
            answer = await self._worker.answer(effect.request)
        except WorkerClosed:
            return
        except Exception as error:  # noqa: BLE001  # pragma: border
            failure = error
            if not isinstance(error, LocalError):
                failure = BugError(f"the ledger failed: {error!r}")
                failure.__cause__ = error
            self._fail(failure)
            return
        await self._links.answer(effect.conn, lambda now: self._node.answered(effect.ticket, answer, now))

    def _fail(self, error: Exception) -> None:
        """Stop, and have :meth:`run` raise ``error``. The first one counts."""
        if self._error is None:
            self._error = error
        self._stop.set()

    # -- the end

    async def _shut_down(self) -> None:
        """Say goodbye, finish what the ledger is doing, close it. Bounded: links get GRACE_STOP, a batch is small."""
        self._stopping = True
        self._worker.refuse()
        self._links.begin_closing()
        self._give(self._node.stop)
        # The node's last words: its Drops end the streams, its SaveAddresses goes to the saver.
        self._flush()
        closing = asyncio.get_running_loop().create_task(self._links.close())
        if self._asks:
            await asyncio.wait(list(self._asks))
        # The batch that was running has brought its verdicts; what was not begun has none.
        self._flush()
        for future in self._submitted.values():
            if not future.done():
                future.set_exception(LocalError(_STOPPING))
        await closing
        if self._admission is not None:
            await self._admission.finish()
        for saver in (
            self._saver,
            self._pin_saver,
            self._ban_saver,
            self._anchor_saver,
            self._transaction_saver,
            self._broadcast_saver,
        ):
            if saver is not None:
                # What could not be saved is in the log; a node that ends well otherwise has ended well.
                with contextlib.suppress(LocalError):
                    await saver.finish()
        await self._worker.close()
