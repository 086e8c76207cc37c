"""Bytes are named as a header or block, with the work that they prove, or refused as InvalidHeader or InvalidBlock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import rig
from obscura.base.errors import Violation
from obscura.chain import HEADER_BYTES, BlockVerdict, HeaderInfo, InvalidBlock, InvalidHeader
from obscura.ledgers.kernel.header import block_hash, decode_target, identify_block, identify_header
from obscura.ledgers.kernel.networks import NETWORKS
from obscura.ledgers.memory import MemoryLedger

MAX_LEN = 512
REACHES = (
    "ledgers.kernel.header._target_and_work",
    "ledgers.kernel.header.decode_target",
    "ledgers.kernel.header.identify_block",
    "ledgers.kernel.header.identify_header",
    "ledgers.memory.MemoryLedger._accept",
    "ledgers.memory.MemoryLedger._hold",
    "ledgers.memory.MemoryLedger.accept_headers",
    "ledgers.memory.MemoryLedger.identify_block",
    "ledgers.memory._identify",
)
LIMITS = tuple(network.pow_limit for network in NETWORKS.values())
EASIEST = (1 << 256) - 1
"""A limit that every hash meets, where the fuzzer may get behind the check of the work."""


def run(data: bytes) -> None:
    """The first byte chooses the network and whether the bytes are a header or a block."""
    if not data:
        return
    raw = data[1:]
    limit = (*LIMITS, EASIEST)[data[0] % 5]
    as_block = data[0] & 0x80
    try:
        info = identify_block(raw, limit) if as_block else identify_header(raw, limit)
    except InvalidHeader as fault:
        assert fault.rule in ("header-size", "bad-target", "high-hash")
        assert as_block or (fault.rule == "header-size") == (len(raw) != HEADER_BYTES)
    except InvalidBlock as fault:
        assert as_block
        assert fault.rule == "block-too-short"
        assert len(raw) <= HEADER_BYTES
    else:
        judge(raw[:HEADER_BYTES], info, limit)
    memory(raw)


def judge(header: bytes, info: HeaderInfo, limit: int) -> None:
    """A named header proves what it claims."""
    bits = int.from_bytes(header[72:76], "little")
    target = naive_target(bits)
    assert 0 < target <= limit
    assert decode_target(bits, limit) == target
    name = hashlib.sha256(hashlib.sha256(header).digest()).digest()
    assert info.hash == name == block_hash(header)
    assert int.from_bytes(name, "little") <= target
    assert info.work == (1 << 256) // (target + 1) >= 1
    assert info.previous == header[4:36]
    assert info.time == int.from_bytes(header[68:72], "little")


def naive_target(bits: int) -> int:
    """The compact form read as the text says: a sign, 23 bits of mantissa, an exponent to the base 256."""
    exponent, sign, mantissa = bits >> 24, bits & 0x0080_0000, bits & 0x007F_FFFF
    value = mantissa * 256 ** (exponent - 3) if exponent >= 3 else mantissa // 256 ** (3 - exponent)
    return -value if sign else value


def memory(raw: bytes) -> None:
    """The chain in memory: the same bytes through every verb."""
    ledger = MemoryLedger(target=1 << 256) if len(raw) % 2 else MemoryLedger()
    before = ledger.tip
    for identify in (ledger.identify_header, ledger.identify_block):
        try:
            identify(raw)
        except Violation as fault:
            assert isinstance(fault, InvalidHeader | InvalidBlock)
    child = raw[:4] + before + raw[36:]
    report = ledger.accept_headers([raw, child])
    assert 0 <= report.accepted <= 2
    assert bool(report.rule) == (report.accepted < 2)
    blocks = [raw, child, linked(child, before), child]
    done = ledger.accept_blocks(blocks)
    assert len(done.outcomes) == len(blocks)
    for block, outcome in zip(blocks, done.outcomes, strict=True):
        if outcome.verdict is BlockVerdict.ACCEPTED:
            assert ledger.read_blocks([outcome.hash]) == (block,)
        assert (outcome.verdict in (BlockVerdict.ACCEPTED, BlockVerdict.DUPLICATE)) == (not outcome.rule)
    assert done.tip == ledger.tip


def linked(block: bytes, previous: bytes) -> bytes:
    """A block that commits to its own body, on ``previous``."""
    body = block[HEADER_BYTES:]
    commitment = hashlib.sha256(hashlib.sha256(body).digest()).digest()
    return b"\1\0\0\0" + previous + commitment + block[68:HEADER_BYTES].ljust(12, b"\xff") + body


def seeds() -> Iterator[bytes]:
    """Real headers of every network, alone and with a body, and headers of the chain in memory."""
    for number, network in enumerate(NETWORKS.values()):
        yield bytes([number]) + network.genesis
        yield bytes([0x80 + (number - 0x80) % 5]) + network.genesis + b"\1"
    for bits in (0x01FEDCBA, 0x04923456, 0x207FFFFF, 0xFF123456, 0x01123456, 0x1D00FFFF, 0x22000001, 0x02008000):
        header = NETWORKS["regtest"].genesis[:72] + bits.to_bytes(4, "little") + bytes(4)
        yield b"\4" + header
        yield bytes([0x80 + (4 - 0x80) % 5]) + header + b"x"
    yield b"\0" + MemoryLedger().genesis + b"body"
    main = (rig.ROOT / "tests/data/bitcoin_mainnet_1_255.dat").read_bytes()
    yield b"\0" + main[8:88]
    yield b"\x80" + main[8:300]
