"""One honest process of the ping benchmark. It obeys lines on stdin, answers each by a line of JSON, and ends with its
stdin; its first line says where it listens.

``victim``: a veiled node on a chain in memory of BASE blocks. ``dial PORT`` has it sync from there, ``state`` asks how
it stands.
``source COUNT``: a node that has COUNT blocks more.
``pinger PORT``: a peer with a veiled link to the node at PORT. ``measure SECONDS`` has it ping, PAUSE_S after each
answer, and gives all round trips in seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import select
import socket
import sys
import time
from pathlib import Path

import uvloop

from obscura.aio import Driver
from obscura.aio.allocator import keep_memory
from obscura.aio.entropy import SystemSecrets, system_chance
from obscura.aio.listen import open_listener
from obscura.aio.pools import kept_full
from obscura.aio.worker import LedgerWorker
from obscura.crypto.agreement import KeyPair
from obscura.crypto.keysource import PooledKeys
from obscura.ledgers.memory import MemoryLedger
from obscura.node import Node, NodeConfig
from obscura.node.effects import Event, LinkClosed, LinkOpened, TipMoved
from obscura.node.vault import Vault
from obscura.wire.address import parse_address
from obscura.wire.blocks import Headers
from obscura.wire.greeting import Ping, Pong
from obscura.wire.identity import KeyClass
from obscura.wire.registry import encode_message
from obscura.wire.target import Mode, Target

from .pings_veil import BASE, Veil, decode, grown

PAUSE_S = 0.02


def say(**values: object) -> None:
    """A line for the parent."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


class _Events:
    """What a node has told."""

    def __init__(self) -> None:
        self.began = self.synced = 0.0
        self.target = -1
        self.source = 0
        self.opened = self.closed = 0
        self.reasons: dict[str, int] = {}

    def hear(self, event: Event) -> None:
        """Called by the driver."""
        if isinstance(event, LinkOpened):
            self.opened += 1
            if not event.inbound:
                self.began = time.perf_counter()
        elif isinstance(event, LinkClosed):
            self.closed += 1
            self.reasons[event.reason] = self.reasons.get(event.reason, 0) + 1
        elif isinstance(event, TipMoved) and event.height == self.target:
            self.synced = time.perf_counter()


def _memory(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1_024
    return 0


async def _node(count: int) -> None:
    """A node, until stdin ends."""
    ledger = MemoryLedger()
    grown(ledger, BASE + count)
    restored = ledger.restore()
    listener = open_listener(parse_address("127.0.0.1:0"))
    # It learns addresses, and dials none of them.
    config = NodeConfig(
        transport=Mode.VEILED, network="memory", user_agent="/Obscura:bench/", allow_local=True, outbound_slots=0
    )
    keys, events = PooledKeys(SystemSecrets()), _Events()
    vault = Vault(keys=keys, statics={KeyClass.CLEARNET: KeyPair.generate(SystemSecrets())})
    driver = Driver(
        lambda now: Node(config, ledger, system_chance(), restored, (), now, vault=vault),
        LedgerWorker(ledger),
        listener=listener,
        listeners=(events.hear,),
    )
    running = asyncio.ensure_future(driver.run())
    # A new high-water mark: making the chain is not the node's memory.
    Path("/proc/self/clear_refs").write_text("5")
    say(port=listener.getsockname()[1])
    loop = asyncio.get_running_loop()
    async with kept_full(keys):
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            match line.split():
                case ["dial", port, height]:
                    events.target = int(height)
                    driver.add_peer(Target(parse_address(f"127.0.0.1:{port}")))
                    say(height=driver.snapshot().height)
                case ["state"]:
                    _tell_state(driver, events)
    await driver.stop()
    await running


def _tell_state(driver: Driver, events: _Events) -> None:
    usage, picture = resource.getrusage(resource.RUSAGE_SELF), driver.snapshot()
    say(
        height=picture.height,
        sync_s=max(0.0, events.synced - events.began) if events.synced else 0.0,
        cpu=usage.ru_utime + usage.ru_stime,
        memory=_memory("VmRSS:"),
        peak=_memory("VmHWM:"),
        bytes_in=picture.bytes_in,
        opened=events.opened,
        closed=events.closed,
        reasons=events.reasons,
        links=len(picture.peers),
    )


def _pinger(port: int) -> None:
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.bind(("127.99.9.9", 0))
    sock.connect(("127.0.0.1", port))
    veil = Veil()

    def read() -> list[tuple[str, bytes]]:
        """The next frames; honest answers to what needs one."""
        data = sock.recv(262_144)
        if not data:
            raise ConnectionError("the victim has closed the honest link")
        found = veil.frames(data)
        if not veil.opened:
            sock.sendall(veil.to_send())
        for name, payload in found:
            if name == "ping":
                sock.sendall(veil.sealed(encode_message(Pong(int.from_bytes(payload, "little")))))
            elif name == "getheaders":
                sock.sendall(veil.sealed(encode_message(Headers(()))))
        return found

    def ping(nonce: int) -> float:
        began = time.perf_counter()
        sock.sendall(veil.sealed(encode_message(Ping(nonce))))
        while True:
            for name, payload in read():
                if name == "pong" and decode(name, payload) == Pong(nonce):
                    return time.perf_counter() - began

    sock.sendall(veil.to_send())
    while not veil.opened:
        read()
    sock.sendall(veil.to_send())
    ping(1)
    say(ready=True)
    nonce, rest = 1, b""
    while True:
        ready, _, _ = select.select([sock, sys.stdin], [], [])
        if sock in ready:
            read()
        if sys.stdin in ready:
            rest += os.read(sys.stdin.fileno(), 4_096)
            if not rest:
                return
            line, _, rest = rest.partition(b"\n")
            until, times = time.perf_counter() + float(line.split()[1]), []
            while time.perf_counter() < until:
                nonce += 1
                times.append(ping(nonce))
                time.sleep(PAUSE_S)
            say(times=times)


def main(arguments: list[str]) -> None:
    """See the head of this file."""
    keep_memory()
    match arguments:
        case ["victim"]:
            uvloop.run(_node(0))
        case ["source", count]:
            uvloop.run(_node(int(count)))
        case ["pinger", port]:
            _pinger(int(port))


if __name__ == "__main__":
    main(sys.argv[1:])
