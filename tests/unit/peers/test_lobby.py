"""The lobby: bounded, by group and age alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from obscura.base.limits import LOBBY_LINKS, LOBBY_PER_GROUP
from obscura.base.names import ConnId
from obscura.peers.lobby import Lobby


def test_singles_leave_in_the_order_in_which_they_came() -> None:
    lobby = Lobby()
    left = [lobby.enter(ConnId(n), n.to_bytes(4, "big")) for n in range(LOBBY_LINKS + 50)]
    assert left == [None] * LOBBY_LINKS + [ConnId(n) for n in range(50)]
    lobby.check()


def test_the_largest_group_pays() -> None:
    lobby = Lobby()
    alone = [ConnId(n) for n in range(LOBBY_LINKS - LOBBY_PER_GROUP)]
    for conn in alone:
        assert lobby.enter(conn, b"alone %d" % conn) is None
    crowd = [ConnId(10_000 + n) for n in range(LOBBY_PER_GROUP)]
    for conn in crowd:
        assert lobby.enter(conn, b"crowd") is None
    assert [lobby.enter(ConnId(20_000 + n), b"new %d" % n) for n in range(LOBBY_PER_GROUP - 1)] == crowd[:-1]
    lobby.check()


def test_a_full_group_pays_for_itself_even_where_another_is_as_large() -> None:
    lobby = Lobby()
    for n in range(LOBBY_PER_GROUP):
        lobby.enter(ConnId(n), b"first")
        lobby.enter(ConnId(100 + n), b"second")
    assert lobby.enter(ConnId(1_000), b"second") == 100
    assert not lobby.leave(ConnId(100)), "it has left"
    assert lobby.leave(ConnId(0))
    lobby.check()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 60)), max_size=400))
def test_every_history_keeps_the_invariants(history: list[tuple[bool, int, int]]) -> None:
    lobby, waiting = Lobby(), dict[ConnId, int]()
    for serial, (enters, group, which) in enumerate(history):
        if enters:
            leaving = lobby.enter(ConnId(serial), bytes([group]))
            full = [conn for conn, one in waiting.items() if one == group]
            assert leaving == (full[0] if len(full) == LOBBY_PER_GROUP else None)
            if leaving is not None:
                del waiting[leaving]
            waiting[ConnId(serial)] = group
        elif waiting:
            conn = list(waiting)[which % len(waiting)]
            del waiting[conn]
            assert lobby.leave(conn)
        assert len(lobby) == len(waiting)
        lobby.check()


def test_a_smaller_lobby() -> None:
    """Where descriptors are short."""
    lobby = Lobby(3)
    assert [lobby.enter(ConnId(n), b"%d" % n) for n in range(5)] == [None, None, None, ConnId(0), ConnId(1)]
    lobby.check()
