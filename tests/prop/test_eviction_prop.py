"""Eviction, for any pool: what is protected stays, the answer depends on no order, and the theorem of its head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from obscura.base.instant import Duration, Instant
from obscura.base.limits import (
    INBOUND_SLOTS,
    PROTECT_BLOCK_ONLY,
    PROTECT_BLOCKS,
    PROTECT_GROUPS,
    PROTECT_PINGS,
    PROTECT_TRANSACTIONS,
)
from obscura.base.names import ConnId
from obscura.base.randomness import Chance
from obscura.peers.eviction import Candidate, choose, quotas

FOE = 1_000
TIMES = 200
keys = st.binary(min_size=1, max_size=64)


def link(number: int, drawn: int, *, groups: int = 12, since: int = 0, marks: bool = False) -> Candidate:
    """The link that a drawn number stands for. Its parts have few values: ties are frequent."""

    def part(bound: int) -> int:
        nonlocal drawn
        drawn, taken = divmod(drawn, bound)
        return taken

    def lately() -> int | None:
        return None if part(3) == 0 else part(TIMES)

    return Candidate(
        conn=ConnId(number),
        group=b"group %d" % part(groups),
        opened_at=Instant(since + part(TIMES)),
        ping=None if (ping := lately()) is None else Duration(ping),
        transactions_at=None if (at := lately()) is None else Instant(at),
        blocks_at=None if (at := lately()) is None else Instant(at),
        relays=part(3) > 0,
        discouraged=marks and part(10) == 0,
        shielded=marks and part(2) == 0,
    )


def pools(
    least: int, most: int, *, first: int = 0, groups: int = 12, since: int = 0, marks: bool = False
) -> st.SearchStrategy[list[Candidate]]:
    drawn = st.lists(st.integers(0, (1 << 50) - 1), min_size=least, max_size=most)
    return drawn.map(
        lambda numbers: [
            link(first + at, one, groups=groups, since=since, marks=marks) for at, one in enumerate(numbers)
        ]
    )


mixed = pools(0, 40, marks=True)
plain = pools(1, 40)


def leaves(pool: Sequence[Candidate], key: bytes = b"k", *, protection: bool = True) -> Candidate | None:
    conn = choose(pool, key, protection=protection, chance=Chance.from_seed(3))
    return None if conn is None else next(one for one in pool if one.conn == conn)


@given(mixed, st.booleans())
def test_somebody_leaves_but_never_a_shielded_one(pool: list[Candidate], protection: bool) -> None:
    leaving = leaves(pool, protection=protection)
    assert (leaving is None) == all(one.shielded for one in pool)
    assert leaving is None or not leaving.shielded


@given(mixed, st.booleans())
def test_discouraged_ones_leave_first_the_youngest_before_others(pool: list[Candidate], protection: bool) -> None:
    marked = [one for one in pool if one.discouraged and not one.shielded]
    leaving = leaves(pool, protection=protection)
    if marked:
        assert leaving in marked
        assert leaving.opened_at == max(one.opened_at for one in marked)


@given(mixed, keys, st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_the_candidates_does_not_matter(
    pool: list[Candidate], key: bytes, protection: bool, random: object
) -> None:
    # Most of them equals, so that ties decide.
    pool = [replace(one, opened_at=Instant(one.opened_at % 3), ping=Duration((one.ping or 0) % 3)) for one in pool]
    other = list(pool)
    random.shuffle(other)  # type: ignore[attr-defined]
    assert leaves(pool, key, protection=protection) == leaves(other, key, protection=protection)


def better(pool: list[Candidate], one: Candidate, worth: Callable[[Candidate], int | None]) -> int:
    """How many others have more of a quality, or as much."""
    mine = worth(one)
    assert mine is not None
    return sum(1 for other in pool if other is not one and (has := worth(other)) is not None and has >= mine)


def block_only(one: Candidate) -> int | None:
    if one.relays:
        return None
    return -10_000 - one.opened_at if one.blocks_at is None else one.blocks_at


@given(plain, keys)
def test_who_is_protected_never_leaves(pool: list[Candidate], key: bytes) -> None:
    """Whoever leaves is not among the best of all in any quality, nor the oldest of all."""
    leaving = leaves(pool, key)
    assert leaving is not None
    quota = quotas(len(pool))
    for count, worth in (
        (quota.pings, lambda one: None if one.ping is None else -one.ping),
        (quota.transactions, lambda one: one.transactions_at),
        (quota.block_only, block_only),
        (quota.blocks, lambda one: one.blocks_at),
    ):
        if worth(leaving) is not None:
            assert better(pool, leaving, worth) >= count
    if len(pool) >= 4:
        # Half of the half that the qualities leave, at least: the oldest of all is first there.
        assert better(pool, leaving, lambda one: -one.opened_at) >= 1


@given(plain, keys)
def test_nobody_is_older_than_the_rest_of_his_group_that_can_leave(pool: list[Candidate], key: bytes) -> None:
    """Whoever leaves has no younger link of his own group beside him, but for those that a quality protects."""
    leaving = leaves(pool, key)
    assert leaving is not None
    younger = [one for one in pool if one.group == leaving.group and one.opened_at > leaving.opened_at]
    assert len(younger) <= sum(quotas(len(pool)))


# -- the theorem

honest_links = pools(1, 40)
strong_foes = pools(1, 60, first=FOE, groups=20, since=TIMES)


def safe(pool: list[Candidate]) -> dict[ConnId, None]:
    """Links older than all others of their group and than all of the attacker's."""
    return {
        one.conn: None
        for one in pool
        if one.conn < FOE
        and all(other is one or other.group != one.group or other.opened_at > one.opened_at for other in pool)
    }


