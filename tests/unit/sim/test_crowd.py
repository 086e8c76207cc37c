"""Honest strangers: where they are, what they answer, how they come and go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscura.base.errors import BugError
from obscura.base.instant import WallTime, minutes, seconds
from obscura.base.limits import ADDR_ITEMS, GETADDR_SHARE
from obscura.base.randomness import Chance
from obscura.node import NodeConfig
from obscura.sim.crowd import Crowd, CrowdOptions, attacker_address, onion_address, public_address
from obscura.sim.siege import VICTIM, Siege
from obscura.wire.address import Network
from obscura.wire.target import Mode

NOW = WallTime(1_800_000_000)


def siege(seed: int = 1, **options: object) -> Siege:
    config = NodeConfig(network="memory", user_agent="/Obscura:sim/", transport=Mode.PLAIN)
    return Siege(seed, config, CrowdOptions(**options), interval=minutes(2))  # type: ignore[arg-type]


@given(st.integers(0, 20_479), st.integers(0, 65_535))
def test_every_address_is_public_and_in_its_group(group: int, member: int) -> None:
    address = public_address(group, member)
    assert address.is_routable(allow_local=False)
    assert address.group() == public_address(group, 65_535 - member).group()
    assert address.group() != public_address((group + 1) % 20_480, member).group()


@pytest.mark.parametrize(("group", "member"), [(-1, 0), (20_480, 0), (0, -1), (0, 65_536)])
def test_there_are_not_so_many(group: int, member: int) -> None:
    with pytest.raises(BugError, match="groups of"):
        public_address(group, member)


def test_attackers_and_onions_are_elsewhere() -> None:
    honest = {public_address(group).group() for group in range(2_000)}
    assert all(attacker_address(group, 1).group() not in honest for group in range(2_000))
    assert onion_address(Chance.from_seed(1)).network is Network.TORV3


@given(st.integers(1, 300), st.integers(0, 2_000), st.integers(0, 1 << 30))
def test_an_answer_is_a_part_of_what_is_known_and_fits_a_message(honest: int, rumours: int, seed: int) -> None:
    known = [attacker_address(0, member) for member in range(rumours)]
    crowd = Crowd(CrowdOptions(citizens=honest), known)
    answer = crowd.answer(Chance.from_seed(seed), NOW, ())
    everybody = {*crowd.addresses, *known}
    assert {entry.address for entry in answer} <= everybody
    assert len(answer) == len({entry.address for entry in answer}) <= min(ADDR_ITEMS, len(everybody))
    assert len(answer) <= max(1, len(everybody) * GETADDR_SHARE // 100)
    assert all(NOW - 86_400 < entry.time <= NOW for entry in answer)


def test_citizens_visit_stay_for_a_while_and_bring_blocks() -> None:
    world = siege(citizens=30, visit=minutes(10), session=minutes(10))
    world.victim.start()
    world.run(minutes(60))
    inbound = [tie for tie in world.ties.values() if tie.inbound]
    # A third to two thirds of thirty: they stay for as long as they are away, on average.
    assert 6 <= len(inbound) <= 24
    assert world.closed["peer-closed"] > 20
    assert world.victim.node.snapshot(world.world.now).height == world.hive.tree.tip.height > 10
    assert all(0 <= lag < 60 for lag in world.lags(world.world.time))


def test_the_victim_learns_of_the_crowd_and_dials_it() -> None:
    world = siege(citizens=40, visit=minutes(5), session=minutes(600), full=0.0)
    world.victim.start()
    world.run(minutes(30))
    assert len(world.victim.saved) > 20
    assert {tie.address for tie in world.outbound} <= set(world.crowd.addresses)
    assert world.first_honest is not None


def test_a_full_citizen_ends_links_after_the_handshake() -> None:
    world = siege(citizens=40, visit=minutes(5), session=minutes(600), full=0.999)
    world.victim.start()
    world.run(minutes(20))
    assert not [tie for tie in world.outbound if world.world.time - tie.since > seconds(5)]


def test_nearness_is_a_citizens_own() -> None:
    world = siege(citizens=20, visit=minutes(1), session=minutes(600), near=seconds(0.01), far=seconds(0.2))
    world.network.distances[0] = seconds(0)
    world.victim.start()
    world.run(minutes(10))
    pings = {
        peer.address.raw: peer.ping
        for peer in world.victim.node.snapshot(world.world.now).peers
        if peer.ping is not None
    }
    numbers = {citizen.address.raw: citizen.number for citizen in world.crowd.citizens}
    assert len(pings) > 5
    for raw, ping in pings.items():
        assert ping is not None
        assert 0 <= ping - 2 * world.network.distances[numbers[raw]] <= 2 * world.network.options.jitter


def test_a_seed_repeats() -> None:
    def once() -> str:
        world = siege(7, citizens=20, visit=minutes(5))
        world.victim.start()
        world.run(minutes(20))
        return world.network.journal.digest()

    assert once() == once()
    assert VICTIM.is_routable(allow_local=False)
