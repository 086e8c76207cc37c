"""Recordings of simulated worlds: what is labelled is what happened, and nothing else gives a label away."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache

import pytest

from obscura.base.errors import BugError, ConfigError
from obscura.base.instant import MICROSECONDS, seconds
from obscura.base.randomness import Chance
from obscura.lab.acting import PEER, WATCHED, Stage, draw_transaction, draw_wiring
from obscura.lab.observed import Activity, Seen, Window
from obscura.lab.script import WatchOptions, usual_lines, write_script
from obscura.lab.watching import WatchedWorld, record, record_world, world_seed
from obscura.ledgers.memory_transactions import parse
from obscura.shaping import Profile, Shaping
from obscura.sim.lines import LineOptions
from obscura.sim.world import World

SEED = 11
SMALL = WatchOptions(each=2)
OFF, PAD = (Shaping(profile=profile) for profile in (Profile.OFF, Profile.PAD))
PINGS = {OFF: 65, PAD: 256}
BOTH = pytest.mark.parametrize("shaping", [OFF, PAD])


@lru_cache
def watched(shaping: Shaping, topology: int = 1, number: int = 0) -> WatchedWorld:
    """A small world, run once for all tests."""
    return record_world(number, SEED, topology, shaping, SMALL)


def of(world: WatchedWorld, activity: Activity) -> list[Window]:
    """Its windows of one label."""
    found = [window for window in world.windows if window.activity is activity]
    assert found
    return found


def but_pings(window: Window, shaping: Shaping) -> list[Seen]:
    """What is no ping and no pong, by its length."""
    return [seen for seen in window.seen if abs(seen.size) != PINGS[shaping]]


def into(window: Window) -> int:
    """Bytes to the watched node."""
    return -sum(seen.size for seen in window.seen if seen.size < 0)


# -- what is promised of every world


@BOTH
@pytest.mark.parametrize("topology", [1, 2, 3])
def test_labels_are_balanced_and_windows_lie_in_their_length(shaping: Shaping, topology: int) -> None:
    world = watched(shaping, topology)
    assert (world.late, world.left_out) == ((), ())
    assert Counter(window.activity for window in world.windows) == dict.fromkeys(Activity, SMALL.each)
    for window in world.windows:
        assert (window.world, window.topology) == (0, topology)
        times = [seen.at for seen in window.seen]
        assert times == sorted(times)
        assert all(0 <= at < SMALL.window_s * MICROSECONDS for at in times)
        assert all(seen.size for seen in window.seen)
    assert any(window.seen for window in world.windows)


@BOTH
def test_before_an_activity_there_are_but_pings(shaping: Shaping) -> None:
    """Nothing is left over from the window before, and no label shows before its time."""
    for number in range(2):
        world = watched(shaping, number + 1, number)
        script = write_script(SMALL, World(world_seed(SEED, number)).chance.fork("script"))
        assert [scene.activity for scene in script] == [window.activity for window in world.windows]
        assert len({scene.begins for scene in script}) == len(script)
        rests = sum(scene.rest for scene in script[:-1])
        assert world.cost.seconds * MICROSECONDS >= rests + len(script) * seconds(SMALL.window_s)
        for scene, window in zip(script, world.windows, strict=True):
            assert all(abs(seen.size) == PINGS[shaping] for seen in window.seen if seen.at < scene.begins)


def test_worlds_have_orders_of_their_own() -> None:
    orders = [tuple(window.activity for window in watched(OFF, 1, number).windows) for number in range(2)]
    assert orders[0] != orders[1]


@BOTH
def test_the_course_and_the_cost_are_of_the_same_bytes(shaping: Shaping) -> None:
    world = watched(shaping)
    course, cost = world.course, world.cost
    assert sum(course.volume) == cost.wire
    assert len(course.volume) == -(-cost.seconds // 1)
    assert len(course.blocks) == 2 * SMALL.each  # found alone, and caught up by
    assert all(0 <= second < len(course.volume) for second in course.blocks)
    # What is left are 37 bytes a record.
    records, rest = divmod(cost.wire - cost.real - cost.padding - cost.decoy, 37)
    assert rest == 0
    assert records > 0
    assert sum(abs(seen.size) for window in world.windows for seen in window.seen) <= cost.wire
    delays = (cost.block_delays, cost.relayed_delays, cost.own_delays)
    assert all(len(one) == SMALL.each and 0 < min(one) <= max(one) < SMALL.window_s for one in delays)


def test_padding_is_counted() -> None:
    assert watched(OFF).cost.padding == 0
    assert watched(PAD).cost.padding > 0


@BOTH
def test_the_tap_sees_what_the_nodes_count(shaping: Shaping) -> None:
    stage = Stage(3, 2, shaping, SMALL)
    stage.world.run_for(seconds(100))
    before = stage.ends()
    start = stage.world.time
    stage.begin(Activity.OWN)
    stage.begin(Activity.BLOCK)
    stage.world.run_for(seconds(300))
    after = stage.ends()
    assert before is not None
    assert after is not None
    seen = stage.tap.window(start, stage.world.time)
    for side, sign in ((0, 1), (1, -1)):
        counted = after[side].bytes_out - before[side].bytes_out
        assert counted == sum(sign * one.size for one in seen if sign * one.size > 0) > 0


# -- what the labels mean


@BOTH
def test_idle_windows_have_pings_alone(shaping: Shaping) -> None:
    windows = of(watched(shaping), Activity.IDLE) + of(watched(shaping, 2, 1), Activity.IDLE)
    assert not [seen for window in windows for seen in but_pings(window, shaping)]
    assert any(window.seen for window in windows)


def test_the_only_link_carries_each_block() -> None:
    for window in of(watched(OFF), Activity.BLOCK):
        assert SMALL.block_bytes[0] + 80 <= into(window) <= SMALL.block_bytes[1] + 2_000


def test_one_of_three_links_does_not() -> None:
    windows = of(watched(OFF, 3), Activity.BLOCK) + of(watched(OFF, 3, 1), Activity.BLOCK)
    assert any(into(window) < SMALL.block_bytes[0] for window in windows)


def test_the_only_link_carries_all_blocks_of_a_catching_up() -> None:
    for window in of(watched(OFF), Activity.SYNC):
        assert into(window) >= SMALL.sync_blocks[0] * SMALL.sync_bytes[0]


def test_our_own_transaction_goes_out_first() -> None:
    for window in of(watched(OFF), Activity.OWN):
        first = but_pings(window, OFF)[0]
        assert first.size >= SMALL.transaction_bytes[0]
    stage = Stage(3, 1, OFF, SMALL)
    stage.world.run_for(seconds(300))
    start = stage.world.time
    stage.begin(Activity.OWN)
    stage.world.run_for(seconds(0.1))
    assert [seen.size > 0 for seen in stage.tap.window(start, stage.world.time)] == [True]


def test_another_ones_transaction_comes_in() -> None:
    for window in of(watched(OFF), Activity.RELAYED):
        assert but_pings(window, OFF)[0].size < 0
        assert into(window) >= SMALL.transaction_bytes[0]


# -- repetition


def test_a_seed_repeats_a_world() -> None:
    again = record_world(0, SEED, 2, PAD, SMALL)
    assert again == watched(PAD, 2)
    assert record_world(0, SEED + 1, 2, PAD, SMALL).windows != again.windows


def test_one_process_or_two() -> None:
    options = replace(SMALL, each=1, topologies=(1, 3), activities=(Activity.BLOCK, Activity.OWN))
    shares: list[float] = []
    one = record("pad", PAD, 3, SEED, 1, options, shares.append)
    assert shares[-1] == 1.0
    assert one == record("pad", PAD, 3, SEED, 2, options)
    assert [cost.topology for cost in one.costs] == [1, 3, 1]
    assert [window.world for window in one.windows] == [0, 0, 1, 1, 2, 2]
    assert (one.name, one.window_s, len(one.courses)) == ("pad", 60.0, 3)
    # A world is the same in a recording of any length.
    assert record("pad", PAD, 1, SEED, 1, options).windows == one.windows[:2]


# -- what does not go well


def test_slow_links() -> None:
    """20 kB through two links at least at 4 kB/s take 10 s: more than the window."""
    slow = WatchOptions(
        window_s=8.0,
        each=2,
        activities=(Activity.BLOCK,),
        block_bytes=(20_000, 20_000),
        lines=replace(usual_lines(), bandwidth=4_000),
    )
    world = record_world(0, SEED, 1, OFF, slow)
    assert world.windows
    assert world.late == (Activity.BLOCK,) * len(world.windows)
    assert len(world.windows) + len(world.left_out) == 2
    assert all(delay > 5 for delay in world.cost.block_delays)
    impatient = record_world(0, SEED, 1, OFF, replace(slow, patience_s=0.0))
    assert impatient.left_out == (Activity.BLOCK,) * 2
    assert impatient.windows == ()
    # The watched node hears of a block when the one before it has all of it: after the window, at half the speed.
    slower = replace(slow, lines=replace(usual_lines(), bandwidth=2_000))
    assert record_world(0, SEED, 1, OFF, slower).left_out == (Activity.BLOCK,) * 2


def test_a_bottleneck_shows_in_the_delays() -> None:
    options = replace(SMALL, activities=(Activity.BLOCK,), block_bytes=(100_000, 100_000))
    narrow = replace(options, lines=replace(usual_lines(), bandwidth=65_536))
    wide, slow = (min(record_world(0, SEED, 1, OFF, one).cost.block_delays) for one in (options, narrow))
    assert slow - wide > 100_000 / 65_536


def test_a_link_that_breaks_ends_its_world() -> None:
    lines = LineOptions(
        latency_min=seconds(0.02), latency_max=seconds(0.08), jitter=seconds(0.01), loss=0.0, cut=0.0, reset=0.004
    )
    # Long windows: another link stands at their end again.
    options = replace(SMALL, window_s=200.0, lines=lines)
    worlds = [record_world(number, SEED, 1, OFF, options) for number in range(3)]
    assert any(world.left_out for world in worlds)
    for number, world in enumerate(worlds):
        script = write_script(options, World(world_seed(SEED, number)).chance.fork("script"))
        assert [window.activity for window in world.windows] + list(world.left_out) == [one.activity for one in script]
        assert sum(world.course.volume) == world.cost.wire


def test_a_world_that_is_not_warm() -> None:
    with pytest.raises(BugError, match="warm up longer"):
        record_world(0, SEED, 1, OFF, replace(SMALL, warm_up_s=0.0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"window_s": 0.1},
        {"warm_up_s": -1.0},
        {"patience_s": -1.0},
        {"each": 0},
        {"activities": ()},
        {"topologies": ()},
        {"topologies": (1, 4)},
        {"rest_s": (2.0, 1.0)},
        {"rest_s": (-1.0, 1.0)},
        {"hosts": (5, 8)},
        {"hosts": (6, 61)},
        {"block_bytes": (7, 100)},
        {"sync_bytes": (7, 100)},
        {"sync_blocks": (0, 1)},
        {"transaction_bytes": (10, 100)},
        {"transaction_bytes": (100, 10_001)},
        {"diffusers": 0.0},
        {"diffusers": 1.1},
    ],
    ids=str,
)
def test_options_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        replace(SMALL, **wrong)


def test_worlds_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="topology 4"):
        record_world(0, SEED, 4, OFF)
    with pytest.raises(ConfigError, match="0 worlds"):
        record("off", OFF, 0, SEED)


# -- parts


def test_wirings() -> None:
    for number in range(60):
        hosts, topology = 6 + number % 3, 1 + number % 3
        wiring = draw_wiring(topology, hosts, Chance.from_seed(number))
        edges = [(near, far) for near, dials in enumerate(wiring) for far in dials]
        assert wiring[WATCHED][0] == PEER
        assert len(wiring[WATCHED]) == topology
        assert WATCHED not in {far for _, far in edges}
        assert all(wiring[PEER:])
        # Nobody dials himself, and no two have two links.
        assert len({frozenset(edge) for edge in edges}) == len(edges)
        assert all(near != far for near, far in edges)
        reached = {WATCHED}
        for _ in range(hosts):
            reached |= {other for edge in edges for other in edge if reached & set(edge)}
        assert len(reached) == hosts


def test_transactions_have_the_lengths_that_were_asked_for() -> None:
    chance = Chance.from_seed(1)
    made = [draw_transaction(number, SMALL, chance) for number in range(50)]
    low, high = SMALL.transaction_bytes
    assert all(low <= len(data) <= high for data in made)
    assert len({len(data) for data in made}) > 30
    assert len({parse(data).info.txid for data in made}) == 50
    shortest = replace(SMALL, transaction_bytes=(61, 61))
    assert len(draw_transaction(1, shortest, chance)) == 61
