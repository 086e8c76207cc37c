"""Who leaves a full pool: each protection by itself, small pools, and sieges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from obscura.base.instant import Duration, Instant
from obscura.base.limits import INBOUND_SLOTS
from obscura.base.names import ConnId
from obscura.base.randomness import Chance
from obscura.peers.eviction import Candidate, choose, quotas

KEY = bytes(range(32))
MINUTE = 60_000_000
FOE = 1_000_000
"""Connections from here on are the attacker's."""


def link(number: int, group: bytes = b"", **known: object) -> Candidate:
    """A link without qualities, of its own group if none is given; the lower its number, the older it is."""
    plain = Candidate(
        conn=ConnId(number),
        group=group or b"group %d" % number,
        opened_at=Instant(number * MINUTE),
        ping=None,
        transactions_at=None,
        blocks_at=None,
        relays=True,
        discouraged=False,
        shielded=False,
    )
    return replace(plain, **known)  # type: ignore[arg-type]


def leaves(pool: Iterable[Candidate], *, protection: bool = True) -> int | None:
    return choose(list(pool), KEY, protection=protection, chance=Chance.from_seed(1))


def last_ones(pool: list[Candidate], count: int) -> list[int]:
    """Who leave, one after the other, while nobody comes."""
    gone = []
    for _ in range(count):
        conn = leaves(pool)
        assert conn is not None
        gone.append(int(conn))
        pool = [one for one in pool if one.conn != conn]
    return gone


# -- the order of things


def test_the_youngest_of_equals_leaves() -> None:
    assert leaves(link(number) for number in range(INBOUND_SLOTS)) in range(INBOUND_SLOTS - 5, INBOUND_SLOTS)


def test_the_youngest_of_the_largest_group_leaves() -> None:
    pool = [link(number) for number in range(100)] + [link(200 + number, b"many") for number in range(4)]
    pool += [link(300 + number) for number in range(10)]
    assert last_ones(pool, 2) == [203, 202]


def test_discouraged_links_leave_first_the_youngest_before_the_others() -> None:
    pool = [link(number) for number in range(10)]
    for number in (2, 4):
        pool[number] = replace(pool[number], discouraged=True, ping=Duration(1))
    assert last_ones(pool, 2) == [4, 2]
    assert leaves(pool, protection=False) == 4


def test_shielded_links_never_leave() -> None:
    pool = [link(number, discouraged=True, shielded=True) for number in range(10)]
    assert leaves(pool) is None
    assert leaves(pool, protection=False) is None
    assert leaves([*pool, link(0x7F)]) == 0x7F
    assert leaves([]) is None


QUALITIES = {
    "ping": [{"ping": Duration(1_000 + number)} for number in range(8)],
    "transactions": [{"transactions_at": Instant(number + 1)} for number in range(4)],
    "blocks only": [{"relays": False, "blocks_at": Instant(number + 1)} for number in range(8)],
    "blocks only, without a block": [{"relays": False} for _ in range(8)],
    "blocks": [{"blocks_at": Instant(number + 1)} for number in range(4)],
}


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_quality_protects_as_many_as_the_table_says_and_the_best(quality: str) -> None:
    """The youngest links, all of one group, would leave one after the other; those that have a quality stay."""
    having = QUALITIES[quality]
    crowd = [link(500 + number, b"crowd", **one) for number, one in enumerate(having)]
    plain = [link(number) for number in range(INBOUND_SLOTS - len(crowd) - 1)]
    assert leaves([*plain, *crowd, link(600, b"crowd")]) == 600
    # One more that has it: the worst of them leaves now, or one that has nothing.
    more = link(400, b"crowd", **{name: value for name, value in having[0].items() if name == "relays"})
    worst = {
        "ping": replace(more, ping=Duration(5_000)),
        "transactions": replace(more, transactions_at=Instant(0)),
        "blocks only": replace(more, blocks_at=None, opened_at=Instant(1 << 50)),
        "blocks only, without a block": replace(more, opened_at=Instant(1 << 50)),
        "blocks": replace(more, blocks_at=Instant(0)),
    }[quality]
    assert leaves([*plain, *crowd, worst]) == 400


