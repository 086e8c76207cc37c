"""I2P beside the node: sessions at a router's SAM bridge, the way to I2P addresses, and the destination at which others
reach us.

There are two sessions, as our dials must not show the destination at which we listen: one with a destination that is
new each time, for dials, and one with ours. Each is made anew when it is lost, by waits that double. A new one can take
minutes: the router builds its tunnels first.

A dial apart has a session besides, with a destination that nobody else sees, which ends a little after its stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final

from ..base.errors import LocalError
from ..base.instant import MICROSECONDS, Duration
from ..base.limits import (
    DAEMON_ANSWER,
    DAEMON_RETRY,
    DAEMON_RETRY_MOST,
    I2P_FIRST_BYTE,
    I2P_UNHEARD,
    SAM_ACCEPTS,
    SAM_AGAIN,
    SAM_APART_ANSWER,
    SAM_LINGER,
    SAM_MISSES,
    SAM_SESSION_ANSWER,
)
from ..overlay import sam
from ..overlay.faults import DaemonFault
from ..wire.address import NetAddress, Network
from .services import Host, KeyKeeper
from .socks import Endpoint, connect_endpoint, why
from .ways import Connected, DialError, Ways

log = logging.getLogger("obscura.i2p")
_READ_BYTES: Final = 4_096
_TROUBLES: Final = 16
"""Told until a session stands again."""
_GONE: Final = "INVALID_ID"
"""The refusal that is about our session. Others the far end may have brought about."""


class Bridge:
    """One connection to a SAM bridge: asks, and reads answers line by line."""

    def __init__(self, sock: socket.socket) -> None:
        self.handed_over = False
        """Somebody else has the socket, and closes it."""
        self._sock = sock
        self._lines = sam.SamLine()

    def hand_over(self) -> Connected:
        """It is the stream from here on, and the caller's."""
        self.handed_over = True
        return Connected(self._sock, self._lines.rest)

    def close(self) -> None:
        """End it, and with it the session that it has made. Harmless if it has ended."""
        self._sock.close()

    async def ask(self, words: bytes, timeout: Duration | None = None) -> str:
        """Say something; the line that answers, within DAEMON_ANSWER if nothing else is said.

        Raises:
            OSError: the connection is lost, or there is no answer (``TimeoutError``).
            DaemonFault: no line comes.
        """
        async with asyncio.timeout((timeout or DAEMON_ANSWER) / MICROSECONDS):
            await asyncio.get_running_loop().sock_sendall(self._sock, words)
            return await self.line()

    async def line(self) -> str:
        """The next line."""
        found = self._lines.feed(b"")
        while found is None:
            data = await asyncio.get_running_loop().sock_recv(self._sock, _READ_BYTES)
            if not data:
                raise ConnectionError("the I2P router has closed the connection")
            found = self._lines.feed(data)
        return found

    async def gone(self) -> None:
        """Wait until the bridge ends the connection. What it says meanwhile is for nobody."""
        while await asyncio.get_running_loop().sock_recv(self._sock, _READ_BYTES):
            pass


@contextlib.asynccontextmanager
async def bridge(endpoint: Endpoint) -> AsyncIterator[Bridge]:
    """A connection that has said HELLO; it is closed with the body, unless it was handed over.

    Raises:
        OSError: the bridge cannot be reached, or does not answer.
        DaemonFault: it is none.
        SamRefused: it does not speak SAM 3.1.
    """
    async with asyncio.timeout(DAEMON_ANSWER / MICROSECONDS):
        sock = await connect_endpoint(endpoint)
    made = Bridge(sock)
    try:
        sam.hello(await made.ask(sam.HELLO))
        yield made
    finally:
        if not made.handed_over:
            made.close()


