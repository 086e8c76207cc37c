"""Importing real blocks: in order, out of order, resumed, killed, and with any byte changed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from obscura.base.names import BlockHash, display_hash
from obscura.ledgers.blockfile import BlockFile
from obscura.ledgers.importer import ImportFailure, ImportProgress, ImportReport, import_files
from obscura.ledgers.kernel import build
from obscura.ledgers.kernel.build import build_block, grind
from obscura.ledgers.kernel.header import block_hash
from obscura.ledgers.kernel.ledger import KernelLedger
from obscura.ledgers.kernel.networks import BITCOIN, REGTEST, Network

DATA = Path(__file__).parents[2] / "data" / "bitcoin_mainnet_1_255.dat"
TIP = "00000000d0a75c861fabf9ff7b92022f60e4afeed9331fe5aa073d8e4706fe3c"
WHOLE = DATA.read_bytes()
RECORDS = list(BlockFile(DATA, BITCOIN.magic).blocks())
NAMES = [block_hash(item.block[:80]) for item in RECORDS]


def raw(number: int) -> bytes:
    """Record ``number`` as it stands in the file."""
    return WHOLE[RECORDS[number].offset : RECORDS[number].end]


def opened(datadir: Path, network: Network = BITCOIN) -> KernelLedger:
    ledger = KernelLedger(network, datadir)
    ledger.restore()
    return ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[KernelLedger]:
    ledger = opened(tmp_path / "node")
    yield ledger
    ledger.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "blk00000.dat"


class TestWhole:
    def test_the_real_chain(self, ledger: KernelLedger) -> None:
        told: list[ImportProgress] = []
        report = import_files(ledger, BITCOIN, [DATA], progress=told.append, batch_blocks=100)
        assert report == ImportReport(accepted=255, skipped=0, orphans=0, first_orphan=None, tip=NAMES[-1])
        assert display_hash(ledger.tip[1]) == TIP
        assert ledger.tip[0] == 255
        assert [(step.accepted, step.done) for step in told] == [
            (100, RECORDS[99].end),
            (200, RECORDS[199].end),
            (255, len(WHOLE)),
        ]
        assert {step.total for step in told} == {len(WHOLE)}

    def test_resumed(self, ledger: KernelLedger, file: Path) -> None:
        file.write_bytes(WHOLE[: RECORDS[120].end])
        assert import_files(ledger, BITCOIN, [file]).accepted == 121
        report = import_files(ledger, BITCOIN, [DATA])
        assert (report.accepted, report.skipped) == (134, 121)

    @pytest.mark.parametrize("seed", range(4))
    def test_out_of_order_over_several_files(self, ledger: KernelLedger, tmp_path: Path, seed: int) -> None:
        order = list(range(255))
        random.Random(seed).shuffle(order)
        files = [tmp_path / f"blk{number:05}.dat" for number in range(3)]
        for number, path in enumerate(files):
            path.write_bytes(b"".join(raw(at) for at in order[number * 85 : number * 85 + 85]) + bytes(100))
        report = import_files(ledger, BITCOIN, files, batch_blocks=16)
        assert (report.accepted, report.orphans) == (255, 0)
        assert display_hash(ledger.tip[1]) == TIP

    def test_reversed(self, ledger: KernelLedger, file: Path) -> None:
        file.write_bytes(b"".join(raw(at) for at in reversed(range(255))))
        assert import_files(ledger, BITCOIN, [file], batch_blocks=7).accepted == 255

    def test_genesis_in_the_file_is_known(self, ledger: KernelLedger, file: Path) -> None:
        coinbase = (
            "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054"
            "696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f7574"
            "20666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea"
            "1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000"
        )
        first = BITCOIN.genesis + b"\x01" + bytes.fromhex(coinbase)
        file.write_bytes(BITCOIN.magic + len(first).to_bytes(4, "little") + first + WHOLE)
        report = import_files(ledger, BITCOIN, [file])
        assert (report.accepted, report.skipped) == (255, 1)

    def test_blocks_whose_parents_never_come(self, ledger: KernelLedger, file: Path) -> None:
        file.write_bytes(WHOLE[: RECORDS[9].end] + WHOLE[RECORDS[10].end :])
        report = import_files(ledger, BITCOIN, [file])
        assert (report.accepted, report.orphans) == (10, 244)
        assert report.first_orphan is not None
        assert report.first_orphan.offset == RECORDS[10].offset
        assert ledger.tip == (10, NAMES[9])

    def test_nothing(self, ledger: KernelLedger, file: Path) -> None:
        file.write_bytes(b"")
        assert import_files(ledger, BITCOIN, [file]).tip is None


class TestBad:
    def test_a_bad_block_is_named_and_what_came_before_stays(self, ledger: KernelLedger, file: Path) -> None:
        at = RECORDS[100].end - 20
        file.write_bytes(WHOLE[:at] + b"\x00\x00" + WHOLE[at + 2 :])
        with pytest.raises(ImportFailure) as caught:
            import_files(ledger, BITCOIN, [file])
        failure = caught.value
        assert failure.position.path == file
        assert failure.position.offset == RECORDS[100].offset
        assert failure.block_hash == NAMES[100]
        assert failure.rule == "bad-txnmrklroot"
        assert failure.report.accepted == 100
        for text in (str(file), str(RECORDS[100].offset), display_hash(NAMES[100]), "bad-txnmrklroot"):
            assert text in str(failure)
        assert ledger.tip == (100, NAMES[99])
        assert import_files(ledger, BITCOIN, [DATA]).accepted == 155

    def test_a_truncated_file(self, ledger: KernelLedger, file: Path) -> None:
        file.write_bytes(WHOLE[: RECORDS[50].end - 1])
        with pytest.raises(ImportFailure) as caught:
            import_files(ledger, BITCOIN, [file])
        failure = caught.value
        assert (failure.rule, failure.position.offset) == ("file-truncated", RECORDS[50].offset)
        assert failure.block_hash is None
        assert failure.report.accepted == 50
        assert ledger.tip[0] == 50

    def test_another_network_s_file(self, tmp_path: Path) -> None:
        ledger = opened(tmp_path / "node", REGTEST)
        with pytest.raises(ImportFailure, match=r"byte 0.*file-magic.*f9beb4d9"):
            import_files(ledger, REGTEST, [DATA])
        ledger.close()

    def test_a_missing_file(self, ledger: KernelLedger, file: Path) -> None:
        with pytest.raises(ImportFailure, match="file-unreadable"):
            import_files(ledger, BITCOIN, [DATA, file])
        assert ledger.tip[0] == 0

    def test_a_bad_block_that_a_reorganisation_finds(self, tmp_path: Path, file: Path) -> None:
        root, start = block_hash(REGTEST.genesis), int(time.time()) - 10_000
        main = [build_block(root, 1, start, b"\x51")]
        block = build_block(root, 1, start + 1, b"\x52")
        greedy = block.replace(build.subsidy(1).to_bytes(8, "little"), (build.subsidy(1) + 1).to_bytes(8, "little"))
        bad = grind(root, block_hash(greedy[81:]), start + 1) + greedy[80:]
        child = build_block(BlockHash(block_hash(bad[:80])), 2, start + 2, b"\x52")
        blocks = [*main, bad, child]
        file.write_bytes(b"".join(REGTEST.magic + len(item).to_bytes(4, "little") + item for item in blocks))
        ledger = opened(tmp_path / "node", REGTEST)
        with pytest.raises(ImportFailure) as caught:
            import_files(ledger, REGTEST, [file], batch_blocks=1)
        assert caught.value.rule == "bad-cb-amount"
        assert caught.value.position.offset == 8 + len(main[0])
        assert ledger.tip == (1, block_hash(main[0][:80]))
        ledger.close()


def flips(everything: bool) -> list[list[int]]:
    """For each record the positions, within it, of the bytes to flip."""
    rng = random.Random(255)
    chosen = []
    for number, item in enumerate(RECORDS):
        size = item.end - item.offset
        if everything or number in (0, 169):  # height 170 has the first payment
            chosen.append(list(range(size)))
        else:
            chosen.append(sorted({rng.randrange(8), rng.randrange(8, 88), rng.randrange(88, size)}))
    return chosen


def refuse_all(ledger: KernelLedger, file: Path, chosen: list[list[int]]) -> None:
    """Each record with one byte flipped is refused with a rule, and the true one is then taken."""
    for number, positions in enumerate(chosen):
        item = RECORDS[number]
        following = raw(number + 1) if number + 1 < len(RECORDS) else b""
        before = ledger.tip
        for position in positions:
            changed = bytearray(raw(number))
            changed[position] ^= 1 << position % 8
            file.write_bytes(bytes(changed) + following)
            with pytest.raises(ImportFailure) as caught:
                import_files(ledger, BITCOIN, [file])
            assert caught.value.rule, (number, position)
            assert caught.value.position.offset == 0, (number, position)
            assert ledger.tip == before
        ledger.accept_blocks([item.block])
        assert ledger.tip == (number + 1, NAMES[number])


def test_a_flipped_byte_is_refused(ledger: KernelLedger, file: Path) -> None:
    refuse_all(ledger, file, flips(everything=False))
    assert display_hash(ledger.tip[1]) == TIP


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_any_flipped_byte_is_refused(ledger: KernelLedger, file: Path) -> None:
    refuse_all(ledger, file, flips(everything=True))
    assert display_hash(ledger.tip[1]) == TIP


KILLED = """
import sys
from pathlib import Path
from obscura.ledgers.importer import import_files
from obscura.ledgers.kernel.ledger import KernelLedger
from obscura.ledgers.kernel.networks import BITCOIN

def say(progress):
    sys.stdout.write(f"{progress.accepted}\\n")
    sys.stdout.flush()
    if progress.accepted >= int(sys.argv[3]):
        sys.stdin.read()

ledger = KernelLedger(BITCOIN, Path(sys.argv[1]), checkpoint_blocks=int(sys.argv[4]))
ledger.restore()
import_files(ledger, BITCOIN, [Path(sys.argv[2])], progress=say, batch_blocks=10)
"""


@pytest.mark.parametrize("checkpoint", [1000, 37])
@pytest.mark.parametrize("after", [10, 140, 255])
def test_killed(tmp_path: Path, after: int, checkpoint: int) -> None:
    datadir = tmp_path / "node"
    command = [sys.executable, "-c", KILLED, str(datadir), str(DATA), str(after), str(checkpoint)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = 0
        while told < after:
            told = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    ledger = opened(datadir)
    assert ledger.tip == (told, NAMES[told - 1])
    assert ledger.read_blocks(NAMES[:told]) == tuple(item.block for item in RECORDS[:told])
    report = import_files(ledger, BITCOIN, [DATA])
    assert (report.accepted, report.skipped) == (255 - told, told)
    assert display_hash(ledger.tip[1]) == TIP
    ledger.close()