def test_the_keyed_hash_protects_groups_that_differ_by_key_and_the_oldest_of_each() -> None:
    # The same age for all: only ties and the hash of groups tell them apart, and pairs show which groups it chose.
    found: dict[bytes, list[int]] = {}
    for key in (b"a", b"b"):
        pool = [link(2 * number, b"group %d" % number, opened_at=Instant(0)) for number in range(57)]
        pool += [link(2 * number + 1, b"group %d" % number, opened_at=Instant(9)) for number in range(57)]
        gone = []
        for _ in range(20):
            conn = choose(pool, key, chance=Chance.from_seed(1))
            assert conn is not None
            gone.append(int(conn))
            pool = [one for one in pool if one.conn != conn]
        assert all(conn % 2 for conn in gone), "the younger of each pair"
        found[key] = gone
    assert found[b"a"] != found[b"b"]


def test_the_keyed_hash_protects_anybody_alike() -> None:
    """The youngest link leaves, but where its group is one of four of 114 that the key puts first."""
    pool = [link(number) for number in range(INBOUND_SLOTS)]
    stays = sum(
        choose(pool, key.to_bytes(4, "big"), chance=Chance.from_seed(1)) != INBOUND_SLOTS - 1 for key in range(300)
    )
    assert 3 <= stays <= 25, "some ten are expected"


@pytest.mark.parametrize(("older", "stays"), [(54, True), (60, False)])
def test_uptime_protects_half_of_what_is_left(older: int, stays: bool) -> None:
    """A pair is the largest group of those that can leave, if uptime does not protect the older of both. The keyed
    hash takes four away before."""
    pool = [link(number) for number in range(INBOUND_SLOTS - 2)]
    pair = [link(800 + second, b"pair", opened_at=Instant(older * MINUTE - 2 + second)) for second in (0, 1)]
    assert (leaves([*pool, *pair]) != 801) == stays


def test_uptime_goes_round_the_groups() -> None:
    """Twenty links of one group came first; they do not keep their half from links of other groups."""
    pool = [link(number, b"first") for number in range(57)] + [link(number) for number in range(57, 114)]
    gone = last_ones(pool, 50)
    assert sorted(gone) == list(range(7, 57))


def test_uptime_is_age_where_all_are_of_one_group() -> None:
    assert last_ones([link(number, b"proxy") for number in range(114)], 100) == list(range(113, 13, -1))


# -- small pools


def test_quotas_are_cores_for_its_own_number_of_slots() -> None:
    assert quotas(114) == (4, 8, 4, 8, 4)
    assert quotas(228) == (8, 16, 8, 16, 8)
    assert quotas(57) == (2, 4, 2, 4, 2)


@pytest.mark.parametrize(
    ("links", "wanted"),
    [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (6, 3), (8, 4), (9, 4), (10, 5), (11, 5), (40, 7)],
)
def test_quotas_of_small_pools(links: int, wanted: int) -> None:
    quota = quotas(links)
    assert sum(quota) == wanted
    if links == 8:
        assert quota == (1, 1, 1, 0, 1), "what costs nothing is given up first"


@pytest.mark.parametrize("links", [1, 2, 3, 4, 5, 8, 9, 20, 114, 300])
def test_a_quarter_of_every_pool_can_leave(links: int) -> None:
    """Whoever it is that leaves is made the best in everything else; a quarter cannot all be protected."""
    assert sum(quotas(links)) + (links - sum(quotas(links))) // 2 <= links - -(-links // 4)
    pool = [link(number, b"%d" % (number % 7), ping=Duration(number)) for number in range(links)]
    assert leaves(pool) is not None


# -- sieges


def honest(chance: Chance, alone: int = 60, hosters: int = 10) -> list[Candidate]:
    """A hundred links that have lasted for up to sixteen minutes: most alone in their group, the others at hosters;
    with pings, some with transactions, fewer with blocks, a fifth for blocks alone."""
    came = Instant(1_000 * MINUTE)

    def lately(percent: int) -> Instant | None:
        return Instant(1 + chance.below(came)) if chance.below(100) < percent else None

    return [
        Candidate(
            conn=ConnId(number),
            group=b"home %d" % number if number < alone else b"hoster %d" % chance.below(hosters),
            opened_at=Instant(1 + chance.below(came)),
            ping=Duration(5_000 + chance.below(400_000)) if chance.below(100) < 95 else None,
            transactions_at=lately(60),
            blocks_at=lately(15),
            relays=chance.below(100) < 80,
            discouraged=False,
            shielded=False,
        )
        for number in range(100)
    ]


