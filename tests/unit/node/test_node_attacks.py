"""Attacks on the node machine that a strict reviewer found, each with what must come of it."""

from __future__ import annotations

import pytest
from nodes import World, mine_chain
from stranger import Stranger

from obscura.base.digest import double_sha256
from obscura.base.instant import Now, WallTime, seconds
from obscura.base.limits import SEND_BUFFER_BYTES
from obscura.base.names import NULL_HASH, BlockHash
from obscura.ledgers.memory import MemoryLedger
from obscura.node import on_sync
from obscura.node import state as node_state
from obscura.node.effects import Ask, BlocksRead, Send
from obscura.sync import download
from obscura.sync.view import HeaderTree
from obscura.wire.blocks import Block, GetData, GetHeaders, Headers, Inv
from obscura.wire.identity import KeyClass
from obscura.wire.inventory import InventoryItem
from obscura.wire.registry import encode_message
from obscura.wire.target import Target

GENESIS = MemoryLedger().tip


@pytest.fixture
def world() -> World:
    return World()


def name(block: bytes) -> BlockHash:
    return BlockHash(double_sha256(block[:80]))


def headers(blocks: list[bytes]) -> Headers:
    return Headers(tuple(block[:80] for block in blocks))


def asked(stranger: Stranger) -> list[bytes]:
    stranger.read()
    wanted = [item.hash for message in stranger.inbox if isinstance(message, GetData) for item in message.items]
    stranger.inbox.clear()
    return wanted


def stranger_at(world: World, host: object, number: int) -> Stranger:
    return Stranger(world, host, f"127.{100 + number}.1.1:9")  # type: ignore[arg-type]


def test_many_questions_in_one_read_are_not_answered_at_once(world: World) -> None:
    host = world.add()
    host.mine(2_000)
    stranger = Stranger(world, host)
    host.node.receive(stranger.conn, encode_message(GetHeaders(1, (GENESIS,), NULL_HASH)) * 600, world.now)
    sent = sum(len(effect.data) for effect in host.node.take_effects() if isinstance(effect, Send))
    assert 100_000 < sent < SEND_BUFFER_BYTES + 200_000
    # The driver has taken it, and the peer too: the rest is answered.
    host.node.handle_deadline(world.now)
    again = sum(len(effect.data) for effect in host.node.take_effects() if isinstance(effect, Send))
    assert 100_000 < again < SEND_BUFFER_BYTES + 200_000


def test_low_work_headers_do_not_outlive_those_who_brought_them(world: World) -> None:
    host = world.add()
    host.mine(60)
    for round_number in range(3):
        branch = mine_chain(GENESIS, 9, b"%d" % round_number, 1_700_000_100)
        first, second = stranger_at(world, host, 1), stranger_at(world, host, 2)
        for stranger in (first, second):
            stranger.say(Headers(()))
        first.say(headers(branch[:8]))
        second.say(headers(branch[8:]))
        for stranger in (first, second):
            host.node.disconnected(stranger.conn, world.now)
            world.run()
            world.check()
    assert host.node._state.low_work == 0
    assert len(host.node._state.tree) == 61


def test_a_full_total_costs_the_largest_account_not_the_newcomer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_sync, "LOW_WORK_TOTAL", 20)
    host = world.add()
    host.mine(60)
    greedy, honest = stranger_at(world, host, 1), stranger_at(world, host, 2)
    for stranger in (greedy, honest):
        stranger.say(Headers(()))
    branch = mine_chain(GENESIS, 16, b"greedy", 1_700_000_100)
    greedy.say(headers(branch[:8]))
    greedy.say(headers(branch[8:]))
    rival = mine_chain(GENESIS, 8, b"rival", 1_700_000_100)
    honest.say(headers(rival))
    assert not honest.closed
    assert host.node._state.tree.get(name(rival[-1])) is not None
    assert host.node._state.low_work <= 20
    world.check()


