"""A session between two real nodes, both directions, taken by a proxy between their sockets."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from aio_nodes import RealNode, chain, free_host, running, until

from obscura.aio.listen import open_listener
from obscura.ledgers.memory import MemoryLedger, mine
from obscura.wire.address import NetAddress
from obscura.wire.frame import HEADER_SIZE, parse_header


@dataclass(frozen=True)
class Session:
    """The frames that each side sent, in order."""

    initiator: tuple[bytes, ...]
    responder: tuple[bytes, ...]

    def kinds(self) -> set[str]:
        """Types of messages in it."""
        both = self.initiator + self.responder
        return {parse_header(one, 0)[1].rstrip(b"\0").decode() for one in both}


def frames_of(stream: bytes) -> tuple[bytes, ...]:
    """Cut a whole stream into frames; what is not whole at its end is left out."""
    found, at = [], 0
    while at + HEADER_SIZE <= len(stream):
        end = at + HEADER_SIZE + parse_header(stream, at)[0]
        if end > len(stream):
            break
        found.append(stream[at:end])
        at = end
    return tuple(found)


BASE_BLOCKS = 30
BASE_SIZE = 300
"""The chain that every node of a recording, and of its replay, has at first: ``ledger_of(BASE_BLOCKS, BASE_SIZE)``."""


async def record(behind: int, fork: int, size: int) -> Session:
    """A node that lacks the last ``behind`` blocks, and has ``fork`` of its own instead, dials one that has them. It
    catches up, which is a reorganisation; then each of them finds blocks of ``size`` bytes, and both close."""
    blocks = BASE_BLOCKS
    base = chain(BASE_BLOCKS, BASE_SIZE)
    there, here = MemoryLedger(), MemoryLedger()
    there.accept_blocks(base)
    here.accept_blocks(base[: BASE_BLOCKS - behind])
    for step in range(fork):
        here.accept_blocks([mine(here.tip, b"fork %d" % step, 1_690_000_000 + step)])
    server = RealNode(ledger=there, discover=True, outbound_slots=0)
    sock = open_listener(free_host())
    host, port = sock.getsockname()[:2]
    proxy = NetAddress(server.address.network, bytes(map(int, host.split("."))), port)
    client = RealNode([proxy], ledger=here, discover=True, outbound_slots=0)
    sent: tuple[bytearray, bytearray] = (bytearray(), bytearray())

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, into: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                into += data
                writer.write(data)
        with contextlib.suppress(OSError):
            writer.close()

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(server.address.host(), server.address.port)
        await asyncio.gather(carry(reader, far_writer, sent[0]), carry(far_reader, writer, sent[1]))

    async with await asyncio.start_server(joined, sock=sock), running(server, client):
        await until(lambda: client.height == blocks, "the client has caught up")
        for serial, miner in enumerate((server, client, server)):
            block = mine(miner.ledger.tip, b"new %d" % serial + bytes(size), 1_740_000_000 + serial)
            await miner.driver.submit_block(block)
            await until(lambda: client.ledger.tip == server.ledger.tip, "both have the new block")
        # More at once than ``headers`` announces: they are announced by ``inv``.
        burst, previous = [], server.ledger.tip
        for step in range(12):
            burst.append(mine(previous, b"burst %d" % step, 1_741_000_000 + step))
            previous = server.ledger.identify_block(burst[-1]).hash
        await asyncio.gather(*(server.driver.submit_block(block) for block in burst))
        assert server.ledger.tip == previous
        await until(lambda: client.ledger.tip == server.ledger.tip, "both have the burst")
    return Session(frames_of(bytes(sent[0])), frames_of(bytes(sent[1])))
