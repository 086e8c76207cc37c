"""The hostile process of the ping benchmark: ``KIND HOST PORT LINKS``, until it is killed.

Its links come from network groups of their own and do what the protocol allows, or forbids, as fast as the node takes
it. A link that is closed is opened anew at once. What is sent is made beforehand, but for the encryption. The process
has a core when nobody else wants it: a flooder's own machine would not take the node's.

Each second a line of JSON says what was done so far: ``opened`` links, ``sent`` bytes (all in the last kind of
``KINDS``, nothing but handshakes).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import uvloop

from obscura.base.digest import double_sha256
from obscura.base.limits import ADDR_ITEMS, BLOCK_BYTES, HEADERS_ITEMS, HEADERS_UNASKED, INV_ITEMS
from obscura.base.names import NULL_HASH, BlockHash
from obscura.chain import OutPoint
from obscura.ledgers.memory import MemoryLedger, mine
from obscura.ledgers.memory_transactions import FAUCET_AMOUNT, faucet, make_transaction
from obscura.wire.address import AddressEntry, NetAddress, Network
from obscura.wire.blocks import Block, GetBlocks, GetData, GetHeaders, Headers, Inv, NotFound, Tx
from obscura.wire.frame import encode_frame, type_field
from obscura.wire.gossip import Addr
from obscura.wire.greeting import GetAddr, Mempool, Ping, Pong
from obscura.wire.inventory import KIND_BLOCK, KIND_TX, InventoryItem
from obscura.wire.registry import Message, encode_message

from .pings_veil import BASE, Veil, grown

_CHUNK: Final = 262_144


def _name() -> bytes:
    return os.urandom(32)


def _frames(*messages: Message) -> bytes:
    return b"".join(map(encode_message, messages))


def _locating(kind: type[GetHeaders] | type[GetBlocks]) -> Message:
    return kind(1, (MemoryLedger().tip,), NULL_HASH)


def _transactions() -> Iterator[bytes]:
    for number in itertools.count(3_000_000):
        low = make_transaction([faucet(number)], [FAUCET_AMOUNT - 1])
        conflict = make_transaction([faucet(7)], [FAUCET_AMOUNT - 10_000], salt=number)
        orphan = make_transaction([OutPoint(os.urandom(36))], [1_000])
        wide = make_transaction([faucet(number, index) for index in range(1, 200)], [FAUCET_AMOUNT], pad=1_000)
        yield _frames(*map(Tx, (low, conflict, orphan, wide)))


def _addresses(number: int) -> Addr:
    entries = (
        AddressEntry(int(time.time()), 1, NetAddress(Network.IPV4, bytes([8, *os.urandom(3)]), 8_333))  # type: ignore[arg-type]
        for _ in range(number)
    )
    return Addr(tuple(entries))


def _inventory(kind: int, count: int = INV_ITEMS) -> tuple[InventoryItem, ...]:
    return tuple(InventoryItem(kind, _name()) for _ in range(count))


def _low_branch(count: int) -> tuple[bytes, ...]:
    """Headers with valid work and less of it than the chain."""
    ledger, made, previous = MemoryLedger(), [], MemoryLedger().tip
    salt = os.urandom(8)
    for step in range(count):
        made.append(mine(previous, salt, 1_700_000_001 + step)[:80])
        previous = ledger.identify_header(made[-1]).hash
    return tuple(made)


def _everything() -> bytes:
    """The smallest of each message, which costs most for its size."""
    empty = (Ping(1), Pong(1), Inv(()), GetData(()), NotFound(()), Addr(()), Headers(()), GetAddr(), Mempool())
    return _frames(*empty, _locating(GetHeaders), _locating(GetBlocks)) + encode_frame(type_field("news"), b"")


@dataclass
class Link:
    """A hostile link that is open."""

    veil: Veil
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    totals: Totals
    heard: list[tuple[str, bytes]] = field(default_factory=list)

    async def pour(self, clear: bytes) -> None:
        """Send clear bytes as the node takes them."""
        await self.raw(self.veil.sealed(clear))

    async def raw(self, data: bytes) -> None:
        """Send bytes of the wire."""
        for at in range(0, len(data), _CHUNK):
            self.writer.write(data[at : at + _CHUNK])
            await self.writer.drain()
            self.totals.sent += len(data[at : at + _CHUNK])


@dataclass
class Totals:
    """What was done."""

    opened: int = 0
    sent: int = 0


Flood: TypeAlias = Callable[[Link], Awaitable[None]]


def _repeated(make: Callable[[], bytes], least: int = 65_536) -> Flood:
    """The same bytes again and again."""
    once = make()
    blob = once * max(1, least // len(once))

    async def flood(link: Link) -> None:
        while True:
            await link.pour(blob)

    return flood


def _varied(make: Callable[[], bytes], variants: int) -> Flood:
    """A few different pieces, each link from another one on."""
    pieces = [make() for _ in range(variants)]

    async def flood(link: Link) -> None:
        for number in itertools.count(link.number):
            await link.pour(pieces[number % variants])

    return flood


async def _broken_records(link: Link) -> None:
    record = bytearray(link.veil.sealed(_frames(Ping(1)) * 100))
    record[-1] ^= 1
    await link.raw(bytes(record))
    for _ in range(20):
        await link.raw(os.urandom(_CHUNK))


async def _half_blocks(link: Link) -> None:
    await link.pour(encode_frame(type_field("block"), bytes(BLOCK_BYTES))[: -BLOCK_BYTES // 20])
    while True:
        await link.pour(b"\0")
        await asyncio.sleep(0.05)


def _unasked_headers() -> Flood:
    """Branches of eight; and as many headers as are allowed for an answer when the node asks."""
    small = [_frames(Headers(_low_branch(HEADERS_UNASKED))) for _ in range(400)]
    large = [_frames(Headers(_low_branch(HEADERS_ITEMS))) for _ in range(8)]

    async def flood(link: Link) -> None:
        for number in itertools.count(link.number * 20):
            if any(name == "getheaders" for name, _ in link.heard):
                link.heard.clear()
                await link.pour(large[number % len(large)])
            await link.pour(b"".join(small[(number + step) % len(small)] for step in range(8)))

    return flood


async def _reconnects(link: Link) -> None:
    await link.pour(_everything() * 300)


def _slices() -> Flood:
    """What costs nothing, and then what costs most: for a node that guesses costs by those before."""
    cheap, dear = encode_frame(type_field("news"), bytes(1_000_000)), _frames(Ping(1), Pong(1), GetAddr()) * 4_000

    async def flood(link: Link) -> None:
        while True:
            await link.pour(cheap + dear)

    return flood


KINDS: Final[dict[str, Callable[[], Flood]]] = {
    "pings": lambda: _repeated(lambda: _frames(Ping(1))),
    "unknown types": lambda: _repeated(lambda: encode_frame(type_field("news"), b"")),
    "a bit of everything": lambda: _repeated(_everything),
    "cheap, then dear": _slices,
    "malformed": lambda: _repeated(lambda: encode_frame(type_field("inv"), b"\5")),
    "broken records": lambda: _broken_records,
    "getheaders": lambda: _repeated(lambda: _frames(_locating(GetHeaders))),
    "getdata of blocks": lambda: _repeated(_known_blocks),
    "getdata of nothing": lambda: _varied(lambda: _frames(GetData(_inventory(KIND_BLOCK))), 4),
    "inv of transactions": lambda: _varied(lambda: _frames(Inv(_inventory(KIND_TX))), 40),
    "inv of blocks": lambda: _varied(lambda: _frames(Inv(_inventory(KIND_BLOCK))), 8),
    "notfound": lambda: _varied(lambda: _frames(NotFound(_inventory(KIND_TX))), 4),
    "headers": _unasked_headers,
    "addresses": lambda: _varied(lambda: _frames(_addresses(ADDR_ITEMS)), 40),
    "blocks unasked": lambda: _varied(lambda: _frames(Block(mine(BlockHash(_name()), bytes(BLOCK_BYTES - 80), 1))), 4),
    "half blocks": lambda: _half_blocks,
    "transactions": lambda: _varied(lambda: b"".join(itertools.islice(_transactions(), 50)), 40),
    "reconnects": lambda: _reconnects,
    "handshakes": lambda: _reconnects,
}
"""By name: makes what a link does once it is open. ``handshakes`` do not come so far."""


def _known_blocks() -> bytes:
    names = [double_sha256(block[:80]) for block in grown(MemoryLedger(), BASE)]
    return _frames(GetData(tuple(InventoryItem(KIND_BLOCK, name) for name in names)))


def source(number: int) -> str:
    """A loopback address in a network group of its own."""
    return f"127.{10 + number // 250}.{number % 250 + 1}.1"


async def _hear(link: Link) -> None:
    while data := await link.reader.read(_CHUNK):
        link.heard += link.veil.frames(data)
        del link.heard[:-20]


async def _link(kind: str, flood: Flood, host: str, port: int, number: int, serial: int, totals: Totals) -> None:
    reader, writer = await asyncio.open_connection(host, port, local_addr=(source(number), 0))
    hearing: asyncio.Task[None] | None = None
    try:
        if kind == "handshakes":
            writer.write(os.urandom(64))
            async with asyncio.timeout(1):
                answered = bool(await reader.read(_CHUNK))
            # Not in one line with the wait: others count meanwhile.
            totals.opened += answered
            totals.sent += 64
            return
        veil = Veil()
        writer.write(veil.to_send())
        while not veil.opened:
            data = await reader.read(_CHUNK)
            if not data:
                return
            veil.frames(data)
            writer.write(veil.to_send())
        totals.opened += 1
        link = Link(veil, reader, writer, number + serial, totals)
        hearing = asyncio.ensure_future(_hear(link))
        flooding = asyncio.ensure_future(flood(link))
        await asyncio.wait((hearing, flooding), return_when=asyncio.FIRST_COMPLETED)
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
    finally:
        if hearing is not None:
            hearing.cancel()
        writer.transport.abort()


async def _run(kind: str, host: str, port: int, links: int) -> None:
    flood, totals = KINDS[kind](), Totals()

    async def one(number: int) -> None:
        for serial in itertools.count():
            try:
                await _link(kind, flood, host, port, number, serial, totals)
            except (OSError, TimeoutError):
                await asyncio.sleep(0.01)

    running = [asyncio.ensure_future(one(number)) for number in range(links)]
    while True:
        sys.stdout.write(json.dumps({"opened": totals.opened, "sent": totals.sent}) + "\n")
        sys.stdout.flush()
        await asyncio.wait(running, timeout=1, return_when=asyncio.FIRST_EXCEPTION)
        for task in running:
            if task.done():
                task.result()


if __name__ == "__main__":
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    uvloop.run(_run(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
