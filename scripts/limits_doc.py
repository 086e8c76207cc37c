"""Write docs/limits.md from the table in obscura.base.limits, and what follows from it for memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from obscura.base import limits as at
from obscura.base.limits import LIMITS

HEAD = """# Limits

Every number that bounds something, with its reason. Made from `src/obscura/base/limits.py` by `scripts/limits_doc.py`;
a test keeps both equal.

| limit | value | unit | reason |
|---|---|---|---|
"""
MEMORY_HEAD = """
## Memory in all

What peers can make a node hold at the most, all at once, as it is configured by default: {inbound} inbound links,
{outbound} outbound ones, {lobby} strangers, a mempool of {mempool} MB. Sizes of Python's objects are measured. It is
what is above the node at rest; headers with more work than our tip are not in it (docs/reliability.md).

part | bound | MB
:---|:---|---:
"""
MEMORY_FOOT = """
The sum is {total:,} bytes; MEMORY_TOTAL_BYTES is {bound:,}. The parts do not come together: one link cannot fill all
of its own at the same time, and each attack of docs/reliability.md fills one or two of them.

One class of networks is counted. A node at which two arrive (listening at an IPv6 address that CJDNS reaches as well)
has slots, a lobby and sums for each: some 420 MB more, if both are filled.
"""
LINK_OBJECTS = 40_000
"""Of a link: channel, peer, stream, timers, the loop's; tests/rig/memory_stage.py measures with the same."""
HANDSHAKE_OBJECTS = 20_000
"""Of a handshake that is answered and not over."""
HEADER_OBJECTS = 800
"""Of a header that is held, with the account that it is on."""
ADDRESS_OBJECTS = 600
"""Of an address in the book; a change of it that waits to be saved takes no more."""
TRACKED_OBJECTS = 440
"""Of a transaction that one link has announced."""
INTERPRETER = 24_000_000
"""Caches, arenas that are not full, one message in work."""
OUTBOUND = at.OUTBOUND_SLOTS + at.BLOCK_ONLY_SLOTS + 1
"""And one that tests an address, or is one more for a while."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something that peers can make grow."""

    what: str
    bound: str
    size: int


