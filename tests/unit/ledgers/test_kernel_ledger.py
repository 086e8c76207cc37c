"""The kernel's ledger beyond the contract: malleated bodies, restarts of every kind, checkpoints, mining."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from obscura.base.errors import BugError, ConfigError, StoreError
from obscura.base.instant import WallTime
from obscura.base.names import BlockHash
from obscura.chain import BlockVerdict
from obscura.ledgers.kernel import ledger as kernel_ledger
from obscura.ledgers.kernel.build import build_block, grind, merkle_root
from obscura.ledgers.kernel.disk import Disk
from obscura.ledgers.kernel.header import block_hash
from obscura.ledgers.kernel.ledger import KernelLedger
from obscura.ledgers.kernel.networks import BITCOIN, REGTEST

ROOT = block_hash(REGTEST.genesis)
ANYONE = b"\x51"
WITNESS_SCRIPT = b"\x00\x20" + hashlib.sha256(ANYONE).digest()
START = int(time.time()) - 100_000


def row(count: int, script: bytes = ANYONE, start: BlockHash = ROOT, first: int = 1) -> list[bytes]:
    """Good blocks in a row."""
    blocks: list[bytes] = []
    previous = start
    for height in range(first, first + count):
        blocks.append(build_block(previous, height, START + height, script))
        previous = block_hash(blocks[-1][:80])
    return blocks


def name_of(block: bytes) -> BlockHash:
    return block_hash(block[:80])


def spend(block: bytes, witness: bytes | None = None) -> bytes:
    """A transaction that spends the first output of a block's coinbase (which has no witness of its own)."""
    source = block_hash(block[81:])
    body = b"\x01" + source + bytes(4) + b"\x00" + b"\xff" * 4 + b"\x01" + (1000).to_bytes(8, "little") + b"\x01\x51"
    if witness is None:
        return b"\x02\0\0\0" + body + bytes(4)
    return b"\x02\0\0\0\x00\x01" + body + b"\x01" + bytes([len(witness)]) + witness + bytes(4)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[KernelLedger]:
    ledger = KernelLedger(REGTEST, tmp_path / "node")
    ledger.restore()
    yield ledger
    ledger.close()


def reopened(datadir: Path) -> tuple[KernelLedger, list[tuple[BlockHash, bool]]]:
    """A ledger on a directory, and what it remembers."""
    ledger = KernelLedger(REGTEST, datadir)
    restored = ledger.restore()
    kept = [(block_hash(header.header), header.has_body) for header in restored.headers]
    assert restored.tip == ledger.tip[1]
    return ledger, kept


class TestMalleation:
    """A changed body must never make the hash invalid."""

    def test_doubled_transactions(self, ledger: KernelLedger) -> None:
        # CVE-2012-2459: an odd last transaction, given twice, has the same merkle root.
        blocks = row(102)
        ledger.accept_blocks(blocks)
        good = build_block(name_of(blocks[-1]), 103, START + 200, ANYONE, [spend(blocks[0]), spend(blocks[1])])
        double = good[:80] + b"\x04" + good[81:] + spend(blocks[1])
        outcome = ledger.accept_blocks([double]).outcomes[0]
        assert (outcome.verdict, outcome.rule) == (BlockVerdict.MUTATED, "bad-txns-duplicate")
        assert outcome.hash == name_of(good)
        assert ledger.accept_blocks([good]).outcomes[0].verdict is BlockVerdict.ACCEPTED
        assert ledger.tip == (103, name_of(good))

    def test_a_changed_witness(self, ledger: KernelLedger, tmp_path: Path) -> None:
        blocks = row(101, WITNESS_SCRIPT)
        ledger.accept_blocks(blocks)
        good = build_block(name_of(blocks[-1]), 102, START + 200, ANYONE, [spend(blocks[0], ANYONE)])
        changed = good[:-5] + b"\x52" + good[-4:]
        size = sum(path.stat().st_size for path in (tmp_path / "node" / "blocks").iterdir())
        outcome = ledger.accept_blocks([changed]).outcomes[0]
        assert (outcome.verdict, outcome.rule) == (BlockVerdict.MUTATED, "bad-witness-merkle-match")
        assert sum(path.stat().st_size for path in (tmp_path / "node" / "blocks").iterdir()) == size
        assert ledger.accept_blocks([good]).outcomes[0].verdict is BlockVerdict.ACCEPTED
        assert ledger.read_blocks([name_of(good)]) == (good,)

    def test_a_body_that_begins_with_no_coinbase(self, ledger: KernelLedger) -> None:
        # As when 64-byte transactions pose as inner nodes of the merkle tree (CVE-2017-12842).
        transaction = spend(row(1)[0])
        header = grind(ROOT, merkle_root([block_hash(transaction)]), START)
        outcome = ledger.accept_blocks([header + b"\x01" + transaction]).outcomes[0]
        assert (outcome.verdict, outcome.rule) == (BlockVerdict.MUTATED, "bad-cb-missing")
        assert ledger.accept_headers([header]).accepted == 1

    @pytest.mark.parametrize("tail", [b"\0", b"\0" * 1000])
    def test_bytes_after_the_block(self, ledger: KernelLedger, tail: bytes) -> None:
        block = row(1)[0]
        outcome = ledger.accept_blocks([block + tail]).outcomes[0]
        assert (outcome.verdict, outcome.rule) == (BlockVerdict.MUTATED, "block-trailing-bytes")
        assert ledger.accept_blocks([block]).outcomes[0].verdict is BlockVerdict.ACCEPTED


