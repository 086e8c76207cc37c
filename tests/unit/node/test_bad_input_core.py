"""The table of bad input against the pure node: outcome and charge of each case, in any cut. Other links never notice.

tests/net/test_bad_input_socket.py does the same over real sockets.
"""

from __future__ import annotations

import pytest
from bad_input import GREETING, Case, cases
from nodes import World, mine_chain
from stranger import Stranger

from obscura.ledgers.memory import MemoryLedger
from obscura.node.effects import LinkClosed
from obscura.wire.blocks import Headers
from obscura.wire.greeting import Ping, Pong

EXAMPLE = mine_chain(MemoryLedger().tip, 3, b"body", 1_700_000_100)
CASES = cases([block[:80] for block in EXAMPLE], EXAMPLE[0])


def test_the_table_has_each_case_once_and_every_outcome() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert {case.points for case in CASES} == {0, 10, 20}
    assert all(not case.points for case in CASES if case.rule), "a link that is closed has no account"


@pytest.mark.parametrize("step", [1 << 22, 7, 1], ids=["whole", "by seven", "byte by byte"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, step: int) -> None:
    world = World()
    host = world.add()
    honest = Stranger(world, host)
    honest.say(Headers(()))
    stranger = Stranger(world, host, "127.201.1.1:50000", greet=False)
    if case.greet:
        stranger.send(GREETING)
        stranger.say(Headers(()))
    for at in range(0, len(case.data), step):
        stranger.send(case.data[at : at + step])
    host.node.check()
    ends = [event for event in host.events if isinstance(event, LinkClosed)]
    if case.rule:
        assert [(event.conn, event.reason) for event in ends] == [(stranger.conn, case.rule)]
    else:
        assert ends == []
        pictures = {peer.conn: peer for peer in host.node.snapshot(world.now).peers}
        assert pictures[stranger.conn].faults == case.points
        if not case.greet:
            stranger.send(GREETING)
        assert Pong(9) in stranger.say(Ping(9))
    assert honest.say(Ping(9)) == [Pong(9)]
    assert {peer.conn: peer.faults for peer in host.node.snapshot(world.now).peers}[honest.conn] == 0
    assert host.ledger.height == 0
