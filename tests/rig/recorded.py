"""Recordings that nobody has recorded: links whose traffic says nothing of what is done, or everything."""

from __future__ import annotations

from collections.abc import Callable

from obscura.base.instant import MICROSECONDS
from obscura.base.randomness import Chance
from obscura.lab.observed import Activity, Cost, Course, Recording, Seen, Window

WINDOW_S = 20
Traffic = Callable[[Activity, Chance], list[Seen]]


def constant(activity: Activity, chance: Chance) -> list[Seen]:
    """A write a second each way, of one length, whatever is done."""
    del activity, chance
    return [Seen(at * MICROSECONDS + half, size) for at in range(WINDOW_S) for half, size in ((0, 512), (500, -512))]


def noise(activity: Activity, chance: Chance) -> list[Seen]:
    """Writes at random moments and of random lengths, whatever is done."""
    del activity
    return sorted(
        Seen(chance.below(WINDOW_S * MICROSECONDS), (1 - 2 * chance.below(2)) * (1 + chance.below(9_000)))
        for _ in range(20 + chance.below(20))
    )


def plain(activity: Activity, chance: Chance) -> list[Seen]:
    """Noise, and a burst that is of another size for each activity."""
    burst = {
        Activity.IDLE: 0,
        Activity.SYNC: -9_000_000,
        Activity.BLOCK: -900_000,
        Activity.OWN: 90_000,
        Activity.RELAYED: -90_000,
    }[activity]
    at = chance.below(WINDOW_S * MICROSECONDS)
    return sorted([*noise(activity, chance), *([Seen(at, burst)] if burst else [])])


def recording(
    name: str,
    traffic: Traffic,
    *,
    worlds: int = 20,
    each: int = 1,
    activities: tuple[Activity, ...] = tuple(Activity),
    topologies: int = 2,
    peaks: int = 0,
    flat: bool = False,
    late: float = 0.0,
    seed: int = 1,
) -> Recording:
    """A recording of ``each`` windows of each activity in each world.

    Args:
        name: of the profile.
        traffic: what is seen.
        worlds: how many; each is of one topology.
        each: windows of one activity in one world.
        activities: which there are.
        topologies: how many.
        peaks: bytes more in the second of a block and the four after it.
        flat: volume over time is constant but for peaks.
        late: seconds added to all delays.
        seed: draws everything.
    """
    windows: list[Window] = []
    courses: list[Course] = []
    costs: list[Cost] = []
    for world in range(worlds):
        chance = Chance.from_seed(seed).fork(f"world {world}")
        topology = world % topologies
        windows += [
            Window(world, topology, one, tuple(traffic(one, chance))) for one in activities for _ in range(each)
        ]
        courses.append(course(world, topology, peaks, chance, flat=flat))
        delays = [tuple(late + chance.uniform() for _ in range(10)) for _ in range(3)]
        wire = 100_000 + chance.below(20_000)
        costs.append(Cost(world, topology, 100.0, wire, wire // 2, wire // 4, wire // 5, *delays))
    return Recording(name, float(WINDOW_S), tuple(windows), tuple(courses), tuple(costs))


def course(world: int, topology: int, peaks: int, chance: Chance, *, flat: bool = False) -> Course:
    """A quarter of an hour of volume at random, or of constant volume, and peaks at six blocks at random."""
    volume = [1_024 if flat else chance.below(2_000) for _ in range(900)]
    found = sorted(chance.sample(range(900), 6))
    for block in found:
        for at in range(block, min(block + 5, 900)):
            volume[at] += peaks
    return Course(world, topology, tuple(volume), tuple(found))
