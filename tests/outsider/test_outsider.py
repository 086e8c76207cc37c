"""An outsider's client, written from the document alone, downloads the chain from a real node."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_nodes import DATA, GENESIS, TIP_255, Nodes, free_port, obscura

CLIENT = Path(__file__).with_name("outsider_client.py")


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()


def test_the_client_is_short_and_independent() -> None:
    source = CLIENT.read_text()
    code = [line for line in source.splitlines() if line.strip()]
    assert len(code) <= 60
    imports = {
        alias.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) for alias in node.names
    }
    assert imports == {"hashlib", "json", "socket", "struct", "sys"}
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(ast.parse(source)))


def test_it_downloads_the_chain(nodes: Nodes) -> None:
    done = obscura("import", "--network", "bitcoin", "--datadir", nodes.directory / "a", DATA)
    assert done.returncode == 0, done.stderr
    port = free_port("127.61.1.1")
    node = nodes.start("a", "--network", "bitcoin", "--listen", f"127.61.1.1:{port}")
    node.wait_for(height=255)
    command = [sys.executable, str(CLIENT), "127.61.1.1", str(port), GENESIS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["height"], answer["tip"]) == (255, TIP_255)
    assert answer["bytes"] == DATA.stat().st_size - 255 * 8
    assert node.stop() == 0