def test_requests_for_a_dead_branch_do_not_poison_honest_peers(world: World) -> None:
    host = world.add()
    liar = stranger_at(world, host, 1)
    liar.say(headers(mine_chain(GENESIS, 8, b"dead", 1_700_000_100)))
    assert len(asked(liar)) == 8
    chain = mine_chain(GENESIS, 60, b"good", 1_700_000_100)
    honest = world.add()
    for block in chain:
        honest.node.submit_block(block, world.now)
    world.run()
    host.node.add_peer(Target(honest.address), world.now)
    world.run()
    host.node.disconnected(liar.conn, world.now)
    world.run()
    world.advance(seconds(30))
    assert host.ledger.height == 60
    world.check()


def test_bodies_that_nobody_can_complete_are_given_up(world: World) -> None:
    host = world.add()
    liar = stranger_at(world, host, 1)
    branch = mine_chain(GENESIS, 8, b"lie", 1_700_000_100)
    liar.say(headers(branch))
    liar.say(*(Block(block) for block in branch[1:]))
    other = stranger_at(world, host, 2)
    better = mine_chain(GENESIS, 8, b"a", 1_700_000_100)
    better += mine_chain(name(better[-1]), 2, b"b", 1_700_100_000)
    other.say(headers(better[:8]), headers(better[8:]))
    other.say(*(Block(block) for block in better))
    host.node.disconnected(liar.conn, world.now)
    world.run()
    assert host.ledger.height == 10
    assert host.node._state.waiting == {}
    assert host.node._state.download._buffered == {}


def test_one_mutated_block_costs_no_other(world: World) -> None:
    host = world.add()
    chain = mine_chain(GENESIS, 8, b"x", 1_700_000_100)
    liar = stranger_at(world, host, 1)
    liar.say(headers(chain))
    liar.say(*(Block(block) for block in chain[1:]))
    liar.say(Block(chain[0] + b"!"))
    assert liar.reason == "body-mismatch"
    honest = stranger_at(world, host, 2)
    honest.say(headers(chain))
    assert asked(honest) == [name(chain[0])], "the others are here already"
    honest.say(Block(chain[0]))
    assert host.ledger.height == 8
    world.check()


def test_colluders_cannot_hold_a_block_back(world: World) -> None:
    host = world.add()
    peers = [stranger_at(world, host, number) for number in range(5)]
    block = mine_chain(GENESIS, 1, b"x", 1_700_000_100)
    for stranger in peers:
        stranger.say(headers(block))
    world.advance(seconds(30))
    assert all(asked(stranger) == [name(block[0])] for stranger in peers)
    peers[4].say(Block(block[0]))
    assert host.ledger.height == 1


def test_time_in_which_we_do_not_read_does_not_count_against_a_peer(world: World) -> None:
    host = world.add()
    quiet = stranger_at(world, host, 1)
    slow = stranger_at(world, host, 2)
    host.node.congested(slow.conn, world.now)
    world.advance(seconds(15))
    assert quiet.conn in host.node._state.peers
    world.advance(seconds(100))
    assert slow.conn in host.node._state.peers
    host.node.drained(slow.conn, world.now)
    slow.say(Headers(()))
    assert not slow.closed


