"""Whatever its files hold, a block store opens or raises StoreError, serves only whole blocks, and loses none."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from choices import Choices

import rig
from obscura.base.errors import StoreError
from obscura.base.names import BlockHash
from obscura.chain import HEADER_BYTES
from obscura.ledgers.kernel.blockstore import BlockStore
from obscura.ledgers.kernel.header import block_hash
from obscura.ledgers.kernel.records import HEADS_BYTES, MARKER_BYTES, RECORD_BYTES, Kind, pack_heads, pack_record_head

MAX_LEN = 1_024
REACHES = (
    "ledgers.kernel.blockstore.BlockStore._check_head",
    "ledgers.kernel.blockstore.BlockStore._create",
    "ledgers.kernel.blockstore.BlockStore._load_segment",
    "ledgers.kernel.blockstore.BlockStore._lose",
    "ledgers.kernel.blockstore.BlockStore._skip_headless",
    "ledgers.kernel.blockstore.BlockStore.append",
    "ledgers.kernel.blockstore.BlockStore.checkpoint",
    "ledgers.kernel.blockstore.BlockStore.headers",
    "ledgers.kernel.blockstore.BlockStore.refuse",
    "ledgers.kernel.cleanmark.read_mark",
    "ledgers.kernel.cleanmark.write_mark",
    "ledgers.kernel.records.parse_heads",
    "ledgers.kernel.records.parse_record_head",
    "ledgers.kernel.records.payload_is_whole",
    "ledgers.kernel.segment._next_record",
    "ledgers.kernel.segment.scan",
)
CHAIN = BlockHash(b"\x01" * 32)
SEGMENT_BYTES = 1_000
MARKER = b"\xa5marker\x5a"
# None is all zeros: a stretch of another block that is zeroed must not become the header of one that is known.
BLOCKS = [bytes([number + 1]) * (HEADER_BYTES + 1 + 37 * number % 300) for number in range(12)]
NAMES = [block_hash(block[:HEADER_BYTES]) for block in BLOCKS]
KNOWN = dict(zip(NAMES, BLOCKS, strict=True))


def run(data: bytes) -> None:
    """The first byte chooses between damage to a good store and a file of the fuzzer's own."""
    choices = Choices(data)
    with rig.scratch() as folder:
        if choices.below(2):
            own_file(folder, choices)
        else:
            damaged(folder, choices)


def damaged(folder: Path, choices: Choices) -> None:
    """A store that was written by itself, then damaged as the fuzzer says."""
    store = BlockStore(folder, CHAIN, segment_bytes=SEGMENT_BYTES)
    refused = set()
    for _ in range(1 + choices.below(4)):
        first = choices.below(len(BLOCKS))
        batch = range(first, min(len(BLOCKS), first + 1 + choices.below(4)))
        store.append([(NAMES[at], BLOCKS[at]) for at in batch])
        if choices.below(4) == 1:
            name = choices.pick(NAMES)
            store.refuse([(name, "bad-rule")])
            refused.add(name)
        if choices.below(3) == 1:
            store.checkpoint()
    before = store.names()
    assert not refused & set(before)
    for name, block in zip(before, store.read(before), strict=True):
        assert block == KNOWN[name]
    paths = sorted(folder.glob("blk*.obs"))
    touched: dict[Path, int] = {}
    appended = False
    while choices.more:
        what = choices.below(6)
        path = choices.pick([*paths, folder / "clean"])
        if not path.exists():
            continue
        content = bytearray(path.read_bytes())
        at = choices.below(max(1, len(content)))
        match what:
            case 0 | 1 if content:
                content[at] ^= 1 + choices.below(255)
            case 2:
                del content[at:]
            case 3:
                content[at:at] = choices.piece()
            case 4:
                at = len(content)
                content += choices.piece()
                appended = True
            case _ if content:
                end = at + choices.byte()
                content[at:end] = bytes(len(content[at:end]))
        path.write_bytes(content)
        touched[path] = min(at, touched.get(path, at))
    whole_before_damage = whole_records(touched, paths)
    again = open_store(folder)
    if again is None:
        return
    found = judge(again, foreign=appended or bool(touched))
    lost = {name for name in whole_before_damage if name not in found and again.refused(name) is None}
    assert not lost, "a whole record before the damage is never lost"
    carry_on(folder, again)


def whole_records(touched: dict[Path, int], paths: list[Path]) -> set[BlockHash]:
    """Blocks whose record, and whose file's head, end before the first damage to their file. Where a file's mark of
    refusal stood in a damaged one the block may be back, so refused blocks are left out by the caller."""
    names: set[BlockHash] = set()
    for path in paths:
        limit = touched.get(path, 1 << 60)
        content = path.read_bytes() if path.exists() else b""
        marker = content[16 : 16 + MARKER_BYTES]
        for name, block in KNOWN.items():
            record = pack_record_head(marker, Kind.BLOCK, block) + block
            at = content.find(record)
            if at >= HEADS_BYTES and at + len(record) <= limit and limit >= HEADS_BYTES:
                names.add(name)
    return names


