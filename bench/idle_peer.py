"""One process of the benchmark of idle links: holds links that its own child opens, and says what they cost.

``bare N SECONDS``: a uvloop server. ``plain N SECONDS``, and so ``pad``, ``cover`` and ``steady``: a whole node with a
ledger in memory, and links in clear, or veiled and with this profile at the node's side; the child's are padded.
Processor time is measured for so long after the links have opened. ``dial HOST PORT N KIND``: the child.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import selectors
import socket
import subprocess
import sys
import time

import uvloop

from obscura.aio import Driver
from obscura.aio.entropy import system_chance
from obscura.aio.listen import open_listener
from obscura.aio.worker import LedgerWorker
from obscura.base.instant import MICROSECONDS
from obscura.channel import Channel, Opened, Role
from obscura.ledgers.memory import MemoryLedger
from obscura.node import Node, NodeConfig
from obscura.shaping import Profile, Shaping
from obscura.wire.address import parse_address
from obscura.wire.blocks import GetHeaders, Headers
from obscura.wire.target import Mode

from .secured import channel, clock, make_vault

GROUPS = 8  # local addresses that links are opened from: a network group may have only so many unfinished handshakes


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _dial(host: str, port: int, count: int, kind: str) -> None:
    """Open links one after the other, complete each handshake, and hold them until stdin ends."""
    held: list[tuple[socket.socket, Channel]] = []
    bare: list[socket.socket] = []
    vault = make_vault()
    for number in range(count):
        sock = socket.create_connection((host, port), source_address=(f"127.0.{number % GROUPS + 1}.1", 0))
        if kind == "bare":
            bare.append(sock)
        else:
            link = channel("plain" if kind == "plain" else "pad", Role.INITIATOR, vault)
            held.append((sock, link))
            event = None
            while not isinstance(event, Opened):
                sock.sendall(link.take_data(clock()))
                link.receive_data(sock.recv(65_536), clock())
                event = link.next_event(clock())
            sock.sendall(link.take_data(clock()))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    _keep(held)


def _keep(held: list[tuple[socket.socket, Channel]]) -> None:
    """Answer what idle peers are asked, and ping as they do, until stdin ends."""
    waiting = selectors.DefaultSelector()
    waiting.register(sys.stdin, selectors.EVENT_READ)
    for sock, link in held:
        waiting.register(sock, selectors.EVENT_READ, link)
    while True:
        due = min((link.next_deadline() or 0 for _, link in held), default=clock() + MICROSECONDS)
        ready = waiting.select(max(0, due - clock()) / MICROSECONDS)
        for key, _ in ready:
            if key.fileobj is sys.stdin:
                return
            link = key.data
            link.receive_data(key.fileobj.recv(65_536), clock())  # type: ignore[union-attr]
            while (event := link.next_event(clock())) is not None:
                if isinstance(event, GetHeaders):
                    link.send(Headers(()))
        now = clock()
        for sock, link in held:
            if (at := link.next_deadline()) is not None and at <= now:
                link.handle_deadline(now)
            if data := link.take_data(now):
                sock.sendall(data)


async def _hold(kind: str, count: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    driver = server = running = None
    if kind != "bare":
        listener = open_listener(parse_address("127.0.0.1:0"))
        port = listener.getsockname()[1]
        ledger = MemoryLedger()
        worker = LedgerWorker(ledger)
        restored = await worker.run(ledger.restore)
        config = NodeConfig(
            transport=Mode.PLAIN if kind == "plain" else Mode.VEILED,
            shaping=Shaping(profile=Profile.PAD if kind == "plain" else Profile(kind)),
            network="memory",
            user_agent="/Obscura:bench/",
            discover=False,
            inbound_slots=count,
        )
        vault = None if kind == "plain" else make_vault()
        driver = Driver(
            lambda now: Node(config, ledger, system_chance(), restored, (), now, vault=vault),
            worker,
            listener=listener,
        )
        running = asyncio.ensure_future(driver.run())
    else:
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
    await asyncio.sleep(0.1)
    gc.collect()
    before = _resident()
    command = [sys.executable, "-m", "bench.idle_peer", "dial", "127.0.0.1", str(port), str(count), kind]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdin is not None
    await loop.run_in_executor(None, child.stdout.readline)
    await asyncio.sleep(0.5)
    gc.collect()
    if driver is not None:
        links = sum(peer.state == "open" for peer in driver.snapshot().peers)
        assert links == count, f"{links} links stand"
    size, began, used = (_resident() - before) / count, time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    share = (time.process_time() - used) / (time.perf_counter() - began)
    if driver is not None:
        assert len(driver.snapshot().peers) == count, "and have stood all the time"
    sys.stdout.write(json.dumps({"bytes_per_link": size, "share": share}) + "\n")
    child.stdin.close()
    child.wait()
    if driver is not None and running is not None:
        await driver.stop()
        await running
    if server is not None:
        server.close()


if __name__ == "__main__":
    if sys.argv[1] == "dial":
        _dial(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        uvloop.run(_hold(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
