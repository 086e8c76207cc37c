"""A flipped byte in a real block on the wire is refused by a named rule; the chain stays; the right block gets in."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_input import GREETING, frame, sha
from cli_nodes import DATA, TIP_255, Nodes, RunningNode, free_port

HOST = "127.66.1.1"


def real_blocks() -> list[bytes]:
    data, blocks, at = DATA.read_bytes(), [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        blocks.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    return blocks


class Peer:
    """Plays a peer that has the whole chain, by hand and by the standard library alone."""

    def __init__(self, port: int, blocks: list[bytes]) -> None:
        self.sock = socket.create_connection((HOST, port), timeout=20)
        self.stream = self.sock.makefile("rb")
        self.blocks = {sha(block[:80]): block for block in blocks}
        self.sock.sendall(GREETING)
        listed = b"".join(block[:80] + b"\0" for block in blocks)
        self.headers = struct.pack("<BH", 0xFD, len(blocks)) + listed

    def serve(self, spoil: dict[bytes, bytes]) -> None:
        """Answer until the node closes (with ``spoil``: blocks to replace, by hash) or asks no more."""
        while True:
            try:
                head = self.stream.read(20)
            except TimeoutError:
                assert not spoil, "the node neither asks nor closes"
                return
            if len(head) < 20:
                return
            size, kind, _ = struct.unpack("<I12s4s", head)
            payload = self.stream.read(size)
            match kind.rstrip(b"\0"):
                case b"ping":
                    self.sock.sendall(frame("pong", payload))
                case b"getheaders":
                    self.sock.sendall(frame("headers", self.headers))
                case b"getdata":
                    wanted = [payload[at + 4 : at + 36] for at in range(len(payload) % 36, len(payload), 36)]
                    try:
                        for name in wanted:
                            self.sock.sendall(frame("block", spoil.get(name, self.blocks[name])))
                    except ConnectionError:
                        return
                    if not spoil and wanted:
                        # Bodies of earlier tries are kept, so the last one that it asks for is not known: it is the
                        # test that looks at the height.
                        self.sock.settimeout(3)

    def close(self) -> None:
        self.stream.close()
        self.sock.close()


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


def last_reason(node: RunningNode, count: int) -> str:
    for _ in range(200):
        reasons = [line.split("reason=")[1].split()[0] for line in node.log().splitlines() if "link-closed" in line]
        if len(reasons) >= count:
            return reasons[-1]
        time.sleep(0.05)
    raise AssertionError(node.log())


def test_flipped_bytes(nodes: Nodes) -> None:
    blocks = real_blocks()
    port = free_port(HOST)
    node = nodes.start("n", "--network", "bitcoin", "--listen", f"{HOST}:{port}", "--transport", "plain")
    node.wait_for(height=0)
    first = blocks[0]
    rules: dict[int, str] = {}
    # Merkle root, time, target, nonce, count of transactions, version, input, signature script, output, lock time.
    positions = (40, 69, 73, 78, 80, 81, 90, 124, len(first) - 80, len(first) - 10, len(first) - 1)
    for count, position in enumerate(positions, start=1):
        spoilt = bytearray(first)
        spoilt[position] ^= 1
        peer = Peer(port, blocks)
        peer.serve({sha(first[:80]): bytes(spoilt)})
        peer.close()
        rules[position] = last_reason(node, count)
    assert {rules[position] for position in positions[:4]} == {"high-hash"}
    assert all(rule not in ("peer-closed", "") for rule in rules.values()), rules
    assert rules[positions[-2]] == "bad-txnmrklroot"
    for extra in (first + b"\0", first[:-1]):
        peer = Peer(port, blocks)
        peer.serve({sha(first[:80]): extra})
        peer.close()
    status = node.ask("status")
    assert status["height"] == 0
    assert status["peers"] == 0
    peer = Peer(port, blocks)
    peer.serve({})
    node.wait_for(height=255, tip=TIP_255)
    peer.close()
    assert node.stop() == 0
