"""Private networks of real daemons, one of each for all tests of a run. Without the daemons these tests fail."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_nodes import Nodes
from i2p_network import I2PNetwork
from i2p_network import are_installed as i2pd_is_installed
from tor_network import TorNetwork, are_installed

_HANG_S = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these need daemons, and their time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(_HANG_S))
            # Mostly they wait, so two run at once; each network is brought up once.
            needs = getattr(item, "fixturenames", ())
            item.add_marker(pytest.mark.xdist_group("i2p" if "i2p" in needs else "tor"))


@pytest.fixture(scope="session")
def tor() -> Iterator[TorNetwork]:
    """A Tor network on loopback."""
    assert are_installed(), "these tests need tor: apt install tor"
    # Not pytest's own directory: paths of sockets are short.
    root = Path(tempfile.mkdtemp(prefix="tor"))
    try:
        with TorNetwork(root) as network:
            yield network
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def i2p() -> Iterator[I2PNetwork]:
    """An I2P network in a network namespace, its SAM ports on loopback."""
    assert i2pd_is_installed(), "these tests need i2pd: apt install i2pd"
    root = Path(tempfile.mkdtemp(prefix="i2p"))
    try:
        with I2PNetwork(root) as network:
            yield network
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.close()
