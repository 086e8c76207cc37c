"""Whose input is next: each link gets its share of the loop's time, whatever it sends.

Streams do not give the node what they have read; it waits here, one read of each link, and the link's socket is not
read while it does. Links are served by start-time fair queueing (Goyal, Vin, Cheng 1996) over *measured* processor time
of the loop's thread: who has used least lately is next, and who was idle begins where the others are. So a link that
floods waits for itself, and an honest link's ping waits for one slice of another's at most, or for one slice of each
that was idle as long and comes at the same moment.

- A slice is a part of what was read, SLICE_TIME long as far as the link's own bytes have told: blocks go on by whole
  reads, tiny messages by a kilobyte. What a slice can cost beyond that is bounded by the node, which ends a link's turn
  by its prices (limits: TURN_TOKENS) and says that there is more to do.
- After TURN_TIME the event loop looks at sockets and timers again.
- Who needs less than its share saves up to IDLE_CREDIT of it, so that an answer which was dear for once (what others
  have waiting is written with it) does not make its next one wait until all the others have had as much.
- Not all that a link costs comes with its bytes: the ledger's answers to its requests, and its congestion's end, are
  inputs here too, before its bytes. What is written for it is on its account as well.
- Links that we have dialled weigh DIALLED_WEIGHT: they bring our chain, and nobody else can make himself one of them.
- Links whose handshake is not complete have *one* account for all of them, and take turns within it. Connections cost
  a stranger nothing, so an account for each would be a share for each.
- Answers to handshakes that had to wait for a ration are given by a timer, on nobody's account: one in a turn of the
  loop, HANDSHAKES_PER_SECOND at most, which bounds what a crowd can take by them.

This bounds processor time only while others wait; a link that is alone may have all of it. What a link may do in the
long run its tokens bound (:mod:`obscura.channel.budget`), by a pause in which it is not served here: its bytes wait.

Order: a link's bytes stay in their order; its end comes behind them. If the node has paused the link its end does not
wait for them: it could take hours, and whoever has gone needs no answer. What a dropped link has waiting is forgotten.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from ..base.instant import Now
from ..base.limits import (
    DIALLED_WEIGHT,
    IDLE_CREDIT,
    IDLE_CREDIT_TOTAL,
    READ_BYTES,
    SLICE_BYTES,
    SLICE_LEAST,
    SLICE_TIME,
    STRANGERS_WEIGHT,
    TURN_TIME,
)
from ..base.names import ConnId

Input: TypeAlias = Callable[[Now], object]
"""Something for the node."""
STRANGERS: Final = ConnId(0)
"""The account of all links that are not open yet; no link has this name."""
_NS: Final = 1_000
"""Costs are measured in nanoseconds, limits are in microseconds."""
_SCALE: Final = 64
"""Of virtual time, so that a weighted cost keeps its fraction."""


@dataclass(slots=True)
class _Account:
    weight: int
    start: int = 0
    """When, in virtual time, its next slice may begin."""
    serial: int = 0
    """Of its place in the heap; 0 if nothing of it waits."""


class Shares:
    """Start-time fair queueing, by itself: who is next, by what each has cost.

    Args:
        credit: an account that was idle may have so much before the others that are busy, in the units of
            :meth:`charge`, so that it is next even if many of them are as far as the one that is served.
        total: of the credits of all; those who are busy wait no longer for those who were idle.
    """

    __slots__ = ("_accounts", "_credit", "_heap", "_serial", "_total", "_virtual", "_waiting")

    def __init__(self, credit: int = 0, total: int | None = None) -> None:
        self._credit = credit * _SCALE
        self._total = None if total is None else total * _SCALE
        self._accounts: dict[ConnId, _Account] = {}
        self._heap: list[tuple[int, int, ConnId]] = []
        """Start, serial and name of each that waits; passed over where it waits no more, put back where its start has
        moved."""
        self._virtual = 0
        self._serial = 0
        self._waiting = 0

    def __bool__(self) -> bool:
        """Somebody waits."""
        return self._waiting > 0

    def open(self, name: ConnId, weight: int = 1) -> None:
        """A new account; it begins where the others are, without credit: it has not been idle."""
        self._accounts[name] = _Account(weight, self._virtual)

    def close(self, name: ConnId) -> None:
        """An account is over; nothing of it waits any more."""
        account = self._accounts.pop(name, None)
        if account is not None and account.serial:
            self._waiting -= 1

    def wait(self, name: ConnId) -> None:
        """Something of an account waits for its turn."""
        account = self._accounts[name]
        if not account.serial:
            self._serial += 1
            account.serial = self._serial
            self._waiting += 1
            account.start = max(account.start, self._virtual - self._ahead(account))
            heapq.heappush(self._heap, (account.start, account.serial, name))

    def next(self) -> ConnId | None:
        """Whose turn it is; it waits no more. ``None`` if nobody waits. Of those with the same start, who came
        first."""
        while self._heap:
            start, serial, name = heapq.heappop(self._heap)
            account = self._accounts.get(name)
            if account is None or account.serial != serial:
                continue
            if account.start != start:
                heapq.heappush(self._heap, (account.start, serial, name))
                continue
            account.serial = 0
            self._waiting -= 1
            self._virtual = max(self._virtual, start)
            return name
        return None

    def charge(self, name: ConnId, cost: int) -> None:
        """An account has cost so much, in any unit that is the same for all."""
        account = self._accounts.get(name)
        if account is not None:
            account.start = max(account.start, self._virtual - self._ahead(account)) + cost * _SCALE // account.weight

    def _ahead(self, account: _Account) -> int:
        credit = self._credit
        if self._total is not None:
            credit = min(credit, self._total // len(self._accounts))
        return credit // account.weight

    def check(self) -> None:
        """Walk the invariants; for tests."""
        assert self._waiting == sum(account.serial > 0 for account in self._accounts.values()), "who waits is counted"
        ready = {(serial, name) for _, serial, name in self._heap}
        for name, account in self._accounts.items():
            assert not account.serial or (account.serial, name) in ready, "who waits will be served"
            assert not account.serial or account.start >= self._virtual - self._credit, "nobody is far in the past"


class Gate(Protocol):
    """The reading side of a stream. Both verbs may come twice."""

    def pause_reading(self) -> None:
        """Leave what comes in the socket."""
        ...

    def resume_reading(self) -> None:
        """Take it again."""
        ...


@dataclass(slots=True)
class _Line:
    """What one link has waiting."""

    gate: Gate
    account: ConnId
    calls: list[Input] = field(default_factory=list)
    """Inputs that do not stand in the stream: one or two at a time."""
    data: bytes = b""
    at: int = 0
    """Where in ``data`` the next slice begins."""
    more: bool = False
    """The node has bytes of it that it has not dealt with."""
    end: Input | None = None
    held: bool = False
    """The node has paused it."""
    shut: bool = False
    """Its socket is not read."""
    slice: int = SLICE_BYTES

    def is_long(self) -> bool:
        """It may take a while."""
        return self.more or len(self.data) - self.at > SLICE_LEAST

    def is_ready(self) -> bool:
        """There is something that may be served now."""
        return bool(self.calls) or (not self.held and (self.more or bool(self.data))) or self.end is not None


class Turns:
    """See the head of this file.

    Args:
        receive: gives the node bytes of a link; ``True`` if there is more to do for it. The link may be closed in it.
        give: gives the node any other input of a link.
        flush: carries the node's effects out.
        soon: has a function called in the loop's next turn.
        clock: processor time of this thread in nanoseconds.
    """

    def __init__(
        self,
        receive: Callable[[ConnId, bytes], bool],
        give: Callable[[Input, ConnId], object],
        flush: Callable[[], None],
        soon: Callable[[Callable[[], None]], object],
        clock: Callable[[], int],
    ) -> None:
        self._receive = receive
        self._give = give
        self._flush = flush
        self._soon = soon
        self._clock = clock
        self._shares = Shares(IDLE_CREDIT * _NS, IDLE_CREDIT_TOTAL * _NS)
        self._shares.open(STRANGERS, STRANGERS_WEIGHT)
        self._lines: dict[ConnId, _Line] = {}
        self._strangers: dict[ConnId, None] = {}
        """Those with something waiting, in the order of their turns."""
        self._unread: dict[ConnId, None] = {}
        """Lines that were given bytes since the last turn's end, and whose socket is still read."""
        self._due = False

    # -- links

    def open(self, conn: ConnId, gate: Gate, *, dialled: bool) -> None:
        """A connection stands. One that was accepted is a stranger's until :meth:`know`."""
        self._lines[conn] = _Line(gate, conn if dialled else STRANGERS)
        if dialled:
            self._shares.open(conn, DIALLED_WEIGHT)

    def know(self, conn: ConnId) -> None:
        """A handshake is complete."""
        line = self._lines.get(conn)
        if line is not None and line.account == STRANGERS:
            line.account = conn
            self._strangers.pop(conn, None)
            self._shares.open(conn)
            self._wait(conn, line)

    def close(self, conn: ConnId) -> None:
        """A link has ended for the node: what it has waiting is forgotten, but for answers, which the node counts."""
        line = self._lines.pop(conn, None)
        if line is None:
            return
        self._shares.close(conn)
        self._strangers.pop(conn, None)
        self._unread.pop(conn, None)
        while line.calls:
            self._give(line.calls.pop(0), conn)

    def __contains__(self, conn: ConnId) -> bool:
        return conn in self._lines

    # -- inputs

    def put(self, conn: ConnId, data: bytes, *, full: bool = False) -> None:
        """Bytes of a link were read; ``full``: as many as are read at once, so that more may lie there."""
        line = self._lines[conn]
        line.data = line.data[line.at :] + data if line.data else data
        line.at = 0
        if full:
            # Security: uvloop reads on, up to 32 buffers in one turn, unless it is stopped here.
            self._shut(line)
        elif not line.shut:
            self._unread[conn] = None
        self._wait(conn, line)

    def call(self, conn: ConnId, given: Input) -> None:
        """Something else for a link, before what it has waiting."""
        line = self._lines[conn]
        line.calls.append(given)
        self._wait(conn, line)

    def end(self, conn: ConnId, given: Input) -> None:
        """The last input of a link's stream. Of two the first counts."""
        line = self._lines[conn]
        if line.end is None:
            line.end = given
            self._skip_if_ended(line)
            self._wait(conn, line)

    def hold(self, conn: ConnId) -> None:
        """The node pauses a link: its bytes wait."""
        if (line := self._lines.get(conn)) is not None:
            line.held = True
            self._shut(line)
            self._skip_if_ended(line)

    def release(self, conn: ConnId) -> None:
        """It goes on, first with what the node has of it."""
        if (line := self._lines.get(conn)) is not None:
            line.held = False
            line.more = True
            self._wait(conn, line)

    def charge(self, conn: ConnId, cost: int) -> None:
        """Something was done for a link outside of its turn."""
        line = self._lines.get(conn)
        self._shares.charge(STRANGERS if line is None else line.account, cost)

    @property
    def waiting(self) -> int:
        """Bytes that wait, over all links."""
        return sum(len(line.data) - line.at for line in self._lines.values())

    # -- inside

    def _skip_if_ended(self, line: _Line) -> None:
        if line.held and line.end is not None:
            line.data, line.at, line.more = b"", 0, False

    def _shut(self, line: _Line) -> None:
        if not line.shut:
            line.shut = True
            line.gate.pause_reading()

    def _wait(self, conn: ConnId, line: _Line) -> None:
        if not line.is_ready():
            return
        if line.account == STRANGERS:
            self._strangers.setdefault(conn)
        self._shares.wait(line.account)
        if not self._due:
            self._due = True
            self._soon(self._turn)

    def _turn(self) -> None:
        """Serve for TURN_TIME, then let the loop go on."""
        began = at = self._clock()
        flushed = True
        try:
            while at - began < TURN_TIME * _NS and (account := self._shares.next()) is not None:
                conn = account
                if account == STRANGERS:
                    if not self._strangers:
                        continue
                    conn = next(iter(self._strangers))
                    del self._strangers[conn]
                if (line := self._lines.get(conn)) is not None and line.is_ready():
                    if not flushed and line.is_long():
                        self._flush()
                    self._serve(conn, line)
                    # A pause, or an end, must be known before the same link is served again. Small inputs of different
                    # links are carried out together.
                    flushed = line.is_ready() or self._clock() - at >= SLICE_TIME * _NS // 2
                    if flushed:
                        self._flush()
                before, at = at, self._clock()
                self._shares.charge(account, at - before)
                if conn in self._lines:
                    self._wait(conn, self._lines[conn])
                if self._strangers:
                    self._shares.wait(STRANGERS)
            if not flushed:
                self._flush()
        finally:
            for conn in self._unread:
                if (line := self._lines[conn]).data:
                    self._shut(line)
            self._unread.clear()
            self._due = bool(self._shares)
            if self._due:
                self._soon(self._turn)

    def _serve(self, conn: ConnId, line: _Line) -> None:
        """One input of a link."""
        if line.calls:
            self._give(line.calls.pop(0), conn)
        elif line.held or not (line.more or line.data):
            end, line.end = line.end, None
            assert end is not None, "there is something to be served"
            self._give(end, conn)
        else:
            piece = b"" if line.more else self._take(line)
            began = self._clock()
            line.more = self._receive(conn, piece)
            self._fit(line, len(piece), self._clock() - began)
            self._reopen(line)

    @staticmethod
    def _reopen(line: _Line) -> None:
        if line.shut and not (line.held or line.more or line.data):
            line.shut = False
            line.gate.resume_reading()

    @staticmethod
    def _take(line: _Line) -> bytes:
        left = len(line.data) - line.at
        if left <= line.slice:
            piece = line.data[line.at :] if line.at else line.data
            line.data, line.at = b"", 0
        else:
            piece = line.data[line.at : line.at + line.slice]
            line.at += line.slice
        return piece

    @staticmethod
    def _fit(line: _Line, size: int, cost: int) -> None:
        """Have a link's next slice take about SLICE_TIME, by what this one has taken. It grows slowly: bytes that cost
        little may stand before others."""
        aim = SLICE_TIME * _NS
        if cost > aim and size > SLICE_LEAST:
            line.slice = max(SLICE_LEAST, size * aim // cost)
        elif size == line.slice and 2 * cost < aim:
            line.slice = min(READ_BYTES, 2 * size)
