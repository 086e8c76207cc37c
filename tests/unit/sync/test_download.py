"""The policy of downloading, without a node around it."""

from __future__ import annotations

from nodes import mine_chain

from obscura.base.instant import Instant, after, seconds
from obscura.base.limits import STALL_CAP
from obscura.base.names import ConnId
from obscura.ledgers.memory import MemoryLedger
from obscura.sync.download import Downloader
from obscura.sync.view import Entry, HeaderTree

STALLS, HELPS, LATE_COMER = ConnId(1), ConnId(2), ConnId(3)


def chain(count: int) -> tuple[HeaderTree, list[Entry]]:
    """A tree with ``count`` checked headers above genesis, whose bodies are missing."""
    ledger = MemoryLedger()
    tree = HeaderTree(ledger.genesis, ledger.identify_header(ledger.genesis))
    entries = []
    for block in mine_chain(ledger.tip, count, b"body", 1_700_000_001):
        entry = tree.add(block[:80], ledger.identify_block(block))
        tree.mark_checked(entry)
        entries.append(entry)
    return tree, entries


def test_what_is_buffered_is_not_asked_for_again() -> None:
    """A peer that is late with a block which another one has brought must not make us fetch it again and again."""
    tree, entries = chain(3)
    download = Downloader(tree)
    download.peer_has(STALLS, entries[-1])
    now = Instant(0)
    assert download.plan(now) == [(STALLS, entry) for entry in entries]
    download.peer_has(HELPS, entries[-1])
    now = after(now, STALL_CAP)
    assert download.plan(now) == [(HELPS, entry) for entry in entries]
    for entry in entries[1:]:
        assert download.arrived(HELPS, entry, 1_000, now)
    assert download.not_found(HELPS, entries[0].hash)
    download.peer_has(LATE_COMER, entries[-1])
    now = after(now, seconds(1))
    assert download.plan(now) == [(LATE_COMER, entries[0])]
    download.check()
