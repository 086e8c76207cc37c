"""The mempool: first seen stays, chains are short, what pays least leaves."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pool_transactions import made_up, point, tx_id

from obscura.base.errors import BugError
from obscura.base.instant import Instant
from obscura.base.limits import FAMILY_TRANSACTIONS, FEE_FLOOR, FEE_FLOOR_HALF_LIFE, MEMPOOL_AGE, MEMPOOL_ENTRY_BYTES
from obscura.chain import OutPoint
from obscura.relay.mempool import Mempool, PoolEntry

START = Instant(1_000_000)


def put(pool: Mempool, name: str, *spends: OutPoint, fee: int = 1_000, size: int = 200, rests_on: int = 0) -> list[str]:
    """Add a transaction; the names of those that left."""
    data, info = made_up(name, *spends, size=size)
    gone = pool.add(data, info, fee=fee, rests_on=rests_on, now=START)
    pool.check()
    return names(gone)


def names(entries: list[PoolEntry]) -> list[str]:
    return [entry.data.decode().rstrip(".") for entry in entries]


def test_an_entry_is_found_by_both_names_and_shows_none() -> None:
    pool = Mempool()
    put(pool, "a")
    _, info = made_up("a")
    assert info.relay_id in pool
    assert info.txid not in pool
    entry = pool.by_txid(info.txid)
    assert entry is not None
    assert entry is pool.get(info.relay_id)
    assert repr(entry) == "PoolEntry(redacted, 200 vB)"
    assert pool.size == 200


@pytest.mark.parametrize(
    ("spends", "form", "broken"),
    [
        ((), "", "txn-already-in-mempool"),
        ((), "other", "txn-same-nonwitness-data-in-mempool"),
        ((point("coin of a"),), "", "txn-mempool-conflict"),
    ],
)
def test_first_seen_stays(spends: tuple[OutPoint, ...], form: str, broken: str) -> None:
    pool = Mempool()
    put(pool, "a", fee=1)
    data, info = made_up("b" if spends else "a", *spends, form=form)
    assert pool.refuses(info) == broken
    with pytest.raises(BugError, match=broken):
        pool.add(data, info, fee=1_000_000, rests_on=0, now=START)
    pool.check()


def test_a_chain_is_short_in_depth() -> None:
    pool = Mempool()
    put(pool, "0")
    for at in range(1, FAMILY_TRANSACTIONS):
        put(pool, str(at), point(str(at - 1)))
    _, info = made_up("more", point(str(FAMILY_TRANSACTIONS - 1)))
    assert pool.refuses(info) == "too-long-mempool-chain"
    pool.connect([tx_id("0")], [point("coin of 0")])
    pool.check()
    assert pool.refuses(info) == ""


def test_a_family_is_small_in_breadth() -> None:
    pool = Mempool()
    put(pool, "root")
    for at in range(FAMILY_TRANSACTIONS - 1):
        put(pool, f"child {at}", point("root", at))
    _, info = made_up("more", point("root", 99))
    assert pool.refuses(info) == "too-long-mempool-chain"
    # A second family's limit does not join with the first one's.
    _, info = made_up("elsewhere", point("coin of nobody"))
    assert pool.refuses(info) == ""


def small(entries: int) -> Mempool:
    """A pool with room for so many transactions of one input and 200 bytes."""
    put(probe := Mempool(), "probe")
    return Mempool(entries * probe.held)


def test_over_the_bound_what_pays_least_leaves_and_the_floor_rises() -> None:
    pool = small(3)
    for name, fee in (("a", 300), ("b", 200), ("c", 400)):
        assert put(pool, name, fee=fee) == []
    assert pool.floor(START) == FEE_FLOOR
    assert put(pool, "d", fee=500) == ["b"]
    assert pool.floor(START) == 1_100, "what b paid for 1,000 vB, and a step more"
    assert put(pool, "e", fee=250) == ["e"], "it pays least itself"


def test_a_floor_sinks_to_its_least() -> None:
    pool = small(2)
    for name, fee in (("a", 30_000), ("b", 20_000), ("c", 40_000)):
        put(pool, name, fee=fee)
    raised = pool.floor(START)
    later = Instant(START + FEE_FLOOR_HALF_LIFE)
    assert pool.floor(later) == raised // 2
    pool.connect([tx_id("a"), tx_id("c")], [])
    # An empty pool's floor sinks four times as fast.
    assert pool.floor(Instant(later + FEE_FLOOR_HALF_LIFE)) == pytest.approx(raised / 32, abs=1)
    assert pool.floor(Instant(later + 100 * FEE_FLOOR_HALF_LIFE)) == FEE_FLOOR


def test_a_child_keeps_its_parent_in_the_pool() -> None:
    pool = small(3)
    put(pool, "poor", fee=20)
    put(pool, "rich", point("poor"), fee=10_000)
    put(pool, "middle", fee=1_000)
    assert put(pool, "new", fee=2_000) == ["middle"]


def test_a_family_leaves_as_a_whole() -> None:
    pool = small(3)
    put(pool, "parent", fee=500)
    put(pool, "child", point("parent"), fee=100)
    put(pool, "other", fee=600)
    assert put(pool, "new", fee=700) == ["child"]
    assert put(pool, "newer", fee=800) == ["parent"]


def test_a_block_takes_the_confirmed_and_throws_out_what_contradicts() -> None:
    pool = Mempool()
    put(pool, "a")
    put(pool, "child of a", point("a"))
    put(pool, "b")
    put(pool, "child of b", point("b"))
    put(pool, "c")
    gone = pool.connect([tx_id("a"), tx_id("rival of b")], [point("coin of a"), point("coin of b")])
    pool.check()
    assert names(gone) == ["b", "child of b"]
    assert names(pool.entries()) == ["child of a", "c"]


def test_a_child_that_leaves_before_its_parent_leaves_the_sums_exact() -> None:
    """No valid block holds it so; should a ledger say it, the pool stays whole."""
    pool = Mempool()
    put(pool, "a")
    put(pool, "b", point("a"))
    put(pool, "c", point("b"))
    assert pool.connect([tx_id("b")], []) == []
    pool.check()
    assert names(pool.entries()) == ["a", "c"]


def test_our_own_leaves_with_what_it_builds_on() -> None:
    pool = Mempool()
    put(pool, "theirs")
    data, info = made_up("own", point("theirs"))
    pool.add(data, info, fee=1, rests_on=0, now=START, own=True)
    assert names(pool.expire(Instant(START + MEMPOOL_AGE))) == ["theirs", "own"]
    pool.check()


def test_what_rests_on_lost_blocks_leaves_parents_first() -> None:
    pool = Mempool()
    put(pool, "old", rests_on=5)
    put(pool, "new", rests_on=6)
    put(pool, "child of new", point("new"), rests_on=1)
    assert names(pool.unsettle(5)) == ["new", "child of new"]
    pool.check()
    assert names(pool.entries()) == ["old"]


def test_two_weeks_are_the_longest_stay_for_our_own_as_well() -> None:
    """Else the oldest ones that are named in answer to ``mempool`` would be known for our own."""
    pool = Mempool()
    put(pool, "a")
    put(pool, "child", point("a"))
    data, info = made_up("own")
    pool.add(data, info, fee=1, rests_on=0, now=START, own=True)
    assert pool.expire(Instant(START + MEMPOOL_AGE - 1)) == []
    assert names(pool.expire(Instant(START + MEMPOOL_AGE))) == ["a", "child", "own"]
    pool.check()
    assert pool.entries() == []


def test_a_block_is_filled_by_what_pays_with_its_ancestors() -> None:
    pool = Mempool()
    put(pool, "poor parent", fee=10)
    put(pool, "rich child", point("poor parent"), fee=5_000)
    put(pool, "middling", fee=2_000)
    put(pool, "low", fee=100)
    assert names(pool.select(4_000_000)) == ["poor parent", "rich child", "middling", "low"]
    assert names(pool.select(1_700)) == ["poor parent", "rich child"], "each has 800 weight units"
    assert names(pool.select(900)) == ["middling"], "a smaller package that fits"
    assert pool.select(700) == []


def test_a_package_that_was_too_heavy_fits_once_its_parent_is_in() -> None:
    pool = Mempool()
    put(pool, "parent", fee=1_000, size=100)
    put(pool, "rich", point("parent", 0), fee=9_000, size=300)
    put(pool, "heavy", point("parent", 1), fee=6_000, size=400)
    # rich with its parent takes 1,600; heavy alone fits then, with its parent it would not have.
    assert names(pool.select(3_200)) == ["parent", "rich", "heavy"]


class Model(RuleBasedStateMachine):
    """Whatever is done in whatever order, the invariants hold and the pool says what a list would."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Mempool(30 * (MEMPOOL_ENTRY_BYTES + 1_000))
        self.made = 0
        self.now = START

    @rule(
        data=st.data(),
        fee=st.integers(0, 5_000),
        size=st.integers(60, 900),
        rests_on=st.integers(0, 9),
        coin=st.integers(0, 15),
    )
    def add(self, data: st.DataObject, fee: int, size: int, rests_on: int, coin: int) -> None:
        entries = self.pool.entries()
        spends = [point(f"coin {coin}")]
        if entries:
            for parent in data.draw(st.lists(st.sampled_from(entries), max_size=2)):
                spends.append(OutPoint(parent.info.txid + data.draw(st.integers(0, 2)).to_bytes(4, "little")))
        self.made += 1
        raw, info = made_up(f"tx {self.made}", *dict.fromkeys(spends), size=size)
        taken = {used for entry in entries for used in entry.info.spends}
        clash = any(used in taken for used in info.spends)
        refused = self.pool.refuses(info)
        assert (refused == "txn-mempool-conflict") == clash
        if not refused:
            before = {entry.info.txid for entry in entries} | {info.txid}
            gone = self.pool.add(raw, info, fee=fee, rests_on=rests_on, now=self.now)
            left = {entry.info.txid for entry in gone}
            assert {entry.info.txid for entry in self.pool.entries()} == before - left

    @precondition(lambda self: len(self.pool))
    @rule(data=st.data())
    def connect(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.pool.entries()))
        line = [one for one in self.pool.entries() if one is entry or self._builds_on(entry, one)]
        self.pool.connect([one.info.txid for one in line], [used for one in line for used in one.info.spends])

    @staticmethod
    def _builds_on(entry: PoolEntry, other: PoolEntry) -> bool:
        """Whether ``other`` is an ancestor of ``entry``."""
        line, seen = list(entry.parents.values()), set()
        while line:
            at = line.pop()
            if at is other:
                return True
            if at.info.txid not in seen:
                seen.add(at.info.txid)
                line += at.parents.values()
        return False

    @rule(coin=st.integers(0, 15))
    def contradict(self, coin: int) -> None:
        gone = self.pool.connect([tx_id("of a block")], [point(f"coin {coin}")])
        assert not gone or point(f"coin {coin}") in gone[0].info.spends

    @rule(fork=st.integers(0, 9))
    def unsettle(self, fork: int) -> None:
        self.pool.unsettle(fork)
        assert all(entry.rests_on <= fork for entry in self.pool.entries())

    @rule(weight=st.integers(0, 20_000))
    def select(self, weight: int) -> None:
        chosen = self.pool.select(weight)
        assert sum(entry.info.weight for entry in chosen) <= weight
        seen: set[bytes] = set()
        for entry in chosen:
            assert set(entry.parents) <= seen, "parents come first"
            seen.add(entry.info.txid)

    @rule(passed=st.integers(0, 2 * MEMPOOL_AGE // 3))
    def wait(self, passed: int) -> None:
        self.now = Instant(self.now + passed)
        before = self.pool.floor(self.now)
        assert FEE_FLOOR <= self.pool.floor(self.now) <= before
        self.pool.expire(self.now)

    @invariant()
    def holds(self) -> None:
        self.pool.check()


TestModel = Model.TestCase
