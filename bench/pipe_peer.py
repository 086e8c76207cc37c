"""The sending process of the bare-socket baseline: prints a port, sends that many bytes to whoever connects, ends."""

from __future__ import annotations

import asyncio
import sys

import uvloop

CHUNK = bytes(1 << 18)


async def _serve(total: int) -> None:
    done = asyncio.Event()

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = total
        while left:
            piece = CHUNK[: min(left, len(CHUNK))]
            writer.write(piece)
            left -= len(piece)
            await writer.drain()
        writer.close()
        await writer.wait_closed()
        done.set()

    server = await asyncio.start_server(send, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await done.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
