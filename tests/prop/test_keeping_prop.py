"""The order in which kept transactions are taken up, whatever the order in which they lie."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from obscura.base.instant import Duration
from obscura.base.names import TxId
from obscura.chain import OutPoint, TxInfo
from obscura.node.effects import KeptTransaction
from obscura.node.keeping import TakenUp, parents_first


def txid(number: int) -> TxId:
    return TxId(number.to_bytes(32, "big"))


def kept(number: int, *parents: int) -> TakenUp:
    spends = tuple(OutPoint(txid(parent) + bytes(4)) for parent in parents)
    info = TxInfo(txid(number), TxId(txid(number)[::-1]), 400, spends, 1)
    return KeptTransaction(b"%d" % number, Duration(0)), info


@st.composite
def forests(draw: st.DrawFn) -> list[TakenUp]:
    """Transactions that spend from earlier ones, from others that are not kept, and each output more than once."""
    count = draw(st.integers(0, 40))
    ones = [kept(one, *draw(st.lists(st.integers(max(0, one - 6), one + 100), max_size=4))) for one in range(count)]
    fine = [one for one in ones if all(point.txid < one[1].txid for point in one[1].spends)]
    return draw(st.permutations(fine))


@given(forests())
def test_parents_come_first_and_nothing_is_lost(given_ones: list[TakenUp]) -> None:
    sorted_ones = parents_first(given_ones)
    assert sorted(one[0].data for one in sorted_ones) == sorted(one[0].data for one in given_ones)
    place = {one[1].txid: at for at, one in enumerate(sorted_ones)}
    for at, (_, info) in enumerate(sorted_ones):
        assert all(place.get(point.txid, -1) < at for point in info.spends)


@given(st.permutations([kept(number) for number in range(12)]))
def test_those_that_are_not_related_stay_as_they_were(given_ones: list[TakenUp]) -> None:
    assert parents_first(given_ones) == given_ones


def test_a_long_chain_from_its_end() -> None:
    chain = [kept(number, number - 1) for number in range(1, 20_000)]
    assert parents_first(chain[::-1]) == chain


def test_a_circle_is_not_lost() -> None:
    """No transactions can make one; whoever claims it costs nothing."""
    circle = [kept(1, 3), kept(2, 1), kept(3, 2)]
    assert len(parents_first(circle)) == 3
