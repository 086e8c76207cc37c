"""Wall clocks that jump, or are absurd from the start; and processes that did not run for a long time."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_nodes import Nodes, environment, free_port
from crash_kill import HANG_S, status, wait_until

from obscura.base.limits import CLOCK_JUMP
from obscura.control.client import ask

pytestmark = pytest.mark.slow
HOUR = 3_600
CROOKED = Path(__file__).resolve().parents[1] / "rig" / "crooked_clock.py"


class Crooked:
    """A regtest node whose wall clock is wrong by ``offset`` seconds."""

    def __init__(self, directory: Path, offset: float, *options: object) -> None:
        self.datadir = directory / "crooked"
        self.log = directory / "crooked.log"
        self._offset = directory / "offset"
        self.jump(offset)
        command = [sys.executable, str(CROOKED), str(self._offset), "node", "--network", "regtest", "--datadir"]
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                [*command, str(self.datadir), *map(str, options)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=environment(),
            )

    def jump(self, offset: float) -> None:
        """Put the clock to another error."""
        beside = self._offset.with_suffix(".new")
        beside.write_text(str(offset))
        beside.replace(self._offset)

    def started(self) -> None:
        wait_until(lambda: status(self.datadir) is not None, self.process, self.log)

    def shows(self, **wanted: object) -> None:
        """Wait until its status has these values."""

        def fits() -> bool:
            shown = status(self.datadir) or {}
            return all(shown.get(key) == value for key, value in wanted.items())

        wait_until(fits, self.process, self.log)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


def test_jumps_of_hours_and_years(nodes: Nodes, tmp_path: Path) -> None:
    where = f"127.78.1.1:{free_port('127.78.1.1')}"
    friend = nodes.start("friend", "--network", "regtest", "--listen", where)
    wait_until(lambda: status(friend.datadir) is not None, friend.process, tmp_path / "friend.log")
    crooked = Crooked(tmp_path, 0, "--connect", where)
    try:
        crooked.started()
        crooked.shows(peers=1)
        jumps = (2 * HOUR, -3 * HOUR, 40 * 365 * 24 * HOUR, 100 * 365 * 24 * HOUR, -time.time() - 10, 0)
        for number, jump in enumerate(jumps, start=1):
            crooked.jump(jump)
            # A block of the friend's makes the node look at its clock.
            tip = ask(friend.datadir, "mine", {"count": 1})["tip"]
            crooked.shows(tip=tip)
            said = crooked.log.read_text()
            assert said.count("clock-jump") == number, f"{jump}: {said}"
        crooked.process.terminate()
        assert crooked.process.wait(HANG_S) == 0
    finally:
        crooked.close()
    said = crooked.log.read_text()
    assert said.count("link-opened") == 1, "the link has lasted through all of it"
    assert "defect" not in said
    assert "defect" not in friend.log()
    moved = [abs(int(found)) for found in re.findall(r"the wall clock moved by (-?\d+) s", said)]
    assert all(found > CLOCK_JUMP for found in moved)


@pytest.mark.parametrize("wall", [-5_000_000_000, 0, 2**32 + 5])
def test_a_start_at_an_absurd_time(nodes: Nodes, tmp_path: Path, wall: int) -> None:
    where = f"127.78.2.1:{free_port('127.78.2.1')}"
    friend = nodes.start("friend", "--network", "regtest", "--listen", where)
    wait_until(lambda: status(friend.datadir) is not None, friend.process, tmp_path / "friend.log")
    tip = ask(friend.datadir, "mine", {"count": 3})["tip"]
    for offset in (wall - time.time(), 0):
        # At the second start the clock is right, and what the first one noted is years away.
        crooked = Crooked(tmp_path, offset, "--connect", where, "--listen", "127.78.3.1")
        try:
            crooked.started()
            crooked.shows(tip=tip, peers=1)
            crooked.process.terminate()
            assert crooked.process.wait(HANG_S) == 0
        finally:
            crooked.close()
    assert "defect" not in crooked.log.read_text()
    assert "Traceback" not in crooked.log.read_text()
    assert "defect" not in friend.log()
