"""Whatever a block file holds, its blocks are read up to the first odd byte, then there is an error at that byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from choices import Choices

import rig
from obscura.chain import BlockVerdict
from obscura.ledgers.blockfile import MIN_BLOCK_BYTES, BlockFile, BlockFileError
from obscura.ledgers.importer import ImportFailure, import_files
from obscura.ledgers.kernel.networks import REGTEST
from obscura.ledgers.memory import MemoryLedger, mine

MAX_LEN = 2_048
REACHES = (
    "ledgers.blockfile.BlockFile._check_padding",
    "ledgers.blockfile.BlockFile._plain",
    "ledgers.blockfile.BlockFile._record",
    "ledgers.blockfile.BlockFile.block_at",
    "ledgers.blockfile._read_key",
    "ledgers.importer._Run._submit",
    "ledgers.importer._Run.flush",
    "ledgers.importer._Run.report",
    "ledgers.importer.import_files",
    "ledgers.memory.MemoryLedger._accept",
)


def _chain() -> list[bytes]:
    ledger = MemoryLedger()
    blocks: list[bytes] = []
    for number in range(6):
        previous = ledger.identify_block(blocks[-1]).hash if blocks else ledger.tip
        blocks.append(mine(previous, bytes([number]) * (10 + number), 1_700_000_100 + number))
    blocks.append(mine(ledger.tip, b"INVALID", 1_700_000_100))
    blocks.append(mine(ledger.identify_block(blocks[6]).hash, b"on the invalid one", 1_700_000_200))
    return blocks


BLOCKS = _chain()
RAW, RECORD, BLOCK, ZEROS = range(4)


def run(data: bytes) -> None:
    """The first byte chooses the key; then stretches of the file."""
    choices = Choices(data)
    keyed = choices.below(4)
    key = (b"", bytes(8), b"", b"")[keyed] if keyed < 2 else choices.take(8 if keyed == 2 else choices.below(12))
    content = b""
    whole: list[bytes] | None = []
    while choices.more:
        match choices.below(4):
            case x if x == RAW:
                content += choices.piece()
                whole = None
            case x if x == RECORD:
                block = choices.piece()
                content += REGTEST.magic + len(block).to_bytes(4, "little") + block
                if whole is not None and len(block) >= MIN_BLOCK_BYTES:
                    whole.append(block)
                else:
                    whole = None
            case x if x == BLOCK:
                block = choices.pick(BLOCKS)
                content += REGTEST.magic + len(block).to_bytes(4, "little") + block
                if whole is not None:
                    whole.append(block)
            case _:
                content += bytes(choices.byte())
                whole = None
    with rig.scratch() as folder:
        path = folder / "blk00000.dat"
        if len(key) == 8:
            content = bytes(one ^ key[at % 8] for at, one in enumerate(content))
        path.write_bytes(content)
        if keyed:
            path.with_name("xor.dat").write_bytes(key)
        read(path, len(content), key if keyed else None, whole)


def read(path: Path, size: int, key: bytes | None, whole: list[bytes] | None) -> None:
    """Read the file as an operator's import does."""
    found: list[bytes] = []
    end = 0
    try:
        file = BlockFile(path, REGTEST.magic)
        for record in file.blocks():
            assert record.offset == end, "there is no gap"
            assert file.block_at(record.offset) == record.block
            end = record.end
            found.append(record.block)
    except BlockFileError as error:
        assert error.rule in ("file-magic", "file-length", "file-truncated", "file-key")
        assert end <= error.offset <= size
        assert (error.rule == "file-key") == (key is not None and len(key) != 8)
    else:
        assert whole is None or found == whole, "every record is found"
    assert end <= size
    ledger = MemoryLedger()
    expected = MemoryLedger()
    try:
        report = import_files(ledger, REGTEST, [path], batch_blocks=2)
    except ImportFailure as failure:
        assert 0 <= failure.position.offset <= size
        assert failure.report.accepted <= len(found)
        if failure.block_hash is None:
            assert failure.position.offset >= end, "the file is named where it is odd"
        return
    assert report.accepted + report.skipped + report.orphans == len(found), "each block is accounted for"
    # No block of the file was bad, so handing them in until nothing changes gives the same chain.
    while any(one.verdict is BlockVerdict.ACCEPTED for one in expected.accept_blocks(found).outcomes):
        pass
    assert ledger.tip == expected.tip


def seeds() -> Iterator[bytes]:
    """Good files in and out of order, with a key, with padding, cut off; invalid blocks; real mainnet records."""
    good = b"".join(bytes([BLOCK, number]) for number in range(6))
    yield b"\0" + good
    yield b"\0" + bytes([BLOCK, 3, BLOCK, 1, BLOCK, 0, BLOCK, 2, BLOCK, 0])
    yield b"\1" + good + bytes([ZEROS, 200])
    yield b"\2" + bytes(range(1, 9)) + good
    yield b"\2" + bytes(range(1, 9)) + good + bytes([ZEROS, 9])
    yield b"\3\x05" + bytes(5) + good
    yield b"\0" + good + bytes([ZEROS, 20]) + bytes([RAW]) + rig.pack(b"x")
    yield b"\0" + good + bytes([RAW]) + rig.pack(REGTEST.magic + bytes(2))
    yield b"\0" + good + bytes([RAW]) + rig.pack(REGTEST.magic + b"\xff\xff\xff\x7f")
    yield b"\0" + good + bytes([RAW]) + rig.pack(REGTEST.magic + (200).to_bytes(4, "little") + bytes(100))
    yield b"\0" + bytes([BLOCK, 6, BLOCK, 7, BLOCK, 0])
    yield b"\0" + bytes([RECORD]) + rig.pack(bytes(100))
