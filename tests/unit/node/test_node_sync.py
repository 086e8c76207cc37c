"""The node machine catching up and serving: honest peers, liars, stallers, reorganisations."""

from __future__ import annotations

import pytest
from nodes import Host, World, mine_chain
from stranger import Stranger

from obscura.base.digest import double_sha256
from obscura.base.instant import seconds
from obscura.base.limits import (
    BLOCKS_IN_FLIGHT,
    FAULT_BUDGET,
    FAULT_UNSOLICITED,
    HEADERS_TIMEOUT,
    SECOND_HEADER_PEER,
)
from obscura.base.names import NULL_HASH, BlockHash
from obscura.chain import BlockVerdict
from obscura.ledgers.memory import GENESIS, INVALID_MARK, TARGET, MemoryLedger, mine
from obscura.node.effects import BlockRefused, BlockSubmitted, Send, TipMoved
from obscura.wire.blocks import Block, GetBlocks, GetData, GetHeaders, Headers, Inv, NotFound, Tx
from obscura.wire.greeting import Mempool
from obscura.wire.inventory import KIND_BLOCK, KIND_TX, InventoryItem
from obscura.wire.target import Target

GENESIS_HASH = MemoryLedger().tip


def header_of(block: bytes) -> bytes:
    return block[:80]


def hash_of(block: bytes) -> BlockHash:
    return BlockHash(double_sha256(block[:80]))


def wants(answers: list[object]) -> list[bytes]:
    """Hashes that the node asked for."""
    return [item.hash for message in answers if isinstance(message, GetData) for item in message.items]


@pytest.fixture
def world() -> World:
    return World()


class TestSync:
    def test_two_nodes(self, world: World) -> None:
        first = world.add()
        first.mine(40)
        second = world.add(0)
        world.run()
        assert second.ledger.tip == first.ledger.tip
        assert not second.node.snapshot(world.now).syncing
        world.check()

    def test_third_node_fetches_from_both(self, world: World) -> None:
        first = world.add()
        world.add(0)
        world.run()
        first.mine(255)
        third = world.add(0, 1)
        world.run()
        assert third.ledger.height == 255
        assert all(peer.blocks_received > 20 for peer in third.node.snapshot(world.now).peers)

    def test_announcements_travel_by_headers(self, world: World) -> None:
        first, second = world.add(), world.add(0)
        world.run()
        first.mine(1)
        first.mine(1)
        assert second.ledger.height == 2
        first.mine(1)
        assert second.ledger.tip == first.ledger.tip

    def test_longer_than_one_headers_message(self, world: World) -> None:
        first = world.add()
        first.mine(4_100)
        second = world.add(0)
        world.run()
        assert second.ledger.height == 4_100
        world.check()

    def test_reorganisation(self, world: World) -> None:
        first, second = world.add(), world.add()
        first.mine(5, body=b"a")
        second.mine(8, body=b"b")
        first.node.add_peer(Target(second.address), world.now)
        world.run()
        assert first.ledger.tip == second.ledger.tip
        moved = [event for event in first.events if isinstance(event, TipMoved)]
        assert (moved[-1].height, moved[-1].disconnected) == (8, 5)
        world.check()

    def test_syncing_says_that_a_better_chain_is_known(self, world: World) -> None:
        host = world.add()
        world.run()
        stranger = Stranger(world, host)
        chain = mine_chain(GENESIS_HASH, 3, b"x", 1_700_000_100)
        stranger.say(Headers(tuple(map(header_of, chain))))
        picture = host.node.snapshot(world.now)
        assert (picture.syncing, picture.headers, picture.height) == (True, 3, 0)


