"""Reading block files: every way in which one can be wrong is named with its byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.names import display_hash
from obscura.ledgers.blockfile import MAX_BLOCK_BYTES, BlockFile, BlockFileError
from obscura.ledgers.kernel.header import block_hash
from obscura.ledgers.kernel.networks import BITCOIN, REGTEST

DATA = Path(__file__).parents[2] / "data" / "bitcoin_mainnet_1_255.dat"
MAGIC = BITCOIN.magic
BLOCKS = [bytes([number]) * (81 + number) for number in range(5)]


def record(block: bytes, magic: bytes = MAGIC) -> bytes:
    return magic + len(block).to_bytes(4, "little") + block


def masked(data: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[at % 8] for at, byte in enumerate(data))


def read(path: Path) -> tuple[list[bytes], BlockFileError | None]:
    """The blocks before a fault, and the fault."""
    found: list[bytes] = []
    try:
        for item in BlockFile(path, MAGIC).blocks():
            found.append(item.block)
    except BlockFileError as error:
        return found, error
    return found, None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "blk00000.dat"


WHOLE = b"".join(record(block) for block in BLOCKS)


def test_the_real_file() -> None:
    items = list(BlockFile(DATA, MAGIC).blocks())
    assert len(items) == 255
    assert items[0].offset == 0
    assert items[-1].end == DATA.stat().st_size
    tip = display_hash(block_hash(items[-1].block[:80]))
    assert tip == "00000000d0a75c861fabf9ff7b92022f60e4afeed9331fe5aa073d8e4706fe3c"


@pytest.mark.parametrize("padding", [0, 1, 7, 8, 9, 3_000_000])
@pytest.mark.parametrize("key", [None, bytes(8), bytes(range(1, 9))])
def test_padding_and_key(path: Path, padding: int, key: bytes | None) -> None:
    # Reserved space was never written: it is zero on disk with a key as well.
    path.write_bytes((WHOLE if key is None else masked(WHOLE, key)) + bytes(padding))
    if key is not None:
        path.with_name("xor.dat").write_bytes(key)
    assert read(path) == (BLOCKS, None)
    file = BlockFile(path, MAGIC)
    assert [file.block_at(item.offset) for item in file.blocks()] == BLOCKS


def test_an_empty_file(path: Path) -> None:
    path.write_bytes(b"")
    assert read(path) == ([], None)


@pytest.mark.parametrize("keyed", [False, True])
def test_cut_at_every_byte(path: Path, keyed: bool) -> None:
    key = b"\x91\x02\x93\x04\x95\x06\x97\x08" if keyed else bytes(8)
    path.with_name("xor.dat").write_bytes(key)
    data = masked(WHOLE, key)
    edges = [0]
    for block in BLOCKS:
        edges.append(edges[-1] + 8 + len(block))
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        found, error = read(path)
        whole = sum(edge <= cut for edge in edges) - 1
        assert found == BLOCKS[:whole]
        if cut == edges[whole]:
            assert error is None
        else:
            assert error is not None
            assert (error.rule, error.offset) == ("file-truncated", edges[whole])


@pytest.mark.parametrize(
    ("oddity", "rule"),
    [
        (record(BLOCKS[0], REGTEST.magic), "file-magic"),
        (b"\xf9\xbe\xb4\xd8" + bytes(200), "file-magic"),
        (b"x", "file-magic"),
        (MAGIC + (80).to_bytes(4, "little") + bytes(80), "file-length"),
        (MAGIC + (MAX_BLOCK_BYTES + 1).to_bytes(4, "little") + bytes(200), "file-length"),
        (MAGIC + b"\xff\xff\xff\xff", "file-length"),
        (MAGIC + (200).to_bytes(4, "little") + bytes(199), "file-truncated"),
        (MAGIC[:2], "file-truncated"),
        (MAGIC + b"\x01", "file-truncated"),
    ],
)
def test_oddities_are_named(path: Path, oddity: bytes, rule: str) -> None:
    path.write_bytes(WHOLE + oddity)
    found, error = read(path)
    assert found == BLOCKS
    assert error is not None
    assert (error.path, error.offset, error.rule) == (path, len(WHOLE), rule)
    assert str(path) in str(error)
    assert str(len(WHOLE)) in str(error)


def test_bytes_after_the_padding(path: Path) -> None:
    path.write_bytes(WHOLE + bytes(2_000_000) + b"!" + bytes(100))
    found, error = read(path)
    assert found == BLOCKS
    assert error is not None
    assert (error.rule, error.offset) == ("file-magic", len(WHOLE) + 2_000_000)


def test_a_bad_key_file(path: Path) -> None:
    path.write_bytes(WHOLE)
    path.with_name("xor.dat").write_bytes(b"1234567")
    with pytest.raises(BlockFileError, match="file-key"):
        BlockFile(path, MAGIC)


def test_a_file_that_is_not_there(path: Path) -> None:
    with pytest.raises(BlockFileError, match="file-unreadable"):
        BlockFile(path, MAGIC)
    path.write_bytes(WHOLE)
    file = BlockFile(path, MAGIC)
    path.unlink()
    with pytest.raises(BlockFileError, match="file-unreadable"):
        list(file.blocks())
    with pytest.raises(BlockFileError, match="file-unreadable"):
        file.block_at(0)


def test_a_record_that_is_gone(path: Path) -> None:
    path.write_bytes(WHOLE)
    file = BlockFile(path, MAGIC)
    path.write_bytes(bytes(len(WHOLE)))
    with pytest.raises(BlockFileError, match="file-truncated"):
        file.block_at(0)


@given(blocks=st.lists(st.binary(min_size=81, max_size=300), max_size=6), key=st.binary(min_size=8, max_size=8))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, blocks: list[bytes], key: bytes) -> None:
    path = tmp_path_factory.mktemp("files") / "blk00000.dat"
    path.write_bytes(masked(b"".join(record(block) for block in blocks), key))
    path.with_name("xor.dat").write_bytes(key)
    assert read(path) == (blocks, None)
