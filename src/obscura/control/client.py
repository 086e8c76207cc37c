"""The operator's end of the control socket."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path
from typing import Any

from ..base.errors import LocalError
from .wire import socket_path


class NoNodeError(LocalError):
    """No node runs on the data directory."""


class LostNodeError(NoNodeError):
    """A node took the request and ended, or fell silent, before it answered: what became of it is unknown."""


class RefusedError(LocalError):
    """The node answered with an error; ``code`` is its stable name."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def ask(datadir: Path, method: str, values: dict[str, Any] | None = None, *, timeout_s: float = 60) -> Any:
    """Ask the node of ``datadir`` and return its result.

    Raises:
        NoNodeError: none runs there.
        LostNodeError: it ended before it answered.
        RefusedError: it answered with an error.
    """
    path = datadir / "control.sock"
    request = json.dumps({"method": method, "values": values or {}}).encode() + b"\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout_s)
        try:
            with socket_path(path) as where:
                sock.connect(where)
        except (FileNotFoundError, ConnectionError, NotADirectoryError) as error:
            raise NoNodeError(f"no node runs on {datadir}") from error
        except TimeoutError as error:
            raise LostNodeError(f"the node on {datadir} does not take requests: it is stopped or overloaded") from error
        except OSError as error:
            raise NoNodeError(f"the node on {datadir} cannot be asked: {error.strerror}") from error
        line = b""
        try:
            # A node whose slots are taken says so and closes without having read: its answer is there nevertheless.
            with contextlib.suppress(BrokenPipeError):
                sock.sendall(request)
            with sock.makefile("rb") as stream:
                line = stream.readline()
        except TimeoutError as error:
            raise LostNodeError(f"the node on {datadir} did not answer within {timeout_s:.0f} s") from error
        except OSError:
            # Reset: it ended. What came before is at most half an answer.
            pass
    if not line.endswith(b"\n"):
        raise LostNodeError(f"the node on {datadir} ended before it answered: its log says why")
    answer = json.loads(line)
    if "error" in answer:
        raise RefusedError(answer["error"]["code"], answer["error"]["text"])
    return answer["result"]