class TestServing:
    @pytest.fixture
    def served(self, world: World) -> tuple[Host, Stranger, list[bytes]]:
        host = world.add()
        blocks = host.mine(600)
        return host, Stranger(world, host), blocks

    def test_getheaders(self, served: tuple[Host, Stranger, list[bytes]]) -> None:
        _, stranger, blocks = served
        [answer] = stranger.say(GetHeaders(1, (GENESIS_HASH,), NULL_HASH))
        assert answer == Headers(tuple(map(header_of, blocks)))
        [answer] = stranger.say(GetHeaders(1, (BlockHash(bytes(31) + b"x"), hash_of(blocks[9])), hash_of(blocks[11])))
        assert answer == Headers(tuple(map(header_of, blocks[10:12])))
        [answer] = stranger.say(GetHeaders(1, (), hash_of(blocks[77])))
        assert answer == Headers((header_of(blocks[77]),))
        [answer] = stranger.say(GetHeaders(1, (), BlockHash(bytes(31) + b"x")))
        assert answer == Headers(())
        [answer] = stranger.say(GetHeaders(1, (hash_of(blocks[-1]),), NULL_HASH))
        assert answer == Headers(())

    def test_getblocks_and_continuation(self, served: tuple[Host, Stranger, list[bytes]]) -> None:
        _, stranger, blocks = served
        [answer] = stranger.say(GetBlocks(1, (GENESIS_HASH,), NULL_HASH))
        assert [item.hash for item in answer.items] == [hash_of(block) for block in blocks[:500]]  # type: ignore[union-attr]
        answers = stranger.say(GetData((InventoryItem(KIND_BLOCK, hash_of(blocks[499])),)))
        tip = Inv((InventoryItem(KIND_BLOCK, hash_of(blocks[-1])),))
        assert answers == [Block(blocks[499]), tip]

    def test_getdata(self, served: tuple[Host, Stranger, list[bytes]]) -> None:
        _, stranger, blocks = served
        unknown = InventoryItem(KIND_BLOCK, bytes(32))
        transaction = InventoryItem(KIND_TX, hash_of(blocks[0]))
        odd = InventoryItem(99, hash_of(blocks[0]))
        items = tuple(InventoryItem(KIND_BLOCK, hash_of(block)) for block in blocks[:40])
        answers = stranger.say(GetData((unknown, *items, transaction, odd)))
        assert answers[:-1] == [Block(block) for block in blocks[:40]]
        assert answers[-1] == NotFound((unknown, transaction, odd))

    def test_genesis_is_not_sent_as_a_stale_block_and_other_messages_are_quiet(
        self, served: tuple[Host, Stranger, list[bytes]]
    ) -> None:
        _, stranger, _ = served
        assert stranger.say(Tx(b"transaction")) == []
        assert stranger.say(Mempool()) == [Inv(())]
        assert stranger.say(Mempool()) == [], "once a minute"
        assert not stranger.closed

    def test_nothing_is_read_while_serving(self, world: World, served: tuple[Host, Stranger, list[bytes]]) -> None:
        host, stranger, blocks = served
        host.node.congested(stranger.conn, world.now)
        items = tuple(InventoryItem(KIND_BLOCK, hash_of(block)) for block in blocks)
        assert stranger.say(GetData(items), Mempool()) == []
        host.node.drained(stranger.conn, world.now)
        world.run()
        assert len(stranger.read()) == 601

    def test_old_stale_blocks_are_not_served(self, world: World) -> None:
        host = world.add()
        stale = host.mine(1, body=b"stale")[0]
        host.mine(3, on=GENESIS_HASH)
        stranger = Stranger(world, host)
        item = InventoryItem(KIND_BLOCK, hash_of(stale))
        assert stranger.say(GetData((item,))) == [Block(stale)]
        host.mine(300)
        stranger.read()
        assert stranger.say(GetData((item,))) == [NotFound((item,))]


