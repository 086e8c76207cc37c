"""Naming Bitcoin headers: real ones, and what cannot be a target."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.names import display_hash
from obscura.chain import InvalidBlock, InvalidHeader
from obscura.ledgers.kernel.header import block_hash, decode_target, identify_block, identify_header
from obscura.ledgers.kernel.networks import BITCOIN, NETWORKS, REGTEST, network_named

WIDE = 1 << 256

# From Bitcoin Core src/test/arith_uint256_tests.cpp, "bignum_SetCompact", and the networks' own limits.
VECTORS = [
    (0x00000000, None),
    (0x00123456, None),
    (0x01003456, None),
    (0x02000056, None),
    (0x03000000, None),
    (0x04000000, None),
    (0x00923456, None),
    (0x01803456, None),
    (0x02800056, None),
    (0x03800000, None),
    (0x04800000, None),
    (0x01123456, 0x12),
    (0x01FEDCBA, None),  # negative
    (0x02123456, 0x1234),
    (0x03123456, 0x123456),
    (0x04123456, 0x12345600),
    (0x04923456, None),  # negative
    (0x05009234, 0x92340000),
    (0x20123456, 0x123456 << 232),
    (0xFF123456, None),  # overflow
    (0x1D00FFFF, 0xFFFF << 208),
    (0x207FFFFF, 0x7FFFFF << 232),
]


@pytest.mark.parametrize(("bits", "target"), VECTORS)
def test_compact_targets(bits: int, target: int | None) -> None:
    assert decode_target(bits, WIDE - 1) == target


def test_a_target_above_the_limit_is_none() -> None:
    assert decode_target(0x1D00FFFF, BITCOIN.pow_limit) == 0xFFFF << 208
    assert decode_target(0x1D01FFFF, BITCOIN.pow_limit) is None
    assert decode_target(0x207FFFFF, REGTEST.pow_limit) is not None
    assert decode_target(0x207FFFFF, BITCOIN.pow_limit) is None


@given(st.integers(0, (1 << 32) - 1))
def test_any_bits_give_a_target_or_none(bits: int) -> None:
    target = decode_target(bits, WIDE - 1)
    assert target is None or 0 < target < WIDE


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bitcoin", "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"),
        ("testnet4", "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"),
        ("signet", "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"),
        ("regtest", "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"),
    ],
)
def test_genesis(name: str, expected: str) -> None:
    network = network_named(name)
    info = identify_header(network.genesis, network.pow_limit)
    assert display_hash(info.hash) == expected
    assert info.previous == bytes(32)


def test_work_of_difficulty_one() -> None:
    # Bitcoin Core: GetBlockProof of the genesis block.
    assert identify_header(BITCOIN.genesis, BITCOIN.pow_limit).work == 0x100010001
    assert identify_header(REGTEST.genesis, REGTEST.pow_limit).work == 2
    assert identify_header(BITCOIN.genesis, BITCOIN.pow_limit).time == 1231006505


@pytest.mark.parametrize("position", range(80))
def test_any_changed_byte_of_a_real_header_is_refused(position: int) -> None:
    changed = bytearray(BITCOIN.genesis)
    changed[position] ^= 1
    with pytest.raises(InvalidHeader) as caught:
        identify_header(bytes(changed), BITCOIN.pow_limit)
    assert caught.value.rule in ("high-hash", "bad-target")


@pytest.mark.parametrize("length", [0, 1, 79, 81])
def test_size(length: int) -> None:
    with pytest.raises(InvalidHeader) as caught:
        identify_header(bytes(length), BITCOIN.pow_limit)
    assert caught.value.rule == "header-size"


@pytest.mark.parametrize("length", [0, 79, 80])
def test_a_bare_header_is_no_block(length: int) -> None:
    with pytest.raises(InvalidBlock) as caught:
        identify_block(BITCOIN.genesis[:length], BITCOIN.pow_limit)
    assert caught.value.rule == "block-too-short"
    assert identify_block(BITCOIN.genesis + b"\x01", BITCOIN.pow_limit).hash == block_hash(BITCOIN.genesis)


def test_network_tables_differ_where_they_must() -> None:
    assert len({network.magic for network in NETWORKS.values()}) == 4
    assert len({network.genesis for network in NETWORKS.values()}) == 4
    assert all(name == network.name for name, network in NETWORKS.items())


def test_an_unknown_network_is_refused_by_name() -> None:
    with pytest.raises(Exception, match=r"unknown network 'testnet'.*regtest"):
        network_named("testnet")
