"""Clients on blocking sockets that speak to a node in another process: hostile ones, and an honest one that watches."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time

from bad_input import GREETING

from obscura.aio.entropy import SystemSecrets
from obscura.base.digest import double_sha256
from obscura.base.instant import Instant, WallTime
from obscura.base.limits import GARBAGE_BYTES
from obscura.base.randomness import Chance
from obscura.channel.handshake import InitiatorHandshake
from obscura.channel.secure import SecureTransport
from obscura.channel.transport import PlainTransport, Transport
from obscura.crypto.agreement import KeyPair
from obscura.crypto.keysource import PooledKeys
from obscura.ledgers.memory import MemoryLedger
from obscura.node.vault import Vault
from obscura.wire.blocks import Block, GetData, GetHeaders, Headers, Inv
from obscura.wire.frame import HEADER_SIZE, parse_header
from obscura.wire.greeting import Ping, Pong
from obscura.wire.identity import KeyClass
from obscura.wire.inventory import KIND_BLOCK, InventoryItem
from obscura.wire.registry import BY_TYPE_FIELD, Message, encode_message
from obscura.wire.target import Mode

NOW = Instant(0)
"""The clients' clock stands: they neither rekey nor wait."""
_VAULT = Vault(keys=PooledKeys(SystemSecrets(), 0))
HANG_S = 60
"""Nothing that a healthy node does takes so long."""


def source(number: int) -> str:
    """A loopback address in a network group of its own."""
    return f"127.{100 + number // 250}.{number % 250 + 1}.1"


def initiator(genesis: bytes | None = None) -> SecureTransport:
    """The transport of a veiled dial to a node over the memory ledger, or over another chain."""
    chance = Chance(os.urandom(32))
    return _VAULT.dial(
        genesis or MemoryLedger().tip, Mode.VEILED, chance, WallTime(int(time.time())), pin=None, secret=None
    )


def longest_initiator() -> SecureTransport:
    """As :func:`initiator`, with as much garbage as is allowed."""

    def begin(start: bytes) -> InitiatorHandshake:
        return InitiatorHandshake(_VAULT.keys, start, os.urandom(GARBAGE_BYTES))

    return SecureTransport(begin, MemoryLedger().tip, Mode.VEILED, dialled=True)


def responder() -> SecureTransport:
    """The transport of a listener that such a node dials."""
    chance, static = Chance(os.urandom(32)), KeyPair.generate(SystemSecrets())
    vault = Vault(keys=PooledKeys(SystemSecrets(), 0), statics={KeyClass.CLEARNET: static})
    wall = WallTime(int(time.time()))
    return vault.accept(MemoryLedger().tip, Mode.VEILED, KeyClass.CLEARNET, chance, wall)


class Client:
    """One connection to a node, in clear or veiled."""

    def __init__(
        self,
        address: tuple[str, int] | socket.socket,
        host: str | None = None,
        *,
        greet: bool = True,
        receive_buffer: int | None = None,
        veiled: bool = False,
        round_trip_s: float = 0,
        genesis: bytes | None = None,
    ) -> None:
        """``address`` may be a connection that stands; ``genesis`` is of another chain than the memory ledger's.
        ``round_trip_s`` makes the node as far away as that: each answer is waited for so much longer."""
        self.wire: Transport = initiator(genesis) if veiled else PlainTransport()
        self.sock = address if isinstance(address, socket.socket) else socket.socket()
        try:
            self.sock.settimeout(HANG_S)
            if receive_buffer is not None:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if host is not None:
                self.sock.bind((host, 0))
            if not isinstance(address, socket.socket):
                self.sock.connect(address)
            time.sleep(round_trip_s)
            self._stream = bytearray()
            while veiled and not self.wire.secured:
                self.sock.sendall(b"".join(self.wire.take(NOW)))
                time.sleep(round_trip_s)
                data = self.sock.recv(262_144)
                assert data, "the node answers"
                self.wire.open(data, NOW)
            if greet:
                self.sock.sendall(self.sealed(GREETING))
                time.sleep(round_trip_s)
                while self.hear_frame()[0] != "verack":
                    pass
        except BaseException:
            self.sock.close()
            raise

    def hear_frame(self) -> tuple[str, bytes]:
        """The next frame: type name and payload. Raises ``ConnectionError`` at the end of the stream."""
        while True:
            if len(self._stream) >= HEADER_SIZE:
                size, field, _ = parse_header(self._stream, 0)
                if len(self._stream) >= HEADER_SIZE + size:
                    payload = bytes(self._stream[HEADER_SIZE : HEADER_SIZE + size])
                    del self._stream[: HEADER_SIZE + size]
                    return field.rstrip(b"\0").decode(), payload
            data = self.sock.recv(262_144)
            if not data:
                raise ConnectionError("the node has closed")
            for piece in self.wire.open(data, NOW):
                self._stream += piece

    def sealed(self, data: bytes) -> bytes:
        """Clear bytes as they go over the wire, behind all that was sealed before."""
        self.wire.put([data], NOW, urgent=True)
        return b"".join(self.wire.take(NOW))

    def say(self, *messages: Message) -> None:
        """Write messages."""
        self.sock.sendall(self.sealed(b"".join(encode_message(message) for message in messages)))

    def pour(self, data: bytes, patience_s: float = 2) -> int:
        """Write as long as the node takes something within the patience; how much it took."""
        self.sock.settimeout(patience_s)
        sent = 0
        try:
            while sent < len(data):
                sent += self.sock.send(data[sent : sent + 262_144])
        except OSError:
            pass
        self.sock.settimeout(HANG_S)
        return sent

    def close(self, *, reset: bool = False) -> None:
        """End the connection."""
        if reset:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def decode(name: str, payload: bytes) -> Message | None:
    """A message of a known type."""
    row = next((row for row in BY_TYPE_FIELD.values() if row.name == name), None)
    return None if row is None else row.message.from_payload(payload)


