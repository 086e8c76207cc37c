"""Random sequences of events on the node machine: nothing raises, and every invariant holds after each."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from nodes import World, mine_chain
from stranger import Stranger

from obscura.base.digest import double_sha256
from obscura.base.instant import seconds
from obscura.base.names import NULL_HASH, BlockHash
from obscura.ledgers.memory import INVALID_MARK, MemoryLedger
from obscura.wire.blocks import Block, GetBlocks, GetData, GetHeaders, Headers, Inv, NotFound, Tx
from obscura.wire.greeting import GetAddr, Mempool, Verack
from obscura.wire.inventory import InventoryItem

GENESIS = MemoryLedger().tip
BRANCHES = [
    mine_chain(GENESIS, 12, b"a", 1_700_000_100),
    mine_chain(GENESIS, 9, b"b", 1_700_000_100),
    mine_chain(GENESIS, 14, INVALID_MARK, 1_700_000_100),
    mine_chain(BlockHash(b"\x07" * 32), 4, b"foreign", 1_700_000_100),
]
BLOCKS = [block for branch in BRANCHES for block in branch]


def named(block: bytes) -> InventoryItem:
    return InventoryItem(2, double_sha256(block[:80]))


blocks = st.sampled_from(BLOCKS)
spans = st.sampled_from([(branch, low, high) for branch in range(4) for low in (0, 3, 8) for high in (4, 9, 14)])
stories = st.lists(
    st.one_of(
        st.tuples(st.just("headers"), st.integers(0, 2), spans),
        st.tuples(st.just("block"), st.integers(0, 2), blocks),
        st.tuples(st.just("mutated"), st.integers(0, 2), blocks),
        st.tuples(st.just("answer"), st.integers(0, 2), st.none()),
        st.tuples(st.just("inv"), st.integers(0, 2), blocks),
        st.tuples(st.just("getdata"), st.integers(0, 2), blocks),
        st.tuples(st.just("notfound"), st.integers(0, 2), blocks),
        st.tuples(st.just("ask"), st.integers(0, 2), st.integers(0, 5)),
        st.tuples(st.just("noise"), st.integers(0, 2), st.binary(max_size=60)),
        st.tuples(st.just("wait"), st.integers(0, 2), st.sampled_from([0.1, 2.5, 40.0, 700.0])),
        st.tuples(st.just("leave"), st.integers(0, 2), st.none()),
        st.tuples(st.just("mine"), st.integers(0, 2), st.none()),
    ),
    max_size=30,
)


@settings(max_examples=150)
@given(stories)
def test_stories(story: list[tuple[str, int, object]]) -> None:
    world = World()
    host = world.add(7)
    strangers: list[Stranger | None] = [None, None, None]
    for what, who, detail in story:
        stranger = strangers[who]
        if stranger is None or stranger.closed:
            stranger = strangers[who] = Stranger(world, host, f"127.{200 + who}.1.1:5")
        tell(world, stranger, what, detail)
        world.run()
        world.check()
        tip = host.node.snapshot(world.now)
        assert tip.height == host.ledger.height
    world.advance(seconds(2))
    host.node.stop(world.now)
    world.run()
    assert host.node.snapshot(world.now).peers == ()
    world.check()


def tell(world: World, stranger: Stranger, what: str, detail: object) -> None:
    match what, detail:
        case "headers", (branch, low, high):
            stranger.say(Headers(tuple(block[:80] for block in BRANCHES[branch][low:high])))
        case "block", bytes(block):
            stranger.say(Block(block))
        case "mutated", bytes(block):
            stranger.say(Block(block + b"!"))
        case "answer", _:
            # Give all that the node has asked for up to now.
            by_hash = {double_sha256(block[:80]): block for block in BLOCKS}
            wanted = [item.hash for message in stranger.inbox if isinstance(message, GetData) for item in message.items]
            stranger.inbox.clear()
            for name in wanted:
                if not stranger.closed:
                    stranger.say(Block(by_hash[name]))
        case "inv", bytes(block):
            stranger.say(Inv((named(block),)))
        case "getdata", bytes(block):
            stranger.say(GetData((named(block),)))
        case "notfound", bytes(block):
            stranger.say(NotFound((named(block),)))
        case "ask", int(number):
            questions = (
                GetHeaders(1, (GENESIS,), NULL_HASH),
                GetBlocks(1, (), NULL_HASH),
                GetAddr(),
                Mempool(),
                Tx(b"t"),
            )
            stranger.say((*questions, Verack())[number])
        case "noise", bytes(data):
            stranger.send(data)
        case "wait", float(span):
            world.advance(seconds(span))
            stranger.read()
        case "leave", _:
            stranger.host.node.disconnected(stranger.conn, world.now)
            stranger.closed = True
        case "mine", _:
            stranger.host.mine(1, body=b"own")
