"""Graphs: degrees, no loops, and spies in the share that was asked for."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.errors import BugError, ConfigError
from obscura.base.names import ConnId
from obscura.base.randomness import Chance
from obscura.lab.topologies import OUTBOUND_LINKS, TOPOLOGIES, Topology, draw_spies, line, outbound, regular

SIZES = st.integers(10, 60)
SEEDS = st.integers(0, 1 << 32)


def pairs(topology: Topology) -> list[tuple[int, int]]:
    """The edges, by their numbers, as each node's list of what it has opened says."""
    edges = [(node, topology.heads[edge]) for node, out in enumerate(topology.out) for edge in out]
    numbered = list(zip(topology.tails[1:], topology.heads[1:], strict=True))
    assert sorted(edges) == sorted(numbered), "both views are one"
    return numbered


@given(SIZES, SEEDS)
def test_a_line_is_one_cycle_through_all(nodes: int, seed: int) -> None:
    topology = line(nodes, Chance.from_seed(seed))
    onward = dict(pairs(topology))
    at, seen = 0, []
    for _ in range(nodes):
        seen.append(at)
        at = onward[at]
    assert at == 0
    assert sorted(seen) == list(range(nodes))


@given(SIZES, SEEDS)
def test_regular_graphs_have_two_out_two_in_and_four_neighbours(nodes: int, seed: int) -> None:
    topology = regular(nodes, Chance.from_seed(seed))
    edges = pairs(topology)
    assert all(tail != head for tail, head in edges)
    assert len(edges) == 2 * nodes
    assert all(len(out) == 2 for out in topology.out)
    assert Counter(head for _, head in edges) == dict.fromkeys(range(nodes), 2)
    assert all(len(dict.fromkeys(others)) == len(others) == 4 for others in topology.neighbours())


def test_a_regular_graph_needs_room() -> None:
    with pytest.raises(BugError, match="no two cycles"):
        regular(4, Chance.from_seed(1))


@given(SIZES, SEEDS)
def test_outbound_links_go_to_different_others(nodes: int, seed: int) -> None:
    topology = outbound(nodes, Chance.from_seed(seed))
    pairs(topology)
    for node, out in enumerate(topology.out):
        others = [topology.heads[edge] for edge in out]
        assert len(dict.fromkeys(others)) == len(others) == OUTBOUND_LINKS
        assert node not in others


def test_outbound_links_go_to_all_alike() -> None:
    counts = Counter(head for _, head in pairs(outbound(200, Chance.from_seed(3), links=100)))
    assert len(counts) == 200
    assert all(60 < count < 140 for count in counts.values()), "100 on average, with a deviation of 7"
    with pytest.raises(BugError, match="no 10 others"):
        outbound(10, Chance.from_seed(3), links=10)


def test_second_cycles_are_drawn_alike() -> None:
    # Five nodes leave one second cycle beside a first one: it makes two steps of the first, or goes the other way.
    ahead = 0
    for seed in range(600):
        topology = regular(5, Chance.from_seed(seed))
        first = dict(zip(topology.tails[1:6], topology.heads[1:6], strict=True))
        second = dict(zip(topology.tails[6:], topology.heads[6:], strict=True))
        steps = [second[node] == first[first[node]] for node in range(5)]
        assert all(steps) or not any(steps)
        ahead += all(steps)
    assert 240 < ahead < 360


def test_an_edge_has_a_number_that_is_none_of_the_operators() -> None:
    topology = Topology.of(3, [(0, 1), (1, 2), (2, 0), (0, 2)])
    assert topology.out == ((ConnId(1), ConnId(4)), (ConnId(2),), (ConnId(3),))
    assert topology.heads == (-1, 1, 2, 0, 2)
    assert topology.tails == (-1, 0, 1, 2, 0)
    assert topology.neighbours() == [[1, 2, 2], [0, 2], [1, 0, 0]]


@pytest.mark.parametrize("name", list(TOPOLOGIES))
def test_a_seed_names_a_graph(name: str) -> None:
    draw = TOPOLOGIES[name]
    assert draw(50, Chance.from_seed(1)) == draw(50, Chance.from_seed(1))
    assert draw(50, Chance.from_seed(1)) != draw(50, Chance.from_seed(2))


@given(st.integers(10, 500), st.floats(0, 0.9), SEEDS)
def test_spies_are_the_share_that_was_asked_for(nodes: int, share: float, seed: int) -> None:
    if share > 0 and round(share * nodes) == 0:
        with pytest.raises(ConfigError, match="leaves 0 spies"):
            draw_spies(nodes, share, Chance.from_seed(seed))
        return
    assert sum(draw_spies(nodes, share, Chance.from_seed(seed))) == round(share * nodes)


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.5, float("nan"), float("inf"), 0.99])
def test_impossible_shares_of_spies(share: float) -> None:
    with pytest.raises(ConfigError, match="share of spies"):
        draw_spies(10, share, Chance.from_seed(1))
