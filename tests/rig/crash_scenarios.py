"""What a node is killed at, and what must hold afterwards. A trial draws everything from its seed.

Whatever the kill hit, the next start is clean (nothing is deleted by hand, no warning of damage), what a command or the
node reported as done is there, as is every block whose record was whole on the disk, and the work can be finished.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cli_nodes import DATA, TIP_255, RunningNode, free_port, obscura
from crash_chain import OTHERS, make_datadir, name_of, row, stored, write_block_file
from crash_kill import HANG_S, Kill, draw_kill, finish, launch, running, status, traced, wait_for_tip, wait_until

from obscura.base.errors import LocalError
from obscura.base.names import display_hash
from obscura.control.client import ask

LENGTH = 4_500
"""Blocks of the imported file: two checkpoints of the kernel lie within."""
SOURCE = 2_500
"""Blocks of the chain that is synced."""
DEPTHS = (1, 5, 30, 120)
"""Blocks that a reorganisation takes back."""
BEGUN = 300
"""Height of the directories in which mining and stopping are tried."""


@dataclass(frozen=True)
class Outcome:
    """One trial: how the process was to be ended, whether it was, and what it had by then."""

    scenario: str
    seed: str
    kill: str
    landed: int
    height: int
    seconds: float


class Stage:
    """What all trials share: chains, directories to copy, and the node that others sync from.

    Args:
        directory: for everything that is written.
        host: a loopback address of its own for the source.
        length: blocks of the imported file.
        source: blocks of the chain that is synced.
    """

    def __init__(self, directory: Path, host: str, length: int, source: int) -> None:
        self.directory = directory
        self.length = length
        self.source = source
        directory.mkdir(parents=True, exist_ok=True)
        chain = row(max(length, source))
        self.tip = display_hash(name_of(chain[length - 1]))
        self.file = write_block_file(directory / "regtest.dat", chain[:length])
        self.source_tip = display_hash(name_of(chain[source - 1]))
        self.branches: dict[int, Path] = {}
        for depth in DEPTHS:
            common = chain[: source - depth - 2]
            rival = row(depth, on=common, script=OTHERS)
            self.branches[depth] = make_datadir(directory / f"branch{depth}", common + rival)
        self.begun = make_datadir(directory / "begun", chain[:BEGUN])
        self.where = f"{host}:{free_port(host)}"
        make_datadir(directory / "source", chain[:source])
        options = ("--network", "regtest", "--listen", self.where, "--no-discover")
        self._source = RunningNode(directory / "source", *options)
        self._source.wait_for(HANG_S, height=source)

    def close(self) -> None:
        """End the source."""
        self._source.stop()


Trial = Callable[[Stage, Path, random.Random, bool], tuple[list[Kill], int, int]]
"""Stage, a fresh directory, the trial's randomness, whether to kill at system calls; gives the kills, how many landed,
and the height at the start after them."""


def import_real(stage: Stage, place: Path, draw: random.Random, at_call: bool) -> tuple[list[Kill], int, int]:
    """The real chain's first blocks, imported."""
    del stage
    return _import(place, draw, at_call, "bitcoin", DATA, 255, TIP_255)


def import_many(stage: Stage, place: Path, draw: random.Random, at_call: bool) -> tuple[list[Kill], int, int]:
    """Thousands of blocks, with checkpoints of the kernel among them."""
    return _import(place, draw, at_call, "regtest", stage.file, stage.length, stage.tip)


def _import(
    place: Path, draw: random.Random, at_call: bool, network: str, file: Path, total: int, tip: str
) -> tuple[list[Kill], int, int]:
    datadir = place / "node"
    kills = [draw_kill(draw, 0.9 if total < 1_000 else 3.0, at_call=at_call) for _ in range(1 + draw.randrange(2))]
    landed = 0
    for kill in kills:
        with (place / "killed.log").open("ab") as log:
            process = launch(kill, log, "import", "--network", network, "--datadir", datadir, file, "--json")
            landed += finish(process, kill.after)
    kept = len(stored(datadir))
    with running(datadir, "--network", network):
        height = _height(datadir)
        assert kept <= height <= total, f"{kept} blocks were on the disk, height {height}"
    done = obscura("import", "--network", network, "--datadir", datadir, file, "--json", timeout=HANG_S)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["tip"] == tip
    assert result["skipped"] >= height
    assert result["skipped"] + result["accepted"] == total
    return kills, landed, height


def sync(stage: Stage, place: Path, draw: random.Random, at_call: bool) -> tuple[list[Kill], int, int]:
    """A chain, fetched from another process."""
    datadir = place / "node"
    options = ("--network", "regtest", "--connect", stage.where, "--no-discover")
    kill = draw_kill(draw, 3.5, at_call=at_call)
    landed = _killed(place, datadir, kill, *options)
    kept = len(stored(datadir))
    with running(datadir, "--network", "regtest", "--no-discover"):
        height = _height(datadir)
        assert kept <= height, f"{kept} blocks were on the disk, height {height}"
    with running(datadir, *options) as process:
        wait_for_tip(datadir, stage.source_tip, process)
        _check_link(datadir, process)
    return [kill], landed, height


