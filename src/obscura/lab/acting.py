"""A simulated world for a script: hosts, the tap on one link, and how each activity is done and seen to be done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from ..base.errors import BugError
from ..base.instant import MICROSECONDS, Duration, Instant, seconds
from ..base.names import BlockHash, ConnId, TxId
from ..base.randomness import Chance
from ..ledgers.memory_transactions import FAUCET_AMOUNT, faucet, make_transaction, parse
from ..node import NodeConfig
from ..node.effects import Event, TipMoved, TransactionSubmitted
from ..node.snapshot import PeerSnapshot
from ..shaping import Shaping, Traffic
from ..sim.host import Host, host_address
from ..sim.journal import Journal
from ..sim.network import Network
from ..sim.world import World
from ..wire.target import Target
from .observed import Activity
from .script import WatchOptions, draw
from .taps import Tap

WATCHED: Final = 0
"""The number of the watched node."""
PEER: Final = 1
"""And of the node at the other end of the watched link."""
_START: Final = seconds(1)  # hosts start within it
_POLL: Final = seconds(0.02)  # between two looks whether a transaction has come: delays are known to this
_APART: Final = seconds(0.2)  # between two blocks of the part that is cut off
_FEE: Final = 50_000  # more than any policy asks for the longest transaction of a script
_BARE_BYTES: Final = len(make_transaction([faucet(0)], [FAUCET_AMOUNT - _FEE]))


def draw_transaction(number: int, options: WatchOptions, chance: Chance) -> bytes:
    """One that nobody has sent, with a length of the options' range.

    Args:
        number: different for all of a world.
        options: the range.
        chance: draws the length.
    """
    size = draw(options.transaction_bytes, chance)
    return make_transaction([faucet(number)], [FAUCET_AMOUNT - _FEE], pad=max(0, size - _BARE_BYTES))


def draw_wiring(topology: int, hosts: int, chance: Chance) -> tuple[tuple[int, ...], ...]:
    """Whom each host dials: the watched one its peer first; the others form a ring with chords, so that each of them
    has links of its own for stems, and no two dial each other twice."""
    others = list(range(PEER, hosts))
    dials: list[list[int]] = [[] for _ in range(hosts)]
    dials[WATCHED] = [PEER, *chance.sample(others[1:], topology - 1)]
    ring = list(others)
    chance.shuffle(ring)
    for place, number in enumerate(ring):
        dials[number].append(ring[(place + 1) % len(ring)])
    for number in others:
        strangers = [one for one in others if one != number and one not in dials[number] and number not in dials[one]]
        if strangers:
            dials[number].append(chance.choice(strangers))
    return tuple(map(tuple, dials))


class Journey(NamedTuple):
    """When somebody's transaction came to be in the open at whom, by the host's number."""

    relay_id: TxId
    origin: int
    began: Instant
    arrived: dict[int, Instant]


@dataclass(frozen=True, slots=True)
class Deed:
    """An activity under way. All are asked again and again, and none changes anything."""

    noticed: Callable[[], bool] = lambda: True
    """The watched node has heard of it."""
    done: Callable[[], bool] = lambda: True
    """What the activity's name says has happened."""
    settled: Callable[[], bool] = lambda: True
    """No other host lacks it."""
    delay: Callable[[], Duration | None] = lambda: None
    """How long it took, as :class:`~obscura.lab.observed.Cost` reckons, if that is asked; once it is done."""