@given(honest_links, strong_foes, keys)
def test_however_good_an_attacker_is_the_oldest_of_a_group_stays(
    honest: list[Candidate], foes: list[Candidate], key: bytes
) -> None:
    """Older than the attacker, who holds more links than the qualities protect: he comes from any groups, the honest
    ones' too, with any qualities."""
    pool = honest + foes
    if len(foes) <= sum(quotas(len(pool))):
        return
    leaving = leaves(pool, key)
    assert leaving is not None
    assert leaving.conn not in safe(pool)


def without_qualities(one: Candidate) -> Candidate:
    return replace(one, ping=None, transactions_at=None, blocks_at=None, relays=True)


@given(honest_links, strong_foes, keys)
def test_an_attacker_without_qualities_never_puts_out_the_oldest_of_a_group(
    honest: list[Candidate], foes: list[Candidate], key: bytes
) -> None:
    """Once he holds more links than the keyed hash protects."""
    pool = honest + [without_qualities(one) for one in foes]
    if len(foes) <= quotas(len(pool)).groups:
        return
    leaving = leaves(pool, key)
    assert leaving is not None
    assert leaving.conn not in safe(pool)


def worse_than_all(one: Candidate, honest: list[Candidate]) -> Candidate:
    """Of everything that one has, less than every honest link."""
    return replace(
        one,
        relays=True,
        ping=None if one.ping is None else Duration(one.ping + 1 + max(other.ping or 0 for other in honest)),
        transactions_at=None if one.transactions_at is None else Instant(-1 - one.transactions_at),
        blocks_at=None if one.blocks_at is None else Instant(-1 - one.blocks_at),
    )


def having_all(one: Candidate) -> Candidate:
    return replace(
        one,
        group=b"alone %d" % one.conn,
        ping=one.ping or Duration(7),
        transactions_at=one.transactions_at or Instant(7),
        blocks_at=one.blocks_at or Instant(7),
    )


@given(pools(24, 40), strong_foes, keys)
def test_an_attacker_who_is_worse_in_everything_evicts_no_honest_link(
    honest: list[Candidate], foes: list[Candidate], key: bytes
) -> None:
    """Honest links of different groups, each with every quality, as many as all qualities protect together; of the
    attacker more than the keyed hash protects, from any number of groups of his own."""
    honest = [having_all(one) for one in honest]
    pool = honest + [worse_than_all(one, honest) for one in foes]
    quota = quotas(len(pool))
    assert len(honest) >= sum(quota)
    if len(foes) <= quota.groups:
        return
    leaving = leaves(pool, key)
    assert leaving is not None
    assert leaving.conn >= FOE


@given(honest_links, strong_foes, keys)
def test_behind_one_proxy_no_older_link_leaves(honest: list[Candidate], foes: list[Candidate], key: bytes) -> None:
    """All of one group, as where a local proxy hides who comes."""
    pool = [replace(one, group=b"proxy") for one in honest + foes]
    if len(foes) <= sum(quotas(len(pool))):
        return
    leaving = leaves(pool, key)
    assert leaving is not None
    assert leaving.conn >= FOE


# -- the numbers


@given(st.integers(0, 2_000))
def test_quotas_scale_and_leave_a_half(links: int) -> None:
    quota = quotas(links)
    full = (PROTECT_GROUPS, PROTECT_PINGS, PROTECT_TRANSACTIONS, PROTECT_BLOCK_ONLY, PROTECT_BLOCKS)
    assert quotas(INBOUND_SLOTS) == full
    assert sum(quota) <= links // 2
    if links >= 10:
        assert quota == tuple(max(1, one * links // INBOUND_SLOTS) for one in full)
    assert all(few <= many for few, many in zip(quota, quotas(links + 1), strict=True))