def reorganisation(stage: Stage, place: Path, draw: random.Random, at_call: bool) -> tuple[list[Kill], int, int]:
    """A node on a branch meets one with a longer branch."""
    depth = draw.choice(DEPTHS)
    datadir = place / "node"
    shutil.copytree(stage.branches[depth], datadir)
    before = len(stored(datadir))
    options = ("--network", "regtest", "--connect", stage.where, "--no-discover")
    # The interesting part begins when the node has started, which takes most of a second.
    kill = draw_kill(draw, 1.0, at_call=at_call)
    kill = Kill(kill.after + (HANG_S if kill.call else 0.6), kill.call, kill.nth)
    with (place / "killed.log").open("ab") as log:
        process = launch(kill, log, "node", "--datadir", datadir, *options)
        limit = time.monotonic() + kill.after
        while time.monotonic() < limit and process.poll() is None:
            if kill.call and (status(datadir) or {}).get("tip") == stage.source_tip:
                break  # the call came too seldom; the moment after the reorganisation serves as well
            time.sleep(0.02)
        landed = finish(process, 0)
    kept = len(stored(datadir))
    assert kept >= before
    with running(datadir, "--network", "regtest", "--no-discover"):
        height = _height(datadir)
        # The branches differ by two blocks, and the longer one counts only when it is whole.
        assert height >= stage.source - 2
    with running(datadir, *options) as process:
        wait_for_tip(datadir, stage.source_tip, process)
        _check_link(datadir, process)
    assert len(stored(datadir)) == stage.source + depth, "the abandoned branch is kept, too"
    return [kill], landed, height


def stop(stage: Stage, place: Path, draw: random.Random, at_call: bool) -> tuple[list[Kill], int, int]:
    """SIGTERM with blocks that the kernel has not flushed, and SIGKILL while it is handled; or SIGKILL alone."""
    datadir = place / "node"
    shutil.copytree(stage.begun, datadir)
    kill = draw_kill(draw, 0.3, at_call=False)
    gently = draw.random() < 0.7
    count = 1 + draw.randrange(60)
    call = Kill(HANG_S, draw.choice(CALLS_AT_END), 1 + draw.randrange(8)) if at_call and gently else None
    with (place / "killed.log").open("ab") as log:
        process = launch(Kill(0), log, "node", "--datadir", datadir, "--network", "regtest")
        try:
            _await(datadir, process.poll)
            tip = ask(datadir, "mine", {"count": count})["tip"]
            if call is not None:
                landed = _trace_running(process, call)
            else:
                if gently:
                    process.send_signal(signal.SIGTERM)
                landed = finish(process, kill.after)
        finally:
            process.kill()
            process.wait()
    with running(datadir, "--network", "regtest"):
        height = _height(datadir)
        assert height == BEGUN + count
        assert (status(datadir) or {})["tip"] == tip
    return [call or kill], landed, height


CALLS_AT_END = ("fdatasync", "fsync", "write", "rename", "unlink", "munmap", "close", "openat")
"""What a node does to its disk while it stops."""


def _trace_running(process: subprocess.Popen[bytes], call: Kill) -> int:
    """Have a node killed at the call while it handles SIGTERM."""
    with traced(process.pid, f"trace={call.call}", f"inject={call.call}:signal=SIGKILL:when={call.nth}"):
        process.terminate()
        return int(process.wait(HANG_S) == -signal.SIGKILL)


def first_start(stage: Stage, place: Path, draw: random.Random, at_call: bool) -> tuple[list[Kill], int, int]:
    """A data directory that is being made, with a port that is drawn once."""
    del stage
    datadir = place / "node"
    host = "127.72.1.1"
    kills = [draw_kill(draw, 1.2, at_call=at_call) for _ in range(1 + draw.randrange(3))]
    landed = 0
    for kill in kills:
        landed += _killed(place, datadir, kill, "--network", "regtest", "--listen", host)
    ports = _ports(place / "killed.log", host)
    assert len(set(ports)) <= 1, f"a port that was announced is kept: {ports}"
    with running(datadir, "--network", "regtest", "--listen", host):
        height = _height(datadir)
        assert height == 0
        ports += _ports(place / "node.log", host)
        assert len(set(ports)) == 1, f"a port that was announced is kept: {ports}"
        assert ask(datadir, "mine", {"count": 1})["height"] == 1
    kept = {"blocks", "coins.sqlite", "kernel", "keys", "lock", "state.db"}
    assert {path.name for path in datadir.iterdir()} == kept
    assert [path.name for path in (datadir / "keys").iterdir()] == ["clearnet.key"]
    return kills, landed, height


