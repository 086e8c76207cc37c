"""Whose handshake is answered next."""

from __future__ import annotations

from obscura.base.instant import Instant, after
from obscura.base.limits import RATION_GROUPS, RATION_MEMORY
from obscura.base.names import ConnId
from obscura.peers.knocking import Knocking

NOW = Instant(3_000_000)


def serve(knocking: Knocking, groups: dict[ConnId, bytes]) -> ConnId:
    conn, group = knocking.first()
    assert group == groups[conn]
    knocking.leave(conn)
    knocking.answered(group, NOW)
    knocking.check()
    return conn


def test_a_flood_from_one_group_does_not_hold_up_another() -> None:
    knocking, groups = Knocking(), {}
    for number in range(16):
        groups[ConnId(number)] = b"flood"
        knocking.enter(ConnId(number), b"flood")
    knocking.answered(b"flood", NOW)
    groups[ConnId(99)] = b"honest"
    knocking.enter(ConnId(99), b"honest")
    assert serve(knocking, groups) == 99
    assert [serve(knocking, groups) for _ in range(16)] == list(range(16)), "and a group's own come in their order"


def test_a_group_that_was_never_answered_comes_before_all_others() -> None:
    knocking, groups = Knocking(), {}
    for number in range(40):
        group = b"flood %d" % (number % 20)
        knocking.answered(group, NOW)
        groups[ConnId(number)] = group
        knocking.enter(ConnId(number), group)
    groups[ConnId(99)] = b"honest"
    knocking.enter(ConnId(99), b"honest")
    assert serve(knocking, groups) == 99


def test_groups_take_turns() -> None:
    knocking, groups = Knocking(), {}
    for number in range(12):
        groups[ConnId(number)] = b"abc"[number // 4 : number // 4 + 1]
        knocking.enter(ConnId(number), groups[ConnId(number)])
    turns = b"".join(groups[serve(knocking, groups)] for _ in range(12))
    assert turns == b"abc" * 4


def test_leaving_and_entering_twice() -> None:
    knocking = Knocking()
    for _ in range(2):
        knocking.enter(ConnId(1), b"a")
    assert len(knocking) == 1
    for _ in range(2):
        knocking.leave(ConnId(1))
    assert len(knocking) == 0
    assert ConnId(1) not in knocking
    knocking.check()


def test_what_is_remembered_is_bounded() -> None:
    knocking = Knocking()
    for number in range(RATION_GROUPS + 5):
        knocking.answered(number.to_bytes(4, "big"), NOW)
        knocking.check()
    knocking.enter(ConnId(1), (RATION_GROUPS + 4).to_bytes(4, "big"))
    knocking.enter(ConnId(2), (0).to_bytes(4, "big"))
    assert knocking.first()[0] == 2, "the oldest was forgotten, and counts as new"


def test_a_group_is_fresh_again_after_a_while() -> None:
    knocking = Knocking()
    assert knocking.is_fresh(b"a", NOW)
    knocking.answered(b"a", NOW)
    assert not knocking.is_fresh(b"a", Instant(NOW + RATION_MEMORY - 1))
    assert knocking.is_fresh(b"a", after(NOW, RATION_MEMORY))
