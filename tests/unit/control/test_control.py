"""The control socket's two ends, where one of them fails."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from obscura.base.errors import LocalError, StoreError
from obscura.control.client import LostNodeError, NoNodeError, RefusedError, ask
from obscura.control.server import ControlServer
from obscura.control.wire import socket_path


async def served(path: Path, answer: Callable[[], Any], *methods: str) -> list[object]:
    """What a server that answers by ``answer`` gives to requests; refusals as exceptions."""

    async def respond(_method: str, _values: dict[str, Any]) -> Any:
        return answer()

    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with ControlServer(path / "control.sock", respond):
        asked = [asyncio.to_thread(ask, path, method) for method in methods]
        results = list(await asyncio.gather(*asked, return_exceptions=True))
    assert not complaints, complaints
    return results


@pytest.mark.parametrize("error", [LocalError("the node is stopping"), StoreError("the disk is full")])
def test_a_request_that_fails_midway_is_answered(tmp_path: Path, error: LocalError) -> None:
    def fail() -> None:
        raise error

    [result] = asyncio.run(served(tmp_path, fail, "mine"))
    assert isinstance(result, RefusedError)
    assert (result.code, str(result)) == ("failed", str(error))


def test_the_socket_of_another_node_is_left_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with ControlServer(tmp_path / "control.sock", _nothing):
            # The directory was removed and made anew while the node ran, and another node began in it.
            (tmp_path / "control.sock").rename(tmp_path / "old.sock")
            (tmp_path / "control.sock").touch()
        assert (tmp_path / "control.sock").exists()
        async with ControlServer(tmp_path / "control.sock", _nothing):
            pass
        assert not (tmp_path / "control.sock").exists()

    asyncio.run(main())


async def _nothing(_method: str, _values: dict[str, Any]) -> Any:
    return None


@pytest.mark.parametrize("said", [b"", b'{"result": 1'])
def test_a_node_that_ends_before_it_answers_is_not_an_absent_one(tmp_path: Path, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        with socket_path(tmp_path / "control.sock") as where:
            server.bind(where)
        server.listen()

        def end() -> None:
            link, _ = server.accept()
            with link:
                link.recv(100)
                link.sendall(said)

        ending = threading.Thread(target=end)
        ending.start()
        with pytest.raises(LostNodeError, match="ended before it answered"):
            ask(tmp_path, "mine")
        ending.join()
    # Now the socket is a dead node's.
    with pytest.raises(NoNodeError) as caught:
        ask(tmp_path, "mine")
    assert type(caught.value) is NoNodeError


def test_a_node_that_is_stopped_is_given_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        with socket_path(tmp_path / "control.sock") as where:
            server.bind(where)
        server.listen()
        with pytest.raises(LostNodeError, match="did not answer"):
            ask(tmp_path, "status", timeout_s=0.1)
