"""Ending real ``obscura`` processes by SIGKILL: at a moment, or at the n-th time that they make a certain system call.

A moment drawn at random nearly never falls between a write and its sync. So half of the kills are bound to a system
call: ``strace`` delivers the signal when the process is about to make the call, which therefore does not happen.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cli_nodes import COMMAND, environment

from obscura.control.client import NoNodeError, RefusedError, ask

CALLS = {
    "fdatasync": 30, "fsync": 12, "pwritev2": 30, "pwrite64": 60, "write": 300, "rename": 4, "ftruncate": 6,
    "unlink": 8, "openat": 900, "mkdir": 6, "flock": 1, "bind": 2, "listen": 2, "fcntl": 20, "fallocate": 3,
}  # fmt: skip
"""What a node does to its disk and sockets, and about how often at most, in a trial, on one thread."""
HANG_S = 60
"""No start, sync or end may take longer; a healthy one takes a second or two."""


@dataclass(frozen=True)
class Kill:
    """After ``after`` seconds, or sooner, at the ``nth`` system call ``call`` of one thread, if one is named."""

    after: float
    call: str = ""
    nth: int = 0

    def __str__(self) -> str:
        return f"{self.call}#{self.nth}" if self.call else f"{self.after:.2f}s"


def draw_kill(draw: random.Random, span: float, *, at_call: bool) -> Kill:
    """A kill within ``span`` seconds. Calls are counted low more often than high: the first ones differ most."""
    if not at_call:
        return Kill(draw.uniform(0, span))
    call = draw.choice(list(CALLS))
    return Kill(span, call, int((CALLS[call] + 1) ** draw.random()))


def launch(kill: Kill, log: IO[bytes], *arguments: object) -> subprocess.Popen[bytes]:
    """Start a command that ``kill`` will end; :func:`finish` sees to it."""
    command = [*COMMAND, *map(str, arguments)]
    if kill.call:
        # With -D the command is our own child, and strace its bystander.
        trace = ["-D", "-f", "-qqq", "--seccomp-bpf", "-o", "/dev/null", "-e", f"trace={kill.call}"]
        inject = ["-e", f"inject={kill.call}:signal=SIGKILL:when={kill.nth}"]
        command = [_strace(), *trace, *inject, *command]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment())


def finish(process: subprocess.Popen[bytes], after: float) -> bool:
    """Wait for a process and kill it when ``after`` seconds have gone; ``False`` if it ended by itself before."""
    try:
        return process.wait(after) == -9
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True


def _strace() -> str:
    found = shutil.which("strace")
    assert found is not None, "crash tests need strace: apt-get install strace"
    return found


@contextlib.contextmanager
def traced(pid: int, *expressions: str) -> Iterator[None]:
    """Have strace interfere with a running process while the block lasts, unless the process ends before."""
    options = [word for expression in expressions for word in ("-e", expression)]
    command = [_strace(), "-f", "-qqq", "-o", "/dev/null", "-p", str(pid), *options]
    tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + HANG_S
        # An interference may end the process while we look.
        with contextlib.suppress(OSError):
            while any("TracerPid:\t0" in task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/status")):
                assert time.monotonic() < deadline, "strace does not attach"
                assert tracer.poll() is None, "strace has ended"
                time.sleep(0.02)
        yield
    finally:
        # It lets go of a process that still runs.
        tracer.terminate()
        tracer.wait()


@contextlib.contextmanager
def running(datadir: Path, *arguments: object, whole: bool = True) -> Any:
    """A node that runs undisturbed, from its first answer until it is asked to stop, which it must do well. ``whole``
    says that it has nothing to mend."""
    log = datadir.parent / f"{datadir.name}.log"
    with log.open("ab") as file:
        began = file.tell()
        command = [*COMMAND, "node", "--datadir", str(datadir), *map(str, arguments)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment())
    try:
        wait_until(lambda: status(datadir) is not None, process, log)
        yield process
        process.terminate()
        code = process.wait(HANG_S)
        said = log.read_bytes()[began:].decode()
        assert code == 0, f"a healthy node ends with {code}: {said}"
        assert "Traceback" not in said, said
        assert not whole or "damaged" not in said, f"nothing here damages files: {said}"
    finally:
        process.kill()
        process.wait()


def status(datadir: Path) -> dict[str, Any] | None:
    """The answer of a running node, or ``None`` as long as there is none."""
    try:
        return ask(datadir, "status", timeout_s=10)  # type: ignore[no-any-return]
    except NoNodeError:
        return None
    except RefusedError as error:
        if error.code == "busy":
            return None
        raise


def wait_until(done: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Poll until ``done``."""
    deadline = time.monotonic() + HANG_S
    while not done():
        assert process.poll() is None, f"ended with {process.returncode}: {log.read_text()[-3000:]}"
        assert time.monotonic() < deadline, f"nothing came: {log.read_text()[-3000:]}"
        time.sleep(0.02)


def wait_for_tip(datadir: Path, tip: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a node's tip is ``tip``."""
    log = datadir.parent / f"{datadir.name}.log"
    wait_until(lambda: (status(datadir) or {}).get("tip") == tip, process, log)