class TestRules:
    def test_a_bad_script_is_named(self, ledger: KernelLedger) -> None:
        blocks = row(101, b"\x00")  # OP_0: nobody can spend it
        ledger.accept_blocks(blocks)
        bad = build_block(name_of(blocks[-1]), 102, START + 200, ANYONE, [spend(blocks[0])])
        outcome = ledger.accept_blocks([bad]).outcomes[0]
        assert outcome.verdict is BlockVerdict.INVALID
        assert outcome.rule == "block-script-verify-flag-failed"

    def test_an_immature_coin_is_named(self, ledger: KernelLedger) -> None:
        blocks = row(5)
        ledger.accept_blocks(blocks)
        bad = build_block(name_of(blocks[-1]), 6, START + 200, ANYONE, [spend(blocks[0])])
        outcome = ledger.accept_blocks([bad]).outcomes[0]
        assert (outcome.verdict, outcome.rule) == (
            BlockVerdict.INVALID,
            "bad-txns-premature-spend-of-coinbase",
        )


class TestRestart:
    def test_a_lost_kernel_is_replayed(self, tmp_path: Path) -> None:
        ledger, _ = reopened(tmp_path)
        main, side = row(40), row(5, b"\x52")
        ledger.accept_blocks(main)
        ledger.accept_blocks(side)
        ledger.close()
        shutil.rmtree(tmp_path / "kernel")
        ledger, kept = reopened(tmp_path)
        assert ledger.tip == (40, name_of(main[-1]))
        assert sorted(kept) == sorted((name_of(block), True) for block in main + side)
        # The side branch is with the kernel too: it can win.
        more = row(40, b"\x52", name_of(side[-1]), 6)
        ledger.accept_blocks(more)
        assert ledger.tip == (45, name_of(more[-1]))
        ledger.close()

    def test_a_damaged_kernel_is_set_aside(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        for turn in (1, 2):
            ledger, _ = reopened(tmp_path)
            ledger.accept_blocks(row(10))
            ledger.close()
            (tmp_path / "kernel" / "chainstate" / "CURRENT").write_bytes(b"nonsense")
            ledger, kept = reopened(tmp_path)
            assert ledger.tip[0] == len(kept) == 10
            ledger.close()
            assert (tmp_path / f"kernel.damaged-{turn}" / "chainstate" / "CURRENT").read_bytes() == b"nonsense"
        assert "set aside" in caplog.text

    def test_a_lost_store_is_copied_from_the_kernel(self, tmp_path: Path) -> None:
        ledger, _ = reopened(tmp_path)
        main = row(100)
        ledger.accept_blocks(main)
        ledger.close()
        shutil.rmtree(tmp_path / "blocks")
        ledger, kept = reopened(tmp_path)
        names = [name_of(block) for block in main]
        assert kept == [(name, True) for name in names]
        assert ledger.read_blocks(names) == tuple(main)
        ledger.close()

    @pytest.mark.parametrize("kernel_too", [False, True])
    def test_a_damaged_block_in_the_middle(self, tmp_path: Path, kernel_too: bool) -> None:
        ledger, _ = reopened(tmp_path)
        main = row(20)
        ledger.accept_blocks(main)
        ledger.close()
        path = tmp_path / "blocks" / "blk00000.obs"
        data = bytearray(path.read_bytes())
        data[data.index(main[9]) + 100] ^= 1
        path.write_bytes(data)
        (tmp_path / "blocks" / "clean").unlink()
        if kernel_too:
            shutil.rmtree(tmp_path / "kernel")
        ledger, kept = reopened(tmp_path)
        if kernel_too:
            # What stands above the gap waits for the block, which nobody has any more; the gap hides it from the node.
            assert kept == [(name_of(block), True) for block in main[:9]]
            assert ledger.tip == (9, name_of(main[8]))
            report = ledger.accept_blocks(main)
            verdicts = [outcome.verdict for outcome in report.outcomes]
            assert verdicts == [BlockVerdict.DUPLICATE] * 9 + [BlockVerdict.ACCEPTED] * 11
        assert ledger.tip == (20, name_of(main[-1]))
        ledger.close()
        ledger, kept = reopened(tmp_path)
        assert sorted(kept) == sorted((name_of(block), True) for block in main)
        assert ledger.read_blocks([name_of(main[9])]) == (main[9],)
        ledger.close()

    def test_headers_beyond_the_bodies_are_kept(self, tmp_path: Path) -> None:
        ledger, _ = reopened(tmp_path)
        main = row(10)
        ledger.accept_headers([block[:80] for block in main])
        ledger.accept_blocks(main[:4])
        ledger.close()
        ledger, kept = reopened(tmp_path)
        assert kept == [(name_of(block), number < 4) for number, block in enumerate(main)]
        ledger.accept_blocks(main[4:])
        assert ledger.tip[0] == 10
        ledger.close()

    @pytest.mark.parametrize("portion", [kernel_ledger.WRITE_BESIDE_BYTES, 1])
    def test_a_full_disk_acknowledges_nothing_and_loses_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portion: int
    ) -> None:
        monkeypatch.setattr(kernel_ledger, "WRITE_BESIDE_BYTES", portion)

        class Full(Disk):
            full = False

            def write(self, fd: int, buffers: Sequence[bytes], offset: int) -> int:
                if self.full:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return super().write(fd, buffers, offset)

        disk = Full()
        ledger = KernelLedger(REGTEST, tmp_path, disk=disk)
        ledger.restore()
        main = row(20)
        ledger.accept_blocks(main[:10])
        disk.full = True
        with pytest.raises(StoreError, match="No space left"):
            ledger.accept_blocks(main[10:15])
        assert not ledger.has_block(name_of(main[10]))
        disk.full = False
        report = ledger.accept_blocks(main[10:])
        assert {outcome.verdict for outcome in report.outcomes} == {BlockVerdict.ACCEPTED}
        disk.full = True
        with pytest.raises(StoreError):
            ledger.accept_blocks(row(3, start=report.tip, first=21))
        ledger.close()
        # The kernel flushed what the store could not take: the next start brings it over.
        ledger, kept = reopened(tmp_path)
        assert ledger.tip[0] == len(kept) > 20
        ledger.close()

    def test_checkpoints_lose_nothing(self, tmp_path: Path) -> None:
        ledger = KernelLedger(REGTEST, tmp_path, checkpoint_blocks=7)
        ledger.restore()
        main = row(50)
        for at in range(0, 50, 5):
            report = ledger.accept_blocks(main[at : at + 5])
            assert report.tip == name_of(main[at + 4])
        ledger.close()
        shutil.rmtree(tmp_path / "kernel")
        ledger = KernelLedger(REGTEST, tmp_path, checkpoint_blocks=7)  # also within the replay
        ledger.restore()
        assert ledger.tip[0] == 50
        ledger.close()

    def test_another_network_s_directory(self, tmp_path: Path) -> None:
        ledger, _ = reopened(tmp_path)
        ledger.accept_blocks(row(1))
        ledger.close()
        with pytest.raises(StoreError, match="another data directory"):
            KernelLedger(BITCOIN, tmp_path).restore()

    def test_a_second_ledger_on_one_directory(self, tmp_path: Path) -> None:
        ledger, _ = reopened(tmp_path)
        with pytest.raises(StoreError, match="another node"):
            KernelLedger(REGTEST, tmp_path).restore()
        assert not list(tmp_path.glob("*damaged*"))
        ledger.close()


