"""Whole nodes on real loopback sockets, and a peer that a test plays by hand over one."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
import uvloop
from pair import make_version

from obscura.aio.dial import DirectWay
from obscura.aio.driver import Driver
from obscura.aio.entropy import SystemSecrets, system_chance
from obscura.aio.listen import open_listener
from obscura.aio.saver import SaveBroadcasts, SavePins, SaveTransactions
from obscura.aio.ways import Ways
from obscura.aio.worker import LedgerWorker
from obscura.base.instant import Now
from obscura.chain.ledger import Ledger
from obscura.crypto.agreement import KeyPair
from obscura.crypto.keysource import PooledKeys
from obscura.ledgers.memory import MemoryLedger, mine
from obscura.node import Node, NodeConfig
from obscura.node.effects import Event
from obscura.node.vault import Vault
from obscura.peers.pins import NamedPin
from obscura.peers.replay import ReplayWindow
from obscura.wire.address import NetAddress, Network
from obscura.wire.features import Feature, FeatureSet
from obscura.wire.frame import HEADER_SIZE, parse_header
from obscura.wire.greeting import GetAddr, Ping, Pong, Verack, Version
from obscura.wire.identity import KeyClass
from obscura.wire.registry import BY_TYPE_FIELD, Message, encode_message
from obscura.wire.target import Mode, Target

T = TypeVar("T")
LOOPS = pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
"""Runs a test on both loops."""
Factory = Callable[[], asyncio.AbstractEventLoop]

_hosts = itertools.count(1)


def run(factory: Factory, main: Coroutine[Any, Any, T], limit_s: float = 60) -> T:
    """Run a test's coroutine on a loop of its own. What the loop would only log fails the test."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        async with asyncio.timeout(limit_s):
            return await main

    with asyncio.Runner(loop_factory=factory) as runner:
        result = runner.run(watched())
    assert not complaints, complaints
    return result


