"""Whatever liars show and keep back, an honest peer brings its chain through. Found by the stories of tests/prop."""

from __future__ import annotations

from play import HONEST, A, C, Play, address, headers_after

from obscura.wire.blocks import Block, Headers


def test_a_branch_is_asked_for_once_its_headers_are_judged() -> None:
    """A liar has left the best headers behind. Those of an honest peer are looked at when they come, and must be again
    when the ledger has found them good: nothing else happens that would make the node look."""
    play = Play(named=0)
    liar = play.accept(address(1, 1))
    assert liar is not None
    play.greet(liar)
    play.say(liar, Headers(headers_after(A[:12] + C, liar.locators.pop())))
    play.answer_all()
    for block in A[:12]:
        play.say(liar, Block(block))
        play.answer_all()
    assert play.ledger.height == 12
    play.lost(liar)
    honest = play.accept(address(2, 1))
    assert honest is not None
    play.greet(honest)
    play.serve(honest, HONEST)
    assert play.ledger.height == len(HONEST)


def test_what_has_come_from_another_peer_is_not_asked_for_again() -> None:
    """A liar is asked for blocks and keeps them. Another peer delivers them; that the liar still owes them must not
    make the node fetch them from the other one again and again."""
    play = Play(named=0)
    liar, other = play.accept(address(1, 1)), play.accept(address(2, 1))
    assert liar is not None
    assert other is not None
    play.greet(liar)
    play.say(liar, Headers(headers_after(A[:12] + C, liar.locators.pop())))
    play.answer_all()
    assert len(liar.wanted) == 16
    play.greet(other)
    fetched = 0
    for _ in range(200):
        play.advance(1)
        fetched += len(other.wanted)
        play.serve(other, HONEST)
    assert play.ledger.height == len(HONEST)
    assert fetched <= 2 * len(HONEST)
