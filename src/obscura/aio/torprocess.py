"""The system's ``tor``, run for the node alone: configured in the datadir, started with the node, ended with it.

It gets no configuration of the system's, takes ports that are free and says which, and ends by itself when this process
has gone. When it ends by mistake it is started again, by waits that double.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ..base.errors import ConfigError
from ..base.instant import MICROSECONDS
from ..base.limits import DAEMON_RETRY, DAEMON_RETRY_MOST, TOR_END
from .socks import Endpoint

log = logging.getLogger("obscura.tor")

PROGRAM: Final = "tor"
_PORT_FILE: Final = "control_port"
_LOG_FILE: Final = "tor.log"
_SAID_FILE: Final = "tor.out"
"""What it says before it has a log: mistakes in its configuration."""
_LOG_TAIL: Final = 4_096
_LOOKS: Final = 100
_LOOK_S: Final = 0.1


class TorProcess:
    """One ``tor`` for one node.

    Args:
        directory: of its own, in the datadir; made if need be.
        extra: lines to append to its configuration.
        heard: told of trouble: a stable name, and a text for people.

    Raises:
        ConfigError: it is not installed; the text says what to do.
    """

    def __init__(self, directory: Path, extra: Sequence[str], heard: Callable[[str, str], None]) -> None:
        program = shutil.which(PROGRAM)
        if program is None:
            msg = (
                "tor is not installed: apt install tor (Debian, Ubuntu), or name a running one by "
                "--tor-control HOST:PORT or --tor-socks HOST:PORT"
            )
            raise ConfigError(msg)
        self._program = program
        # Tor says where its files are by whole paths.
        self._directory = directory.absolute()
        self._extra = tuple(extra)
        self._heard = heard

    @property
    def cookie_path(self) -> str:
        """Where the cookie of its control port is."""
        return str(self._directory / "data" / "control_auth_cookie")

    async def control(self) -> Endpoint | None:
        """Where its control port is, once it has one: soon after it was started."""
        for _ in range(_LOOKS):
            with contextlib.suppress(OSError):
                text = (self._directory / _PORT_FILE).read_text(encoding="ascii", errors="replace")
                host, _, port = text.strip().removeprefix("PORT=").rpartition(":")
                if port.isdigit():
                    return host, int(port)
            await asyncio.sleep(_LOOK_S)
        return None

    async def run(self) -> None:
        """Keep it running, until this is cancelled.

        Raises:
            ConfigError: its directory cannot be made.
        """
        self._prepare()
        wait = int(DAEMON_RETRY)
        while True:
            began = asyncio.get_running_loop().time()
            process = await self._start()
            try:
                code = await process.wait()
            finally:
                await self._end(process)
                # Security: somebody else may open that port now.
                (self._directory / _PORT_FILE).unlink(missing_ok=True)
            text = f"tor has ended with code {code}: {self._last_words()}"
            self._heard("tor-ended", text)
            log.warning("tor-ended", extra={"values": {"text": text}})
            if asyncio.get_running_loop().time() - began > DAEMON_RETRY_MOST / MICROSECONDS:
                wait = int(DAEMON_RETRY)
            await asyncio.sleep(wait / MICROSECONDS)
            wait = min(2 * wait, DAEMON_RETRY_MOST)

    def _prepare(self) -> None:
        data = self._directory / "data"
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            data.mkdir(mode=0o700, exist_ok=True)
            lines = [
                "# Written by Obscura at each start. What is to be added belongs into tor_extra of obscura.toml.",
                f"DataDirectory {_quoted(data)}",
                "ClientOnly 1",
                "AvoidDiskWrites 1",
                "SocksPort auto IsolateSOCKSAuth ExtendedErrors",
                "ControlPort auto",
                f"ControlPortWriteToFile {_quoted(self._directory / _PORT_FILE)}",
                "CookieAuthentication 1",
                # Not in quotes: they are undone around a whole value only.
                f"Log notice file {self._directory / _LOG_FILE}",
                "TruncateLogFile 1",
                f"__OwningControllerProcess {os.getpid()}",
                *self._extra,
            ]
            torrc = self._directory / "torrc"
            torrc.write_text("".join(line + "\n" for line in lines))
        except OSError as error:
            msg = f"{self._directory} cannot be written, and tor needs it: {error.strerror}"
            raise ConfigError(msg) from error

    async def _start(self) -> asyncio.subprocess.Process:
        for name in (_PORT_FILE, _LOG_FILE):
            (self._directory / name).unlink(missing_ok=True)
        with (self._directory / _SAID_FILE).open("wb") as said:
            return await asyncio.create_subprocess_exec(
                *(self._program, "-f", str(self._directory / "torrc"), "--defaults-torrc", "/nonexistent"),
                "--ignore-missing-torrc",
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                # Ctrl-C is for the node, which ends it in order.
                start_new_session=True,
            )

    @staticmethod
    async def _end(process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            try:
                async with asyncio.timeout(TOR_END / MICROSECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    def _last_words(self) -> str:
        """The last line that matters of its log, or of what it said before it had one."""
        lines: list[str] = []
        for name in (_SAID_FILE, _LOG_FILE):
            with contextlib.suppress(OSError), (self._directory / name).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_TAIL))
                lines += file.read().decode("utf-8", "replace").splitlines()
        # What is wrong with its configuration it says in warnings, and that it is in an error.
        lines = [line for line in lines if "see warnings above" not in line]
        wrong = [line for mark in ("[err]", "[warn]") for line in reversed(lines) if mark in line]
        return (wrong or lines or ["it says nothing"])[0][:400]


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