def memory() -> tuple[Part, ...]:
    """All of it."""
    inbound, lobby = at.INBOUND_SLOTS, at.LOBBY_LINKS
    links = inbound + OUTBOUND
    largest = max(at.SERVE_BATCH_BYTES, at.BLOCK_BYTES)
    unsent_outbound = at.SEND_BUFFER_BYTES + 2 * largest
    # Two tables of 64-bit numbers each; what a link has, what it was told, what it has stemmed.
    known = 16 * ((2 << at.KNOWN_IDS_GENERATION.bit_length()) + (1 << at.STEMMED_GENERATION.bit_length()))
    handshake = 2 * at.GARBAGE_BYTES + 1_120 + LINK_OBJECTS + HANDSHAKE_OBJECTS
    return (
        Part("links: their own objects", f"{links} x {LINK_OBJECTS:,}", links * LINK_OBJECTS),
        Part("read, and waiting for a turn: links", f"{links} x READ_BYTES", links * at.READ_BYTES),
        Part("the same: strangers", f"{lobby} x STRANGER_READ_BYTES", lobby * at.STRANGER_READ_BYTES),
        Part(
            "messages that are not whole, or wait for tokens: inbound",
            f"RECEIVE_TOTAL_BYTES + {inbound} x LIGHT_LINK_BYTES",
            at.RECEIVE_TOTAL_BYTES + inbound * at.LIGHT_LINK_BYTES,
        ),
        Part("the same: outbound", f"{OUTBOUND} x BLOCK_BYTES", OUTBOUND * at.BLOCK_BYTES),
        Part("not taken by inbound links that are congested", "SEND_TOTAL_BYTES", at.SEND_TOTAL_BYTES),
        Part(
            "sent to those that are not",
            f"{inbound} x SEND_BUFFER_BYTES",
            inbound * at.SEND_BUFFER_BYTES,
        ),
        Part(
            "read for a link and not written yet",
            "2 x READS_AT_ONCE x max(SERVE_BATCH_BYTES, BLOCK_BYTES)",
            2 * at.READS_AT_ONCE * largest,
        ),
        Part(
            "unsent: outbound",
            f"{OUTBOUND} x (SEND_BUFFER_BYTES + 2 x max(SERVE_BATCH_BYTES, BLOCK_BYTES))",
            OUTBOUND * unsent_outbound,
        ),
        Part("unsent on links that have ended", "ENDING_BYTES + BLOCK_BYTES", at.ENDING_BYTES + at.BLOCK_BYTES),
        Part("handshakes, and silent links among them", f"LOBBY_LINKS x {handshake:,}", lobby * handshake),
        Part("blocks that wait for their parent", "SYNC_BUFFER_BYTES + BLOCK_BYTES", at.SYNC_BUFFER_BYTES + largest),
        Part(
            "blocks before the ledger",
            "LEDGER_BATCH_BYTES + WRITE_BESIDE_BYTES",
            at.LEDGER_BATCH_BYTES + at.WRITE_BESIDE_BYTES,
        ),
        Part("low-work headers", f"LOW_WORK_TOTAL x {HEADER_OBJECTS}", at.LOW_WORK_TOTAL * HEADER_OBJECTS),
        Part("address book", f"BOOK_ENTRIES x {ADDRESS_OBJECTS}", at.BOOK_ENTRIES * ADDRESS_OBJECTS),
        Part(
            "addresses that wait for the disk",
            f"ADDRESSES_UNSAVED x {ADDRESS_OBJECTS}",
            at.ADDRESSES_UNSAVED * ADDRESS_OBJECTS,
        ),
        Part(
            "hosts that are discouraged",
            f"DISCOURAGED_KEPT x {ADDRESS_OBJECTS}",
            at.DISCOURAGED_KEPT * ADDRESS_OBJECTS,
        ),
        Part("mempool", "MEMPOOL_BYTES", at.MEMPOOL_BYTES),
        Part("stems", "3 x STEM_TOTAL_BYTES", 3 * at.STEM_TOTAL_BYTES),
        Part("orphans", "ORPHAN_BYTES_TOTAL", at.ORPHAN_BYTES_TOTAL),
        Part(
            "transactions before the ledger",
            f"VALIDATION_TOTAL_BYTES + {links} x VALIDATION_LINK_BYTES",
            at.VALIDATION_TOTAL_BYTES + links * at.VALIDATION_LINK_BYTES,
        ),
        Part(
            "announcements",
            f"(TRACKED_TOTAL + {links} x TRACKED_SHARE) x {TRACKED_OBJECTS}",
            (at.TRACKED_TOTAL + links * at.TRACKED_SHARE) * TRACKED_OBJECTS,
        ),
        Part(
            "what links know",
            f"{links} x {known:,}: KNOWN_IDS_GENERATION, twice, and STEMMED_GENERATION",
            links * known,
        ),
        Part("frames of blocks that were served", "FRAME_HEADS_KEPT x 170", at.FRAME_HEADS_KEPT * 170),
        Part("knocks that are remembered", "REPLAY_KEPT x 160", at.REPLAY_KEPT * 160),
        Part("freed memory that is kept", "KEPT_BYTES", at.KEPT_BYTES),
        Part("the interpreter's own", f"{INTERPRETER:,}", INTERPRETER),
    )


def render() -> str:
    """The document's text."""
    rows = "".join(f"| {one.name} | {one.value:,} | {one.unit} | {one.reason} |\n" for one in LIMITS)
    head = MEMORY_HEAD.format(
        inbound=at.INBOUND_SLOTS, outbound=OUTBOUND, lobby=at.LOBBY_LINKS, mempool=at.MEMPOOL_BYTES // 1_000_000
    )
    parts = memory()
    total = sum(part.size for part in parts)
    table = "".join(f"{part.what} | {part.bound} | {part.size / 1e6:,.1f}\n" for part in parts)
    foot = MEMORY_FOOT.format(total=total, bound=at.MEMORY_TOTAL_BYTES)
    return HEAD + rows + head + table + foot


if __name__ == "__main__":
    Path(__file__).resolve().parent.parent.joinpath("docs", "limits.md").write_text(render())
