"""A node whose links take turns: long messages are dealt with in steps, between which others are served."""

from __future__ import annotations

import pytest
from nodes import mine_chain
from play import GENESIS, HEADERS_ITEMS, Link, Play, address, item, name_of

from obscura.base.limits import LOW_WORK_PER_PEER, PORTION_ITEMS, TURN_TOKENS
from obscura.wire.blocks import GetData, GetHeaders, Headers, Inv, NotFound
from obscura.wire.frame import encode_frame, type_field
from obscura.wire.greeting import Ping, Pong

LONG = mine_chain(GENESIS, HEADERS_ITEMS + 50, b"long", 1_700_000_100)
OTHER = mine_chain(GENESIS, 1_000, b"other", 1_700_000_100)


def greeted(play: Play, number: int) -> Link:
    link = play.accept(address(number, 1))
    assert link is not None
    play.greet(link)
    while play.take_turn():
        pass
    return link


def raws(chain: list[bytes], count: int) -> Headers:
    return Headers(tuple(block[:80] for block in chain[:count]))


class TestHeaders:
    def test_a_whole_answer_takes_many_turns_and_ends_the_same(self) -> None:
        heights = []
        for turns in (False, True):
            play = Play(named=0, turns=turns)
            link = greeted(play, 7)
            assert any(isinstance(one, GetHeaders) for one in link.heard)
            link.heard.clear()
            play.say(link, raws(LONG, HEADERS_ITEMS))
            steps = 0
            while play.take_turn():
                steps += 1
            assert steps == 0 if not turns else steps >= 2 * HEADERS_ITEMS // PORTION_ITEMS - 2
            assert [type(one) for one in link.heard] == [GetHeaders], "the next part is asked for once"
            play.answer_all()
            heights.append(play.node.snapshot(play.now).headers)
        assert heights == [HEADERS_ITEMS, HEADERS_ITEMS]

    def test_others_are_served_meanwhile(self) -> None:
        play = Play(named=0, turns=True)
        link, other = greeted(play, 7), greeted(play, 8)
        play.say(link, raws(LONG, HEADERS_ITEMS))
        assert link.busy
        other.heard.clear()
        play.say(other, Ping(99))
        assert Pong(99) in other.heard
        assert play.node.snapshot(play.now).headers == 0

    def test_what_follows_waits_for_it(self) -> None:
        play = Play(named=0, turns=True)
        link = greeted(play, 7)
        link.heard.clear()
        play.say(link, raws(LONG, HEADERS_ITEMS), Ping(99))
        assert Pong(99) not in link.heard
        while play.take_turn():
            pass
        assert Pong(99) in link.heard

    @pytest.mark.parametrize("at", [3, 700, 1_500])
    def test_a_gap_is_found_in_its_turn(self, at: int) -> None:
        play = Play(named=0, turns=True)
        link = greeted(play, 7)
        headers = [block[:80] for block in LONG[:HEADERS_ITEMS]]
        del headers[at]
        play.say(link, Headers(tuple(headers)))
        while play.take_turn():
            pass
        assert not link.live
        assert play.node.snapshot(play.now).headers == 0

    def test_two_links_show_the_same_in_turns(self) -> None:
        """Low-work headers are on one account each, whoever brings them first."""
        play = Play(named=0, turns=True, chain=LONG)
        links = [greeted(play, number) for number in (7, 8, 9)]
        for link in links:
            play.serve(link, [])
        for link in links:
            # An unknown block leads to a question, so this is its answer.
            play.say(link, Inv((item(b"\x11" * 32),)))
            play.say(link, raws(OTHER, 900))
        order = 0
        while play.take_turn(order):
            order += 1
        assert all(link.live for link in links)
        assert play.node._state.low_work == 900
        play.node.check()

    def test_a_link_that_ends_in_the_middle(self) -> None:
        for how in ("lost", "closed"):
            play = Play(named=0, turns=True)
            link, other = greeted(play, 7), greeted(play, 8)
            play.say(link, raws(LONG, HEADERS_ITEMS))
            assert link.busy
            play.take_turn()
            if how == "lost":
                play.lost(link)
            else:
                play.node._state.peers[link.conn].channel.close("test")
                play.take_turn()
            assert not link.live
            play.serve(other, LONG[:300])
            play.answer_all()
            assert play.ledger.height == 300

    def test_an_account_that_is_full_in_the_middle(self) -> None:
        play = Play(named=0, turns=True, chain=LONG)
        link = greeted(play, 7)
        play.serve(link, [])
        before = play.node._state.peers[link.conn].low_work
        for number in range(LOW_WORK_PER_PEER // 1_000 + 1):
            branch = mine_chain(GENESIS, 1_000, b"branch %d" % number, 1_700_000_200)
            play.say(link, Inv((item(b"\x11" * 32),)))
            play.say(link, raws(branch, 1_000))
            while play.take_turn():
                pass
            if not link.live:
                break
        assert not link.live
        assert len(before) <= LOW_WORK_PER_PEER
        play.node.check()


class TestLists:
    def test_a_long_request_is_answered_in_turns(self) -> None:
        play = Play(named=0, turns=True)
        link = greeted(play, 7)
        play.say(link, GetData((item(bytes(32)),) * 1_000))
        turns = 1
        while play.take_turn():
            turns += 1
        sizes = [len(one.items) for one in link.heard if isinstance(one, NotFound)]
        assert sum(sizes) == 1_000
        assert turns >= 1_000 // PORTION_ITEMS

    def test_many_small_messages(self) -> None:
        play = Play(named=0, turns=True)
        link = greeted(play, 7)
        frame = encode_frame(type_field("inv"), b"\0")
        play.feed(link, frame * (5 * TURN_TOKENS))
        turns = 1
        while play.take_turn():
            turns += 1
        assert 5 <= turns <= 7
        assert play.node._state.peers[link.conn].channel.buffered == 0

    def test_a_pause_in_the_middle_ends_in_a_turn(self) -> None:
        play = Play(named=0, turns=True, chain=LONG[:300])
        link = greeted(play, 7)
        wanted = tuple(item(name_of(block)) for block in LONG[:300])
        play.say(link, GetData(wanted), Ping(99))
        assert link.paused
        while play.read(0) or play.take_turn():
            pass
        assert Pong(99) in link.heard
        assert not link.paused