def free_host() -> NetAddress:
    """127.x.y.1 with a port that the system chooses: no two nodes of a test run share an address."""
    number = next(_hosts)
    return NetAddress(Network.IPV4, bytes([127, number // 250 + 1, number % 250 + 1, 1]), 0)


async def until(condition: Callable[[], object], what: str, limit_s: float = 20) -> None:
    """Wait for something that other tasks bring about."""
    try:
        async with asyncio.timeout(limit_s):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        pytest.fail(f"not within {limit_s} s: {what}")


def make_vault(access: bytes | None = None) -> Vault:
    """New keys of a node that listens."""
    secrets = SystemSecrets()
    statics = {KeyClass.CLEARNET: KeyPair.generate(secrets)}
    return Vault(keys=PooledKeys(secrets), statics=statics, access=access)


class RealNode:
    """A node, its ledger and its driver."""

    def __init__(
        self,
        connect: Iterable[NetAddress] = (),
        ledger: Ledger | None = None,
        make: Callable[..., Node] = Node,
        pins: Iterable[NamedPin] = (),
        save_pins: SavePins | None = None,
        save_transactions: SaveTransactions | None = None,
        save_broadcasts: SaveBroadcasts | None = None,
        vault: Vault | None = None,
        **config: Any,
    ) -> None:
        self.ledger: Any = ledger or MemoryLedger()
        self.events: list[Event] = []
        self.saved: list[tuple[Any, ...]] = []
        host = free_host()
        self.listener = open_listener(host)
        self.address = NetAddress(host.network, host.raw, self.listener.getsockname()[1])
        settings = NodeConfig(
            transport=Mode.PLAIN if vault is None else Mode.VEILED,
            network="memory",
            user_agent="/Obscura:0.1(python)/",
            connect=tuple(Target(address) for address in connect),
            advertise=(self.address,),
            allow_local=True,
            **({"discover": False} | config),
        )
        self.worker = LedgerWorker(self.ledger)

        def make_node(now: Now) -> Node:
            return make(settings, self.ledger, system_chance(), self.ledger.restore(), (), now, pins=pins, vault=vault)

        self.driver = Driver(
            make_node,
            self.worker,
            listener=self.listener,
            ways=Ways(dict.fromkeys((Network.IPV4, Network.IPV6), DirectWay(self.address.host()))),
            save=self.saved.append,
            save_pins=save_pins,
            save_transactions=save_transactions,
            save_broadcasts=save_broadcasts,
            replays=ReplayWindow(),
            listeners=(self.events.append,),
        )

    @property
    def height(self) -> int:
        """Of the node's own view of the chain."""
        return self.driver.snapshot().height


@asynccontextmanager
async def running(*nodes: RealNode) -> AsyncIterator[None]:
    """Run nodes; stop them all at the end, whatever happened."""
    tasks = [asyncio.create_task(node.driver.run()) for node in nodes]
    await asyncio.sleep(0)
    try:
        yield
    finally:
        for node in nodes:
            node.driver.request_stop()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def chain(count: int, size: int = 0, ledger: MemoryLedger | None = None) -> list[bytes]:
    """``count`` blocks on top of ``ledger``'s tip, whose bodies have about ``size`` bytes."""
    ledger = ledger or MemoryLedger()
    previous, blocks = ledger.tip, []
    for step in range(count):
        time = 1_700_000_001 + ledger.height + step
        block = mine(previous, step.to_bytes(4, "little") + bytes(size), time)
        previous = ledger.identify_block(block).hash
        blocks.append(block)
    return blocks


def ledger_of(count: int, size: int = 0) -> MemoryLedger:
    """A ledger that holds ``count`` blocks."""
    ledger = MemoryLedger()
    ledger.accept_blocks(chain(count, size))
    return ledger


class RawPeer:
    """A connection to a node's listener, spoken in messages or bytes. Opened by :func:`dialled`."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()
        self._stream = b""

    async def send(self, data: bytes) -> None:
        """Write raw bytes; waits while the node does not take them."""
        await self._loop.sock_sendall(self.sock, data)

    async def say(self, *messages: Message) -> None:
        """Write messages."""
        await self.send(b"".join(encode_message(message) for message in messages))

    async def hear(self) -> Message | None:
        """The next message but pings (answered here) and ``getaddr``; ``None`` at the end of the stream."""
        while True:
            while len(self._stream) >= HEADER_SIZE:
                size, field, _ = parse_header(self._stream, 0)
                if len(self._stream) < HEADER_SIZE + size:
                    break
                payload = self._stream[HEADER_SIZE : HEADER_SIZE + size]
                self._stream = self._stream[HEADER_SIZE + size :]
                message = BY_TYPE_FIELD[field].message.from_payload(payload)
                if type(message) is Ping:
                    await self.say(Pong(message.nonce))
                elif not isinstance(message, GetAddr):
                    return message
            data = await self._loop.sock_recv(self.sock, 262_144)
            if not data:
                return None
            self._stream += data

    async def hear_a(self, kind: type[T]) -> T:
        """The next message of a kind; others are passed over."""
        while True:
            message = await self.hear()
            if isinstance(message, kind):
                return message
            assert message is not None, f"the stream ended before a {kind.__name__}"

    async def greet(self, features: Feature = Feature.NONE) -> None:
        """Do the handshake."""
        await self.say(make_version(4242, FeatureSet(features)))
        await self.hear_a(Version)
        await self.say(Verack())
        await self.hear_a(Verack)

    def reset(self) -> None:
        """End the connection by a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


@asynccontextmanager
async def dialled(
    node: RealNode, *, receive_buffer: int | None = None, greet: bool = True, features: Feature = Feature.NONE
) -> AsyncIterator[RawPeer]:
    """Connect to a node; the socket is closed at the end."""
    sock = socket.socket()
    try:
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(sock, (node.address.host(), node.address.port))
        peer = RawPeer(sock)
        if greet:
            await peer.greet(features)
        yield peer
    finally:
        sock.close()


async def within(limit_s: float, work: Awaitable[T]) -> T:
    """``work`` must be done within ``limit_s``."""
    async with asyncio.timeout(limit_s):
        return await work
