"""A node among attackers is killed and loses its power, a hundred times: it always comes back to somebody honest.

Of all addresses that can be dialled six in ten are one attacker's, in a few network groups; he tells of them as fast
as he is listened to, holds inbound links, and answers as the best of peers. After each restart the victim has what its
disk kept: addresses up to a minute ago, anchors, nothing else.
"""

from __future__ import annotations

import pytest

from obscura.base.instant import MICROSECONDS, Duration, minutes, seconds
from obscura.base.randomness import Chance
from obscura.node import NodeConfig
from obscura.sim.botnet import Tactics
from obscura.sim.crowd import CrowdOptions
from obscura.sim.eclipse import attacker_addresses, honest_records
from obscura.sim.siege import Siege
from obscura.wire.target import Mode

HONEST = 60
ATTACKERS = 90
GROUPS = 6
RESTARTS = 100
SHORTEST = minutes(2)
MEAN = minutes(6)
WITHIN_S = 60


def siege(seed: int) -> Siege:
    config = NodeConfig(network="memory", user_agent="/Obscura:sim/", transport=Mode.PLAIN, inbound_slots=30)
    crowd = CrowdOptions(citizens=HONEST, full=0.2, session=minutes(30), visit=minutes(60))
    mine = attacker_addresses(GROUPS, ATTACKERS)
    made = Siege(
        seed,
        config,
        crowd,
        rumours=mine,
        interval=minutes(5),
        records=lambda now: honest_records(HONEST, now, Chance.from_seed(seed)),
    )
    made.victim.start()
    made.run(minutes(5))
    made.besiege(mine, Tactics(links=25, press=seconds(2), tell=seconds(10), told=100))
    return made


def restarts(seed: int, count: int) -> tuple[list[float], list[int]]:
    """Seconds from each restart to the first honest link that the victim opened, and how many such links it had when
    the next restart came."""
    one = siege(seed)
    chance = one.world.chance.fork("restarts")
    one.run(minutes(10))
    waits: list[float] = []
    links: list[int] = []
    for _ in range(count):
        one.crash(power=bool(chance.below(2)))
        one.run(chance.span(seconds(5), seconds(60)))
        one.restart()
        begun = one.world.time
        one.run(Duration(SHORTEST + chance.exponential(MEAN)))
        honest = [tie for tie in one.outbound if not tie.evil]
        links.append(len(honest))
        first = one.first_honest
        waits.append((first - begun) / MICROSECONDS if first is not None else -1.0)
        one.victim.node.check()
    return waits, links


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_restarts_among_attackers() -> None:
    waits, links = restarts(1, RESTARTS)
    assert all(0 <= wait <= WITHIN_S for wait in waits), sorted(waits)
    assert all(links), "and it keeps some until the next one"