def foes(count: int, groups: int, *, strong: bool, since: int = 1_001 * MINUTE) -> Iterator[Candidate]:
    """The attacker's links, 10 ms apart. Strong ones are next door, and are first with transactions and blocks."""
    for number in range(count):
        at = Instant(since + number * 10_000)
        plain = link(FOE + number, b"foe %d" % (number % groups), opened_at=at)
        yield (
            replace(plain, ping=Duration(100), transactions_at=at, blocks_at=at, relays=number % 3 > 0)
            if strong
            else plain
        )


def besiege(pool: list[Candidate], newcomers: Iterable[Candidate], key: bytes, *, protection: bool) -> int:
    """Evict and fill. Returns how many honest links are left."""
    held = {one.conn: one for one in pool}
    chance = Chance.from_seed(9)
    for one in newcomers:
        if len(held) >= INBOUND_SLOTS:
            leaving = choose(list(held.values()), key, protection=protection, chance=chance)
            assert leaving is not None
            del held[leaving]
        held[one.conn] = one
    return sum(conn < FOE for conn in held)


STRENGTHS = pytest.mark.parametrize(
    ("strong", "least"), [(False, 85), (True, 75)], ids=["without qualities", "the best in all"]
)


@STRENGTHS
def test_a_thousand_links_from_forty_groups(strong: bool, least: int) -> None:
    assert besiege(honest(Chance.from_seed(4)), foes(1_000, 40, strong=strong), KEY, protection=True) >= least


@pytest.mark.slow
@STRENGTHS
def test_ten_thousand_links_from_forty_groups(strong: bool, least: int) -> None:
    pool, few = honest(Chance.from_seed(4)), foes(1_000, 40, strong=strong)
    left = besiege(pool, foes(10_000, 40, strong=strong), KEY, protection=True)
    assert left >= least
    assert left == besiege(pool, few, KEY, protection=True), "what the first thousand could not, the others cannot"


def test_links_from_forty_groups_without_protection() -> None:
    pool = honest(Chance.from_seed(4))
    assert besiege(pool, foes(1_000, 40, strong=False), KEY, protection=False) <= 1


@pytest.mark.parametrize("seed", range(3))
def test_what_an_attacker_can_put_out_at_most(seed: int) -> None:
    """The theorem's consequence: where each honest link is alone in its group, the first five, or 29."""
    key = seed.to_bytes(4, "big")
    pool = honest(Chance.from_seed(seed), alone=100)
    assert besiege(pool, foes(500, 40, strong=False), key, protection=True) >= 100 - (quotas(114).groups + 1)
    assert besiege(pool, foes(500, 40, strong=True), key, protection=True) >= 100 - (sum(quotas(114)) + 1)


def test_a_flood_behind_the_same_proxy() -> None:
    """All links of the pool look alike by group: who came later is put out."""
    pool = [replace(one, group=b"proxy") for one in honest(Chance.from_seed(4))]
    flood = [replace(one, group=b"proxy") for one in foes(500, 1, strong=False)]
    assert besiege(pool, flood, KEY, protection=True) == 100


def test_who_came_first_does_not_own_the_pool() -> None:
    """An attacker of three groups holds all slots, with the longest uptimes, and comes again three times for each
    honest link that tries. By age alone 59 honest links would find a place."""
    held = {one.conn: one for one in foes(INBOUND_SLOTS, 3, strong=False, since=0)}
    again = iter(foes(10_000, 3, strong=False))
    next_conn = 0
    waiting = [one.group for one in honest(Chance.from_seed(4))]
    of: dict[int, bytes] = {}
    for turn in range(400):
        coming = [replace(next(again), conn=ConnId(2 * FOE + 3 * turn + serial)) for serial in range(3)]
        if waiting:
            next_conn += 1
            of[next_conn] = waiting.pop(0)
            coming.insert(0, link(next_conn, of[next_conn], opened_at=Instant(coming[0].opened_at - 1)))
        for one in coming:
            leaving = choose(list(held.values()), KEY, chance=Chance.from_seed(1))
            assert leaving is not None
            del held[leaving]
            if leaving < FOE:
                waiting.append(of.pop(leaving))
            held[one.conn] = one
    assert sum(conn < FOE for conn in held) >= 90
