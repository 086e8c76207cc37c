"""The operator's verbs about named peers through the driver: what is durable on return, and what is refused."""

from __future__ import annotations

import pytest
from aio_nodes import LOOPS, Factory, RealNode, make_vault, run, running

from obscura.base.errors import StoreError
from obscura.base.instant import Now, WallTime
from obscura.node import pinning
from obscura.peers.pins import NamedPin, PinError
from obscura.wire.address import NetAddress, parse_address
from obscura.wire.target import Mode, Target

ADDRESS = parse_address("127.99.1.1:9")
PIN = NamedPin(ADDRESS, b"\x01" * 32, WallTime(5))


@LOOPS
def test_a_forgotten_pin_is_durable_on_return(factory: Factory) -> None:
    saved: list[tuple[NetAddress, NamedPin | None]] = []

    async def main() -> None:
        node = RealNode(vault=make_vault(), pins=[PIN], save_pins=saved.extend)
        async with running(node):
            assert await node.driver.forget_pin(ADDRESS)
            assert saved == [(ADDRESS, None)]
            assert not await node.driver.forget_pin(ADDRESS)
            assert len(saved) == 1

    run(factory, main())


@LOOPS
def test_a_disk_that_fails_is_told_to_who_asked(factory: Factory) -> None:
    def save(_changes: object) -> None:
        raise StoreError("the disk is full")

    async def main() -> None:
        node = RealNode(vault=make_vault(), pins=[PIN], save_pins=save)
        async with running(node):
            with pytest.raises(StoreError, match="full"):
                await node.driver.forget_pin(ADDRESS)

    run(factory, main())


@LOOPS
def test_a_new_pin_is_saved_before_the_end(factory: Factory) -> None:
    saved: list[tuple[NetAddress, NamedPin | None]] = []

    async def main() -> None:
        node = RealNode(vault=make_vault(), save_pins=saved.extend)

        def meet(now: Now) -> None:
            pinning.meet(node.driver._node._state, Target(ADDRESS), PIN.key, now._replace(wall=WallTime(5)), named=True)

        async with running(node):
            node.driver._give(meet)
        assert saved == [(ADDRESS, PIN)]

    run(factory, main())


@LOOPS
def test_what_cannot_be_named_is_no_defect(factory: Factory, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        node = RealNode(vault=make_vault(), pins=[PIN])
        async with running(node):
            with pytest.raises(PinError, match="obscura key forget"):
                node.driver.add_peer(Target(ADDRESS, Mode.PLAIN))
            node.driver.add_peer(Target(ADDRESS))
            assert await node.driver.forget_pin(ADDRESS), "and it needs no store"

    run(factory, main())
    assert "defect" not in [record.getMessage() for record in caplog.records]
