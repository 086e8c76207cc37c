"""A network of real node processes on this machine: started, linked at random, mined on, compared, stopped.

Node n has the address 127.(n÷250+1).(n mod 250+1).1, so that each is in a network group of its own (design §10).
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..base.errors import ConfigError, LocalError
from ..base.randomness import Chance
from ..control.client import NoNodeError, ask
from ..lab.parent import end_with_parent
from .payments import Payments, Spread
from .stem_report import StemReport, read_traces, report_of

NODES_MOST: Final = 200
_MARK: Final = ".obscura-devnet"
_START_S: Final = 60
_AGREE_S: Final = 60
_STOP_S: Final = 10
_QUIET_S: Final = 3
_BESIDE_PER_S: Final = 10  # payments in a second of mining, at most: the loop takes a tenth of one at least
_BESIDE_MOST: Final = 2_000  # coins for them; a long run ends without
_LINKS: Final = (
    2  # links that each node opens, one to the next, so that they form a ring: sparse, and all have stem peers
)
_STEM_AGE_S: Final = 1  # a devnet is young: its links carry stems soon
_STEM_HOP_MS: Final = 30  # a step between processes of one machine, with shaping and a verdict


class DevnetError(LocalError):
    """A node did not start, or died."""


@dataclass(slots=True)
class DevNode:
    """One process. ``status`` is its last answer."""

    number: int
    address: str
    datadir: Path
    connect: list[str]
    process: subprocess.Popen[bytes] | None = None
    status: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Summary:
    """How a devnet ended. ``agreed`` says that every node has the same tip."""

    agreed: bool
    height: int
    tip: str
    mined: int
    seconds: float
    nodes: tuple[dict[str, Any], ...]
    spread: Spread | None
    """How transactions spread, if some were sent."""
    stems: StemReport | None
    """What their stems did, if that was asked for."""


class Devnet:
    """A context manager: what it starts is stopped when it is left, whatever happens.

    Args:
        count: how many nodes.
        directory: where they live; ``None`` makes one that is removed at the end.
        seed: draws the graph and the miners.
        report: have the nodes trace stems, for :attr:`Summary.stems`.
    """

    def __init__(self, count: int, directory: Path | None, seed: int, *, report: bool = False) -> None:
        if not 1 <= count <= NODES_MOST:
            msg = f"{count} nodes cannot be run: 1 to {NODES_MOST}"
            raise ConfigError(msg)
        self._count = count
        self._given = directory
        self._report = report
        self._chance = Chance.from_seed(seed)
        self._directory = directory or Path()
        self.nodes: list[DevNode] = []
        self.mined = 0

    def __enter__(self) -> Devnet:
        if self._given is None:
            self._directory = Path(tempfile.mkdtemp(prefix="obscura-devnet-"))
        else:
            _claim(self._given)
        (self._directory / _MARK).touch()
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def run(self, seconds: float, show: Callable[[list[DevNode]], None], transactions: int = 0) -> Summary:
        """Mine for ``seconds`` at random nodes, then wait until all tips agree (at most a minute). Then send
        ``transactions`` from random nodes, and mine them when all have them all; some are sent during the mining, too.

        Raises:
            DevnetError: a node died.
            PaymentError: a transaction was refused, or was lost.
        """
        payments = Payments([node.datadir for node in self.nodes], self._chance.fork("payments"), self.refresh)
        if transactions:
            payments.fund(transactions + min(_BESIDE_MOST, round(_BESIDE_PER_S * seconds)))
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            node = self.nodes[self._chance.below(self._count)]
            count = 1 + self._chance.below(3)
            ask(node.datadir, "mine", {"count": count})
            self.mined += count
            payments.send_one()
            self.refresh()
            show(self.nodes)
            time.sleep(min(max(0.0, seconds - passed), 0.1 + 0.4 * self._chance.uniform()))
        self._settle(show)
        spread = None
        if transactions and self.agreed:
            spread = payments.run(transactions)
            self.refresh()
            show(self.nodes)
        stems = None
        if self._report:
            # Traces are whole when the nodes have stopped.
            self._stop_nodes()
            stems = report_of(read_traces([node.datadir for node in self.nodes]))
        best = max(self.nodes, key=lambda node: node.status["height"]).status
        return Summary(
            agreed=self.agreed,
            height=best["height"],
            tip=best["tip"],
            mined=self.mined + payments.mined,
            seconds=round(time.monotonic() - began, 2),
            nodes=tuple({"node": node.number, "address": node.address, **node.status} for node in self.nodes),
            spread=spread,
            stems=stems,
        )

    def _settle(self, show: Callable[[list[DevNode]], None]) -> None:
        """Wait until all tips agree. Two branches of equal work would stay for ever, each node keeping the one that it
        saw first: when no tip moves any more, one more block ends the tie."""
        deadline = time.monotonic() + _AGREE_S
        moved, before = time.monotonic(), ""
        self.refresh()
        while not self.agreed and time.monotonic() < deadline:
            tips = " ".join(node.status["tip"] for node in self.nodes)
            if tips != before:
                moved, before = time.monotonic(), tips
            elif time.monotonic() - moved > _QUIET_S:
                ask(self.nodes[0].datadir, "mine", {"count": 1})
                self.mined += 1
            time.sleep(0.1)
            self.refresh()
            show(self.nodes)

    @property
    def agreed(self) -> bool:
        """Whether all tips are the same."""
        return len({node.status.get("tip") for node in self.nodes}) == 1

    def refresh(self) -> None:
        """Ask every node for its status.

        Raises:
            DevnetError: one has died.
        """
        for node in self.nodes:
            assert node.process is not None, "all nodes are started before one is asked"
            if node.process.poll() is not None:
                raise DevnetError(f"node {node.number} has died; its log: {_tail(node)}")
            node.status = ask(node.datadir, "status")

    def _start(self) -> None:
        hosts = [f"127.{number // 250 + 1}.{number % 250 + 1}.1" for number in range(self._count)]
        addresses = [f"{host}:{_free_port(host)}" for host in hosts]
        for number, address in enumerate(addresses):
            following = addresses[(number + 1) % self._count]
            others = [one for one in addresses if one not in (address, following)]
            links = [following, *self._chance.sample(others, _LINKS - 1)] if following != address else []
            node = DevNode(number, address, self._directory / f"node{number}", links)
            node.datadir.mkdir(mode=0o700, exist_ok=True)
            self.nodes.append(node)
            self._launch(node)
        for node in self.nodes:
            self._await(node)

    def _launch(self, node: DevNode) -> None:
        command = [sys.executable, "-m", "obscura.cli.main", "node", "--network", "regtest"]
        command += ["--datadir", str(node.datadir), "--listen", node.address, "--no-discover"]
        command += ["--stem-age", str(_STEM_AGE_S), "--stem-hop-ms", str(_STEM_HOP_MS)]
        if self._report:
            command.append("--stem-trace")
        if self._count == 1:
            # There is nobody to hide among.
            command += ["--no-stem", "now"]
        for address in node.connect:
            command += ["--connect", address]
        with (node.datadir / "log").open("ab") as log:
            node.process = subprocess.Popen(  # noqa: S603 our own program, our own words
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A process group of its own, so that Ctrl-C reaches us alone and we stop the nodes in order.
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509 one prctl call, no lock is taken
            )

    def _await(self, node: DevNode) -> None:
        deadline = time.monotonic() + _START_S
        assert node.process is not None, "launched before it is awaited"
        while True:
            try:
                node.status = ask(node.datadir, "status", timeout_s=5)
            except NoNodeError:
                if node.process.poll() is not None or time.monotonic() > deadline:
                    raise DevnetError(f"node {node.number} does not start; its log: {_tail(node)}") from None
                time.sleep(0.05)
            else:
                return

    def _stop(self) -> None:
        self._stop_nodes()
        if self._given is None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _stop_nodes(self) -> None:
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                node.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        for node in self.nodes:
            if node.process is None:
                continue
            try:
                node.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                node.process.kill()
                node.process.wait()


def _claim(directory: Path) -> None:
    """Make or reuse a devnet's directory; one with other things in it is left alone."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        foreign = not (directory / _MARK).exists() and any(directory.iterdir())
    except OSError as error:
        msg = f"{directory} cannot be used: {error.strerror}"
        raise ConfigError(msg) from error
    if foreign:
        msg = f"{directory} is not empty and not a devnet's: give an empty or a new --dir"
        raise ConfigError(msg)


def _free_port(host: str) -> int:
    with socket.socket() as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


def _tail(node: DevNode) -> str:
    lines = (node.datadir / "log").read_text(errors="replace").splitlines()
    return lines[-1] if lines else "empty"