class I2PWay:
    """Dials I2P addresses by the session for dials.

    A router says that a stream stands before the other side has answered, and goes on using what it has looked up for
    a session, for ten minutes, though the other side is reached by other tunnels by then. So a stream by which nothing
    has come within I2P_FIRST_BYTE is ended; and after SAM_MISSES such dials or refused ones in a row the session is to
    be made anew: where no stream is heard of that runs by it, as nobody who tells us of dead addresses may cut our
    links.

    Privacy: whoever is dialled by one session sees one destination, and so do two who compare. A dial apart makes a
    session of its own, of the same kind, and what becomes of it says nothing about the other one.

    Args:
        endpoint: of the SAM bridge.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.session = ""
        """The name of the session; empty while there is none."""
        self.failed: Callable[[], None] = lambda: None
        """Called when the session is of no use any more."""
        self._misses = 0
        self._heard: dict[_Watched, None] = {}
        """Streams by which something has come."""
        self._lingering: dict[Bridge, asyncio.TimerHandle] = {}
        """Sessions apart whose stream is over."""

    async def open(self, address: NetAddress, *, apart: bool = False) -> Connected:
        """See :class:`~obscura.aio.ways.Way`."""
        if apart:
            return await self._open_apart(address)
        if not self.session:
            raise DialError("proxy-unknown", ours=True)
        try:
            made = await dial(self.endpoint, self.session, address)
        except sam.SamRefused as error:
            self.missed(gone=error.result == _GONE)
            raise _refused(error) from error
        except DaemonFault as fault:
            raise DialError(fault.rule, ours=True) from fault
        except (TimeoutError, asyncio.CancelledError):
            self.missed()
            raise
        except OSError as error:
            raise DialError("proxy-unreachable", ours=True) from error
        return replace(made, watch=_Watched(self, made.sock))

    async def _open_apart(self, address: NetAddress) -> Connected:
        try:
            made, session = await dial_apart(self.endpoint, address)
        except sam.SamRefused as error:
            raise _refused(error, rests=False) from error
        except DaemonFault as fault:
            raise DialError(fault.rule, ours=True, rests=False) from fault
        except TimeoutError:
            raise
        except OSError as error:
            raise DialError("proxy-unreachable", ours=True) from error
        return replace(made, watch=_Watched(self, made.sock, session))

    def missed(self, *, gone: bool = False) -> None:
        """A dial has led nowhere; ``gone``: for want of the session."""
        self._misses += 1
        if gone or (self._misses >= SAM_MISSES and not self._heard):
            self._misses = 0
            self.failed()

    def heard(self, stream: _Watched) -> None:
        """Something has come by a stream."""
        self._misses = 0
        self._heard[stream] = None

    def ended(self, stream: _Watched) -> None:
        """A stream by which something has come is over."""
        self._heard.pop(stream, None)

    def linger(self, session: Bridge) -> None:
        """End a session apart whose stream is over, but not yet. A router takes a stream's last bytes and its end from
        us at once; with the session it drops what the other side has not acknowledged, which then waits for the rest.
        """
        self._lingering[session] = asyncio.get_running_loop().call_later(SAM_LINGER / MICROSECONDS, self._end, session)

    def close(self) -> None:
        """End the sessions apart whose stream is over, now."""
        for session in list(self._lingering):
            self._end(session)

    def _end(self, session: Bridge) -> None:
        self._lingering.pop(session).cancel()
        session.close()


def _refused(error: sam.SamRefused, *, rests: bool = True) -> DialError:
    reason = f"i2p-{error.result.lower().replace('_', '-')}"
    return DialError(reason, ours=error.result == _GONE, rests=rests)


class _Watched:
    """One stream that we have opened.

    Args:
        way: by which.
        sock: of the stream.
        apart: holds the session that has no other stream, if there is one.
    """

    def __init__(self, way: I2PWay, sock: socket.socket, apart: Bridge | None = None) -> None:
        self._way = way
        self._sock = sock
        self._apart = apart
        self._alarm: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(
            I2P_FIRST_BYTE / MICROSECONDS, self._give_up
        )

    def heard(self) -> None:
        """See :class:`~obscura.aio.ways.Watch`."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
            if self._apart is None:
                self._way.heard(self)

    def ended(self) -> None:
        """See :class:`~obscura.aio.ways.Watch`."""
        silent, self._alarm = self._alarm, None
        if silent is not None:
            silent.cancel()
        if self._apart is not None:
            self._way.linger(self._apart)
            return
        if silent is not None:
            self._way.missed()
        self._way.ended(self)

    def _give_up(self) -> None:
        # Whoever has the socket reads its end, and says that it is over.
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)


