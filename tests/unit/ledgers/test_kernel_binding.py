"""The kernel behind its border: rules by name, exact lengths, several kernels at once, no trouble lost."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from obscura.base.errors import BugError, StoreError
from obscura.base.names import BlockHash
from obscura.ledgers.kernel import binding
from obscura.ledgers.kernel.binding import Fault, Kernel, Processed
from obscura.ledgers.kernel.build import build_block
from obscura.ledgers.kernel.header import block_hash
from obscura.ledgers.kernel.kernel_log import KernelLog
from obscura.ledgers.kernel.networks import NETWORKS, REGTEST

ROOT = block_hash(REGTEST.genesis)
NOW = int(time.time())


def submit(kernel: Kernel, block: bytes) -> Processed:
    return kernel.submit_block(block_hash(block[:80]), block)


@pytest.mark.parametrize("name", NETWORKS)
def test_genesis_is_the_kernel_s_own(name: str, tmp_path: Path) -> None:
    kernel = Kernel(NETWORKS[name].chain_type, tmp_path)
    assert kernel.tip() == (0, block_hash(NETWORKS[name].genesis))
    assert kernel.headers_back(kernel.tip()[1], 5) == [NETWORKS[name].genesis]
    kernel.close()


def test_questions(tmp_path: Path) -> None:
    kernel = Kernel(REGTEST.chain_type, tmp_path)
    blocks = []
    previous = ROOT
    for height in range(1, 6):
        blocks.append(build_block(previous, height, NOW - 1000 + height, b"\x51"))
        previous = block_hash(blocks[-1][:80])
        assert submit(kernel, blocks[-1]) == Processed(None)
    names = [block_hash(block[:80]) for block in blocks]
    assert kernel.tip() == (5, names[-1])
    assert [kernel.active_hash(height) for height in range(7)] == [ROOT, *names, None]
    assert kernel.is_active(names[2])
    assert not kernel.is_active(BlockHash(bytes(32)))
    assert kernel.read_block(names[3]) == blocks[3]
    assert kernel.read_block(BlockHash(bytes(32))) is None
    bare = build_block(previous, 6, NOW, b"\x51")
    assert kernel.submit_header(block_hash(bare[:80]), bare[:80]) is None
    assert kernel.headers_above(lambda name: name == names[3]) == [blocks[4][:80], bare[:80]]
    assert kernel.headers_back(names[1], 11) == [blocks[1][:80], blocks[0][:80], REGTEST.genesis]
    assert kernel.read_block(block_hash(bare[:80])) is None
    kernel.close()
    kernel.close()
    with pytest.raises(BugError):
        kernel.tip()


def test_lengths_are_exact(tmp_path: Path) -> None:
    kernel = Kernel(REGTEST.chain_type, tmp_path)
    block = build_block(ROOT, 1, NOW, b"\x51")
    name = block_hash(block[:80])
    for data in (block[:-1], block[:81], block + b"\0", block + block):
        refused = kernel.submit_block(name, data).refused
        assert refused is not None
        assert refused.fault is Fault.MUTATED
        assert refused.rule in ("block-undecodable", "block-trailing-bytes")
    assert submit(kernel, block).refused is None
    kernel.close()


def test_kernels_in_threads_do_not_mix_their_rules(tmp_path: Path) -> None:
    wrong: list[object] = []

    def work(number: int) -> None:
        kernel = Kernel(REGTEST.chain_type, tmp_path / str(number))
        for step in range(60):
            # Even kernels see a wrong height, odd ones a block from the past.
            if number % 2:
                block, rule = build_block(ROOT, 1, 1_000_000 + step, b"\x51"), "time-too-old"
            else:
                block, rule = build_block(ROOT, 1000 + step, NOW - step, b"\x51"), "bad-cb-height"
            refused = submit(kernel, block).refused
            if refused is None or refused.rule != rule:
                wrong.append((number, refused))
        kernel.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    kernel = Kernel(REGTEST.chain_type, tmp_path)
    with pytest.raises(StoreError, match="already held by process"):
        Kernel(REGTEST.chain_type, tmp_path)
    kernel.close()
    Kernel(REGTEST.chain_type, tmp_path).close()


def test_what_a_callback_raises_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(REGTEST.chain_type, tmp_path)

    def interrupt(line: bytes) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(binding._LOG, "add", interrupt)
        with pytest.raises(KeyboardInterrupt):
            submit(kernel, build_block(ROOT, 1, NOW, b"\x51"))
    assert kernel.tip()[0] == 1
    assert submit(kernel, build_block(kernel.tip()[1], 2, NOW + 1, b"\x51")).refused is None
    kernel.close()


class TestLog:
    HASH = BlockHash(bytes(range(32)))
    TEXT = bytes(range(32))[::-1].hex()

    @pytest.mark.parametrize(
        ("line", "rule"),
        [
            ("[validation:debug] BlockChecked: block hash={} state=bad-cb-amount, coinbase pays", "bad-cb-amount"),
            ("[validation:debug] BlockChecked: block hash={} state=bad-prevblk\n", "bad-prevblk"),
            (
                "[validation:debug] BlockChecked: block hash={} state=block-script-verify-flag-failed (Script), x",
                "block-script-verify-flag-failed",
            ),
            ("[validation:debug] AcceptBlockHeader: Consensus::CheckBlockHeader: {}, high-hash, x", "high-hash"),
            (
                "[validation:debug] AcceptBlockHeader: Consensus::ContextualCheckBlockHeader: {}, "
                "bad-version(0x00000001), rejected",
                "bad-version",
            ),
            ("[validation:debug] BlockChecked: block hash={} state=Valid", ""),
            ("[all:info] something about {}, rule", ""),
        ],
    )
    def test_rules(self, line: str, rule: str) -> None:
        log = KernelLog()
        log.add(line.format(self.TEXT).encode())
        assert log.rule(self.HASH) == rule
        log.forget()
        assert log.rule(self.HASH) == ""

    def test_errors_are_given_once(self) -> None:
        log = KernelLog()
        log.add(b"[all:error] the disk is on fire\n")
        assert log.take_errors() == "[all:error] the disk is on fire"
        assert log.take_errors() == ""
