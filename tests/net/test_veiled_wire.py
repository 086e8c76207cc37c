"""What a recorder between two real nodes sees, and what a prober of a real port learns: nothing, and when."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_nodes import DATA, Nodes, free_port, obscura
from crash_kill import status, wait_until
from pair import make_version
from veil import PRIVATE

from obscura.wire.registry import encode_message

HOST = "127.63.1.1"


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


class Recorder:
    """A machine in the middle that passes everything on, and keeps it."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.listener = socket.create_server((HOST, 0))
        self.seen = (bytearray(), bytearray())
        self._target = target
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def where(self) -> str:
        return f"{HOST}:{self.listener.getsockname()[1]}"

    def _run(self) -> None:
        with self.listener:
            near, _ = self.listener.accept()
            with near, socket.create_connection(self._target) as far:
                ends = {near: (far, self.seen[0]), far: (near, self.seen[1])}
                while True:
                    for end in select.select(list(ends), [], [])[0]:
                        data = end.recv(65_536)
                        if not data:
                            return
                        other, kept = ends[end]
                        kept += data
                        other.sendall(data)


def chi_squared(data: bytes) -> float:
    expected = len(data) / 256
    return sum((data.count(byte) - expected) ** 2 for byte in range(256)) / expected


def test_a_recorder_sees_nothing(nodes: Nodes) -> None:
    done = obscura("import", "--network", "bitcoin", "--datadir", nodes.directory / "a", DATA)
    assert done.returncode == 0, done.stderr
    port = free_port("127.63.2.1")
    a = nodes.start("a", "--network", "bitcoin", "--listen", f"127.63.2.1:{port}")
    a.wait_for(height=255)
    recorder = Recorder(("127.63.2.1", port))
    b = nodes.start("b", "--network", "bitcoin", "--connect", recorder.where, "--no-discover")
    b.wait_for(height=255)
    [one], [other] = a.ask("peers"), b.ask("peers")
    assert one["session"] == other["session"] != ""
    assert one["encrypted"]
    assert b.stop() == 0
    asked, served = map(bytes, recorder.seen)
    # Two streams are the least that was sent: 255 blocks of real transactions, and the questions for them.
    assert len(served) > DATA.stat().st_size
    blocks = DATA.read_bytes()
    for seen in (asked, served):
        for word in (b"version", b"verack", b"Obscura", b"headers", b"getdata", b"block\0", b"ping"):
            assert word not in seen
        for at in range(0, len(blocks) - 16, 1_009):
            assert blocks[at : at + 16] not in seen
        # 255 degrees of freedom: above 378 once in a million times.
        assert chi_squared(seen) < 378


PROBES = {
    "nothing": b"",
    "31 bytes": os.urandom(31),
    "random": os.urandom(5_000),
    "HTTP": b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "TLS": bytes.fromhex("16030100f8010000f40303") + os.urandom(240),
    "a clear version": encode_message(make_version(5, PRIVATE)),
}


@pytest.mark.slow
@pytest.mark.parametrize("listener", ["open", "keyed"])
def test_probes_of_a_real_port(nodes: Nodes, listener: str) -> None:
    """All at once, as time is long: 30 s of silence, one moment for all, a FIN and never a reset."""
    port = free_port("127.63.3.1")
    where = f"127.63.3.1:{port}"
    node = nodes.start("n", "--network", "regtest", "--listen", where, "--listener", listener)
    wait_until(lambda: status(node.datadir) is not None, node.process, nodes.directory / "n.log")
    probes: dict[str, socket.socket] = {}
    begun: dict[str, float] = {}
    for name, data in PROBES.items():
        sock = probes[name] = socket.create_connection(("127.63.3.1", port))
        begun[name] = time.monotonic()
        sock.sendall(data)
    said: dict[str, bytes] = dict.fromkeys(PROBES, b"")
    ended: dict[str, float] = {}
    names = {sock: name for name, sock in probes.items()}
    while len(ended) < len(PROBES):
        ready = select.select(list(names), [], [], 40)[0]
        assert ready, "everything ends"
        for sock in ready:
            data = sock.recv(65_536)  # a reset would raise
            name = names[sock]
            if data:
                said[name] += data
            else:
                ended[name] = time.monotonic() - begun[name]
                del names[sock]
                sock.close()
    answered = {name for name, data in said.items() if data}
    assert answered == (set() if listener == "keyed" else {"random", "HTTP", "TLS"})
    assert all(len(said[name]) >= 1_296 for name in answered)
    assert 29.9 < min(ended.values()) <= max(ended.values()) < 30 + 1.5
    assert node.stop() == 0
    assert "Traceback" not in node.log()
