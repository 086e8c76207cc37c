"""Building regtest blocks: the parts that the kernel's own verdict (test_kernel_ledger) does not show one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from obscura.ledgers.blockfile import BlockFile
from obscura.ledgers.kernel.build import merkle_root, push_height, subsidy
from obscura.ledgers.kernel.header import block_hash
from obscura.ledgers.kernel.networks import BITCOIN

DATA = Path(__file__).parents[2] / "data" / "bitcoin_mainnet_1_255.dat"


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