def mine(stage: Stage, place: Path, draw: random.Random, at_call: bool) -> tuple[list[Kill], int, int]:
    """Blocks are mined one by one through a node; each one that was reported counts."""
    datadir = place / "node"
    shutil.copytree(stage.begun, datadir)
    kill = draw_kill(draw, 1.5, at_call=at_call)
    kill = Kill(kill.after + 0.7, kill.call, kill.nth)
    reported = [BEGUN]

    def keep_asking(ended: threading.Event) -> None:
        while not ended.is_set():
            try:
                reported.append(ask(datadir, "mine", {"count": 1})["height"])
            except LocalError:
                time.sleep(0.01)

    ended = threading.Event()
    asking = threading.Thread(target=keep_asking, args=(ended,))
    with (place / "killed.log").open("ab") as log:
        process = launch(kill, log, "node", "--datadir", datadir, "--network", "regtest")
        asking.start()
        try:
            landed = finish(process, kill.after)
        finally:
            ended.set()
            asking.join()
    kept = len(stored(datadir))
    with running(datadir, "--network", "regtest"):
        height = _height(datadir)
        assert height >= max(kept, reported[-1]), f"{reported[-1]} was reported, {kept} stored, {height} is left"
    return [kill], landed, height


def mine_alone(stage: Stage, place: Path, draw: random.Random, at_call: bool) -> tuple[list[Kill], int, int]:
    """Mining on a directory without a node."""
    datadir = place / "node"
    shutil.copytree(stage.begun, datadir)
    with running(datadir, "--network", "regtest"):
        pass  # a directory that has had a node knows its network
    kill = draw_kill(draw, 2.0, at_call=at_call)
    with (place / "killed.log").open("ab") as log:
        process = launch(kill, log, "mine", "--datadir", datadir, "-n", 400)
        landed = finish(process, kill.after)
    kept = len(stored(datadir))
    done = obscura("mine", "--datadir", datadir, "-n", 1, "--json", timeout=HANG_S)
    assert done.returncode == 0, done.stderr
    height = json.loads(done.stdout)["height"] - 1
    assert height >= kept
    return [kill], landed, height


SCENARIOS: dict[str, Trial] = {
    "import-real": import_real,
    "import-many": import_many,
    "sync": sync,
    "reorganisation": reorganisation,
    "stop": stop,
    "first-start": first_start,
    "mine": mine,
    "mine-alone": mine_alone,
}


def run_trial(stage: Stage, name: str, seed: str, place: Path, *, at_call: bool) -> Outcome:
    """One trial in ``place``, which is removed if all holds and left for a look if not."""
    place.mkdir(parents=True)
    draw = random.Random(f"{seed} {name} {at_call}")
    began = time.monotonic()
    kills, landed, height = SCENARIOS[name](stage, place, draw, at_call)
    shutil.rmtree(place)
    return Outcome(name, seed, ", ".join(map(str, kills)), int(landed), height, time.monotonic() - began)


@contextlib.contextmanager
def staged(directory: Path, host: str = "127.71.1.1", *, length: int = LENGTH, source: int = SOURCE) -> Iterator[Stage]:
    """A stage that is closed at the end."""
    stage = Stage(directory, host, length, source)
    try:
        yield stage
    finally:
        stage.close()


def _killed(place: Path, datadir: Path, kill: Kill, *options: object) -> int:
    with (place / "killed.log").open("ab") as log:
        return int(finish(launch(kill, log, "node", "--datadir", datadir, *options), kill.after))


def _check_link(datadir: Path, process: subprocess.Popen[bytes]) -> None:
    """Nothing that a kill leaves makes a node speak in clear, or take its peer for another one."""
    log = datadir.parent / f"{datadir.name}.log"
    # The kill may have come when there was nothing left to fetch: then the tip is older than the link.
    wait_until(lambda: [link["state"] for link in ask(datadir, "peers")] == ["open"], process, log)
    [link] = ask(datadir, "peers")
    assert link["transport"] == "veiled", link
    assert link["encrypted"], link


def _height(datadir: Path) -> int:
    """As the command shows it to a person."""
    done = obscura("status", "--datadir", datadir, "--json")
    assert done.returncode == 0, done.stderr
    return int(json.loads(done.stdout)["height"])


def _await(datadir: Path, poll: Callable[[], int | None]) -> None:
    deadline = time.monotonic() + HANG_S
    while status(datadir) is None:
        assert poll() is None, "the node ends"
        assert time.monotonic() < deadline, "the node does not start"
        time.sleep(0.02)


def _ports(log: Path, host: str) -> list[str]:
    mark = f"listening on {host}:"
    return [line.split(mark, 1)[1].split(";")[0] for line in log.read_text().splitlines() if mark in line]
