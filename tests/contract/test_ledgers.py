"""The ledgers that ship, and the one of docs/embed.md, against the contract."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ledger_contract import LedgerContract
from tiny_chain import GuestBook
from tiny_chain import mine as write_page

from obscura.base.instant import WallTime
from obscura.base.names import BlockHash
from obscura.chain import HEADER_BYTES, InvalidHeader, Ledger
from obscura.ledgers.kernel import build
from obscura.ledgers.kernel import ledger as kernel_ledger
from obscura.ledgers.kernel.header import block_hash
from obscura.ledgers.kernel.ledger import KernelLedger
from obscura.ledgers.kernel.networks import REGTEST
from obscura.ledgers.memory import INVALID_MARK, MemoryLedger, mine


def spoil_work(ledger: Ledger, block: bytes) -> bytes:
    """The block with a nonce that has too little work."""
    head = bytearray(block[:HEADER_BYTES])
    while True:
        head[-4:] = ((int.from_bytes(head[-4:], "little") + 1) % (1 << 32)).to_bytes(4, "little")
        try:
            ledger.identify_header(bytes(head))
        except InvalidHeader:
            return bytes(head) + block[HEADER_BYTES:]


class MemoryRig:
    keeps = False
    late_judgement = True
    now = 1_700_500_000

    def open(self) -> Ledger:
        return MemoryLedger(wall=lambda: WallTime(self.now))

    def block(self, previous: BlockHash, height: int, salt: int = 0) -> bytes:
        return mine(previous, b"%d %d" % (height, salt), 1_700_000_000 + height)

    def mutated(self, block: bytes) -> bytes:
        return block + b"!"

    def invalid(self, previous: BlockHash, height: int) -> tuple[bytes, str]:
        return mine(previous, INVALID_MARK, 1_700_000_000 + height), "bad-body"

    def without_work(self, block: bytes) -> bytes:
        return spoil_work(self.open(), block)

    def bad_context(self, previous: BlockHash, height: int) -> tuple[bytes, str] | None:
        return mine(previous, b"", 1_700_000_000), "time-too-old"

    def future(self, previous: BlockHash, height: int) -> bytes | None:
        return mine(previous, b"", self.now + 2 * 60 * 60 + 1)


class TestMemory(LedgerContract):
    @pytest.fixture
    def rig(self) -> MemoryRig:
        return MemoryRig()


class KernelRig:
    keeps = True
    late_judgement = True

    def __init__(self, datadir: Path) -> None:
        self.datadir = datadir
        self.start = int(time.time()) - 100_000

    def open(self) -> Ledger:
        return KernelLedger(REGTEST, self.datadir, checkpoint_blocks=25)

    def block(self, previous: BlockHash, height: int, salt: int = 0) -> bytes:
        return build.build_block(previous, height, self.start + height, b"\x51" + bytes([salt, 0x75]))

    def mutated(self, block: bytes) -> bytes:
        return block[:-10] + bytes([block[-10] ^ 1]) + block[-9:]

    def invalid(self, previous: BlockHash, height: int) -> tuple[bytes, str]:
        # A coinbase that creates one satoshi too many: the kernel sees it when it connects the block.
        block = build.build_block(previous, height, self.start + height, b"\x51")
        coins = build.subsidy(height)
        paid = block.replace(coins.to_bytes(8, "little"), (coins + 1).to_bytes(8, "little"))
        header = build.grind(previous, block_hash(paid[81:]), self.start + height)
        return header + paid[80:], "bad-cb-amount"

    def without_work(self, block: bytes) -> bytes:
        return spoil_work(self.open(), block)

    def bad_context(self, previous: BlockHash, height: int) -> tuple[bytes, str] | None:
        return build.build_block(previous, height, 1_000_000_000, b"\x51"), "time-too-old"

    def future(self, previous: BlockHash, height: int) -> bytes | None:
        return build.build_block(previous, height, int(time.time()) + 3 * 60 * 60, b"\x51")


class TestKernel(LedgerContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> KernelRig:
        return KernelRig(tmp_path / "node")


class TestKernelThatWritesBeside(LedgerContract):
    """Each block is a portion of its own, written while the next one is judged."""

    @pytest.fixture
    def rig(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KernelRig:
        monkeypatch.setattr(kernel_ledger, "WRITE_BESIDE_BYTES", 1)
        return KernelRig(tmp_path / "node")


class GuestBookRig:
    keeps = True
    late_judgement = False

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> Ledger:
        return GuestBook(self.path)

    def block(self, previous: BlockHash, height: int, salt: int = 0) -> bytes:
        return write_page(previous, b"page %d, hand %d" % (height, salt), 1_700_000_000 + height)

    def mutated(self, block: bytes) -> bytes:
        return block + b"!"

    def invalid(self, previous: BlockHash, height: int) -> tuple[bytes, str]:
        return write_page(previous, b"x" * 281, 1_700_000_000 + height), "text-too-long"

    def without_work(self, block: bytes) -> bytes:
        book = GuestBook(self.path)
        bad = spoil_work(book, block)
        book.close()
        return bad

    def bad_context(self, previous: BlockHash, height: int) -> tuple[bytes, str] | None:
        return None

    def future(self, previous: BlockHash, height: int) -> bytes | None:
        return None


class TestGuestBook(LedgerContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> GuestBookRig:
        return GuestBookRig(tmp_path / "pages")