async def dial(endpoint: Endpoint, session: str, address: NetAddress) -> Connected:
    """A stream of a session to an address.

    Raises:
        SamRefused: the router says why not.
        DaemonFault: what answers is no SAM bridge.
        OSError: it cannot be reached.
    """
    async with bridge(endpoint) as one:
        return await _connect(one, session, await _look_up(one, address))


async def dial_apart(endpoint: Endpoint, address: NetAddress) -> tuple[Connected, Bridge]:
    """A stream to an address by a session of its own; and the connection that holds the session, which is the caller's
    to close after the stream.

    Raises:
        DialError: ``i2p-no-session``: the router makes none, or not in time.
        SamRefused: the router says why there is no stream.
        DaemonFault: what answers is no SAM bridge.
        OSError: it cannot be reached.
    """
    name = _name()
    async with bridge(endpoint) as session:
        try:
            sam.session_made(await session.ask(sam.create(name, None), SAM_APART_ANSWER))
        except (sam.SamRefused, TimeoutError) as error:
            raise DialError("i2p-no-session", ours=True, rests=False) from error
        # Privacy: by the session's own tunnels. Asked by a connection without a session, i2pd looks up by tunnels that
        # all such have in common, and floodfills see that one asks for all whom we dial.
        destination = await _look_up(session, address)
        async with bridge(endpoint) as one:
            made = await _connect(one, name, destination)
        session.handed_over = True
    return made, session


async def _look_up(by: Bridge, address: NetAddress) -> str:
    destination = sam.looked_up(await by.ask(sam.lookup(address.host()), SAM_SESSION_ANSWER))
    if sam.address_of(destination) != address:
        raise DaemonFault("sam-destination", "another one than was asked for")
    return destination


async def _connect(by: Bridge, session: str, destination: str) -> Connected:
    sam.stream_made(await by.ask(sam.connect(session, destination), SAM_SESSION_ANSWER))
    return by.hand_over()


@dataclass(kw_only=True)
class I2PPlan:
    """What is wanted of an I2P router."""

    endpoint: Endpoint
    """Of its SAM bridge."""
    keys: KeyKeeper | None = None
    """Keeps the private keys of our destination; ``None``: others do not reach us."""
    heard: Callable[[str, str], None] = lambda name, text: None
    """Told how far it has come, for people: a stable name, and a text that may reveal our address."""


