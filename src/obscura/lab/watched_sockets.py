"""Whole nodes on real sockets under a script, and what somebody on one link of each group sees: the check that the
simulated recordings are of the real thing.

A group is three nodes on loopback: the watched one, its peer, and a third that finds blocks and sends transactions;
both dial the peer. All groups live on one event loop and share its processor. The watched link goes through a
:class:`~obscura.lab.socket_observer.LineObserver`, and both of its ends tell what they write as well. Windows are
short, and the times by which transactions spread are shortened as much.

The script comes from the seed; when what happens is up to the machine, so that no two recordings are the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Final, NamedTuple

from ..aio.clock import read_clock
from ..base.errors import BugError, ConfigError
from ..base.instant import MICROSECONDS, Duration, Instant, seconds
from ..base.names import ConnId
from ..base.randomness import Chance
from ..ledgers.memory import mine
from ..ledgers.memory_transactions import parse
from ..node.snapshot import PeerSnapshot
from ..shaping import Profile, Shaping, Traffic
from .acting import Deed, draw_transaction
from .observed import Activity, Cost, Course, Recording, Window
from .script import Scene, WatchOptions, draw, write_script
from .socket_nodes import Member, free_address
from .socket_observer import LineObserver
from .taps import Tap
from .watching import WatchedWorld, gathered

ACTIVITIES: Final = (Activity.IDLE, Activity.BLOCK, Activity.OWN, Activity.RELAYED)
"""What groups do. Nothing cuts them off, so that there is nothing to catch up by."""
PAIRS_MOST: Final = 40  # of groups on one loop: each takes some 10 descriptors and 6 threads
_USUAL_WINDOW_S: Final = 60.0  # in which what spreads by the usual times is over
_LONG_S: Final = 864_000.0  # of an epoch: its first part, a tenth, outlasts every recording
_POLL_S: Final = 0.005
_PATIENCE_S: Final = 10.0
_STANDS_S: Final = 10.0  # in which links stand, on a busy machine too
_GENESIS_TIME: Final = 1_700_000_000
_NODES: Final = 3  # of a group; a fourth address is the observer's
_TOPOLOGY: Final = 1


class SocketRecordings(NamedTuple):
    """The same windows, seen twice."""

    line: Recording
    """By the reads of somebody in the middle."""
    calls: Recording
    """By the writes of both ends."""


class _Group:
    """Three nodes and an observer.

    Args:
        number: of the group.
        chance: draws everything.
        shaping: of all links.
        options: of the script.
    """

    def __init__(self, number: int, chance: Chance, shaping: Shaping, options: WatchOptions) -> None:
        self._number = number
        self._options = options
        self._script = write_script(options, chance.fork("script"))
        self._acts = chance.fork("acts")
        hosts = [free_address(number * (_NODES + 1) + index) for index in range(_NODES + 1)]
        scale = min(1.0, options.window_s / _USUAL_WINDOW_S)
        self._peer = Member(hosts[1], (), chance.fork("peer"), shaping, scale)
        self._observer = LineObserver(hosts[3], hosts[0].host())
        self._watched = Member(hosts[0], (self._observer.address,), chance.fork("watched"), shaping, scale)
        self._other = Member(hosts[2], (self._peer.address,), chance.fork("other"), shaping, scale)
        self._members = (self._watched, self._peer, self._other)
        self._found: list[Instant] = []
        self._sent = 0
        self._following: list[asyncio.Task[None]] = []
        """Looks who has a transaction by now."""
        self._windows: list[tuple[Activity, Instant, Instant]] = []
        self._late: list[Activity] = []
        self._left_out: list[Activity] = []
        self._delays: dict[Activity, list[float]] = {activity: [] for activity in Activity}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All of it runs, and is stopped at the end, whatever happens."""
        self._observer.open(self._peer.address)
        tasks = [asyncio.create_task(member.driver.run()) for member in self._members]
        await asyncio.sleep(0)
        try:
            yield
        finally:
            for following in self._following:
                following.cancel()
            self.request_stop()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await self._observer.close()
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def request_stop(self) -> None:
        """Have all nodes end."""
        for member in self._members:
            member.driver.request_stop()

    # -- the link

    def _ends(self) -> tuple[PeerSnapshot, PeerSnapshot] | None:
        """How both nodes see the watched link; ``None`` while it does not stand."""
        near = [one for one in self._watched.driver.snapshot().peers if one.session]
        if len(near) != 1:
            return None
        far = [one for one in self._peer.driver.snapshot().peers if one.session == near[0].session]
        return (near[0], far[0]) if far else None

    def _link(self) -> tuple[ConnId, ConnId] | None:
        ends = self._ends()
        return None if ends is None else (ends[0].conn, ends[1].conn)

    def _spent(self) -> Traffic:
        ends = self._ends()
        assert ends is not None, "it is asked only while the link stands"
        near, far = (end.shaped_out for end in ends)
        return Traffic(near.real + far.real, near.padding + far.padding, near.decoy + far.decoy)

    def _calls(self, link: tuple[ConnId, ConnId]) -> Tap:
        """What both ends have written to the watched link."""
        tap = Tap()
        near = [(at, size, True) for conn, at, size in self._watched.writes if conn == link[0]]
        far = [(at, size, False) for conn, at, size in self._peer.writes if conn == link[1]]
        for at, size, outward in sorted(near + far):
            tap.saw(at, size, outward=outward)
        return tap

    # -- the script

    async def record(self) -> tuple[WatchedWorld, WatchedWorld]:
        """Play the script while it all runs; what was seen on the line and what was written.

        Raises:
            BugError: the watched link does not stand in time.
        """
        limit = read_clock().mono + seconds(_STANDS_S)
        while self._link() is None or len(self._peer.driver.snapshot().peers) < _NODES - 1:
            if read_clock().mono > limit:
                raise BugError(f"the links of group {self._number} do not stand after {_STANDS_S:g} s")
            await asyncio.sleep(_POLL_S)
        await asyncio.sleep(self._options.warm_up_s)
        if (link := self._link()) is None:
            raise BugError("the watched link has ended while it was to grow old")
        before = self._spent()
        start = end = read_clock().mono
        after = before
        for index, scene in enumerate(self._script):
            if not await self._play(scene, link):
                self._left_out.append(scene.activity)
            if self._link() != link:
                self._left_out += [later.activity for later in self._script[index + 1 :]]
                break
            end, after = read_clock().mono, self._spent()
            await asyncio.sleep(scene.rest / MICROSECONDS)
        used = Traffic(after.real - before.real, after.padding - before.padding, after.decoy - before.decoy)
        return self._cut(self._observer.tap, start, end, used), self._cut(self._calls(link), start, end, used)

    async def _play(self, scene: Scene, link: tuple[ConnId, ConnId]) -> bool:
        start = read_clock().mono
        end = Instant(start + seconds(self._options.window_s))
        await _sleep_until(Instant(start + scene.begins))
        deed = await self._begin(scene.activity)
        await _sleep_until(end)
        noticed, done = deed.noticed(), deed.done()
        limit = end + seconds(self._options.patience_s)
        while not (deed.done() and deed.settled()) and read_clock().mono < limit and self._link() == link:
            await asyncio.sleep(_POLL_S)
        if not (noticed and deed.done()) or self._link() != link:
            return False
        if not done:
            self._late.append(scene.activity)
        self._windows.append((scene.activity, start, end))
        if (delay := deed.delay()) is not None:
            self._delays[scene.activity].append(delay / MICROSECONDS)
        return True

    async def _begin(self, activity: Activity) -> Deed:
        match activity:
            case Activity.BLOCK:
                return await self._find()
            case Activity.OWN:
                return await self._send(self._watched, self._peer)
            case Activity.RELAYED:
                return await self._send(self._other, self._watched)
            case _:
                return Deed()

    async def _find(self) -> Deed:
        """A block, found by the third node."""
        picture = self._other.driver.snapshot()
        height = picture.height + 1
        body = height.to_bytes(8, "little") + bytes(draw(self._options.block_bytes, self._acts) - 8)
        block = mine(picture.tip, body, _GENESIS_TIME + height)
        began = read_clock().mono
        self._found.append(began)
        tip = (await self._other.driver.submit_block(block)).hash
        moved = self._watched.moved
        return Deed(
            noticed=lambda: self._watched.driver.snapshot().headers >= height,
            done=lambda: tip in moved,
            settled=lambda: all(tip in member.moved for member in self._members),
            delay=lambda: Duration(moved[tip] - began),
        )

    async def _send(self, origin: Member, target: Member) -> Deed:
        """A transaction that is to come from one to another."""
        data = draw_transaction(self._sent, self._options, self._acts)
        self._sent += 1
        name = parse(data).info.relay_id
        began = read_clock().mono
        done = await origin.driver.submit_transaction(data)
        if not done.accepted:
            raise BugError(f"a script's transaction breaks the rule {done.rule!r}")
        arrived: dict[int, Instant] = {}

        def has(member: Member) -> bool:
            return any(item.relay_id == name for item in member.driver.mempool())

        async def follow() -> None:
            while not has(target):
                await asyncio.sleep(_POLL_S)
            arrived[0] = read_clock().mono

        following = asyncio.create_task(follow())
        self._following.append(following)
        return Deed(
            noticed=lambda: origin is self._watched or bool(arrived),
            done=lambda: bool(arrived),
            settled=lambda: all(map(has, self._members)),
            delay=lambda: Duration(arrived[0] - began),
        )

    def _cut(self, tap: Tap, start: Instant, end: Instant, used: Traffic) -> WatchedWorld:
        return WatchedWorld(
            tuple(Window(self._number, _TOPOLOGY, activity, tap.window(*span)) for activity, *span in self._windows),
            Course(
                self._number,
                _TOPOLOGY,
                tap.volume(start, end),
                tuple((at - start) // MICROSECONDS for at in self._found if start <= at < end),
            ),
            Cost(
                world=self._number,
                topology=_TOPOLOGY,
                seconds=(end - start) / MICROSECONDS,
                wire=tap.total(start, end),
                real=used.real,
                padding=used.padding,
                decoy=used.decoy,
                block_delays=tuple(self._delays[Activity.BLOCK]),
                relayed_delays=tuple(self._delays[Activity.RELAYED]),
                own_delays=tuple(self._delays[Activity.OWN]),
            ),
            tuple(self._late),
            tuple(self._left_out),
        )


async def _sleep_until(instant: Instant) -> None:
    await asyncio.sleep(max(0, instant - read_clock().mono) / MICROSECONDS)


async def _record(
    shaping: Shaping, pairs: int, options: WatchOptions, seed: int
) -> list[tuple[WatchedWorld, WatchedWorld]]:
    chance = Chance.from_seed(seed)
    async with AsyncExitStack() as stack:
        groups: list[_Group] = []
        for number in range(pairs):
            group = _Group(number, chance.fork(f"group {number}"), shaping, options)
            groups.append(group)
            await stack.enter_async_context(group.running())
        tasks = [asyncio.create_task(group.record()) for group in groups]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            # All at once: each may take a second to end.
            for group in groups:
                group.request_stop()


def record_sockets(
    name: str, shaping: Shaping, pairs: int, windows: int, window_s: float, seed: int
) -> SocketRecordings:
    """Run groups of three nodes on this machine, all at once, for about ``2 * windows * window_s`` seconds.

    Args:
        name: of the recordings.
        shaping: of all links.
        pairs: how many watched links, each with a group of its own.
        windows: of each group; as many of each of :data:`ACTIVITIES`.
        window_s: half a second at least.
        seed: draws the scripts.

    Raises:
        ConfigError: a number is impossible, or an address of 127.0.0.0/8 is not to be had.
        BugError: a group's links do not stand in ten seconds: a defect, or the machine is overloaded.
    """
    if not 1 <= pairs <= PAIRS_MOST:
        raise ConfigError(f"{pairs} watched links: 1 to {PAIRS_MOST}")
    if windows < 1 or windows % len(ACTIVITIES):
        raise ConfigError(f"{windows} windows: as many of each of the {len(ACTIVITIES)} activities")
    options = WatchOptions(
        window_s=window_s,
        each=windows // len(ACTIVITIES),
        activities=ACTIVITIES,
        warm_up_s=1.0,
        rest_s=(window_s / 2, window_s),
        patience_s=_PATIENCE_S,
    )
    with asyncio.Runner() as runner:
        found = runner.run(_record(shaping, pairs, options, seed))
    line, calls = zip(*found, strict=True)
    return SocketRecordings(gathered(name, window_s, line), gathered(name, window_s, calls))


def record_over_sockets(
    profiles: Sequence[Profile], shaping: Shaping, pairs: int, windows: int, window_s: float, seed: int
) -> list[Recording]:
    """Record what an observer in the middle reads of links over sockets of this machine, in real time.

    Args:
        profiles: which.
        shaping: bounds of the profiles that have any; a steady rate stays for the whole recording.
        pairs: watched links, all at once.
        windows: of each link; a multiple of the number of activities, which are all but ``sync``.
        window_s: their length.
        seed: draws what is drawn; times are the machine's.

    Raises:
        ConfigError: a number is impossible.
    """
    found = []
    for profile in profiles:
        shaped = replace(shaping, profile=profile, choices=())
        if profile is Profile.STEADY:
            shaped = replace(shaped, steady=replace(shaped.steady, epoch=seconds(_LONG_S)))
        found.append(record_sockets(profile.value, shaped, pairs, windows, window_s, seed).line)
    return found
