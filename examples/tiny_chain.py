"""A chain of one's own: a guest book whose blocks hold a text each; the longest chain wins. See docs/embed.md."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from obscura.base.names import NULL_HASH, BlockHash
from obscura.chain import HEADER_BYTES, BlockOutcome, BlockVerdict, ledger


def digest(data: bytes) -> BlockHash:
    return BlockHash(hashlib.sha256(data).digest())


def mine(previous: BlockHash, text: bytes, time: int, nonce: int = 0) -> bytes:
    header = previous + digest(text) + time.to_bytes(8, "little")  # and a nonce: 80 bytes, whose hash begins with 0
    while digest(header + nonce.to_bytes(8, "little"))[0] != 0:
        nonce += 1
    return header + nonce.to_bytes(8, "little") + text


class GuestBook:
    genesis = mine(NULL_HASH, b"", 1_700_000_000)
    privacy_bits = 0

    def __init__(self, path: Path) -> None:
        self.file = path.open("a+")
        self.tip = digest(self.genesis)
        self.blocks = {self.tip: (0, self.genesis)}  # hash: height and bytes; parents before children

    def identify_header(self, header: bytes) -> ledger.HeaderInfo:
        if len(header) != HEADER_BYTES or digest(header)[0] != 0:
            raise ledger.InvalidHeader("high-hash")
        return ledger.HeaderInfo(digest(header), BlockHash(header[:32]), 256, int.from_bytes(header[64:72], "little"))

    def identify_block(self, block: bytes) -> ledger.HeaderInfo:
        return self.identify_header(block[:HEADER_BYTES])

    def restore(self) -> ledger.Restored:
        self.file.seek(0)
        for line in self.file.read().split():
            self.judge(bytes.fromhex(line[: len(line) & ~1]))  # a line that a crash has torn is no block
        held = [ledger.RestoredHeader(block[:HEADER_BYTES], has_body=True) for _, block in self.blocks.values()]
        return ledger.Restored(iter(held[1:]), self.tip)

    def accept_headers(self, headers: Sequence[bytes]) -> ledger.HeaderReport:
        bad = [count for count, header in enumerate(headers) if digest(header)[0] != 0]
        return ledger.HeaderReport(bad[0], "high-hash") if bad else ledger.HeaderReport(len(headers))

    def accept_blocks(self, blocks: Sequence[bytes]) -> ledger.BlockReport:
        outcomes = tuple(self.judge(block) for block in blocks)
        lines = [b.hex() for b, o in zip(blocks, outcomes, strict=True) if o.verdict is BlockVerdict.ACCEPTED]
        self.file.writelines(f"\n{line}" for line in lines)
        self.file.flush()
        os.fsync(self.file.fileno())  # what is called accepted survives a crash
        return ledger.BlockReport(outcomes, self.tip)

    def judge(self, block: bytes) -> BlockOutcome:
        header, text = block[:HEADER_BYTES], block[HEADER_BYTES:]
        name, previous = digest(header), BlockHash(header[:32])
        for broken, verdict, rule in (
            (len(header) != HEADER_BYTES or name[0] != 0, BlockVerdict.INVALID, "high-hash"),
            (digest(text) != header[32:64], BlockVerdict.MUTATED, "text-mismatch"),
            (name in self.blocks, BlockVerdict.DUPLICATE, ""),
            (previous not in self.blocks, BlockVerdict.ORPHAN, "prev-blk-not-found"),
            (len(text) > 280, BlockVerdict.INVALID, "text-too-long"),
        ):
            if broken:
                return BlockOutcome(name, verdict, rule)
        self.blocks[name] = (self.blocks[previous][0] + 1, block)
        self.tip = max(self.tip, name, key=lambda block_hash: self.blocks[block_hash][0])  # the first wins ties
        return BlockOutcome(name, BlockVerdict.ACCEPTED)

    def read_blocks(self, hashes: Sequence[BlockHash], bytes_max: int | None = None) -> tuple[bytes | None, ...]:
        return ledger.up_to((self.blocks[name][1] if name in self.blocks else None for name in hashes), bytes_max)

    def close(self) -> None:
        self.file.close()
