"""Honest nodes on real sockets, on both event loops."""

from __future__ import annotations

import asyncio

from aio_nodes import LOOPS, Factory, RealNode, chain, dialled, ledger_of, run, running, until

from obscura.chain import BlockVerdict
from obscura.ledgers.memory import MemoryLedger
from obscura.node.effects import DialFailed, LinkClosed, LinkOpened
from obscura.wire.address import NetAddress, Network
from obscura.wire.blocks import Block, GetData
from obscura.wire.inventory import KIND_BLOCK, InventoryItem
from obscura.wire.target import Target


@LOOPS
def test_two_nodes_handshake_and_sync(factory: Factory) -> None:
    async def main() -> None:
        first = RealNode(ledger=ledger_of(2_500, 200))
        second = RealNode([first.address])
        async with running(first, second):
            await until(lambda: second.height == 2_500, "the second node has the chain")
            assert second.ledger.tip == first.ledger.tip
            # A new block travels at once, and a dial comes from the address at which the node listens.
            [block] = chain(1, ledger=first.ledger)
            done = await first.driver.submit_block(block)
            assert done.verdict is BlockVerdict.ACCEPTED
            await until(lambda: second.height == 2_501, "the new block")
            [picture] = first.driver.snapshot().peers
            assert picture.inbound
            assert picture.address.raw == second.address.raw
            assert picture.state == "open"
        [reason] = [event.reason for event in first.events if isinstance(event, LinkClosed)]
        assert reason in ("stopped", "peer-closed")
        assert second.saved, "addresses are saved at the end"

    run(factory, main())


@LOOPS
def test_bodies_come_from_both_peers(factory: Factory) -> None:
    async def main() -> None:
        blocks = chain(400, 20_000)
        ledgers = MemoryLedger(), MemoryLedger()
        for ledger in ledgers:
            ledger.accept_blocks(blocks)
        first, second = (RealNode(ledger=ledger) for ledger in ledgers)
        third = RealNode([first.address, second.address])
        async with running(first, second, third):
            await until(lambda: third.height == 400, "the chain")
            assert all(peer.blocks_received >= 50 for peer in third.driver.snapshot().peers)

    run(factory, main())


@LOOPS
def test_a_peer_that_comes_later_is_found(factory: Factory) -> None:
    async def main() -> None:
        late = RealNode(ledger=ledger_of(3))
        # A bound socket that does not listen refuses; the node that is named there starts afterwards.
        late.listener.close()
        early = RealNode([late.address])
        async with running(early):
            await until(lambda: any(isinstance(event, DialFailed) for event in early.events), "a refused dial")
            assert {event.reason for event in early.events if isinstance(event, DialFailed)} == {"connect-refused"}
            again = RealNode(ledger=late.ledger)
            async with running(again):
                early.driver.add_peer(Target(again.address))
                await until(lambda: early.height == 3, "the chain")
            await until(
                lambda: any(isinstance(event, LinkClosed) for event in early.events), "the end of the stopped peer"
            )
        await late.worker.close()

    run(factory, main())


@LOOPS
def test_networks_that_sockets_do_not_reach(factory: Factory) -> None:
    async def main() -> None:
        # The node may dial them, and its driver has no way there.
        reach = (Network.IPV4, Network.TORV3)
        node = RealNode([NetAddress(Network.TORV3, bytes(range(32)), 8333)], reach=reach)
        async with running(node):
            await asyncio.sleep(0.3)
            assert not any(isinstance(event, DialFailed) for event in node.events), "nobody is dialled in vain"

    run(factory, main())


@LOOPS
def test_stream_in_single_bytes(factory: Factory) -> None:
    async def main() -> None:
        node = RealNode(ledger=ledger_of(2))
        async with running(node), dialled(node, greet=False) as peer:
            send = peer.send

            async def dribble(data: bytes) -> None:
                for at in range(len(data)):
                    await send(data[at : at + 1])
                    await asyncio.sleep(0)

            peer.send = dribble  # type: ignore[method-assign]
            await peer.greet()
            await peer.say(GetData((InventoryItem(KIND_BLOCK, node.ledger.tip),)))
            block = await peer.hear_a(Block)
            assert node.ledger.identify_block(block.data).hash == node.ledger.tip
            assert sum(isinstance(event, LinkOpened) for event in node.events) == 1

    run(factory, main())


@LOOPS
def test_many_links_at_once(factory: Factory) -> None:
    async def main() -> None:
        hub = RealNode(ledger=ledger_of(50))
        others = [RealNode([hub.address]) for _ in range(20)]
        async with running(hub, *others):
            await until(lambda: all(other.height == 50 for other in others), "twenty nodes have the chain")
            assert len(hub.driver.snapshot().peers) == 20

    run(factory, main())
