"""A node in a process of its own, on real sockets over the memory ledger: what the memory of a node is measured on.

Run as a program it reads one line of JSON (see :func:`main`), answers with its address, then obeys one command a line:
``state``, ``mine``, ``dial ADDRESS``, ``forget ADDRESS``. SIGTERM ends it; it exits with 0 when the node ended cleanly.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from obscura.base.names import BlockHash
    from obscura.ledgers.memory import MemoryLedger

RIG = Path(__file__).resolve().parent


def _proc(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1_024
    raise AssertionError(f"no {key} of process {pid}")


class Subject:
    """The process, seen from the test. Use it in a ``with``."""

    def __init__(self, **settings: Any) -> None:
        self._lock = threading.Lock()
        self._errors = (RIG.parent / f".subject-{os.getpid()}-{time.monotonic_ns()}.log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.address: tuple[str, int] = tuple(self._tell(json.dumps(settings)))

    def _tell(self, line: str) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self._lock:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        assert answer, f"the process has ended: {self.log()}"
        return json.loads(answer)

    def state(self) -> dict[str, Any]:
        """What it says of itself."""
        return self._tell("state")  # type: ignore[no-any-return]

    def mine(self) -> bytes:
        """Have it find a block; the block's hash."""
        return bytes.fromhex(self._tell("mine"))

    def dial(self, address: str) -> None:
        """Have it connect to an address, and again whenever that link ends."""
        self._tell(f"dial {address}")

    def forget(self, address: str) -> None:
        """Have it not dial an address again."""
        self._tell(f"forget {address}")

    @property
    def memory(self) -> int:
        """Resident bytes now."""
        return _proc(self.process.pid, "VmRSS:")

    def mark(self) -> int:
        """Begin a new high-water mark; resident bytes now."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return self.memory

    @property
    def peak(self) -> int:
        """The highest resident bytes since :meth:`mark`."""
        return _proc(self.process.pid, "VmHWM:")

    def log(self) -> str:
        """What it wrote to standard error."""
        self._errors.flush()
        return Path(self._errors.name).read_text()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            assert stream is not None
            stream.close()
        Path(self._errors.name).unlink(missing_ok=True)


def _copying(ledger: MemoryLedger) -> MemoryLedger:
    """Reading makes new bytes each time, as from a disk: what waits for a peer is not the ledger's own."""
    read = ledger.read_blocks

    def copies(hashes: Sequence[BlockHash], bytes_max: int | None = None) -> tuple[bytes | None, ...]:
        return tuple(None if block is None else bytes(bytearray(block)) for block in read(hashes, bytes_max))

    ledger.read_blocks = copies  # type: ignore[method-assign]
    return ledger


async def _serve(settings: dict[str, Any]) -> None:
    from aio_nodes import RealNode, ledger_of, make_vault

    from obscura.app.logs import configure, log_event
    from obscura.ledgers.memory import mine
    from obscura.wire.address import parse_address
    from obscura.wire.target import Target

    configure("debug", as_json=False)
    blocks, size = settings.pop("blocks", 0), settings.pop("size", 0)
    vault = make_vault() if settings.pop("veiled", False) else None
    connect = [parse_address(text) for text in settings.pop("connect", ())]
    node = RealNode(connect, _copying(ledger_of(blocks, size)), vault=vault, **settings)
    # The rig's own lists of events would grow with each link.
    node.driver._listeners = (log_event,)
    node.saved = []
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, node.driver.request_stop)
    minted = iter(range(1 << 30))

    async def answer(word: str) -> Any:
        node.saved.clear()
        verb, _, rest = word.partition(" ")
        if verb == "dial":
            node.driver.add_peer(Target(parse_address(rest)))
            return None
        if verb == "forget":
            # The operator's peers are dialled for ever; the test has no further use for this one.
            node.driver._node._state.dialer._named.pop(parse_address(rest))
            return None
        if word == "mine":
            serial = next(minted)
            body = b"mined %d" % serial + bytes(size)
            block = mine(node.ledger.tip, body, 1_750_000_000 + serial)
            return (await node.driver.submit_block(block)).hash.hex()
        state = node.driver._node._state
        snapshot = node.driver.snapshot()
        return {
            "height": snapshot.height,
            "headers": snapshot.headers,
            "links": len(snapshot.peers),
            "open": sum(peer.state == "open" for peer in snapshot.peers),
            "lobby": sum(len(pool.lobby) for pool in state.company.pools.values()),
            "sinks": len(state.door.sinks),
            "low_work": state.low_work,
            "tree": len(state.tree),
            "addresses": snapshot.addresses,
            "unsent": node.driver.unsent,
            "held": sum(pool.burdens.total for pool in state.company.pools.values()),
            "serve": sum(len(peer.serve) for peer in state.peers.values()),
            "buffered": state.download._buffered_bytes,
            "timers": len(state.timers._heap),
        }

    def obey() -> None:
        for line in sys.stdin:
            future = asyncio.run_coroutine_threadsafe(answer(line.strip()), loop)
            try:
                print(json.dumps(future.result(60)), flush=True)
            except Exception:  # the node is ending
                return

    print(json.dumps([node.address.host(), node.address.port]), flush=True)
    threading.Thread(target=obey, daemon=True).start()
    await node.driver.run()


def main() -> None:
    """Read settings: ``blocks`` and ``size`` of the ledger, ``connect``, ``veiled``, fields of ``NodeConfig``; run the
    node."""
    import uvloop

    logging.captureWarnings(True)
    settings = json.loads(sys.stdin.readline())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))
    os._exit(0)  # the thread that reads our standard input would hold up the end


if __name__ == "__main__":
    main()
