"""Answering: headers from our view, blocks from the ledger's store, transactions from the mempool, at the pace at
which the peer takes them.

While a ``getdata`` is being served nothing more is read from that peer, so its requests cannot pile up here.
"""

from __future__ import annotations

from ..base.instant import Now
from ..base.limits import (
    GETBLOCKS_ITEMS,
    HEADERS_ITEMS,
    HEADERS_PER_TOKEN,
    NOTFOUND_ITEMS,
    SERVE_BATCH_BLOCKS,
    SERVE_BATCH_BYTES,
    STALE_SERVED,
)
from ..base.names import NULL_HASH, BlockHash
from ..sync.view import Entry
from ..wire.blocks import GetBlocks, GetData, GetHeaders, Headers, Inv, NotFound
from ..wire.inventory import KIND_BLOCK, KIND_TX, InventoryItem
from . import spreading
from .effects import BlocksRead, ReadBlocks
from .peer import Peer
from .state import NodeState, PendingRead


def on_getheaders(state: NodeState, peer: Peer, message: GetHeaders, now: Now) -> None:
    """Answer with headers of our active chain; always, though it be an empty list (design §8)."""
    if not message.locator:
        # Without a locator it is the one header that ``stop`` names.
        single = state.tree.get(message.stop)
        entries = [single] if single is not None and _servable(state, single) else []
    else:
        entries = state.tree.after(state.tree.locate(message.locator), message.stop, HEADERS_ITEMS)
    peer.channel.spend(len(entries) // HEADERS_PER_TOKEN, now.mono)
    state.send(peer, Headers(tuple(entry.raw for entry in entries)))
    if message.locator:
        # It has what it located, too: an empty answer says that it has our tip.
        peer.sent = entries[-1] if entries else state.tree.locate(message.locator)


def on_getblocks(state: NodeState, peer: Peer, message: GetBlocks) -> None:
    """Answer with the hashes of up to 500 blocks of our active chain. The last one, when it is asked for, says that
    the peer wants the next part."""
    entries = state.tree.after(state.tree.locate(message.locator), message.stop, GETBLOCKS_ITEMS)
    if not entries:
        return
    if len(entries) == GETBLOCKS_ITEMS and entries[-1].hash != message.stop:
        peer.continue_at = entries[-1].hash
    state.send(peer, Inv(tuple(InventoryItem(KIND_BLOCK, entry.hash) for entry in entries)))


def on_getdata(state: NodeState, peer: Peer, message: GetData) -> None:
    """Put requests into the peer's queue and start serving."""
    peer.serve.extend(message.items)
    serve(state, peer)


def serve(state: NodeState, peer: Peer) -> None:
    """Send the next transactions to a peer and read its next blocks, unless some are being read or it does not take
    what it has."""
    if peer.reading or peer.congested or not peer.is_open or state.overflowing(peer):
        return
    hashes: list[BlockHash] = []
    while peer.serve and len(hashes) < SERVE_BATCH_BLOCKS:
        item = peer.serve.popleft()
        frame = spreading.frame_for(state, peer, item) if item.kind == KIND_TX else None
        if frame is not None:
            peer.channel.send_frame(*frame)
            if state.overflowing(peer):
                break
            continue
        entry = state.tree.get(BlockHash(item.hash)) if item.kind == KIND_BLOCK else None
        if entry is not None and entry.body and _servable(state, entry):
            hashes.append(entry.hash)
        else:
            _not_found(state, peer, item)
    if hashes:
        peer.reading = tuple(hashes)
        state.ask(ReadBlocks(peer.reading, min(SERVE_BATCH_BYTES, state.send_room(peer))), PendingRead(peer.conn))
    if not peer.serve and not hashes:
        _flush_not_found(state, peer)


def blocks_read(state: NodeState, pending: PendingRead, answer: BlocksRead) -> None:
    """The store has answered: send, and go on."""
    peer = state.peers.get(pending.conn)
    if peer is None or not peer.is_open:
        return
    hashes, peer.reading = peer.reading, ()
    for block_hash in reversed(hashes[len(answer.blocks) :]):
        # They would have been too much at once.
        peer.serve.appendleft(InventoryItem(KIND_BLOCK, block_hash))
    for block_hash, block in zip(hashes, answer.blocks, strict=False):
        if block is None:
            _not_found(state, peer, InventoryItem(KIND_BLOCK, block_hash))
            continue
        peer.channel.send_frame(state.frame_heads.take(block_hash, block), block)
        if block_hash == peer.continue_at:
            peer.continue_at = None
            state.send(peer, Inv((InventoryItem(KIND_BLOCK, state.tree.tip.hash),)))
    serve(state, peer)


def _servable(state: NodeState, entry: Entry) -> bool:
    """Blocks of the active chain, and recent ones beside it. Privacy: an old stale block would tell which node once
    saw it, and so tell nodes apart."""
    if entry.invalid or not entry.checked or entry.hash == NULL_HASH:
        return False
    return state.tree.is_active(entry) or (entry.body and entry.height > state.tree.tip.height - STALE_SERVED)


def _not_found(state: NodeState, peer: Peer, item: InventoryItem) -> None:
    peer.not_found.append(item)
    if len(peer.not_found) == NOTFOUND_ITEMS:
        _flush_not_found(state, peer)


def _flush_not_found(state: NodeState, peer: Peer) -> None:
    if peer.not_found:
        state.send(peer, NotFound(peer.not_found.drain()))
