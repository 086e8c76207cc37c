"""The demo signer: what it signs is valid, relayed, and the seed's."""

from __future__ import annotations

import pytest

from obscura.chain import Candidate, OutPoint, TxVerdict
from obscura.demo.ripemd160 import ripemd160
from obscura.demo.signer import DemoCoin, DemoKey
from obscura.ledgers.kernel.admission import admit
from obscura.ledgers.kernel.coin import Coin
from obscura.ledgers.kernel.transaction import parse_transaction


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        # From the authors' page; the last two cross the padding's edges.
        (b"", "9c1185a5c5e9fc54612808977ee8f548b2258d31"),
        (b"abc", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"),
        (b"message digest", "5d0689ef49d2fae572b881b123a85ffa21595f36"),
        (b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "12a053384a9c0c88e405a06c27dcf49ada62eb2b"),
        (b"1234567890" * 8, "9b752e45573d4b39f4dbd3323cab82bf63326bfb"),
        (b"a" * 1_000_000, "52783243c1697bdbe16d37f97f68f08325dc1528"),
    ],
)
def test_ripemd160(data: bytes, digest: str) -> None:
    assert ripemd160(data).hex() == digest


class View:
    height = 200

    def __init__(self, coins: dict[OutPoint, Coin]) -> None:
        self._coins = coins

    def coin(self, outpoint: OutPoint) -> Coin | None:
        return self._coins.get(outpoint)

    def median_time(self, height: int) -> int:
        return 1_600_000_000 + height


def test_payments_are_admitted() -> None:
    key = DemoKey("some text")
    coins = [DemoCoin(bytes([number]) * 32, number, 50_000) for number in range(3)]
    view = View({OutPoint(coin.point): Coin(50, coinbase=False, amount=50_000, script=key.script) for coin in coins})
    for count in (1, 2, 3):
        payment = key.pay(coins[:count], [(20_000, DemoKey("another").script), (10_000, key.script)])
        parsed = parse_transaction(payment.data)
        assert parsed.txid == payment.txid
        assert [coin.point for coin in payment.coins()] == [payment.txid + bytes([at, 0, 0, 0]) for at in range(2)]
        for _ in range(20):
            # Each signature is drawn anew, and half of them have the higher of both forms before they are turned.
            data = key.pay(coins[:count], payment.outputs).data
            outcome = admit(Candidate(data, parse_transaction(data).info(), fee_floor=100), view)
            assert (outcome.verdict, outcome.fee) == (TxVerdict.ADMITTED, 50_000 * count - 30_000)


def test_a_key_is_its_seed_s() -> None:
    assert DemoKey("a").script == DemoKey("a").script != DemoKey("b").script
    assert len(DemoKey("").script) == 22
    coin = DemoCoin(bytes(32), 0, 5_000)
    view = View({OutPoint(coin.point): Coin(50, coinbase=False, amount=5_000, script=DemoKey("a").script)})
    data = DemoKey("b").pay([coin], [(4_000, DemoKey("b").script)]).data
    outcome = admit(Candidate(data, parse_transaction(data).info()), view)
    assert outcome.rule == "mandatory-script-verify-flag-failed"
