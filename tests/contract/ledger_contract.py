"""What every ledger must do, as one suite that takes a maker.

A test module derives a class from :class:`LedgerContract` and gives it a fixture ``rig``: a :class:`Rig` that opens the
ledger under test and makes blocks for it, good ones and every kind of bad one that the chain can have.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Protocol

import pytest

from obscura.base.names import BlockHash
from obscura.chain import (
    HEADER_BYTES,
    BlockVerdict,
    CoinReport,
    InvalidBlock,
    InvalidHeader,
    InvalidTransaction,
    Ledger,
    RestoredHeader,
    TransactionLedger,
    relaying,
)


class Rig(Protocol):
    """A ledger and a miner for its chain."""

    keeps: bool
    """Whether a ledger that is closed and opened again knows its blocks."""
    late_judgement: bool
    """Whether an invalid body is found out only when its branch is to become the active chain."""

    def open(self) -> Ledger:
        """A ledger on the rig's own storage, not restored yet."""
        ...

    def block(self, previous: BlockHash, height: int, salt: int = 0) -> bytes:
        """A good block; another one for each salt."""
        ...

    def mutated(self, block: bytes) -> bytes:
        """The same header with another body."""
        ...

    def invalid(self, previous: BlockHash, height: int) -> tuple[bytes, str]:
        """A block with good header and committed body that breaks a rule, and the rule's name."""
        ...

    def without_work(self, block: bytes) -> bytes:
        """A block whose hash is above the target."""
        ...

    def bad_context(self, previous: BlockHash, height: int) -> tuple[bytes, str] | None:
        """A block whose header breaks a rule that needs its parent, and the rule; ``None`` if the chain has none."""
        ...

    def future(self, previous: BlockHash, height: int) -> bytes | None:
        """A block too far ahead of the clock; ``None`` if the chain does not look at it."""
        ...


def restored(ledger: Ledger) -> tuple[list[RestoredHeader], BlockHash]:
    """Everything that a ledger remembers."""
    answer = ledger.restore()
    return list(answer.headers), answer.tip


def verdicts(ledger: Ledger, *blocks: bytes) -> list[BlockVerdict]:
    """Submit blocks and look at the verdicts alone."""
    return [outcome.verdict for outcome in ledger.accept_blocks(blocks).outcomes]


def settled(ledger: TransactionLedger) -> list[CoinReport]:
    """Steps of the coin view until it stands at the tip."""
    reports = [ledger.follow(details=True)]
    while not reports[-1].ready:
        reports.append(ledger.follow(details=True))
        assert len(reports) < 100, "it comes to an end"
    return reports


def chain_of(rig: Rig, ledger: Ledger, parent: BlockHash, height: int, count: int, salt: int = 0) -> list[bytes]:
    """Good blocks in a row."""
    blocks = []
    for step in range(count):
        blocks.append(rig.block(parent, height + step, salt))
        parent = ledger.identify_block(blocks[-1]).hash
    return blocks


