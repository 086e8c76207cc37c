"""Whole nodes under a script, and what somebody on one encrypted link of one of them sees.

The watched node is host 0. It dials one, two or three others, of which the first, host 1, is at the other end of the
watched link; nobody dials it. The others form a ring with chords. Lines are those of an average day, nodes are as they
are in life but for the share of diffusers (:class:`~obscura.lab.script.WatchOptions`).

Nothing that is promised about a window is taken on trust: its activity has to reach the watched node within the window,
and to come to its end everywhere before the next one begins. A window in which it does not is left out, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ..base.errors import BugError, ConfigError
from ..base.instant import MICROSECONDS, Instant, seconds
from ..base.randomness import Chance
from ..shaping import Shaping
from .acting import Stage
from .observed import Activity, Cost, Course, Recording, Window
from .script import Scene, WatchOptions, write_script
from .workers import Workers

_LOOK: Final = seconds(1)  # between two looks whether an activity is over


class WatchedWorld(NamedTuple):
    """What was recorded of one world; see :class:`~obscura.lab.observed.Recording`."""

    windows: tuple[Window, ...]
    course: Course
    cost: Cost
    late: tuple[Activity, ...]
    left_out: tuple[Activity, ...]


class _Take:
    """One world under way."""

    def __init__(self, number: int, seed: int, topology: int, shaping: Shaping, options: WatchOptions) -> None:
        self._number = number
        self._topology = topology
        self._options = options
        self._stage = Stage(world_seed(seed, number), topology, shaping, options)
        self._windows: list[Window] = []
        self._late: list[Activity] = []
        self._left_out: list[Activity] = []
        self._delays: dict[Activity, list[float]] = {activity: [] for activity in Activity}

    def record(self) -> WatchedWorld:
        """Play the whole script."""
        stage, options = self._stage, self._options
        script = write_script(options, stage.world.chance.fork("script"))
        stage.world.run_for(seconds(options.warm_up_s))
        link, before = stage.link(), stage.spent()
        if link is None or before is None:
            raise BugError(f"the watched link does not stand after {options.warm_up_s:g} s: let worlds warm up longer")
        start = end = stage.world.time
        after = before
        for index, scene in enumerate(script):
            if not self._play(scene):
                self._left_out.append(scene.activity)
            spent = stage.spent()
            if spent is None or stage.link() != link:
                # What follows would be seen on another link: there is nothing more of this one.
                self._left_out += [later.activity for later in script[index + 1 :]]
                break
            end, after = stage.world.time, spent
            stage.world.run_for(scene.rest)
        stage.check()
        wire = stage.tap.total(start, end)
        return WatchedWorld(
            tuple(self._windows),
            Course(self._number, self._topology, stage.tap.volume(start, end), stage.found(start, end)),
            Cost(
                world=self._number,
                topology=self._topology,
                seconds=(end - start) / MICROSECONDS,
                wire=wire,
                real=after.real - before.real,
                padding=after.padding - before.padding,
                decoy=after.decoy - before.decoy,
                block_delays=tuple(self._delays[Activity.BLOCK]),
                relayed_delays=tuple(self._delays[Activity.RELAYED]),
                own_delays=tuple(self._delays[Activity.OWN]),
            ),
            tuple(self._late),
            tuple(self._left_out),
        )

    def _play(self, scene: Scene) -> bool:
        """Play one scene until all is over; whether its window is worth anything."""
        stage, world = self._stage, self._stage.world
        stage.prepare(scene.activity)
        link = stage.link()
        start = world.time
        end = Instant(start + seconds(self._options.window_s))
        world.run_until(Instant(start + scene.begins))
        deed = stage.begin(scene.activity)
        world.run_until(end)
        noticed, done = deed.noticed(), deed.done()
        limit = Instant(end + seconds(self._options.patience_s))
        while not (deed.done() and deed.settled()) and world.time < limit and stage.link() == link:
            world.run_for(_LOOK)
        if not (noticed and deed.done()) or stage.link() != link:
            return False
        if not done:
            self._late.append(scene.activity)
        self._windows.append(Window(self._number, self._topology, scene.activity, stage.tap.window(start, end)))
        if (delay := deed.delay()) is not None:
            self._delays[scene.activity].append(delay / MICROSECONDS)
        return True


def record_world(
    number: int, seed: int, topology: int, shaping: Shaping, options: WatchOptions | None = None
) -> WatchedWorld:
    """Run one world through its script.

    Args:
        number: of the world; it and the seed draw everything.
        seed: of all worlds of a recording.
        topology: how many hosts the watched node dials, 1 to 3.
        shaping: of all links of all hosts.
        options: as usual if not given.

    Raises:
        ConfigError: there is no such topology.
        BugError: the watched link does not stand after the warm-up.
    """
    if not 1 <= topology <= 3:
        raise ConfigError(f"topology {topology}: the watched node dials 1 to 3 hosts")
    return _Take(number, seed, topology, shaping, options or WatchOptions()).record()


class _Task(NamedTuple):
    number: int
    seed: int
    topology: int
    shaping: Shaping
    options: WatchOptions


def _work(task: _Task, chance: Chance) -> WatchedWorld:
    """For workers. A world's chance comes from its own number, so that it is the same in any recording."""
    del chance
    return record_world(*task)


def record(
    name: str,
    shaping: Shaping,
    worlds: int,
    seed: int,
    jobs: int = 1,
    options: WatchOptions | None = None,
    progress: Callable[[float], None] | None = None,
) -> Recording:
    """Run many worlds, numbered from 0, with the topologies in turn.

    Args:
        name: of the recording.
        shaping: of all links of all hosts.
        worlds: how many.
        seed: draws everything; two recordings of one seed differ by their shaping alone.
        jobs: processes; the result does not depend on it.
        options: as usual if not given.
        progress: told how much is done, from 0 to 1.

    Raises:
        ConfigError: there is no world.
        LocalError: a process has died.
    """
    if worlds < 1:
        raise ConfigError(f"{worlds} worlds: one at least")
    options = options or WatchOptions()
    kinds = options.topologies
    tasks = [_Task(number, seed, kinds[number % len(kinds)], shaping, options) for number in range(worlds)]
    with Workers(seed, jobs, progress) as workers:
        found = [one for [one] in workers.each(_work, tasks, 1)]
    return gathered(name, options.window_s, found)


def gathered(name: str, window_s: float, found: Sequence[WatchedWorld]) -> Recording:
    """One recording of many worlds."""
    return Recording(
        name=name,
        window_s=window_s,
        windows=tuple(window for one in found for window in one.windows),
        courses=tuple(one.course for one in found),
        costs=tuple(one.cost for one in found),
        late=tuple(activity for one in found for activity in one.late),
        left_out=tuple(activity for one in found for activity in one.left_out),
    )


def world_seed(seed: int, number: int) -> int:
    """The seed of a world of a recording; its script is drawn from ``World(seed).chance.fork("script")``."""
    return Chance.from_seed(seed).fork(f"watched world {number}").u64() >> 1
