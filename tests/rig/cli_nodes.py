"""Real ``obscura`` processes for tests: started on loopback addresses of their own, and stopped whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from obscura.control.client import NoNodeError, ask

COMMAND = (sys.executable, "-m", "obscura.cli.main")
DATA = Path(__file__).resolve().parents[1] / "data" / "bitcoin_mainnet_1_255.dat"
TIP_255 = "00000000d0a75c861fabf9ff7b92022f60e4afeed9331fe5aa073d8e4706fe3c"
GENESIS = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"


def environment() -> dict[str, str]:
    """Our own, without settings that the person who runs the tests may have."""
    # Without compiled files each process compiles the package anew, which takes as long as what most of them are for.
    left_out = ("OBSCURA_", "PYTHONDONTWRITEBYTECODE")
    return {key: value for key, value in os.environ.items() if not key.startswith(left_out)} | {"COLUMNS": "200"}


def obscura(*arguments: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment(), check=False)


class RunningNode:
    """A node process. Use :class:`Nodes` to make one."""

    def __init__(self, datadir: Path, *arguments: object, run_in: tuple[str, ...] = ()) -> None:
        self.datadir = datadir
        datadir.mkdir(exist_ok=True, parents=True)
        self._log = (datadir.parent / f"{datadir.name}.log").open("ab")
        command = [*run_in, *COMMAND, "node", "--datadir", str(datadir), *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=environment())

    def ask(self, method: str) -> Any:
        """The JSON of ``obscura status`` or ``peers``."""
        done = obscura(method, "--datadir", self.datadir, "--json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def _status(self) -> Any:
        # By the socket: a command takes half a second to start.
        with contextlib.suppress(NoNodeError):
            return ask(self.datadir, "status", timeout_s=10)
        return None

    def log(self) -> str:
        """What it has logged."""
        return (self.datadir.parent / f"{self.datadir.name}.log").read_text()

    def wait_for(self, timeout: float = 30, **wanted: Any) -> dict[str, Any]:
        """Ask for the status until it has these values."""
        deadline = time.monotonic() + timeout
        status: Any = None
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"the node has ended: {self.log()}"
            status = self._status()
            if status is not None and all(status[key] == value for key, value in wanted.items()):
                return status  # type: ignore[no-any-return]
            time.sleep(0.05)
        raise AssertionError(f"{wanted} never came; the last status is {status}; the log: {self.log()}")

    def stop(self, signal_number: int = signal.SIGTERM, timeout: float = 10) -> int:
        """Send a signal and wait for the end."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        try:
            return self.process.wait(timeout)
        finally:
            self.process.kill()
            self.process.wait()
            self._log.close()


class Nodes:
    """Makes nodes below a directory and ends them all."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.running: list[RunningNode] = []

    def start(self, name: str, *arguments: object, run_in: tuple[str, ...] = ()) -> RunningNode:
        """Start a node on the datadir ``name``; ``run_in`` is a program that becomes it, with its own arguments."""
        node = RunningNode(self.directory / name, *arguments, run_in=run_in)
        self.running.append(node)
        return node

    def close(self) -> None:
        """Kill what still runs."""
        for node in self.running:
            if node.process.poll() is None:
                node.process.kill()
                node.process.wait()
            node._log.close()


def free_port(host: str) -> int:
    """A port that nothing uses on a loopback address."""
    import socket

    with socket.socket() as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])
