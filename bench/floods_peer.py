"""One process of the flood benchmark. What it has measured goes to stdout as lines of JSON.

The first argument of each is the mean delay of announcements in seconds, 0 for a node's own.

``MEAN honest COUNT``: a source that the victim dials (its port is printed), and a sink that dials the victim, whose
port is read from stdin; then COUNT transactions from one to the other, and how long each took.
``MEAN victim PORT``: a node that dials the source at PORT, until stdin ends.
``MEAN flood KIND PORT LINKS``: until it is killed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import resource
import sys
import time
from collections.abc import Callable

import uvloop

from obscura.aio import Driver
from obscura.aio.entropy import system_chance
from obscura.aio.listen import open_listener
from obscura.aio.worker import LedgerWorker
from obscura.base.digest import double_sha256
from obscura.base.instant import Instant, seconds
from obscura.base.limits import TRICKLE_INBOUND, TRICKLE_OUTBOUND
from obscura.base.randomness import Chance
from obscura.chain import OutPoint
from obscura.channel import Channel, Opened, Role
from obscura.ledgers.memory import MemoryLedger
from obscura.ledgers.memory_transactions import FAUCET_AMOUNT, faucet, make_transaction
from obscura.node import Node, NodeConfig
from obscura.node.config import NoStem
from obscura.wire.address import parse_address
from obscura.wire.blocks import Inv, Tx
from obscura.wire.features import Feature, FeatureSet
from obscura.wire.greeting import Version
from obscura.wire.inventory import KIND_TX, InventoryItem
from obscura.wire.registry import Message, encode_message
from obscura.wire.target import Mode, Target

_EVERY_S = 0.1
_MEAN_S = float(sys.argv[1]) if __name__ == "__main__" else 0.0
_BATCH = 50


def say(**values: object) -> None:
    """A line for the parent."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def driver(connect: int | None, *, listens: bool) -> tuple[Driver, int]:
    """A node in clear on a chain in memory."""
    listener = open_listener(parse_address("127.0.0.1:0")) if listens else None
    config = NodeConfig(
        transport=Mode.PLAIN,
        network="memory",
        user_agent="/Obscura:bench/",
        connect=() if connect is None else (Target(parse_address(f"127.0.0.1:{connect}")),),
        allow_local=True,
        discover=False,
        # What is looked at is the open: nothing waits for a stem peer.
        no_stem=NoStem.NOW,
        relay_inbound_mean=seconds(_MEAN_S) if _MEAN_S else TRICKLE_INBOUND,
        relay_outbound_mean=seconds(_MEAN_S) if _MEAN_S else TRICKLE_OUTBOUND,
    )
    ledger = MemoryLedger()
    restored = ledger.restore()
    made = Driver(
        lambda now: Node(config, ledger, system_chance(), restored, (), now), LedgerWorker(ledger), listener=listener
    )
    return made, 0 if listener is None else listener.getsockname()[1]


async def _honest(count: int) -> None:
    source, port = driver(None, listens=True)
    running = [asyncio.ensure_future(source.run())]
    say(port=port)
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    sink, _ = driver(int(line), listens=False)
    running.append(asyncio.ensure_future(sink.run()))
    while not (source.snapshot().relay.links and sink.snapshot().relay.links):
        await asyncio.sleep(0.01)
    sent: dict[bytes, float] = {}
    delays: list[float] = []
    due = time.perf_counter()
    while len(delays) < count and time.perf_counter() < due + 120:
        if len(sent) + len(delays) < count and time.perf_counter() >= due:
            due += _EVERY_S
            number = 1_000_000 + len(sent) + len(delays)
            data = make_transaction([faucet(number)], [FAUCET_AMOUNT - 20_000])
            sent[double_sha256(data)] = time.perf_counter()
            await source.submit_transaction(data)
        now = time.perf_counter()
        for item in sink.mempool():
            began = sent.pop(item.relay_id, None)
            if began is not None:
                delays.append(now - began)
        await asyncio.sleep(0.005)
    say(delays=sorted(delays))
    for one in (source, sink):
        await one.stop()
    await asyncio.gather(*running)


async def _victim(port: int) -> None:
    node, mine = driver(port, listens=True)
    running = asyncio.ensure_future(node.run())
    say(port=mine)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    picture = node.snapshot()
    say(cpu=usage.ru_utime + usage.ru_stime, memory=usage.ru_maxrss * 1_024, bytes_in=picture.bytes_in)
    await node.stop()
    await running


def _kinds() -> dict[str, Callable[[], Message]]:
    numbers = itertools.count(2_000_000)

    def orphan() -> Message:
        return Tx(make_transaction([OutPoint(os.urandom(36))], [1_000]))

    def giant() -> Message:
        number = next(numbers)
        points = [faucet(number, index) for index in range(200)]
        return Tx(make_transaction(points, [200 * FAUCET_AMOUNT - 1], pad=60_000))

    def announcement() -> Message:
        return Inv(tuple(InventoryItem(KIND_TX, os.urandom(32)) for _ in range(500)))

    return {
        "conflicts": lambda: Tx(make_transaction([faucet(7)], [FAUCET_AMOUNT - 10_000], salt=next(numbers))),
        "low fee": lambda: Tx(make_transaction([faucet(next(numbers))], [FAUCET_AMOUNT - 1])),
        "orphans": orphan,
        "giants": giant,
        "announcements": announcement,
    }


async def _flood(kind: str, port: int, links: int) -> None:
    make = _kinds()[kind]

    async def one(number: int) -> None:
        local = (f"127.{number + 2}.1.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=local)
        version = Version(1, 1_800_000_000, FeatureSet(Feature.BASIC_TRANSACTIONS), "/flood/", bytes(32), 0, number + 1)  # type: ignore[arg-type]
        chance = Chance.from_seed(number)
        channel = Channel(Role.INITIATOR, version, lambda nonce: False, chance, Instant(0))
        while True:
            writer.write(channel.take_data(Instant(0)))
            channel.receive_data(await reader.read(65_536), Instant(0))
            if isinstance(channel.next_event(Instant(0)), Opened):
                break
        writer.write(channel.take_data(Instant(0)))
        asyncio.ensure_future(_drain(reader))  # noqa: RUF006 it lasts as long as the process
        while True:
            # As much as the victim takes, and no more.
            writer.write(b"".join(encode_message(make()) for _ in range(1 if kind == "giants" else _BATCH)))
            await writer.drain()

    await asyncio.gather(*(one(number) for number in range(links)))


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(65_536):
        pass


if __name__ == "__main__":
    match sys.argv[2:]:
        case ["honest", number]:
            uvloop.run(_honest(int(number)))
        case ["victim", number]:
            uvloop.run(_victim(int(number)))
        case ["flood", kind, number, links]:
            uvloop.run(_flood(kind, int(number), int(links)))