class Stage:
    """A world with a tap.

    Args:
        seed: of this world.
        topology: how many hosts the watched one dials.
        shaping: of all links.
        options: what happens here.
    """

    def __init__(self, seed: int, topology: int, shaping: Shaping, options: WatchOptions) -> None:
        self.world = World(seed)
        self.tap = Tap()
        self._options = options
        chance = self.world.chance.fork("stage")
        self._wiring = draw_wiring(topology, draw(options.hosts, chance), chance.fork("wiring"))
        self._acts = chance.fork("acts")
        self._network = Network(self.world, options.lines, Journal())
        self._network.tap = self._tapped
        self._hosts = [
            Host(number, self._network, self._config(dials, shaping), listener=self._heard)
            for number, dials in enumerate(self._wiring)
        ]
        starts = chance.fork("starts")
        for host in self._hosts:
            self.world.at(starts.below(_START), host.start)
        self._moved: dict[BlockHash, Instant] = {}
        """When the watched node's tip was which block, for the first time."""
        self._found: list[Instant] = []
        self._bodies = 0
        self._sent = 0

    def _config(self, dials: tuple[int, ...], shaping: Shaping) -> NodeConfig:
        return NodeConfig(
            network="memory",
            user_agent="/Obscura:sim/",
            shaping=shaping,
            connect=tuple(Target(host_address(number)) for number in dials),
            allow_local=True,
            discover=False,
            stem_diffusers=self._options.diffusers,
        )

    def _tapped(self, sender: int, receiver: int, at: int, size: int) -> None:
        if sender + receiver == WATCHED + PEER:
            self.tap.saw(at, size, outward=sender == WATCHED)

    def _heard(self, host: Host, event: Event) -> None:
        match event:
            case TipMoved(tip=tip) if host.number == WATCHED:
                self._moved.setdefault(tip, self.world.time)
            case TransactionSubmitted(accepted=False, rule=rule):
                raise BugError(f"a script's transaction breaks the rule {rule!r}")

    # -- the link

    def ends(self) -> tuple[PeerSnapshot, PeerSnapshot] | None:
        """How both of its nodes see the watched link; ``None`` while it does not stand."""
        now = self.world.now
        near = [one for one in self._hosts[WATCHED].node.snapshot(now).peers if one.address == host_address(PEER)]
        if len(near) != 1 or not near[0].session:
            return None
        far = [one for one in self._hosts[PEER].node.snapshot(now).peers if one.session == near[0].session]
        return (near[0], far[0]) if far else None

    def link(self) -> tuple[ConnId, ConnId] | None:
        """Names the watched link: another one between the two has another name. ``None`` while there is none."""
        ends = self.ends()
        return None if ends is None else (ends[0].conn, ends[1].conn)

    def spent(self) -> Traffic | None:
        """What both sides have put into the watched link by now."""
        ends = self.ends()
        if ends is None:
            return None
        near, far = (end.shaped_out for end in ends)
        return Traffic(near.real + far.real, near.padding + far.padding, near.decoy + far.decoy)

    def found(self, start: Instant, end: Instant) -> tuple[int, ...]:
        """Seconds from ``start`` to ``end`` in which a block was found, see :class:`~obscura.lab.observed.Course`."""
        return tuple((at - start) // MICROSECONDS for at in self._found if start <= at < end)

    def check(self) -> None:
        """Walk all nodes' invariants.

        Raises:
            AssertionError: one does not hold: a defect of ours.
        """
        for host in self._hosts:
            host.node.check()

    # -- activities

    def prepare(self, activity: Activity) -> None:
        """What an activity needs before its window begins: blocks to catch up by, found where the watched node and its
        peers hear nothing of them. On its links nothing is to be seen of this."""
        if activity is not Activity.SYNC:
            return
        near = (WATCHED, *self._wiring[WATCHED])
        far = [host.number for host in self._hosts if host.number not in near]
        self._network.part([far])
        miner = self._hosts[self._acts.choice(far)]
        for _ in range(draw(self._options.sync_blocks, self._acts)):
            self._mine(miner, self._options.sync_bytes)
            self.world.run_for(_APART)

    def begin(self, activity: Activity) -> Deed:
        """Do it now."""
        match activity:
            case Activity.IDLE:
                return Deed()
            case Activity.BLOCK:
                self._found.append(self.world.time)
                miner = self._hosts[self._acts.choice(range(PEER + 1, len(self._hosts)))]
                return self._arrival(self._mine(miner, self._options.block_bytes))
            case Activity.SYNC:
                self._found.append(self.world.time)
                self._network.heal()
                best = max(self._hosts, key=lambda host: host.ledger.height)
                return self._arrival(best.ledger.tip, counts=False)
            case Activity.OWN | Activity.RELAYED:
                others = range(PEER + 1, len(self._hosts))
                return self._sending(WATCHED if activity is Activity.OWN else self._acts.choice(others))

    def _mine(self, miner: Host, sizes: tuple[int, int]) -> BlockHash:
        self._bodies += 1
        size = draw(sizes, self._acts)
        return miner.mine(self._bodies.to_bytes(8, "little") + bytes(size - 8))

    def _arrival(self, tip: BlockHash, *, counts: bool = True) -> Deed:
        """A block, or a branch of them, that all are to have."""
        began, watched = self.world.time, self._hosts[WATCHED]
        before = watched.node.snapshot(self.world.now).headers

        def delay() -> Duration | None:
            return Duration(self._moved[tip] - began) if counts else None

        return Deed(
            noticed=lambda: watched.node.snapshot(self.world.now).headers > before,
            done=lambda: tip in self._moved,
            settled=lambda: all(host.ledger.tip == tip for host in self._hosts),
            delay=delay,
        )

    def _sending(self, origin: int) -> Deed:
        """A transaction that all are to have in the open."""
        data = draw_transaction(self._sent, self._options, self._acts)
        self._sent += 1
        journey = Journey(parse(data).info.relay_id, origin, self.world.time, {})
        self._hosts[origin].send(data)
        self._follow(journey)
        own = origin == WATCHED
        half = -(-(len(self._hosts) - 1) // 2)

        def reached() -> Instant | None:
            if not own:
                return journey.arrived.get(WATCHED)
            others = sorted(at for number, at in journey.arrived.items() if number != WATCHED)
            return others[half - 1] if len(others) >= half else None

        def delay() -> Duration | None:
            at = reached()
            return None if at is None else Duration(at - journey.began)

        return Deed(
            noticed=lambda: own or reached() is not None,
            done=lambda: reached() is not None,
            settled=lambda: len(journey.arrived) == len(self._hosts),
            delay=delay,
        )

    def _follow(self, journey: Journey) -> None:
        """Look who has it by now: what waits in the open is on disk as such."""
        for host in self._hosts:
            if host.number not in journey.arrived:
                held = host.disk.waiting.get(journey.relay_id)
                if held is not None and not held.stem:
                    journey.arrived[host.number] = self.world.time
        limit = journey.began + seconds(self._options.window_s + self._options.patience_s)
        if len(journey.arrived) < len(self._hosts) and self.world.time < limit:
            self.world.after(_POLL, self._follow, journey)
