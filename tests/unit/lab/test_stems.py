"""Ways of stems on graphs that are small enough to follow by hand, under rules that are written down."""

from __future__ import annotations

from collections.abc import Mapping

from obscura.base.names import ConnId
from obscura.base.randomness import Chance
from obscura.lab.forwarding import AllToOne, OneToOne, PerTransaction, draw_routers, draw_rule
from obscura.lab.stems import End, Stem, walk
from obscura.lab.topologies import Topology, line, outbound, regular

NOBODY = [False] * 10


class Written:
    """A rule by a table: (node, edge that it came on, 0 for its own) to the edge that it leaves by."""

    def __init__(self, ways: Mapping[tuple[int, int], int | None]) -> None:
        self._ways = ways

    def own(self, node: int) -> ConnId | None:
        return self.onward(node, ConnId(0))

    def onward(self, node: int, edge: ConnId) -> ConnId | None:
        way = self._ways[node, edge]
        return None if way is None else ConnId(way)


RING = Topology.of(3, [(0, 1), (1, 2), (2, 0)])
ROUND = Written({(0, 0): 1, (1, 1): 2, (2, 2): 3, (0, 3): 1})


def test_a_stem_ends_at_the_first_spy() -> None:
    stem = walk(RING, ROUND, [False, False, True], 0)
    assert stem == Stem(End.SPY, (0, 1), 2)
    assert stem.hops == 2
    assert walk(RING, ROUND, [False, True, True], 0) == Stem(End.SPY, (0,), 1)


def test_a_stem_ends_at_a_diffuser() -> None:
    stem = walk(RING, Written({(0, 0): 1, (1, 1): None}), [False] * 3, 0)
    assert stem == Stem(End.DIFFUSER, (0, 1), None)
    assert stem.hops == 1


def test_who_has_nobody_spreads_at_once() -> None:
    stem = walk(RING, Written({(0, 0): None}), [False] * 3, 0)
    assert stem == Stem(End.DIFFUSER, (0,), None)
    assert stem.hops == 0


def test_a_copy_on_the_same_edge_ends_it() -> None:
    stem = walk(RING, ROUND, [False] * 3, 0)
    assert stem == Stem(End.LOOP, (0, 1, 2, 0), None)
    assert stem.hops == 3
    assert stem.distinct == [0, 1, 2]


def test_a_copy_on_another_edge_goes_on() -> None:
    # Back at 0, it leaves by the edge of what comes on edge 3, and that leads to a spy.
    topology = Topology.of(4, [(0, 1), (1, 2), (2, 0), (0, 3)])
    rule = Written({(0, 0): 1, (1, 1): 2, (2, 2): 3, (0, 3): 4})
    assert walk(topology, rule, [False, False, False, True], 0) == Stem(End.SPY, (0, 1, 2, 0), 3)


def test_a_way_may_be_cut_begun_elsewhere_and_kept_from_used_edges() -> None:
    assert walk(RING, ROUND, [False] * 3, 0, hops=2) == Stem(End.LIMIT, (0, 1, 2), None)
    assert walk(RING, ROUND, [False] * 3, 0, hops=0) == Stem(End.LIMIT, (0,), None)
    used = {ConnId(2): None}
    assert walk(RING, ROUND, [False] * 3, 0, first=ConnId(1), used=used) == Stem(End.LOOP, (0, 1), None)
    assert list(used) == [2, 1]


def test_on_a_line_every_rule_goes_round_to_the_spy_before_its_origin() -> None:
    topology = line(10, Chance.from_seed(1))
    spy = 4
    spies = [node == spy for node in range(10)]
    first = topology.heads[topology.out[spy][0]]
    for name in ("one-to-one", "all-to-one", "per-transaction"):
        stem = walk(topology, draw_rule(name, topology, Chance.from_seed(2), 0.0), spies, first)
        assert stem.hops == 9
        assert stem.spy == spy
        assert topology.heads[topology.out[stem.holders[-1]][0]] == spy


def test_one_to_one_ways_do_not_meet() -> None:
    topology = regular(40, Chance.from_seed(5))
    routers = draw_routers(topology, Chance.from_seed(5), 0.0)
    rule = OneToOne(routers)
    onward = [rule.onward(topology.heads[edge], ConnId(edge)) for edge in range(1, 81)]
    assert sorted(edge for edge in onward if edge is not None) == list(range(1, 81)), "a permutation of all edges"
    for router in routers:
        router.check()


def test_all_to_one_sends_everything_where_its_own_goes() -> None:
    topology = regular(40, Chance.from_seed(6))
    rule = AllToOne(draw_routers(topology, Chance.from_seed(6), 0.0))
    for edge, head in enumerate(topology.heads[1:], start=1):
        assert rule.onward(head, ConnId(edge)) == rule.own(head)


def test_per_transaction_tosses_each_time() -> None:
    topology = regular(40, Chance.from_seed(7))
    rule = PerTransaction(draw_routers(topology, Chance.from_seed(7), 0.0), Chance.from_seed(8))
    seen = [rule.onward(0, ConnId(1)) for _ in range(60)]
    assert sorted(dict.fromkeys(edge for edge in seen if edge is not None)) == sorted(topology.out[0])
    assert seen.count(topology.out[0][0]) in range(15, 46)


def test_diffusers_spread_what_others_stem_but_not_their_own() -> None:
    topology = outbound(40, Chance.from_seed(9))
    for name in ("one-to-one", "all-to-one", "per-transaction"):
        everybody = draw_rule(name, topology, Chance.from_seed(9), 1.0)
        stem = walk(topology, everybody, [False] * 40, 0)
        assert (stem.end, stem.hops) == (End.DIFFUSER, 1)


def test_routers_choose_two_of_all_their_links_alike() -> None:
    topology = outbound(400, Chance.from_seed(10))
    places = [0] * 8
    for out, router in zip(topology.out, draw_routers(topology, Chance.from_seed(10), 0.0), strict=True):
        assert len(router.peers) == 2
        for peer in router.peers:
            places[out.index(peer)] += 1
    assert all(60 < count < 140 for count in places), "100 on average: who joins first is not preferred"
