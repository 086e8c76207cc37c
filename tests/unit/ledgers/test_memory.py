"""The memory ledger beyond the contract: its knobs, and what becomes of a whole doomed tree."""

from __future__ import annotations

import pytest

from obscura.base.instant import WallTime
from obscura.base.names import NULL_HASH, BlockHash
from obscura.chain import HEADER_BYTES, BlockVerdict, InvalidHeader
from obscura.ledgers.memory import FUTURE_S, GENESIS, INVALID_MARK, TARGET, WORK, MemoryLedger, mine

ROOT = MemoryLedger().tip
TIME = 1_700_000_000


def name_of(block: bytes) -> BlockHash:
    return MemoryLedger().identify_block(block).hash


def grow(previous: BlockHash, count: int, body: bytes, height: int = 1) -> list[bytes]:
    """``count`` blocks in a row, the first at ``height``."""
    blocks: list[bytes] = []
    for step in range(count):
        blocks.append(mine(previous, body + b"%d" % step, TIME + height + step))
        previous = name_of(blocks[-1])
    return blocks


def test_work_is_real() -> None:
    assert WORK == 16
    assert MemoryLedger().identify_header(GENESIS).work == WORK
    assert int.from_bytes(ROOT, "little") < TARGET


def test_a_harder_target() -> None:
    target = TARGET >> 4
    with pytest.raises(InvalidHeader):
        MemoryLedger(bytes(HEADER_BYTES), target=target)
    genesis = mine(NULL_HASH, b"", TIME, target=target)[:HEADER_BYTES]
    ledger = MemoryLedger(genesis, target=target)
    block = mine(ledger.tip, b"x", TIME + 1, target=target)
    assert ledger.accept_blocks([block]).outcomes[0].verdict is BlockVerdict.ACCEPTED
    assert ledger.identify_block(block).work == 256


def test_two_miners_of_one_body_find_different_blocks() -> None:
    assert mine(ROOT, b"x", TIME) != mine(ROOT, b"x", TIME, nonce=1 << 40)
    assert mine(ROOT, b"x", TIME, nonce=(1 << 64) - 1) == mine(ROOT, b"x", TIME)


def test_the_clock_is_asked_each_time() -> None:
    now = TIME
    ledger = MemoryLedger(wall=lambda: WallTime(now))
    block = mine(ROOT, b"", TIME + FUTURE_S + 1)
    assert ledger.accept_blocks([block]).outcomes[0].verdict is BlockVerdict.FUTURE
    now += 1
    assert ledger.accept_blocks([block]).outcomes[0].verdict is BlockVerdict.ACCEPTED


def test_block_bytes_are_shared_not_copied() -> None:
    block = mine(ROOT, b"x", TIME + 1)
    ledgers = [MemoryLedger(), MemoryLedger()]
    for ledger in ledgers:
        ledger.accept_blocks([block])
        assert ledger.read_blocks([name_of(block)])[0] is block


def test_a_doomed_block_takes_all_its_branches_along() -> None:
    ledger = MemoryLedger()
    main = grow(ROOT, 3, b"main")
    bad = mine(ROOT, INVALID_MARK, TIME + 1)
    left = grow(name_of(bad), 2, b"left", 2)
    right = grow(name_of(bad), 2, b"right", 2)
    bare = mine(name_of(left[1]), b"bare", TIME + 9)
    ledger.accept_blocks(main)
    report = ledger.accept_blocks([bad, *left, *right])
    assert {outcome.verdict for outcome in report.outcomes} == {BlockVerdict.ACCEPTED}
    assert ledger.accept_headers([bare[:HEADER_BYTES]]).accepted == 1
    last = mine(name_of(right[1]), b"last", TIME + 9)
    report = ledger.accept_blocks([last])
    assert report.outcomes[0].verdict is BlockVerdict.ORPHAN
    assert {refusal.hash for refusal in report.invalidated} == {name_of(block) for block in [bad, *left, *right]}
    kept = {ledger.identify_header(item.header).hash for item in ledger.restore().headers}
    assert kept == {name_of(block) for block in main}
    assert ledger.accept_headers([bare[:HEADER_BYTES]]).rule == "bad-prevblk"
    assert (ledger.height, ledger.tip) == (3, name_of(main[-1]))


def test_deep_reorganisations_between_long_branches() -> None:
    ledger = MemoryLedger()
    left, right = grow(ROOT, 300, b"l"), grow(ROOT, 301, b"r")
    assert ledger.accept_blocks(left).tip == name_of(left[-1])
    assert ledger.accept_blocks(right[:300]).tip == name_of(left[-1])
    assert ledger.accept_blocks(right[300:]).tip == name_of(right[-1])
    more = grow(name_of(left[-1]), 2, b"more", 301)
    assert ledger.accept_blocks(more).tip == name_of(more[-1])