class Watch:
    """An honest peer beside the hostile ones. It pings all the time and fetches every block that it is told of."""

    def __init__(self, address: tuple[str, int], host: str = "127.99.99.1", *, veiled: bool = False) -> None:
        self.pings = 0
        self.slowest_s = 0.0
        self.failure = ""
        self.blocks: set[bytes] = set()
        self._client = Client(address, host, veiled=veiled)
        self._awaited = 0
        self._sent_at = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._pinger = threading.Thread(target=self._ping, daemon=True)
        self._listener.start()
        self._pinger.start()

    def _say(self, *messages: Message) -> None:
        with self._lock:
            self._client.say(*messages)

    def _ping(self) -> None:
        nonce = 0
        while not self._stop.is_set():
            if not self._awaited:
                nonce += 1
                self._sent_at, self._awaited = time.monotonic(), nonce
                try:
                    self._say(Ping(nonce))
                except OSError as error:
                    self.failure = self.failure or repr(error)
                    return
            self._stop.wait(0.05)

    def _listen(self) -> None:
        try:
            while not self._stop.is_set():
                self._one(decode(*self._client.hear_frame()))
        except Exception as error:  # whatever it is, the test is to see it
            if not self._stop.is_set():
                self.failure = self.failure or repr(error)

    def _one(self, message: Message | None) -> None:
        match message:
            # A Pong is a kind of Ping, so it is looked for first.
            case Pong(nonce):
                if nonce == self._awaited:
                    self.slowest_s = max(self.slowest_s, time.monotonic() - self._sent_at)
                    self.pings += 1
                    self._awaited = 0
            case Ping(nonce):
                self._say(Pong(nonce))
            case GetHeaders():
                self._say(Headers(()))
            case Headers():
                self.fetch(*(double_sha256(header) for header in message.headers))
            case Inv():
                self.fetch(*(item.hash for item in message.items if item.kind == KIND_BLOCK))
            case Block():
                self.blocks.add(double_sha256(message.data[:80]))

    def fetch(self, *hashes: bytes) -> None:
        """Ask for blocks."""
        if hashes:
            self._say(GetData(tuple(InventoryItem(KIND_BLOCK, one) for one in hashes)))

    def expect(self, block: bytes) -> None:
        """Wait until it has a block."""
        deadline = time.monotonic() + HANG_S
        while block not in self.blocks:
            assert not self.failure, f"the honest link has failed: {self.failure}"
            assert time.monotonic() < deadline, "the honest link did not get a block"
            time.sleep(0.02)

    def expect_pongs(self, count: int = 3) -> None:
        """Wait until so many more pings were answered."""
        wanted, deadline = self.pings + count, time.monotonic() + HANG_S
        while self.pings < wanted:
            assert not self.failure, f"the honest link has failed: {self.failure}"
            assert time.monotonic() < deadline, "the honest link's ping was not answered"
            time.sleep(0.02)

    def close(self) -> None:
        """End it; nothing that was asked of the node may be open."""
        if not self._stop.is_set():
            self.expect_pongs(1)
        self._stop.set()
        self._client.close(reset=False)
        with contextlib.suppress(OSError):
            self._client.sock.shutdown(socket.SHUT_RDWR)
        self._pinger.join(HANG_S)
