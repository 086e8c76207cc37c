"""Transactions of the chain in memory: every rule is broken once, alone; the coins follow every reorganisation."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscura.base.names import BlockHash
from obscura.chain import BlockVerdict, Candidate, InvalidTransaction, OutPoint, TxOutcome, TxVerdict, relaying
from obscura.ledgers.memory import GENESIS, MemoryLedger, mine
from obscura.ledgers.memory_transactions import (
    FAUCET_AMOUNT,
    TRANSACTIONS_MARK,
    BadTransactions,
    faucet,
    make_transaction,
    output,
    pack_body,
    parse,
    unpack_body,
)

ROOT = MemoryLedger().tip
START = 1_700_000_000


def judge(ledger: MemoryLedger, data: bytes, *parents: bytes, floor: int = 0) -> TxOutcome:
    [outcome] = ledger.admit([Candidate(data, ledger.identify_transaction(data), parents, floor)])
    return outcome


def on(previous: BlockHash, height: int, *transactions: bytes, salt: bytes = b"") -> bytes:
    return mine(previous, pack_body(transactions, salt), START + height)


def name(block: bytes) -> BlockHash:
    return MemoryLedger().identify_block(block).hash


def test_the_ledger_relays() -> None:
    ledger = MemoryLedger()
    assert relaying(ledger) is ledger


def test_names_tell_form_from_content() -> None:
    one, other = make_transaction([faucet(1)], [5]), make_transaction([faucet(1)], [5], pad=3)
    assert parse(one).info.txid == parse(other).info.txid
    assert parse(one).info.relay_id != parse(other).info.relay_id
    assert parse(other).info.weight == parse(one).info.weight + 3
    assert parse(one).info.spends == (faucet(1),)


@given(cut=st.integers(0, 80), extra=st.binary(max_size=3))
def test_only_whole_transactions_are_read(cut: int, extra: bytes) -> None:
    whole = make_transaction([faucet(1)], [5], pad=9)
    data = whole[:cut] + extra
    if len(data) == len(whole):
        # Other bytes of the witness at most.
        parse(data)
    else:
        with pytest.raises(InvalidTransaction):
            parse(data)


def test_a_transaction_spends_and_makes_something() -> None:
    for spends, amounts in (([], [1]), ([faucet(1)], [])):
        with pytest.raises(InvalidTransaction, match="tx-empty"):
            parse(make_transaction(spends, amounts))


def test_a_good_one_is_admitted_with_its_fee() -> None:
    outcome = judge(MemoryLedger(), make_transaction([faucet(1), faucet(2)], [FAUCET_AMOUNT, 10]))
    assert (outcome.verdict, outcome.rule, outcome.rests_on) == (TxVerdict.ADMITTED, "", 0)
    assert outcome.fee == FAUCET_AMOUNT - 10
    assert outcome.cost > 0


@pytest.mark.parametrize(
    ("data", "verdict", "rule"),
    [
        (make_transaction([faucet(1), faucet(1)], [5]), TxVerdict.INVALID, "bad-txns-inputs-duplicate"),
        (make_transaction([faucet(1)], [1 << 62]), TxVerdict.INVALID, "bad-txns-txouttotal-toolarge"),
        (make_transaction([faucet(1)], [FAUCET_AMOUNT + 1]), TxVerdict.INVALID, "bad-txns-in-belowout"),
        (make_transaction([faucet(1)], [5], seal=b"\0"), TxVerdict.INVALID, "bad-seal"),
        (make_transaction([faucet(1)], [5], lock_height=1), TxVerdict.REFUSED, "non-final"),
        (make_transaction([faucet(1)], [FAUCET_AMOUNT - 5]), TxVerdict.REFUSED, "min relay fee not met"),
        (make_transaction([OutPoint(b"\x07" * 36)], [5]), TxVerdict.MISSING, "bad-txns-inputs-missingorspent"),
    ],
)
def test_each_rule(data: bytes, verdict: TxVerdict, rule: str) -> None:
    outcome = judge(MemoryLedger(), data, floor=100)
    assert (outcome.verdict, outcome.rule) == (verdict, rule)
    assert judge(MemoryLedger(), make_transaction([faucet(1)], [FAUCET_AMOUNT - 6]), floor=100).rule == ""


def test_what_is_missing_is_named_and_parents_bring_it() -> None:
    ledger = MemoryLedger()
    parent = make_transaction([faucet(1)], [60, 70])
    point = output(parse(parent).info.txid, 1)
    child = make_transaction([faucet(2), point], [5])
    assert judge(ledger, child).missing == (point,)
    assert judge(ledger, child, parent).verdict is TxVerdict.ADMITTED
    assert judge(ledger, child, parent).fee == FAUCET_AMOUNT + 70 - 5
    beyond = make_transaction([output(parse(parent).info.txid, 2)], [5])
    assert judge(ledger, beyond, parent).verdict is TxVerdict.MISSING


def test_a_block_confirms_and_what_it_spent_is_gone() -> None:
    ledger = MemoryLedger()
    parent = make_transaction([faucet(1)], [60, 70])
    child = make_transaction([output(parse(parent).info.txid, 0)], [50])
    block = on(ROOT, 1, parent, child)
    assert ledger.accept_blocks([block]).outcomes[0].verdict is BlockVerdict.ACCEPTED
    report = ledger.follow(details=True)
    assert (report.ready, report.height, report.fork, report.tip) == (True, 1, 0, name(block))
    assert report.confirmed == (parse(parent).info.txid, parse(child).info.txid)
    assert report.spent == (faucet(1), output(parse(parent).info.txid, 0))
    assert judge(ledger, make_transaction([faucet(1)], [5])).verdict is TxVerdict.MISSING
    last = judge(ledger, make_transaction([output(parse(child).info.txid, 0)], [5]))
    assert (last.verdict, last.rests_on) == (TxVerdict.ADMITTED, 1)
    assert ledger.follow(details=True) == replace(report, fork=1, confirmed=(), spent=())


@pytest.mark.parametrize(
    ("transactions", "rule"),
    [
        ((make_transaction([faucet(1)], [5]), make_transaction([faucet(1)], [6])), "bad-txns-inputs-missingorspent"),
        ((make_transaction([faucet(1)], [5], seal=b"\0"),), "bad-seal"),
        ((make_transaction([faucet(1)], [FAUCET_AMOUNT + 1]),), "bad-txns-in-belowout"),
        ((make_transaction([faucet(1)], [5], lock_height=1),), "bad-txns-nonfinal"),
        ((make_transaction([faucet(1), faucet(1)], [5]),), "bad-txns-inputs-duplicate"),
        ((b"?",), "tx-truncated"),
    ],
)
def test_a_block_that_breaks_a_rule_changes_nothing(transactions: tuple[bytes, ...], rule: str) -> None:
    ledger = MemoryLedger()
    first = make_transaction([faucet(9)], [5])
    report = ledger.accept_blocks([on(ROOT, 1, first, *transactions)])
    assert [(one.verdict, one.rule) for one in report.outcomes] == [(BlockVerdict.INVALID, rule)]
    assert judge(ledger, first).verdict is TxVerdict.ADMITTED
    assert ledger.height == 0


def test_a_body_that_cannot_be_read_is_refused() -> None:
    good = pack_body([make_transaction([faucet(1)], [5])])
    assert unpack_body(b"whatever") == ()
    for body in (TRANSACTIONS_MARK, good[:-1], good + b"x", good[:8]):
        with pytest.raises(BadTransactions, match="bad-txns-body"):
            unpack_body(body)
        block = mine(ROOT, body, START + 1)
        assert MemoryLedger().accept_blocks([block]).outcomes[0].rule == "bad-txns-body"


def test_a_reorganisation_returns_what_it_takes_out() -> None:
    ledger = MemoryLedger()
    one, two = make_transaction([faucet(1)], [5]), make_transaction([faucet(2)], [5])
    rival = make_transaction([faucet(2)], [6])
    main = [on(ROOT, 1, one)]
    main.append(on(name(main[0]), 2, two))
    side = [on(ROOT, 1, rival, salt=b"side")]
    for height in (2, 3):
        side.append(on(name(side[-1]), height, salt=b"side"))
    ledger.accept_blocks(main)
    ledger.follow(details=True)
    ledger.accept_blocks(side)
    report = ledger.follow(details=True)
    assert (report.fork, report.height) == (0, 3)
    assert report.returned == (one, two)
    assert report.confirmed == (parse(rival).info.txid,)
    assert judge(ledger, one).verdict is TxVerdict.ADMITTED
    assert judge(ledger, two).verdict is TxVerdict.MISSING


def test_a_branch_with_a_bad_block_leaves_the_coins_as_they_were() -> None:
    ledger = MemoryLedger()
    kept = make_transaction([faucet(1)], [5])
    main = [on(ROOT, 1, kept)]
    side = [on(ROOT, 1, make_transaction([faucet(2)], [5]), salt=b"side")]
    side.append(on(name(side[-1]), 2, make_transaction([faucet(2)], [6]), salt=b"side"))
    ledger.accept_blocks(main)
    report = ledger.accept_blocks(side)
    assert report.outcomes[1].rule == "bad-txns-inputs-missingorspent"
    assert ledger.tip == name(main[0])
    assert judge(ledger, make_transaction([output(parse(kept).info.txid, 0)], [1])).verdict is TxVerdict.ADMITTED
    assert judge(ledger, make_transaction([faucet(2)], [1])).verdict is TxVerdict.ADMITTED


@settings(max_examples=60)
@given(
    plan=st.lists(
        st.tuples(st.integers(0, 6), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=4)), max_size=14
    )
)
def test_coins_are_those_of_a_chain_built_afresh(plan: list[tuple[int, list[tuple[int, int]]]]) -> None:
    """Whatever tree of blocks grows in whatever order, the coins are those that the active chain alone makes."""
    ledger = MemoryLedger()
    blocks: dict[BlockHash, tuple[BlockHash, int, bytes]] = {}
    tips = [(ROOT, 0)]
    made: list[OutPoint] = []
    for number, (back, spends) in enumerate(plan):
        parent, height = tips[-1 - back % len(tips)]
        transactions = []
        for which, index in spends:
            coin = made[-1 - which] if which < len(made) and index else faucet(which, index)
            transactions.append(make_transaction([coin], [50, 40], salt=number))
            made.append(output(parse(transactions[-1]).info.txid, index % 2))
        block = on(parent, height + 1, *transactions, salt=bytes([number]))
        outcome = ledger.accept_blocks([block]).outcomes[0]
        if outcome.verdict is BlockVerdict.ACCEPTED:
            blocks[outcome.hash] = (parent, height + 1, block)
            tips.append((outcome.hash, height + 1))
    chain: list[bytes] = []
    at = ledger.tip
    while at != ROOT:
        at, _, block = blocks[at]
        chain.insert(0, block)
    fresh = MemoryLedger(GENESIS)
    assert all(one.verdict is BlockVerdict.ACCEPTED for one in fresh.accept_blocks(chain).outcomes)
    for point in [*made, *(faucet(which, index) for which in range(6) for index in range(4))]:
        probe = make_transaction([point], [1])
        assert judge(ledger, probe) == judge(fresh, probe)
