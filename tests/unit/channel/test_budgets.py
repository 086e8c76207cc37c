"""What a link may send: budgets for some kinds of messages, turns, and long messages in portions."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pair import START, closing_rule, drain, feed, make_channel, make_version

from obscura.base.cursor import compact_size
from obscura.base.instant import MICROSECONDS, Duration, Instant, after, seconds
from obscura.base.limits import (
    FAULT_MALFORMED,
    INV_ITEMS,
    PORTION_ITEMS,
    TALK_BURST,
    TALK_PER_SECOND,
    TOKENS_BURST,
    TOKENS_REST,
    TURN_TOKENS,
    UNKNOWN_BURST,
    UNKNOWN_PRICE,
)
from obscura.channel import Channel, ChannelEvent, MessageFault, Role
from obscura.channel.budget import TokenBucket
from obscura.wire.address import AddressEntry, NetAddress, Network
from obscura.wire.blocks import GetData, Inv, NotFound
from obscura.wire.frame import encode_frame, type_field
from obscura.wire.gossip import Addr
from obscura.wire.greeting import Ping, Pong, Verack
from obscura.wire.inventory import KIND_TX, InventoryItem
from obscura.wire.registry import Message, encode_message

KINDS = (Inv, GetData, NotFound)
NEWS = encode_frame(type_field("news"), b"")


def opened() -> Channel:
    """The responder's side of an open link."""
    channel = make_channel(Role.RESPONDER)
    feed(channel, encode_message(make_version(9)) + encode_message(Verack()))
    channel.take_data(START)
    return channel


def items(count: int) -> tuple[InventoryItem, ...]:
    """So many vectors, all different."""
    return tuple(InventoryItem(KIND_TX, number.to_bytes(32, "little")) for number in range(count))


def entries(count: int) -> tuple[AddressEntry, ...]:
    """So many addresses."""
    return tuple(
        AddressEntry(1_700_000_000, 0, NetAddress(Network.IPV4, number.to_bytes(4, "big"), 8_333))  # type: ignore[arg-type]
        for number in range(count)
    )


