"""The coin view: in step with the chain, whatever the chain, the disk or a kill does."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from block_bytes import FakeChain, coinbase, output, spend
from hypothesis import given, settings
from hypothesis import strategies as st

from obscura.base.errors import BugError, StoreError
from obscura.base.instant import WallTime
from obscura.base.limits import COIN_STEP_BLOCKS, COIN_STEP_BYTES
from obscura.base.names import BlockHash
from obscura.chain import Candidate, CoinReport, OutPoint, TransactionLedger, TxVerdict, relaying
from obscura.ledgers.blockfile import BlockFile
from obscura.ledgers.kernel import coins as module
from obscura.ledgers.kernel.admission import admit
from obscura.ledgers.kernel.chain_coins import ChainCoins
from obscura.ledgers.kernel.coins import NAME, CoinView, coins_in
from obscura.ledgers.kernel.ledger import KernelLedger
from obscura.ledgers.kernel.networks import BITCOIN, REGTEST, SIGNET, TESTNET4
from obscura.ledgers.kernel.transaction import parse_block, parse_transaction

DATA = Path(__file__).parents[2] / "data" / "bitcoin_mainnet_1_255.dat"


def step(view: CoinView, chain: FakeChain, *, details: bool = True) -> CoinReport:
    return view.step(chain.hash_at, chain.blocks.get, details=details)


def to_the_end(view: CoinView, chain: FakeChain) -> list[CoinReport]:
    """Steps until the view stands at the chain's end, where it holds exactly its coins."""
    reports = [step(view, chain)]
    while not reports[-1].ready:
        reports.append(step(view, chain))
    assert (view.height, view.tip) == (len(chain.active) - 1, chain.active[-1])
    assert dict(view.all()) == coins_in(iter(chain.numbered()))
    return reports


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain()


@pytest.fixture
def view(tmp_path: Path, chain: FakeChain) -> CoinView:
    return CoinView(tmp_path, chain.genesis)


def test_an_empty_chain_is_ready_at_once(view: CoinView, chain: FakeChain) -> None:
    assert step(view, chain) == CoinReport(chain.genesis, 0, ready=True, fork=0)


def test_blocks_join(view: CoinView, chain: FakeChain) -> None:
    first = coinbase(1)
    chain.add()
    inside = spend([output(first)], 2)
    child = spend([output(inside)])
    chain.add(inside, child)
    [report] = to_the_end(view, chain)
    assert (report.height, report.fork, report.returned) == (2, 0, ())
    assert set(report.confirmed) == {parse_transaction(data).txid for data in (first, coinbase(2), inside, child)}
    assert report.spent == (output(first), output(inside)), "a coinbase spends nothing"
    assert view.coin(output(first)) is None
    assert view.coin(output(inside)) is None, "spent in its own block"
    coin = view.coin(output(inside, 1))
    assert coin is not None
    assert (coin.height, coin.coinbase, coin.amount, coin.script) == (2, False, 1_001, b"\x51")
    made = view.coin(output(coinbase(2)))
    assert made is not None
    assert made.coinbase


def test_what_nobody_can_spend_is_not_kept(view: CoinView, chain: FakeChain) -> None:
    silent = spend([output(coinbase(1))], script=b"\x6a\x01x")
    long = spend([output(coinbase(1), 1)], script=b"\x51" * 10_001)
    chain.add()
    chain.add(silent, long)
    to_the_end(view, chain)
    assert view.coin(output(silent)) is view.coin(output(long)) is None
    chain.cut(1)
    to_the_end(view, chain)


def test_a_reorganisation(view: CoinView, chain: FakeChain) -> None:
    chain.add()
    old = spend([output(coinbase(1))], 2)
    child = spend([output(old)])
    chain.add(old)
    chain.add(child)
    to_the_end(view, chain)
    chain.cut(1)
    new = spend([output(coinbase(1))], salt=7)
    for number in range(3):
        chain.add(*([new] if number == 0 else []), salt=9)
    [report] = to_the_end(view, chain)
    assert report.fork == 1
    assert report.returned == (old, child), "in an order in which none spends a later one"
    assert parse_transaction(new).txid in report.confirmed
    assert report.spent == (output(coinbase(1)),)
    assert not report.lost


def test_without_details_nothing_is_told(view: CoinView, chain: FakeChain) -> None:
    chain.add()
    chain.add(spend([output(coinbase(1))]))
    report = step(view, chain, details=False)
    assert (report.confirmed, report.spent, report.returned) == ((), (), ())
    chain.cut(0)
    assert step(view, chain, details=False).returned == ()