class I2PService:
    """Holds both sessions until its task is cancelled.

    Args:
        plan: what is wanted.
        host: the node's driver.
        ways: where the way to I2P opens and closes.
        way: dials by the session for dials.
    """

    def __init__(self, plan: I2PPlan, host: Host, ways: Ways, way: I2PWay) -> None:
        self._plan = plan
        self._host = host
        self._ways = ways
        self._way = way
        self._trouble: dict[str, None] = {}
        """Told since a session stood last."""
        ways.let((Network.I2P,), open=False)

    async def run(self) -> None:
        """Hold them, for ever."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._again(self._hold_dialling))
                if self._plan.keys is not None:
                    # A session with the keys of one that has just ended seems to stand, and nobody reaches it.
                    group.create_task(self._again(self._hold_listening, SAM_AGAIN))
        finally:
            self._way.close()

    async def _again(self, hold: Callable[[], Coroutine[Any, Any, None]], least: Duration = DAEMON_RETRY) -> None:
        """Hold a session, and make it anew when it is lost, not sooner than ``least`` afterwards."""
        loop = asyncio.get_running_loop()
        wait = int(least)
        while True:
            began = loop.time()
            try:
                await hold()
            except (OSError, LocalError, DaemonFault, sam.SamRefused) as error:
                self._complain(error)
            if loop.time() - began > DAEMON_RETRY_MOST / MICROSECONDS:
                wait = int(least)
            await asyncio.sleep(wait / MICROSECONDS)
            wait = min(2 * wait, DAEMON_RETRY_MOST)

    async def _hold_dialling(self) -> None:
        lost = asyncio.Event()
        name = _name()
        async with bridge(self._plan.endpoint) as one:
            sam.session_made(await one.ask(sam.create(name, None), SAM_SESSION_ANSWER))
            self._way.session, self._way.failed = name, lost.set
            self._ways.let((Network.I2P,), open=True)
            self._plan.heard("i2p-ready", "I2P is ready")
            try:
                await _first(one.gone(), lost.wait())
            finally:
                self._way.session, self._way.failed = "", lambda: None
                self._ways.let((Network.I2P,), open=False)
        if not lost.is_set():
            raise ConnectionError("the I2P router has ended the session for dials")

    async def _hold_listening(self) -> None:
        assert self._plan.keys is not None, "others reach us"
        name = _name()
        async with bridge(self._plan.endpoint) as one:
            kept = self._plan.keys.load()
            destination = sam.Destination(kept[0]) if kept else sam.generated(await one.ask(sam.generate()))
            address = destination.address
            if kept and kept[1] != address.host():
                raise LocalError("the private keys of our I2P destination are damaged: put a copy of them back")
            sam.session_made(await one.ask(sam.create(name, destination), SAM_SESSION_ANSWER))
            if sam.address_of(sam.looked_up(await one.ask(sam.lookup("ME")))) != address:
                raise DaemonFault("sam-destination", "another one than was asked for")
            self._plan.keys.keep(destination.private, address.host())
            self._trouble.clear()
            self._host.advertise(address)
            self._plan.heard("i2p-reachable", f"reachable at {address.reveal()}")
            door = _Door(self._plan.endpoint, name, self._host)
            try:
                await _first(one.gone(), door.open(), door.unheard())
            finally:
                self._host.withdraw(address)
        if not door.gave_up:
            raise ConnectionError("the I2P router has ended the session by which others reach us")

    def _complain(self, error: Exception) -> None:
        """Once for each trouble: it comes again with every try."""
        text = str(error)
        if isinstance(error, TimeoutError):
            text = "the I2P router does not answer"
        elif isinstance(error, DaemonFault):
            text = f"what answers there does not speak SAM ({error.rule})"
        elif isinstance(error, OSError) and error.errno:
            text = f"the SAM bridge of the I2P router cannot be reached: {why(error)}"
        if text not in self._trouble and len(self._trouble) < _TROUBLES:
            self._trouble[text] = None
            self._plan.heard("i2p-trouble", text)
            log.warning("i2p-trouble", extra={"values": {"text": text}})


class _Door:
    """Takes the streams that others open to our destination."""

    def __init__(self, endpoint: Endpoint, session: str, host: Host) -> None:
        self._endpoint = endpoint
        self._session = session
        self._host = host
        self._came = asyncio.Event()
        self.gave_up = False
        """Nobody has come for so long that another session is to be made."""

    async def open(self) -> None:
        """Wait for SAM_ACCEPTS at once, as each takes one and the next one is to find somebody waiting."""
        async with asyncio.TaskGroup() as group:
            for _ in range(SAM_ACCEPTS):
                group.create_task(self._take_all())

    async def unheard(self) -> None:
        """Return when nobody has come for I2P_UNHEARD from the beginning. A router now and then makes a session whose
        destination nobody can look up; another one with the same keys mends that, and here costs no link."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(I2P_UNHEARD / MICROSECONDS):
                await self._came.wait()
                await asyncio.Event().wait()
        if self._came.is_set():
            await asyncio.Event().wait()
        self.gave_up = True

    async def _take_all(self) -> None:
        while True:
            async with bridge(self._endpoint) as one:
                sam.stream_made(await one.ask(sam.accept(self._session)))
                try:
                    address = sam.caller(await one.line())
                except (OSError, DaemonFault):
                    # Security: it may be whoever came that has brought this about. The session has its own connection.
                    await asyncio.sleep(DAEMON_RETRY / MICROSECONDS)
                    continue
                made = one.hand_over()
            self._came.set()
            self._host.accept(made.sock, address, made.first)


async def _first(*works: Coroutine[Any, Any, object]) -> None:
    """Run works until the first one ends, and end the others; raises what it raises."""
    tasks = [asyncio.get_running_loop().create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            _raise(task.exception())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _raise(error: BaseException | None) -> None:
    """Raise it; of a group of errors the first one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is not None:
        raise error


def _name() -> str:
    """Of a session: the router knows all of its users' by name."""
    return f"o{secrets.token_hex(8)}"
