"""An outsider's client, written from the document alone, downloads the chain from a real node."""

from __future__ import annotations

import ast
import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aio_nodes import RealNode, ledger_of, run, running
from bad_input import sha
from cli_nodes import DATA, GENESIS, TIP_255, Nodes, free_port, obscura

from obscura.base.names import display_hash

CLIENT = Path(__file__).with_name("outsider_client.py")
VEILED = CLIENT.with_name("veiled_client.py")


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


def test_the_client_is_short_and_independent() -> None:
    source = CLIENT.read_text()
    assert len(source.splitlines()) <= 60
    imports = {
        alias.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) for alias in node.names
    }
    assert imports == {"hashlib", "json", "socket", "struct", "sys"}
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(ast.parse(source)))


def test_it_downloads_the_chain(nodes: Nodes) -> None:
    done = obscura("import", "--network", "bitcoin", "--datadir", nodes.directory / "a", DATA)
    assert done.returncode == 0, done.stderr
    port = free_port("127.61.1.1")
    node = nodes.start("a", "--network", "bitcoin", "--listen", f"127.61.1.1:{port}", "--transport", "plain")
    node.wait_for(height=255)
    command = [sys.executable, str(CLIENT), "127.61.1.1", str(port), GENESIS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["height"], answer["tip"]) == (255, TIP_255)
    assert answer["bytes"] == DATA.stat().st_size - 255 * 8
    assert node.stop() == 0


def veiled(port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(VEILED), "127.61.2.1", str(port), GENESIS, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("keyed", [False, True])
def test_a_veiled_one_downloads_the_chain(nodes: Nodes, keyed: bool) -> None:
    done = obscura("import", "--network", "bitcoin", "--datadir", nodes.directory / "a", DATA)
    assert done.returncode == 0, done.stderr
    port = free_port("127.61.2.1")
    where = f"127.61.2.1:{port}"
    options = ("--listener", "keyed") if keyed else ()
    node = nodes.start("a", "--network", "bitcoin", "--listen", where, *options)
    node.wait_for(height=255)
    invitation = obscura("key", "invite", "--datadir", nodes.directory / "a", "--host", where)
    assert invitation.returncode == 0, invitation.stderr
    words = invitation.stdout.strip().removeprefix("obscura://").partition("@")[0]
    done = veiled(port, words if keyed else words.partition(".")[0])
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["height"], answer["tip"]) == (255, TIP_255)
    assert answer["bytes"] == DATA.stat().st_size - 255 * 8
    with_typo = veiled(port, "b" + words[1:] if words[0] != "b" else "c" + words[1:])
    assert "a mistake in the key" in with_typo.stderr
    assert node.stop() == 0


def test_it_asks_on_while_messages_are_full() -> None:
    # 4,000 headers are two full messages and an empty one; 2,500 a full one and a part of one.
    async def main(height: int) -> None:
        node = RealNode(ledger=ledger_of(height))
        async with running(node):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(CLIENT),
                node.address.host(),
                str(node.address.port),
                display_hash(sha(node.ledger.genesis)),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            output, errors = await process.communicate()
            assert process.returncode == 0, errors.decode()
            answer = json.loads(output)
            assert (answer["height"], answer["tip"]) == (height, display_hash(node.ledger.tip))

    for height in (0, 2_500, 4_000):
        run(asyncio.new_event_loop, main(height))
