"""One process of the sync benchmark. What it has measured goes to stdout as one line of JSON.

``serve DIR``: a node with the chain in DIR, until stdin ends; prints its port first.
``fetch DIR PORT HEIGHT``: a fresh node in DIR that syncs from it; seconds from the open link to the tip at HEIGHT.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from obscura.aio import Driver
from obscura.aio.allocator import keep_memory
from obscura.aio.entropy import system_chance
from obscura.aio.listen import open_listener
from obscura.aio.worker import LedgerWorker
from obscura.ledgers.kernel.ledger import KernelLedger
from obscura.ledgers.kernel.networks import REGTEST
from obscura.node import Node, NodeConfig
from obscura.node.effects import Event, LinkOpened, TipMoved
from obscura.wire.address import NetAddress, parse_address
from obscura.wire.target import Mode, Target


def _say(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


async def _run(datadir: Path, connect: tuple[NetAddress, ...], height: int) -> None:
    listener = None
    if not connect:
        listener = open_listener(parse_address("127.0.0.1:0"))
    ledger = KernelLedger(REGTEST, datadir)
    worker = LedgerWorker(ledger)
    restored = await worker.run(ledger.restore)
    config = NodeConfig(
        transport=Mode.PLAIN,
        network="regtest",
        user_agent="/Obscura:bench/",
        connect=tuple(Target(one) for one in connect),
        allow_local=True,
        discover=False,
    )
    began = 0.0
    finished: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def heard(event: Event) -> None:
        nonlocal began
        if isinstance(event, LinkOpened):
            began = time.perf_counter()
        elif isinstance(event, TipMoved) and event.height == height and not finished.done():
            finished.set_result(time.perf_counter() - began)

    driver = Driver(
        lambda now: Node(config, ledger, system_chance(), restored, (), now),
        worker,
        listener=listener,
        listeners=(heard,),
    )
    running = asyncio.ensure_future(driver.run())
    if listener is not None:
        _say({"port": listener.getsockname()[1]})
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    else:
        await asyncio.wait([running, finished], return_when=asyncio.FIRST_COMPLETED)
        _say({"seconds": finished.result()})
    await driver.stop()
    await running


if __name__ == "__main__":
    keep_memory()
    if sys.argv[1] == "serve":
        uvloop.run(_run(Path(sys.argv[2]), (), -1))
    else:
        uvloop.run(_run(Path(sys.argv[2]), (parse_address(f"127.0.0.1:{sys.argv[3]}"),), int(sys.argv[4])))