def own_file(folder: Path, choices: Choices) -> None:
    """Segments and a clean mark of the fuzzer's making, with right checksums where it asks for them."""
    for number in range(1 + choices.below(2)):
        content = pack_heads(MARKER, CHAIN) if choices.below(8) else choices.take(HEADS_BYTES)
        for _ in range(choices.below(8)):
            match choices.below(6):
                case 0:
                    content += choices.piece()
                case 1:
                    content += MARKER + choices.take(RECORD_BYTES - MARKER_BYTES)
                case 2:
                    payload = choices.piece()
                    content += pack_record_head(MARKER, Kind(1 + choices.below(2)), payload) + payload
                case 3:
                    block = choices.pick(BLOCKS)
                    content += pack_record_head(MARKER, Kind.BLOCK, block) + block
                case 4:
                    content += pack_record_head(MARKER, Kind.REFUSED, choices.pick(NAMES) + choices.piece())
                case _:
                    # A whole head whose payload is another one.
                    block = choices.pick(BLOCKS)
                    content += pack_record_head(MARKER, Kind.BLOCK, block) + choices.piece()
        (folder / f"blk{number:05}.obs").write_bytes(content)
    match choices.below(4):
        case 1:
            body = choices.rest()
            (folder / "clean").write_bytes(b"%08x\n%s\n" % (zlib.crc32(body), body))
        case 2:
            (folder / "clean").write_bytes(choices.rest())
        case 3:
            span = [choices.below(1_000), choices.below(1_000)]
            body = json.dumps(
                {"format": 1, "segments": [[0, MARKER.hex(), choices.below(2_000), [span]]]}, separators=(",", ":")
            ).encode()
            (folder / "clean").write_bytes(b"%08x\n%s\n" % (zlib.crc32(body), body))
    store = open_store(folder)
    if store is not None:
        judge(store, foreign=True)
        carry_on(folder, store)


def open_store(folder: Path) -> BlockStore | None:
    """The store, unless it refuses the files in the way that an operator is told of."""
    try:
        return BlockStore(folder, CHAIN, segment_bytes=SEGMENT_BYTES)
    except StoreError as error:
        assert str(error)
        return None


def judge(store: BlockStore, *, foreign: bool) -> set[BlockHash]:
    """All that a store serves is whole, and named right."""
    names = store.names()
    headers = list(store.headers(names))
    blocks = store.read(names)
    for name, header, block in zip(names, headers, blocks, strict=True):
        if block is not None:
            assert block_hash(block[:HEADER_BYTES]) == name, "a block is served under its own name"
            assert header == block[:HEADER_BYTES]
            assert foreign or KNOWN[name] == block
    store.take_warnings()
    # What could not be read is forgotten, so that it may be appended anew.
    left = store.names()
    assert set(left) == {name for name, block in zip(names, blocks, strict=True) if block is not None}
    assert len(store) == len(left)
    return set(left)


def carry_on(folder: Path, store: BlockStore) -> None:
    """A store that opened takes blocks, and a later run finds them, with and without a checkpoint."""
    wanted = [(name, block) for name, block in KNOWN.items() if store.refused(name) is None]
    store.append(wanted)
    names = [name for name, _ in wanted]
    served = dict(zip(names, store.read(names), strict=True))
    assert None not in served.values(), "what was appended is served"
    later = BlockStore(folder, CHAIN, segment_bytes=SEGMENT_BYTES)
    assert dict(zip(names, later.read(names), strict=True)) == served, "and found again"
    # Below a clean mark payloads are verified only when they are read: then both know the same.
    assert judge(later, foreign=True) == set(store.names())
    later.checkpoint()
    last = BlockStore(folder, CHAIN, segment_bytes=SEGMENT_BYTES)
    assert last.names() == later.names()
    assert dict(zip(names, last.read(names), strict=True)) == served


def seeds() -> Iterator[bytes]:
    """A store damaged in each way, and files of each form."""
    build = bytes([3, 0, 3, 0, 0, 4, 3, 1, 2, 1, 8, 3, 0, 1, 2, 1, 0, 0])
    for what in range(6):
        for path in range(3):
            yield b"\0" + build + bytes([what, path, 0, 200, 5]) + b"\1\1\1\1\1"
            yield b"\0" + build + bytes([what, path, 0, 10, 5]) + b"\1\1\1\1\1"
            yield b"\0" + build + bytes([what, path, 1, 80, 5]) + b"\1\1\1\1\1"
    for what in range(6):
        yield bytes([1, 0, 1, 4, 3, 1, what, 40]) + bytes(40) + bytes([3, 2, 3, 4])
        yield bytes([1, 1, 1, 2, 3, 1, what, 3, 1, 2, 3, 1, 1, 3, 5, 3, 0, 10, 0, 10, 2, 0])
    yield bytes([1, 0, 0]) + bytes(64)
    yield bytes([1, 0, 1, 1, 3, 1, 1]) + b'{"format":1,"segments":[[0,"00",5,[[1,1]]]]}'
    yield bytes([1, 0, 1, 1, 3, 1, 1]) + b'{"format":1,"segments":[[0,"' + MARKER.hex().encode() + b'","x",[]]]}'
    yield bytes([1, 0, 1, 1, 3, 1, 1]) + b"[" * 900
    span = b'{"format":1,"segments":[[0,"' + MARKER.hex().encode() + b'",200,[[128,128]]]]}'
    yield bytes([1, 0, 1, 1, 3, 1, 1]) + span
    yield bytes([1, 0, 1, 1, 3, 1, 2]) + b"nothing\n"