def test_steps_are_bounded_in_number(view: CoinView, chain: FakeChain) -> None:
    for _ in range(COIN_STEP_BLOCKS + 10):
        chain.add()
    first, second = to_the_end(view, chain)
    assert (first.height, first.ready) == (COIN_STEP_BLOCKS, False)
    assert (second.fork, second.height) == (COIN_STEP_BLOCKS, COIN_STEP_BLOCKS + 10)
    chain.cut(1)
    chain.add(salt=1)
    reports = to_the_end(view, chain)
    assert [report.fork for report in reports] == [10, 1]


def test_steps_are_bounded_in_bytes(view: CoinView, chain: FakeChain) -> None:
    for number in range(4):
        chain.add()
        large = spend([output(coinbase(2 * number + 1))], script=b"\x51" * (COIN_STEP_BYTES // 2))
        chain.add(large)
    assert [report.height for report in to_the_end(view, chain)] == [4, 8]


def test_it_goes_on_where_it_was(tmp_path: Path, view: CoinView, chain: FakeChain) -> None:
    for _ in range(5):
        chain.add()
    to_the_end(view, chain)
    view.close()
    chain.add(spend([output(coinbase(2))]))
    again = CoinView(tmp_path, chain.genesis)
    assert again.height == 5
    [report] = to_the_end(again, chain)
    assert (report.fork, report.lost) == (5, False)


def test_a_kill_in_the_middle_of_a_step_leaves_the_end_of_a_block(
    tmp_path: Path, view: CoinView, chain: FakeChain
) -> None:
    for _ in range(3):
        chain.add()
    to_the_end(view, chain)
    for _ in range(3):
        chain.add()

    def read(name: BlockHash) -> bytes | None:
        if name == chain.active[5]:
            raise KeyboardInterrupt
        return chain.blocks[name]

    with pytest.raises(KeyboardInterrupt):
        view.step(chain.hash_at, read, details=True)
    assert view.height == 3
    # What another process would find, had this one been killed.
    assert CoinView(tmp_path, chain.genesis).height == 3
    [report] = to_the_end(view, chain)
    assert (report.fork, report.height) == (3, 6)


def test_deeper_than_is_kept_it_is_made_anew(view: CoinView, chain: FakeChain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COIN_UNDO_BLOCKS", 5)
    for _ in range(20):
        chain.add()
    to_the_end(view, chain)
    chain.cut(16)
    for _ in range(6):
        chain.add(salt=1)
    assert not any(report.lost for report in to_the_end(view, chain))
    chain.cut(10)
    for _ in range(15):
        chain.add(salt=2)
    reports = to_the_end(view, chain)
    assert [report.lost for report in reports] == [True]


@pytest.mark.parametrize("damage", ["garbage", "header", "format", "chain", "coin", "table"])
def test_a_file_that_cannot_be_used_is_made_anew(tmp_path: Path, view: CoinView, chain: FakeChain, damage: str) -> None:
    for _ in range(5):
        chain.add()
    to_the_end(view, chain)
    view.close()
    path = tmp_path / NAME
    if damage == "garbage":
        path.write_bytes(b"not a database" * 1_000)
    elif damage == "header":
        data = bytearray(path.read_bytes())
        data[16:24] = b"\xff" * 8
        path.write_bytes(data)
    else:
        with sqlite3.connect(path) as database:
            database.execute(
                {
                    "format": "PRAGMA user_version = 99",
                    "chain": "UPDATE state SET genesis = x'00'",
                    "coin": "DELETE FROM coin",
                    "table": "DROP TABLE coin",
                }[damage]
            )
        database.close()
    chain.add(spend([output(coinbase(3))]))
    again = CoinView(tmp_path, chain.genesis)
    reports = to_the_end(again, chain)
    assert reports[-1].height == 6
    assert reports[0].lost == (damage in ("coin", "table")), "only what was found out in the middle of a run"


def test_a_disk_that_refuses_is_told(tmp_path: Path, view: CoinView, chain: FakeChain) -> None:
    chain.add()
    other = sqlite3.connect(tmp_path / NAME, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    view._database.execute("PRAGMA busy_timeout = 10")
    with pytest.raises(StoreError, match="cannot be used"):
        step(view, chain)
    other.execute("ROLLBACK")
    other.close()
    to_the_end(view, chain)
    view.close()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be opened"):
        CoinView(tmp_path / "file", chain.genesis)


def test_a_block_that_is_gone_is_told(view: CoinView, chain: FakeChain) -> None:
    chain.add()
    with pytest.raises(StoreError, match="cannot be read"):
        view.step(chain.hash_at, lambda name: None, details=False)
    to_the_end(view, chain)


def test_a_coinbase_twice(view: CoinView, chain: FakeChain) -> None:
    """Bitcoin's blocks 91,842 and 91,880 repeat older coinbases (BIP30): the younger coin counts."""
    chain.add()
    chain.add()
    again = FakeChain()
    again.active, again.blocks = list(chain.active), dict(chain.blocks)
    again.add(coinbase(1))
    to_the_end(view, again)
    coin = view.coin(output(coinbase(1)))
    assert coin is not None
    assert coin.height == 3


BLOCKS = st.tuples(st.integers(0, 6), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=4))
"""How far to cut, and which coins are spent into how many."""


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=4)),
        max_size=25,
    ),
    st.integers(1, 4),
)
def test_any_chain_s_coins(story: list[tuple[int, list[tuple[int, int]]]], pace: int) -> None:
    """Blocks that spend what is there, and cuts; looked at now and then."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        chain = FakeChain()
        view = CoinView(Path(name), chain.genesis)
        for number, (cut, spends) in enumerate(story):
            if cut > 3:
                chain.cut(max(0, len(chain.active) - 1 - cut))
            transactions: list[bytes] = []
            free = list(coins_in(iter(chain.numbered())))
            for which, outputs in spends:
                if free:
                    point = free.pop(which % len(free))
                    transactions.append(spend([point], outputs + 1, salt=number))
                    free += [OutPoint(output(transactions[-1], at)) for at in range(outputs + 1)]
            chain.add(*transactions, salt=number)
            if number % pace == 0:
                to_the_end(view, chain)
        to_the_end(view, chain)
        view.close()


# -- with the kernel


def test_where_it_is_on(tmp_path: Path) -> None:
    assert [KernelLedger(one, tmp_path).relays for one in (BITCOIN, SIGNET, TESTNET4, REGTEST)] == [
        False,
        True,
        True,
        True,
    ]
    assert KernelLedger(BITCOIN, tmp_path, relay=True).relays
    off = KernelLedger(REGTEST, tmp_path, relay=False)
    assert relaying(off) is None
    off.restore()
    off.close()
    assert not (tmp_path / NAME).exists()


def test_the_real_blocks(tmp_path: Path) -> None:
    """Each of the seven transactions is judged with the chain at the block before it; the view follows all blocks."""
    ledger = KernelLedger(BITCOIN, tmp_path, relay=True)
    assert isinstance(ledger, TransactionLedger)
    ledger.restore()
    blocks = [entry.block for entry in BlockFile(DATA, BITCOIN.magic).blocks()]
    ledger.accept_headers([block[:80] for block in blocks])
    judged = 0
    for block in blocks:
        for transaction in parse_block(block)[1:]:
            while not ledger.follow(details=False).ready:
                pass
            candidate = Candidate(transaction.data, transaction.info())
            judged += 1
            assert [one.rule for one in ledger.admit([candidate])] == ["scriptpubkey"]
            assert (
                admit(candidate, ChainCoins(ledger._coins, ledger._kernel), policy=False).verdict is TxVerdict.ADMITTED
            )
        ledger.accept_blocks([block])
    while not ledger.follow(details=False).ready:
        pass
    made = sum(len(one.outputs) for block in blocks for one in parse_block(block))
    spent = sum(len(one.spends) for block in blocks for one in parse_block(block)[1:])
    assert (judged, ledger.check_coins()) == (7, made - spent)
    ledger.close()


def test_mining_takes_what_fits_and_its_fees(tmp_path: Path) -> None:
    ledger = KernelLedger(REGTEST, tmp_path)
    ledger.restore()
    blocks = [mine(ledger, number) for number in range(101)]
    coin = output(parse_block(blocks[0])[0].data)
    data = spend([coin])
    twice = spend([coin], salt=1)
    mined = ledger.mine(b"\x51", WallTime(1_700_000_000), [data, twice])
    assert [one.data for one in parse_block(mined)[1:]] == [], "the view is behind"
    while not ledger.follow(details=False).ready:
        pass
    assert ledger.check_coins() == 101
    mined = ledger.mine(b"\x51", WallTime(1_700_000_000), [data, twice])
    found = parse_block(mined)
    assert [one.data for one in found[1:]] == [data]
    assert found[0].outputs[0][0] == 50 * 100_000_000 + 50 * 100_000_000 - 1_000
    assert [one.rule for one in ledger.accept_blocks([mined]).outcomes] == [""]
    report = ledger.follow(details=True)
    assert report.spent == (coin,)
    assert ledger.check_coins() == 102
    ledger.close()
    again = KernelLedger(REGTEST, tmp_path)
    again.restore()
    assert again.follow(details=True).fork == 102
    again._coins._database.execute("DELETE FROM coin WHERE amount = 1000")
    with pytest.raises(BugError, match="101 coins, the chain 102"):
        again.check_coins()
    again.close()


def mine(ledger: KernelLedger, number: int) -> bytes:
    block = ledger.mine(b"\x51", WallTime(1_700_000_000 + number))
    assert ledger.accept_blocks([block]).outcomes[0].rule == ""
    return block
