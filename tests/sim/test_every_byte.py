"""Every byte that goes over a link, changed once, in virtual time: the same silence, and one moment of the end.

Each story is a whole link between a node and a channel, until it rests. One byte of what the node receives is changed,
of the handshake or of a record. Nothing comes of the node but what the bytes before had earned (and where the link was
open, as many random bytes as it would have sent), and its connection ends by the deadline that every failure has.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from veil import secure_channel
from veiled_node import OTHER, START, Rig, address

from obscura.base.instant import Duration, Instant, seconds
from obscura.base.limits import HANDSHAKE_TIMEOUT, SEND_JITTER, SINK_LONGEST, SINK_SHORTEST
from obscura.base.names import ConnId
from obscura.channel import Role
from obscura.node.effects import Dial, Drop, Send
from obscura.wire.target import Target

pytestmark = pytest.mark.slow
GAP = seconds(0.5)
"""Between what the other side sends: the node has emitted what it holds back by then."""
ROUNDS = 5
"""Turns of the other side; the last is a record of its own after the link has opened."""


@dataclass
class Story:
    """What a link looks like from the wire."""

    sent: list[int] = field(default_factory=list)
    """Bytes that the node has emitted by the end of each turn."""
    received: list[int] = field(default_factory=list)
    """Bytes that it was given by then."""
    opened: int = -1
    """The turn in which the link opened for the node."""
    ended: Instant | None = None
    late: int = 0
    """Bytes that it has emitted after the last turn."""


def tell(flip: int | None, *, dialled: bool) -> Story:
    """One link; ``flip`` is the position of the changed byte in all that the node receives."""
    rig = Rig(connect=(Target(address(1)),) if dialled else ())
    story = Story()
    if dialled:
        rig.drain()
        [dial] = [one for one in rig.effects if isinstance(one, Dial)]
        conn, role = dial.conn, Role.RESPONDER
        rig.node.connected(conn, rig.now)
    else:
        conn, role = rig.accept(), Role.INITIATOR
    channel = secure_channel(role, genesis=rig.genesis, static=OTHER)
    given = emitted = 0
    for turn in range(ROUNDS):
        rig.drain()
        data = rig.sent_so_far(conn)
        emitted += len(data)
        channel.receive_data(data, rig.now.mono)
        while channel.next_event(rig.now.mono) is not None:
            pass
        if channel.may_answer:
            channel.answer()
        if turn == ROUNDS - 1:
            # A ping of its own, whatever the node has said.
            channel.handle_deadline(Instant(rig.now.mono + seconds(500)))
        piece = bytearray(channel.take_data(rig.now.mono))
        if flip is not None and given <= flip < given + len(piece):
            piece[flip - given] ^= 1 << flip % 8
        given += len(piece)
        rig.node.receive(conn, bytes(piece), rig.now)
        rig.drain()
        if story.opened < 0 and any(peer.state == "open" for peer in rig.node.snapshot(rig.now).peers):
            story.opened = turn
        rig.run(GAP)
        rig.drain()
        story.received.append(given)
        story.sent.append(emitted + pending(rig, conn))
    while story.ended is None and rig.now.mono < START + seconds(100):
        deadline = rig.node.next_deadline()
        assert deadline is not None
        rig.run(Duration(max(0, deadline - rig.now.mono)))
        if rig.dropped(conn):
            story.ended = rig.now.mono
        elif flip is None and rig.now.mono > START + seconds(60):
            break
    story.late = emitted + pending(rig, conn) - story.sent[-1]
    assert rig.effects.count(Drop(conn)) == (story.ended is not None)
    return story


def pending(rig: Rig, conn: ConnId) -> int:
    """Bytes that the node has emitted and the channel has not read."""
    return sum(len(one.data) for one in rig.effects if isinstance(one, Send) and one.conn == conn)


@pytest.mark.parametrize("dialled", [False, True], ids=["responder", "initiator"])
def test_every_byte(dialled: bool) -> None:
    good = tell(None, dialled=dialled)
    assert good.ended is None
    assert good.opened >= 0
    length = good.received[-1]
    assert length > 1_400
    ends: dict[str, set[Duration]] = {"handshake": set(), "open": set()}
    for flip in range(length):
        story = tell(flip, dialled=dialled)
        turn = next(at for at, given in enumerate(good.received) if flip < given)
        assert story.ended is not None, flip
        assert story.late == 0, flip
        # What the rest of the stream would have earned never comes; an open link's ghost has no more to say than it.
        assert all(one <= other for one, other in zip(story.sent, good.sent, strict=True)), flip
        if story.opened < 0:
            ends["handshake"].add(Duration(story.ended - START))
            assert story.sent[-1] == story.sent[turn], flip
        else:
            ends["open"].add(Duration(story.ended - START))
    assert ends["handshake"] == {HANDSHAKE_TIMEOUT}, "one moment"
    low, high = SINK_SHORTEST, SINK_LONGEST + ROUNDS * GAP + SEND_JITTER
    assert ends["open"]
    assert all(low <= end <= high for end in ends["open"])