class TestMining:
    def test_on_the_tip(self, ledger: KernelLedger) -> None:
        for height in range(1, 30):
            # The clock stands still; the median of the last 11 pushes the time on.
            block = ledger.mine(ANYONE, WallTime(START))
            report = ledger.accept_blocks([block])
            assert report.outcomes[0].verdict is BlockVerdict.ACCEPTED
            assert ledger.tip == (height, name_of(block))

    def test_across_a_halving_and_every_form_of_height(self, ledger: KernelLedger) -> None:
        blocks = row(310)
        assert {outcome.rule for outcome in ledger.accept_blocks(blocks).outcomes} == {""}
        assert ledger.tip[0] == 310

    def test_with_transactions(self, ledger: KernelLedger) -> None:
        blocks = row(1) + row(101, WITNESS_SCRIPT, name_of(row(1)[0]), 2)
        ledger.accept_blocks(blocks)
        extra = [spend(blocks[0]), spend(blocks[1], ANYONE)]
        block = ledger.mine(ANYONE, WallTime(START + 1000), extra)
        assert ledger.accept_blocks([block]).outcomes[0].rule == ""

    def test_not_where_blocks_cost_something(self, tmp_path: Path) -> None:
        ledger = KernelLedger(BITCOIN, tmp_path)
        with pytest.raises(ConfigError, match="regtest only"):
            ledger.mine(ANYONE, WallTime(START))

    def test_verbs_before_restore_are_our_bug(self, tmp_path: Path) -> None:
        ledger = KernelLedger(REGTEST, tmp_path)
        with pytest.raises(BugError):
            ledger.accept_blocks([])
        ledger.close()
