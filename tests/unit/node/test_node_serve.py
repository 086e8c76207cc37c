"""Frames of blocks that several peers ask for are made once, and those of few blocks are kept."""

from __future__ import annotations

import pytest
from nodes import World
from stranger import Stranger

from obscura.base.digest import double_sha256
from obscura.base.errors import BugError
from obscura.base.limits import BLOCK_BYTES, FRAME_HEADS_KEPT
from obscura.base.names import BlockHash
from obscura.node.heads import FrameHeads
from obscura.node.state import NodeState
from obscura.wire.blocks import Block, GetData
from obscura.wire.frame import encode_frame, type_field
from obscura.wire.inventory import KIND_BLOCK, InventoryItem


def state_of(world: World) -> tuple[NodeState, list[bytes], Stranger, Stranger]:
    host = world.add()
    blocks = host.mine(5)
    peers = [Stranger(world, host, f"127.{200 + at}.1.1:50000") for at in range(2)]
    return host.node._state, blocks, peers[0], peers[1]


def test_the_second_peer_gets_the_same_frame() -> None:
    state, blocks, one, other = state_of(World())
    items = tuple(InventoryItem(KIND_BLOCK, double_sha256(block[:80])) for block in blocks)
    for peer in (one, other, one):
        assert peer.say(GetData(items)) == [Block(block) for block in blocks]
    assert len(state.frame_heads) == len(blocks)
    for block in blocks:
        head = state.frame_heads.take(BlockHash(double_sha256(block[:80])), b"")
        assert head + block == encode_frame(type_field("block"), block)


def test_a_head_that_is_kept_is_not_made_again() -> None:
    heads = FrameHeads()
    made = heads.take(BlockHash(bytes(32)), b"a block")
    assert heads.take(BlockHash(bytes(32)), b"a block") is made


@pytest.mark.parametrize("more", [0, 3])
def test_they_are_bounded_and_the_one_used_longest_ago_goes(more: int) -> None:
    heads = FrameHeads()
    names = [BlockHash(at.to_bytes(32, "big")) for at in range(FRAME_HEADS_KEPT + more)]
    for name in names[:FRAME_HEADS_KEPT]:
        heads.take(name, b"a block")
    heads.take(names[0], b"a block")
    for name in names[FRAME_HEADS_KEPT:]:
        heads.take(name, b"a block")
    assert len(heads) == FRAME_HEADS_KEPT
    assert names[0] in heads
    assert all((name in heads) is (at > more) for at, name in enumerate(names) if at > 0)


def test_a_block_that_no_frame_carries_is_a_defect_of_ours() -> None:
    with pytest.raises(BugError):
        FrameHeads().take(BlockHash(bytes(32)), bytes(BLOCK_BYTES + 1))