class TestBadPeers:
    @pytest.fixture
    def pair(self, world: World) -> tuple[Host, Host]:
        host = world.add()
        honest = world.add(0)
        host.mine(10)
        return host, honest

    def links(self, host: Host, world: World) -> int:
        return len(host.node.snapshot(world.now).peers)

    def test_gap(self, world: World, pair: tuple[Host, Host]) -> None:
        host, _ = pair
        chain = mine_chain(host.ledger.tip, 3, b"x", world.block_time())
        stranger = Stranger(world, host)
        stranger.say(Headers((header_of(chain[0]), header_of(chain[2]))))
        assert stranger.reason == "headers-gap"
        assert self.links(host, world) == 1

    def test_bad_work_after_a_good_answer(self, world: World, pair: tuple[Host, Host]) -> None:
        host, _ = pair
        stranger = Stranger(world, host)
        good = mine_chain(host.ledger.tip, 1, b"x", world.block_time())[0]
        stranger.say(Headers((header_of(good),)))
        bad = bytearray(header_of(mine(hash_of(good), b"", world.block_time())))
        while int.from_bytes(double_sha256(bytes(bad)), "little") < TARGET:
            bad[-1] ^= 1
            bad[-2] += 1
        stranger.say(Headers((bytes(bad),)))
        assert stranger.reason == "high-hash"

    def test_another_network(self, world: World, pair: tuple[Host, Host]) -> None:
        host, _ = pair
        stranger = Stranger(world, host)
        foreign = mine_chain(hash_of(mine(NULL_HASH, b"other genesis", 5)), 3, b"x", 1_700_000_100)
        stranger.say(Headers(tuple(map(header_of, foreign))))
        assert stranger.reason == "other-network"

    def test_unconnected_headers_lead_to_a_question_and_then_to_the_end(
        self, world: World, pair: tuple[Host, Host]
    ) -> None:
        host, _ = pair
        stranger = Stranger(world, host)
        stranger.say(Headers(()))
        foreign = mine_chain(hash_of(mine(NULL_HASH, b"other genesis", 5)), 1, b"x", 1_700_000_100)
        message = Headers((header_of(foreign[0]),))
        assert isinstance(stranger.say(message)[0], GetHeaders)
        while not stranger.closed:
            stranger.say(message)
        assert stranger.reason in ("other-network", "fault-budget")

    def test_too_many_unasked_headers(self, world: World, pair: tuple[Host, Host]) -> None:
        host, _ = pair
        stranger = Stranger(world, host)
        stranger.say(Headers(()))
        chain = mine_chain(host.ledger.tip, 9, b"x", world.block_time())
        for _ in range(FAULT_BUDGET // FAULT_UNSOLICITED):
            assert host.node.snapshot(world.now).headers == 10
            stranger.say(Headers(tuple(map(header_of, chain))))
        assert stranger.reason == "fault-budget"

    def test_invalid_header_by_context(self, world: World, pair: tuple[Host, Host]) -> None:
        host, _ = pair
        stranger = Stranger(world, host)
        stranger.say(Headers((header_of(mine(host.ledger.tip, b"", 5)),)))
        assert stranger.reason == "time-too-old"
        assert not host.node.snapshot(world.now).syncing

    def test_invalid_block(self, world: World, pair: tuple[Host, Host]) -> None:
        host, honest = pair
        stranger = Stranger(world, host)
        tip = host.ledger.tip
        bad = mine_chain(tip, 2, INVALID_MARK, world.block_time())
        asked = stranger.say(Headers(tuple(map(header_of, bad))))
        assert wants(asked) == [hash_of(block) for block in bad]
        stranger.say(Block(bad[0]))
        assert stranger.reason == "bad-body"
        assert host.ledger.tip == tip
        assert not host.node.snapshot(world.now).syncing, "what builds on an invalid block is invalid"
        again = Stranger(world, host)
        again.say(Headers(tuple(map(header_of, bad))))
        assert again.reason == "invalid-ancestor"
        assert self.links(host, world) == 1
        assert honest.ledger.tip == tip

    def test_mutated_block_costs_the_sender_not_the_hash(self, world: World, pair: tuple[Host, Host]) -> None:
        host, _ = pair
        liar = Stranger(world, host)
        block = mine_chain(host.ledger.tip, 1, b"body", world.block_time())[0]
        liar.say(Headers((header_of(block),)))
        liar.say(Block(block + b"!"))
        assert liar.reason == "body-mismatch"
        other = Stranger(world, host, "127.201.1.1:50000")
        assert wants(other.say(Headers((header_of(block),)))) == [hash_of(block)]
        other.say(Block(block))
        assert host.ledger.tip == hash_of(block)
        world.check()

    def test_unsolicited_blocks_are_dropped_and_charged(self, world: World, pair: tuple[Host, Host]) -> None:
        host, _ = pair
        stranger = Stranger(world, host)
        block = mine_chain(host.ledger.tip, 1, b"body", world.block_time())[0]
        for _ in range(FAULT_BUDGET // FAULT_UNSOLICITED):
            assert host.ledger.height == 10
            stranger.say(Block(block))
        assert stranger.reason == "fault-budget"
        assert host.ledger.height == 10

    def test_block_with_bad_work(self, world: World, pair: tuple[Host, Host]) -> None:
        host, _ = pair
        stranger = Stranger(world, host)
        stranger.say(Block(b"\xff" * 100))
        assert stranger.reason == "high-hash"

    def test_low_work_branches_are_bounded(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        from obscura.node import on_sync

        monkeypatch.setattr(on_sync, "LOW_WORK_PER_PEER", 12)
        host = world.add()
        host.mine(40)
        branch = mine_chain(GENESIS_HASH, 20, b"low", 1_700_000_100)
        stranger = Stranger(world, host)
        stranger.say(Headers(()))
        stranger.say(Headers(tuple(map(header_of, branch[:8]))))
        before = host.node._state.low_work
        stranger.say(Headers(tuple(map(header_of, branch[8:16]))))
        assert before == 8
        assert stranger.reason == "low-work-branch"
        assert host.node._state.low_work == 0, "what a link brought goes with it"
        assert len(host.node._state.tree) == 41
        world.check()


class TestSlowPeers:
    def test_notfound_goes_elsewhere_at_once(self, world: World) -> None:
        first = world.add()
        first.mine(30)
        liar = world.add(0)
        world.run()
        liar.filter = lambda effect: not (isinstance(effect, Send) and b"block\0" in effect.data[:20])
        blocks = [item for item in liar.ledger._nodes.values() if item.height]
        for node in blocks:
            node.data = None  # it has shown the headers and has lost the blocks
        late = world.add(0, 1)
        world.run()
        assert late.ledger.height == 30

    def test_a_staller_is_worked_around(self, world: World) -> None:
        first = world.add()
        first.mine(60)
        staller = world.add(0)
        world.run()
        staller.filter = lambda effect: not (isinstance(effect, Send) and b"block\0" in effect.data[:20])
        late = world.add(0, 1)
        world.run()
        assert late.ledger.height < 60
        peers = late.node.snapshot(world.now).peers
        assert max(peer.blocks_in_flight for peer in peers) == BLOCKS_IN_FLIGHT
        world.advance(seconds(10))
        assert late.ledger.height == 60
        world.check()

    def test_a_peer_that_hides_its_headers_is_passed_over(self, world: World) -> None:
        honest = world.add()
        honest.mine(20)
        silent = world.add(0)
        world.run()
        silent.filter = lambda effect: not (isinstance(effect, Send) and b"headers\0\0\0\0\0" in effect.data)
        late = world.add(1)
        world.run()
        late.node.add_peer(Target(honest.address), world.now)
        world.run()
        assert late.ledger.height == 0
        world.advance(seconds(SECOND_HEADER_PEER / 1_000_000 + 1))
        assert late.ledger.height == 20
        world.advance(HEADERS_TIMEOUT)
        world.check()

    def test_unreadable_block_is_asked_again(self, world: World) -> None:
        host = world.add()
        stranger = Stranger(world, host)
        block = mine_chain(GENESIS_HASH, 1, b"x", 1_700_000_100)[0]
        asked = stranger.say(Headers((header_of(block),)))
        assert wants(asked) == [hash_of(block)]
        from obscura.wire.registry import encode_message

        frame = bytearray(encode_message(Block(block)))
        frame[-1] ^= 1
        assert stranger.send(bytes(frame)) == []
        world.advance(seconds(2.1))
        assert wants(stranger.read()) == [hash_of(block)]
        stranger.say(Block(block))
        assert host.ledger.height == 1

    def test_unreadable_headers_fail_the_request_at_once(self, world: World) -> None:
        host = world.add(discover=False)
        first, second = Stranger(world, host, greet=False), Stranger(world, host, "127.201.1.1:50000", greet=False)
        from pair import make_version

        from obscura.wire.greeting import Verack
        from obscura.wire.registry import encode_message

        assert isinstance(first.say(make_version(nonce=5), Verack())[0], GetHeaders)
        assert second.say(make_version(nonce=6), Verack()) == []
        frame = bytearray(encode_message(Headers(())))
        frame[16] ^= 1
        assert first.send(bytes(frame)) == []
        assert isinstance(second.read()[0], GetHeaders), "another peer is asked at once"
        second.say(Headers(()))
        world.advance(seconds(2.1))
        assert isinstance(first.read()[0], GetHeaders), "this one again after a rest"

    def test_withheld_blocks_do_not_hold_up_others(self, world: World) -> None:
        """Whoever shows the best headers and no blocks does not keep the second-best chain from us."""
        host = world.add()
        honest = world.add(0)
        host.mine(5)
        liar = Stranger(world, host)
        liar.say(Headers(()))
        secret = mine_chain(host.ledger.tip, 6, b"secret", world.block_time())
        liar.say(Headers(tuple(map(header_of, secret))))
        assert host.node.snapshot(world.now).headers == 11
        honest.mine(3)
        assert host.ledger.tip == honest.ledger.tip
        assert host.node.snapshot(world.now).syncing, "the better headers are still wanted"
        liar.say(*(Block(block) for block in secret))
        assert host.ledger.tip == hash_of(secret[-1])
        world.check()

    @pytest.mark.parametrize("held_s", [30, 700])
    def test_who_is_not_read_from_does_not_keep_a_block_from_us(self, world: World, held_s: int) -> None:
        """He shows a block, is asked for it, and takes nothing: somebody else is asked, before he reads on or then."""
        host = world.add()
        chain = mine_chain(GENESIS_HASH, 1, b"x", 1_700_000_100)
        first = Stranger(world, host)
        assert len(wants(first.say(Headers(tuple(map(header_of, chain)))))) == 1
        host.node.congested(first.conn, world.now)
        world.advance(seconds(held_s))
        second = Stranger(world, host, "127.201.1.1:50000")
        asked = wants(second.say(Headers(tuple(map(header_of, chain)))))
        if held_s == 700:
            host.node.drained(first.conn, world.now)
            world.run()
        world.advance(seconds(60))
        assert len([*asked, *wants(second.read())]) == 1
        second.say(*(Block(block) for block in chain))
        assert host.ledger.height == 1

    def test_what_was_due_while_a_peer_was_not_read_from_is_looked_at_then(self, world: World) -> None:
        """The time for his block was over meanwhile: without another event nobody would look again."""
        host = world.add()
        [block] = mine_chain(GENESIS_HASH, 1, b"x", 1_700_000_100)
        first = Stranger(world, host)
        assert len(wants(first.say(Headers((header_of(block),))))) == 1
        host.node.congested(first.conn, world.now)
        world.advance(seconds(700))
        assert host.node._state.timers._at.get(("download", 0)) is None
        host.node.drained(first.conn, world.now)
        world.run()
        world.advance(seconds(1))
        assert host.node._state.timers._at.get(("download", 0)) is not None

    def test_a_lost_peer_gives_its_requests_back(self, world: World) -> None:
        host = world.add()
        chain = mine_chain(GENESIS_HASH, 3, b"x", 1_700_000_100)
        first, second = Stranger(world, host), Stranger(world, host, "127.201.1.1:50000")
        assert len(wants(first.say(Headers(tuple(map(header_of, chain)))))) == 3
        assert wants(second.say(Headers(tuple(map(header_of, chain))))) == []
        host.node.disconnected(first.conn, world.now)
        world.run()
        assert len(wants(second.read())) == 3
        second.say(*(Block(block) for block in reversed(chain)))
        assert host.ledger.height == 3


class TestOperator:
    def test_submitting(self, world: World) -> None:
        host = world.add()
        good = mine(GENESIS_HASH, b"", 1_700_000_001)
        bad = mine(hash_of(good), INVALID_MARK, 1_700_000_002)
        orphan = mine(hash_of(bad), b"", 1_700_000_003)
        for block in (good, good, bad, orphan, b"short", b"\xff" * 80):
            host.node.submit_block(block, world.now)
            world.run()
        verdicts = [(event.verdict, event.rule) for event in host.events if isinstance(event, BlockSubmitted)]
        assert verdicts == [
            (BlockVerdict.ACCEPTED, ""),
            (BlockVerdict.DUPLICATE, "duplicate"),
            (BlockVerdict.INVALID, "bad-body"),
            (BlockVerdict.INVALID, "invalid-ancestor"),
            (BlockVerdict.INVALID, "block-too-short"),
            (BlockVerdict.INVALID, "high-hash"),
        ]
        assert any(isinstance(event, BlockRefused) for event in host.events)

    def test_genesis_is_known(self, world: World) -> None:
        host = world.add()
        host.node.submit_block(GENESIS, world.now)
        world.run()
        assert host.events[-1].verdict is BlockVerdict.DUPLICATE  # type: ignore[union-attr]

    def test_stop_ends_all_links_and_saves(self, world: World) -> None:
        first, second = world.add(), world.add(0)
        world.run()
        second.node.stop(world.now)
        world.run()
        assert second.node.snapshot(world.now).peers == ()
        assert first.node.snapshot(world.now).peers == ()
        assert list(second.saved) == [first.address]
        world.advance(seconds(3600))
        assert second.node.snapshot(world.now).peers == (), "nothing is dialled after stop"