def test_the_buffer_is_bounded_whatever_size_bodies_have(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SYNC_BUFFER_BYTES", 500_000)
    host = world.add()
    chain = mine_chain(GENESIS, 8, b"x" * 100_000, 1_700_000_100)
    stranger = Stranger(world, host)
    stranger.say(headers(chain))
    host.node._state.download._expected = 10
    for _ in range(40):
        for wanted in reversed(asked(stranger)):
            stranger.say(Block(next(block for block in chain if name(block) == wanted)))
            assert host.node._state.download._buffered_bytes <= 600_000
        world.advance(seconds(1))
    assert host.ledger.height == 8
    world.check()


def test_an_unknown_inventory_is_cheap_however_many_headers_are_ahead(world: World) -> None:
    ledger = MemoryLedger()
    tree = HeaderTree(ledger.genesis, ledger.identify_header(ledger.genesis))
    entry = tree.genesis
    for block in mine_chain(GENESIS, 3_000, b"", 1_700_000_100):
        entry = tree.add(block[:80], ledger.identify_block(block))
    for height in range(0, 3_000, 7):
        assert entry.ancestor(height).height == height
    locator = tree.locator(entry)
    assert (locator[0], locator[-1]) == (entry.hash, GENESIS)
    assert len(locator) < 10 + 13
    assert tree.is_ancestor(tree.genesis, entry)
    assert not tree.is_ancestor(entry, tree.genesis)
    host = world.add()
    stranger = Stranger(world, host)
    assert isinstance(stranger.say(Headers(()), Inv((InventoryItem(2, bytes(32)),)))[0], GetHeaders)


def test_headers_whose_blocks_are_withheld_do_not_silence_the_relay(world: World) -> None:
    host = world.add()
    friend = world.add(0)
    world.advance(seconds(1))
    stranger = stranger_at(world, host, 1)
    stranger.say(headers(mine_chain(GENESIS, 3, b"withheld", 1_700_000_001)))
    world.run()
    assert host.node.snapshot(world.now).syncing
    [block] = host.mine(body=b"seen")
    world.advance(seconds(1))
    assert host.node.snapshot(world.now).syncing, "the withheld branch is still the better one"
    assert friend.ledger.tip == name(block)


def test_headers_that_a_wrong_clock_refused_are_looked_at_when_it_is_put_right(world: World) -> None:
    hours = 3 * 3_600
    source = world.add()
    late = world.add(0)
    late.ledger._wall = lambda: world.now.wall
    world.advance(seconds(1))
    [block] = source.mine(time=world.now.wall + hours)
    world.advance(seconds(1))
    assert late.ledger.tip == GENESIS
    world.now = Now(world.now.mono, WallTime(world.now.wall + hours))
    world.advance(seconds(130))
    assert late.ledger.tip == name(block)
    world.check()


def test_an_announcement_that_crosses_with_our_question_is_not_its_answer(world: World) -> None:
    """The real answer comes after it, and is neither dropped nor charged."""
    host = world.add()
    branch = mine_chain(GENESIS, 30, b"", 1_700_000_100)
    stranger = stranger_at(world, host, 1)
    assert host.node._state.peers[stranger.conn].headers_asked == 1
    stranger.say(headers(branch[:1]))
    stranger.say(headers(branch))
    [picture] = host.node.snapshot(world.now).peers
    assert (picture.known_height, picture.faults) == (30, 0)
    stranger.say(headers(branch))
    [picture] = host.node.snapshot(world.now).peers
    assert picture.faults > 0, "once for each question"


def test_nothing_points_to_forgotten_headers(world: World) -> None:
    """A link whose low-work headers were given up while it stands keeps no way to them."""
    host = world.add()
    host.mine(60)
    branch = mine_chain(GENESIS, 8, b"other", 1_700_000_100)
    stranger = stranger_at(world, host, 1)
    stranger.say(headers(branch))
    [peer] = host.node._state.peers.values()
    assert peer.best is not None
    assert peer.best.height == 8
    on_sync.give_up_low(host.node._state, peer)
    assert len(host.node._state.tree) == 61
    assert peer.best is host.node._state.tree.genesis
    assert host.node._state.download._sources[peer.conn].best is peer.best
    world.check()


def test_an_invalid_tip_leaves_a_valid_best() -> None:
    ledger = MemoryLedger()
    tree = HeaderTree(ledger.genesis, ledger.identify_header(ledger.genesis))
    for block in mine_chain(GENESIS, 5, b"", 1_700_000_100):
        entry = tree.add(block[:80], ledger.identify_header(block[:80]))
        tree.mark_body(entry)
        tree.set_tip(entry)
    middle = tree.at_height(3)
    assert middle is not None
    tree.invalidate(middle)
    assert tree.best is tree.at_height(2)


def half_a_block(stranger: Stranger, size: int) -> None:
    stranger.send(encode_message(Block(bytes(size)))[: size - 100])


def test_half_blocks_of_many_links_are_bounded_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who holds the most for longest without progress ends; an honest link that goes on is not touched."""
    monkeypatch.setattr(node_state, "RECEIVE_TOTAL_BYTES", 1_000_000)
    host = world.add()
    blocks = mine_chain(GENESIS, 8, bytes(200_000), 1_700_000_100)
    honest = stranger_at(world, host, 1)
    honest.say(headers(blocks))
    stream = b"".join(encode_message(Block(block)) for block in blocks)
    step = len(stream) // len(blocks)
    honest.send(stream[: step // 2])
    hostile = [stranger_at(world, host, number) for number in range(2, 9)]
    for number, stranger in enumerate(hostile):
        half_a_block(stranger, 400_000)
        honest.send(stream[step * number + step // 2 : step * (number + 1) + step // 2])
        assert host.node._state.company.pools[KeyClass.CLEARNET].burdens.total <= 1_000_000
        world.check()
    assert [stranger.closed for stranger in hostile] == [True] * 5 + [False] * 2, "the oldest without progress"
    assert hostile[0].reason == "receive-total"
    assert not honest.closed
    assert host.node.snapshot(world.now).height == len(hostile)


def test_a_long_request_counts_while_it_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_state, "RECEIVE_TOTAL_BYTES", 1_000_000)
    host = world.add()
    block = host.mine(1, bytes(SEND_BUFFER_BYTES))[0]
    asking = GetData(tuple([InventoryItem(2, name(block))] * 20_000))
    strangers = [stranger_at(world, host, number) for number in range(3)]
    for stranger in strangers:
        host.node.congested(stranger.conn, world.now)
        stranger.say(asking)
    assert [stranger.closed for stranger in strangers] == [True, True, False]
    world.check()


def test_headers_without_blocks_do_not_silence_a_node(world: World) -> None:
    """Somebody shows a better branch and keeps its blocks back: what we find is announced all the same."""
    host = world.add()
    bait = stranger_at(world, host, 1)
    bait.say(headers(mine_chain(GENESIS, 30, b"bait", 1_700_000_100)))
    assert host.node.snapshot(world.now).syncing
    other = stranger_at(world, host, 2)
    other.say(Headers(()))
    host.mine(1)
    assert any(isinstance(message, Headers | Inv) for message in other.read())


def test_the_next_batch_waits_until_the_driver_has_seen_the_last(world: World) -> None:
    """Whether a peer is congested is known only when the driver has written: until then nothing more is read for it."""
    host = world.add()
    [block, other] = host.mine(2, bytes(SEND_BUFFER_BYTES))
    stranger = stranger_at(world, host, 1)
    asking = encode_message(GetData((InventoryItem(2, name(block)), InventoryItem(2, name(other)))))
    host.node.receive(stranger.conn, asking, world.now)
    [ask] = [effect for effect in host.node.take_effects() if isinstance(effect, Ask)]
    host.node.answered(ask.ticket, BlocksRead((block,)), world.now)
    effects = host.node.take_effects()
    assert sum(len(effect.data) for effect in effects if isinstance(effect, Send)) > SEND_BUFFER_BYTES
    assert not any(isinstance(effect, Ask) for effect in effects)
    host.node.handle_deadline(world.now)
    assert any(isinstance(effect, Ask) for effect in host.node.take_effects()), "it was not congested: the next"


def test_a_link_that_waits_keeps_no_buffer(world: World) -> None:
    host = world.add()
    [block] = host.mine(1)
    stranger = stranger_at(world, host, 1)
    asking = GetData(tuple([InventoryItem(2, name(block))] * 20_000))
    host.node.receive(stranger.conn, encode_message(asking), world.now)
    peer = host.node._state.peers[stranger.conn]
    assert peer.paused
    assert len(peer.channel._clear) == 0
