"""Admission: each rule broken by a transaction that breaks it and nothing else; and real transactions."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from signer import ORDER, Draft, Key, Spend, push
from transaction_bytes import serialised

from obscura.base.digest import double_sha256
from obscura.base.limits import BLOCK_WEIGHT, TX_WEIGHT
from obscura.base.names import TxId
from obscura.chain import Candidate, InvalidTransaction, OutPoint, TxOutcome, TxVerdict
from obscura.ledgers.blockfile import BlockFile
from obscura.ledgers.kernel.admission import MONEY_MAX, admit, coins_of, point_of, select_valid
from obscura.ledgers.kernel.coin import Coin
from obscura.ledgers.kernel.networks import BITCOIN
from obscura.ledgers.kernel.scripts import Form
from obscura.ledgers.kernel.transaction import NULL_OUTPOINT, parse_block, parse_transaction

ADMITTED, MISSING, REFUSED, INVALID = TxVerdict.ADMITTED, TxVerdict.MISSING, TxVerdict.REFUSED, TxVerdict.INVALID
SOURCES = Path(__file__).parents[3] / "src/obscura/ledgers/kernel"
DATA = Path(__file__).parents[2] / "data" / "bitcoin_mainnet_1_255.dat"
HEIGHT = 200
AMOUNT = 1_000_000
KEYS = [Key(number) for number in range(1, 5)]
FORMS = tuple(Form)


class View:
    """A coin view that is a dict. Block n has the median time 1,600,000,000 + 600 n."""

    def __init__(self, height: int = HEIGHT) -> None:
        self.height = height
        self.coins: dict[OutPoint, Coin] = {}

    def coin(self, outpoint: OutPoint) -> Coin | None:
        return self.coins.get(outpoint)

    def median_time(self, height: int) -> int:
        assert 0 <= height <= self.height
        return 1_600_000_000 + 600 * height

    def fund(self, number: int, form: Form, *, height: int = 50, coinbase: bool = False, amount: int = AMOUNT) -> Spend:
        """A coin, and how it is spent."""
        key = KEYS[number % len(KEYS)]
        point = OutPoint(double_sha256(number.to_bytes(4, "little")) + bytes(4))
        coin = Coin(height, coinbase, amount, key.script(form))
        self.coins[point] = coin
        return Spend(point, coin, key, form)


def judge(view: View, data: bytes, *parents: bytes, floor: int = 0, policy: bool = True) -> TxOutcome:
    outcome = admit(Candidate(data, parse_transaction(data).info(), parents, floor), view, policy=policy)
    assert outcome.cost > 0
    return outcome


@pytest.fixture
def view() -> View:
    return View()


def draft(view: View, *spends: Spend, **more: object) -> Draft:
    """A fine transaction of one input and one output for each form."""
    spends = spends or (view.fund(1, Form.P2WPKH),)
    outputs = tuple((AMOUNT * len(spends) // 3 - 1_000, KEYS[3].script(form)) for form in FORMS)
    return Draft(spends, outputs).changed(**more)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_admitted(view: View, form: Form) -> None:
    one = draft(view, view.fund(1, form), view.fund(2, form, height=120))
    outcome = judge(view, one.signed())
    assert (outcome.verdict, outcome.rule, outcome.rests_on) == (ADMITTED, "", 120)
    assert outcome.fee == 2 * AMOUNT - sum(amount for amount, _ in one.outputs)


def test_all_forms_in_one(view: View) -> None:
    assert judge(view, draft(view, *(view.fund(at, form) for at, form in enumerate(FORMS))).signed()).rule == ""


# -- each rule, broken alone


@dataclass
class Case:
    """How a fine transaction is spoilt, and what is said then."""

    rule: str
    verdict: TxVerdict
    make: Callable[[View], bytes]
    floor: int = 0


def unsigned(one: Draft) -> bytes:
    """The same without signatures, for what is broken before anybody looks at them."""
    inputs = [(spend.point, b"", spend.sequence) for spend in one.spends]
    return serialised(one.version, inputs, one.outputs, (), one.lock_time)


def outputs(view: View, *amounts: int, script: bytes | None = None) -> Draft:
    return draft(view, outputs=tuple((amount, script or KEYS[3].script(Form.P2WPKH)) for amount in amounts))


def with_witness(view: View, form: Form, change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> bytes:
    one = draft(view, view.fund(1, form))
    witness = parse_transaction(one.signed()).witnesses[0]
    return one.changed(witnesses={0: change(witness)}).signed()


def with_script(view: View, change: Callable[[bytes, bytes], bytes]) -> bytes:
    """A P2PKH input whose script is made anew of its signature and its key."""
    one = draft(view, view.fund(1, Form.P2PKH))
    signature = one.spends[0].key.ecdsa(one.legacy_digest(0))
    return one.changed(scripts={0: change(signature, one.spends[0].key.public)}).signed()


def high_s(view: View) -> bytes:
    one = draft(view)
    spend = one.spends[0]
    return one.changed(witnesses={0: (spend.key.ecdsa(one.witness_digest(0), high=True), spend.key.public)}).signed()


def locked(view: View, lock_time: int, sequence: int = 0xFFFF_FFFE) -> bytes:
    return draft(view, replace(view.fund(1, Form.P2WPKH), sequence=sequence), lock_time=lock_time).signed()


def relative(view: View, sequence: int, height: int = 50, version: int = 2) -> bytes:
    spend = replace(view.fund(1, Form.P2WPKH, height=height), sequence=sequence)
    return draft(view, spend, version=version).signed()


def heavy(view: View) -> bytes:
    script = KEYS[3].script(Form.P2WPKH)
    view.fund(1, Form.P2WPKH, amount=300 * 4_000)
    return draft(view, view.fund(1, Form.P2WPKH, amount=300 * 4_000), outputs=((300, script),) * 3_300).signed()


def rich(view: View) -> bytes:
    """Coins that together hold more than there is: a broken view, but no reason to believe it."""
    return draft(view, view.fund(1, Form.P2WPKH, amount=MONEY_MAX), view.fund(2, Form.P2WPKH)).signed()


def nothing_spent(view: View) -> bytes:
    return serialised(2, [(NULL_OUTPOINT, b"\1\1", 0)], [(600, KEYS[3].script(Form.P2WPKH))], (), 0)


def sighashes(view: View) -> bytes:
    """Inputs that each hash a long transaction."""
    spends = [view.fund(at, Form.P2PKH) for at in range(500)]
    one = Draft(tuple(spends), ((600, KEYS[3].script(Form.P2WPKH)),))
    filler = push(KEYS[0].ecdsa(bytes(32))) + push(KEYS[0].public)
    return one.changed(scripts=dict.fromkeys(range(500), filler)).signed()


def checks(view: View) -> bytes:
    """Outputs with a key each cost four checks; so many of them do not fit with lighter rules, so one counts them."""
    return draft(view, outputs=((600, KEYS[3].script(Form.P2PKH)),) * 5).signed()


def anyone(view: View) -> bytes:
    """It spends what anybody may spend; consensus has nothing against it."""
    spend = view.fund(1, Form.P2WPKH)
    view.coins[spend.point] = Coin(50, coinbase=False, amount=AMOUNT, script=b"\x51")
    data = unsigned(draft(view, spend))
    assert judge(view, data, policy=False).verdict is ADMITTED
    return data


def key_with_witness(view: View) -> bytes:
    one = draft(view, view.fund(1, Form.P2PKH), view.fund(2, Form.P2WPKH))
    return one.changed(witnesses={0: (b"more",)}).signed()


def elsewhere(view: View, point: OutPoint) -> Spend:
    """A spend of an output that is not there."""
    return replace(view.fund(2, Form.P2WPKH), point=point)


CASES = [
    Case("bad-txns-vout-empty", INVALID, lambda view: unsigned(draft(view, outputs=()))),
    Case("bad-txns-vout-negative", INVALID, lambda view: outputs(view, 600, -1).signed()),
    Case("bad-txns-vout-toolarge", INVALID, lambda view: outputs(view, MONEY_MAX + 1).signed()),
    Case("bad-txns-txouttotal-toolarge", INVALID, lambda view: outputs(view, MONEY_MAX, 1).signed()),
    Case("bad-txns-inputs-duplicate", INVALID, lambda view: draft(view, *[view.fund(1, Form.P2WPKH)] * 2).signed()),
    Case("coinbase", INVALID, nothing_spent),
    Case(
        "bad-txns-prevout-null",
        INVALID,
        lambda view: draft(view, view.fund(1, Form.P2WPKH), elsewhere(view, NULL_OUTPOINT)).signed(),
    ),
    Case("bad-txns-inputvalues-outofrange", INVALID, rich),
    Case("bad-txns-in-belowout", INVALID, lambda view: outputs(view, AMOUNT + 1).signed()),
    Case(
        "mandatory-script-verify-flag-failed",
        INVALID,
        lambda view: with_witness(view, Form.P2WPKH, lambda items: (KEYS[0].ecdsa(bytes(32)), items[1])),
    ),
    Case(
        "mandatory-script-verify-flag-failed",
        INVALID,
        lambda view: with_script(view, lambda sig, key: push(KEYS[0].ecdsa(bytes(32))) + push(key)),
    ),
    Case(
        "mandatory-script-verify-flag-failed",
        INVALID,
        lambda view: with_witness(view, Form.P2TR, lambda items: (bytes(64),)),
    ),
    Case(
        "bad-txns-inputs-missingorspent",
        MISSING,
        lambda view: draft(view, elsewhere(view, OutPoint(bytes(36)))).signed(),
    ),
    Case(
        "bad-txns-premature-spend-of-coinbase",
        REFUSED,
        lambda view: draft(view, view.fund(1, Form.P2WPKH, height=HEIGHT - 98, coinbase=True)).signed(),
    ),
    Case("non-final", REFUSED, lambda view: locked(view, HEIGHT + 1)),
    Case("non-final", REFUSED, lambda view: locked(view, view.median_time(HEIGHT))),
    Case("non-BIP68-final", REFUSED, lambda view: relative(view, 10, height=HEIGHT - 8)),
    Case("non-BIP68-final", REFUSED, lambda view: relative(view, 1 << 22 | 2, height=HEIGHT)),
    Case("version", REFUSED, lambda view: draft(view, version=3).signed()),
    Case("version", REFUSED, lambda view: draft(view, version=0).signed()),
    Case("tx-size", REFUSED, heavy),
    Case(
        "tx-size-small",
        REFUSED,
        lambda view: serialised(2, [(view.fund(1, Form.P2TR).point, b"", 0)], [(0, b"")], (), 0),
    ),
    Case("scriptpubkey", REFUSED, lambda view: outputs(view, 600, 600, script=b"\x51").signed()),
    Case("scriptpubkey", REFUSED, lambda view: outputs(view, 600, script=b"\xa9\x14" + bytes(20) + b"\x87").signed()),
    Case("scriptpubkey", REFUSED, lambda view: outputs(view, 600, script=b"\x00\x20" + bytes(32)).signed()),
    Case("scriptpubkey", REFUSED, lambda view: outputs(view, 0, script=b"\x6a\x04data").signed()),
    Case("dust", REFUSED, lambda view: outputs(view, 293).signed()),
    Case("dust", REFUSED, lambda view: outputs(view, 545, script=KEYS[0].script(Form.P2PKH)).signed()),
    Case("dust", REFUSED, lambda view: outputs(view, 329, script=KEYS[0].script(Form.P2TR)).signed()),
    Case("min relay fee not met", REFUSED, lambda view: outputs(view, AMOUNT - 10).signed(), floor=100),
    Case("bad-txns-nonstandard-inputs", REFUSED, anyone),
    Case(
        "bad-witness-nonstandard",
        REFUSED,
        lambda view: with_witness(view, Form.P2WPKH, lambda items: (*items, b"")),
    ),
    Case("bad-witness-nonstandard", REFUSED, high_s),
    Case("bad-witness-nonstandard", REFUSED, lambda view: with_witness(view, Form.P2TR, lambda one: (*one, b"\x50"))),
    Case("bad-witness-nonstandard", REFUSED, lambda view: with_witness(view, Form.P2TR, lambda one: (one[0][1:],))),
    Case("bad-witness-nonstandard", REFUSED, key_with_witness),
    Case("scriptsig-nonstandard", REFUSED, lambda view: draft(view, scripts={0: b"\x51"}).signed()),
    Case(
        "scriptsig-nonstandard",
        REFUSED,
        lambda view: with_script(view, lambda sig, key: b"\x4c" + push(sig) + push(key)),
    ),
    Case(
        "scriptsig-nonstandard",
        REFUSED,
        lambda view: with_script(view, lambda sig, key: b"\x51" + push(sig) + push(key)),
    ),
    Case("tx-hashing", REFUSED, sighashes),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_rule_broken_alone(view: View, case: Case) -> None:
    outcome = judge(view, case.make(view), floor=case.floor)
    assert (outcome.rule, outcome.verdict) == (case.rule, case.verdict), outcome.detail
    assert outcome.fee == outcome.rests_on == 0
    assert bool(outcome.missing) == (case.verdict is MISSING)


UNREACHED = {
    "bad-txns-too-many-sigops": "three forms of outputs cannot cost so much within TX_WEIGHT; see the test below",
    "bad-blk-sigops": "see test_consensus_counts_checks",
    "bad-txns-oversize": "the parser takes no more bytes than a block's; see test_a_block_s_weight",
}


def test_each_rule_has_its_case() -> None:
    text = (SOURCES / "admission.py").read_text() + (SOURCES / "standard.py").read_text()
    named = set(re.findall(r'(?:return|Broken\(TxVerdict\.\w+,|rule =(?: rule or)?) ?"([a-zA-Z][\w -]+)"', text))
    assert {case.rule for case in CASES} | set(UNREACHED) == named


def test_the_other_side_of_each_bound(view: View) -> None:
    """What breaks nothing by one."""
    fine = [
        locked(view, HEIGHT),
        locked(view, view.median_time(HEIGHT) - 1),
        locked(view, HEIGHT + 100, sequence=0xFFFF_FFFF),
        relative(view, 10, height=HEIGHT - 9),
        relative(view, 1 << 22 | 1, height=HEIGHT),
        relative(view, 1 << 31 | 500),
        relative(view, 500, version=1),
        draft(view, version=1).signed(),
        outputs(view, 294).signed(),
        outputs(view, 546, script=KEYS[0].script(Form.P2PKH)).signed(),
        outputs(view, 330, script=KEYS[0].script(Form.P2TR)).signed(),
    ]
    for data in fine:
        # The coins of one are overwritten by the next: each is judged on the view that it was made for.
        assert judge(view_of(data, view), data).rule == ""
    ripe = view.fund(9, Form.P2WPKH, height=HEIGHT - 99, coinbase=True)
    outcome = judge(view, draft(view, ripe).signed())
    assert (outcome.rule, outcome.rests_on) == ("", HEIGHT)
    size = parse_transaction(outputs(view, AMOUNT).signed()).info().size
    exact = -(-100 * size // 1_000)
    assert judge(view, outputs(view, AMOUNT - exact).signed(), floor=100).fee == exact


def view_of(data: bytes, view: View) -> View:
    """The heights that the relative locks above were made for."""
    sequence = parse_transaction(data).sequences[0]
    heights = {10: HEIGHT - 9, 1 << 22 | 1: HEIGHT}
    view.fund(1, Form.P2WPKH, height=heights.get(sequence, 50))
    return view


@pytest.mark.parametrize(
    ("make", "rests_on"),
    [
        (lambda view: draft(view).signed(), 50),
        (lambda view: locked(view, 180), 180),
        (lambda view: locked(view, 20), 50),
        (lambda view: locked(view, view.median_time(150)), HEIGHT),
        (lambda view: relative(view, 100), 149),
        (lambda view: relative(view, 1 << 22 | 1), HEIGHT),
        (lambda view: draft(view, view.fund(1, Form.P2WPKH, height=60, coinbase=True)).signed(), 159),
    ],
)
def test_what_a_verdict_rests_on(view: View, make: Callable[[View], bytes], rests_on: int) -> None:
    """It stays fine while the chain keeps its block at that height, and with it as the tip it is fine already."""
    data = make(view)
    assert judge(view, data).rests_on == rests_on
    if rests_on < HEIGHT:
        earlier = View(rests_on)
        earlier.coins = view.coins
        assert judge(earlier, data).rule == ""
        earlier.height = rests_on - 1
        if rests_on > 50:
            assert judge(earlier, data).verdict is REFUSED


def test_unconfirmed_parents(view: View) -> None:
    parent = draft(view).signed()
    name = parse_transaction(parent).txid
    coin = coins_of(parse_transaction(parent), HEIGHT + 1)[point_of(name, 1)]
    spend = Spend(point_of(name, 1), coin, KEYS[3], Form.P2WPKH, sequence=0)
    data = Draft((spend,), ((coin.amount - 500, KEYS[0].script(Form.P2TR)),)).signed()
    outcome = judge(view, data, parent)
    assert (outcome.verdict, outcome.fee, outcome.rests_on) == (ADMITTED, 500, 0)
    assert judge(view, data).missing == (spend.point,)
    later = Draft((replace(spend, sequence=1),), ((coin.amount - 500, KEYS[0].script(Form.P2TR)),)).signed()
    assert judge(view, later, parent).rule == "non-BIP68-final"


@pytest.mark.parametrize("form", FORMS)
def test_nobody_can_change_it_on_the_way(view: View, form: Form) -> None:
    """No bit of it can be flipped so that it keeps its txid and is admitted still; nor with other policy, any bit so
    that its content changes."""
    one = draft(view, view.fund(1, form))
    data = one.signed()
    original = parse_transaction(data)
    admitted = 0
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            changed = parse_transaction(bytes(flipped))
        except InvalidTransaction:
            continue
        admitted += judge(view, changed.data).verdict is ADMITTED
        assert changed.txid != original.txid or judge(view, changed.data).verdict is not ADMITTED
    assert admitted == 0


def test_the_twin_of_a_signature_is_valid_and_not_relayed(view: View) -> None:
    data = high_s(view)
    assert judge(view, data, policy=False).verdict is ADMITTED
    assert judge(view, data).verdict is REFUSED
    assert ORDER // 2 < ORDER


def test_consensus_counts_checks(view: View) -> None:
    """A bare output of many checks is nothing that is relayed; in a block it counts."""
    spend = view.fund(1, Form.P2WPKH)
    script = b"\xae" * 1_001  # each counts twenty keys, four times
    data = draft(view, spend, outputs=((600, script),)).signed()
    assert judge(view, data, policy=False).rule == "bad-blk-sigops"
    few = draft(view, spend, outputs=((600, b"\xae" * 999),)).signed()
    assert judge(view, few, policy=False).verdict is ADMITTED


def test_a_block_s_weight() -> None:
    one = serialised(2, [(OutPoint(bytes(36)), b"", 0)], [(0, b"\0" * (BLOCK_WEIGHT // 4))], (), 0)
    assert judge(View(), one).rule == "bad-txns-oversize"
    assert TX_WEIGHT < BLOCK_WEIGHT


class TestTogether:
    def test_a_family_fits_and_a_double_spend_does_not(self, view: View) -> None:
        one = draft(view, view.fund(1, Form.P2WPKH))
        parent = one.signed()
        again = draft(view, one.spends[0], outputs=((600, KEYS[1].script(Form.P2TR)),)).signed()
        name = parse_transaction(parent).txid
        point = point_of(name, 1)
        coin = coins_of(parse_transaction(parent), HEIGHT + 1)[point]
        child = Draft((Spend(point, coin, KEYS[3], Form.P2WPKH),), ((600, KEYS[0].script(Form.P2TR)),)).signed()
        unripe = draft(view, view.fund(5, Form.P2WPKH, height=HEIGHT, coinbase=True)).signed()
        chosen = select_valid([parent, again, child, unripe, parent], view)
        assert chosen == [(parent, 3_001), (child, coin.amount - 600)]
        assert [data for data, _ in select_valid([child, parent], view)] == [parent]

    def test_no_more_than_a_block_holds(self, view: View) -> None:
        spends = [view.fund(at, Form.P2WPKH) for at in range(5)]
        large = [draft(view, spend, outputs=((600, b"\x51" * 300_000),)).signed() for spend in spends]
        chosen = [data for data, _ in select_valid(large, view)]
        assert chosen == large[:3]
        costly = [draft(view, spend, outputs=((600, b"\xae" * 400),)).signed() for spend in spends]
        assert [data for data, _ in select_valid(costly, view)] == costly[:2]


# -- real transactions


def real() -> list[tuple[int, bytes, dict[OutPoint, Coin]]]:
    """Those of the first 255 blocks that are no coinbases: height, bytes, and the coins of the block before."""
    coins: dict[OutPoint, Coin] = {}
    found = []
    for height, entry in enumerate(BlockFile(DATA, BITCOIN.magic).blocks(), 1):
        transactions = parse_block(entry.block)
        for transaction in transactions[1:]:
            found.append((height, transaction.data, dict(coins)))
        for transaction in transactions:
            for point in transaction.spends:
                coins.pop(point, None)
            coins.update(coins_of(transaction, height))
    return found


REAL = real()


def test_there_are_seven() -> None:
    assert [height for height, _, _ in REAL] == [170, 181, 182, 183, 187, 221, 248]


@pytest.mark.parametrize(("height", "data", "coins"), REAL, ids=lambda value: str(value) if type(value) is int else "")
def test_a_real_transaction(height: int, data: bytes, coins: dict[OutPoint, Coin]) -> None:
    view = View(height - 1)
    view.coins = coins
    outcome = judge(view, data, policy=False)
    assert (outcome.verdict, outcome.rule) == (ADMITTED, "")
    assert outcome.fee >= 0
    assert outcome.rests_on < height
    policy = judge(view, data)
    assert (policy.verdict, policy.rule) == (REFUSED, "scriptpubkey"), "its outputs are bare keys"
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            parse_transaction(bytes(flipped))
        except InvalidTransaction:
            continue
        assert judge(view, bytes(flipped), policy=False).verdict is not ADMITTED


def test_a_name_of_an_output() -> None:
    assert point_of(TxId(bytes(32)), 258) == bytes(32) + b"\x02\x01\0\0"
