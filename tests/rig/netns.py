"""A network namespace that a test runs processes in, from which nothing leads out but what the test lets through.

It is told what is sent there (:meth:`Namespace.seen`): any packet to any address, so each connection and each datagram
that was tried, and each look-up of a name by DNS. What goes by Unix sockets is not of networks, and not seen.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forwarder import Forwarder, LoopThread

_INSIDE = Path(__file__).with_name("netns_inside.py")
_WAYS = (("--net",), ("--net", "--user", "--map-root-user"))
"""To make one: with root's rights, and as anybody in a user namespace."""
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Sight:
    """What was sent in a namespace since it was made."""

    destinations: frozenset[tuple[str, str, int]]
    """Of all that was begun: ``tcp``, ``udp``, ``icmp`` or another protocol, address, and port if there is one."""
    dials: int
    """Connections over TCP that were begun."""
    missed: int
    """Packets that came too fast to be seen."""
    counters: dict[str, int]
    """The kernel's own, by the names that nstat has."""


class Namespace:
    """Use it in a ``with``.

    Args:
        directory: for sockets, with a short path.

    Raises:
        RuntimeError: on entering, where none can be made.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None
        self._log = directory / "inside.log"
        self._enter: tuple[str, ...] = ()
        self._thread = LoopThread("namespace")
        self._forwarders: list[Forwarder] = []

    def __enter__(self) -> Namespace:
        try:
            self._begin()
        except BaseException:
            self.close()
            raise
        return self

    def _begin(self) -> None:
        for way in _WAYS:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    ["unshare", *way, sys.executable, str(_INSIDE)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
            assert self._process.stdout is not None
            if self._process.stdout.readline():
                self._enter = tuple(word for word in way if word != "--map-root-user")
                return
            self._end()
        raise RuntimeError(f"these tests need a network namespace, and none can be made: {self._log.read_text()}")

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it. Processes that still run in it stay, with nothing that leads out."""
        for one in self._forwarders:
            one.close()
        self._forwarders.clear()
        self._thread.close()
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            # Without its input it ends.
            with self._process:
                pass
            self._process = None

    @property
    def run_in(self) -> tuple[str, ...]:
        """What stands before a command that is to run in it."""
        assert self._process is not None, "use it in a with"
        more = ("--preserve-credentials",) if "--user" in self._enter else ()
        return ("nsenter", "--target", str(self._process.pid), *self._enter, *more)

    def let_out(self, port: int) -> None:
        """Have what listens at this port of 127.0.0.1 answer at the same one in there."""
        path = self._directory / f"out{port}"
        self._forwarders.append(Forwarder(self._thread, (LOOPBACK, port), path))
        self._forwarders[-1].open()
        self._tell({"from": [LOOPBACK, port], "to": str(path)})

    def let_in(self, port: int) -> Forwarder:
        """Have what listens at this port of 127.0.0.1 in there answer at the same one outside, until it is closed."""
        path = self._directory / f"in{port}"
        self._tell({"from": str(path), "to": [LOOPBACK, port]})
        made = Forwarder(self._thread, path, (LOOPBACK, port))
        self._forwarders.append(made)
        made.open()
        return made

    def seen(self) -> Sight:
        """What was sent in there until now."""
        answer = self._tell({})
        destinations = frozenset((kind, address, port) for kind, address, port in answer["destinations"])
        return Sight(destinations, answer["dials"], answer["missed"], answer["counters"])

    def _tell(self, command: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None, "use it in a with"
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(command) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"what is inside has ended: {self._log.read_text()}"
        answer: dict[str, Any] = json.loads(line)
        return answer


def listening(pid: int) -> set[int]:
    """Ports over IPv4 at which somebody listens in the network namespace of a process."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}
