"""Regtest chains for crash tests: the same at every run, as block files and as data directories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from obscura.base.names import BlockHash
from obscura.ledgers.kernel.build import build_block
from obscura.ledgers.kernel.header import block_hash
from obscura.ledgers.kernel.ledger import KernelLedger
from obscura.ledgers.kernel.networks import REGTEST
from obscura.ledgers.kernel.records import HEADS_BYTES, Kind, parse_heads
from obscura.ledgers.kernel.segment import scan

ROOT = block_hash(REGTEST.genesis)
ANYONE = b"\x51"
OTHERS = b"\x51\x51"
"""The script of a rival branch, so that its blocks differ."""
_BEGAN = 1_700_000_000


def row(count: int, *, on: Sequence[bytes] = (), script: bytes = ANYONE) -> list[bytes]:
    """``count`` good blocks on top of ``on``, which begins above genesis."""
    height = len(on)
    previous = name_of(on[-1]) if on else ROOT
    blocks: list[bytes] = []
    for at in range(height + 1, height + count + 1):
        blocks.append(build_block(previous, at, _BEGAN + at, script))
        previous = name_of(blocks[-1])
    return blocks


def name_of(block: bytes) -> BlockHash:
    """A block's hash."""
    return block_hash(block[:80])


def write_block_file(path: Path, blocks: Sequence[bytes]) -> Path:
    """A file as Bitcoin Core writes them."""
    path.write_bytes(b"".join(REGTEST.magic + len(block).to_bytes(4, "little") + block for block in blocks))
    return path


def make_datadir(path: Path, blocks: Sequence[bytes]) -> Path:
    """A data directory that holds ``blocks``, closed in order. It has no store, as after its loss."""
    ledger = KernelLedger(REGTEST, path)
    ledger.restore()
    for first in range(0, len(blocks), 500):
        ledger.accept_blocks(blocks[first : first + 500])
    ledger.close()
    return path


def stored(datadir: Path) -> list[BlockHash]:
    """The blocks whose records are whole on the disk, read past the product's index: what a node must not forget."""
    names: list[BlockHash] = []
    for path in sorted((datadir / "blocks").glob("blk*.obs")):
        with path.open("rb") as file:
            head = parse_heads(file.read(HEADS_BYTES))
            if head is not None:
                records = scan(file.fileno(), head.marker, 0, ())
                names += [block_hash(one.lead) for one in records.found if one.kind == Kind.BLOCK]
    return names