class LedgerContract:
    """Derive from it and give a fixture ``rig``."""

    @pytest.fixture
    def ledger(self, rig: Rig) -> Iterator[Ledger]:
        """Fresh and restored."""
        ledger = rig.open()
        ledger.restore()
        yield ledger
        ledger.close()

    @pytest.fixture
    def root(self, ledger: Ledger) -> BlockHash:
        """The genesis hash."""
        return ledger.identify_header(ledger.genesis).hash

    def chain(self, rig: Rig, ledger: Ledger, start: BlockHash, first: int, count: int, salt: int = 0) -> list[bytes]:
        """``count`` good blocks in a row, the first at height ``first``."""
        blocks: list[bytes] = []
        previous = start
        for height in range(first, first + count):
            blocks.append(rig.block(previous, height, salt))
            previous = ledger.identify_block(blocks[-1]).hash
        return blocks

    # -- naming

    def test_genesis_is_a_header_of_the_chain(self, ledger: Ledger) -> None:
        assert len(ledger.genesis) == HEADER_BYTES
        info = ledger.identify_header(ledger.genesis)
        assert len(info.hash) == len(info.previous) == 32
        assert info.work > 0

    def test_a_block_has_its_header_s_name(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        block = rig.block(root, 1)
        info = ledger.identify_block(block)
        assert info == ledger.identify_header(block[:HEADER_BYTES])
        assert info.previous == root

    def test_bad_work_is_named(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        bad = rig.without_work(rig.block(root, 1))
        with pytest.raises(InvalidHeader) as caught:
            ledger.identify_block(bad)
        assert caught.value.rule == "high-hash"
        report = ledger.accept_headers([bad[:HEADER_BYTES]])
        assert (report.accepted, report.rule, report.permanent) == (0, "high-hash", True)
        outcome = ledger.accept_blocks([bad]).outcomes[0]
        assert (outcome.verdict, outcome.rule) == (BlockVerdict.INVALID, "high-hash")

    def test_short_bytes_are_no_block(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        block = rig.block(root, 1)
        for length in (0, 1, HEADER_BYTES - 1):
            with pytest.raises((InvalidBlock, InvalidHeader)):
                ledger.identify_block(block[:length])
            assert verdicts(ledger, block[:length])[0] in (BlockVerdict.INVALID, BlockVerdict.MUTATED)
        assert verdicts(ledger, block) == [BlockVerdict.ACCEPTED]

    # -- remembering

    def test_a_fresh_ledger_knows_genesis_alone(self, rig: Rig) -> None:
        ledger = rig.open()
        headers, tip = restored(ledger)
        assert headers == []
        assert tip == ledger.identify_header(ledger.genesis).hash
        ledger.close()

    def test_reopening_keeps_all(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        if not rig.keeps:
            pytest.skip("this ledger forgets on purpose")
        main = self.chain(rig, ledger, root, 1, 12)
        side = self.chain(rig, ledger, ledger.identify_block(main[3]).hash, 5, 3, salt=1)
        ledger.accept_blocks(main)
        ledger.accept_blocks(side)
        ledger.close()
        again = rig.open()
        headers, tip = restored(again)
        assert tip == again.identify_block(main[-1]).hash
        known = {root}
        for kept in headers:
            info = again.identify_header(kept.header)
            assert info.previous in known
            assert kept.has_body
            known.add(info.hash)
        names = [again.identify_block(block).hash for block in main + side]
        assert known == {root, *names}
        assert again.read_blocks(names) == tuple(main + side)
        assert set(verdicts(again, *main, *side)) == {BlockVerdict.DUPLICATE}
        assert verdicts(again, rig.block(tip, 13)) == [BlockVerdict.ACCEPTED]
        again.close()

    # -- blocks

    def test_extend(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        blocks = self.chain(rig, ledger, root, 1, 5)
        report = ledger.accept_blocks(blocks)
        names = [ledger.identify_block(block).hash for block in blocks]
        assert [outcome.hash for outcome in report.outcomes] == names
        assert {(outcome.verdict, outcome.rule) for outcome in report.outcomes} == {(BlockVerdict.ACCEPTED, "")}
        assert report.tip == names[-1]
        assert report.invalidated == ()
        assert ledger.read_blocks(names) == tuple(blocks)

    def test_an_empty_batch(self, ledger: Ledger, root: BlockHash) -> None:
        report = ledger.accept_blocks([])
        assert (report.outcomes, report.tip) == ((), root)
        assert ledger.accept_headers([]).accepted == 0
        assert ledger.read_blocks([]) == ()

    def test_duplicate(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        block = rig.block(root, 1)
        assert verdicts(ledger, block, block) == [BlockVerdict.ACCEPTED, BlockVerdict.DUPLICATE]
        assert verdicts(ledger, block) == [BlockVerdict.DUPLICATE]
        assert ledger.read_blocks([ledger.identify_block(block).hash]) == (block,)

    def test_orphan_then_its_parent(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        parent, child = self.chain(rig, ledger, root, 1, 2)
        outcome = ledger.accept_blocks([child]).outcomes[0]
        assert (outcome.verdict, outcome.rule) == (BlockVerdict.ORPHAN, "prev-blk-not-found")
        assert ledger.read_blocks([outcome.hash]) == (None,)
        assert verdicts(ledger, parent, child) == [BlockVerdict.ACCEPTED] * 2

    def test_a_bare_header_is_no_parent(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        parent, child = self.chain(rig, ledger, root, 1, 2)
        assert ledger.accept_headers([parent[:HEADER_BYTES]]).accepted == 1
        assert verdicts(ledger, child) == [BlockVerdict.ORPHAN]
        assert verdicts(ledger, parent, child) == [BlockVerdict.ACCEPTED] * 2

    def test_mutated_does_not_poison(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        block = rig.block(root, 1)
        outcome = ledger.accept_blocks([rig.mutated(block)]).outcomes[0]
        assert outcome.verdict is BlockVerdict.MUTATED
        assert outcome.rule
        assert outcome.hash == ledger.identify_block(block).hash
        assert ledger.read_blocks([outcome.hash]) == (None,)
        assert ledger.accept_headers([block[:HEADER_BYTES]]).accepted == 1
        assert verdicts(ledger, rig.mutated(block), block) == [BlockVerdict.MUTATED, BlockVerdict.ACCEPTED]
        assert ledger.read_blocks([outcome.hash]) == (block,)

    def test_invalid(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        good = rig.block(root, 1)
        bad, rule = rig.invalid(ledger.identify_block(good).hash, 2)
        report = ledger.accept_blocks([good, bad])
        assert report.outcomes[1].verdict is BlockVerdict.INVALID
        assert report.outcomes[1].rule == rule
        assert report.invalidated == ()
        assert report.tip == report.outcomes[0].hash
        assert ledger.read_blocks([report.outcomes[1].hash]) == (None,)
        # It stays invalid, with the rule's name, and the chain goes on beside it.
        again = ledger.accept_blocks([bad]).outcomes[0]
        assert (again.verdict, again.rule) == (BlockVerdict.INVALID, rule)
        assert verdicts(ledger, rig.block(report.tip, 2)) == [BlockVerdict.ACCEPTED]

    def test_what_builds_on_invalid_is_refused(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        bad, _ = rig.invalid(root, 1)
        child = rig.block(ledger.identify_block(bad).hash, 2)
        assert verdicts(ledger, bad, child) == [BlockVerdict.INVALID, BlockVerdict.ORPHAN]
        assert verdicts(ledger, child) == [BlockVerdict.ORPHAN]
        assert ledger.accept_blocks([]).tip == root

    def test_bad_context(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        made = rig.bad_context(root, 1)
        if made is None:
            pytest.skip("no rule of this chain needs a header's ancestors")
        block, rule = made
        report = ledger.accept_headers([block[:HEADER_BYTES]])
        assert (report.accepted, report.rule, report.permanent) == (0, rule, True)
        outcome = ledger.accept_blocks([block]).outcomes[0]
        assert (outcome.verdict, outcome.rule) == (BlockVerdict.INVALID, rule)

    def test_future(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        block = rig.future(root, 1)
        if block is None:
            pytest.skip("this chain does not look at the clock")
        report = ledger.accept_headers([block[:HEADER_BYTES]])
        assert (report.accepted, report.rule, report.permanent) == (0, "time-too-new", False)
        outcome = ledger.accept_blocks([block]).outcomes[0]
        assert (outcome.verdict, outcome.rule) == (BlockVerdict.FUTURE, "time-too-new")
        assert ledger.read_blocks([outcome.hash]) == (None,)

    # -- branches

    def test_first_seen_wins_a_tie(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        first, second = rig.block(root, 1, 1), rig.block(root, 1, 2)
        report = ledger.accept_blocks([first, second])
        assert [outcome.verdict for outcome in report.outcomes] == [BlockVerdict.ACCEPTED] * 2
        assert report.tip == ledger.identify_block(first).hash

    def test_reorganisation(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        main = self.chain(rig, ledger, root, 1, 6)
        fork = ledger.identify_block(main[1]).hash
        side = self.chain(rig, ledger, fork, 3, 5, salt=1)
        tip = ledger.accept_blocks(main).tip
        assert ledger.accept_blocks(side[:4]).tip == tip
        names = [ledger.identify_block(block).hash for block in main + side]
        assert ledger.accept_blocks(side[4:]).tip == names[-1]
        assert ledger.read_blocks(names) == tuple(main + side)

    def test_invalid_found_by_reorganisation(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        if not rig.late_judgement:
            pytest.skip("this chain judges a body at once")
        main = self.chain(rig, ledger, root, 1, 3)
        bad, rule = rig.invalid(root, 1)
        culprit = ledger.identify_block(bad).hash
        side = self.chain(rig, ledger, culprit, 2, 3)
        tip = ledger.accept_blocks(main).tip
        assert verdicts(ledger, bad, *side[:2]) == [BlockVerdict.ACCEPTED] * 3
        report = ledger.accept_blocks(side[2:])
        assert report.tip == tip
        assert report.outcomes[0].verdict is BlockVerdict.ORPHAN
        refused = {refusal.hash: refusal.rule for refusal in report.invalidated}
        assert refused[culprit] == rule
        names = [ledger.identify_block(block).hash for block in (bad, *side)]
        assert set(refused) == set(names[:3])
        assert ledger.read_blocks(names) == (None,) * 4
        assert verdicts(ledger, bad, side[0]) == [BlockVerdict.INVALID, BlockVerdict.ORPHAN]
        ledger.close()
        if rig.keeps:
            again = rig.open()
            headers, same_tip = restored(again)
            assert same_tip == tip
            assert {again.identify_header(kept.header).hash for kept in headers if kept.has_body} == {
                again.identify_block(block).hash for block in main
            }
            assert verdicts(again, bad) == [BlockVerdict.INVALID]
            again.close()

    def test_invalid_found_within_a_batch(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        if not rig.late_judgement:
            pytest.skip("this chain judges a body at once")
        main = self.chain(rig, ledger, root, 1, 2)
        bad, rule = rig.invalid(root, 1)
        side = self.chain(rig, ledger, ledger.identify_block(bad).hash, 2, 2)
        tip = ledger.accept_blocks(main).tip
        report = ledger.accept_blocks([bad, *side])
        assert report.tip == tip
        assert report.invalidated == ()
        assert [outcome.verdict for outcome in report.outcomes] == [BlockVerdict.INVALID] + [BlockVerdict.ORPHAN] * 2
        assert report.outcomes[0].rule == rule

    # -- headers

    def test_headers_first_then_bodies(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        blocks = self.chain(rig, ledger, root, 1, 30)
        assert ledger.accept_headers([block[:HEADER_BYTES] for block in blocks]).accepted == 30
        names = [ledger.identify_block(block).hash for block in blocks]
        assert ledger.read_blocks(names) == (None,) * 30
        assert ledger.accept_blocks(blocks).tip == names[-1]
        assert ledger.accept_headers([block[:HEADER_BYTES] for block in blocks]).accepted == 30

    def test_headers_stop_at_the_bad_one(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        blocks = self.chain(rig, ledger, root, 1, 3)
        headers = [block[:HEADER_BYTES] for block in blocks]
        headers[2] = rig.without_work(blocks[2])[:HEADER_BYTES]
        report = ledger.accept_headers(headers)
        assert (report.accepted, report.rule) == (2, "high-hash")

    # -- reading

    # -- transactions, where there are any

    def test_the_coin_view_follows_the_active_chain(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        judge = relaying(ledger)
        if judge is None:
            pytest.skip("this ledger judges no transactions")
        start = settled(judge)[-1]
        assert (start.tip, start.height, start.ready, start.returned) == (root, 0, True, ())
        first = chain_of(rig, ledger, root, 1, 3)
        ledger.accept_blocks(first)
        reports = settled(judge)
        assert reports[0].fork == 0
        assert (reports[-1].tip, reports[-1].height) == (ledger.identify_block(first[-1]).hash, 3)
        branch = chain_of(rig, ledger, ledger.identify_block(first[0]).hash, 2, 4, salt=1)
        ledger.accept_blocks(branch)
        reports = settled(judge)
        assert reports[0].fork == 1, "the last block that stayed"
        assert (reports[-1].tip, reports[-1].height) == (ledger.identify_block(branch[-1]).hash, 5)
        assert not any(report.lost for report in reports)
        again = judge.follow(details=True)
        assert (again.tip, again.fork, again.ready, again.confirmed) == (reports[-1].tip, 5, True, ())
        with pytest.raises(InvalidTransaction):
            judge.identify_transaction(b"no transaction")

    def test_unknown_hashes(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        block = rig.block(root, 1)
        ledger.accept_blocks([block])
        unknown = BlockHash(b"\x77" * 32)
        assert ledger.read_blocks([unknown, ledger.identify_block(block).hash, unknown]) == (None, block, None)

    def test_reading_beside_accepting(self, rig: Rig, ledger: Ledger, root: BlockHash) -> None:
        blocks = self.chain(rig, ledger, root, 1, 60)
        names = [ledger.identify_block(block).hash for block in blocks]
        ledger.accept_blocks(blocks[:10])
        wrong: list[object] = []
        done = threading.Event()

        def read() -> None:
            try:
                while not done.is_set():
                    got = ledger.read_blocks(names)
                    wrong.extend(
                        number
                        for number, block in enumerate(got)
                        if block not in (blocks[number], None) or (number < 10 and block is None)
                    )
            except Exception as error:
                wrong.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        for block in blocks[10:]:
            ledger.accept_blocks([block])
        done.set()
        reader.join()
        assert wrong == []

    def test_closing_is_the_end(self, rig: Rig) -> None:
        ledger = rig.open()
        ledger.restore()
        ledger.close()
