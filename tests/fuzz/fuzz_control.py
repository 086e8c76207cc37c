"""Every line on the control socket gets one line of JSON, result or error, and the server serves the next one."""

from __future__ import annotations

import asyncio
import atexit
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from obscura.app.compose import mine_request
from obscura.base.errors import LocalError
from obscura.base.limits import CONTROL_LINE_BYTES
from obscura.control.server import ControlServer, RequestError
from obscura.wire.target import parse_target

MAX_LEN = 4_096
REACHES = (
    "app.compose.mine_request",
    "control.server.ControlServer._accept",
    "control.server.ControlServer._converse",
    "control.server.ControlServer._one",
    "control.server.RequestError.__init__",
)


async def answer(method: str, values: dict[str, Any]) -> Any:
    """What a node answers, as far as it needs no node: the judging of what was asked for."""
    match method:
        case "status":
            return {"height": 0}
        case "mine":
            count, script = mine_request("regtest", values)
            return {"mined": count, "script": script.hex()}
        case "add":
            try:
                parse_target(str(values.get("address", "")))
            except LocalError as error:
                raise RequestError("bad-address", str(error)) from error
            return {"added": True}
    raise RequestError("unknown-method", f"there is no method {method!r}")


class Served:
    """One server for the whole run, as a node's server sees one client after another."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "control.sock"
        self.loop = asyncio.new_event_loop()
        self.server = ControlServer(self.path, answer)
        self.loop.run_until_complete(self.server.__aenter__())
        atexit.register(self.close)

    def close(self) -> None:
        self.loop.run_until_complete(self.server.__aexit__(None, None, None))
        self.loop.close()
        shutil.rmtree(self.folder)

    async def say(self, data: bytes) -> bytes:
        """Send bytes, end the stream, read until the server ends it too."""
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=1 << 24)
        try:
            async with asyncio.timeout(20):
                writer.write(data)
                writer.write_eof()
                return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


_served: list[Served] = []


def run(data: bytes) -> None:
    """The bytes of one client; the first byte may repeat the rest, to reach the limit of a line."""
    if not _served:
        _served.append(Served())
    served = _served[0]
    repeat = 1 if not data or data[0] < 0xF0 else 1 + CONTROL_LINE_BYTES // max(1, len(data) - 1)
    said = data[1:] * repeat
    told = served.loop.run_until_complete(served.say(said))
    answers = told.splitlines()
    lines = said.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if all(len(line) < CONTROL_LINE_BYTES for line in lines):
        assert len(answers) == len(lines), "one answer for each line"
    else:
        assert len(answers) <= len(lines)
    for one in answers:
        found = json.loads(one, parse_constant=_refuse)
        assert isinstance(found, dict)
        assert set(found) in ({"result"}, {"error"})
        if "error" in found:
            assert set(found["error"]) == {"code", "text"}
            assert "Traceback" not in found["error"]["text"]
    assert told == b"" or told.endswith(b"\n")


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def seeds() -> Iterator[bytes]:
    """Good requests, bad ones, several in a row, one that is too long."""
    good = [
        b'{"method": "status"}',
        b'{"method": "mine", "values": {"count": 3}}',
        b'{"method": "mine", "values": {"to": "51"}}',
        b'{"method": "mine", "values": {"to": "zz", "count": 1}}',
        b'{"method": "mine", "values": {"count": 100000}}',
        b'{"method": "add", "values": {"address": "127.0.0.1:1"}}',
        b'{"method": "add", "values": {"address": 5}}',
        b'{"method": "add", "values": {"address": "plain://127.0.0.1:1"}}',
        b'{"method": "add", "values": {"address": "obscura://abc.def@127.0.0.1:1"}}',
        b'{"method": "none\\ud800", "values": {}}',
        b'{"method": 1}',
        b"[]",
        b"{",
        b"[" * 3_000,
        b'{"method": "mine", "values": {"count": ' + b"9" * 3_900 + b"}}",
        b'\xff\xfe{"',
        b"",
    ]
    yield from (b"\0" + one + b"\n" for one in good)
    yield b"\0" + b"\n".join(good[:6])
    yield b"\xff" + b"a" * 100
