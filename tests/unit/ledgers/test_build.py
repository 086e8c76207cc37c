"""Building regtest blocks: the parts that the kernel's own verdict (test_kernel_ledger) does not show one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from obscura.base.errors import Malformed
from obscura.ledgers.blockfile import BlockFile
from obscura.ledgers.kernel.build import merkle_root, push_height, strip_witness, subsidy
from obscura.ledgers.kernel.header import block_hash
from obscura.ledgers.kernel.networks import BITCOIN

DATA = Path(__file__).parents[2] / "data" / "bitcoin_mainnet_1_255.dat"

# The example of BIP143, "Native P2WPKH", signed: a transaction with two inputs, the second with a witness.
SIGNED = bytes.fromhex(
    "01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f00000000494830450221008b9d1dc26ba6a9cb"
    "62127b02742fa9d754cd3bebf337f7a55d114c8e5cdd30be022040529b194ba3f9281a99f2b1c0a19c0489bc22ede944ccf4ecbab4cc618ef3ed"
    "01eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9"
    "148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac00"
    "0247304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c4518331561406f90300e8f3358f5"
    "1928d43c212a8caed02de67eebee0121025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee635711000000"
)


def test_the_txid_leaves_the_witness_out() -> None:
    txid = "e8151a2af31c368a35053ddd4bdb285a8595c769a3ad83e0fa02314a602d4609"  # as the kernel has it
    assert block_hash(strip_witness(SIGNED))[::-1].hex() == txid
    stripped = strip_witness(SIGNED)
    assert strip_witness(stripped) == stripped


@pytest.mark.parametrize("cut", [6, 50, 200, len(SIGNED) - 1])
def test_half_a_transaction_is_none(cut: int) -> None:
    with pytest.raises(Malformed):
        strip_witness(SIGNED[:cut])
    with pytest.raises(Malformed):
        strip_witness(SIGNED + b"\0")


def test_the_merkle_root_of_a_real_block() -> None:
    # Height 170 of Bitcoin: two transactions, the second of them the first payment.
    block = list(BlockFile(DATA, BITCOIN.magic).blocks())[169].block
    coinbase, payment = block[81 : 81 + 134], block[81 + 134 :]
    assert merkle_root([block_hash(coinbase), block_hash(payment)]) == block[36:68]
    assert merkle_root([block_hash(coinbase)]) == block_hash(coinbase)


def test_an_odd_id_is_paired_with_itself() -> None:
    ids = [bytes([number]) * 32 for number in range(3)]
    assert merkle_root(ids) == merkle_root([*ids, ids[2]])


@pytest.mark.parametrize(
    ("height", "script"),
    [
        (0, "00"),
        (1, "51"),
        (16, "60"),
        (17, "0111"),
        (127, "017f"),
        (128, "028000"),
        (255, "02ff00"),
        (32768, "03008000"),
    ],
)
def test_heights_are_pushed_as_bip34_wants(height: int, script: str) -> None:
    assert push_height(height).hex() == script


def test_the_subsidy_halves() -> None:
    assert [subsidy(height) for height in (1, 149, 150, 300)] == [5_000_000_000] * 2 + [2_500_000_000, 1_250_000_000]
    assert subsidy(150 * 64) == 0
