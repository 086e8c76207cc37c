"""What a botnet does, act by act."""

from __future__ import annotations

import pytest

from obscura.base.instant import minutes, seconds
from obscura.base.limits import HANDSHAKE_TIMEOUT
from obscura.node import NodeConfig
from obscura.peers.record import AddressRecord
from obscura.sim.botnet import Service, Tactics
from obscura.sim.crowd import CrowdOptions
from obscura.sim.eclipse import attacker_addresses
from obscura.sim.siege import Siege
from obscura.wire.target import Mode

MINE = attacker_addresses(20, 60)


def besieged(tactics: Tactics, *, slots: int = 30, dialled: bool = False, mode: Mode = Mode.PLAIN) -> Siege:
    """A victim alone with a botnet; ``dialled``: it knows the addresses."""
    config = NodeConfig(network="memory", user_agent="/Obscura:sim/", transport=mode, inbound_slots=slots)
    siege = Siege(
        1,
        config,
        CrowdOptions(citizens=1, visit=minutes(100_000)),
        interval=minutes(2),
        records=lambda now: [AddressRecord(address=one, seen=now, source=b"x") for one in MINE if dialled],
    )
    siege.besiege(MINE, tactics)
    siege.victim.start()
    return siege


def test_it_holds_as_many_links_as_it_wants_from_as_many_addresses() -> None:
    siege = besieged(Tactics(links=20, press=seconds(1)))
    siege.run(minutes(3))
    addresses = [tie.address.raw for tie in siege.inbound]
    assert len(addresses) == len(set(addresses)) == 20
    assert all(tie.evil for tie in siege.inbound)


def test_a_storm_goes_on_and_costs_its_own_links() -> None:
    siege = besieged(Tactics(links=1, storm=True, press=seconds(0.5)), slots=10)
    siege.run(minutes(3))
    assert len(siege.inbound) == 10
    assert siege.closed["evicted"] > 100


def test_turns_come_to_all_addresses() -> None:
    siege = besieged(Tactics(links=10, press=seconds(0.5), hold=seconds(10)))
    seen: dict[bytes, None] = {}
    for _ in range(300):
        siege.run(seconds(1))
        seen |= {tie.address.raw: None for tie in siege.inbound}
    assert len(seen) == len(MINE)


def test_it_serves_whoever_dials_it() -> None:
    siege = besieged(Tactics(), dialled=True)
    siege.run(minutes(20))
    assert len(siege.outbound) >= 8
    assert siege.victim.node.snapshot(siege.world.now).height == siege.hive.tree.tip.height > 1
    assert siege.book_share() == 1.0


def test_a_visitor_hangs_up_once_at_each_address_and_stays_the_next_time() -> None:
    siege = besieged(Tactics(visit=seconds(5)), dialled=True)
    siege.run(minutes(2))
    assert siege.closed["peer-closed"] > 10
    siege.run(minutes(180))
    ended = siege.closed["peer-closed"]
    assert ended <= len(MINE)
    assert len(siege.outbound) >= 8, "the others stay"
    assert siege.tried_share() == 1.0
    siege.run(minutes(10))
    assert siege.closed["peer-closed"] <= ended + 2


def test_a_black_hole_says_nothing_after_the_handshake() -> None:
    siege = besieged(Tactics(service=Service.BLACK_HOLE), dialled=True)
    siege.run(minutes(10))
    peers = siege.victim.node.snapshot(siege.world.now).peers
    assert len(siege.outbound) >= 8
    assert all(peer.ping is None for peer in peers)
    assert siege.victim.node.snapshot(siege.world.now).height == 0
    siege.run(minutes(30))
    assert siege.closed["headers-timeout"] > 50


def test_silence_is_no_handshake() -> None:
    siege = besieged(Tactics(service=Service.SILENT), dialled=True)
    siege.run(minutes(5))
    assert not siege.ties
    assert siege.closed["handshake-timeout"] > 0


def test_slow_connections_wait_in_the_lobby_and_come_again() -> None:
    siege = besieged(Tactics(loris=30, press=seconds(0.2), drip=seconds(5)))
    siege.run(HANDSHAKE_TIMEOUT)
    peers = siege.victim.node.snapshot(siege.world.now).peers
    assert 20 <= len(peers) <= 30
    assert all(peer.state == "await-version" for peer in peers)
    siege.run(minutes(5))
    assert siege.closed["handshake-timeout"] > 100


@pytest.mark.parametrize("junk", [False, True])
def test_it_tells_its_own_addresses_or_invented_ones(junk: bool) -> None:
    siege = besieged(Tactics(links=20, press=seconds(0.5), tell=seconds(2), told=50, junk=junk))
    siege.run(minutes(10))
    assert len(siege.victim.saved) > (200 if junk else 30)
    assert (siege.book_share() < 0.5) is junk


def test_strays_and_requests_are_charged() -> None:
    siege = besieged(Tactics(links=5, press=seconds(1), headers=seconds(1), burst=10), mode=Mode.VEILED)
    siege.run(minutes(5))
    assert siege.closed.get("fault-budget", 0) > 0
    siege.victim.node.check()


def test_it_shows_blocks_before_anybody_else() -> None:
    siege = besieged(Tactics(links=5, press=seconds(1)))
    siege.run(minutes(20))
    lags = siege.lags(siege.world.time - minutes(15))  # type: ignore[arg-type]
    assert lags
    assert max(lags) < 1