class TestBudgets:
    def test_a_flood_of_pings_stops_in_the_middle_of_what_came(self) -> None:
        """However much of it comes at once: pings are answered inside, where nobody looks between two of them."""
        channel = opened()
        frame = encode_message(Ping(7))
        feed(channel, frame * 9_000)
        assert channel.take_data(START) == encode_message(Pong(7)) * (TALK_BURST + 1)
        assert channel.buffered == (9_000 - TALK_BURST - 1) * len(frame)
        late = after(START, channel.throttle(START))
        drain(channel, [], late)
        answered = TALK_PER_SECOND * TOKENS_REST // MICROSECONDS + 1
        assert channel.take_data(late) == encode_message(Pong(7)) * answered

    def test_one_kind_does_not_spend_the_others(self) -> None:
        channel = opened()
        feed(channel, NEWS * (UNKNOWN_BURST // UNKNOWN_PRICE + 1))
        wait = channel.throttle(START)
        assert 0 < wait < seconds(1), "not as long as if all its tokens were gone"
        late = after(START, wait)
        assert feed(channel, encode_message(NotFound(())) * (TOKENS_BURST // 2), late), "the rest of them is there"
        assert channel.throttle(late) == 0

    def test_the_end_of_a_link_does_not_wait(self) -> None:
        channel = opened()
        feed(channel, NEWS * 300)
        assert channel.throttle(START) > 0
        channel.receive_eof()
        assert closing_rule([channel.next_event(START)]) == "peer-closed"  # type: ignore[list-item]

    def test_a_fault_waits_for_what_stands_before_it(self) -> None:
        channel = opened()
        assert feed(channel, NEWS * 300 + bytes(4) + b"in\x01" + bytes(13)) == []
        assert not channel.is_closed
        now, events = START, []
        while not channel.is_closed:
            now = after(now, channel.throttle(now))
            drain(channel, events, now)
        assert closing_rule(events) == "type-unprintable"

    def test_before_the_handshake_is_done_there_are_none(self) -> None:
        channel = make_channel(Role.RESPONDER)
        assert feed(channel, NEWS * (UNKNOWN_BURST // UNKNOWN_PRICE + 50)) == []
        assert channel.throttle(START) == 0


@given(
    spending=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 900_000)), max_size=40),
    per_second=st.integers(1, 2_000),
    burst=st.integers(1, 500),
)
def test_a_bucket_is_exact_and_rests(spending: list[tuple[int, int]], per_second: int, burst: int) -> None:
    """Against a model that adds microsecond by microsecond, in whole numbers."""
    bucket = TokenBucket(START, per_second, burst)
    full = burst * MICROSECONDS
    enough = min(full, per_second * TOKENS_REST)
    level, resting, now = full, False, START
    for tokens, passed in spending:
        now = after(now, Duration(passed))
        level = min(full, level + passed * per_second)
        resting = resting and level < enough
        level -= tokens * MICROSECONDS
        resting = resting or level < 0
        bucket.take(tokens, now)
        wait = bucket.wait(now)
        assert bool(wait) == resting
        if resting:
            assert level + (wait - 1) * per_second < enough <= level + wait * per_second, "to the microsecond"
    if resting:
        assert bucket.wait(Instant(now + wait - 1)) > 0
        assert bucket.wait(Instant(now + wait)) == 0


class TestTurns:
    def test_it_is_over_when_its_tokens_are_spent(self) -> None:
        channel = opened()
        frame = encode_message(NotFound(()))
        channel.begin_turn()
        channel.receive_data(frame * 1_000, START)
        for _ in range(TURN_TOKENS):
            assert not channel.turn_over
            assert channel.next_event(START) == NotFound(())
        assert channel.turn_over
        assert channel.has_more
        channel.begin_turn()
        assert not channel.turn_over

    def test_what_the_owner_charges_counts(self) -> None:
        channel = opened()
        channel.begin_turn()
        channel.spend(TURN_TOKENS, START)
        assert channel.turn_over
        channel.throttle(START)
        assert channel.turn_over, "paying for it changes nothing"

    def test_where_nobody_takes_turns_none_is_over(self) -> None:
        channel = opened()
        channel.end_turn()
        channel.spend(10 * TURN_TOKENS, START)
        assert not channel.turn_over
        channel.begin_turn()
        assert not channel.turn_over
        channel.end_turn()
        assert channel.turn_over

    def test_more(self) -> None:
        channel = opened()
        assert not channel.has_more
        feed(channel, encode_message(Ping(1))[:-1])
        assert channel.has_more, "the beginning of a message"
        feed(channel, encode_message(Ping(1))[-1:])
        assert not channel.has_more


class TestInventories:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_long_one_comes_in_portions(self, kind: type[Inv]) -> None:
        for count in (1, PORTION_ITEMS, PORTION_ITEMS + 1, 2 * PORTION_ITEMS, 700, 1_000):
            channel = opened()
            whole = items(count)
            events = feed(channel, encode_message(kind(whole)) + encode_message(Pong(1)))
            assert {type(event) for event in events} == {kind}
            sizes = [len(event.items) for event in events]  # type: ignore[union-attr]
            assert sizes == [PORTION_ITEMS] * (count // PORTION_ITEMS) + [count % PORTION_ITEMS] * (
                count % PORTION_ITEMS > 0
            )
            assert tuple(itertools.chain(*(event.items for event in events))) == whole  # type: ignore[union-attr]
            assert channel.buffered == 0

    def test_what_is_left_is_held_and_paid_for_later(self) -> None:
        channel = opened()
        channel.receive_data(encode_message(GetData(items(INV_ITEMS))), START)
        assert channel.next_event(START) is not None
        assert channel.buffered == (INV_ITEMS - PORTION_ITEMS) * 36
        assert channel.has_more
        assert channel.throttle(START) == 0, "one portion is paid for"
        while channel.throttle(START) == 0:
            assert channel.next_event(START) is not None
        left = INV_ITEMS - channel.buffered // 36
        assert TOKENS_BURST - PORTION_ITEMS <= left <= TOKENS_BURST + PORTION_ITEMS, "an item a token"
        channel.close("done")
        assert channel.buffered == 0
        assert not channel.has_more

    def test_it_is_judged_as_a_whole_before(self) -> None:
        channel = opened()
        payload = compact_size(1_000) + bytes(36 * 1_000 - 1)
        events = feed(channel, encode_frame(type_field("inv"), payload) + encode_message(Inv(())))
        assert events == [MessageFault("inv", "count-exceeds-payload"), Inv(())]


class TestAddresses:
    @pytest.mark.parametrize("count", [1, PORTION_ITEMS, 2 * PORTION_ITEMS, 300, 999, 1_000])
    def test_a_long_one_is_one_message(self, count: int) -> None:
        channel = opened()
        message = Addr(entries(count))
        assert feed(channel, encode_message(message) + encode_message(Inv(()))) == [message, Inv(())]
        assert channel.buffered == 0

    def test_it_is_read_in_turns(self) -> None:
        channel = opened()
        message = Addr(entries(1_000))
        channel.begin_turn()
        channel.receive_data(encode_message(message), START)
        turns, event = 1, channel.next_event(START)
        while event is None:
            assert channel.turn_over
            assert channel.has_more
            channel.begin_turn()
            event = channel.next_event(START)
            turns += 1
        assert event == message
        assert turns >= 1_000 // PORTION_ITEMS

    @pytest.mark.parametrize("break_at", [0, 200, 999])
    def test_a_fault_in_it_is_a_fault_of_the_whole(self, break_at: int) -> None:
        channel = opened()
        payload = bytearray(Addr(entries(1_000)).to_payload())
        payload[3 + 13 * break_at + 5] = Network.IPV6  # whose addresses are longer
        frames = encode_frame(type_field("addr"), bytes(payload)) + encode_message(Inv(()))
        assert feed(channel, frames) == [MessageFault("addr", "address-length"), Inv(())]
        assert channel.fault_points(START) == FAULT_MALFORMED

    def test_a_violation_in_it_ends_the_link(self) -> None:
        channel = opened()
        payload = Addr(entries(999)).to_payload()[3:] + bytes(4) + b"\0\x63" + compact_size(513) + bytes(515)
        events = feed(channel, encode_frame(type_field("addr"), compact_size(1_000) + payload))
        assert closing_rule(events) == "address-too-long"
        assert channel.buffered == 0


@given(
    cuts=st.lists(st.integers(1, 3_000), min_size=1, max_size=30),
    counts=st.lists(st.tuples(st.sampled_from(["inv", "addr", "ping"]), st.integers(0, 400)), max_size=4),
    turns=st.booleans(),
)
def test_neither_cuts_nor_turns_change_what_comes(
    cuts: list[int], counts: list[tuple[str, int]], *, turns: bool
) -> None:
    def message(kind: str, count: int) -> Message:
        match kind:
            case "inv":
                return Inv(items(count))
            case "addr":
                return Addr(entries(count))
            case _:
                return Ping(count)

    stream = b"".join(encode_message(message(*one)) for one in counts)
    whole = feed(opened(), stream)
    channel = opened()
    events: list[ChannelEvent] = []
    at = 0
    for step in itertools.cycle(cuts):
        if turns:
            channel.begin_turn()
        channel.receive_data(stream[at : at + step], START)
        while True:
            event = channel.next_event(START)
            if event is not None:
                events.append(event)
            elif not (turns and channel.turn_over):
                break
            if turns:
                channel.begin_turn()
        at += step
        if at >= len(stream):
            break
    assert events == whole
