"""The bounds of base/limits.py, looked at in a running node; part of :meth:`Node.check`."""

from __future__ import annotations

from ..base.limits import (
    BLOCK_BYTES,
    BOOK_ENTRIES,
    FRAME_HEADS_KEPT,
    GETDATA_QUEUE,
    KNOCKS_JUDGED,
    LOW_WORK_PER_PEER,
    LOW_WORK_TOTAL,
    NOTFOUND_ITEMS,
    OTHER_CLASS_SHARE,
    OWN_TRANSACTIONS,
    RECEIVE_BUFFER_BYTES,
    SERVE_BATCH_BLOCKS,
    SMALL_IN_FLIGHT,
    STEM_TOTAL_BYTES,
    SYNC_BUFFER_BYTES,
    TRACKED_SHARE,
    TRACKED_TOTAL,
    VALIDATION_BATCH,
)
from ..wire.identity import KeyClass
from .relay_state import Relay
from .state import NodeState


def check_bounds(state: NodeState) -> None:
    """Nothing that a peer can make grow has outgrown its bound; for tests, fuzzers and simulations."""
    entries = BOOK_ENTRIES + (len(KeyClass) - 1) * (BOOK_ENTRIES // OTHER_CLASS_SHARE)
    assert len(state.book) <= entries + len(state.config.connect), "the address books are bounded; named peers stay"
    assert state.low_work <= LOW_WORK_TOTAL, "low-work headers are bounded over all links"
    # The first missing block is taken whatever the buffer holds, or nothing could go on.
    assert state.download.buffered_bytes <= SYNC_BUFFER_BYTES + BLOCK_BYTES, "bodies that wait are bounded"
    assert len(state.frame_heads) <= FRAME_HEADS_KEPT, "kept frame headers are bounded"
    assert len(state.door.admitting) <= KNOCKS_JUDGED, "knocks before the guard are bounded"
    if state.relay is not None:
        _check_relay(state.relay)
    for peer in state.peers.values():
        assert len(peer.low_work) <= LOW_WORK_PER_PEER, "low-work headers are bounded for each link"
        assert len(peer.serve) <= GETDATA_QUEUE, "one getdata is served at a time"
        assert len(peer.not_found) < NOTFOUND_ITEMS, "notfound goes out when it is full"
        assert len(peer.reading) <= SERVE_BATCH_BLOCKS, "what is read at once is bounded"
        assert peer.channel.buffered <= RECEIVE_BUFFER_BYTES, "what is received and not handled is bounded"
        assert state.download.in_flight(peer.conn) <= SMALL_IN_FLIGHT, "requests are bounded for each link"


def _check_relay(relay: Relay) -> None:
    """The mempool, the line, the orphans and the announcements check their own bounds; these are the node's."""
    assert len(relay.judging) <= VALIDATION_BATCH, "one batch is before the ledger"
    assert len(relay.own) <= OWN_TRANSACTIONS, "our operator's are bounded"
    assert relay.stems.pool.held <= 3 * STEM_TOTAL_BYTES, "what is in stem is bounded"
    assert len(relay.tracker) <= TRACKED_TOTAL + TRACKED_SHARE * len(relay.links), "announcements are bounded in all"
    for link in relay.links.values():
        assert link.known.size <= 16 * 32_768, "what a link has is remembered in half a megabyte"
        assert link.stemmed.size <= 16 * 4_096, "what it has stemmed is remembered in some kilobytes"
        assert link.told.size <= 16 * 32_768, "and so is what it was told"
